// RUN: forge-opt -p move-inside-tiles %s | filecheck %s

// CHECK-LABEL: @turns_tiles
func.func @turns_tiles(%x: tensor<50x70xbf16>) -> tensor<70x50xbf16> {
  // CHECK: "ttir.matmul"({{.*}}, %x) <{transpose_a = false, transpose_b = true}>
  // CHECK-NEXT: "ttir.relu"
  %0 = "ttir.permute"(%x) <{permutation = array<i64: 1, 0>}> : (tensor<50x70xbf16>) -> tensor<70x50xbf16>
  %1 = "ttir.relu"(%0) : (tensor<70x50xbf16>) -> tensor<70x50xbf16>
  func.return %1 : tensor<70x50xbf16>
}

// Heads that are moved as whole tiles stay a view.

// CHECK-LABEL: @renames_tiles
func.func @renames_tiles(%x: tensor<3x2x32x64xbf16>) -> tensor<2x3x32x64xbf16> {
  // CHECK-NEXT: "ttir.permute"
  // CHECK-NEXT: "ttir.relu"
  %0 = "ttir.permute"(%x) <{permutation = array<i64: 1, 0, 2, 3>}> : (tensor<3x2x32x64xbf16>) -> tensor<2x3x32x64xbf16>
  %1 = "ttir.relu"(%0) : (tensor<2x3x32x64xbf16>) -> tensor<2x3x32x64xbf16>
  func.return %1 : tensor<2x3x32x64xbf16>
}
