"""How each operation of the model is written inside a program.

Most operations are themselves. Norms, softmax and attention are spelt out in the
operations that stages are made of: contractions, reductions along rows, and
element-wise ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from xdsl.dialects.builtin import TensorType, f32
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from dialects import ttir
from dialects.formats import TILE_EDGE, DataFormat
from dialects.grid import (
    CausalMaskOp,
    CombineOp,
    DecodeAttentionOp,
    EachUserOp,
    LoopOp,
    PickRowsOp,
    PositionMaskOp,
    YieldOp,
)
from dialects.grid_norms import RmsNormOfSumsOp, SquareSumsOp
from dialects.ttir.base import element_of, shape_of, tensor_type_of

LOWEST = -3.3895313892515355e38 / 2
"""Half the lowest finite bf16: where a peak begins, below all scores."""

MAX_ROW_TILES = 8
"""Tiles of a row of scores up to which it stays in L1 as a whole: loops over blocks
of keys cost a rescaling for each block."""


class _Adds(Protocol):
    """Where operations are appended."""

    def add(self, op: Operation) -> SSAValue:
        """Append an operation, return its result."""
        ...


class Body(_Adds, Protocol):
    """What a writer asks of the region being built."""

    def value(self, outer: SSAValue, *, repeat: int = 1) -> SSAValue:
        """The region's value for one outside; `repeat` repeats its dimension 1."""
        ...

    def picked(self, outer: SSAValue, rows: SSAValue) -> SSAValue:
        """A row of the tensor for each number, in tiles that hold others too."""
        ...

    def matrix(self, outer: SSAValue, *, transposed: bool) -> tuple[SSAValue, bool]:
        """The right side of a contraction, and whether it is still to be turned.

        Constants are turned at upload.
        """
        ...


Writer = Callable[[Body, Operation], SSAValue]


def _scalar(body: _Adds, like: SSAValue, number: float) -> SSAValue:
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


def _square_sums(body: Body, op: Operation) -> SSAValue:
    assert isinstance(op, SquareSumsOp)
    x = body.value(op.input)
    total = body.add(ttir.SumOp(body.add(ttir.MultiplyOp(x, x)), [1], keep_dim=True))
    return _as_element(body, total, f32)


def _norm_of_sums(body: Body, op: Operation) -> SSAValue:
    assert isinstance(op, RmsNormOfSumsOp)
    x, sums = body.value(op.input), body.value(op.sums)
    total = body.add(ttir.SumOp(sums, [-1], keep_dim=True))
    count = shape_of(op.input)[-1]
    mean = body.add(ttir.MultiplyOp(total, _scalar(body, total, 1.0 / count)))
    shifted = body.add(ttir.AddOp(mean, _scalar(body, mean, op.epsilon.data)))
    scale = _as_element(body, body.add(ttir.RsqrtOp(shifted)), element_of(x))
    result = body.add(ttir.MultiplyOp(x, scale))
    if op.weight is None:
        return result
    return body.add(ttir.MultiplyOp(result, body.value(op.weight)))


def _as_element(body: Body, value: SSAValue, element: Attribute) -> SSAValue:
    """A value of another element type, which a stage need not round to."""
    if element_of(value) == element:
        return value
    return body.add(ttir.TypecastOp(value, element))


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
    if _is_streamed(op):
        return online_attention(
            body,
            query,
            key,
            value,
            factor=op.softmax_scale,
            mask=_causal_mask if op.causal else None,
        )
    scores = body.add(ttir.MatmulOp(query, key, transpose_b=True))
    factor = _scalar(body, scores, op.softmax_scale)
    scores = body.add(ttir.MultiplyOp(scores, factor))
    if op.causal:
        scores = body.add(ttir.AddOp(scores, body.add(_causal_mask(scores))))
    elif op.attention_mask is not None:
        scores = body.add(ttir.AddOp(scores, body.value(op.attention_mask)))
    weights, scale = _softmax_parts(body, scores)
    result = body.add(ttir.MatmulOp(weights, value))
    return body.add(ttir.MultiplyOp(result, scale))


def _is_streamed(op: ttir.ScaledDotProductAttentionOp) -> bool:
    """Whether keys pass by block by block, instead of staying in L1 with the scores."""
    length = shape_of(op.key)[-2]
    whole = op.causal or length % TILE_EDGE == 0
    return length > MAX_ROW_TILES * TILE_EDGE and whole and op.attention_mask is None


def _causal_mask(scores: SSAValue) -> Operation:
    return CausalMaskOp(result_types=[tensor_type_of(scores)])


def _decode_attention(body: Body, op: Operation) -> SSAValue:
    assert isinstance(op, DecodeAttentionOp)
    group = shape_of(op.query)[1] // shape_of(op.key)[1]
    positions = body.value(op.positions)
    return online_attention(
        body,
        body.value(op.query),
        body.value(op.key, repeat=group),
        body.value(op.value, repeat=group),
        factor=op.scale.data,
        mask=lambda scores: PositionMaskOp(positions, _mask_type(op.key, scores)),
        combines=True,
    )


def _mask_type(key: SSAValue, scores: SSAValue) -> Attribute:
    users, length = shape_of(key)[0], shape_of(key)[2]
    return TensorType(element_of(scores), [users, 1, 1, length])


class _Inside:
    """The region of a loop being written."""

    def __init__(self, *types: Attribute):
        self.block = Block(arg_types=types)

    def add(self, op: Operation) -> SSAValue:
        """Append an operation, return its result."""
        self.block.add_op(op)
        return op.results[0]


