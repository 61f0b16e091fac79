// RUN: not forge-opt --split-input-file %s 2>&1 | filecheck %s
// RUN: forge-opt --split-input-file --verify-diagnostics \
// RUN:   --parsing-diagnostics %s | filecheck %s

// An error shows its message, its line and three lines around it; the next piece of
// the file is still run.

func.func @wrong_type(%a: i32, %b: i64) -> i32 {
  %c = "arith.addi"(%a, %b) : (i32, i64) -> i32
  func.return %c : i32
}

// CHECK: error: operand 'rhs' at position 1 does not verify:
// CHECK: where: {{.*}}errors.mlir:9
// CHECK: > {{ *}}%c = "arith.addi"

// -----

func.func @no_value() {
  %c = arith.constant
}

// CHECK: errors.mlir:21:1
// CHECK: attribute expected

// -----

func.func @fine() {
  func.return
}

// CHECK: func.func @fine
