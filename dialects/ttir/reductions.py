"""`ttir` ops that reduce over dimensions, and the normalisations built on them."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence

from xdsl.dialects.builtin import BoolAttr, FloatAttr, IntegerAttr, TensorType, f32
from xdsl.ir import Operation, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
)
from xdsl.utils.exceptions import VerifyException

from dialects.ttir.base import (
    DENSE_I64,
    F32_ATTR,
    I32_ARRAY,
    SI32_ATTR,
    TENSOR,
    FloatUnaryOp,
    TTIROp,
    check_axis,
    check_float,
    check_same_element,
    check_shape,
    dense_i64,
    dims_text,
    element_of,
    i32_array,
    integers,
    shape_of,
    si32,
)

DEFAULT_EPSILON = FloatAttr(1e-05, f32)


def reduced_shape(
    shape: Sequence[int], axes: Sequence[int], *, keep_dim: bool
) -> tuple[int, ...]:
    """The shape after reducing over axes (numbers from 0 to rank - 1)."""
    if keep_dim:
        return tuple(1 if i in axes else extent for i, extent in enumerate(shape))
    return tuple(extent for i, extent in enumerate(shape) if i not in axes)


class ReductionOp(TTIROp, ABC):
    """One value for each index over the dimensions that are not in `dim_arg`.

    Without `dim_arg` all dimensions are reduced.
    """

    input = operand_def(TENSOR)
    keep_dim = prop_def(BoolAttr)
    dim_arg = opt_prop_def(I32_ARRAY)

    def __init__(
        self, input_: SSAValue | Operation, axes: Sequence[int], *, keep_dim: bool
    ) -> None:
        shape = shape_of(input_)
        axes = sorted(axis % len(shape) for axis in axes)
        result_type = TensorType(
            element_of(input_), reduced_shape(shape, axes, keep_dim=keep_dim)
        )
        super().__init__(
            operands=[input_],
            result_types=[result_type],
            properties={
                "keep_dim": BoolAttr.from_bool(keep_dim),
                "dim_arg": i32_array(axes),
            },
        )

    @property
    def axes(self) -> tuple[int, ...]:
        """The reduced dimensions, as numbers from 0 to rank - 1."""
        rank = len(shape_of(self.input))
        if self.dim_arg is None:
            return tuple(range(rank))
        return tuple(check_axis(self, axis, rank) for axis in integers(self.dim_arg))

    @property
    def keeps_dimensions(self) -> bool:
        """Whether a reduced dimension stays, with extent one."""
        return bool(self.keep_dim.value.data)

    def verify_(self) -> None:
        check_same_element(self, self.input, self.result)
        shape = reduced_shape(
            shape_of(self.input), self.axes, keep_dim=self.keeps_dimensions
        )
        check_shape(self, self.result, shape)


@irdl_op_definition
class MaxOp(ReductionOp):
    """The largest element."""

    name = "ttir.max"


@irdl_op_definition
class MinOp(ReductionOp):
    """The smallest element."""

    name = "ttir.min"


@irdl_op_definition
class SumOp(ReductionOp):
    """The sum of the elements."""

    name = "ttir.sum"


@irdl_op_definition
class MeanOp(ReductionOp):
    """The sum of the elements over their number."""

    name = "ttir.mean"

    def verify_(self) -> None:
        super().verify_()
        check_float(self, self.input)


@irdl_op_definition
class SoftmaxOp(FloatUnaryOp):
    """exp(x) over its sum along one dimension.

    `numericStable` subtracts the maximum first.
    """

    name = "ttir.softmax"

    dimension = prop_def(SI32_ATTR)
    numeric_stable = prop_def(
        BoolAttr, default_value=BoolAttr.from_bool(False), prop_name="numericStable"
    )

    def __init__(
        self,
        input_: SSAValue | Operation,
        dimension: int,
        *,
        numeric_stable: bool = True,
    ) -> None:
        TTIROp.__init__(
            self,
            operands=[input_],
            result_types=[SSAValue.get(input_).type],
            properties={
                "dimension": IntegerAttr(dimension, si32),
                "numericStable": BoolAttr.from_bool(numeric_stable),
            },
        )

    @property
    def axis(self) -> int:
        """The dimension that is summed, from 0 to rank - 1."""
        return check_axis(self, self.dimension.value.data, len(shape_of(self.input)))

    def verify_(self) -> None:
        super().verify_()
        _ = self.axis


class NormalizationOp(TTIROp, ABC):
    """A normalisation over the last dimensions, then scaled and shifted."""

    input = operand_def(TENSOR)
    weight = opt_operand_def(TENSOR)
    bias = opt_operand_def(TENSOR)
    normalized_shape = prop_def(DENSE_I64)
    epsilon = prop_def(F32_ATTR, default_value=DEFAULT_EPSILON)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def __init__(
        self,
        input_: SSAValue | Operation,
        weight: SSAValue | Operation | None = None,
        bias: SSAValue | Operation | None = None,
        *,
        normalized_shape: Sequence[int],
        epsilon: float,
    ) -> None:
        super().__init__(
            operands=[
                input_,
                [] if weight is None else [weight],
                [] if bias is None else [bias],
            ],
            result_types=[SSAValue.get(input_).type],
            properties={
                "normalized_shape": dense_i64(normalized_shape),
                "epsilon": FloatAttr(epsilon, f32),
            },
        )

    def verify_(self) -> None:
        check_float(self, self.input)
        check_shape(self, self.result, shape_of(self.input))
        check_same_element(self, *self.operands, self.result)
        normalized = tuple(self.normalized_shape.get_values())
        trailing = shape_of(self.input)[-len(normalized) :]
        for value in (self.weight, self.bias):
            if value is not None:
                check_shape(self, value, normalized)
        if trailing != normalized:
            raise VerifyException(
                f"{self.name}: normalized_shape {dims_text(normalized)} does not end "
                f"the input shape {dims_text(shape_of(self.input))}"
            )


@irdl_op_definition
class RMSNormOp(NormalizationOp):
    """x / sqrt(mean(x^2) + epsilon) weight + bias, computed in f32."""

    name = "ttir.rms_norm"


@irdl_op_definition
class LayerNormOp(NormalizationOp):
    """(x - mean) / sqrt(variance + epsilon) weight + bias, computed in f32."""

    name = "ttir.layer_norm"
