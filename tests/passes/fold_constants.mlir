// RUN: forge-opt -p fold-constants %s | filecheck %s
// RUN: forge-opt -p fold-constants --print-debuginfo %s | filecheck %s --check-prefix=LOC

// What depends on no input becomes an argument, named after the module and the op;
// equal values become one. Numbers stay in the text.

// CHECK-LABEL: @table
// CHECK-SAME: tensor<4xf32> {ttcore.argument_type = #ttcore.argument_type<constant>, ttir.name = "rotary.cos"})
// LOC: loc(fused["rotary", "positions"])
func.func @table(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %p = "ttir.arange"() <{start = 0 : si64, end = 4 : si64, step = 1 : si64, arange_dimension = 0 : i64}> : () -> tensor<4xf32> loc("positions")
  %c = "ttir.cos"(%p) : (tensor<4xf32>) -> tensor<4xf32> loc("rotary")
  %d = "ttir.cos"(%p) : (tensor<4xf32>) -> tensor<4xf32> loc("rotary")
  %h = "ttir.full"() <{shape = array<i32: 1, 1>, fill_value = 0.5 : f32}> : () -> tensor<1x1xf32>
  // CHECK-NEXT: [[H:%\S+]] = "ttir.full"
  // CHECK-NEXT: [[A:%\S+]] = "ttir.multiply"(%x, [[C:%\S+]])
  // CHECK-NEXT: [[B:%\S+]] = "ttir.add"([[A]], [[C]])
  // CHECK-NEXT: "ttir.multiply"([[B]], [[H]])
  %0 = "ttir.multiply"(%x, %c) : (tensor<2x4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  %1 = "ttir.add"(%0, %d) : (tensor<2x4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  %2 = "ttir.multiply"(%1, %h) : (tensor<2x4xf32>, tensor<1x1xf32>) -> tensor<2x4xf32>
  func.return %2 : tensor<2x4xf32>
}

// Without their values, which the text does not hold, constants cannot be folded. A
// parameter that nothing uses goes; an input stays.

// CHECK-LABEL: @unknown
// CHECK-NOT: gone
// CHECK-SAME: "spare"
func.func @unknown(%x: tensor<4xf32>, %f: tensor<4xf32> {ttcore.argument_type = #ttcore.argument_type<constant>, ttir.name = "inv_freq"}, %u: tensor<4xf32> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "gone"}, %i: tensor<4xf32> {ttcore.argument_type = #ttcore.argument_type<input>, ttir.name = "spare"}) -> tensor<4xf32> {
  // CHECK-NEXT: "ttir.cos"
  %0 = "ttir.cos"(%f) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = "ttir.add"(%x, %0) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %1 : tensor<4xf32>
}
