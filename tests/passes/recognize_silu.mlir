// RUN: forge-opt -p recognize-silu %s | filecheck %s

// CHECK-LABEL: @gated
func.func @gated(%x: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK-NEXT: "ttir.silu"(%x)
  // CHECK-NEXT: func.return
  %0 = "ttir.sigmoid"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = "ttir.multiply"(%0, %x) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %1 : tensor<4xf32>
}

// The sigmoid of one tensor on another is no silu.

// CHECK-LABEL: @another_tensor
func.func @another_tensor(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK: "ttir.sigmoid"(%y)
  // CHECK-NEXT: "ttir.multiply"
  %0 = "ttir.sigmoid"(%y) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = "ttir.multiply"(%0, %x) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %1 : tensor<4xf32>
}
