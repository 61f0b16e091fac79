// RUN: forge-opt -p recognize-rms-norm %s | filecheck %s
// RUN: forge-opt -p recognize-rms-norm --print-debuginfo %s | filecheck %s --check-prefix=LOC

// A norm as transformers writes it, with its casts to f32 and back. The new op comes
// from all the ops that it replaces.

// CHECK-LABEL: @norm
// LOC-LABEL: @norm
func.func @norm(%x: tensor<1x4x8xbf16>, %w: tensor<8xbf16>) -> tensor<1x4x8xbf16> {
  // CHECK-NEXT: [[N:%\S+]] = "ttir.rms_norm"(%x, %w) <{normalized_shape = array<i64: 8>, epsilon = 1.000000e-06 : f32
  // CHECK-NEXT: func.return [[N]]
  // LOC-NEXT: loc(fused["weight", "narrow", "scale", "square", "mean", "eps", "root", "widen"])
  %0 = "ttir.typecast"(%x) : (tensor<1x4x8xbf16>) -> tensor<1x4x8xf32> loc("widen")
  %1 = "ttir.multiply"(%0, %0) : (tensor<1x4x8xf32>, tensor<1x4x8xf32>) -> tensor<1x4x8xf32> loc("square")
  %2 = "ttir.mean"(%1) <{keep_dim = true, dim_arg = [2 : i32]}> : (tensor<1x4x8xf32>) -> tensor<1x4x1xf32> loc("mean")
  %e = "ttir.full"() <{shape = array<i32: 1, 1, 1>, fill_value = 1.0e-06 : f32}> : () -> tensor<1x1x1xf32>
  %3 = "ttir.add"(%2, %e) : (tensor<1x4x1xf32>, tensor<1x1x1xf32>) -> tensor<1x4x1xf32> loc("eps")
  %4 = "ttir.rsqrt"(%3) : (tensor<1x4x1xf32>) -> tensor<1x4x1xf32> loc("root")
  %5 = "ttir.multiply"(%0, %4) : (tensor<1x4x8xf32>, tensor<1x4x1xf32>) -> tensor<1x4x8xf32> loc("scale")
  %6 = "ttir.typecast"(%5) : (tensor<1x4x8xf32>) -> tensor<1x4x8xbf16> loc("narrow")
  %7 = "ttir.multiply"(%w, %6) : (tensor<8xbf16>, tensor<1x4x8xbf16>) -> tensor<1x4x8xbf16> loc("weight")
  func.return %7 : tensor<1x4x8xbf16>
}

// CHECK-LABEL: @divided
func.func @divided(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  // CHECK-NEXT: "ttir.rms_norm"(%x)
  // CHECK-NEXT: func.return
  %0 = "ttir.multiply"(%x, %x) : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %1 = "ttir.mean"(%0) <{keep_dim = true, dim_arg = [1 : i32]}> : (tensor<4x8xf32>) -> tensor<4x1xf32>
  %e = "ttir.full"() <{shape = array<i32: 1, 1>, fill_value = 1.0e-05 : f32}> : () -> tensor<1x1xf32>
  %2 = "ttir.add"(%e, %1) : (tensor<1x1xf32>, tensor<4x1xf32>) -> tensor<4x1xf32>
  %3 = "ttir.sqrt"(%2) : (tensor<4x1xf32>) -> tensor<4x1xf32>
  %4 = "ttir.div"(%x, %3) : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x8xf32>
  func.return %4 : tensor<4x8xf32>
}

// No norm: the mean of another tensor than the one that is scaled, and the mean over a
// dimension that is not the last.

// CHECK-LABEL: @another_tensor
func.func @another_tensor(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>) -> tensor<4x8xf32> {
  // CHECK-NOT: rms_norm
  %0 = "ttir.multiply"(%y, %y) : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %1 = "ttir.mean"(%0) <{keep_dim = true, dim_arg = [1 : i32]}> : (tensor<4x8xf32>) -> tensor<4x1xf32>
  %e = "ttir.full"() <{shape = array<i32: 1, 1>, fill_value = 1.0e-05 : f32}> : () -> tensor<1x1xf32>
  %2 = "ttir.add"(%1, %e) : (tensor<4x1xf32>, tensor<1x1xf32>) -> tensor<4x1xf32>
  %3 = "ttir.rsqrt"(%2) : (tensor<4x1xf32>) -> tensor<4x1xf32>
  %4 = "ttir.multiply"(%x, %3) : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x8xf32>
  func.return %4 : tensor<4x8xf32>
}

// CHECK-LABEL: @another_dimension
func.func @another_dimension(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  // CHECK-NOT: rms_norm
  %0 = "ttir.multiply"(%x, %x) : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %1 = "ttir.mean"(%0) <{keep_dim = true, dim_arg = [0 : i32]}> : (tensor<4x8xf32>) -> tensor<1x8xf32>
  %e = "ttir.full"() <{shape = array<i32: 1, 1>, fill_value = 1.0e-05 : f32}> : () -> tensor<1x1xf32>
  %2 = "ttir.add"(%1, %e) : (tensor<1x8xf32>, tensor<1x1xf32>) -> tensor<1x8xf32>
  %3 = "ttir.rsqrt"(%2) : (tensor<1x8xf32>) -> tensor<1x8xf32>
  %4 = "ttir.multiply"(%x, %3) : (tensor<4x8xf32>, tensor<1x8xf32>) -> tensor<4x8xf32>
  func.return %4 : tensor<4x8xf32>
}
