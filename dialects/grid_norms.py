"""A norm in two launches: sums of squares, part by part, and what is scaled by them.

Cores that share a row would each have to sum over all of it. Apart, each sums over its
own part, and the few sums of a row are all that others read of it.
"""

from __future__ import annotations

from xdsl.dialects.builtin import Float32Type
from xdsl.ir import SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from dialects.syntax import NumberAttr
from dialects.ttir.base import TENSOR, element_of, shape_of


@irdl_op_definition
class SquareSumsOp(IRDLOperation):
    """Squares summed over dimension 1, in fp32: of P x T x ... x M x 32, P x 1 x ... x
    M x 32, where rows were cut into P parts of T tiles."""

    name = "grid.square_sums"
    input = operand_def(TENSOR)
    result = result_def(TENSOR)
    traits = traits_def(Pure())
    assembly_format = "$input attr-dict `:` type($input) `->` type($result)"

    def verify_(self) -> None:
        first, _, *rest = shape_of(self.input)
        if shape_of(self.result) != (first, 1, *rest) or not _is_fp32(self.result):
            raise VerifyException(
                "sums of squares are f32, of the shape of their operand with 1 in the "
                "second place"
            )


@irdl_op_definition
class RmsNormOfSumsOp(IRDLOperation):
    """x / sqrt(sum / N + epsilon) weight for rows of N columns; the sum of a row's
    squares is that of its columns in `sums`."""

    name = "grid.rms_norm_of_sums"
    input = operand_def(TENSOR)
    sums = operand_def(TENSOR)
    weight = opt_operand_def(TENSOR)
    epsilon = prop_def(NumberAttr)
    result = result_def(TENSOR)
    traits = traits_def(Pure())
    assembly_format = (
        "$input `of` $sums (`by` $weight^)? `epsilon` $epsilon attr-dict `:` "
        "type($input) `,` type($sums) (`,` type($weight)^)? `->` type($result)"
    )

    def __init__(
        self,
        input_: SSAValue,
        sums: SSAValue,
        weight: SSAValue | None,
        *,
        epsilon: float,
    ):
        super().__init__(
            operands=[input_, sums, weight],
            result_types=[input_.type],
            properties={"epsilon": NumberAttr(epsilon)},
        )

    def verify_(self) -> None:
        if self.input.type != self.result.type:
            raise VerifyException("a norm keeps the type of its operand")
        rows = shape_of(self.sums)[:-1]
        if rows != shape_of(self.input)[:-1] or not _is_fp32(self.sums):
            raise VerifyException(
                f"sums of squares are f32, for the same rows as the operand, not {rows}"
            )


def _is_fp32(value: SSAValue) -> bool:
    return isinstance(element_of(value), Float32Type)
