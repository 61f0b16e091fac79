"""`grid`: where. One program is the work of one launch.

A program's region computes on whole tensors in `ttir` operations; what makes it a
program is beside them: its axes with the cores they are spread over, for each operand
the axis that each dimension runs along and the map from axes to tiles, and stages,
the loop nests that follow each other. Fusion is moving operations into a region.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import BFloat16Type, Float32Type, StringAttr
from xdsl.ir import Attribute, Dialect, OpResult, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import AttrParser
from xdsl.traits import (
    IsolatedFromAbove,
    IsTerminator,
    Pure,
    SingleBlockImplicitTerminator,
)
from xdsl.utils.exceptions import VerifyException

from dialects.expr import Expr, parse_expr
from dialects.formats import DataFormat, Fidelity
from dialects.program import Axis
from dialects.syntax import AxesAttr, ExprAttr, NumberAttr, SyntaxData, WordAttr
from dialects.ttir.base import TENSOR, element_of, shape_of

if TYPE_CHECKING:
    from collections.abc import Sequence

NO_AXIS = "_"
"""Stands for a dimension of extent 1, which runs along no axis."""


@irdl_attr_definition
class AxisListAttr(SyntaxData[tuple[Axis, ...]]):
    """The axes in loop order: `[m 2 over y 2, n 30 over x 8 unit 2 block 4, k 18]`."""

    name = "grid.axes"

    @classmethod
    def read(cls, parser: AttrParser) -> tuple[Axis, ...]:
        return tuple(
            parser.parse_comma_separated_list(
                parser.Delimiter.SQUARE, lambda: _read_axis(parser)
            )
        )

    def write(self) -> str:
        return "[" + ", ".join(_write_axis(axis) for axis in self.data) + "]"

    def by_name(self) -> dict[str, Axis]:
        """Axes by name."""
        return {axis.name: axis for axis in self.data}


def _read_axis(parser: AttrParser) -> Axis:
    name = parser.parse_identifier()
    extent = parser.parse_integer()
    over, cores = None, 1
    if parser.parse_optional_keyword("over") is not None:
        over, cores = parser.parse_identifier(), parser.parse_integer()
    numbers = {}
    for word in ("stride", "unit", "block"):
        found = parser.parse_optional_keyword(word) is not None
        numbers[word] = parser.parse_integer() if found else None
    axis = Axis(
        name, extent, over, cores, numbers["stride"] or 1, numbers["unit"] or 1, 0
    )
    return Axis(**{**axis.__dict__, "block": numbers["block"] or axis.part})


def _write_axis(axis: Axis) -> str:
    text = f"{axis.name} {axis.extent}"
    if axis.over is not None:
        text += f" over {axis.over} {axis.cores}"
    if axis.stride > 1:
        text += f" stride {axis.stride}"
    if axis.unit > 1:
        text += f" unit {axis.unit}"
    return text if axis.block == axis.part else f"{text} block {axis.block}"


@dataclass(frozen=True)
class Use:
    """How a program uses an operand, or makes a result.

    `axes` has an axis for each dimension of the tensor as the region sees it; `map`
    gives row and column of a tile in the buffer behind it. `along` says which way its
    master multicasts it, `index` that it holds row numbers for a gather, `cleaned`
    that its padding is filled with zeros after it was read.
    """

    axes: tuple[str, ...]
    map: tuple[Expr, Expr]
    along: str | None = None
    index: bool = False
    cleaned: bool = False

    def __str__(self) -> str:
        text = f"[{', '.join(self.axes)}] at [{self.map[0]}, {self.map[1]}]"
        if self.along is not None:
            text += f" along {self.along}"
        text += " index" if self.index else ""
        return f"{text} cleaned" if self.cleaned else text


@irdl_attr_definition
class UsesAttr(SyntaxData[tuple[Use, ...]]):
    """Uses of all operands, or of all results, in their order."""

    name = "grid.uses"

    @classmethod
    def read(cls, parser: AttrParser) -> tuple[Use, ...]:
        return tuple(
            parser.parse_comma_separated_list(
                parser.Delimiter.PAREN, lambda: _read_use(parser)
            )
        )

    def write(self) -> str:
        return "(" + ", ".join(map(str, self.data)) + ")"


def _read_use(parser: AttrParser) -> Use:
    axes = parser.parse_comma_separated_list(
        parser.Delimiter.SQUARE, parser.parse_identifier
    )
    parser.parse_keyword("at")
    map_ = parser.parse_comma_separated_list(
        parser.Delimiter.SQUARE, lambda: parse_expr(parser)
    )
    along = None
    if parser.parse_optional_keyword("along") is not None:
        along = parser.parse_identifier()
    index = parser.parse_optional_keyword("index") is not None
    cleaned = parser.parse_optional_keyword("cleaned") is not None
    if len(map_) != 2:
        parser.raise_error("a map has a row and a column")
    return Use(tuple(axes), (map_[0], map_[1]), along, index, cleaned)


@irdl_op_definition
class YieldOp(IRDLOperation):
    """What a program or stage hands out."""

    name = "grid.yield"
    values = var_operand_def(TENSOR)
    traits = traits_def(IsTerminator(), Pure())
    assembly_format = "($values^ `:` type($values))? attr-dict"

    def __init__(self, *values: SSAValue):
        super().__init__(operands=[values])


@irdl_op_definition
class ProgramOp(IRDLOperation):
    """One launch: operands are read, the stages run on all cores, results written."""

    name = "grid.program"
    sym_name = prop_def(StringAttr)
    inputs = var_operand_def(TENSOR)
    outputs = var_result_def(TENSOR)
    axes = prop_def(AxisListAttr)
    uses = prop_def(UsesAttr)
    makes = prop_def(UsesAttr)
    fidelity = prop_def(WordAttr)
    dst = prop_def(WordAttr)
    body = region_def("single_block")
    traits = traits_def(
        IsolatedFromAbove(), Pure(), SingleBlockImplicitTerminator(YieldOp)
    )
    assembly_format = (
        "$sym_name `axes` $axes `uses` $uses `makes` $makes `fidelity` $fidelity "
        "`dst` $dst `(` $inputs `)` attr-dict-with-keyword `:` "
        "`(` type($inputs) `)` `->` `(` type($outputs) `)` $body"
    )

    def __init__(
        self,
        name: str,
        inputs: Sequence[SSAValue],
        output_types: Sequence[Attribute],
        properties: dict[str, Attribute],
        body: Region,
    ):
        super().__init__(
            operands=[inputs],
            result_types=[output_types],
            properties={"sym_name": StringAttr(name), **properties},
            regions=[body],
        )

    def verify_(self) -> None:
        if self.fidelity.data not in tuple(Fidelity):
            raise VerifyException(f"fidelity '{self.fidelity}' is not known")
        if len(self.body.block.args) != len(self.inputs):
            raise VerifyException(
                f"{len(self.inputs)} operands, but the region has "
                f"{len(self.body.block.args)} arguments"
            )
        self._verify_uses("operand", self.uses.data, self.body.block.args)
        self._verify_uses("result", self.makes.data, self.outputs)

    def _verify_uses(
        self, what: str, uses: Sequence[Use], values: Sequence[SSAValue]
    ) -> None:
        axes = self.axes.by_name()
        if len(uses) != len(values):
            raise VerifyException(f"{len(values)} {what}s, but {len(uses)} uses")
        for use, value in zip(uses, values, strict=True):
            if len(use.axes) != len(shape_of(value)):
                raise VerifyException(
                    f"{what} {use} names {len(use.axes)} dimensions of "
                    f"{len(shape_of(value))}"
                )
            for axis in use.axes:
                if axis != NO_AXIS and axis not in axes:
                    raise VerifyException(f"{what} {use}: there is no axis {axis}")


@irdl_op_definition
class StageOp(IRDLOperation):
    """One loop nest over some of the axes; what it yields are locals or outputs.

    `formats` states the format in which each value is packed.
    """

    name = "grid.stage"
    over = prop_def(AxesAttr)
    formats = prop_def(AxesAttr)
    results_ = var_result_def(TENSOR)
    body = region_def("single_block")
    traits = traits_def(Pure(), SingleBlockImplicitTerminator(YieldOp))
    assembly_format = (
        "`over` $over `formats` $formats attr-dict-with-keyword "
        "(`:` type($results_)^)? $body"
    )

    def verify_(self) -> None:
        for word in self.formats.data:
            if word not in tuple(DataFormat):
                raise VerifyException(f"format '{word}' of a stage is not known")
        if len(self.formats.data) != len(self.results_):
            raise VerifyException("a stage states one format for each result")


def stored_format(value: SSAValue) -> DataFormat:
    """The format in which a tensor between programs is stored.

    A program's stage states it for what it yields; other tensors keep their own.
    """
    if isinstance(value, OpResult) and isinstance(value.op, ProgramOp):
        last = value.op.body.block.last_op
        assert last is not None
        inner = last.operands[value.index]
        if isinstance(inner, OpResult) and isinstance(inner.op, StageOp):
            return DataFormat(inner.op.formats.data[inner.index])
    element = element_of(value)
    if isinstance(element, BFloat16Type):
        return DataFormat.BF16
    return DataFormat.FP32 if isinstance(element, Float32Type) else DataFormat.INT32


@irdl_op_definition
class CausalMaskOp(IRDLOperation):
    """Zero where a key lies at or before its query, the lowest number behind it."""

    name = "grid.causal_mask"
    result = result_def(TENSOR)
    traits = traits_def(Pure())
    assembly_format = "attr-dict `:` type($result)"


@irdl_op_definition
class PadMaskOp(IRDLOperation):
    """`inside` over real columns, `outside` over those that fill up the last tile."""

    name = "grid.pad_mask"
    valid = prop_def(ExprAttr)
    inside = prop_def(NumberAttr)
    outside = prop_def(NumberAttr)
    result = result_def(TENSOR)
    traits = traits_def(Pure())
    assembly_format = (
        "`columns` $valid `inside` $inside `outside` $outside attr-dict "
        "`:` type($result)"
    )


Grid = Dialect(
    "grid",
    [ProgramOp, StageOp, YieldOp, CausalMaskOp, PadMaskOp],
    [AxisListAttr, UsesAttr],
)
