"""`hoist-permutes`: a permute moves before row-wise operations on its operand.

Models normalise queries and keys as tokens x heads x width and permute afterwards.
On tiles, tokens must run along rows: with the permute first, it is a view of the
projection's result, and the norm sees heads x tokens x width. With one token that
permute is a reshape, and moves likewise.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import (
    PatternRewriter,
    RewritePattern,
    op_type_rewrite_pattern,
)

from dialects import ttir
from dialects.ttir.base import shape_of, tensor_type_of
from passes.patterns import is_elementwise, single_user
from passes.rewriting import apply_patterns, producer, replace

_NORMS = (ttir.RMSNormOp, ttir.LayerNormOp)


class HoistPermute(RewritePattern):
    """permute(f(x)) is f(permute(x)) where f works on each row, or each element."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ttir.PermuteOp, rewriter: PatternRewriter) -> None:
        inner = op.input.owner
        if not isinstance(inner, Operation) or single_user(op.input) is None:
            return
        order = tuple(op.permutation.get_values())
        rank = len(order)
        keeps_rows = order[-1] == rank - 1 and _works_on_rows(inner, rank)
        if not (keeps_rows or is_elementwise(inner)):
            return
        if len(inner.operands) > 1 and not isinstance(inner, _NORMS):
            return
        first = ttir.PermuteOp(inner.operands[0], order)
        second = inner.create(
            operands=[first.result, *inner.operands[1:]],
            result_types=[tensor_type_of(op.result)],
            properties=dict(inner.properties),
        )
        replace(rewriter, op, [first, second], absorbed=[inner])


class HoistReshape(RewritePattern):
    """reshape(f(reshape(x))) is f(reshape(x)) where only extents of one move."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ttir.ReshapeOp, rewriter: PatternRewriter) -> None:
        inner = op.input.owner
        if not isinstance(inner, Operation) or single_user(op.input) is None:
            return
        first = producer(inner.operands[0], ttir.ReshapeOp) if inner.operands else None
        before, after = shape_of(op.input), shape_of(op)
        if first is None or not _only_ones_move(before, after):
            return
        keeps_rows = before[-1] == after[-1] and _works_on_rows(inner, len(before))
        if not (keeps_rows or (is_elementwise(inner) and len(inner.operands) == 1)):
            return
        merged = ttir.ReshapeOp(first.input, after)
        second = inner.create(
            operands=[merged.result, *inner.operands[1:]],
            result_types=[tensor_type_of(op.result)],
            properties=dict(inner.properties),
        )
        replace(rewriter, op, [merged, second], absorbed=[inner, first])


def _only_ones_move(before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    kept = [[size for size in shape if size != 1] for shape in (before, after)]
    return len(before) == len(after) and kept[0] == kept[1]


def _works_on_rows(op: Operation, rank: int) -> bool:
    if isinstance(op, ttir.SoftmaxOp):
        return op.dimension.value.data % rank == rank - 1
    if isinstance(op, _NORMS):
        return len(op.normalized_shape.get_values()) == 1
    return False


@dataclass(frozen=True)
class HoistPermutesPass(ModulePass):
    """Permutes move before row-wise and element-wise operations."""

    name = "hoist-permutes"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        apply_patterns(op, HoistPermute(), HoistReshape())
