// RUN: forge-opt -p form-programs,form-stages %s | filecheck %s

// CHECK-LABEL: @reduction_opens_a_stage
func.func @reduction_opens_a_stage(%x: tensor<32x64xbf16>) -> tensor<32x64xbf16> {
  // CHECK: grid.stage over [m, n] formats [fp32]
  // CHECK: "ttir.max"
  // CHECK: grid.stage
  // CHECK: "ttir.exp"
  // CHECK: "ttir.sum"
  // CHECK: grid.stage over [m, n] formats [bf16]
  %0 = "ttir.softmax"(%x) <{dimension = 1 : si32, numericStable = true}> : (tensor<32x64xbf16>) -> tensor<32x64xbf16>
  func.return %0 : tensor<32x64xbf16>
}

// Element-wise operations follow each other in Dst.

// CHECK-LABEL: @one_stage
func.func @one_stage(%x: tensor<32x64xbf16>) -> tensor<32x64xbf16> {
  // CHECK: grid.stage
  // CHECK-NOT: grid.stage
  // CHECK: func.return
  %0 = "ttir.exp"(%x) : (tensor<32x64xbf16>) -> tensor<32x64xbf16>
  %1 = "ttir.relu"(%0) : (tensor<32x64xbf16>) -> tensor<32x64xbf16>
  func.return %1 : tensor<32x64xbf16>
}

// A row of scores that is too long for L1 is not made: keys pass by in blocks.

// CHECK-LABEL: @long_attention_carries_its_sums
func.func @long_attention_carries_its_sums(%q: tensor<1x2x512x64xbf16>, %k: tensor<1x2x512x64xbf16>, %v: tensor<1x2x512x64xbf16>) -> tensor<1x2x512x64xbf16> {
  // CHECK: grid.loop along %{{.*}} dim 2 : i64 init [-1.6947657e+38, 0.0, 0.0] formats [bf16, fp32, fp32]
  // CHECK: grid.stage over [h, m, s, k] formats [fp32]
  // CHECK: grid.causal_mask
  // CHECK: grid.stage over [h, m, s] formats [bf16]
  // CHECK: "ttir.max"
  // CHECK: "ttir.maximum"
  // CHECK: grid.stage over [h, m, s] formats [bf16]
  // CHECK: "ttir.exp"
  // CHECK: grid.stage over [h, m] formats [fp32]
  // CHECK: grid.stage over [h, m, s] formats [fp32]
  // CHECK: "ttir.sum"
  // CHECK: "ttir.multiply"
  // CHECK: grid.stage over [h, m, n, s] formats [fp32]
  // CHECK: grid.yield
  // CHECK: "ttir.reciprocal"
  %0 = "ttir.scaled_dot_product_attention"(%q, %k, %v) <{is_causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 0, 0>}> : (tensor<1x2x512x64xbf16>, tensor<1x2x512x64xbf16>, tensor<1x2x512x64xbf16>) -> tensor<1x2x512x64xbf16>
  func.return %0 : tensor<1x2x512x64xbf16>
}

// CHECK-LABEL: @short_attention_keeps_its_rows
func.func @short_attention_keeps_its_rows(%q: tensor<1x2x64x64xbf16>, %k: tensor<1x2x64x64xbf16>, %v: tensor<1x2x64x64xbf16>) -> tensor<1x2x64x64xbf16> {
  // CHECK-NOT: grid.loop
  // CHECK: func.return
  %0 = "ttir.scaled_dot_product_attention"(%q, %k, %v) <{is_causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 0, 0>}> : (tensor<1x2x64x64xbf16>, tensor<1x2x64x64xbf16>, tensor<1x2x64x64xbf16>) -> tensor<1x2x64x64xbf16>
  func.return %0 : tensor<1x2x64x64xbf16>
}

// Stages behind a projection by heads run for their heads only; what is read turned
// round, or in part, lies in L1.

// CHECK-LABEL: @stages_of_some_heads
func.func @stages_of_some_heads(%x: tensor<1x64x96xbf16>, %w: tensor<1x6x96x64xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "w"}, %k: tensor<1x2x128x64xbf16>) -> (tensor<1x4x64x64xbf16>, tensor<1x2x128x64xbf16>) {
  // CHECK: grid.stage over [h, m, n, k] formats [bf16]
  // CHECK-NEXT: "ttir.matmul"
  // CHECK: grid.stage over [h, m, n] where h 0 to 4 formats [bf16]
  // CHECK-NEXT: "ttir.slice_static"
  // CHECK-NEXT: grid.rotate
  // CHECK-NEXT: "ttir.silu"
  // CHECK: grid.stage over [h, m, n] where h 4 to 6 formats [bf16]
  // CHECK-NEXT: "ttir.slice_static"
  // CHECK-NEXT: "ttir.typecast"
  %0 = "ttir.matmul"(%x, %w) : (tensor<1x64x96xbf16>, tensor<1x6x96x64xbf16>) -> tensor<1x6x64x64xbf16>
  %1 = "ttir.slice_static"(%0) <{begins = [0 : i32, 0 : i32, 0 : i32, 0 : i32], ends = [1 : i32, 4 : i32, 64 : i32, 64 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x6x64x64xbf16>) -> tensor<1x4x64x64xbf16>
  %2 = "ttir.slice_static"(%0) <{begins = [0 : i32, 4 : i32, 0 : i32, 0 : i32], ends = [1 : i32, 6 : i32, 64 : i32, 64 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x6x64x64xbf16>) -> tensor<1x2x64x64xbf16>
  %3 = grid.rotate %1 by 32 : i64 : tensor<1x4x64x64xbf16> -> tensor<1x4x64x64xbf16>
  %4 = "ttir.silu"(%3) : (tensor<1x4x64x64xbf16>) -> tensor<1x4x64x64xbf16>
  %5 = "ttir.fill_cache"(%k, %2) <{batch_offset = 0 : i32}> : (tensor<1x2x128x64xbf16>, tensor<1x2x64x64xbf16>) -> tensor<1x2x128x64xbf16>
  func.return %4, %5 : tensor<1x4x64x64xbf16>, tensor<1x2x128x64xbf16>
}
