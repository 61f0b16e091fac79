// Vendor-like: the partial sum of each block of k is spilled to L1 in bf16 and loaded
// again before the next; a second program adds blocks in the packer instead (fp32).
tensix.netlist @spill version 1 chip "n150" {
  buffer @a dram bf16 64x128 role input
  buffer @w dram bf16 128x64 from "w"
  buffer @c dram bf16 64x64 role output
  buffer @d dram fp32 64x64 role output
  program @reload(in %a, in %w, out %c) fidelity HiFi4 dst fp32 {
    axis m 2 over y 2
    axis n 2 over x 2
    axis k 4 block 1
    cb %a [m, k] of %a[m, k] depth 2
    cb %w [k, n] of %w[k, n] depth 2
    cb %partial [m, n] format bf16
    cb %c [m, n] of %c[m, n]
    kernel reader on riscv1 noc 0 {
      for k {
        cb_reserve_back %a
        cb_reserve_back %w
        noc_async_read %a
        noc_async_read %w noc 1
        noc_async_read_barrier
        cb_push_back %a
        cb_push_back %w
      }
    }
    kernel compute on trisc {
      for k {
        cb_wait_front %a
        cb_wait_front %w
        tile_regs_acquire
        if k.start > 0 {
          cb_wait_front %partial
          copy_tiles %partial [m, n] -> dst[0]
          cb_pop_front %partial
        }
        matmul_block %a, %w [m, n] sum [k] -> dst[0]
        tile_regs_commit
        cb_pop_front %a
        cb_pop_front %w
        tile_regs_wait
        if k.start < 3 {
          cb_reserve_back %partial
          pack_tiles dst[0] [m, n] -> %partial
          cb_push_back %partial
        }
        if k.start == 3 {
          cb_reserve_back %c
          pack_tiles dst[0] [m, n] -> %c relu
          cb_push_back %c
        }
        tile_regs_release
      }
    }
    kernel writer on riscv0 noc 1 {
      cb_wait_front %c
      noc_async_write %c
      noc_async_write_barrier
      cb_pop_front %c
    }
  }
  program @accumulate(in %a, in %w, out %d) fidelity HiFi4 dst fp32 {
    axis m 2 over y 2
    axis n 2 over x 2
    axis k 4 block 2
    cb %a [m, k] of %a[m, k] depth 2
    cb %w [k, n] of %w[k, n] depth 2
    cb %d [m, n] of %d[m, n]
    kernel reader on riscv1 noc 0 {
      for k {
        cb_reserve_back %a
        cb_reserve_back %w
        noc_async_read %a
        noc_async_read %w
        noc_async_read_barrier
        cb_push_back %a
        cb_push_back %w
      }
    }
    kernel compute on trisc {
      cb_reserve_back %d
      for k {
        cb_wait_front %a
        cb_wait_front %w
        tile_regs_acquire
        matmul_block %a, %w [m, n] sum [k] -> dst[0]
        tile_regs_commit
        cb_pop_front %a
        cb_pop_front %w
        tile_regs_wait
        if k.start == 0 {
          pack_tiles dst[0] [m, n] -> %d
        }
        if k.start > 0 {
          pack_tiles dst[0] [m, n] -> %d l1_accumulate
        }
        tile_regs_release
      }
      cb_push_back %d
    }
    kernel writer on riscv0 noc 1 {
      cb_wait_front %d
      noc_async_write %d
      noc_async_write_barrier
      cb_pop_front %d
    }
  }
  run @reload(@a, @w, @c)
  run @accumulate(@a, @w, @d)
}
