"""`ttir` ops that make a tensor from nothing."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence

from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    FloatAttr,
    IntegerAttr,
    TensorType,
    f32,
    i32,
    i64,
)
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, prop_def
from xdsl.utils.exceptions import VerifyException

from dialects.ttir.base import (
    DENSE_I32,
    I64_ATTR,
    NUMBER_ATTR,
    SI64_ATTR,
    TTIROp,
    check_axis,
    check_shape,
    dense_i32,
    is_float,
    shape_of,
    si64,
)


def number_attr(value: float, element: Attribute) -> FloatAttr | IntegerAttr:
    """A number as the attribute that a tensor with this element type takes."""
    if is_float(element):
        return FloatAttr(float(value), f32)
    return IntegerAttr(int(value), i32)


class ShapedCreationOp(TTIROp, ABC):
    """A tensor whose shape is stated as an attribute."""

    shape = prop_def(DENSE_I32)

    def __init__(self, shape: Sequence[int], element: Attribute) -> None:
        super().__init__(
            result_types=[TensorType(element, shape)],
            properties={"shape": dense_i32(shape)},
        )

    def verify_(self) -> None:
        check_shape(self, self.result, self.shape.get_values())


@irdl_op_definition
class ZerosOp(ShapedCreationOp):
    """A tensor of zeros."""

    name = "ttir.zeros"


@irdl_op_definition
class OnesOp(ShapedCreationOp):
    """A tensor of ones."""

    name = "ttir.ones"


@irdl_op_definition
class FullOp(TTIROp):
    """A tensor with one value everywhere."""

    name = "ttir.full"

    shape = prop_def(DENSE_I32)
    fill_value = prop_def(NUMBER_ATTR)

    def __init__(self, shape: Sequence[int], value: float, element: Attribute) -> None:
        super().__init__(
            result_types=[TensorType(element, shape)],
            properties={
                "shape": dense_i32(shape),
                "fill_value": number_attr(value, element),
            },
        )

    @property
    def value(self) -> float:
        """The fill value as a Python number."""
        return self.fill_value.value.data

    def verify_(self) -> None:
        check_shape(self, self.result, self.shape.get_values())


@irdl_op_definition
class ArangeOp(TTIROp):
    """`start`, `start + step`, ... up to but without `end`, along one dimension."""

    name = "ttir.arange"

    start = prop_def(SI64_ATTR)
    end = prop_def(SI64_ATTR)
    step = prop_def(SI64_ATTR)
    arange_dimension = prop_def(I64_ATTR)

    def __init__(
        self, start: int, end: int, *, step: int = 1, element: Attribute = i64
    ) -> None:
        extent = len(range(start, end, step))
        super().__init__(
            result_types=[TensorType(element, (extent,))],
            properties={
                "start": IntegerAttr(start, si64),
                "end": IntegerAttr(end, si64),
                "step": IntegerAttr(step, si64),
                "arange_dimension": IntegerAttr(0, i64),
            },
        )

    @property
    def numbers(self) -> range:
        """The values along the dimension."""
        start, end, step = (
            attribute.value.data for attribute in (self.start, self.end, self.step)
        )
        return range(start, end, step)

    def verify_(self) -> None:
        if self.step.value.data == 0:
            raise VerifyException(f"{self.name}: step must not be zero")
        shape = shape_of(self.result)
        axis = check_axis(self, self.arange_dimension.value.data, len(shape))
        if shape[axis] != len(self.numbers):
            raise VerifyException(
                f"{self.name}: {len(self.numbers)} values along dimension {axis} "
                f"of extent {shape[axis]}"
            )


@irdl_op_definition
class ConstantOp(TTIROp):
    """Values in the text itself; for small tables in hand-written programs only."""

    name = "ttir.constant"

    value = prop_def(DenseIntOrFPElementsAttr)

    def __init__(self, value: DenseIntOrFPElementsAttr) -> None:
        super().__init__(result_types=[value.type], properties={"value": value})

    def verify_(self) -> None:
        if self.value.type != self.result.type:
            raise VerifyException(
                f"{self.name}: value of type {self.value.type}, "
                f"result of type {self.result.type}"
            )
