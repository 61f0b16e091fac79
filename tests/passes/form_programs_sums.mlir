// RUN: forge-opt -p 'form-programs,form-stages' %s | filecheck %s

// A norm marked for two launches sums squares part by part, and scales by their sums.

// CHECK-LABEL: @in_two
func.func @in_two(%x: tensor<1x64x640xbf16>, %g: tensor<640xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "g"}) -> tensor<1x64x640xbf16> {
  // CHECK: grid.program "square_sums" axes [h 4, b 5, m 2, n 1] uses ([h, b, _, m, n] at [m, h * 5 + (b + n)]) makes ([h, _, _, m, n] at [h * 2 + m, n])
  // CHECK: grid.stage over [h, m, n, b] formats [fp32]
  // CHECK-NEXT: "ttir.multiply"
  // CHECK-NEXT: "ttir.sum"
  // CHECK: grid.program "rms_norm_of_sums" axes [m 2, n 20, k 4] uses ([_, m, n] at [m, n], [_, m, k] at [k * 2 + m, 0], [n] at [0, n])
  // CHECK: grid.stage over [m, k] formats [fp32]
  // CHECK: "ttir.rsqrt"
  // CHECK: grid.stage over [m, n] formats [bf16]
  %0 = "ttir.rms_norm"(%x, %g) <{normalized_shape = array<i64: 640>, epsilon = 1.0e-05 : f32, operandSegmentSizes = array<i32: 1, 1, 0>}> {forge.alone = 2 : i64} : (tensor<1x64x640xbf16>, tensor<640xbf16>) -> tensor<1x64x640xbf16>
  func.return %0 : tensor<1x64x640xbf16>
}

// One that is only to stay alone is one launch.

// CHECK-LABEL: @alone
func.func @alone(%x: tensor<1x64x640xbf16>) -> tensor<1x64x640xbf16> {
  // CHECK-NOT: square_sums
  // CHECK: grid.program "rms_norm"
  %0 = "ttir.rms_norm"(%x) <{normalized_shape = array<i64: 640>, epsilon = 1.0e-05 : f32, operandSegmentSizes = array<i32: 1, 0, 0>}> {forge.alone = 1 : i64} : (tensor<1x64x640xbf16>) -> tensor<1x64x640xbf16>
  func.return %0 : tensor<1x64x640xbf16>
}
