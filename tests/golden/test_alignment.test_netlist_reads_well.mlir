tensix.netlist @m version 1 chip "n150" {
  buffer @x dram bf16 128x256 role input
  buffer @linear_out l1 bf16 128x256 shards 4x4 over xy
  buffer @output dram bf16 128x256 role output
  buffer @first dram bf16 256x256 from "transpose(first.weight)"
  buffer @second dram bf16 256x256 from "transpose(second.weight)"
  program @linear (in %x, in %w, out %y) fidelity HiFi4 dst fp32 source "first: linear at sequences.py:18" {
    axis m 4 over xy 4 stride 4 block 1
    axis n 8 over xy 4 block 2
    axis k 8 block 2
    cb %cb_x [m.part, k.part] of %x [m, k]
    cb %cb_w [k, n] of %w [k, n] depth 4
    cb %cb_y [m.part, n.part] over %y [m, n]
    kernel reader on riscv1 noc 0 {
      for m, n, k { push %cb_w read }
    }
    kernel compute on trisc {
      cb_wait_front %cb_x
      push %cb_y for m, n {
        pack %cb_y [m, n] =
            for k { cb_wait_front %cb_w | matmul_block %cb_x, %cb_w sum [k] | cb_pop_front %cb_w }
      }
      cb_pop_front %cb_x
    }
    kernel writer on riscv0 noc 1 {
      push %cb_x read noc 0
      pop %cb_y
    }
  }
  program @linear_add (in %x, in %w, in %x1, out %y) fidelity HiFi4 dst fp32
      source "linear(second), add at sequences.py:19" {
    axis m 4 over xy 4 stride 4 block 1
    axis n 8 over xy 4 block 2
    axis k 8 block 2
    cb %cb_x [m.part, k.part] of %x [m, k]
    cb %cb_w [k, n] of %w [k, n] depth 4
    cb %cb_x1 [m.part, n.part] over %x1 [m, n]
    cb %cb_y [m, n] of %y [m, n] depth 2
    kernel reader on riscv1 noc 0 {
      for m, n, k { push %cb_w read }
    }
    kernel compute on trisc {
      cb_wait_front %cb_x, %cb_x1
      for m, n {
        push %cb_y [m, n] =
            for k { cb_wait_front %cb_w | matmul_block %cb_x, %cb_w sum [k] | cb_pop_front %cb_w }
            | add_binary_tile %cb_x1 via dst[2]
      }
      cb_pop_front %cb_x, %cb_x1
    }
    kernel writer on riscv0 noc 1 {
      push %cb_x read noc 0
      push %cb_x1 lent
      for m, n { pop %cb_y write }
    }
  }
  run @linear (@x, @first, @linear_out)
  run @linear_add (@linear_out, @second, @linear_out, @output)
}
