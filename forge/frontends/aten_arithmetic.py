"""Importers of the ATen ops that compute."""

from __future__ import annotations

import math
from collections.abc import Sequence

from xdsl.dialects.builtin import i1
from xdsl.ir import Attribute, SSAValue

from dialects import ttir
from forge.errors import UnsupportedError
from forge.frontends.graph_builder import (
    GraphBuilder,
    Number,
    Operand,
    Value,
)
from forge.frontends.importers import Importer, importer

UNARY: dict[str, type[ttir.UnaryOp]] = {
    "abs": ttir.AbsOp,
    "cos": ttir.CosOp,
    "erf": ttir.ErfOp,
    "exp": ttir.ExpOp,
    "log": ttir.LogOp,
    "neg": ttir.NegOp,
    "reciprocal": ttir.ReciprocalOp,
    "relu": ttir.ReluOp,
    "rsqrt": ttir.RsqrtOp,
    "sigmoid": ttir.SigmoidOp,
    "silu": ttir.SiluOp,
    "sin": ttir.SinOp,
    "sqrt": ttir.SqrtOp,
    "square": ttir.SquareOp,
    "tan": ttir.TanOp,
    "tanh": ttir.TanhOp,
}
ARITHMETIC: dict[str, type[ttir.ArithmeticOp]] = {
    "div": ttir.DivOp,
    "maximum": ttir.MaximumOp,
    "minimum": ttir.MinimumOp,
    "mul": ttir.MultiplyOp,
}
COMPARISONS: dict[str, type[ttir.ComparisonOp]] = {
    "eq": ttir.EqOp,
    "ge": ttir.GeOp,
    "gt": ttir.GtOp,
    "le": ttir.LeOp,
    "lt": ttir.LtOp,
    "ne": ttir.NeOp,
}
BOOLEAN: dict[str, type[ttir.ComparisonOp]] = {
    "__and__": ttir.LogicalAndOp,
    "__or__": ttir.LogicalOrOp,
    "bitwise_and": ttir.LogicalAndOp,
    "bitwise_or": ttir.LogicalOrOp,
    "logical_and": ttir.LogicalAndOp,
    "logical_or": ttir.LogicalOrOp,
}
REDUCTIONS: dict[str, type[ttir.ReductionOp]] = {
    "amax": ttir.MaxOp,
    "amin": ttir.MinOp,
    "mean": ttir.MeanOp,
    "sum": ttir.SumOp,
}


def _unary(op: type[ttir.UnaryOp]) -> Importer:
    def import_unary(builder: GraphBuilder, self: Value) -> SSAValue:
        return builder.emit(op(builder.cast(self, builder.result_element)))

    return import_unary


def _binary(
    builder: GraphBuilder,
    op: type[ttir.BinaryOp],
    operands: tuple[Operand, Operand],
    element: Attribute,
) -> SSAValue:
    rank = len(builder.result_shape)
    lhs, rhs = (builder.operand(value, element, rank) for value in operands)
    return builder.emit(op(lhs, rhs))


def _arithmetic(op: type[ttir.BinaryOp]) -> Importer:
    def import_arithmetic(
        builder: GraphBuilder, self: Operand, other: Operand
    ) -> SSAValue:
        return _binary(builder, op, (self, other), builder.result_element)

    return import_arithmetic


def _comparison(op: type[ttir.BinaryOp]) -> Importer:
    def import_comparison(
        builder: GraphBuilder, self: Operand, other: Operand
    ) -> SSAValue:
        return _binary(builder, op, (self, other), builder.promoted_element())

    return import_comparison


def _boolean(op: type[ttir.BinaryOp]) -> Importer:
    def import_boolean(
        builder: GraphBuilder, self: Operand, other: Operand
    ) -> SSAValue:
        if builder.result_element != i1:
            raise UnsupportedError(
                "bitwise operations on integers are not supported",
                advice="use them on bool tensors only",
            )
        return _binary(builder, op, (self, other), i1)

    return import_boolean


for _name, _op in UNARY.items():
    importer(f"aten.{_name}.default")(_unary(_op))
for _name, _op in ARITHMETIC.items():
    importer(f"aten.{_name}.Tensor", f"aten.{_name}.default")(_arithmetic(_op))
    importer(f"aten.{_name}.Scalar")(_arithmetic(_op))
for _name, _op in COMPARISONS.items():
    importer(f"aten.{_name}.Tensor", f"aten.{_name}.Scalar")(_comparison(_op))
for _name, _op in BOOLEAN.items():
    importer(f"aten.{_name}.Tensor", f"aten.{_name}.default")(_boolean(_op))
importer("aten.pow.Tensor_Scalar", "aten.pow.Tensor_Tensor", "aten.pow.Scalar")(
    _arithmetic(ttir.PowOp)
)


