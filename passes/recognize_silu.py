"""`recognize-silu`: x sigmoid(x) is one op."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import (
    PatternRewriter,
    RewritePattern,
    op_type_rewrite_pattern,
)

from dialects import ttir
from passes.rewriting import apply_patterns, producer, replace


class RecognizeSilu(RewritePattern):
    """x * sigmoid(x), in either order."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ttir.MultiplyOp, rewriter: PatternRewriter) -> None:
        for value, gate in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
            sigmoid = producer(gate, ttir.SigmoidOp)
            if sigmoid is not None and sigmoid.input == value:
                replace(rewriter, op, ttir.SiluOp(value), absorbed=[sigmoid])
                return


@dataclass(frozen=True)
class RecognizeSiluPass(ModulePass):
    """x sigmoid(x) is one op."""

    name = "recognize-silu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        apply_patterns(op, RecognizeSilu())
