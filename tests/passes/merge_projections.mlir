// RUN: forge-opt -p merge-projections %s | filecheck %s

// CHECK-LABEL: @same_tensor
func.func @same_tensor(%x: tensor<32x64xbf16>, %v: tensor<96x64xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "w"}, %w: tensor<64x64xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "w"}) -> (tensor<32x96xbf16>, tensor<32x64xbf16>) {
  // CHECK: "ttir.concat"(%v, %w)
  // CHECK-NEXT: "ttir.linear"
  // CHECK-NEXT: "ttir.slice_static"
  // CHECK-NEXT: "ttir.slice_static"
  // CHECK-NEXT: func.return
  %0 = "ttir.linear"(%x, %v) <{transpose_b = true}> : (tensor<32x64xbf16>, tensor<96x64xbf16>) -> tensor<32x96xbf16>
  %1 = "ttir.linear"(%x, %w) <{transpose_b = true}> : (tensor<32x64xbf16>, tensor<64x64xbf16>) -> tensor<32x64xbf16>
  func.return %0, %1 : tensor<32x96xbf16>, tensor<32x64xbf16>
}

// A width that ends inside a tile cannot be sliced again.

// CHECK-LABEL: @cuts_tiles
func.func @cuts_tiles(%x: tensor<32x64xbf16>, %v: tensor<40x64xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "w"}, %w: tensor<64x64xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "w"}) -> (tensor<32x40xbf16>, tensor<32x64xbf16>) {
  // CHECK-NOT: "ttir.concat"
  // CHECK: func.return
  %0 = "ttir.linear"(%x, %v) <{transpose_b = true}> : (tensor<32x64xbf16>, tensor<40x64xbf16>) -> tensor<32x40xbf16>
  %1 = "ttir.linear"(%x, %w) <{transpose_b = true}> : (tensor<32x64xbf16>, tensor<64x64xbf16>) -> tensor<32x64xbf16>
  func.return %0, %1 : tensor<32x40xbf16>, tensor<32x64xbf16>
}
