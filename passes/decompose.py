"""`decompose`: writes ops that are shorthand in the ops they stand for.

Afterwards elements move by reshape, permute, slice_static, concat, broadcast and pad
only, and numbers are `full`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
        )
