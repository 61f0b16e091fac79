"""`decompose`: writes ops that are shorthand in the ops they stand for.

Afterwards elements move by reshape, permute, slice_static, concat, broadcast and pad
only, and numbers are `full`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

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
from dialects.formats import TILE_EDGE
from passes.rewriting import apply_patterns, replace, replace_by_value, splat_of


class WriteViewAsReshapeOrPermute(RewritePattern):
    """squeeze and unsqueeze are reshapes; transpose is a permutation."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        match op:
            case ttir.SqueezeOp() | ttir.UnsqueezeOp():
                replace(rewriter, op, ttir.ReshapeOp(op.input, ttir.shape_of(op)))
            case ttir.TransposeOp():
                replace(rewriter, op, ttir.PermuteOp(op.input, op.permutation))


def _repeated(
    value: SSAValue, factors: Sequence[int], *, inside: bool
) -> list[Operation]:
    """Dimensions repeated: element by element (inside), or each as a whole.

    A repeated dimension of extent e becomes e x factor, or factor x e, and the two are
    merged.
    """
    shape = ttir.shape_of(value)
    split: list[int] = []
    wide: list[int] = []
    for extent, factor in zip(shape, factors, strict=True):
        if factor == 1:
            split, wide = [*split, extent], [*wide, 1]
        elif inside:
            split, wide = [*split, extent, 1], [*wide, 1, factor]
        else:
            split, wide = [*split, 1, extent], [*wide, factor, 1]
    first = ttir.ReshapeOp(value, split)
    second = ttir.BroadcastOp(first, wide)
    merged = [extent * factor for extent, factor in zip(shape, factors, strict=True)]
    return [first, second, ttir.ReshapeOp(second, merged)]


class WriteRepeatAsBroadcast(RewritePattern):
    """repeat and repeat_interleave are broadcasts between two reshapes."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        match op:
            case ttir.RepeatOp():
                factors = [int(i) for i in op.repeat_dimensions.get_values()]
                replace(rewriter, op, _repeated(op.input, factors, inside=False))
            case ttir.RepeatInterleaveOp():
                factors = [1] * len(ttir.shape_of(op))
                factors[op.dim.value.data] = op.repeats.value.data
                replace(rewriter, op, _repeated(op.input, factors, inside=True))


class WriteNumberAsFull(RewritePattern):
    """zeros and ones are `full`."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        if isinstance(op, ttir.ZerosOp | ttir.OnesOp):
            value = float(isinstance(op, ttir.OnesOp))
            full = ttir.FullOp(ttir.shape_of(op), value, ttir.element_of(op))
            replace(rewriter, op, full)


POWERS: dict[float, Callable[[SSAValue], list[Operation]]] = {
    -1.0: lambda x: [ttir.ReciprocalOp(x)],
    -0.5: lambda x: [ttir.RsqrtOp(x)],
    0.5: lambda x: [ttir.SqrtOp(x)],
    2.0: lambda x: [ttir.MultiplyOp(x, x)],
    3.0: lambda x: [square := ttir.MultiplyOp(x, x), ttir.MultiplyOp(square, x)],
}
"""Exponent -> the ops that are exact and cheaper than a power."""


class WritePowerAsProduct(RewritePattern):
    """Powers with a small whole exponent are products, half ones are roots."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        if isinstance(op, ttir.SquareOp):
            replace(rewriter, op, ttir.MultiplyOp(op.input, op.input))
            return
        if not isinstance(op, ttir.PowOp):
            return
        exponent = splat_of(op.rhs)
        if ttir.shape_of(op.lhs) != ttir.shape_of(op) or exponent is None:
            return
        if exponent == 1.0:
            replace_by_value(rewriter, op, op.lhs)
        elif exponent in POWERS:
            replace(rewriter, op, POWERS[exponent](op.lhs))


class WriteDivisionAsProduct(RewritePattern):
    """Division by a number is multiplication by its inverse."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ttir.DivOp, rewriter: PatternRewriter) -> None:
        divisor = splat_of(op.rhs)
        if not divisor or not ttir.is_float(ttir.element_of(op)):
            return
        shape = ttir.shape_of(op.rhs)
        inverse = ttir.FullOp(shape, 1.0 / divisor, ttir.element_of(op))
        replace(rewriter, op, [inverse, ttir.MultiplyOp(op.lhs, inverse)])


class WriteClampAsBounds(RewritePattern):
    """A clamp is the larger of the lower bound and the smaller of the upper one."""

    @op_type_rewrite_pattern
    def match_and_rewrite(
        self, op: ttir.ClampScalarOp, rewriter: PatternRewriter
    ) -> None:
        element = ttir.element_of(op)
        if not ttir.is_float(element):
            return
        shape = [1] * len(ttir.shape_of(op))
        new: list[Operation] = []
        value = op.input
        for bound, kind in ((op.max, ttir.MinimumOp), (op.min, ttir.MaximumOp)):
            if isfinite(bound.value.data):
                number = ttir.FullOp(shape, float(bound.value.data), element)
                new += [number, step := kind(value, number)]
                value = step.result
        if new:
            replace(rewriter, op, new)


