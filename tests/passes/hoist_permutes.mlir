// RUN: forge-opt -p hoist-permutes %s | filecheck %s

// CHECK-LABEL: @rows_stay_rows
func.func @rows_stay_rows(%x: tensor<1x50x3x64xbf16>) -> tensor<1x3x50x64xbf16> {
  // CHECK: "ttir.permute"(%x)
  // CHECK-NEXT: "ttir.relu"
  // CHECK-NEXT: func.return
  %0 = "ttir.relu"(%x) : (tensor<1x50x3x64xbf16>) -> tensor<1x50x3x64xbf16>
  %1 = "ttir.permute"(%0) <{permutation = array<i64: 0, 2, 1, 3>}> : (tensor<1x50x3x64xbf16>) -> tensor<1x3x50x64xbf16>
  func.return %1 : tensor<1x3x50x64xbf16>
}

// A softmax along what the permutation moves is another one behind it.

// CHECK-LABEL: @columns_move
func.func @columns_move(%x: tensor<32x64xbf16>) -> tensor<64x32xbf16> {
  // CHECK: "ttir.softmax"(%x)
  // CHECK-NEXT: "ttir.permute"
  %0 = "ttir.softmax"(%x) <{dimension = 1 : si32, numericStable = true}> : (tensor<32x64xbf16>) -> tensor<32x64xbf16>
  %1 = "ttir.permute"(%0) <{permutation = array<i64: 1, 0>}> : (tensor<32x64xbf16>) -> tensor<64x32xbf16>
  func.return %1 : tensor<64x32xbf16>
}
