"""What the ops of `ttir` share: element types, shape helpers and base classes."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from itertools import zip_longest
from typing import TypeAlias

from xdsl.dialects.builtin import (
    ArrayAttr,
    BFloat16Type,
    DenseArrayBase,
    Float32Type,
    FloatAttr,
    IntAttrConstraint,
    IntegerAttr,
    IntegerType,
    Signedness,
    SignednessAttr,
    TensorType,
    f32,
    i1,
    i32,
    i64,
)
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import (
    AnyOf,
    EqAttrConstraint,
    IntSetConstraint,
    IRDLOperation,
    ParamAttrConstraint,
    base,
    operand_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

Element: TypeAlias = BFloat16Type | Float32Type | IntegerType
"""The element types of a `ttir` tensor: bf16, f32, i1, i32, i64."""

si32 = IntegerType(32, Signedness.SIGNED)
si64 = IntegerType(64, Signedness.SIGNED)
ui32 = IntegerType(32, Signedness.UNSIGNED)

_ELEMENT = AnyOf[Attribute](
    (
        base(BFloat16Type),
        base(Float32Type),
        ParamAttrConstraint(
            IntegerType,
            (
                IntAttrConstraint(IntSetConstraint(frozenset({1, 32, 64}))),
                EqAttrConstraint(SignednessAttr(Signedness.SIGNLESS)),
            ),
        ),
    )
)
TENSOR = TensorType.constr(_ELEMENT)
SI32_ATTR = IntegerAttr.constr(EqAttrConstraint(si32))
SI64_ATTR = IntegerAttr.constr(EqAttrConstraint(si64))
UI32_ATTR = IntegerAttr.constr(EqAttrConstraint(ui32))
I64_ATTR = IntegerAttr.constr(EqAttrConstraint(i64))
I32_ATTR = IntegerAttr.constr(EqAttrConstraint(i32))
F32_ATTR = FloatAttr.constr(EqAttrConstraint(f32))
NUMBER_ATTR = F32_ATTR | I32_ATTR
I32_ARRAY = ArrayAttr.constr(I32_ATTR)
DENSE_I32 = DenseArrayBase.constr(EqAttrConstraint(i32))
DENSE_I64 = DenseArrayBase.constr(EqAttrConstraint(i64))


def tensor_type_of(value: SSAValue | Operation) -> TensorType[Attribute]:
    """The tensor type of a value."""
    type_ = (SSAValue.get(value) if isinstance(value, Operation) else value).type
    assert isinstance(type_, TensorType), f"not a tensor: {type_}"
    return type_


def shape_of(value: SSAValue | Operation) -> tuple[int, ...]:
    """The shape of a tensor value, in elements."""
    return tensor_type_of(value).get_shape()


def element_of(value: SSAValue | Operation) -> Attribute:
    """The element type of a tensor value."""
    return tensor_type_of(value).element_type


def is_float(element: Attribute) -> bool:
    """Whether an element type is bf16 or f32."""
    return isinstance(element, BFloat16Type | Float32Type)


def i32_array(values: Sequence[int]) -> ArrayAttr[IntegerAttr[IntegerType]]:
    """An `I32ArrayAttr`: `[1 : i32, 2 : i32]`."""
    return ArrayAttr(IntegerAttr(value, i32) for value in values)


def dense_i64(values: Sequence[int]) -> DenseArrayBase[IntegerType]:
    """A `DenseI64ArrayAttr`: `array<i64: 1, 2>`."""
    return DenseArrayBase.from_list(i64, values)


def dense_i32(values: Sequence[int]) -> DenseArrayBase[IntegerType]:
    """A `DenseI32ArrayAttr`: `array<i32: 1, 2>`."""
    return DenseArrayBase.from_list(i32, values)


def integers(attribute: ArrayAttr[Attribute]) -> tuple[int, ...]:
    """The numbers in an `I32ArrayAttr`."""
    return tuple(
        entry.value.data for entry in attribute if isinstance(entry, IntegerAttr)
    )


def broadcast_shape(*shapes: Sequence[int]) -> tuple[int, ...] | None:
    """The common shape under numpy's broadcasting rule, or None if there is none."""
    result: list[int] = []
    for extents in zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1):
        larger = {extent for extent in extents if extent != 1}
        if len(larger) > 1:
            return None
        result.append(larger.pop() if larger else 1)
    return tuple(reversed(result))


