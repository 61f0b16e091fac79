"""`place-decode`: attention of a decode step with heads first and users as rows.

The vendor's operation takes and gives users x heads x columns, which would put heads
into the rows of tiles. Projections make, and read, one row for each user with its heads
side by side: heads first, users as rows, is that without moving anything.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import (
    PatternRewriter,
    RewritePattern,
    op_type_rewrite_pattern,
)

from dialects import ttir
from dialects.grid import DecodeAttentionOp
from dialects.syntax import NumberAttr
from dialects.ttir.base import element_of, shape_of
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


@dataclass(frozen=True)
class PlaceDecodePass(ModulePass):
    """Attention of a decode step with heads first and users as rows."""

    name = "place-decode"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        apply_patterns(op, HeadsFirst())
