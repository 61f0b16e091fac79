"""`place-decode`: what run-time positions decide, in the form that programs take.

The vendor's operation takes and gives users x heads x columns, which would put heads
into the rows of tiles. Projections make, and read, one row for each user with its heads
side by side: heads first, users as rows, is that without moving anything. A look-up of
rows in a tensor that was computed picks them out of its tiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import (
    PatternRewriter,
    RewritePattern,
    op_type_rewrite_pattern,
)

from dialects import ttir
from dialects.grid import DecodeAttentionOp, PickRowsOp
from dialects.syntax import NumberAttr
from dialects.ttir.base import element_of, shape_of
from passes.constants import is_constant
from passes.rewriting import apply_patterns, replace


class HeadsFirst(RewritePattern):
    """Turn the query, and flatten the result to one row for each user."""

    @op_type_rewrite_pattern
    def match_and_rewrite(
        self, op: ttir.ScaledDotProductAttentionDecodeOp, rewriter: PatternRewriter
    ) -> None:
        if not op.causal or op.attention_sink is not None:
            return
        _, users, heads, _ = shape_of(op.query)
        width = shape_of(op.value)[-1]
        query = ttir.PermuteOp(op.query, [0, 2, 1, 3])
        flat = TensorType(element_of(op.query), [users, heads * width])
        attention = DecodeAttentionOp.create(
            operands=[query.result, op.key, op.value, op.cur_pos_tensor],
            result_types=[flat],
            properties={"scale": NumberAttr(op.softmax_scale)},
        )
        shaped = ttir.ReshapeOp(attention.result, shape_of(op.result))
        replace(rewriter, op, [query, attention, shaped])


class PickComputedRows(RewritePattern):
    """A look-up in what was computed reads tiles; only parameters lie row by row."""

    @op_type_rewrite_pattern
    def match_and_rewrite(
        self, op: ttir.EmbeddingOp, rewriter: PatternRewriter
    ) -> None:
        if is_constant(op.weight) or len(shape_of(op.weight)) != 2:
            return
        rows = op.input
        while isinstance(rows.owner, ttir.ReshapeOp):
            rows = rows.owner.input
        flat = [prod(shape_of(op.input)), shape_of(op.weight)[1]]
        if shape_of(rows) != (flat[0],):
            return
        picked = PickRowsOp.create(
            operands=[op.weight, rows],
            result_types=[TensorType(element_of(op.weight), flat)],
        )
        shaped = ttir.ReshapeOp(picked.result, shape_of(op.result))
        replace(rewriter, op, [picked, shaped])


@dataclass(frozen=True)
class PlaceDecodePass(ModulePass):
    """Attention of a decode step with heads first and users as rows."""

    name = "place-decode"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        apply_patterns(op, HeadsFirst(), PickComputedRows())
