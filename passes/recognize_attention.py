"""`recognize-attention`: one op for softmax(q k^T scale + mask) v.

A mask that is the lower triangle becomes `is_causal`, any other is added to the
scores; keys and values that were repeated for groups of heads are read once.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import replace as with_changes
from typing import TYPE_CHECKING

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, i1
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import (
    PatternRewriter,
    RewritePattern,
    op_type_rewrite_pattern,
)

from dialects import ttir
from passes.constant_evaluation import KnownValues
from passes.context import values_of
from passes.rewriting import (
    apply_patterns,
    is_float_cast,
    producer,
    replace,
    splat_of,
    with_splat,
)
from passes.simplify import exchanges_last_two

if TYPE_CHECKING:
    import torch

MASKED = -1e4
"""A score to which this or less is added counts as masked; models use -1e4 and down."""

LOWEST = -3.3895313892515355e38
"""The lowest finite bf16: minus infinity less minus infinity would be no number."""


@dataclass(frozen=True)
class _Scores:
    """What was found on the way from a softmax up to the product of q and k."""

    value: SSAValue
    scale: float = 1.0
    mask: SSAValue | None = None
    keeps: bool = True
    """Whether a mask of i1 says what is kept rather than what is left out."""
    ops: tuple[Operation, ...] = ()


def _peel(scores: _Scores) -> _Scores | None:
    """One step towards the product, or None if there is none."""
    op = scores.value.owner
    match op:
        case ttir.TypecastOp() if is_float_cast(op):
            return with_changes(scores, value=op.input, ops=(*scores.ops, op))
        case ttir.MultiplyOp() if (found := with_splat(op)) is not None:
            value, factor = found
            scale = scores.scale * factor
            return with_changes(scores, value=value, scale=scale, ops=(*scores.ops, op))
        case ttir.AddOp() | ttir.WhereOp() if scores.mask is None:
            return _peel_mask(scores, op) if scores.scale == 1.0 else None
    return None


def _peel_mask(scores: _Scores, op: ttir.AddOp | ttir.WhereOp) -> _Scores | None:
    ops = (*scores.ops, op)
    if isinstance(op, ttir.AddOp):
        pairs = ((op.lhs, op.rhs), (op.rhs, op.lhs))
        for value, mask in pairs:
            if value.type == op.result.type and _leads_to_product(value):
                return with_changes(scores, value=value, mask=mask, ops=ops)
        return None
    for value, filler, keeps in (
        (op.second, op.third, True),
        (op.third, op.second, False),
    ):
        number = splat_of(filler)
        if number is not None and number <= MASKED and value.type == op.result.type:
            return with_changes(
                scores, value=value, mask=op.first, keeps=keeps, ops=ops
            )
    return None


def _leads_to_product(value: SSAValue) -> bool:
    return _find_product(_Scores(value)) is not None


def _find_product(scores: _Scores) -> _Scores | None:
    """Follow the scores up to a matmul."""
    found: _Scores | None = scores
    while found is not None and not isinstance(found.value.owner, ttir.MatmulOp):
        found = _peel(found)
    return found


def _transposed_key(op: ttir.MatmulOp) -> tuple[SSAValue, list[Operation]] | None:
    """k of q k^T, and the op that transposed it."""
    if op.transposes_a:
        return None
    if op.transposes_b:
        return op.b, []
    view = producer(op.b, ttir.PermuteOp)
    if view is None or not exchanges_last_two(view):
        return None
    return view.input, [view]


class RecognizeAttention(RewritePattern):
    """matmul(softmax(matmul(q, k^T) * scale + mask), v)."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ttir.MatmulOp, rewriter: PatternRewriter) -> None:
        probabilities, casts = _before_casts(op.a)
        softmax = producer(probabilities, ttir.SoftmaxOp)
        rank = len(ttir.shape_of(op))
        if softmax is None or softmax.axis != rank - 1 or rank != 4:
            return
        if op.transposes_a or op.transposes_b:
            return
        scores = _find_product(_Scores(softmax.input))
        product = None if scores is None else producer(scores.value, ttir.MatmulOp)
        if scores is None or product is None:
            return
        key = _transposed_key(product)
        if key is None or not _fits(product.a, key[0], op.b):
            return
        mask_ops, mask = _kept(scores)
        attention = ttir.ScaledDotProductAttentionOp(
            product.a, key[0], op.b, mask, is_causal=False, scale=scores.scale
        )
        absorbed = [product, *key[1], *reversed(scores.ops), softmax, *casts]
        replace(rewriter, op, [*mask_ops, attention], absorbed=absorbed)


def _before_casts(value: SSAValue) -> tuple[SSAValue, list[Operation]]:
    cast = producer(value, ttir.TypecastOp)
    if cast is None or not is_float_cast(cast):
        return value, []
    return cast.input, [cast]


def _fits(query: SSAValue, key: SSAValue, value: SSAValue) -> bool:
    """Whether the three have one element type and the same batch and heads."""
    elements = {ttir.element_of(tensor) for tensor in (query, key, value)}
    heads = {ttir.shape_of(tensor)[:-2] for tensor in (query, key, value)}
    return len(elements) == 1 and len(heads) == 1


