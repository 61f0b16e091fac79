// RUN: forge-opt -p form-programs,form-stages,choose-grid,insert-multicast,align-grids %s | filecheck %s

// What one projection leaves the next adds where it lies; its rows reach all cores.

// CHECK-LABEL: @residual
func.func @residual(%x: tensor<128x256xbf16>, %a: tensor<256x256xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "a"}, %b: tensor<256x256xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "b"}) -> tensor<128x256xbf16> {
  // CHECK: axes [m 4 over y 4, n 8 over x 8
  // CHECK-SAME: makes ([m, n] at [m, n] in l1 shards 4x8 lent)
  // CHECK: axes [m 4 over y 4, n 8 over x 8
  // CHECK-SAME: uses ([m, k] at [m, k] along x ahead depth 2, [k, n] at [k, n] along y ahead depth 2, [m, n] at [m, n] lent)
  // CHECK-SAME: makes ([m, n] at [m, n]) fidelity
  %0 = "ttir.matmul"(%x, %a) : (tensor<128x256xbf16>, tensor<256x256xbf16>) -> tensor<128x256xbf16>
  %1 = "ttir.matmul"(%0, %b) : (tensor<128x256xbf16>, tensor<256x256xbf16>) -> tensor<128x256xbf16>
  %2 = "ttir.add"(%0, %1) : (tensor<128x256xbf16>, tensor<128x256xbf16>) -> tensor<128x256xbf16>
  func.return %2 : tensor<128x256xbf16>
}

// What goes to the host, and what is too large, lies in DRAM.

// CHECK-LABEL: @returned
func.func @returned(%x: tensor<128x256xbf16>) -> tensor<128x256xbf16> {
  // CHECK: makes ([m, n] at [m, n]) fidelity
  %0 = "ttir.exp"(%x) : (tensor<128x256xbf16>) -> tensor<128x256xbf16>
  func.return %0 : tensor<128x256xbf16>
}

// CHECK-LABEL: @too_large
func.func @too_large(%x: tensor<40960x1024xbf16>) -> tensor<40960x1024xbf16> {
  // CHECK: makes ([m, n] at [m, n]) fidelity
  %0 = "ttir.softmax"(%x) <{dimension = 1 : si32}> : (tensor<40960x1024xbf16>) -> tensor<40960x1024xbf16>
  %1 = "ttir.softmax"(%0) <{dimension = 1 : si32}> : (tensor<40960x1024xbf16>) -> tensor<40960x1024xbf16>
  func.return %1 : tensor<40960x1024xbf16>
}

// Where the reader's cores want other tiles, only the writer works in place.

// CHECK-LABEL: @turned
func.func @turned(%x: tensor<64x96xbf16>, %w: tensor<96x128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "w"}) -> tensor<64x128xbf16> {
  // CHECK: makes ([m, n] at [m, n] in l1 shards 2x3 lent)
  // CHECK: uses ([m, k] at [m, k] depth 1, [k, n] at [k, n] depth 1) makes ([m, n] at [m, n]) fidelity
  %0 = "ttir.exp"(%x) : (tensor<64x96xbf16>) -> tensor<64x96xbf16>
  %1 = "ttir.matmul"(%0, %w) : (tensor<64x96xbf16>, tensor<96x128xbf16>) -> tensor<64x128xbf16>
  func.return %1 : tensor<64x128xbf16>
}
