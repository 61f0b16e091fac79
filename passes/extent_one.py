"""Patterns for dimensions of extent one: nothing is summed, and nothing is compared.

On tiles such a dimension has 31 neighbours that are padding, so no reduction or
contraction may run along it.
"""

from __future__ import annotations

from xdsl.ir import Operation, SSAValue
from xdsl.pattern_rewriter import (
    PatternRewriter,
    RewritePattern,
    op_type_rewrite_pattern,
)

from dialects import ttir
from passes.rewriting import replace, replace_by_value


class DropReductionOfOne(RewritePattern):
    """The sum, mean or maximum of one element is that element."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        if not isinstance(op, ttir.ReductionOp):
            return
        shape = ttir.shape_of(op.input)
        if any(shape[axis] != 1 for axis in op.axes):
            return
        if op.keeps_dimensions:
            replace_by_value(rewriter, op, op.input)
        else:
            replace(rewriter, op, ttir.ReshapeOp(op.input, ttir.shape_of(op)))


class WriteSoftmaxOfOneAsOne(RewritePattern):
    """Of one number, the softmax is one."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ttir.SoftmaxOp, rewriter: PatternRewriter) -> None:
        shape = ttir.shape_of(op.input)
        if shape[op.axis] == 1:
            replace(rewriter, op, ttir.FullOp(shape, 1.0, ttir.element_of(op)))


class WriteAttentionToOneKeyAsItsValue(RewritePattern):
    """The weight of a single key is one: each query sees its value."""

    @op_type_rewrite_pattern
    def match_and_rewrite(
        self, op: ttir.ScaledDotProductAttentionOp, rewriter: PatternRewriter
    ) -> None:
        if ttir.shape_of(op.key)[-2] != 1:
            return
        batch, heads, tokens, _ = ttir.shape_of(op.query)
        _, groups, _, width = ttir.shape_of(op.value)
        members = heads // groups
        split = ttir.ReshapeOp(op.value, [batch, groups, 1, 1, width])
        wide = ttir.BroadcastOp(split, [1, 1, members, tokens, 1])
        merged = ttir.ReshapeOp(wide, [batch, heads, tokens, width])
        replace(rewriter, op, [split, wide, merged])


class WriteContractionOfOneAsProduct(RewritePattern):
    """A column times a row is an element-wise product that repeats both."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        if not isinstance(op, ttir.MatmulOp | ttir.LinearOp):
            return
        shape_a = ttir.shape_of(op.a)
        if len(shape_a) < 2 or len(ttir.shape_of(op.b)) < 2:
            return
        if shape_a[-2 if op.transposes_a else -1] != 1:
            return
        new: list[Operation] = []
        a = _turned(op.a, new) if op.transposes_a else op.a
        b = _turned(op.b, new) if op.transposes_b else op.b
        new.append(product := ttir.MultiplyOp(a, b))
        if isinstance(op, ttir.LinearOp) and op.bias is not None:
            new.append(ttir.AddOp(product, op.bias))
        replace(rewriter, op, new)


def _turned(value: SSAValue, new: list[Operation]) -> SSAValue:
    rank = len(ttir.shape_of(value))
    order = [*range(rank - 2), rank - 1, rank - 2]
    new.append(permuted := ttir.PermuteOp(value, order))
    return permuted.result


PATTERNS = (
    DropReductionOfOne,
    WriteSoftmaxOfOneAsOne,
    WriteAttentionToOneKeyAsItsValue,
    WriteContractionOfOneAsProduct,
)
