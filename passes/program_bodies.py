"""How each operation of the model is written inside a program.

Most operations are themselves. Norms, softmax and attention are spelt out in the
operations that stages are made of: contractions, reductions along rows, and
element-wise ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from xdsl.ir import Attribute, Operation, SSAValue

from dialects import ttir
from dialects.grid import CausalMaskOp
from dialects.ttir.base import element_of, shape_of, tensor_type_of


class Body(Protocol):
    """What a writer asks of the region being built."""

    def value(self, outer: SSAValue, *, repeat: int = 1) -> SSAValue:
        """The region's value for one outside; `repeat` repeats its dimension 1."""
        ...

    def matrix(self, outer: SSAValue, *, transposed: bool) -> tuple[SSAValue, bool]:
        """The right side of a contraction, and whether it is still to be turned.

        Constants are turned at upload.
        """
        ...

    def add(self, op: Operation) -> SSAValue:
        """Append an operation, return its result."""
        ...


Writer = Callable[[Body, Operation], SSAValue]


def _scalar(body: Body, like: SSAValue, number: float) -> SSAValue:
    rank = len(shape_of(like))
    return body.add(ttir.FullOp([1] * rank, number, _element(like)))


def _element(value: SSAValue) -> Attribute:
    return element_of(value)


def _clone(body: Body, op: Operation) -> SSAValue:
    mapping = {operand: body.value(operand) for operand in op.operands}
    return body.add(op.clone(mapping))


def _mean(body: Body, value: SSAValue) -> SSAValue:
    return body.add(ttir.MeanOp(value, [-1], keep_dim=True))


def _rms_norm(body: Body, op: Operation) -> SSAValue:
    assert isinstance(op, ttir.RMSNormOp)
    x = body.value(op.input)
    square = body.add(ttir.MultiplyOp(x, x))
    mean = _mean(body, square)
    shifted = body.add(ttir.AddOp(mean, _scalar(body, mean, op.epsilon.value.data)))
    scale = body.add(ttir.RsqrtOp(shifted))
    result = body.add(ttir.MultiplyOp(x, scale))
    return _affine(body, op, result)


def _affine(body: Body, op: ttir.NormalizationOp, value: SSAValue) -> SSAValue:
    if op.weight is not None:
        value = body.add(ttir.MultiplyOp(value, body.value(op.weight)))
    if op.bias is not None:
        value = body.add(ttir.AddOp(value, body.value(op.bias)))
    return value


def _layer_norm(body: Body, op: Operation) -> SSAValue:
    assert isinstance(op, ttir.LayerNormOp)
    x = body.value(op.input)
    centred = body.add(ttir.SubtractOp(x, _mean(body, x)))
    variance = _mean(body, body.add(ttir.MultiplyOp(centred, centred)))
    epsilon = _scalar(body, variance, op.epsilon.value.data)
    scale = body.add(ttir.RsqrtOp(body.add(ttir.AddOp(variance, epsilon))))
    return _affine(body, op, body.add(ttir.MultiplyOp(centred, scale)))


def _linear(body: Body, op: Operation) -> SSAValue:
    assert isinstance(op, ttir.LinearOp | ttir.MatmulOp)
    a = body.value(op.a)
    b, turned = body.matrix(op.b, transposed=op.transposes_b)
    result = body.add(
        ttir.MatmulOp(a, b, transpose_a=op.transposes_a, transpose_b=turned)
    )
    if isinstance(op, ttir.LinearOp) and op.bias is not None:
        result = body.add(ttir.AddOp(result, body.value(op.bias)))
    return result


def _softmax_parts(body: Body, scores: SSAValue) -> tuple[SSAValue, SSAValue]:
    """Exponentials of the scores, and the reciprocal of their sum."""
    peak = body.add(ttir.MaxOp(scores, [-1], keep_dim=True))
    shifted = body.add(ttir.SubtractOp(scores, peak))
    weights = body.add(ttir.ExpOp(shifted))
    total = body.add(ttir.SumOp(weights, [-1], keep_dim=True))
    return weights, body.add(ttir.ReciprocalOp(total))


def _softmax(body: Body, op: Operation) -> SSAValue:
    assert isinstance(op, ttir.SoftmaxOp)
    weights, scale = _softmax_parts(body, body.value(op.input))
    return body.add(ttir.MultiplyOp(weights, scale))


def _attention(body: Body, op: Operation) -> SSAValue:
    assert isinstance(op, ttir.ScaledDotProductAttentionOp)
    group = shape_of(op.query)[1] // shape_of(op.key)[1]
    query = body.value(op.query)
    key = body.value(op.key, repeat=group)
    value = body.value(op.value, repeat=group)
    scores = body.add(ttir.MatmulOp(query, key, transpose_b=True))
    factor = _scalar(body, scores, op.softmax_scale)
    scores = body.add(ttir.MultiplyOp(scores, factor))
    if op.causal:
        mask = body.add(CausalMaskOp(result_types=[tensor_type_of(scores)]))
        scores = body.add(ttir.AddOp(scores, mask))
    elif op.attention_mask is not None:
        scores = body.add(ttir.AddOp(scores, body.value(op.attention_mask)))
    weights, scale = _softmax_parts(body, scores)
    result = body.add(ttir.MatmulOp(weights, value))
    return body.add(ttir.MultiplyOp(result, scale))


WRITERS: dict[type[Operation], Writer] = {
    ttir.LinearOp: _linear,
    ttir.MatmulOp: _linear,
    ttir.RMSNormOp: _rms_norm,
    ttir.LayerNormOp: _layer_norm,
    ttir.SoftmaxOp: _softmax,
    ttir.ScaledDotProductAttentionOp: _attention,
}


def write(body: Body, op: Operation) -> SSAValue:
    """Write one operation of the model into a region; return its result there."""
    return WRITERS.get(type(op), _clone)(body, op)
