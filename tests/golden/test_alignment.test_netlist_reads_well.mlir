tensix.netlist @m version 1 chip "n150" {
  buffer @x dram bf16 128x256 role input
  buffer @linear_out l1 bf16 128x256 shards 4x8
  buffer @output dram bf16 128x256 role output
  buffer @first dram bf16 256x256 from "transpose(first.weight)"
  buffer @second dram bf16 256x256 from "transpose(second.weight)"
  program @linear (in %x, in %w, out %y) fidelity HiFi4 dst fp32 source "first: linear at sequences.py:18" {
    axis m 4 over y 4 block 1
    axis n 8 over x 8 block 1
    axis k 8 block 4
    cb %cb_x [m.part, k] of %x [m, k] depth 2
    cb %cb_w [k, n.part] of %w [k, n] depth 2
    cb %cb_c0 [m.part, n.part] format fp32
    cb %cb_y [m.part, n.part] over %y [m, n]
    multicast %mc_x of %cb_x along x from (0, y) noc 0 linked
    multicast %mc_w of %cb_w along y from (x, 0) noc 1 linked
    kernel reader on riscv1 noc 0 {
      for k { push %cb_w read ahead k multicast %mc_w }
    }
    kernel compute on trisc {
      push %cb_y {
        keep %cb_c0 {
          pack %cb_c0 [m by 1, n by 1] = fill_tile 0.0
          for k {
            cb_wait_front %cb_x, %cb_w
            pack %cb_c0 l1_accumulate [m by 1, n by 1] = matmul_block %cb_x, %cb_w sum [k]
            cb_pop_front %cb_x, %cb_w
          }
        }
        for m, n { pack %cb_y [m, n] = %cb_c0 }
        cb_pop_front %cb_c0
      }
    }
    kernel writer on riscv0 noc 1 {
      for k { push %cb_x read ahead k multicast %mc_x }
      pop %cb_y
    }
  }
  program @linear_add (in %x, in %w, in %x1, out %y) fidelity HiFi4 dst fp32
      source "linear(second), add at sequences.py:19" {
    axis m 4 over y 4 block 1
    axis n 8 over x 8 block 1
    axis k 8 block 4
    cb %cb_x [m.part, k] of %x [m, k] depth 2
    cb %cb_w [k, n.part] of %w [k, n] depth 2
    cb %cb_x1 [m.part, n.part] over %x1 [m, n]
    cb %cb_c0 [m.part, n.part] format fp32
    cb %cb_y [m, n] of %y [m, n] depth 2
    multicast %mc_x of %cb_x along x from (0, y) noc 0 linked
    multicast %mc_w of %cb_w along y from (x, 0) noc 1 linked
    kernel reader on riscv1 noc 0 {
      for k { push %cb_w read ahead k multicast %mc_w }
    }
    kernel compute on trisc {
      cb_wait_front %cb_x1
      keep %cb_c0 {
        pack %cb_c0 [m by 1, n by 1] = fill_tile 0.0
        for k {
          cb_wait_front %cb_x, %cb_w
          pack %cb_c0 l1_accumulate [m by 1, n by 1] = matmul_block %cb_x, %cb_w sum [k]
          cb_pop_front %cb_x, %cb_w
        }
      }
      for m, n { push %cb_y [m, n] = %cb_c0 | add_binary_tile %cb_x1 via dst[1] }
      cb_pop_front %cb_c0, %cb_x1
    }
    kernel writer on riscv0 noc 1 {
      push %cb_x1 lent
      for k { push %cb_x read ahead k multicast %mc_x }
      for m, n { pop %cb_y write }
    }
  }
  run @linear (@x, @first, @linear_out)
  run @linear_add (@linear_out, @second, @linear_out, @output)
}
