"""What each `ttir` op means, as a function on torch tensors.

Used to compute constants while compiling, and by the tests as the judge of passes.
torch is imported when a value is first computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from xdsl.dialects.builtin import BFloat16Type, Float32Type, IntegerType
from xdsl.ir import Attribute, Operation

from dialects import ttir

if TYPE_CHECKING:
    import torch

Semantics = Callable[..., "torch.Tensor"]
"""Takes the op, then its operands in order."""

SEMANTICS: dict[type[Operation], Semantics] = {}
"""Op class -> its meaning."""


def evaluate(op: Operation, operands: Sequence[torch.Tensor]) -> torch.Tensor:
    """The result of an op on given operands, of the dtype that the op states.

    If an operand is a meta tensor, so is the result.
    """
    import torch

    result_type = ttir.tensor_type_of(op.results[0])
    dtype = dtype_of(result_type.element_type)
    if any(operand.is_meta for operand in operands):
        return torch.empty(result_type.get_shape(), dtype=dtype, device="meta")
    return SEMANTICS[type(op)](op, *operands).to(dtype)


def dtype_of(element: Attribute) -> torch.dtype:
    """The torch dtype of an element type."""
    import torch

    if isinstance(element, BFloat16Type):
        return torch.bfloat16
    if isinstance(element, Float32Type):
        return torch.float32
    assert isinstance(element, IntegerType)
    widths = {1: torch.bool, 32: torch.int32, 64: torch.int64}
    return widths[element.width.data]


def _torch() -> Any:
    import torch

    return torch


def _means(*ops: type[Operation]) -> Callable[[Semantics], Semantics]:
    def enter(function: Semantics) -> Semantics:
        SEMANTICS.update(dict.fromkeys(ops, function))
        return function

    return enter


def _by_name(function: str) -> Semantics:
    """The torch function of a name, applied to the operands."""
    return lambda _op, *operands: getattr(_torch(), function)(*operands)


SEMANTICS |= {
    ttir.AbsOp: _by_name("abs"),
    ttir.AddOp: _by_name("add"),
    ttir.CosOp: _by_name("cos"),
    ttir.DivOp: _by_name("div"),
    ttir.EqOp: _by_name("eq"),
    ttir.ErfOp: _by_name("erf"),
    ttir.ExpOp: _by_name("exp"),
    ttir.GeOp: _by_name("ge"),
    ttir.GtOp: _by_name("gt"),
    ttir.LeOp: _by_name("le"),
    ttir.LogicalAndOp: _by_name("logical_and"),
    ttir.LogicalNotOp: _by_name("logical_not"),
    ttir.LogicalOrOp: _by_name("logical_or"),
    ttir.LogOp: _by_name("log"),
    ttir.LtOp: _by_name("lt"),
    ttir.MaximumOp: _by_name("maximum"),
    ttir.MinimumOp: _by_name("minimum"),
    ttir.MultiplyOp: _by_name("mul"),
    ttir.NegOp: _by_name("neg"),
    ttir.NeOp: _by_name("ne"),
    ttir.PowOp: _by_name("pow"),
    ttir.ReciprocalOp: _by_name("reciprocal"),
    ttir.ReluOp: _by_name("relu"),
    ttir.RsqrtOp: _by_name("rsqrt"),
    ttir.SigmoidOp: _by_name("sigmoid"),
    ttir.SinOp: _by_name("sin"),
    ttir.SqrtOp: _by_name("sqrt"),
    ttir.SquareOp: _by_name("square"),
    ttir.SubtractOp: _by_name("sub"),
    ttir.TanhOp: _by_name("tanh"),
    ttir.TanOp: _by_name("tan"),
    ttir.TypecastOp: lambda _op, x: x,
    ttir.ReshapeOp: lambda op, x: x.reshape(ttir.shape_of(op)),
    ttir.SqueezeOp: lambda op, x: x.reshape(ttir.shape_of(op)),
    ttir.UnsqueezeOp: lambda op, x: x.reshape(ttir.shape_of(op)),
    ttir.BroadcastOp: lambda op, x: x.expand(ttir.shape_of(op)),
    ttir.TransposeOp: lambda op, x: x.permute(op.permutation),
    ttir.PermuteOp: lambda op, x: x.permute(op.permutation.get_values()),
    ttir.RepeatOp: lambda op, x: x.repeat(op.repeat_dimensions.get_values()),
    ttir.EmbeddingOp: lambda _op, x, weight: weight[x],
    ttir.GeluOp: lambda _op, x: _torch().nn.functional.gelu(x),
    ttir.SiluOp: lambda _op, x: _torch().nn.functional.silu(x),
    ttir.SumOp: lambda op, x: x.sum(op.axes, op.keeps_dimensions),
    ttir.MeanOp: lambda op, x: x.mean(op.axes, op.keeps_dimensions),
    ttir.MaxOp: lambda op, x: x.amax(op.axes, op.keeps_dimensions),
    ttir.MinOp: lambda op, x: x.amin(op.axes, op.keeps_dimensions),
    ttir.SoftmaxOp: lambda op, x: x.softmax(op.axis),
    ttir.ConcatOp: lambda op, *parts: _torch().cat(parts, op.axis),
}


@_means(ttir.WhereOp)
def _where(
    _op: Operation, first: torch.Tensor, second: torch.Tensor, third: torch.Tensor
) -> torch.Tensor:
    return _torch().where(first.bool(), second, third)


@_means(ttir.ClampScalarOp)
def _clamp(op: ttir.ClampScalarOp, x: torch.Tensor) -> torch.Tensor:
    return x.clamp(op.min.value.data, op.max.value.data)


@_means(ttir.RepeatInterleaveOp)
def _repeat_interleave(op: ttir.RepeatInterleaveOp, x: torch.Tensor) -> torch.Tensor:
    return x.repeat_interleave(op.repeats.value.data, op.dim.value.data)


@_means(ttir.SliceStaticOp)
def _slice(op: ttir.SliceStaticOp, x: torch.Tensor) -> torch.Tensor:
    return x[tuple(slice(run.start, run.stop, run.step) for run in op.runs)]


@_means(ttir.PadOp)
def _pad(op: ttir.PadOp, x: torch.Tensor) -> torch.Tensor:
    padding = [int(i) for i in op.padding.get_values()]
    pairs = [padding[i : i + 2] for i in range(0, len(padding), 2)]
    backwards = [number for pair in reversed(pairs) for number in pair]
    return _torch().nn.functional.pad(x, backwards, value=op.value.value.data)


@_means(ttir.MatmulOp)
def _matmul(
    op: ttir.MatmulOp | ttir.LinearOp, a: torch.Tensor, b: torch.Tensor
) -> torch.Tensor:
    a = a.mT if op.transposes_a else a
    b = b.mT if op.transposes_b else b
    return a @ b


@_means(ttir.LinearOp)
def _linear(
    op: ttir.LinearOp, a: torch.Tensor, b: torch.Tensor, *bias: torch.Tensor
) -> torch.Tensor:
    if len(b.shape) == 2 and op.transposes_b and not op.transposes_a:
        return _torch().nn.functional.linear(a, b, *bias)
    product = _matmul(op, a, b)
    return product + bias[0] if bias else product


def _split_operands(
    op: ttir.NormalizationOp, operands: Sequence[torch.Tensor]
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Weight and bias of a normalisation, each if present."""
    rest = list(operands)
    weight = rest.pop(0) if op.weight is not None else None
    bias = rest.pop(0) if op.bias is not None else None
    return weight, bias


