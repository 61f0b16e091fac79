// RUN: forge-opt -p normalize-fewer-rows %s | filecheck %s

// One row of a norm is wanted: it is looked up first.

// CHECK-LABEL: @one_row
func.func @one_row(%x: tensor<1x64x8xf32>, %w: tensor<8xf32>, %last: tensor<1xi32>) -> tensor<1x8xf32> {
  // CHECK-NEXT: [[TABLE:%\S+]] = "ttir.reshape"(%x)
  // CHECK-NEXT: [[ROW:%\S+]] = "ttir.embedding"(%last, [[TABLE]])
  // CHECK-NEXT: [[NORM:%\S+]] = "ttir.rms_norm"([[ROW]], %w){{.*}}epsilon = 1.000000e-06{{.*}}-> tensor<1x8xf32>
  // CHECK-NEXT: func.return [[NORM]]
  %n = "ttir.rms_norm"(%x, %w) <{normalized_shape = array<i64: 8>, epsilon = 1.0e-06 : f32, operandSegmentSizes = array<i32: 1, 1, 0>}> : (tensor<1x64x8xf32>, tensor<8xf32>) -> tensor<1x64x8xf32>
  %t = "ttir.reshape"(%n) <{shape = [64 : i32, 8 : i32]}> : (tensor<1x64x8xf32>) -> tensor<64x8xf32>
  %r = "ttir.embedding"(%last, %t) : (tensor<1xi32>, tensor<64x8xf32>) -> tensor<1x8xf32>
  func.return %r : tensor<1x8xf32>
}

// Where all rows are wanted too, or the rows of the table are others, nothing moves.

// CHECK-LABEL: @all_rows_too
func.func @all_rows_too(%x: tensor<64x8xf32>, %last: tensor<1xi32>) -> (tensor<1x8xf32>, tensor<64x8xf32>) {
  // CHECK-NEXT: "ttir.rms_norm"(%x)
  %n = "ttir.rms_norm"(%x) <{normalized_shape = array<i64: 8>, epsilon = 1.0e-06 : f32, operandSegmentSizes = array<i32: 1, 0, 0>}> : (tensor<64x8xf32>) -> tensor<64x8xf32>
  %r = "ttir.embedding"(%last, %n) : (tensor<1xi32>, tensor<64x8xf32>) -> tensor<1x8xf32>
  func.return %r, %n : tensor<1x8xf32>, tensor<64x8xf32>
}

// CHECK-LABEL: @other_rows
func.func @other_rows(%x: tensor<64x8xf32>, %last: tensor<1xi32>) -> tensor<1x4xf32> {
  // CHECK-NEXT: "ttir.rms_norm"(%x)
  %n = "ttir.rms_norm"(%x) <{normalized_shape = array<i64: 8>, epsilon = 1.0e-06 : f32, operandSegmentSizes = array<i32: 1, 0, 0>}> : (tensor<64x8xf32>) -> tensor<64x8xf32>
  %t = "ttir.reshape"(%n) <{shape = [128 : i32, 4 : i32]}> : (tensor<64x8xf32>) -> tensor<128x4xf32>
  %r = "ttir.embedding"(%last, %t) : (tensor<1xi32>, tensor<128x4xf32>) -> tensor<1x4xf32>
  func.return %r : tensor<1x4xf32>
}
