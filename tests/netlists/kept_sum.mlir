// The sum over the first block of k lies in L1 in fp32. The second block goes on from
// it in Dst, and then it is read once more: what went on from it has not changed it.
tensix.netlist @kept_sum version 1 chip "n150" {
  buffer @a dram bf16 64x64 role input
  buffer @w dram bf16 64x64 from "w"
  buffer @c dram fp32 64x64 role output
  buffer @first dram fp32 64x64 role output
  program @matmul(in %a, in %w, out %c, out %first) fidelity HiFi4 dst fp32 {
    axis m 2 over y 2
    axis n 2 over x 2
    axis k 2 block 1
    cb %a [m, k] of %a[m, k] depth 2
    cb %w [k, n] of %w[k, n] depth 2
    cb %sum [m, n] format fp32
    cb %c [m, n] of %c[m, n]
    cb %first [m, n] of %first[m, n]
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
        if k.start == 1 {
          cb_wait_front %sum
          copy_tiles %sum [m, n] -> dst[0]
        }
        matmul_block %a, %w [m, n] sum [k] -> dst[0]
        tile_regs_commit
        tile_regs_wait
        if k.start == 0 {
          cb_reserve_back %sum
          pack_tiles dst[0] [m, n] -> %sum
          cb_push_back %sum
        }
        if k.start == 1 {
          cb_reserve_back %c
          pack_tiles dst[0] [m, n] -> %c
          cb_push_back %c
        }
        tile_regs_release
        cb_pop_front %a
        cb_pop_front %w
      }
      tile_regs_acquire
      copy_tiles %sum [m, n] -> dst[0]
      tile_regs_commit
      tile_regs_wait
      cb_reserve_back %first
      pack_tiles dst[0] [m, n] -> %first
      cb_push_back %first
      tile_regs_release
      cb_pop_front %sum
    }
    kernel writer on riscv0 noc 1 {
      cb_wait_front %c
      noc_async_write %c
      noc_async_write_barrier
      cb_pop_front %c
      cb_wait_front %first
      noc_async_write %first
      noc_async_write_barrier
      cb_pop_front %first
    }
  }
  run @matmul(@a, @w, @c, @first)
}
