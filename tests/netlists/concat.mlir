// x and y side by side: each is copied into its own columns of one buffer.
tensix.netlist @concat version 1 chip "n150" {
  buffer @x dram bf16 64x64 role input
  buffer @y dram bf16 64x64 role input
  buffer @xy dram bf16 64x128 role output
  program @left(in %x, out %y) fidelity HiFi4 dst bf16 {
    axis m 2 over y 2
    axis n 2 block 1
    cb %a [m, n] of %x[m, n] depth 2
    cb %b [m, n] of %y[m, n] depth 2
    kernel reader on riscv1 noc 0 {
      for n {
        cb_reserve_back %a
        noc_async_read %a
        noc_async_read_barrier
        cb_push_back %a
      }
    }
    kernel compute on trisc {
      for n {
        cb_wait_front %a
        tile_regs_acquire
        copy_tiles %a [m, n] -> dst[0]
        tile_regs_commit
        tile_regs_wait
        cb_reserve_back %b
        pack_tiles dst[0] [m, n] -> %b
        cb_push_back %b
        tile_regs_release
        cb_pop_front %a
      }
    }
    kernel writer on riscv0 noc 1 {
      for n {
        cb_wait_front %b
        noc_async_write %b
        noc_async_write_barrier
        cb_pop_front %b
      }
    }
  }
  program @right(in %x, inout %y) fidelity HiFi4 dst bf16 {
    axis m 2 over y 2
    axis n 2 block 1
    cb %a [m, n] of %x[m, n] depth 2
    cb %b [m, n] of %y[m, n + 2] depth 2
    kernel reader on riscv1 noc 0 {
      for n {
        cb_reserve_back %a
        noc_async_read %a
        noc_async_read_barrier
        cb_push_back %a
      }
    }
    kernel compute on trisc {
      for n {
        cb_wait_front %a
        tile_regs_acquire
        copy_tiles %a [m, n] -> dst[0]
        tile_regs_commit
        tile_regs_wait
        cb_reserve_back %b
        pack_tiles dst[0] [m, n] -> %b
        cb_push_back %b
        tile_regs_release
        cb_pop_front %a
      }
    }
    kernel writer on riscv0 noc 1 {
      for n {
        cb_wait_front %b
        noc_async_write %b
        noc_async_write_barrier
        cb_pop_front %b
      }
    }
  }
  run @left(@x, @xy)
  run @right(@y, @xy)
}
