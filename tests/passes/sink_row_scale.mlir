// RUN: forge-opt -p form-programs,sink-row-scale %s | filecheck %s

// CHECK-LABEL: @norm
func.func @norm(%x: tensor<64x128xbf16>, %g: tensor<128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "g"}, %w: tensor<128x96xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "w"}) -> tensor<64x96xbf16> {
  // CHECK: [[SCALE:%.*]] = "ttir.rsqrt"
  // CHECK: [[ROWS:%.*]] = "ttir.multiply"({{.*}}) : (tensor<64x128xbf16>, tensor<128xbf16>)
  // CHECK-NEXT: [[PRODUCT:%.*]] = "ttir.matmul"([[ROWS]],
  // CHECK-NEXT: "ttir.multiply"([[PRODUCT]], [[SCALE]])
  // CHECK-NEXT: grid.yield
  %0 = "ttir.rms_norm"(%x, %g) <{epsilon = 1.0e-6 : f32, normalized_shape = array<i64: 128>, operandSegmentSizes = array<i32: 1, 1, 0>}> : (tensor<64x128xbf16>, tensor<128xbf16>) -> tensor<64x128xbf16>
  %1 = "ttir.linear"(%0, %w) <{transpose_a = false, transpose_b = false}> : (tensor<64x128xbf16>, tensor<128x96xbf16>) -> tensor<64x96xbf16>
  func.return %1 : tensor<64x96xbf16>
}

// A factor that differs along the row stays where it is.

// CHECK-LABEL: @no_row_scale
func.func @no_row_scale(%x: tensor<64x128xbf16>, %y: tensor<64x128xbf16>, %w: tensor<128x96xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "w"}) -> tensor<64x96xbf16> {
  // CHECK: "ttir.multiply"
  // CHECK: "ttir.matmul"
  // CHECK-NEXT: grid.yield
  %0 = "ttir.multiply"(%x, %y) : (tensor<64x128xbf16>, tensor<64x128xbf16>) -> tensor<64x128xbf16>
  %1 = "ttir.linear"(%0, %w) <{transpose_a = false, transpose_b = false}> : (tensor<64x128xbf16>, tensor<128x96xbf16>) -> tensor<64x96xbf16>
  func.return %1 : tensor<64x96xbf16>
}