def online_attention(
    body: Body,
    query: SSAValue,
    key: SSAValue,
    value: SSAValue,
    *,
    factor: float,
    mask: Callable[[SSAValue], Operation] | None,
    combines: bool = False,
) -> SSAValue:
    """softmax(query key^T factor + mask) value, one block of keys after another.

    Carried are the peak of the scores so far, the sum of their exponentials, and the
    sum of values weighted with them; both sums are scaled when the peak rises (Milakov
    and Gimelshein, Online normalizer calculation for softmax). The peak is kept in
    bf16, so that all who subtract it subtract the same number. With `combines`, cores
    may share the keys out.
    """
    model_type = element_of(query)
    product = ttir.MatmulOp(query, key, transpose_b=True)
    kept_shape = shape_of(product.result)[:-1]
    row = TensorType(f32, [*kept_shape, 1])
    whole = TensorType(f32, [*kept_shape, shape_of(value)[-1]])
    inside = _Inside(row, row, whole)
    peak, total, result = inside.block.args
    scores = inside.add(ttir.TypecastOp(inside.add(product), f32))
    scores = inside.add(ttir.MultiplyOp(scores, _scalar(inside, scores, factor)))
    if mask is not None:
        scores = inside.add(ttir.AddOp(scores, inside.add(mask(scores))))
    highest = inside.add(ttir.MaxOp(scores, [-1], keep_dim=True))
    highest = inside.add(ttir.MaximumOp(highest, peak))
    shifted = inside.add(ttir.SubtractOp(scores, highest))
    weights = inside.add(ttir.TypecastOp(inside.add(ttir.ExpOp(shifted)), model_type))
    fall = inside.add(ttir.SubtractOp(peak, highest))
    scale = inside.add(ttir.ExpOp(fall))
    added = inside.add(ttir.SumOp(weights, [-1], keep_dim=True))
    added = inside.add(ttir.TypecastOp(added, f32))
    kept = inside.add(ttir.MultiplyOp(total, scale))
    total = inside.add(ttir.AddOp(added, kept))
    product = inside.add(ttir.MatmulOp(weights, value))
    product = inside.add(ttir.TypecastOp(product, f32))
    kept = inside.add(ttir.MultiplyOp(result, scale))
    result = inside.add(ttir.AddOp(product, kept))
    inside.block.add_op(YieldOp(highest, total, result))
    loop = LoopOp(
        key,
        len(shape_of(key)) - 2,
        init=(LOWEST, 0.0, 0.0),
        formats=(DataFormat.BF16, DataFormat.FP32, DataFormat.FP32),
        types=(row, row, whole),
        body=Region(inside.block),
    )
    body.add(loop)
    _, total, result = _combined(body, loop) if combines else loop.carried
    scale = body.add(ttir.ReciprocalOp(total))
    result = body.add(ttir.MultiplyOp(result, scale))
    return body.add(ttir.TypecastOp(result, model_type))


def _combined(body: Body, loop: LoopOp) -> tuple[SSAValue, ...]:
    """What several cores found of one softmax, scaled to the higher of their peaks."""
    types = [value.type for value in loop.carried]
    inside = _Inside(*types, *types)
    peak, total, result, other_peak, other_total, other_result = inside.block.args
    highest = inside.add(ttir.MaximumOp(peak, other_peak))
    scale = inside.add(ttir.ExpOp(inside.add(ttir.SubtractOp(peak, highest))))
    fall = inside.add(ttir.SubtractOp(other_peak, highest))
    other_scale = inside.add(ttir.ExpOp(fall))
    sums = []
    for own, other in ((total, other_total), (result, other_result)):
        own = inside.add(ttir.MultiplyOp(own, scale))
        other = inside.add(ttir.MultiplyOp(other, other_scale))
        sums.append(inside.add(ttir.AddOp(own, other)))
    inside.block.add_op(YieldOp(highest, *sums))
    formats = [DataFormat(word) for word in loop.formats.data]
    combine = CombineOp(loop.carried, formats, Region(inside.block))
    body.add(combine)
    return tuple(combine.combined)


def _update_cache(body: Body, op: Operation) -> SSAValue:
    """Each user's row, to be written where the user's position says."""
    assert isinstance(op, ttir.UpdateCacheOp)
    rows = body.value(op.input)
    _, heads, users, width = shape_of(op.input)
    result = TensorType(element_of(rows), [users, heads, users, width])
    return body.add(EachUserOp(rows, result))


def _pick_rows(body: Body, op: Operation) -> SSAValue:
    assert isinstance(op, PickRowsOp)
    rows = body.picked(op.input, op.rows)
    return body.add(ttir.TypecastOp(rows, element_of(rows)))


def _fill_cache(body: Body, op: Operation) -> SSAValue:
    assert isinstance(op, ttir.FillCacheOp)
    rows = body.value(op.input)
    return body.add(ttir.TypecastOp(rows, element_of(rows)))


WRITERS: dict[type[Operation], Writer] = {
    ttir.LinearOp: _linear,
    ttir.MatmulOp: _linear,
    ttir.RMSNormOp: _rms_norm,
    ttir.LayerNormOp: _layer_norm,
    SquareSumsOp: _square_sums,
    RmsNormOfSumsOp: _norm_of_sums,
    ttir.SoftmaxOp: _softmax,
    ttir.ScaledDotProductAttentionOp: _attention,
    DecodeAttentionOp: _decode_attention,
    PickRowsOp: _pick_rows,
    ttir.FillCacheOp: _fill_cache,
    ttir.UpdateCacheOp: _update_cache,
}


def write(body: Body, op: Operation) -> SSAValue:
    """Write one operation of the model into a region; return its result there."""
    return WRITERS.get(type(op), _clone)(body, op)