def _kept(scores: _Scores) -> tuple[list[Operation], SSAValue | None]:
    """The mask as attention wants it, and the ops that make it so."""
    if scores.mask is None or scores.keeps:
        return [], scores.mask
    inverse = ttir.LogicalNotOp(scores.mask)
    return [inverse], inverse.result


class RecognizeCausalMask(RewritePattern):
    """A mask whose value is the lower triangle, or one that masks nothing."""

    def __init__(self, values: dict[str, torch.Tensor]) -> None:
        self.values = values
        self.verdicts: dict[SSAValue, bool | None] = {}

    @op_type_rewrite_pattern
    def match_and_rewrite(
        self, op: ttir.ScaledDotProductAttentionOp, rewriter: PatternRewriter
    ) -> None:
        function = op.parent_op()
        if op.attention_mask is None or not isinstance(function, FuncOp):
            return
        if op.attention_mask not in self.verdicts:
            value = KnownValues(function, self.values).get(op.attention_mask)
            self.verdicts[op.attention_mask] = is_causal_mask(value)
        causal = self.verdicts[op.attention_mask]
        if causal is None or op.attention_sink is not None:
            return
        if causal and ttir.shape_of(op.query)[2] != ttir.shape_of(op.key)[2]:
            return
        attention = ttir.ScaledDotProductAttentionOp(
            op.query, op.key, op.value, is_causal=causal, scale=op.softmax_scale
        )
        replace(rewriter, op, attention)


def is_causal_mask(mask: torch.Tensor | None) -> bool | None:
    """True for the lower triangle, False where nothing is masked, None for others.

    None too for a mask whose value is not known.
    """
    import torch

    if mask is None or mask.is_meta:
        return None
    if mask.dtype == torch.bool:
        kept = mask
    else:
        kept = mask == 0
        if not bool((kept | (mask <= MASKED)).all()):
            return None
    if bool(kept.all()):
        return False
    if kept.dim() < 2 or kept.shape[-1] != kept.shape[-2]:
        return None
    rows = torch.arange(kept.shape[-1])
    lower = rows[None, :] <= rows[:, None]
    return True if bool((kept == lower).all()) else None


def _ungrouped(value: SSAValue) -> tuple[SSAValue, list[Operation]] | None:
    """Keys or values before each head was repeated, and the ops that repeat."""
    batch, heads, rows, width = ttir.shape_of(value)
    view = producer(value, ttir.ReshapeOp)
    wide = producer(value if view is None else view.input, ttir.BroadcastOp)
    if wide is None:
        return None
    shape, factors = ttir.shape_of(wide.input), wide.broadcast_dimensions.get_values()
    if view is None and shape[1] == 1 and factors == (1, heads, 1, 1):
        return wide.input, [wide]
    grouped = (batch, shape[1], 1, rows, width)
    if view is None or shape != grouped:
        return None
    if factors != (1, 1, heads // shape[1], 1, 1):
        return None
    return wide.input, [wide, view]


class AddMaskToScores(RewritePattern):
    """A mask of i1, which says what is kept, as numbers that are added to scores."""

    @op_type_rewrite_pattern
    def match_and_rewrite(
        self, op: ttir.ScaledDotProductAttentionOp, rewriter: PatternRewriter
    ) -> None:
        mask = op.attention_mask
        if mask is None or ttir.element_of(mask) != i1 or op.attention_sink is not None:
            return
        element = ttir.element_of(op.query)
        one = (1,) * len(ttir.shape_of(mask))
        kept, masked = (ttir.FullOp(one, number, element) for number in (0.0, LOWEST))
        added = ttir.WhereOp(mask, kept, masked)
        attention = ttir.ScaledDotProductAttentionOp(
            op.query,
            op.key,
            op.value,
            added.result,
            is_causal=op.causal,
            scale=op.softmax_scale,
        )
        replace(rewriter, op, [kept, masked, added, attention])


class ReadGroupedHeadsOnce(RewritePattern):
    """Keys and values that were repeated for each head of a group."""

    @op_type_rewrite_pattern
    def match_and_rewrite(
        self, op: ttir.ScaledDotProductAttentionOp, rewriter: PatternRewriter
    ) -> None:
        key, value = _ungrouped(op.key), _ungrouped(op.value)
        if key is None or value is None or op.attention_sink is not None:
            return
        if ttir.shape_of(key[0])[1] != ttir.shape_of(value[0])[1]:
            return
        views: list[Operation] = [
            ttir.ReshapeOp(source, (*ttir.shape_of(source)[:2], *target[2:]))
            for source, target in (
                (key[0], ttir.shape_of(op.key)),
                (value[0], ttir.shape_of(op.value)),
            )
        ]
        attention = ttir.ScaledDotProductAttentionOp(
            op.query,
            views[0],
            views[1],
            op.attention_mask,
            is_causal=op.causal,
            scale=op.softmax_scale,
        )
        absorbed = [*key[1], *value[1]]
        replace(rewriter, op, [*views, attention], absorbed=absorbed)


@dataclass(frozen=True)
class RecognizeAttentionPass(ModulePass):
    """One op for softmax(q k^T scale + mask) v."""

    name = "recognize-attention"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        apply_patterns(
            op,
            RecognizeAttention(),
            RecognizeCausalMask(values_of(ctx)),
            AddMaskToScores(),
            ReadGroupedHeadsOnce(),
        )
