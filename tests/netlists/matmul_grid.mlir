// Row masters for A, column masters for W: each tile is read from DRAM once.
tensix.netlist @matmul_grid version 1 chip "n150" {
  buffer @a dram bf16 96x128 role input
  buffer @w dram bf16 128x160 from "w"
  buffer @c dram bf16 96x160 role output
  program @matmul(in %a, in %w, out %c) fidelity HiFi4 dst fp32 {
    axis m 3 over y 3
    axis n 5 over x 3 block 1
    axis k 4 block 2
    cb %a [m, k] of %a[m, k] depth 2
    cb %w [k, n] of %w[k, n] depth 2
    cb %c [m, n] of %c[m, n]
    multicast %row of %a along x from (0, y) noc 0 linked
    multicast %col of %w along y from (x, 0) noc 1
    kernel reader on riscv1 noc 0 {
      for n {
        for k {
          cb_reserve_back %a
          if x == 0 {
            noc_async_read %a
            noc_async_read_barrier
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
          if y == 0 {
            noc_async_read %w
            noc_async_read_barrier
            send %col
          }
          if y > 0 {
            receive %col
          }
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