def _scaled(builder: GraphBuilder, value: Operand, alpha: Number) -> Operand:
    """`value` times `alpha`, as torch's add and sub have it."""
    if alpha == 1:
        return value
    if not isinstance(value, SSAValue):
        return value * alpha
    pair = (value, alpha)
    return _binary(builder, ttir.MultiplyOp, pair, ttir.element_of(value))


@importer("aten.add.Tensor", "aten.add.Scalar")
def _add(
    builder: GraphBuilder, self: Operand, other: Operand, *, alpha: Number = 1
) -> SSAValue:
    pair = (self, _scaled(builder, other, alpha))
    return _binary(builder, ttir.AddOp, pair, builder.result_element)


@importer("aten.sub.Tensor", "aten.sub.Scalar")
def _sub(
    builder: GraphBuilder, self: Operand, other: Operand, *, alpha: Number = 1
) -> SSAValue:
    pair = (self, _scaled(builder, other, alpha))
    return _binary(builder, ttir.SubtractOp, pair, builder.result_element)


@importer("aten.rsub.Scalar", "aten.rsub.Tensor")
def _rsub(
    builder: GraphBuilder, self: Operand, other: Operand, *, alpha: Number = 1
) -> SSAValue:
    pair = (other, _scaled(builder, self, alpha))
    return _binary(builder, ttir.SubtractOp, pair, builder.result_element)


@importer("aten.logical_not.default", "aten.bitwise_not.default")
def _logical_not(builder: GraphBuilder, self: Value) -> SSAValue:
    if builder.result_element != i1:
        raise UnsupportedError(
            "bitwise_not on integers is not supported", advice="use a bool tensor"
        )
    if ttir.element_of(self) == i1:
        return builder.emit(ttir.LogicalNotOp(self))
    zero = builder.operand(0, ttir.element_of(self), len(builder.result_shape))
    return builder.emit(ttir.EqOp(self, zero))


@importer("aten.gelu.default")
def _gelu(builder: GraphBuilder, self: Value, *, approximate: str = "none") -> SSAValue:
    """Exact, or 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))."""
    if approximate == "none":
        return builder.emit(ttir.GeluOp(self))
    element = ttir.element_of(self)
    rank = len(builder.result_shape)

    def number(value: float) -> SSAValue:
        return builder.operand(value, element, rank)

    def times(lhs: SSAValue, rhs: SSAValue) -> SSAValue:
        return builder.emit(ttir.MultiplyOp(lhs, rhs))

    cube = times(times(self, self), self)
    inner = builder.emit(ttir.AddOp(self, times(cube, number(0.044715))))
    tanh = builder.emit(ttir.TanhOp(times(inner, number(math.sqrt(2 / math.pi)))))
    one_plus = builder.emit(ttir.AddOp(tanh, number(1.0)))
    return times(times(self, number(0.5)), one_plus)


@importer("aten.where.self", "aten.where.ScalarSelf", "aten.where.ScalarOther")
@importer("aten.where.Scalar")
def _where(
    builder: GraphBuilder, condition: Value, self: Operand, other: Operand
) -> SSAValue:
    element, rank = builder.result_element, len(builder.result_shape)
    second = builder.operand(self, element, rank)
    third = builder.operand(other, element, rank)
    return builder.emit(ttir.WhereOp(condition, second, third))


@importer("aten.masked_fill.Scalar", "aten.masked_fill.Tensor")
def _masked_fill(
    builder: GraphBuilder, self: Value, mask: Value, value: Operand
) -> SSAValue:
    filler = builder.operand(value, builder.result_element, len(builder.result_shape))
    return builder.emit(ttir.WhereOp(mask, filler, self))


@importer("aten.clamp.default", "aten.hardtanh.default")
def _clamp(
    builder: GraphBuilder,
    self: Value,
    min: Number | None = None,  # noqa: A002
    max: Number | None = None,  # noqa: A002
) -> SSAValue:
    element, rank = builder.result_element, len(builder.result_shape)
    if min is not None and max is not None:
        low, high = (ttir.number_attr(bound, element) for bound in (min, max))
        return builder.emit(ttir.ClampScalarOp(self, low=low, high=high))
    if min is not None:
        self = builder.emit(ttir.MaximumOp(self, builder.operand(min, element, rank)))
    if max is not None:
        self = builder.emit(ttir.MinimumOp(self, builder.operand(max, element, rank)))
    return self


@importer("aten.clamp_min.default")
def _clamp_min(builder: GraphBuilder, self: Value, min: Number) -> SSAValue:  # noqa: A002
    return _clamp(builder, self, min=min)


@importer("aten.clamp_max.default")
def _clamp_max(builder: GraphBuilder, self: Value, max: Number) -> SSAValue:  # noqa: A002
    return _clamp(builder, self, max=max)


