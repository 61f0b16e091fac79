"""`normalize-fewer-rows`: of a normalised tensor only the rows that are looked up.

A prefill wants the logits of one row. The lookup moves before the last norm, which
works on each row alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import (
    PatternRewriter,
    RewritePattern,
    op_type_rewrite_pattern,
)

from dialects import ttir
from passes.rewriting import apply_patterns, producer, replace, used_once


class LookUpBeforeNorm(RewritePattern):
    """embedding(ids, norm(x)) becomes norm(embedding(ids, x))."""

    @op_type_rewrite_pattern
    def match_and_rewrite(
        self, op: ttir.EmbeddingOp, rewriter: PatternRewriter
    ) -> None:
        norm = _norm_of_rows(op.weight)
        if norm is None:
            return
        table: SSAValue = norm.input
        new: list[Operation] = []
        if ttir.shape_of(table) != ttir.shape_of(op.weight):
            new.append(view := ttir.ReshapeOp(table, ttir.shape_of(op.weight)))
            table = view.result
        rows = ttir.EmbeddingOp(op.input, table)
        fewer = type(norm)(
            rows,
            norm.weight,
            norm.bias,
            normalized_shape=[int(i) for i in norm.normalized_shape.get_values()],
            epsilon=norm.epsilon.value.data,
        )
        replace(rewriter, op, [*new, rows, fewer], absorbed=[norm])


def _norm_of_rows(table: SSAValue) -> ttir.NormalizationOp | None:
    """The norm of which a table is the result, row by row and for nothing else."""
    view = producer(table, ttir.ReshapeOp)
    value = table if view is None else view.input
    norm = value.owner
    if not isinstance(norm, ttir.NormalizationOp) or len(norm.normalized_shape) != 1:
        return None
    alone = used_once(table) and used_once(value)
    same_rows = ttir.shape_of(table)[-1] == ttir.shape_of(value)[-1]
    return norm if alone and same_rows else None


@dataclass(frozen=True)
class NormalizeFewerRowsPass(ModulePass):
    """Of a normalised tensor only the rows that are looked up."""

    name = "normalize-fewer-rows"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        apply_patterns(op, LookUpBeforeNorm())
