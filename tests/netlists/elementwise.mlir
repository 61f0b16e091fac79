// silu(x) + y on 100x150 elements, 4x5 tiles spread unevenly over 3x3 cores; the
// padding is filled before a maximum over columns reads it.
tensix.netlist @elementwise version 1 chip "n150" {
  buffer @x dram bf16 100x150 role input
  buffer @y dram bf16 100x150 role input
  buffer @z dram bf16 100x150 role output
  buffer @top dram bf16 100x1 role output
  program @silu_add(in %x, in %y, out %z) fidelity HiFi4 dst fp32 {
    axis m 4 over y 3 block 2
    axis n 5 over x 3 block 1
    cb %a [m, n] of %x[m, n] depth 2
    cb %b [m, n] of %y[m, n] depth 2
    cb %c [m, n] of %z[m, n] depth 2
    kernel reader on riscv1 noc 0 {
      for n {
        cb_reserve_back %a
        cb_reserve_back %b
        noc_async_read %a
        noc_async_read %b
        noc_async_read_barrier
        cb_push_back %a
        cb_push_back %b
      }
    }
    kernel compute on trisc {
      for n {
        cb_wait_front %a
        cb_wait_front %b
        tile_regs_acquire
        copy_tiles %a [m, n] -> dst[0]
        silu_tile dst[0] [m, n]
        copy_tiles %b [m, n] -> dst[2]
        add_binary_tile dst[0], dst[2] [m, n]
        tile_regs_commit
        tile_regs_wait
        cb_reserve_back %c
        pack_tiles dst[0] [m, n] -> %c
        cb_push_back %c
        tile_regs_release
        cb_pop_front %a
        cb_pop_front %b
      }
    }
    kernel writer on riscv0 noc 1 {
      for n {
        cb_wait_front %c
        noc_async_write %c
        noc_async_write_barrier
        cb_pop_front %c
      }
    }
  }
  program @row_max(in %x, out %y) fidelity HiFi4 dst fp32 {
    axis m 4 over xy 4
    axis n 5
    cb %a [m, n] of %x[m, n]
    cb %one [] format bf16
    cb %c [m] of %y[m, 0]
    kernel reader on riscv1 noc 0 {
      cb_reserve_back %one
      fill %one row_scaler 1.0
      cb_push_back %one
      cb_reserve_back %a
      noc_async_read %a
      noc_async_read_barrier
      fill %a pad -3.0e38
      cb_push_back %a
    }
    kernel compute on trisc {
      cb_wait_front %a
      cb_wait_front %one
      tile_regs_acquire
      reduce_tiles max row %a, %one [m] over [n] -> dst[0]
      tile_regs_commit
      tile_regs_wait
      cb_reserve_back %c
      pack_tiles dst[0] [m] -> %c
      cb_push_back %c
      tile_regs_release
      cb_pop_front %a
      cb_pop_front %one
    }
    kernel writer on riscv0 noc 1 {
      cb_wait_front %c
      noc_async_write %c
      noc_async_write_barrier
      cb_pop_front %c
    }
  }
  run @silu_add(@x, @y, @z)
  run @row_max(@z, @top)
}
