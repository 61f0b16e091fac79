// RUN: forge-opt -p 'form-programs{swiglu-fusion=false},form-stages' %s | filecheck %s

// Two projections of one tensor share a program, and its columns.

// CHECK-LABEL: @gate_and_up
func.func @gate_and_up(%x: tensor<128x64xbf16>, %g: tensor<64x96xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "g"}, %u: tensor<64x96xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "u"}) -> tensor<128x96xbf16> {
  // CHECK: grid.program "linear" axes [m 4, n 3, k 2]
  // CHECK: grid.stage
  // CHECK-NEXT: "ttir.matmul"
  // CHECK-NEXT: "ttir.matmul"
  // CHECK: grid.program "silu_multiply"
  %0 = "ttir.linear"(%x, %g) : (tensor<128x64xbf16>, tensor<64x96xbf16>) -> tensor<128x96xbf16>
  %1 = "ttir.silu"(%0) : (tensor<128x96xbf16>) -> tensor<128x96xbf16>
  %2 = "ttir.linear"(%x, %u) : (tensor<128x64xbf16>, tensor<64x96xbf16>) -> tensor<128x96xbf16>
  %3 = "ttir.multiply"(%1, %2) : (tensor<128x96xbf16>, tensor<128x96xbf16>) -> tensor<128x96xbf16>
  func.return %3 : tensor<128x96xbf16>
}

// Columns of other widths are axes of their own.

// CHECK-LABEL: @alone
func.func @alone(%x: tensor<128x64xbf16>, %g: tensor<64x96xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "g"}, %u: tensor<64x160xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "u"}) -> (tensor<128x96xbf16>, tensor<128x160xbf16>) {
  // CHECK: grid.program "linear" axes [m 4, n 3, k 2]
  // CHECK: grid.program "linear" axes [m 4, n 5, k 2]
  %0 = "ttir.linear"(%x, %g) : (tensor<128x64xbf16>, tensor<64x96xbf16>) -> tensor<128x96xbf16>
  %1 = "ttir.linear"(%x, %u) : (tensor<128x64xbf16>, tensor<64x160xbf16>) -> tensor<128x160xbf16>
  func.return %0, %1 : tensor<128x96xbf16>, tensor<128x160xbf16>
}
