// One row of each user goes where the user's position says; the rest of a cache stays.
tensix.netlist @update_rows version 1 chip "n150" {
  buffer @positions dram int32 1x3 role input
  buffer @x dram bf16 3x64 role input
  buffer @cache dram bf16 576x32 role cache
  program @update(in %x, in %positions, inout %cache) fidelity HiFi4 dst fp32 {
    axis u 3 over x 3
    axis h 2 over y 2
    scalars pos of %positions from 0 to 95
    cb %x [h] of %x[0, h]
    cb %y [u, h] of %cache[(u * 2 + h) * 3, 0]
    kernel reader on riscv1 noc 0 {
      cb_reserve_back %x
      noc_async_read %x
      noc_async_read_barrier
      cb_push_back %x
    }
    kernel compute on trisc {
      cb_wait_front %x
      tile_regs_acquire
      copy_tiles %x [u, h] -> dst[0]
      tile_regs_commit
      tile_regs_wait
      cb_reserve_back %y
      pack_tiles dst[0] [u, h] -> %y
      cb_push_back %y
      tile_regs_release
      cb_pop_front %x
    }
    kernel writer on riscv0 noc 1 {
      read_scalars pos
      cb_wait_front %y
      noc_async_write_rows %y row u to pos[u]
      noc_async_write_barrier
      cb_pop_front %y
    }
  }
  run @update(@x, @positions, @cache)
}
