// M on every core: one master sends A to the whole rectangle of 5 cores.
tensix.netlist @matmul_whole version 1 chip "n150" {
  buffer @a dram bf16 96x128 role input
  buffer @w dram bf16 128x160 from "w"
  buffer @c dram bf16 96x160 role output
  program @matmul(in %a, in %w, out %c) fidelity HiFi4 dst fp32 {
    axis m 3 block 3
    axis n 5 over xy 5 block 1
    axis k 4 block 2
    cb %a [m, k] of %a[m, k] depth 2
    cb %w [k, n] of %w[k, n] depth 2
    cb %c [m, n] of %c[m, n]
    multicast %all of %a along xy from (0, 0) noc 0 linked
    kernel reader on riscv1 noc 0 {
      for n {
        for k {
          cb_reserve_back %a
          if x + y == 0 {
            noc_async_read %a
            noc_async_read_barrier
            send %all
          }
          if x + y > 0 {
            receive %all
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
          noc_async_read %w
          noc_async_read_barrier
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
