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

// With one token the permute is a reshape: it moves before the norm too.

// CHECK-LABEL: @heads_of_one_token
func.func @heads_of_one_token(%x: tensor<1x1x256xbf16>, %w: tensor<64xbf16>) -> tensor<1x4x1x64xbf16> {
  // CHECK: [[HEADS:%.+]] = "ttir.reshape"(%x) {{.*}} -> tensor<1x4x1x64xbf16>
  // CHECK-NEXT: "ttir.rms_norm"([[HEADS]], %w)
  // CHECK-NEXT: func.return
  %0 = "ttir.reshape"(%x) <{shape = [1 : i32, 1 : i32, 4 : i32, 64 : i32]}> : (tensor<1x1x256xbf16>) -> tensor<1x1x4x64xbf16>
  %1 = "ttir.rms_norm"(%0, %w) <{normalized_shape = array<i64: 64>, epsilon = 1.000000e-06 : f32, operandSegmentSizes = array<i32: 1, 1, 0>}> : (tensor<1x1x4x64xbf16>, tensor<64xbf16>) -> tensor<1x1x4x64xbf16>
  %2 = "ttir.reshape"(%1) <{shape = [1 : i32, 4 : i32, 1 : i32, 64 : i32]}> : (tensor<1x1x4x64xbf16>) -> tensor<1x4x1x64xbf16>
  func.return %2 : tensor<1x4x1x64xbf16>
}

// A norm of other rows is another one.

// CHECK-LABEL: @rows_are_joined
func.func @rows_are_joined(%x: tensor<1x1x256xbf16>, %w: tensor<64xbf16>) -> tensor<1x1x1x256xbf16> {
  // CHECK: "ttir.reshape"(%x)
  // CHECK-NEXT: "ttir.rms_norm"
  // CHECK-NEXT: "ttir.reshape"
  %0 = "ttir.reshape"(%x) <{shape = [1 : i32, 1 : i32, 4 : i32, 64 : i32]}> : (tensor<1x1x256xbf16>) -> tensor<1x1x4x64xbf16>
  %1 = "ttir.rms_norm"(%0, %w) <{normalized_shape = array<i64: 64>, epsilon = 1.000000e-06 : f32, operandSegmentSizes = array<i32: 1, 1, 0>}> : (tensor<1x1x4x64xbf16>, tensor<64xbf16>) -> tensor<1x1x4x64xbf16>
  %2 = "ttir.reshape"(%1) <{shape = [1 : i32, 1 : i32, 1 : i32, 256 : i32]}> : (tensor<1x1x4x64xbf16>) -> tensor<1x1x1x256xbf16>
  func.return %2 : tensor<1x1x1x256xbf16>
}
