// RUN: forge-opt -p form-programs,form-stages,shard-weights %s | filecheck %s

// CHECK-LABEL: @many_columns
func.func @many_columns(%x: tensor<32x128xbf16>, %w: tensor<128x768xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "w"}) -> tensor<32x768xbf16> {
  // CHECK: uses ([m, k] at [m, k], [k, n] at [k, n] sharded columns)
  %0 = "ttir.linear"(%x, %w) <{transpose_a = false, transpose_b = false}> : (tensor<32x128xbf16>, tensor<128x768xbf16>) -> tensor<32x768xbf16>
  func.return %0 : tensor<32x768xbf16>
}

// Thirteen columns would leave eleven of twelve banks idle for half of the time.

// CHECK-LABEL: @few_columns
func.func @few_columns(%x: tensor<32x128xbf16>, %w: tensor<128x416xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "w"}) -> tensor<32x416xbf16> {
  // CHECK-NOT: sharded
  %0 = "ttir.linear"(%x, %w) <{transpose_a = false, transpose_b = false}> : (tensor<32x128xbf16>, tensor<128x416xbf16>) -> tensor<32x416xbf16>
  func.return %0 : tensor<32x416xbf16>
}
