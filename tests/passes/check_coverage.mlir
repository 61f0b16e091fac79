// RUN: forge-opt -p check-coverage --verify-diagnostics --split-input-file %s | filecheck %s

// CHECK: ttir.tan has no instruction on a Tensix core
// CHECK: to do: write it as sin over cos
func.func @no_instruction(%x: tensor<32x32xbf16>) -> tensor<32x32xbf16> {
  %0 = "ttir.tan"(%x) : (tensor<32x32xbf16>) -> tensor<32x32xbf16>
  func.return %0 : tensor<32x32xbf16>
}

// -----

// CHECK-LABEL: @supported
func.func @supported(%x: tensor<32x32xbf16>) -> tensor<32x32xbf16> {
  %0 = "ttir.exp"(%x) : (tensor<32x32xbf16>) -> tensor<32x32xbf16>
  func.return %0 : tensor<32x32xbf16>
}
