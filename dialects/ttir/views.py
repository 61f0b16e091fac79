"""`ttir` ops that move elements about without computing."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xdsl.dialects.builtin import FloatAttr, IntegerAttr, TensorType, f32
from xdsl.ir import Operation, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, var_operand_def
from xdsl.utils.exceptions import VerifyException

from dialects.ttir.base import (
    DENSE_I32,
    DENSE_I64,
    F32_ATTR,
    I32_ARRAY,
    SI32_ATTR,
    TENSOR,
    UI32_ATTR,
    TTIROp,
    check_axis,
    check_same_element,
    check_shape,
    dense_i32,
    dense_i64,
    dims_text,
    element_of,
    i32_array,
    integers,
    shape_of,
    si32,
    ui32,
)


class ViewOp(TTIROp):
    """Same elements, same element type, other places."""

    input = operand_def(TENSOR)

    def verify_(self) -> None:
        check_same_element(self, self.input, self.result)


def _replaced(shape: Sequence[int], axis: int, extent: int) -> tuple[int, ...]:
    return (*shape[:axis], extent, *shape[axis + 1 :])


@irdl_op_definition
class ReshapeOp(ViewOp):
    """The elements in row-major order under another shape."""

    name = "ttir.reshape"

    shape = prop_def(I32_ARRAY)

    def __init__(self, input_: SSAValue | Operation, shape: Sequence[int]) -> None:
        super().__init__(
            operands=[input_],
            result_types=[TensorType(element_of(input_), shape)],
            properties={"shape": i32_array(shape)},
        )

    def verify_(self) -> None:
        super().verify_()
        check_shape(self, self.result, integers(self.shape))
        before, after = shape_of(self.input), shape_of(self.result)
        if prod(before) != prod(after):
            raise VerifyException(
                f"{self.name}: {prod(before)} elements of {dims_text(before)} "
                f"do not fill {dims_text(after)}"
            )


@irdl_op_definition
class PermuteOp(ViewOp):
    """Dimension i of the result is dimension `permutation[i]` of the input."""

    name = "ttir.permute"

    permutation = prop_def(DENSE_I64)

    def __init__(
        self, input_: SSAValue | Operation, permutation: Sequence[int]
    ) -> None:
        shape = shape_of(input_)
        super().__init__(
            operands=[input_],
            result_types=[
                TensorType(element_of(input_), [shape[i] for i in permutation])
            ],
            properties={"permutation": dense_i64(permutation)},
        )

    def verify_(self) -> None:
        super().verify_()
        shape, order = shape_of(self.input), self.permutation.get_values()
        if sorted(order) != list(range(len(shape))):
            raise VerifyException(
                f"{self.name}: {list(order)} does not permute {len(shape)} dimensions"
            )
        check_shape(self, self.result, [shape[int(i)] for i in order])


@irdl_op_definition
class TransposeOp(ViewOp):
    """Two dimensions exchanged."""

    name = "ttir.transpose"

    dim0 = prop_def(SI32_ATTR)
    dim1 = prop_def(SI32_ATTR)

    def __init__(self, input_: SSAValue | Operation, dim0: int, dim1: int) -> None:
        shape = list(shape_of(input_))
        shape[dim0], shape[dim1] = shape[dim1], shape[dim0]
        super().__init__(
            operands=[input_],
            result_types=[TensorType(element_of(input_), shape)],
            properties={
                "dim0": IntegerAttr(dim0, si32),
                "dim1": IntegerAttr(dim1, si32),
            },
        )

    @property
    def permutation(self) -> tuple[int, ...]:
        """The same as a permutation of all dimensions."""
        rank = len(shape_of(self.input))
        order = list(range(rank))
        dim0 = check_axis(self, self.dim0.value.data, rank)
        dim1 = check_axis(self, self.dim1.value.data, rank)
        order[dim0], order[dim1] = dim1, dim0
        return tuple(order)

    def verify_(self) -> None:
        super().verify_()
        shape = shape_of(self.input)
        check_shape(self, self.result, [shape[i] for i in self.permutation])


@irdl_op_definition
class SqueezeOp(ViewOp):
    """A dimension of extent one left out."""

    name = "ttir.squeeze"

    dim = prop_def(SI32_ATTR)

    def __init__(self, input_: SSAValue | Operation, dim: int) -> None:
        shape = list(shape_of(input_))
        del shape[dim]
        super().__init__(
            operands=[input_],
            result_types=[TensorType(element_of(input_), shape)],
            properties={"dim": IntegerAttr(dim, si32)},
        )

    def verify_(self) -> None:
        super().verify_()
        shape = shape_of(self.input)
        axis = check_axis(self, self.dim.value.data, len(shape))
        if shape[axis] != 1:
            raise VerifyException(
                f"{self.name}: dimension {axis} has extent {shape[axis]}, not 1"
            )
        check_shape(self, self.result, shape[:axis] + shape[axis + 1 :])


@irdl_op_definition
class UnsqueezeOp(ViewOp):
    """A dimension of extent one put in."""

    name = "ttir.unsqueeze"

    dim = prop_def(SI32_ATTR)

    def __init__(self, input_: SSAValue | Operation, dim: int) -> None:
        shape = list(shape_of(input_))
        shape.insert(dim % (len(shape) + 1), 1)
        super().__init__(
            operands=[input_],
            result_types=[TensorType(element_of(input_), shape)],
            properties={"dim": IntegerAttr(dim, si32)},
        )

    def verify_(self) -> None:
        super().verify_()
        shape = shape_of(self.input)
        axis = check_axis(self, self.dim.value.data, len(shape) + 1)
        check_shape(self, self.result, (*shape[:axis], 1, *shape[axis:]))


@irdl_op_definition
class BroadcastOp(ViewOp):
    """Each dimension i repeated `broadcast_dimensions[i]` times; repeated ones have
    extent one."""

    name = "ttir.broadcast"

    broadcast_dimensions = prop_def(DENSE_I64)

    def __init__(self, input_: SSAValue | Operation, factors: Sequence[int]) -> None:
        shape = [
            extent * factor
            for extent, factor in zip(shape_of(input_), factors, strict=True)
        ]
        super().__init__(
            operands=[input_],
            result_types=[TensorType(element_of(input_), shape)],
            properties={"broadcast_dimensions": dense_i64(factors)},
        )

    def verify_(self) -> None:
        super().verify_()
        shape = shape_of(self.input)
        factors = [int(i) for i in self.broadcast_dimensions.get_values()]
        check_rank(self, len(factors), len(shape))
        for extent, factor in zip(shape, factors, strict=True):
            if factor != 1 and extent != 1:
                raise VerifyException(
                    f"{self.name}: extent {extent} cannot be broadcast {factor} times"
                )
        expected = [e * f for e, f in zip(shape, factors, strict=True)]
        check_shape(self, self.result, expected)


@irdl_op_definition
class RepeatOp(ViewOp):
    """Each dimension i laid end to end `repeat_dimensions[i]` times."""

    name = "ttir.repeat"

    repeat_dimensions = prop_def(DENSE_I64)

    def __init__(self, input_: SSAValue | Operation, factors: Sequence[int]) -> None:
        shape = [
            extent * factor
            for extent, factor in zip(shape_of(input_), factors, strict=True)
        ]
        super().__init__(
            operands=[input_],
            result_types=[TensorType(element_of(input_), shape)],
            properties={"repeat_dimensions": dense_i64(factors)},
        )

    def verify_(self) -> None:
        super().verify_()
        shape = shape_of(self.input)
        factors = [int(i) for i in self.repeat_dimensions.get_values()]
        check_rank(self, len(factors), len(shape))
        expected = [e * f for e, f in zip(shape, factors, strict=True)]
        check_shape(self, self.result, expected)


@irdl_op_definition
class RepeatInterleaveOp(ViewOp):
    """Each slice along a dimension repeated in place."""

    name = "ttir.repeat_interleave"

    repeats = prop_def(UI32_ATTR)
    dim = prop_def(SI32_ATTR)

    def __init__(self, input_: SSAValue | Operation, *, repeats: int, dim: int) -> None:
        shape = shape_of(input_)
        axis = dim % len(shape)
        result_shape = _replaced(shape, axis, shape[axis] * repeats)
        super().__init__(
            operands=[input_],
            result_types=[TensorType(element_of(input_), result_shape)],
            properties={
                "repeats": IntegerAttr(repeats, ui32),
                "dim": IntegerAttr(dim, si32),
            },
        )

    def verify_(self) -> None:
        super().verify_()
        shape = shape_of(self.input)
        axis = check_axis(self, self.dim.value.data, len(shape))
        extent = shape[axis] * self.repeats.value.data
        check_shape(self, self.result, _replaced(shape, axis, extent))


@irdl_op_definition
class SliceStaticOp(ViewOp):
    """In each dimension the indices `begins`, `begins + step`, ... before `ends`."""

    name = "ttir.slice_static"

    begins = prop_def(I32_ARRAY)
    ends = prop_def(I32_ARRAY)
    step = prop_def(I32_ARRAY)

    def __init__(
        self,
        input_: SSAValue | Operation,
        begins: Sequence[int],
        ends: Sequence[int],
        step: Sequence[int] | None = None,
    ) -> None:
        step = [1] * len(begins) if step is None else step
        shape = [len(range(*run)) for run in zip(begins, ends, step, strict=True)]
        super().__init__(
            operands=[input_],
            result_types=[TensorType(element_of(input_), shape)],
            properties={
                "begins": i32_array(begins),
                "ends": i32_array(ends),
                "step": i32_array(step),
            },
        )

    @property
    def runs(self) -> tuple[range, ...]:
        """The indices taken in each dimension."""
        bounds = (integers(self.begins), integers(self.ends), integers(self.step))
        return tuple(range(*run) for run in zip(*bounds, strict=True))

    def verify_(self) -> None:
        super().verify_()
        shape = shape_of(self.input)
        for attribute in (self.begins, self.ends, self.step):
            check_rank(self, len(attribute), len(shape))
        if min(integers(self.step), default=1) < 1:
            raise VerifyException(f"{self.name}: every step must be at least 1")
        for run, extent in zip(self.runs, shape, strict=True):
            if run.start < 0 or run.stop > extent:
                raise VerifyException(
                    f"{self.name}: {run.start} to {run.stop} is outside a dimension "
                    f"of extent {extent}"
                )
        check_shape(self, self.result, [len(run) for run in self.runs])


@irdl_op_definition
class ConcatOp(TTIROp):
    """The inputs one after another along a dimension."""

    name = "ttir.concat"

    inputs = var_operand_def(TENSOR)
    dim = prop_def(SI32_ATTR)

    def __init__(self, inputs: Sequence[SSAValue | Operation], dim: int) -> None:
        shape = shape_of(inputs[0])
        axis = dim % len(shape)
        extent = sum(shape_of(value)[axis] for value in inputs)
        result_type = TensorType(element_of(inputs[0]), _replaced(shape, axis, extent))
        super().__init__(
            operands=[inputs],
            result_types=[result_type],
            properties={"dim": IntegerAttr(axis, si32)},
        )

    @property
    def axis(self) -> int:
        """The dimension along which the inputs follow each other."""
        return check_axis(self, self.dim.value.data, len(shape_of(self.result)))

    def verify_(self) -> None:
        if not self.inputs:
            raise VerifyException(f"{self.name}: needs at least one input")
        check_same_element(self, *self.inputs, self.result)
        axis = self.axis
        first = shape_of(self.inputs[0])
        extent = 0
        for value in self.inputs:
            check_rank(self, len(shape_of(value)), len(first))
            check_shape(self, value, _replaced(first, axis, shape_of(value)[axis]))
            extent += shape_of(value)[axis]
        check_shape(self, self.result, _replaced(first, axis, extent))


@irdl_op_definition
class PadOp(ViewOp):
    """`value` put around the input: `padding` is low, high of dimension 0, 1, ..."""

    name = "ttir.pad"

    padding = prop_def(DENSE_I32)
    value = prop_def(F32_ATTR)

    def __init__(
        self, input_: SSAValue | Operation, padding: Sequence[int], *, value: float
    ) -> None:
        super().__init__(
            operands=[input_],
            result_types=[
                TensorType(element_of(input_), _padded(shape_of(input_), padding))
            ],
            properties={
                "padding": dense_i32(padding),
                "value": FloatAttr(value, f32),
            },
        )

    def verify_(self) -> None:
        super().verify_()
        shape = shape_of(self.input)
        padding = [int(i) for i in self.padding.get_values()]
        check_rank(self, len(padding), 2 * len(shape))
        if min(padding, default=0) < 0:
            raise VerifyException(f"{self.name}: padding must not be negative")
        check_shape(self, self.result, _padded(shape, padding))


def _padded(shape: Sequence[int], padding: Sequence[int]) -> tuple[int, ...]:
    pairs = zip(padding[::2], padding[1::2], strict=True)
    return tuple(
        extent + low + high for extent, (low, high) in zip(shape, pairs, strict=True)
    )


def check_rank(op: Operation, count: int, expected: int) -> None:
    """Demand one number for each dimension."""
    if count != expected:
        raise VerifyException(f"{op.name}: {count} numbers where {expected} are needed")
