// RUN: forge-opt -p place-decode %s | filecheck %s

// Heads come first and users are rows; the result is one row for each user.

// CHECK-LABEL: @heads_first
func.func @heads_first(%q: tensor<1x3x4x64xbf16>, %k: tensor<3x2x128x64xbf16>, %v: tensor<3x2x128x64xbf16>, %p: tensor<3xi32>) -> tensor<1x3x4x64xbf16> {
  // CHECK: "ttir.permute"(%q) <{permutation = array<i64: 0, 2, 1, 3>}>
  // CHECK: grid.decode_attention %{{.*}}, %k, %v at %p scale 0.125 : (tensor<1x4x3x64xbf16>, {{.*}}) -> tensor<3x256xbf16>
  // CHECK: "ttir.reshape"
  %0 = "ttir.scaled_dot_product_attention_decode"(%q, %k, %v, %p) <{is_causal = true, scale = 0.125 : f32, operandSegmentSizes = array<i32: 1, 1, 1, 0, 1, 0>}> : (tensor<1x3x4x64xbf16>, tensor<3x2x128x64xbf16>, tensor<3x2x128x64xbf16>, tensor<3xi32>) -> tensor<1x3x4x64xbf16>
  func.return %0 : tensor<1x3x4x64xbf16>
}

// A row of what was computed is picked out of its tile.

// CHECK-LABEL: @picked
func.func @picked(%x: tensor<64x96xbf16>, %i: tensor<1xi32>) -> tensor<1x96xbf16> {
  // CHECK: grid.pick_rows
  %0 = "ttir.embedding"(%i, %x) : (tensor<1xi32>, tensor<64x96xbf16>) -> tensor<1x96xbf16>
  func.return %0 : tensor<1x96xbf16>
}

// A table of parameters lies row by row: a gather reads just the rows.

// CHECK-LABEL: @gathered
func.func @gathered(%x: tensor<64x96xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "table"}, %i: tensor<1xi32>) -> tensor<1x96xbf16> {
  // CHECK-NOT: grid.pick_rows
  // CHECK: "ttir.embedding"
  %0 = "ttir.embedding"(%i, %x) : (tensor<1xi32>, tensor<64x96xbf16>) -> tensor<1x96xbf16>
  func.return %0 : tensor<1x96xbf16>
}
