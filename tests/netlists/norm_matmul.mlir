// RMSNorm and a matmul as stages of one program: squares, the normalised row kept in
// L1, the product. A goes along rows, the weights along columns.
tensix.netlist @norm_matmul version 1 chip "n150" {
  buffer @x dram bf16 64x576 role input
  buffer @g dram bf16 1x576 from "g"
  buffer @w dram bf16 576x960 from "w"
  buffer @y dram bf16 64x960 role output
  program @norm_mm (in %x, in %g, in %w, out %y) fidelity HiFi4 dst fp32 {
    axis m 2 over y 2
    axis n 30 over x 8 block 4
    axis k 18 block 6
    cb %a [m, k.part] of %x[m, k]
    cb %gamma [k.part] of %g[0, k]
    cb %one [] format bf16
    cb %sq [m] format fp32
    cb %r [m] format fp32
    cb %h [m, k.part] format bf16
    cb %b [k, n] of %w[k, n] depth 2
    cb %c [m, n] of %y[m, n] depth 2
    multicast %row of %a along x from (0, y) noc 0 linked
    multicast %col of %b along y from (x, 0) noc 1
    kernel reader on riscv1 noc 0 {
      cb_reserve_back %one
      fill %one row_scaler 1.0
      cb_push_back %one
      cb_reserve_back %a
      if x == 0 { 
        noc_async_read %a
        noc_async_read_barrier
        send %row
      }
      if x > 0 { receive %row }
      cb_push_back %a
      cb_reserve_back %gamma
      noc_async_read %gamma
      noc_async_read_barrier
      cb_push_back %gamma
      for n { for k {
        cb_reserve_back %b
        if y == 0 {
          noc_async_read %b
          noc_async_read_barrier
          send %col
        }
        if y > 0 { receive %col }
        cb_push_back %b
      } }
    }
    kernel compute on trisc {
      cb_wait_front %a
      cb_wait_front %one
      cb_wait_front %gamma
      tile_regs_acquire
      for k { mul_tiles %a, %a [m] sum [k] -> dst[0] }
      tile_regs_commit
      tile_regs_wait
      cb_reserve_back %sq
      pack_tiles dst[0] [m] -> %sq
      cb_push_back %sq
      tile_regs_release
      cb_wait_front %sq
      tile_regs_acquire
      reduce_tiles sum row %sq, %one [m] over [] -> dst[0]
      mul_unary_tile dst[0] [m], 0.001736111111111111
      add_unary_tile dst[0] [m], 1.0e-05
      rsqrt_tile dst[0] [m]
      tile_regs_commit
      tile_regs_wait
      cb_reserve_back %r
      pack_tiles dst[0] [m] -> %r
      cb_push_back %r
      tile_regs_release
      cb_pop_front %sq
      cb_wait_front %r
      cb_reserve_back %h
      for k by 2 {
        tile_regs_acquire
        mul_tiles %a, %r bcast col [m, k] -> dst[0]
        copy_tiles %gamma bcast row [m, k] -> dst[2]
        mul_binary_tile dst[0], dst[2] [m, k]
        tile_regs_commit
        tile_regs_wait
        pack_tiles dst[0] [m, k] -> %h
        tile_regs_release
      }
      cb_push_back %h
      cb_pop_front %a
      cb_pop_front %r
      cb_pop_front %gamma
      cb_pop_front %one
      cb_wait_front %h
      for n {
        tile_regs_acquire
        for k {
          cb_wait_front %b
          matmul_block %h, %b [m, n] sum [k] -> dst[0]
          cb_pop_front %b
        }
        tile_regs_commit
        tile_regs_wait
        cb_reserve_back %c
        pack_tiles dst[0] [m, n] -> %c
        cb_push_back %c
        tile_regs_release
      }
      cb_pop_front %h
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
  run @norm_mm(@x, @g, @w, @y)
}
