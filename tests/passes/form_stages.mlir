// RUN: forge-opt -p form-programs,form-stages %s | filecheck %s

// CHECK-LABEL: @reduction_opens_a_stage
func.func @reduction_opens_a_stage(%x: tensor<32x64xbf16>) -> tensor<32x64xbf16> {
  // CHECK: grid.stage over [m, n] formats [fp32]
  // CHECK: "ttir.max"
  // CHECK: grid.stage
  // CHECK: "ttir.exp"
  // CHECK: "ttir.sum"
  // CHECK: grid.stage over [m, n] formats [bf16]
  %0 = "ttir.softmax"(%x) <{dimension = 1 : si32, numericStable = true}> : (tensor<32x64xbf16>) -> tensor<32x64xbf16>
  func.return %0 : tensor<32x64xbf16>
}

// Element-wise operations follow each other in Dst.

// CHECK-LABEL: @one_stage
func.func @one_stage(%x: tensor<32x64xbf16>) -> tensor<32x64xbf16> {
  // CHECK: grid.stage
  // CHECK-NOT: grid.stage
  // CHECK: func.return
  %0 = "ttir.exp"(%x) : (tensor<32x64xbf16>) -> tensor<32x64xbf16>
  %1 = "ttir.relu"(%0) : (tensor<32x64xbf16>) -> tensor<32x64xbf16>
  func.return %1 : tensor<32x64xbf16>
}
