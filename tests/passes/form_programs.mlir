// RUN: forge-opt -p form-programs %s | filecheck %s

// CHECK-LABEL: @epilogue
func.func @epilogue(%x: tensor<32x64xbf16>, %w: tensor<64x96xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "w"}) -> tensor<32x96xbf16> {
  // CHECK: grid.program "matmul_relu" axes [m 1, n 3, k 2]
  // CHECK: "ttir.matmul"
  // CHECK-NEXT: "ttir.relu"
  // CHECK-NEXT: grid.yield
  // CHECK-NOT: grid.program
  %0 = "ttir.matmul"(%x, %w) : (tensor<32x64xbf16>, tensor<64x96xbf16>) -> tensor<32x96xbf16>
  %1 = "ttir.relu"(%0) : (tensor<32x96xbf16>) -> tensor<32x96xbf16>
  func.return %1 : tensor<32x96xbf16>
}

// What a second program reads cannot stay in Dst.

// CHECK-LABEL: @read_twice
func.func @read_twice(%x: tensor<32x64xbf16>, %w: tensor<64x96xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "w"}) -> (tensor<32x96xbf16>, tensor<32x96xbf16>) {
  // CHECK: grid.program "matmul"
  // CHECK: grid.program "relu"
  %0 = "ttir.matmul"(%x, %w) : (tensor<32x64xbf16>, tensor<64x96xbf16>) -> tensor<32x96xbf16>
  %1 = "ttir.relu"(%0) : (tensor<32x96xbf16>) -> tensor<32x96xbf16>
  func.return %0, %1 : tensor<32x96xbf16>, tensor<32x96xbf16>
}
