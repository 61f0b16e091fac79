"""`ttir` ops that work element by element."""

from __future__ import annotations

from xdsl.dialects.builtin import FloatAttr, IntegerAttr, TensorType
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def
from xdsl.utils.exceptions import VerifyException

from dialects.ttir.base import (
    NUMBER_ATTR,
    TENSOR,
    ArithmeticOp,
    ComparisonOp,
    FloatUnaryOp,
    TTIROp,
    UnaryOp,
    broadcast_shape,
    check_same_element,
    check_shape,
    dims_text,
    element_of,
    shape_of,
)


@irdl_op_definition
class AbsOp(UnaryOp):
    """Absolute value."""

    name = "ttir.abs"


@irdl_op_definition
class NegOp(UnaryOp):
    """Minus the input."""

    name = "ttir.neg"


@irdl_op_definition
class SquareOp(UnaryOp):
    """The input times itself."""

    name = "ttir.square"


@irdl_op_definition
class ReluOp(UnaryOp):
    """The larger of the input and zero."""

    name = "ttir.relu"


@irdl_op_definition
class LogicalNotOp(UnaryOp):
    """One where the input is zero, else zero."""

    name = "ttir.logical_not"


@irdl_op_definition
class CosOp(FloatUnaryOp):
    """Cosine, of radians."""

    name = "ttir.cos"


@irdl_op_definition
class ErfOp(FloatUnaryOp):
    """The error function."""

    name = "ttir.erf"


@irdl_op_definition
class ExpOp(FloatUnaryOp):
    """e to the power of the input."""

    name = "ttir.exp"


@irdl_op_definition
class GeluOp(FloatUnaryOp):
    """The exact Gaussian error linear unit: x (1 + erf(x / sqrt 2)) / 2."""

    name = "ttir.gelu"


@irdl_op_definition
class LogOp(FloatUnaryOp):
    """Natural logarithm."""

    name = "ttir.log"


@irdl_op_definition
class ReciprocalOp(FloatUnaryOp):
    """One over the input."""

    name = "ttir.reciprocal"


@irdl_op_definition
class RsqrtOp(FloatUnaryOp):
    """One over the square root."""

    name = "ttir.rsqrt"


@irdl_op_definition
class SigmoidOp(FloatUnaryOp):
    """1 / (1 + exp(-x))."""

    name = "ttir.sigmoid"


@irdl_op_definition
class SiluOp(FloatUnaryOp):
    """x sigmoid(x)."""

    name = "ttir.silu"


@irdl_op_definition
class SinOp(FloatUnaryOp):
    """Sine, of radians."""

    name = "ttir.sin"


@irdl_op_definition
class SqrtOp(FloatUnaryOp):
    """Square root."""

    name = "ttir.sqrt"


@irdl_op_definition
class TanOp(FloatUnaryOp):
    """Tangent, of radians."""

    name = "ttir.tan"


@irdl_op_definition
class TanhOp(FloatUnaryOp):
    """Hyperbolic tangent."""

    name = "ttir.tanh"


@irdl_op_definition
class AddOp(ArithmeticOp):
    """lhs + rhs."""

    name = "ttir.add"


@irdl_op_definition
class DivOp(ArithmeticOp):
    """lhs / rhs."""

    name = "ttir.div"


@irdl_op_definition
class MaximumOp(ArithmeticOp):
    """The larger of the two."""

    name = "ttir.maximum"


@irdl_op_definition
class MinimumOp(ArithmeticOp):
    """The smaller of the two."""

    name = "ttir.minimum"


@irdl_op_definition
class MultiplyOp(ArithmeticOp):
    """lhs times rhs."""

    name = "ttir.multiply"


@irdl_op_definition
class PowOp(ArithmeticOp):
    """lhs to the power of rhs."""

    name = "ttir.pow"


@irdl_op_definition
class SubtractOp(ArithmeticOp):
    """lhs - rhs."""

    name = "ttir.subtract"


@irdl_op_definition
class EqOp(ComparisonOp):
    """lhs = rhs."""

    name = "ttir.eq"


@irdl_op_definition
class GeOp(ComparisonOp):
    """lhs >= rhs."""

    name = "ttir.ge"


@irdl_op_definition
class GtOp(ComparisonOp):
    """lhs > rhs."""

    name = "ttir.gt"


@irdl_op_definition
class LeOp(ComparisonOp):
    """lhs <= rhs."""

    name = "ttir.le"


@irdl_op_definition
class LtOp(ComparisonOp):
    """lhs < rhs."""

    name = "ttir.lt"


@irdl_op_definition
class NeOp(ComparisonOp):
    """lhs differs from rhs."""

    name = "ttir.ne"


@irdl_op_definition
class LogicalAndOp(ComparisonOp):
    """Both differ from zero."""

    name = "ttir.logical_and"


@irdl_op_definition
class LogicalOrOp(ComparisonOp):
    """At least one differs from zero."""

    name = "ttir.logical_or"


@irdl_op_definition
class TypecastOp(TTIROp):
    """The input in another element type; floats round to nearest even."""

    name = "ttir.typecast"

    input = operand_def(TENSOR)

    def __init__(self, input_: SSAValue | Operation, element: Attribute) -> None:
        result_type = TensorType(element, shape_of(input_))
        super().__init__(operands=[input_], result_types=[result_type])

    def verify_(self) -> None:
        check_shape(self, self.result, shape_of(self.input))


@irdl_op_definition
class ClampScalarOp(UnaryOp):
    """The input, no smaller than `min` and no larger than `max`."""

    name = "ttir.clamp_scalar"

    min = prop_def(NUMBER_ATTR)
    max = prop_def(NUMBER_ATTR)

    def __init__(
        self,
        input_: SSAValue | Operation,
        *,
        low: FloatAttr | IntegerAttr,
        high: FloatAttr | IntegerAttr,
    ) -> None:
        TTIROp.__init__(
            self,
            operands=[input_],
            result_types=[SSAValue.get(input_).type],
            properties={"min": low, "max": high},
        )

    def verify_(self) -> None:
        super().verify_()
        low, high = self.min.value.data, self.max.value.data
        if low > high:
            raise VerifyException(f"{self.name}: min {low} is above max {high}")


@irdl_op_definition
class WhereOp(TTIROp):
    """`second` where `first` is not zero, else `third`; all three broadcast."""

    name = "ttir.where"

    first = operand_def(TENSOR)
    second = operand_def(TENSOR)
    third = operand_def(TENSOR)

    def __init__(
        self,
        first: SSAValue | Operation,
        second: SSAValue | Operation,
        third: SSAValue | Operation,
    ) -> None:
        values = (first, second, third)
        shape = broadcast_shape(*map(shape_of, values)) or ()
        result_type = TensorType(element_of(second), shape)
        super().__init__(operands=list(values), result_types=[result_type])

    def verify_(self) -> None:
        check_same_element(self, self.second, self.third, self.result)
        shapes = [shape_of(operand) for operand in self.operands]
        shape = broadcast_shape(*shapes)
        if shape is None:
            listed = ", ".join(map(dims_text, shapes))
            raise VerifyException(f"{self.name}: shapes {listed} do not broadcast")
        check_shape(self, self.result, shape)
