// A block of all columns of a core is waited for again in each step: it stays the same.
tensix.netlist @waited_again version 1 chip "n150" {
  buffer @b dram bf16 32x160 role input
  buffer @y dram bf16 32x160 role output
  program @copy(in %b, out %y) fidelity HiFi4 dst fp32 {
    axis n 5 over x 2 block 1
    cb %b [n.part] of %b[0, n]
    cb %y [n] of %y[0, n]
    kernel reader on riscv1 noc 0 {
      cb_reserve_back %b
      noc_async_read %b
      noc_async_read_barrier
      cb_push_back %b
    }
    kernel compute on trisc {
      for n {
        cb_wait_front %b
        cb_reserve_back %y
        tile_regs_acquire
        copy_tiles %b [n] -> dst[0]
        tile_regs_commit
        tile_regs_wait
        pack_tiles dst[0] [n] -> %y
        tile_regs_release
        cb_push_back %y
      }
      cb_pop_front %b
    }
    kernel writer on riscv0 noc 1 {
      for n {
        cb_wait_front %y
        noc_async_write %y
        noc_async_write_barrier
        cb_pop_front %y
      }
    }
  }
  run @copy(@b, @y)
}
