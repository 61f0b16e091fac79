// RUN: forge-opt -p decompose %s | filecheck %s

// Views become reshape and permute, powers products, numbers `full`.

// CHECK-LABEL: @shorthand
func.func @shorthand(%x: tensor<2x1x4xf32>) -> tensor<4x2xf32> {
  // CHECK: "ttir.reshape"(%x) <{shape = [2 : i32, 4 : i32]}>
  %0 = "ttir.squeeze"(%x) <{dim = 1 : si32}> : (tensor<2x1x4xf32>) -> tensor<2x4xf32>
  // CHECK-NEXT: "ttir.permute"({{%\S+}}) <{permutation = array<i64: 1, 0>
  %1 = "ttir.transpose"(%0) <{dim0 = 0 : si32, dim1 = 1 : si32}> : (tensor<2x4xf32>) -> tensor<4x2xf32>
  %2 = "ttir.full"() <{shape = array<i32: 1, 1>, fill_value = 2.0 : f32}> : () -> tensor<1x1xf32>
  // CHECK-NEXT: [[SQUARE:%\S+]] = "ttir.multiply"([[T:%\S+]], [[T]])
  %3 = "ttir.pow"(%1, %2) : (tensor<4x2xf32>, tensor<1x1xf32>) -> tensor<4x2xf32>
  // CHECK-NEXT: [[HALF:%\S+]] = "ttir.full"() <{shape = array<i32: 1, 1>, fill_value = 5.000000e-01 : f32
  // CHECK-NEXT: "ttir.multiply"([[SQUARE]], [[HALF]])
  %4 = "ttir.div"(%3, %2) : (tensor<4x2xf32>, tensor<1x1xf32>) -> tensor<4x2xf32>
  func.return %4 : tensor<4x2xf32>
}

// CHECK-LABEL: @repeats
func.func @repeats(%x: tensor<1x2x3xf32>) -> (tensor<1x4x3xf32>, tensor<1x4x3xf32>) {
  // CHECK: shape = [1 : i32, 2 : i32, 1 : i32, 3 : i32]
  // CHECK-NEXT: broadcast_dimensions = array<i64: 1, 1, 2, 1>
  // CHECK-NEXT: shape = [1 : i32, 4 : i32, 3 : i32]
  %0 = "ttir.repeat_interleave"(%x) <{repeats = 2 : ui32, dim = 1 : si32}> : (tensor<1x2x3xf32>) -> tensor<1x4x3xf32>
  // CHECK: broadcast_dimensions = array<i64: 1, 2, 1, 1>
  %1 = "ttir.repeat"(%x) <{repeat_dimensions = array<i64: 1, 2, 1>}> : (tensor<1x2x3xf32>) -> tensor<1x4x3xf32>
  func.return %0, %1 : tensor<1x4x3xf32>, tensor<1x4x3xf32>
}

// A power that is no small number, a division by a tensor or by zero, and division of
// integers stay as they are.

// CHECK-LABEL: @stays
func.func @stays(%x: tensor<2xf32>, %y: tensor<2xf32>, %i: tensor<2xi32>) -> (tensor<2xf32>, tensor<2xi32>) {
  %0 = "ttir.full"() <{shape = array<i32: 1>, fill_value = 2.5 : f32}> : () -> tensor<1xf32>
  %1 = "ttir.zeros"() <{shape = array<i32: 1>}> : () -> tensor<1xf32>
  %2 = "ttir.full"() <{shape = array<i32: 1>, fill_value = 2 : i32}> : () -> tensor<1xi32>
  // CHECK: "ttir.pow"
  // CHECK-NEXT: "ttir.div"
  // CHECK-NEXT: "ttir.div"
  // CHECK-NEXT: "ttir.div"{{.*}}-> tensor<2xi32>
  %3 = "ttir.pow"(%x, %0) : (tensor<2xf32>, tensor<1xf32>) -> tensor<2xf32>
  %4 = "ttir.div"(%3, %y) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %5 = "ttir.div"(%4, %1) : (tensor<2xf32>, tensor<1xf32>) -> tensor<2xf32>
  %6 = "ttir.div"(%i, %2) : (tensor<2xi32>, tensor<1xi32>) -> tensor<2xi32>
  func.return %5, %6 : tensor<2xf32>, tensor<2xi32>
}
