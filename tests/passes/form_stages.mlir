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
  // CHECK: grid.loop along %{{.*}} dim 2 : i64 init [-1.6947656946257677e+38, 0.0, 0.0] formats [bf16, fp32, fp32]
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
