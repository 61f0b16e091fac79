// Vendor-like: core k of a row holds block k of A and sends it to its row in turn,
// written with raw semaphores and multicasts. Core (3,y) sends nothing.
tensix.netlist @masters_in_turn version 1 chip "n150" {
  buffer @a dram bf16 64x96 role input
  buffer @w dram bf16 96x128 from "w"
  buffer @c dram bf16 64x128 role output
  program @matmul(in %a, in %w, out %c) fidelity HiFi4 dst fp32 {
    axis m 2 over y 2
    axis n 4 over x 4
    axis k 3 block 1
    cb %a [m, k] of %a[m, k] depth 2
    cb %w [k, n] of %w[k, n] depth 2
    cb %c [m, n] of %c[m, n]
    semaphore %room initial 0
    semaphore %there initial 0
    kernel reader on riscv1 noc 0 {
      for k {
        cb_reserve_back %a
        if x == k.start {
          noc_async_read %a
          noc_async_read_barrier
          noc_semaphore_wait %room, 3
          noc_semaphore_set %room, 0
          noc_async_write_multicast %a from (0, y) to (3, y) linked
          noc_semaphore_set_multicast %there from (0, y) to (3, y), 1
        }
        if x < k.start {
          noc_semaphore_set %there, 0
          noc_semaphore_inc %room at (k.start, y), 1
          noc_semaphore_wait %there, 1
        }
        if x > k.start {
          noc_semaphore_set %there, 0
          noc_semaphore_inc %room at (k.start, y), 1
          noc_semaphore_wait %there, 1
        }
        cb_push_back %a
      }
    }
    kernel compute on trisc {
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
    kernel writer on riscv0 noc 1 {
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
  run @matmul(@a, @w, @c)
}
