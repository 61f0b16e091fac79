// RUN: forge-opt -p form-programs,form-stages,choose-grid %s | filecheck %s

// CHECK-LABEL: @many_rows
func.func @many_rows(%x: tensor<2048x64xbf16>) -> tensor<2048x64xbf16> {
  // CHECK: axes [m 64 over xy 64
  %0 = "ttir.softmax"(%x) <{dimension = 1 : si32, numericStable = true}> : (tensor<2048x64xbf16>) -> tensor<2048x64xbf16>
  func.return %0 : tensor<2048x64xbf16>
}

// One tile is for one core.

// CHECK-LABEL: @one_tile
func.func @one_tile(%x: tensor<32x32xbf16>) -> tensor<32x32xbf16> {
  // CHECK: axes [m 1, n 1]
  %0 = "ttir.exp"(%x) : (tensor<32x32xbf16>) -> tensor<32x32xbf16>
  func.return %0 : tensor<32x32xbf16>
}
