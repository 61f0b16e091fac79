// Three cores share a contraction out block by block; the first adds what they found.
tensix.netlist @partials version 1 chip "n150" {
  buffer @a dram bf16 32x224 role input
  buffer @w dram bf16 224x64 role input
  buffer @c dram fp32 32x64 role output
  program @split_k(in %a, in %w, out %c) fidelity HiFi4 dst fp32 {
    axis m 1
    axis n 2
    axis k 7 over x 3 block 2 dealt
    axis p 2 block 1
    cb %a [m, k] of %a[m, k] depth 2
    cb %w [k, n] of %w[k, n] depth 2
    cb %sum [m, n] format fp32 depth 2
    cb %own [m, n] format fp32
    cb %slots [p.part, m, n] format fp32
    cb %c [m, n] of %c[m, n]
    gather %partials of (%own) into (%slots) along k noc 1
    kernel reader on riscv1 noc 0 {
      for k {
        if k.size > 0 {
          cb_reserve_back %a
          noc_async_read %a
          cb_reserve_back %w
          noc_async_read %w
          noc_async_read_barrier
          cb_push_back %a
          cb_push_back %w
        }
      }
    }
    kernel compute on trisc {
      cb_reserve_back %sum
      tile_regs_acquire
      fill_tile dst[0] [m, n], 0.0
      tile_regs_commit
      tile_regs_wait
      pack_tiles dst[0] [m, n] -> %sum
      tile_regs_release
      cb_push_back %sum
      for k {
        if k.size > 0 {
          cb_wait_front %sum
          cb_wait_front %a
          cb_wait_front %w
          cb_reserve_back %sum
          tile_regs_acquire
          matmul_block %a, %w [m, n] sum [k] -> dst[0]
          copy_tiles %sum [m, n] -> dst[2]
          add_binary_tile dst[0], dst[2] [m, n]
          tile_regs_commit
          tile_regs_wait
          pack_tiles dst[0] [m, n] -> %sum
          tile_regs_release
          cb_push_back %sum
          cb_pop_front %sum
          cb_pop_front %a
          cb_pop_front %w
        }
      }
      cb_wait_front %sum
      if k.index > 0 {
        cb_reserve_back %own
        tile_regs_acquire
        copy_tiles %sum [m, n] -> dst[0]
        tile_regs_commit
        tile_regs_wait
        pack_tiles dst[0] [m, n] -> %own
        tile_regs_release
        cb_push_back %own
      }
      if k.index == 0 {
        cb_wait_front %slots
        tile_regs_acquire
        copy_tiles %sum [m, n] -> dst[0]
        for p {
          copy_tiles %slots [m, n] -> dst[2]
          add_binary_tile dst[0], dst[2] [m, n]
        }
        tile_regs_commit
        tile_regs_wait
        cb_reserve_back %c
        pack_tiles dst[0] [m, n] -> %c
        cb_push_back %c
        tile_regs_release
        cb_pop_front %slots
      }
      cb_pop_front %sum
    }
    kernel writer on riscv0 noc 1 {
      if k.index > 0 {
        cb_wait_front %own
        contribute %partials
        cb_pop_front %own
      }
      if k.index == 0 {
        cb_reserve_back %slots
        collect %partials from 2
        cb_push_back %slots
        cb_wait_front %c
        noc_async_write %c
        noc_async_write_barrier
        cb_pop_front %c
      }
    }
  }
  run @split_k(@a, @w, @c)
}
