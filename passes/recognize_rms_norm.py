"""`recognize-rms-norm`: one op for x / sqrt(mean(x^2) + epsilon) * weight.

The norm computes in f32 whatever its type, so the model's own casts around it go.
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
from passes.rewriting import (
    apply_patterns,
    is_float_cast,
    producer,
    replace,
    used_once,
    with_splat,
)


@dataclass(frozen=True)
class _Scale:
    """1 / sqrt(mean(x^2) + epsilon), and the ops that compute it."""

    input: SSAValue
    epsilon: float
    ops: tuple[Operation, ...]


def _match_scale(value: SSAValue, *, inverse: bool) -> _Scale | None:
    """Match the factor (rsqrt), or, if `inverse`, the divisor (sqrt)."""
    root = producer(value, ttir.SqrtOp if inverse else ttir.RsqrtOp)
    total = None if root is None else producer(root.operands[0], ttir.AddOp)
    found = None if total is None else with_splat(total)
    if root is None or total is None or found is None:
        return None
    mean_value, epsilon = found
    mean = producer(mean_value, ttir.MeanOp)
    square = None if mean is None else producer(mean.input, ttir.MultiplyOp)
    if mean is None or square is None or square.lhs != square.rhs:
        return None
    last = len(ttir.shape_of(square.lhs)) - 1
    if mean.axes != (last,) or not mean.keeps_dimensions:
        return None
    return _Scale(square.lhs, epsilon, (square, mean, total, root))


class RecognizeNormalization(RewritePattern):
    """x * rsqrt(mean(x^2) + epsilon), or x / sqrt(...)."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        match op:
            case ttir.MultiplyOp():
                pairs = [(op.lhs, op.rhs), (op.rhs, op.lhs)]
            case ttir.DivOp():
                pairs = [(op.lhs, op.rhs)]
            case _:
                return
        for value, factor in pairs:
            scale = _match_scale(factor, inverse=isinstance(op, ttir.DivOp))
            if scale is not None and scale.input == value:
                norm = ttir.RMSNormOp(
                    value,
                    normalized_shape=ttir.shape_of(value)[-1:],
                    epsilon=scale.epsilon,
                )
                replace(rewriter, op, norm, absorbed=scale.ops)
                return


class DropCastsAroundNorm(RewritePattern):
    """cast(rms_norm(cast(x))) where x and the result have one type."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ttir.TypecastOp, rewriter: PatternRewriter) -> None:
        norm = producer(op.input, ttir.RMSNormOp)
        if norm is None or norm.weight is not None or not used_once(op.input):
            return
        before = producer(norm.input, ttir.TypecastOp)
        if before is None or not is_float_cast(before):
            return
        if before.input.type != op.result.type:
            return
        narrow = ttir.RMSNormOp(
            before.input,
            normalized_shape=[int(i) for i in norm.normalized_shape.get_values()],
            epsilon=norm.epsilon.value.data,
        )
        replace(rewriter, op, narrow, absorbed=[norm, before])


class AbsorbWeight(RewritePattern):
    """weight * rms_norm(x), where the weight has the normalised shape."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ttir.MultiplyOp, rewriter: PatternRewriter) -> None:
        for value, weight in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
            norm = producer(value, ttir.RMSNormOp)
            if norm is None or norm.weight is not None or not used_once(value):
                continue
            shape = tuple(int(i) for i in norm.normalized_shape.get_values())
            if ttir.shape_of(weight) != shape or op.result.type != norm.result.type:
                continue
            weighted = ttir.RMSNormOp(
                norm.input,
                weight,
                normalized_shape=shape,
                epsilon=norm.epsilon.value.data,
            )
            replace(rewriter, op, weighted, absorbed=[norm])
            return


@dataclass(frozen=True)
class RecognizeRmsNormPass(ModulePass):
    """One op for x / sqrt(mean(x^2) + epsilon) * weight."""

    name = "recognize-rms-norm"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        apply_patterns(
            op, RecognizeNormalization(), DropCastsAroundNorm(), AbsorbWeight()
        )