class WriteMatmulOfVectorsAsMatrices(RewritePattern):
    """A vector on the left is one row, on the right one column."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ttir.MatmulOp, rewriter: PatternRewriter) -> None:
        ranks = len(ttir.shape_of(op.a)), len(ttir.shape_of(op.b))
        if 1 not in ranks:
            return
        new: list[Operation] = []
        a, b = op.a, op.b
        if ranks[0] == 1:
            new.append(row := ttir.ReshapeOp(a, [1, *ttir.shape_of(a)]))
            a = row.result
        if ranks[1] == 1:
            new.append(column := ttir.ReshapeOp(b, [*ttir.shape_of(b), 1]))
            b = column.result
        product = ttir.MatmulOp(
            a, b, transpose_a=op.transposes_a, transpose_b=op.transposes_b
        )
        result = ttir.ReshapeOp(product, ttir.shape_of(op))
        replace(rewriter, op, [*new, product, result])


# -- reductions ----------------------------------------------------------------


class WriteMinAsMax(RewritePattern):
    """The smallest element is minus the largest of the negated ones."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ttir.MinOp, rewriter: PatternRewriter) -> None:
        negated = ttir.NegOp(op.input)
        largest = ttir.MaxOp(negated, op.axes, keep_dim=op.keeps_dimensions)
        replace(rewriter, op, [negated, largest, ttir.NegOp(largest)])


class ReduceOneDimensionAtATime(RewritePattern):
    """Reductions keep their dimension, and have one: the last ones go first."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        if not isinstance(op, ttir.ReductionOp):
            return
        if op.keeps_dimensions and len(op.axes) == 1:
            return
        new: list[Operation] = []
        value = op.input
        for axis in reversed(op.axes):
            new.append(step := type(op)(value, [axis], keep_dim=True))
            value = step.result
        if not op.keeps_dimensions:
            new.append(ttir.ReshapeOp(value, ttir.shape_of(op)))
        if new:
            replace(rewriter, op, new)


class ReduceAlongColumns(RewritePattern):
    """What would reduce rows that end inside a tile is turned before and behind.

    Masks cover columns only, so padding rows must not reach a reduction.
    """

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        rank = len(ttir.shape_of(op.results[0])) if op.results else 0
        if isinstance(op, ttir.SoftmaxOp):
            moved = op.axis != rank - 1
        elif isinstance(op, ttir.ReductionOp) and len(op.axes) == 1:
            height = ttir.shape_of(op.input)[op.axes[0]]
            moved = op.axes[0] == rank - 2 and height % TILE_EDGE != 0
            moved = moved and op.keeps_dimensions
        else:
            return
        if not moved:
            return
        axis = op.axis if isinstance(op, ttir.SoftmaxOp) else op.axes[0]
        order = list(range(rank))
        order[axis], order[-1] = order[-1], order[axis]
        turned = ttir.PermuteOp(op.operands[0], order)
        if isinstance(op, ttir.SoftmaxOp):
            inner: Operation = ttir.SoftmaxOp(turned, rank - 1)
        else:
            inner = type(op)(turned, [rank - 1], keep_dim=True)
        replace(rewriter, op, [turned, inner, ttir.PermuteOp(inner, order)])


class HalveLeadingMaximum(RewritePattern):
    """A maximum over a leading dimension compares halves until one is left."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ttir.MaxOp, rewriter: PatternRewriter) -> None:
        shape = ttir.shape_of(op.input)
        if len(op.axes) != 1 or op.axes[0] >= len(shape) - 2:
            return
        (axis,) = op.axes
        if not op.keeps_dimensions or shape[axis] == 1:
            return
        half = -(-shape[axis] // 2)
        first = _range(op.input, axis, 0, half)
        second = _range(op.input, axis, shape[axis] - half, shape[axis])
        larger = ttir.MaximumOp(first, second)
        rest: list[Operation] = [larger]
        if half > 1:
            rest.append(ttir.MaxOp(larger, [axis], keep_dim=True))
        replace(rewriter, op, [first, second, *rest])


def _range(value: SSAValue, axis: int, begin: int, end: int) -> ttir.SliceStaticOp:
    shape = ttir.shape_of(value)
    begins, ends = [0] * len(shape), list(shape)
    begins[axis], ends[axis] = begin, end
    return ttir.SliceStaticOp(value, begins, ends, [1] * len(shape))


@dataclass(frozen=True)
class DecomposePass(ModulePass):
    """Writes ops that are shorthand in the ops they stand for."""

    name = "decompose"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        apply_patterns(
            op,
            WriteViewAsReshapeOrPermute(),
            WriteRepeatAsBroadcast(),
            WriteNumberAsFull(),
            WritePowerAsProduct(),
            WriteDivisionAsProduct(),
            WriteClampAsBounds(),
            WriteMatmulOfVectorsAsMatrices(),
            WriteMinAsMax(),
            ReduceOneDimensionAtATime(),
            ReduceAlongColumns(),
            HalveLeadingMaximum(),
        )
