// Masters read the next block while they send one; the last block of K is shorter, and
// W, which each core reads alone, holds two blocks only.
tensix.netlist @read_ahead version 1 chip "n150" {
  buffer @a dram bf16 96x224 role input
  buffer @w dram bf16 224x160 from "w"
  buffer @c dram bf16 96x160 role output
  program @matmul(in %a, in %w, out %c) fidelity HiFi4 dst fp32 {
    axis m 3 over y 3
    axis n 5 over x 3 block 1
    axis k 7 block 2
    cb %a [m, k] of %a[m, k] depth 3
    cb %w [k, n] of %w[k, n] depth 2
    cb %c [m, n] of %c[m, n]
    multicast %row of %a along x from (0, y) noc 1 linked
    kernel reader on riscv1 noc 0 {
      for n {
        for k {
          cb_reserve_back %a
          if x == 0 {
            noc_async_read %a ahead k
            noc_async_read_barrier of %a
            send %row
          }
          if x > 0 {
            receive %row
          }
          cb_push_back %a
        }
      }
    }
    kernel compute on trisc {
      for n {
        tile_regs_acquire
        for k {
          cb_wait_front %a
          cb_wait_front %w
          matmul_block %a, %w [m, n] sum [k] -> dst[0]
          cb_pop_front %a
          cb_pop_front %w
        }
        tile_regs_commit
        tile_regs_wait
        cb_reserve_back %c
        pack_tiles dst[0] [m, n] -> %c
        cb_push_back %c
        tile_regs_release
      }
    }
    kernel writer on riscv0 noc 1 {
      for n {
        for k {
          cb_reserve_back %w
          noc_async_read %w ahead k noc 0
          noc_async_read_barrier of %w
          cb_push_back %w
        }
        cb_wait_front %c
        noc_async_write %c
        noc_async_write_barrier
        cb_pop_front %c
      }
    }
  }
  run @matmul(@a, @w, @c)
}
