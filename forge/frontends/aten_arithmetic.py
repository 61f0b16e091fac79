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
    importer(f"aten.{_name}.Tensor", f"aten.{_name}.default", f"aten.{_name}.Scalar")(
        _boolean(_op)
    )
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