@_means(ttir.RMSNormOp)
def _rms_norm(
    op: ttir.RMSNormOp, x: torch.Tensor, *operands: torch.Tensor
) -> torch.Tensor:
    weight, bias = _split_operands(op, operands)
    axes = list(range(-len(op.normalized_shape), 0))
    x32 = x.float()
    mean = x32.square().mean(axes, keepdim=True)
    result = x32 * (mean + op.epsilon.value.data).rsqrt()
    result = result if weight is None else result * weight
    return result if bias is None else result + bias


@_means(ttir.LayerNormOp)
def _layer_norm(
    op: ttir.LayerNormOp, x: torch.Tensor, *operands: torch.Tensor
) -> torch.Tensor:
    weight, bias = _split_operands(op, operands)
    shape = [int(extent) for extent in op.normalized_shape.get_values()]
    epsilon = op.epsilon.value.data
    return _torch().nn.functional.layer_norm(x, shape, weight, bias, epsilon)


@_means(ttir.ScaledDotProductAttentionOp)
def _attention(
    op: ttir.ScaledDotProductAttentionOp,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    return _torch().nn.functional.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        is_causal=op.causal,
        scale=op.softmax_scale,
        enable_gqa=True,
    )


@_means(ttir.FillCacheOp)
def _fill_cache(
    op: ttir.FillCacheOp,
    cache: torch.Tensor,
    rows: torch.Tensor,
    *batch_index: torch.Tensor,
) -> torch.Tensor:
    """In place, as the op says."""
    user = op.first_user + sum(int(index) for index in batch_index)
    cache[user, :, : rows.shape[2]] = rows[0]
    return cache


@_means(ttir.UpdateCacheOp)
def _update_cache(
    op: ttir.UpdateCacheOp,
    cache: torch.Tensor,
    rows: torch.Tensor,
    positions: torch.Tensor,
) -> torch.Tensor:
    """In place, as the op says."""
    for user, position in enumerate(positions.expand(rows.shape[2])):
        cache[op.first_user + user, :, position] = rows[0, :, user]
    return cache


@_means(ttir.ScaledDotProductAttentionDecodeOp)
def _attention_decode(
    op: ttir.ScaledDotProductAttentionDecodeOp,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *rest: torch.Tensor,
) -> torch.Tensor:
    mask, positions = (None, *rest) if op.attention_mask is None else rest
    if op.causal:
        rows = _torch().arange(key.shape[2])
        mask = (rows <= positions[:, None])[:, None, None]
    elif mask is not None:
        mask = mask.transpose(1, 2)
    result = _torch().nn.functional.scaled_dot_product_attention(
        query.permute(1, 2, 0, 3),
        key,
        value,
        attn_mask=mask,
        scale=op.softmax_scale,
        enable_gqa=True,
    )
    return result.permute(2, 0, 1, 3)


@_means(ttir.FullOp)
def _full(op: ttir.FullOp) -> torch.Tensor:
    dtype = dtype_of(ttir.element_of(op))
    return _torch().full(ttir.shape_of(op), op.value, dtype=dtype)


@_means(ttir.ZerosOp)
def _zeros(op: ttir.ZerosOp) -> torch.Tensor:
    return _torch().zeros(ttir.shape_of(op))


@_means(ttir.OnesOp)
def _ones(op: ttir.OnesOp) -> torch.Tensor:
    return _torch().ones(ttir.shape_of(op))


@_means(ttir.ArangeOp)
def _arange(op: ttir.ArangeOp) -> torch.Tensor:
    numbers = _torch().tensor(list(op.numbers))
    shape = [1] * len(ttir.shape_of(op))
    shape[op.arange_dimension.value.data] = len(op.numbers)
    return numbers.reshape(shape).expand(ttir.shape_of(op))


@_means(ttir.ConstantOp)
def _constant(op: ttir.ConstantOp) -> torch.Tensor:
    values = cast("Sequence[float]", op.value.get_values())
    return _torch().tensor(values).reshape(ttir.shape_of(op))
