// RUN: forge-opt -p form-programs,insert-padding %s | filecheck %s

// CHECK-LABEL: @ends_inside_a_tile
func.func @ends_inside_a_tile(%x: tensor<32x70xbf16>) -> tensor<32x1xbf16> {
  // CHECK: grid.pad_mask columns 6 inside 0.0 outside
  // CHECK-NEXT: "ttir.add"
  // CHECK-NEXT: "ttir.max"
  %0 = "ttir.max"(%x) <{keep_dim = true, dim_arg = [1 : i32]}> : (tensor<32x70xbf16>) -> tensor<32x1xbf16>
  func.return %0 : tensor<32x1xbf16>
}

// The reciprocal of zero padding is infinite: the next program cleans what it reads.

// CHECK-LABEL: @infinities
func.func @infinities(%x: tensor<32x70xbf16>) -> tensor<32x1xbf16> {
  // CHECK: grid.program "sum" {{.*}} cleaned
  %0 = "ttir.reciprocal"(%x) : (tensor<32x70xbf16>) -> tensor<32x70xbf16>
  %1 = "ttir.sum"(%0) <{keep_dim = true, dim_arg = [1 : i32]}> : (tensor<32x70xbf16>) -> tensor<32x1xbf16>
  func.return %1 : tensor<32x1xbf16>
}

// Whole tiles have no padding.

// CHECK-LABEL: @whole_tiles
func.func @whole_tiles(%x: tensor<32x64xbf16>) -> tensor<32x1xbf16> {
  // CHECK-NOT: grid.pad_mask
  // CHECK: func.return
  %0 = "ttir.max"(%x) <{keep_dim = true, dim_arg = [1 : i32]}> : (tensor<32x64xbf16>) -> tensor<32x1xbf16>
  func.return %0 : tensor<32x1xbf16>
}
