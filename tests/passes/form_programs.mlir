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

// A projection by heads takes in what happens inside a head: each run of heads is a
// result of its own, written where its first head begins.

// CHECK-LABEL: @heads
func.func @heads(%x: tensor<1x64x96xbf16>, %w: tensor<1x6x96x64xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "w"}, %c: tensor<1x1x64x64xbf16>, %k: tensor<1x2x128x64xbf16>) -> (tensor<1x4x64x64xbf16>, tensor<1x2x128x64xbf16>) {
  // CHECK: grid.program "matmul_rotate_add_fill_cache" axes [h 6, m 2, n 2, k 3]
  // CHECK-SAME: makes ([_, h, m, n] at [h * 2 + m, n], [_, h, m, n] at [(h + -4) * 4 + m, n] inplace 3)
  // CHECK-NOT: grid.program
  %0 = "ttir.matmul"(%x, %w) : (tensor<1x64x96xbf16>, tensor<1x6x96x64xbf16>) -> tensor<1x6x64x64xbf16>
  %1 = "ttir.slice_static"(%0) <{begins = [0 : i32, 0 : i32, 0 : i32, 0 : i32], ends = [1 : i32, 4 : i32, 64 : i32, 64 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x6x64x64xbf16>) -> tensor<1x4x64x64xbf16>
  %2 = "ttir.slice_static"(%0) <{begins = [0 : i32, 4 : i32, 0 : i32, 0 : i32], ends = [1 : i32, 6 : i32, 64 : i32, 64 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x6x64x64xbf16>) -> tensor<1x2x64x64xbf16>
  %3 = grid.rotate %1 by 32 : i64 : tensor<1x4x64x64xbf16> -> tensor<1x4x64x64xbf16>
  %4 = "ttir.add"(%3, %c) : (tensor<1x4x64x64xbf16>, tensor<1x1x64x64xbf16>) -> tensor<1x4x64x64xbf16>
  %5 = "ttir.fill_cache"(%k, %2) <{batch_offset = 0 : i32}> : (tensor<1x2x128x64xbf16>, tensor<1x2x64x64xbf16>) -> tensor<1x2x128x64xbf16>
  func.return %4, %5 : tensor<1x4x64x64xbf16>, tensor<1x2x128x64xbf16>
}

// What is computed with a table of its own for each head stays outside, and then the
// heads that are only cut out do.

// CHECK-LABEL: @other_heads
func.func @other_heads(%x: tensor<1x64x96xbf16>, %w: tensor<1x6x96x64xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "w"}, %c: tensor<1x4x64x64xbf16>) -> tensor<1x4x64x64xbf16> {
  // CHECK: grid.program "matmul"
  // CHECK: grid.program "add"
  %0 = "ttir.matmul"(%x, %w) : (tensor<1x64x96xbf16>, tensor<1x6x96x64xbf16>) -> tensor<1x6x64x64xbf16>
  %1 = "ttir.slice_static"(%0) <{begins = [0 : i32, 0 : i32, 0 : i32, 0 : i32], ends = [1 : i32, 4 : i32, 64 : i32, 64 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x6x64x64xbf16>) -> tensor<1x4x64x64xbf16>
  %2 = "ttir.add"(%1, %c) : (tensor<1x4x64x64xbf16>, tensor<1x4x64x64xbf16>) -> tensor<1x4x64x64xbf16>
  func.return %2 : tensor<1x4x64x64xbf16>
}
