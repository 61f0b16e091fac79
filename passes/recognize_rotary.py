"""`recognize-rotary`: rotary embedding as x cos + swap(x) signed_sin.

Models write concat(-second half, first half) * sin. The sign moves into the sine, a
constant, so that what is left of the rotation only moves elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import (
    PatternRewriter,
    RewritePattern,
    op_type_rewrite_pattern,
)
from xdsl.rewriter import InsertPoint

from dialects import ttir
from passes.rewriting import (
    apply_patterns,
    fused_location,
    producer,
    replace,
    used_once,
)

NAME_HINT = "ttir.name"
"""Key of the name that `fold-constants` gives to the value of an op."""


@dataclass(frozen=True)
class _Rotation:
    """concat(-second half, first half) along the last dimension."""

    concat: ttir.ConcatOp
    neg: ttir.NegOp
    first: SSAValue
    second: SSAValue


def _is_half(value: SSAValue, source: SSAValue, begin: int) -> bool:
    """Whether a value is one half of the last dimension of `source`."""
    part = producer(value, ttir.SliceStaticOp)
    if part is None or part.input != source:
        return False
    *others, last = part.runs
    *extents, width = ttir.shape_of(source)
    whole = [run == range(extent) for run, extent in zip(others, extents, strict=True)]
    return all(whole) and last == range(begin, begin + width // 2)


def _match_rotation(value: SSAValue) -> _Rotation | None:
    concat = producer(value, ttir.ConcatOp)
    if concat is None or len(concat.inputs) != 2:
        return None
    rank, width = len(ttir.shape_of(value)), ttir.shape_of(value)[-1]
    neg = producer(concat.inputs[0], ttir.NegOp)
    if neg is None or concat.axis != rank - 1 or width % 2:
        return None
    second, first = neg.input, concat.inputs[1]
    part = producer(first, ttir.SliceStaticOp)
    if part is None or not _is_half(first, part.input, 0):
        return None
    if not _is_half(second, part.input, width // 2):
        return None
    return _Rotation(concat, neg, first, second)


class MoveSignIntoSine(RewritePattern):
    """concat(-b, a) * sine becomes concat(b, a) * signed sine.

    One signed sine serves all rotations. Where rows of a table of sines are looked up,
    the sign goes into the table.
    """

    def __init__(self) -> None:
        self.signed: dict[SSAValue, SSAValue] = {}

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ttir.MultiplyOp, rewriter: PatternRewriter) -> None:
        for rotated, sine in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
            rotation = _match_rotation(rotated)
            if rotation is None or not used_once(rotated):
                continue
            if ttir.shape_of(sine)[-1:] != ttir.shape_of(rotated)[-1:]:
                continue
            swap = ttir.ConcatOp([rotation.second, rotation.first], -1)
            moved = [op, rotation.concat, rotation.neg]
            signed = self._sign(sine, moved, rewriter)
            product = ttir.MultiplyOp(swap, signed)
            replace(rewriter, op, [swap, product], absorbed=moved[1:])
            return

    def _sign(
        self, sine: SSAValue, moved: Sequence[Operation], rewriter: PatternRewriter
    ) -> SSAValue:
        """The sine with its first half negated, made where the sine is made."""
        if sine in self.signed:
            return self.signed[sine]
        row = sine.owner
        if isinstance(row, ttir.ReshapeOp) and _looks_rows_up(row):
            table = self._sign(row.input, moved, rewriter)
            new: list[Operation] = [ttir.ReshapeOp(table, ttir.shape_of(row))]
        elif isinstance(row, ttir.EmbeddingOp):
            table = self._sign(row.weight, moved, rewriter)
            new = [ttir.EmbeddingOp(row.input, table)]
        else:
            new = _signed(sine)
        sources = [row] if isinstance(row, Operation) else []
        for op in new:
            op.location = fused_location([*sources, *moved])
        place = InsertPoint.before(_first_op(moved[0]))
        if isinstance(row, Operation):
            place = InsertPoint.after(row)
        rewriter.insert(new, place)
        self.signed[sine] = new[-1].results[0]
        return self.signed[sine]


def _looks_rows_up(op: ttir.ReshapeOp) -> bool:
    """Whether a reshape keeps the rows of a lookup."""
    before, after = ttir.shape_of(op.input), ttir.shape_of(op)
    same = before[-1:] == after[-1:]
    return same and isinstance(op.input.owner, ttir.EmbeddingOp)


def _first_op(op: Operation) -> Operation:
    block = op.parent_block()
    assert block is not None
    assert block.first_op is not None
    return block.first_op


def _signed(sine: SSAValue) -> list[Operation]:
    """The sine with its first half negated: sine * concat(-1..., 1...)."""
    element = ttir.element_of(sine)
    shape = [1] * (len(ttir.shape_of(sine)) - 1) + [ttir.shape_of(sine)[-1] // 2]
    minus = ttir.FullOp(shape, -1.0, element)
    plus = ttir.FullOp(shape, 1.0, element)
    sign = ttir.ConcatOp([minus, plus], -1)
    signed = ttir.MultiplyOp(sine, sign)
    signed.attributes[NAME_HINT] = StringAttr("sin_signed")
    return [minus, plus, sign, signed]


@dataclass(frozen=True)
class RecognizeRotaryPass(ModulePass):
    """Rotary embedding as x cos + swap(x) signed_sin."""

    name = "recognize-rotary"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        apply_patterns(op, MoveSignIntoSine())
