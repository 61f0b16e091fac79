// Columns of the weights lie in one DRAM bank each; cores beside the banks take them in
// turn. Blocks of k pass by, and the packer adds to sums that stay in L1.
tensix.netlist @banks version 1 chip "n150" {
  buffer @a dram bf16 64x160 role input
  buffer @w dram bf16 160x928 shards 1x29 from "w"
  buffer @c dram bf16 64x928 role output
  program @matmul(in %a, in %w, out %c) fidelity HiFi4 dst fp32 {
    axis m 2 block 1
    axis n 29 over banks 24 block 1 dealt
    axis k 5 block 2
    cb %a [m.part, k] of %a[m, k] depth 2
    cb %w [n.part, k] of %w[k, n] depth 2
    cb %sum [m.part, n.part] format fp32
    cb %c [m, n] of %c[m, n] depth 2
    multicast %all of %a along xy from (0, 0) noc 1 linked
    kernel reader on riscv1 noc 0 {
      for k {
        cb_reserve_back %w
        noc_async_read %w
        noc_async_read_barrier
        cb_push_back %w
      }
    }
    kernel compute on trisc {
      cb_reserve_back %sum
      for k {
        cb_wait_front %a
        cb_wait_front %w
        for m {
          for n {
            tile_regs_acquire
            matmul_block %a, %w [m, n] sum [k] -> dst[0]
            tile_regs_commit
            tile_regs_wait
            if k.start == 0 {
              pack_tiles dst[0] [m, n] -> %sum
            }
            if k.start > 0 {
              pack_tiles dst[0] [m, n] -> %sum l1_accumulate
            }
            tile_regs_release
          }
        }
        cb_pop_front %a
        cb_pop_front %w
      }
      cb_push_back %sum
      cb_wait_front %sum
      for m {
        for n {
          tile_regs_acquire
          copy_tiles %sum [m, n] -> dst[0]
          tile_regs_commit
          tile_regs_wait
          cb_reserve_back %c
          pack_tiles dst[0] [m, n] -> %c
          cb_push_back %c
          tile_regs_release
        }
      }
      cb_pop_front %sum
    }
    kernel writer on riscv0 noc 1 {
      for k {
        cb_reserve_back %a
        if x + y == 0 {
          noc_async_read %a noc 0
          noc_async_read_barrier
          send %all
        }
        if x + y > 0 {
          receive %all
        }
        cb_push_back %a
      }
      for m {
        for n {
          cb_wait_front %c
          noc_async_write %c
          noc_async_write_barrier
          cb_pop_front %c
        }
      }
    }
  }
  run @matmul(@a, @w, @c)
}
