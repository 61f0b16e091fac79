// RUN: forge-opt -p recognize-rotary %s | filecheck %s

// The sign of the rotation moves into the sine; what is left only moves elements.

// CHECK-LABEL: @rotate
func.func @rotate(%x: tensor<1x2x4x8xf32>, %sin: tensor<1x1x4x8xf32>) -> tensor<1x2x4x8xf32> {
  // CHECK-NEXT: [[MINUS:%\S+]] = "ttir.full"() <{shape = array<i32: 1, 1, 1, 4>, fill_value = -1.000000e+00 : f32}>
  // CHECK-NEXT: [[PLUS:%\S+]] = "ttir.full"() <{shape = array<i32: 1, 1, 1, 4>, fill_value = 1.000000e+00 : f32}>
  // CHECK-NEXT: [[SIGN:%\S+]] = "ttir.concat"([[MINUS]], [[PLUS]]) <{dim = 3 : si32}>
  // CHECK-NEXT: [[SIGNED:%\S+]] = "ttir.multiply"(%sin, [[SIGN]]) {ttir.name = "sin_signed"}
  // CHECK-NEXT: [[A:%\S+]] = "ttir.slice_static"(%x) <{begins = [0 : i32, 0 : i32, 0 : i32, 0 : i32]
  // CHECK-NEXT: [[B:%\S+]] = "ttir.slice_static"(%x) <{begins = [0 : i32, 0 : i32, 0 : i32, 4 : i32]
  // CHECK-NEXT: [[SWAP:%\S+]] = "ttir.concat"([[B]], [[A]]) <{dim = 3 : si32}>
  // CHECK-NEXT: "ttir.multiply"([[SWAP]], [[SIGNED]])
  %a = "ttir.slice_static"(%x) <{begins = [0 : i32, 0 : i32, 0 : i32, 0 : i32], ends = [1 : i32, 2 : i32, 4 : i32, 4 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x2x4x8xf32>) -> tensor<1x2x4x4xf32>
  %b = "ttir.slice_static"(%x) <{begins = [0 : i32, 0 : i32, 0 : i32, 4 : i32], ends = [1 : i32, 2 : i32, 4 : i32, 8 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x2x4x8xf32>) -> tensor<1x2x4x4xf32>
  %n = "ttir.neg"(%b) : (tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
  %c = "ttir.concat"(%n, %a) <{dim = -1 : si32}> : (tensor<1x2x4x4xf32>, tensor<1x2x4x4xf32>) -> tensor<1x2x4x8xf32>
  %m = "ttir.multiply"(%c, %sin) : (tensor<1x2x4x8xf32>, tensor<1x1x4x8xf32>) -> tensor<1x2x4x8xf32>
  func.return %m : tensor<1x2x4x8xf32>
}

// The halves in place rather than exchanged are no rotation.

// CHECK-LABEL: @in_place
func.func @in_place(%x: tensor<4x8xf32>, %sin: tensor<4x8xf32>) -> tensor<4x8xf32> {
  // CHECK: "ttir.neg"
  // CHECK-NOT: "ttir.full"
  %a = "ttir.slice_static"(%x) <{begins = [0 : i32, 0 : i32], ends = [4 : i32, 4 : i32], step = [1 : i32, 1 : i32]}> : (tensor<4x8xf32>) -> tensor<4x4xf32>
  %b = "ttir.slice_static"(%x) <{begins = [0 : i32, 4 : i32], ends = [4 : i32, 8 : i32], step = [1 : i32, 1 : i32]}> : (tensor<4x8xf32>) -> tensor<4x4xf32>
  %n = "ttir.neg"(%a) : (tensor<4x4xf32>) -> tensor<4x4xf32>
  %c = "ttir.concat"(%n, %b) <{dim = 1 : si32}> : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x8xf32>
  %m = "ttir.multiply"(%c, %sin) : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  func.return %m : tensor<4x8xf32>
}

// Rows of a table are looked up: the sign goes into the table, once for both rotations.

// CHECK-LABEL: @looked_up
func.func @looked_up(%x: tensor<1x2x4x8xf32>, %y: tensor<1x1x4x8xf32>, %ids: tensor<1x4xi32>, %table: tensor<64x8xf32>) -> (tensor<1x2x4x8xf32>, tensor<1x1x4x8xf32>) {
  // CHECK: [[SIGN:%\S+]] = "ttir.concat"
  // CHECK-NEXT: [[SIGNED:%\S+]] = "ttir.multiply"(%table, [[SIGN]]) {ttir.name = "sin_signed"}
  // CHECK-NEXT: [[ROWS:%\S+]] = "ttir.embedding"(%ids, [[SIGNED]])
  // CHECK-NEXT: [[SINE:%\S+]] = "ttir.reshape"([[ROWS]])
  // CHECK-NOT: sin_signed
  // CHECK: "ttir.multiply"({{%\S+}}, [[SINE]])
  // CHECK: "ttir.multiply"({{%\S+}}, [[SINE]])
  %rows = "ttir.embedding"(%ids, %table) : (tensor<1x4xi32>, tensor<64x8xf32>) -> tensor<1x4x8xf32>
  %sin = "ttir.reshape"(%rows) <{shape = [1 : i32, 1 : i32, 4 : i32, 8 : i32]}> : (tensor<1x4x8xf32>) -> tensor<1x1x4x8xf32>
  %a = "ttir.slice_static"(%x) <{begins = [0 : i32, 0 : i32, 0 : i32, 0 : i32], ends = [1 : i32, 2 : i32, 4 : i32, 4 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x2x4x8xf32>) -> tensor<1x2x4x4xf32>
  %b = "ttir.slice_static"(%x) <{begins = [0 : i32, 0 : i32, 0 : i32, 4 : i32], ends = [1 : i32, 2 : i32, 4 : i32, 8 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x2x4x8xf32>) -> tensor<1x2x4x4xf32>
  %n = "ttir.neg"(%b) : (tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
  %c = "ttir.concat"(%n, %a) <{dim = -1 : si32}> : (tensor<1x2x4x4xf32>, tensor<1x2x4x4xf32>) -> tensor<1x2x4x8xf32>
  %m = "ttir.multiply"(%c, %sin) : (tensor<1x2x4x8xf32>, tensor<1x1x4x8xf32>) -> tensor<1x2x4x8xf32>
  %e = "ttir.slice_static"(%y) <{begins = [0 : i32, 0 : i32, 0 : i32, 0 : i32], ends = [1 : i32, 1 : i32, 4 : i32, 4 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x1x4x8xf32>) -> tensor<1x1x4x4xf32>
  %f = "ttir.slice_static"(%y) <{begins = [0 : i32, 0 : i32, 0 : i32, 4 : i32], ends = [1 : i32, 1 : i32, 4 : i32, 8 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x1x4x8xf32>) -> tensor<1x1x4x4xf32>
  %g = "ttir.neg"(%f) : (tensor<1x1x4x4xf32>) -> tensor<1x1x4x4xf32>
  %h = "ttir.concat"(%g, %e) <{dim = -1 : si32}> : (tensor<1x1x4x4xf32>, tensor<1x1x4x4xf32>) -> tensor<1x1x4x8xf32>
  %o = "ttir.multiply"(%h, %sin) : (tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>) -> tensor<1x1x4x8xf32>
  func.return %m, %o : tensor<1x2x4x8xf32>, tensor<1x1x4x8xf32>
}
