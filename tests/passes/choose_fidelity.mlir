// RUN: forge-opt -p 'form-programs,form-stages,choose-fidelity{weights=HiFi2}' %s | filecheck %s

// CHECK-LABEL: @weights
func.func @weights(%x: tensor<32x128xbf16>, %w: tensor<128x96xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "w"}) -> tensor<32x96xbf16> {
  // CHECK: fidelity HiFi2
  %0 = "ttir.linear"(%x, %w) <{transpose_a = false, transpose_b = false}> : (tensor<32x128xbf16>, tensor<128x96xbf16>) -> tensor<32x96xbf16>
  func.return %0 : tensor<32x96xbf16>
}

// Products of activations keep all bits.

// CHECK-LABEL: @activations
func.func @activations(%x: tensor<32x128xbf16>, %y: tensor<128x96xbf16>) -> tensor<32x96xbf16> {
  // CHECK: fidelity HiFi4
  %0 = "ttir.matmul"(%x, %y) : (tensor<32x128xbf16>, tensor<128x96xbf16>) -> tensor<32x96xbf16>
  func.return %0 : tensor<32x96xbf16>
}
