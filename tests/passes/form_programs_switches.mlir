// RUN: forge-opt -p form-programs %s | filecheck %s --check-prefix=ALL
// RUN: forge-opt -p 'form-programs{rms-norm-fusion=false}' %s | filecheck %s --check-prefix=NORM
// RUN: forge-opt -p 'form-programs{gate-up-fusion=false}' %s | filecheck %s --check-prefix=GATE
// RUN: forge-opt -p 'form-programs{swiglu-fusion=false}' %s | filecheck %s --check-prefix=SWIGLU
// RUN: forge-opt -p 'form-programs{residual-fusion=false}' %s | filecheck %s --check-prefix=RESIDUAL
// RUN: forge-opt -p 'form-programs{epilogue-fusion=false}' %s | filecheck %s --check-prefix=EPILOGUE
// RUN: forge-opt -p 'form-programs{elementwise-fusion=false}' %s | filecheck %s --check-prefix=SINGLE

// The feed-forward block: what is left out is a program of its own, the rest still joins.

// ALL-LABEL: @feed_forward
// ALL: grid.program "rms_norm_linear_silu_multiply" axes [m 1, n 3, k 2]
// ALL: grid.program "linear_add"
// ALL-NOT: grid.program
// ALL: func.return

// NORM-LABEL: @feed_forward
// NORM: grid.program "rms_norm"
// NORM: grid.program "linear_silu_multiply"
// NORM: grid.program "linear_add"

// The norm that two programs read is one of its own.
// GATE-LABEL: @feed_forward
// GATE: grid.program "rms_norm"
// GATE: grid.program "linear_silu"
// GATE: grid.program "linear_multiply"
// GATE: grid.program "linear_add"

// Two results, over the same columns.
// SWIGLU-LABEL: @feed_forward
// SWIGLU: grid.program "rms_norm_linear" axes [m 1, n 3, k 2]
// SWIGLU: grid.program "silu_multiply"
// SWIGLU: grid.program "linear_add"

// RESIDUAL-LABEL: @feed_forward
// RESIDUAL: grid.program "rms_norm_linear_silu_multiply"
// RESIDUAL: grid.program "linear"
// RESIDUAL: grid.program "add"

// Nothing here is an epilogue's own.
// EPILOGUE-LABEL: @feed_forward
// EPILOGUE: grid.program "rms_norm_linear_silu_multiply"
// EPILOGUE: grid.program "linear_add"

// SINGLE-LABEL: @feed_forward
// SINGLE: grid.program "rms_norm_linear_silu_multiply"
// SINGLE: grid.program "linear_add"
func.func @feed_forward(%x: tensor<32x64xbf16>, %g: tensor<64xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "g"}, %gate: tensor<64x96xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "gate"}, %up: tensor<64x96xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "up"}, %down: tensor<96x64xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "down"}) -> tensor<32x64xbf16> {
  %0 = "ttir.rms_norm"(%x, %g) <{normalized_shape = array<i64: 64>, epsilon = 1.0e-06 : f32, operandSegmentSizes = array<i32: 1, 1, 0>}> : (tensor<32x64xbf16>, tensor<64xbf16>) -> tensor<32x64xbf16>
  %1 = "ttir.linear"(%0, %gate) : (tensor<32x64xbf16>, tensor<64x96xbf16>) -> tensor<32x96xbf16>
  %2 = "ttir.silu"(%1) : (tensor<32x96xbf16>) -> tensor<32x96xbf16>
  %3 = "ttir.linear"(%0, %up) : (tensor<32x64xbf16>, tensor<64x96xbf16>) -> tensor<32x96xbf16>
  %4 = "ttir.multiply"(%2, %3) : (tensor<32x96xbf16>, tensor<32x96xbf16>) -> tensor<32x96xbf16>
  %5 = "ttir.linear"(%4, %down) : (tensor<32x96xbf16>, tensor<96x64xbf16>) -> tensor<32x64xbf16>
  %6 = "ttir.add"(%x, %5) : (tensor<32x64xbf16>, tensor<32x64xbf16>) -> tensor<32x64xbf16>
  func.return %6 : tensor<32x64xbf16>
}

// An activation is an epilogue's, and a constant that is added no residual; what is left
// of a chain is one program, or one for each operation.

// ALL-LABEL: @epilogue
// ALL: grid.program "linear_relu_add"
// RESIDUAL-LABEL: @epilogue
// RESIDUAL: grid.program "linear_relu_add"
// EPILOGUE-LABEL: @epilogue
// EPILOGUE: grid.program "linear"
// EPILOGUE: grid.program "relu_add"
// SINGLE-LABEL: @epilogue
// SINGLE: grid.program "linear_relu_add"
// SINGLE: grid.program "exp"
// SINGLE: grid.program "relu"
func.func @epilogue(%x: tensor<32x64xbf16>, %w: tensor<64x64xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "w"}, %b: tensor<32x64xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "b"}) -> (tensor<32x64xbf16>, tensor<32x64xbf16>) {
  %0 = "ttir.linear"(%x, %w) : (tensor<32x64xbf16>, tensor<64x64xbf16>) -> tensor<32x64xbf16>
  %1 = "ttir.relu"(%0) : (tensor<32x64xbf16>) -> tensor<32x64xbf16>
  %2 = "ttir.add"(%1, %b) : (tensor<32x64xbf16>, tensor<32x64xbf16>) -> tensor<32x64xbf16>
  %3 = "ttir.exp"(%x) : (tensor<32x64xbf16>) -> tensor<32x64xbf16>
  %4 = "ttir.relu"(%3) : (tensor<32x64xbf16>) -> tensor<32x64xbf16>
  func.return %2, %4 : tensor<32x64xbf16>, tensor<32x64xbf16>
}
