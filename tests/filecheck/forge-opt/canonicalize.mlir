// RUN: forge-opt -p canonicalize %s | filecheck %s
// RUN: forge-opt %s | filecheck %s --check-prefix=SAME

// The runner itself: a pass runs, and without it nothing changes.

func.func @unused() {
  %dead = arith.constant 1 : i32
  func.return
}

// CHECK-LABEL: @unused
// CHECK-NOT: arith.constant
// CHECK: func.return

// SAME-LABEL: @unused
// SAME-NEXT: %dead = arith.constant 1 : i32
// SAME-NEXT: func.return
