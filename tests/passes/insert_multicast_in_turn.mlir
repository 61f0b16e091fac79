// RUN: forge-opt -p 'form-programs,form-stages,choose-grid{loops=false},insert-multicast' %s | filecheck %s

// Many rows are read side by side by the cores of the first row, which send in turn.

// CHECK-LABEL: @in_turn
func.func @in_turn(%x: tensor<32x8192xbf16>, %w: tensor<8192x4096xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "w"}) -> tensor<32x4096xbf16> {
  // CHECK: uses ([m, k] at [m, k] along xy turns 4, [k, n] at [k, n]
  %0 = "ttir.matmul"(%x, %w) : (tensor<32x8192xbf16>, tensor<8192x4096xbf16>) -> tensor<32x4096xbf16>
  func.return %0 : tensor<32x4096xbf16>
}

// Few are read by one.

// CHECK-LABEL: @by_one
func.func @by_one(%x: tensor<32x512xbf16>, %w: tensor<512x4096xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "w"}) -> tensor<32x4096xbf16> {
  // CHECK: uses ([m, k] at [m, k] along xy, [k, n] at [k, n]
  %0 = "ttir.matmul"(%x, %w) : (tensor<32x512xbf16>, tensor<512x4096xbf16>) -> tensor<32x4096xbf16>
  func.return %0 : tensor<32x4096xbf16>
}
