// RUN: forge-opt -p form-programs,form-stages,choose-formats %s | filecheck %s

// What one program reads and a later one adds to leaves its program as fp32.

// CHECK-LABEL: @residual
func.func @residual(%x: tensor<32x64xbf16>, %a: tensor<64x64xbf16>, %b: tensor<64x64xbf16>) -> tensor<32x64xbf16> {
  // CHECK: grid.stage over [m, n, k] formats [fp32]
  // CHECK: grid.stage over [m, n, k] formats [bf16]
  // CHECK: grid.stage over [m, n, k] formats [bf16]
  %0 = "ttir.matmul"(%x, %a) <{transpose_a = false, transpose_b = false}> : (tensor<32x64xbf16>, tensor<64x64xbf16>) -> tensor<32x64xbf16>
  %1 = "ttir.matmul"(%0, %b) <{transpose_a = false, transpose_b = false}> : (tensor<32x64xbf16>, tensor<64x64xbf16>) -> tensor<32x64xbf16>
  %2 = "ttir.matmul"(%1, %b) <{transpose_a = false, transpose_b = false}> : (tensor<32x64xbf16>, tensor<64x64xbf16>) -> tensor<32x64xbf16>
  %3 = "ttir.add"(%0, %2) : (tensor<32x64xbf16>, tensor<32x64xbf16>) -> tensor<32x64xbf16>
  func.return %3 : tensor<32x64xbf16>
}

// A value that is read once, or never added to, keeps the format of its tensor.

// CHECK-LABEL: @chain
func.func @chain(%x: tensor<32x64xbf16>, %a: tensor<64x64xbf16>, %b: tensor<64x64xbf16>) -> (tensor<32x64xbf16>, tensor<32x64xbf16>) {
  // CHECK-NOT: formats [fp32]
  // CHECK: func.return
  %0 = "ttir.matmul"(%x, %a) <{transpose_a = false, transpose_b = false}> : (tensor<32x64xbf16>, tensor<64x64xbf16>) -> tensor<32x64xbf16>
  %1 = "ttir.matmul"(%0, %b) <{transpose_a = false, transpose_b = false}> : (tensor<32x64xbf16>, tensor<64x64xbf16>) -> tensor<32x64xbf16>
  %2 = "ttir.matmul"(%0, %a) <{transpose_a = false, transpose_b = false}> : (tensor<32x64xbf16>, tensor<64x64xbf16>) -> tensor<32x64xbf16>
  func.return %1, %2 : tensor<32x64xbf16>, tensor<32x64xbf16>
}
