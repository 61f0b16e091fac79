// RUN: forge-opt -p recognize-attention %s | filecheck %s

// Written out, with the scale and a causal mask made from positions.

// CHECK-LABEL: @written_out
func.func @written_out(%q: tensor<1x2x4x8xf32>, %k: tensor<1x2x4x8xf32>, %v: tensor<1x2x4x8xf32>) -> tensor<1x2x4x8xf32> {
  %p = "ttir.arange"() <{start = 0 : si64, end = 4 : si64, step = 1 : si64, arange_dimension = 0 : i64}> : () -> tensor<4xi64>
  %row = "ttir.reshape"(%p) <{shape = [4 : i32, 1 : i32]}> : (tensor<4xi64>) -> tensor<4x1xi64>
  %keep = "ttir.le"(%p, %row) : (tensor<4xi64>, tensor<4x1xi64>) -> tensor<4x4xi1>
  %low = "ttir.full"() <{shape = array<i32: 1, 1, 1, 1>, fill_value = 0xFF800000 : f32}> : () -> tensor<1x1x1x1xf32>
  %s = "ttir.full"() <{shape = array<i32: 1, 1, 1, 1>, fill_value = 0.25 : f32}> : () -> tensor<1x1x1x1xf32>
  // CHECK: [[OUT:%\S+]] = "ttir.scaled_dot_product_attention"(%q, %k, %v) <{is_causal = true, scale = 2.500000e-01 : f32
  // CHECK-NEXT: func.return [[OUT]]
  %kt = "ttir.permute"(%k) <{permutation = array<i64: 0, 1, 3, 2>}> : (tensor<1x2x4x8xf32>) -> tensor<1x2x8x4xf32>
  %0 = "ttir.matmul"(%q, %kt) : (tensor<1x2x4x8xf32>, tensor<1x2x8x4xf32>) -> tensor<1x2x4x4xf32>
  %1 = "ttir.multiply"(%0, %s) : (tensor<1x2x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x2x4x4xf32>
  %2 = "ttir.where"(%keep, %1, %low) : (tensor<4x4xi1>, tensor<1x2x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x2x4x4xf32>
  %3 = "ttir.softmax"(%2) <{dimension = 3 : si32, numericStable = true}> : (tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
  %4 = "ttir.matmul"(%3, %v) : (tensor<1x2x4x4xf32>, tensor<1x2x4x8xf32>) -> tensor<1x2x4x8xf32>
  func.return %4 : tensor<1x2x4x8xf32>
}

// Keys and values repeated for groups of heads; a mask that comes from outside stays.

// CHECK-LABEL: @grouped
func.func @grouped(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x3x8xf32>, %v: tensor<1x2x3x8xf32>, %m: tensor<3x3xf32>) -> tensor<1x4x3x8xf32> {
  %k0 = "ttir.reshape"(%k) <{shape = [1 : i32, 2 : i32, 1 : i32, 3 : i32, 8 : i32]}> : (tensor<1x2x3x8xf32>) -> tensor<1x2x1x3x8xf32>
  %k1 = "ttir.broadcast"(%k0) <{broadcast_dimensions = array<i64: 1, 1, 2, 1, 1>}> : (tensor<1x2x1x3x8xf32>) -> tensor<1x2x2x3x8xf32>
  %k2 = "ttir.reshape"(%k1) <{shape = [1 : i32, 4 : i32, 3 : i32, 8 : i32]}> : (tensor<1x2x2x3x8xf32>) -> tensor<1x4x3x8xf32>
  %v0 = "ttir.reshape"(%v) <{shape = [1 : i32, 2 : i32, 1 : i32, 3 : i32, 8 : i32]}> : (tensor<1x2x3x8xf32>) -> tensor<1x2x1x3x8xf32>
  %v1 = "ttir.broadcast"(%v0) <{broadcast_dimensions = array<i64: 1, 1, 2, 1, 1>}> : (tensor<1x2x1x3x8xf32>) -> tensor<1x2x2x3x8xf32>
  %v2 = "ttir.reshape"(%v1) <{shape = [1 : i32, 4 : i32, 3 : i32, 8 : i32]}> : (tensor<1x2x2x3x8xf32>) -> tensor<1x4x3x8xf32>
  // CHECK: "ttir.scaled_dot_product_attention"({{%\S+}}, {{%\S+}}, {{%\S+}}, %m) <{is_causal = false, scale = 5.000000e-01 : f32{{.*}} tensor<1x2x3x8xf32>, tensor<1x2x3x8xf32>, tensor<3x3xf32>)
  %0 = "ttir.scaled_dot_product_attention"(%q, %k2, %v2, %m) <{is_causal = false, scale = 0.5 : f32, operandSegmentSizes = array<i32: 1, 1, 1, 1, 0>}> : (tensor<1x4x3x8xf32>, tensor<1x4x3x8xf32>, tensor<1x4x3x8xf32>, tensor<3x3xf32>) -> tensor<1x4x3x8xf32>
  func.return %0 : tensor<1x4x3x8xf32>
}

// A mask that looks strictly back is not causal: it is added to the scores. And a softmax over the rows is no
// attention.

// CHECK-LABEL: @strictly_back
func.func @strictly_back(%q: tensor<1x1x4x8xf32>) -> tensor<1x1x4x8xf32> {
  %p = "ttir.arange"() <{start = 0 : si64, end = 4 : si64, step = 1 : si64, arange_dimension = 0 : i64}> : () -> tensor<4xi64>
  %row = "ttir.reshape"(%p) <{shape = [4 : i32, 1 : i32]}> : (tensor<4xi64>) -> tensor<4x1xi64>
  %keep = "ttir.lt"(%p, %row) : (tensor<4xi64>, tensor<4x1xi64>) -> tensor<4x4xi1>
  // CHECK: [[MASK:%\S+]] = "ttir.where"({{.*}}) : (tensor<4x4xi1>, tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<4x4xf32>
  // CHECK: "ttir.scaled_dot_product_attention"(%q, %q, %q, [[MASK]]) <{is_causal = false
  %0 = "ttir.scaled_dot_product_attention"(%q, %q, %q, %keep) <{is_causal = false, scale = 0.5 : f32, operandSegmentSizes = array<i32: 1, 1, 1, 1, 0>}> : (tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>, tensor<4x4xi1>) -> tensor<1x1x4x8xf32>
  func.return %0 : tensor<1x1x4x8xf32>
}

// CHECK-LABEL: @over_rows
func.func @over_rows(%q: tensor<1x1x4x8xf32>, %k: tensor<1x1x4x8xf32>) -> tensor<1x1x4x8xf32> {
  // CHECK-NOT: attention
  %0 = "ttir.matmul"(%q, %k) <{transpose_b = true}> : (tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>) -> tensor<1x1x4x4xf32>
  %1 = "ttir.softmax"(%0) <{dimension = 2 : si32}> : (tensor<1x1x4x4xf32>) -> tensor<1x1x4x4xf32>
  %2 = "ttir.matmul"(%1, %k) : (tensor<1x1x4x4xf32>, tensor<1x1x4x8xf32>) -> tensor<1x1x4x8xf32>
  func.return %2 : tensor<1x1x4x8xf32>
}