def dims_text(shape: Sequence[int]) -> str:
    """A shape for error messages: `2x3`, or `scalar`."""
    return "x".join(map(str, shape)) or "scalar"


def check_axis(op: Operation, axis: int, rank: int) -> int:
    """The axis as a number from 0 to rank - 1."""
    if not -rank <= axis < rank:
        raise VerifyException(f"{op.name}: axis {axis} is outside a rank {rank} tensor")
    return axis % rank


def check_shape(op: Operation, value: SSAValue, expected: Sequence[int]) -> None:
    """Demand the shape of a result or of a secondary operand."""
    if shape_of(value) != tuple(expected):
        raise VerifyException(
            f"{op.name}: expected shape {dims_text(expected)}, "
            f"got {dims_text(shape_of(value))}"
        )


def check_same_element(op: Operation, *values: SSAValue) -> None:
    """Demand that all values have one element type."""
    if len({element_of(value) for value in values}) > 1:
        names = ", ".join(str(element_of(value)) for value in values)
        raise VerifyException(f"{op.name}: element types differ: {names}")


def check_float(op: Operation, value: SSAValue) -> None:
    """Demand bf16 or f32."""
    if not is_float(element_of(value)):
        raise VerifyException(f"{op.name}: needs bf16 or f32, got {element_of(value)}")


def check_integer(op: Operation, value: SSAValue) -> None:
    """Demand an integer element type."""
    if is_float(element_of(value)):
        raise VerifyException(f"{op.name}: needs integers, got {element_of(value)}")


class TTIROp(IRDLOperation, ABC):
    """An op without side effects that yields one tensor."""

    result = result_def(TENSOR)

    traits = traits_def(Pure())


class UnaryOp(TTIROp, ABC):
    """Element by element; the result has the shape and element type of the input."""

    input = operand_def(TENSOR)

    def __init__(self, input_: SSAValue | Operation) -> None:
        super().__init__(operands=[input_], result_types=[SSAValue.get(input_).type])

    def verify_(self) -> None:
        check_shape(self, self.result, shape_of(self.input))
        check_same_element(self, self.input, self.result)


class FloatUnaryOp(UnaryOp, ABC):
    """An element-by-element function of real numbers."""

    def verify_(self) -> None:
        super().verify_()
        check_float(self, self.input)


class BinaryOp(TTIROp, ABC):
    """Element by element over two operands, which broadcast as in numpy."""

    lhs = operand_def(TENSOR)
    rhs = operand_def(TENSOR)

    def __init__(
        self,
        lhs: SSAValue | Operation,
        rhs: SSAValue | Operation,
        *,
        result_type: TensorType[Attribute] | None = None,
    ) -> None:
        if result_type is None:
            shape = broadcast_shape(shape_of(lhs), shape_of(rhs))
            result_type = TensorType(self.result_element(lhs), shape or ())
        super().__init__(operands=[lhs, rhs], result_types=[result_type])

    @staticmethod
    def result_element(lhs: SSAValue | Operation) -> Attribute:
        """The element type of the result, given the left operand."""
        return element_of(lhs)

    def verify_(self) -> None:
        check_same_element(self, self.lhs, self.rhs)
        shape = broadcast_shape(shape_of(self.lhs), shape_of(self.rhs))
        if shape is None:
            raise VerifyException(
                f"{self.name}: shapes {dims_text(shape_of(self.lhs))} and "
                f"{dims_text(shape_of(self.rhs))} do not broadcast"
            )
        check_shape(self, self.result, shape)


class ArithmeticOp(BinaryOp, ABC):
    """A binary op whose result has the element type of its operands."""

    def verify_(self) -> None:
        super().verify_()
        check_same_element(self, self.lhs, self.result)


class ComparisonOp(BinaryOp, ABC):
    """A binary op that answers yes or no.

    Ours are i1; the vendor's dumps keep the operands' type and store 1 or 0 in it.
    """

    @staticmethod
    def result_element(lhs: SSAValue | Operation) -> Attribute:
        """Always i1."""
        return i1
