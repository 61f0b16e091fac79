// Every compute operation, with and without its optional parts.
tensix.netlist @compute version 1 chip "n150" {
  program @p(in %x) fidelity HiFi3 dst fp32 {
    axis m 2
    axis k 2
    cb %a [m, k] of %x[m, k]
    cb %b [k] format bf16
    kernel compute on trisc {
      tile_regs_acquire
      tile_regs_commit
      tile_regs_wait
      tile_regs_release
      copy_tiles %a [m, k] -> dst[0]
      copy_tiles %a bcast row [m] -> dst[3]
      add_tiles %a, %b [m] -> dst[0]
      add_tiles %a, %b bcast col [m] -> dst[0] accumulate
      sub_tiles %a, %b bcast scalar [m] -> dst[0]
      mul_tiles %a, %b [m] -> dst[0]
      mul_tiles %a, %b bcast row [m] sum [k] -> dst[0] accumulate
      matmul_block %a, %b [m] sum [k] -> dst[0]
      matmul_tiles %a, %b [m] sum [k] -> dst[0]
      matmul_block %a, %b transpose [m] sum [k] -> dst[0]
      reduce_tiles sum row %a, %b [m] over [k] -> dst[0]
      reduce_tiles max col %a, %b [m] over [] -> dst[0]
      reduce_tiles sum scalar %a, %b [m] over [] -> dst[0]
      tilize_block %a [m, k] -> dst[0]
      pack_tiles dst[0] [m] -> %a
      pack_tiles dst[0] [m] -> %a relu
      pack_tiles dst[0] [m] -> %a relu l1_accumulate
      exp_tile dst[1] [m]
      recip_tile dst[1] [m]
      rsqrt_tile dst[1] [m]
      sqrt_tile dst[1] [m]
      sigmoid_tile dst[1] [m]
      silu_tile dst[1] [m]
      gelu_tile dst[1] [m]
      tanh_tile dst[1] [m]
      log_tile dst[1] [m]
      sin_tile dst[1] [m]
      cos_tile dst[1] [m]
      erf_tile dst[1] [m]
      abs_tile dst[1] [m]
      negative_tile dst[1] [m]
      square_tile dst[1] [m]
      relu_tile dst[1] [m]
      add_unary_tile dst[0] [m], -1.5e-05
      fill_tile dst[0] [m], 0.0
      mul_unary_tile dst[0] [m], -1.5e-05
      max_unary_tile dst[0] [m], -1.5e-05
      min_unary_tile dst[0] [m], -1.5e-05
      pow_unary_tile dst[0] [m], -1.5e-05
      add_binary_tile dst[0], dst[1] [m]
      sub_binary_tile dst[0], dst[1] [m]
      mul_binary_tile dst[0], dst[1] [m]
      div_binary_tile dst[0], dst[1] [m]
      max_binary_tile dst[0], dst[1] [m]
      min_binary_tile dst[0], dst[1] [m]
    }
  }
}
