// An embedding: rows of a row-major table, picked by an index, made into tiles.
tensix.netlist @gather version 1 chip "n150" {
  buffer @ids dram int32 1x64 role input
  buffer @table dram bf16 50x96 row_major from "table"
  buffer @y dram bf16 64x96 role output
  program @embed(in %ids, in %table, out %y) fidelity HiFi4 dst fp32 {
    axis m 2 over y 2
    axis n 3 over x 2 block 2
    cb %ids [m] of %ids[0, m]
    cb %rows [m, n] rows of %table[%ids, n] depth 2
    cb %y [m, n] of %y[m, n] depth 2
    kernel reader on riscv1 noc 0 {
      cb_reserve_back %ids
      noc_async_read %ids
      noc_async_read_barrier
      cb_push_back %ids
      cb_wait_front %ids
      cb_reserve_back %rows
      noc_async_read_rows %rows
      noc_async_read_barrier
      cb_push_back %rows
      cb_pop_front %ids
    }
    kernel compute on trisc {
      cb_wait_front %rows
      tile_regs_acquire
      tilize_block %rows [m, n] -> dst[0]
      tile_regs_commit
      tile_regs_wait
      cb_reserve_back %y
      pack_tiles dst[0] [m, n] -> %y
      cb_push_back %y
      tile_regs_release
      cb_pop_front %rows
    }
    kernel writer on riscv0 noc 1 {
      cb_wait_front %y
      noc_async_write %y
      noc_async_write_barrier
      cb_pop_front %y
    }
  }
  run @embed(@ids, @table, @y)
}
