// RUN: forge-opt -p simplify %s | filecheck %s

// Ops that do nothing go, chains of views and casts become one.

// CHECK-LABEL: @identities
func.func @identities(%x: tensor<2x3xbf16>) -> tensor<2x3xbf16> {
  %0 = "ttir.reshape"(%x) <{shape = [2 : i32, 3 : i32]}> : (tensor<2x3xbf16>) -> tensor<2x3xbf16>
  %1 = "ttir.permute"(%0) <{permutation = array<i64: 0, 1>}> : (tensor<2x3xbf16>) -> tensor<2x3xbf16>
  %2 = "ttir.typecast"(%1) : (tensor<2x3xbf16>) -> tensor<2x3xf32>
  %3 = "ttir.typecast"(%2) : (tensor<2x3xf32>) -> tensor<2x3xbf16>
  %4 = "ttir.concat"(%3) <{dim = 0 : si32}> : (tensor<2x3xbf16>) -> tensor<2x3xbf16>
  %one = "ttir.ones"() <{shape = array<i32: 1, 1>}> : () -> tensor<1x1xbf16>
  %zero = "ttir.zeros"() <{shape = array<i32: 1, 1>}> : () -> tensor<1x1xbf16>
  %5 = "ttir.multiply"(%one, %4) : (tensor<1x1xbf16>, tensor<2x3xbf16>) -> tensor<2x3xbf16>
  %6 = "ttir.subtract"(%5, %zero) : (tensor<2x3xbf16>, tensor<1x1xbf16>) -> tensor<2x3xbf16>
  // CHECK-NEXT: func.return %x
  func.return %6 : tensor<2x3xbf16>
}

// CHECK-LABEL: @chains
func.func @chains(%x: tensor<2x3x4xf32>, %y: tensor<1x5x1x6xf32>) -> (tensor<24xf32>, tensor<4x2x3xf32>, tensor<1x1x5x6xf32>) {
  // CHECK-NEXT: "ttir.reshape"(%x) <{shape = [24 : i32]}>
  %0 = "ttir.reshape"(%x) <{shape = [6 : i32, 4 : i32]}> : (tensor<2x3x4xf32>) -> tensor<6x4xf32>
  %1 = "ttir.reshape"(%0) <{shape = [24 : i32]}> : (tensor<6x4xf32>) -> tensor<24xf32>
  // CHECK-NEXT: "ttir.permute"(%x) <{permutation = array<i64: 2, 0, 1>}>
  %2 = "ttir.permute"(%x) <{permutation = array<i64: 1, 2, 0>}> : (tensor<2x3x4xf32>) -> tensor<3x4x2xf32>
  %3 = "ttir.permute"(%2) <{permutation = array<i64: 1, 2, 0>}> : (tensor<3x4x2xf32>) -> tensor<4x2x3xf32>
  // CHECK-NEXT: "ttir.reshape"(%y) <{shape = [1 : i32, 1 : i32, 5 : i32, 6 : i32]}>
  %4 = "ttir.permute"(%y) <{permutation = array<i64: 0, 2, 1, 3>}> : (tensor<1x5x1x6xf32>) -> tensor<1x1x5x6xf32>
  func.return %1, %3, %4 : tensor<24xf32>, tensor<4x2x3xf32>, tensor<1x1x5x6xf32>
}

// CHECK-LABEL: @transposed_weight
func.func @transposed_weight(%x: tensor<2x3xf32>, %w: tensor<4x3xf32>) -> tensor<2x4xf32> {
  %0 = "ttir.permute"(%w) <{permutation = array<i64: 1, 0>}> : (tensor<4x3xf32>) -> tensor<3x4xf32>
  // CHECK-NEXT: "ttir.matmul"(%x, %w) <{transpose_a = false, transpose_b = true}>
  %1 = "ttir.matmul"(%x, %0) : (tensor<2x3xf32>, tensor<3x4xf32>) -> tensor<2x4xf32>
  func.return %1 : tensor<2x4xf32>
}

// CHECK-LABEL: @full
func.func @full() -> tensor<2x3xbf16> {
  %0 = "ttir.full"() <{shape = array<i32: 3>, fill_value = 2.0 : f32}> : () -> tensor<3xf32>
  %1 = "ttir.reshape"(%0) <{shape = [1 : i32, 3 : i32]}> : (tensor<3xf32>) -> tensor<1x3xf32>
  %2 = "ttir.broadcast"(%1) <{broadcast_dimensions = array<i64: 2, 1>}> : (tensor<1x3xf32>) -> tensor<2x3xf32>
  // CHECK-NEXT: "ttir.full"() <{shape = array<i32: 2, 3>, fill_value = 2.000000e+00 : f32}> : () -> tensor<2x3xbf16>
  %3 = "ttir.typecast"(%2) : (tensor<2x3xf32>) -> tensor<2x3xbf16>
  func.return %3 : tensor<2x3xbf16>
}

// A cast that rounds, 0 - x, 1 / x, x + 0 that broadcasts x, and a permutation that
// does more than exchange the last two dimensions stay.

// CHECK-LABEL: @stays
func.func @stays(%x: tensor<1x3xf32>, %w: tensor<3x4x5xf32>) -> (tensor<2x3xf32>, tensor<4x1x5xf32>) {
  %one = "ttir.full"() <{shape = array<i32: 1, 1>, fill_value = 1.0 : f32}> : () -> tensor<1x1xf32>
  %zero = "ttir.full"() <{shape = array<i32: 1, 1>, fill_value = 0.0 : f32}> : () -> tensor<1x1xf32>
  %tall = "ttir.full"() <{shape = array<i32: 2, 1>, fill_value = 0.0 : f32}> : () -> tensor<2x1xf32>
  // CHECK: "ttir.typecast"
  // CHECK-NEXT: "ttir.typecast"
  // CHECK-NEXT: "ttir.subtract"
  // CHECK-NEXT: "ttir.div"
  // CHECK-NEXT: "ttir.add"
  %0 = "ttir.typecast"(%x) : (tensor<1x3xf32>) -> tensor<1x3xbf16>
  %1 = "ttir.typecast"(%0) : (tensor<1x3xbf16>) -> tensor<1x3xf32>
  %2 = "ttir.subtract"(%zero, %1) : (tensor<1x1xf32>, tensor<1x3xf32>) -> tensor<1x3xf32>
  %3 = "ttir.div"(%one, %2) : (tensor<1x1xf32>, tensor<1x3xf32>) -> tensor<1x3xf32>
  %4 = "ttir.add"(%3, %tall) : (tensor<1x3xf32>, tensor<2x1xf32>) -> tensor<2x3xf32>
  // CHECK-NEXT: "ttir.permute"
  // CHECK-NEXT: "ttir.matmul"{{.*}} transpose_b = false
  %5 = "ttir.permute"(%w) <{permutation = array<i64: 1, 0, 2>}> : (tensor<3x4x5xf32>) -> tensor<4x3x5xf32>
  %6 = "ttir.matmul"(%x, %5) : (tensor<1x3xf32>, tensor<4x3x5xf32>) -> tensor<4x1x5xf32>
  func.return %4, %6 : tensor<2x3xf32>, tensor<4x1x5xf32>
}
