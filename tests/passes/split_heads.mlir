// RUN: forge-opt -p split-heads %s | filecheck %s

// Four heads of queries and two of keys: an axis of six heads, the keys' two a run of
// it, and the halves of a head swapped by one operation.

// CHECK-LABEL: @heads
func.func @heads(%x: tensor<1x64x96xbf16>, %w: tensor<384x96xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "w"}, %g: tensor<64xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "g"}) -> (tensor<1x4x64x64xbf16>, tensor<1x2x64x64xbf16>) {
  // CHECK-NEXT: "ttir.permute"(%w) {{.*}} -> tensor<96x384xbf16>
  // CHECK-NEXT: "ttir.reshape"
  // CHECK-NEXT: "ttir.permute"
  // CHECK-NEXT: "ttir.reshape"
  // CHECK-NEXT: %[[Y:.*]] = "ttir.matmul"(%x, {{.*}} -> tensor<1x6x64x64xbf16>
  // CHECK-NEXT: "ttir.slice_static"(%[[Y]]) {{.*}} -> tensor<1x4x64x64xbf16>
  // CHECK-NEXT: "ttir.slice_static"(%[[Y]]) {{.*}} -> tensor<1x2x64x64xbf16>
  // CHECK-NEXT: %[[Q:.*]] = "ttir.rms_norm"
  // CHECK-NEXT: grid.rotate %[[Q]] by 32
  // CHECK-NEXT: "ttir.silu"
  // CHECK-NEXT: func.return
  %0 = "ttir.linear"(%x, %w) <{transpose_b = true}> : (tensor<1x64x96xbf16>, tensor<384x96xbf16>) -> tensor<1x64x384xbf16>
  %1 = "ttir.slice_static"(%0) <{begins = [0 : i32, 0 : i32, 0 : i32], ends = [1 : i32, 64 : i32, 256 : i32], step = [1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x64x384xbf16>) -> tensor<1x64x256xbf16>
  %2 = "ttir.slice_static"(%0) <{begins = [0 : i32, 0 : i32, 256 : i32], ends = [1 : i32, 64 : i32, 384 : i32], step = [1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x64x384xbf16>) -> tensor<1x64x128xbf16>
  %3 = "ttir.reshape"(%1) <{shape = [1 : i32, 64 : i32, 4 : i32, 64 : i32]}> : (tensor<1x64x256xbf16>) -> tensor<1x64x4x64xbf16>
  %4 = "ttir.permute"(%3) <{permutation = array<i64: 0, 2, 1, 3>}> : (tensor<1x64x4x64xbf16>) -> tensor<1x4x64x64xbf16>
  %5 = "ttir.rms_norm"(%4, %g) <{normalized_shape = array<i64: 64>, epsilon = 1.000000e-06 : f32, operandSegmentSizes = array<i32: 1, 1, 0>}> : (tensor<1x4x64x64xbf16>, tensor<64xbf16>) -> tensor<1x4x64x64xbf16>
  %6 = "ttir.slice_static"(%5) <{begins = [0 : i32, 0 : i32, 0 : i32, 0 : i32], ends = [1 : i32, 4 : i32, 64 : i32, 32 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x4x64x64xbf16>) -> tensor<1x4x64x32xbf16>
  %7 = "ttir.slice_static"(%5) <{begins = [0 : i32, 0 : i32, 0 : i32, 32 : i32], ends = [1 : i32, 4 : i32, 64 : i32, 64 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x4x64x64xbf16>) -> tensor<1x4x64x32xbf16>
  %8 = "ttir.concat"(%7, %6) <{dim = 3 : si32}> : (tensor<1x4x64x32xbf16>, tensor<1x4x64x32xbf16>) -> tensor<1x4x64x64xbf16>
  %9 = "ttir.reshape"(%2) <{shape = [1 : i32, 64 : i32, 2 : i32, 64 : i32]}> : (tensor<1x64x128xbf16>) -> tensor<1x64x2x64xbf16>
  %10 = "ttir.permute"(%9) <{permutation = array<i64: 0, 2, 1, 3>}> : (tensor<1x64x2x64xbf16>) -> tensor<1x2x64x64xbf16>
  %11 = "ttir.silu"(%10) : (tensor<1x2x64x64xbf16>) -> tensor<1x2x64x64xbf16>
  func.return %8, %11 : tensor<1x4x64x64xbf16>, tensor<1x2x64x64xbf16>
}

// Heads that nothing follows but what reads them anyway stay views.

// CHECK-LABEL: @only_seen
func.func @only_seen(%x: tensor<1x64x96xbf16>, %w: tensor<128x96xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "w"}) -> tensor<1x2x64x64xbf16> {
  // CHECK-NEXT: "ttir.linear"
  // CHECK-NOT: "ttir.matmul"
  // CHECK: func.return
  %0 = "ttir.linear"(%x, %w) <{transpose_b = true}> : (tensor<1x64x96xbf16>, tensor<128x96xbf16>) -> tensor<1x64x128xbf16>
  %1 = "ttir.reshape"(%0) <{shape = [1 : i32, 64 : i32, 2 : i32, 64 : i32]}> : (tensor<1x64x128xbf16>) -> tensor<1x64x2x64xbf16>
  %2 = "ttir.permute"(%1) <{permutation = array<i64: 0, 2, 1, 3>}> : (tensor<1x64x2x64xbf16>) -> tensor<1x2x64x64xbf16>
  func.return %2 : tensor<1x2x64x64xbf16>
}

// One wide head would leave all cores but one without work.

// CHECK-LABEL: @one_wide_head
func.func @one_wide_head(%x: tensor<1x32x2048xbf16>, %w: tensor<1024x2048xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "w"}) -> tensor<1x1x32x1024xbf16> {
  // CHECK-NEXT: "ttir.linear"
  // CHECK-NOT: "ttir.matmul"
  // CHECK: func.return
  %0 = "ttir.linear"(%x, %w) <{transpose_b = true}> : (tensor<1x32x2048xbf16>, tensor<1024x2048xbf16>) -> tensor<1x32x1024xbf16>
  %1 = "ttir.reshape"(%0) <{shape = [1 : i32, 1 : i32, 32 : i32, 1024 : i32]}> : (tensor<1x32x1024xbf16>) -> tensor<1x1x32x1024xbf16>
  %2 = "ttir.silu"(%1) : (tensor<1x1x32x1024xbf16>) -> tensor<1x1x32x1024xbf16>
  func.return %2 : tensor<1x1x32x1024xbf16>
}
