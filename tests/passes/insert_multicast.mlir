// RUN: forge-opt -p form-programs,form-stages,choose-grid,insert-multicast %s | filecheck %s

// CHECK-LABEL: @all_want_the_rows
func.func @all_want_the_rows(%x: tensor<32x512xbf16>, %w: tensor<512x4096xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "w"}) -> tensor<32x4096xbf16> {
  // CHECK: uses ([m, k] at [m, k] along xy ahead depth 3, [k, n] at [k, n]
  %0 = "ttir.matmul"(%x, %w) : (tensor<32x512xbf16>, tensor<512x4096xbf16>) -> tensor<32x4096xbf16>
  func.return %0 : tensor<32x4096xbf16>
}

// What each core wants for itself is not sent.

// CHECK-LABEL: @own_tiles
func.func @own_tiles(%x: tensor<512x512xbf16>) -> tensor<512x512xbf16> {
  // CHECK: uses ([m, n] at [m, n])
  %0 = "ttir.exp"(%x) : (tensor<512x512xbf16>) -> tensor<512x512xbf16>
  func.return %0 : tensor<512x512xbf16>
}
