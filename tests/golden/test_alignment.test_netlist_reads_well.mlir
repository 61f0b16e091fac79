tensix.netlist @m version 1 chip "n150" {
  buffer @x dram bf16 128x256 role input
  buffer @linear_out l1 bf16 128x256 shards 4x4 over xy
  buffer @output dram bf16 128x256 role output
  buffer @first dram bf16 256x256 from "transpose(first.weight)"
  buffer @second dram bf16 256x256 from "transpose(second.weight)"
  program @linear (in %x, in %w, out %y) fidelity HiFi4 dst fp32 source "first sequences.py:18" {
    axis m 4 over xy 4 stride 4 block 1
    axis n 8 over xy 4 block 2
    axis k 8 block 2
    cb %cb_x [m.part, k.part] of %x [m, k]
    cb %cb_w [k, n] of %w [k, n] depth 4
    cb %cb_y [m.part, n.part] over %y [m, n]
    kernel reader on riscv1 noc 0 {
      for m {
        for n {
          for k {
            cb_reserve_back %cb_w
            noc_async_read %cb_w
            noc_async_read_barrier
            cb_push_back %cb_w
          }
        }
      }
    }
    kernel compute on trisc {
      cb_wait_front %cb_x
      cb_reserve_back %cb_y
      for m {
        for n {
          tile_regs_acquire
          for k {
            cb_wait_front %cb_w
            matmul_block %cb_x, %cb_w [m, n] sum [k] -> dst[0]
            cb_pop_front %cb_w
          }
          tile_regs_commit
          tile_regs_wait
          pack_tiles dst[0] [m, n] -> %cb_y
          tile_regs_release
        }
      }
      cb_push_back %cb_y
      cb_pop_front %cb_x
    }
    kernel writer on riscv0 noc 1 {
      cb_reserve_back %cb_x
      noc_async_read %cb_x
      noc_async_read_barrier
      cb_push_back %cb_x
      cb_wait_front %cb_y
      cb_pop_front %cb_y
    }
  }
  program @linear_add (in %x, in %w, in %x1, out %y) fidelity HiFi4 dst fp32 source "second sequences.py:19 (+1)" {
    axis m 4 over xy 4 stride 4 block 1
    axis n 8 over xy 4 block 2
    axis k 8 block 2
    cb %cb_x [m.part, k.part] of %x [m, k]
    cb %cb_w [k, n] of %w [k, n] depth 4
    cb %cb_x1 [m.part, n.part] over %x1 [m, n]
    cb %cb_y [m, n] of %y [m, n] depth 2
    kernel reader on riscv1 noc 0 {
      for m {
        for n {
          for k {
            cb_reserve_back %cb_w
            noc_async_read %cb_w
            noc_async_read_barrier
            cb_push_back %cb_w
          }
        }
      }
    }
    kernel compute on trisc {
      cb_wait_front %cb_x
      cb_wait_front %cb_x1
      for m {
        for n {
          tile_regs_acquire
          for k {
            cb_wait_front %cb_w
            matmul_block %cb_x, %cb_w [m, n] sum [k] -> dst[0]
            cb_pop_front %cb_w
          }
          copy_tiles %cb_x1 [m, n] -> dst[2]
          add_binary_tile dst[0], dst[2] [m, n]
          tile_regs_commit
          tile_regs_wait
          cb_reserve_back %cb_y
          pack_tiles dst[0] [m, n] -> %cb_y
          cb_push_back %cb_y
          tile_regs_release
        }
      }
      cb_pop_front %cb_x
      cb_pop_front %cb_x1
    }
    kernel writer on riscv0 noc 1 {
      cb_reserve_back %cb_x
      noc_async_read %cb_x
      noc_async_read_barrier
      cb_push_back %cb_x
      cb_reserve_back %cb_x1
      cb_push_back %cb_x1
      for m {
        for n {
          cb_wait_front %cb_y
          noc_async_write %cb_y
          noc_async_write_barrier
          cb_pop_front %cb_y
        }
      }
    }
  }
  run @linear (@x, @first, @linear_out)
  run @linear_add (@linear_out, @second, @linear_out, @output)
}