def _reduction(op: type[ttir.ReductionOp]) -> Importer:
    def import_reduction(
        builder: GraphBuilder,
        self: Value,
        dim: int | Sequence[int] | None = None,
        keepdim: bool = False,
        *,
        dtype: object = None,
    ) -> SSAValue:
        rank = len(ttir.shape_of(self))
        axes = [dim] if isinstance(dim, int) else list(dim or range(rank))
        value = builder.cast(self, builder.result_element)
        return builder.emit(op(value, axes, keep_dim=keepdim))

    return import_reduction


for _name, _op in REDUCTIONS.items():
    importer(f"aten.{_name}.default", f"aten.{_name}.dim", f"aten.{_name}.dim_IntList")(
        _reduction(_op)
    )


@importer("aten.softmax.int", "aten._softmax.default")
def _softmax(
    builder: GraphBuilder,
    self: Value,
    dim: int,
    dtype: object = None,
) -> SSAValue:
    value = builder.cast(self, builder.result_element)
    return builder.emit(ttir.SoftmaxOp(value, dim))


@importer("aten.log_softmax.int", "aten._log_softmax.default")
def _log_softmax(
    builder: GraphBuilder, self: Value, dim: int, dtype: object = None
) -> SSAValue:
    return builder.emit(ttir.LogOp(_softmax(builder, self, dim, dtype)))


@importer("aten.rms_norm.default")
def _rms_norm(
    builder: GraphBuilder,
    input: Value,  # noqa: A002
    normalized_shape: Sequence[int],
    weight: Value | None = None,
    eps: float | None = None,
) -> SSAValue:
    epsilon = 2.0**-23 if eps is None else eps
    return builder.emit(
        ttir.RMSNormOp(
            input, weight, normalized_shape=normalized_shape, epsilon=epsilon
        )
    )


@importer("aten.layer_norm.default")
def _layer_norm(
    builder: GraphBuilder,
    input: Value,  # noqa: A002
    normalized_shape: Sequence[int],
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-05,
    cudnn_enable: bool = True,
) -> SSAValue:
    return builder.emit(
        ttir.LayerNormOp(
            input, weight, bias, normalized_shape=normalized_shape, epsilon=eps
        )
    )


@importer("aten.linear.default")
def _linear(
    builder: GraphBuilder,
    input: Value,  # noqa: A002
    weight: Value,
    bias: Value | None = None,
) -> SSAValue:
    return builder.emit(ttir.LinearOp(input, weight, bias, transpose_b=True))


@importer("aten.matmul.default", "aten.mm.default", "aten.bmm.default")
def _matmul(builder: GraphBuilder, self: Value, other: Value) -> SSAValue:
    return builder.emit(ttir.MatmulOp(self, other))


@importer("aten.addmm.default", "aten.baddbmm.default")
def _addmm(
    builder: GraphBuilder,
    self: Value,
    mat1: Value,
    mat2: Value,
    *,
    beta: Number = 1,
    alpha: Number = 1,
) -> SSAValue:
    if (beta, alpha) != (1, 1):
        raise UnsupportedError(
            f"addmm with beta {beta} and alpha {alpha} is not supported",
            advice="write the scaling as a multiplication",
        )
    return builder.emit(ttir.LinearOp(mat1, mat2, self))


@importer("aten.embedding.default")
def _embedding(
    builder: GraphBuilder,
    weight: Value,
    indices: Value,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> SSAValue:
    """The ignored arguments matter to training only."""
    return builder.emit(ttir.EmbeddingOp(indices, weight))


@importer("aten.scaled_dot_product_attention.default")
def _attention(
    builder: GraphBuilder,
    query: Value,
    key: Value,
    value: Value,
    attn_mask: Value | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> SSAValue:
    """`ttir` allows grouped heads always, so `enable_gqa` has nothing to say."""
    if dropout_p != 0.0:
        raise UnsupportedError(
            f"attention with dropout {dropout_p} is not supported",
            advice="call .eval() on the module before exporting it",
        )
    tensors = [_with_heads(builder, tensor) for tensor in (query, key, value)]
    scale = ttir.shape_of(query)[-1] ** -0.5 if scale is None else scale
    if attn_mask is not None and ttir.element_of(attn_mask) != i1:
        attn_mask = builder.cast(attn_mask, ttir.element_of(query))
    op = ttir.ScaledDotProductAttentionOp(
        *tensors, attn_mask, is_causal=is_causal, scale=scale
    )
    return builder.reshape(builder.emit(op), builder.result_shape)


def _with_heads(builder: GraphBuilder, value: Value) -> SSAValue:
    """A tensor of rank 3 with a head dimension put in, as attention wants it."""
    shape = ttir.shape_of(value)
    if len(shape) != 3:
        return value
    return builder.reshape(value, (shape[0], 1, *shape[1:]))
