"""`grid`: where. One program is the work of one launch.

A program's region computes on whole tensors in `ttir` operations; what makes it a
program is beside them: its axes with the cores they are spread over, for each operand
the axis that each dimension runs along and the map from axes to tiles, and stages,
the loop nests that follow each other. Fusion is moving operations into a region.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.dialects.builtin import (
    BFloat16Type,
    Float32Type,
    IntegerAttr,
    StringAttr,
    UnitAttr,
)
from xdsl.ir import Attribute, Dialect, OpResult, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.traits import (
    IsolatedFromAbove,
    IsTerminator,
    Pure,
    SingleBlockImplicitTerminator,
)
from xdsl.utils.exceptions import VerifyException

from dialects.formats import DataFormat, Fidelity
from dialects.grid_attributes import (
    NO_AXIS,
    AxisListAttr,
    NumbersAttr,
    PartAttr,
    Use,
    UsesAttr,
)
from dialects.grid_norms import RmsNormOfSumsOp, SquareSumsOp
from dialects.syntax import AxesAttr, ExprAttr, NumberAttr, WordAttr
from dialects.ttir.base import TENSOR, element_of, shape_of

if TYPE_CHECKING:
    from collections.abc import Sequence


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
        last = self.body.block.last_op
        made = () if last is None else last.operands
        self._verify_uses("result", self.makes.data, made)

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

    `formats` states the format in which each value is packed; `where` the part of an
    axis for which the stage runs, the others leaving it out.
    """

    name = "grid.stage"
    over = prop_def(AxesAttr)
    where = opt_prop_def(PartAttr)
    formats = prop_def(AxesAttr)
    results_ = var_result_def(TENSOR)
    body = region_def("single_block")
    traits = traits_def(Pure(), SingleBlockImplicitTerminator(YieldOp))
    assembly_format = (
        "`over` $over (`where` $where^)? `formats` $formats attr-dict-with-keyword "
        "(`:` type($results_)^)? $body"
    )

    def verify_(self) -> None:
        for word in self.formats.data:
            if word not in tuple(DataFormat):
                raise VerifyException(f"format '{word}' of a stage is not known")
        if len(self.formats.data) != len(self.results_):
            raise VerifyException("a stage states one format for each result")
        if self.where is not None and not self.where.data.num_steps > 0:
            raise VerifyException(f"a stage runs for no step: where {self.where}")


@irdl_op_definition
class LoopOp(IRDLOperation):
    """Stages that run for one block of an axis after another, carrying values.

    The axis is the one along dimension `dim` of `along`. In the region every value
    with that axis is one block of it; a reduction over it is one over the block. The
    region's arguments begin as the numbers of `init` and go on as what it yields, in
    the `formats`; the results are the last ones. A mask in the region says how far the
    loop goes.
    """

    name = "grid.loop"
    along = operand_def(TENSOR)
    dim = prop_def(IntegerAttr)
    init = prop_def(NumbersAttr)
    formats = prop_def(AxesAttr)
    carried = var_result_def(TENSOR)
    body = region_def("single_block")
    traits = traits_def(Pure(), SingleBlockImplicitTerminator(YieldOp))
    assembly_format = (
        "`along` $along `dim` $dim `init` $init `formats` $formats "
        "attr-dict-with-keyword `:` type($along) `->` `(` type($carried) `)` $body"
    )

    def __init__(
        self,
        along: SSAValue,
        dim: int,
        *,
        init: Sequence[float],
        formats: Sequence[DataFormat],
        types: Sequence[Attribute],
        body: Region,
    ):
        super().__init__(
            operands=[along],
            result_types=[types],
            properties={
                "dim": IntegerAttr(dim, 64),
                "init": NumbersAttr(tuple(init)),
                "formats": AxesAttr(tuple(formats)),
            },
            regions=[body],
        )

    @property
    def yielded(self) -> tuple[SSAValue, ...]:
        """What a step hands to the next."""
        last = self.body.block.last_op
        assert isinstance(last, YieldOp)
        return tuple(last.operands)

    def verify_(self) -> None:
        counts = {
            len(self.init.data),
            len(self.formats.data),
            len(self.carried),
            len(self.body.block.args),
            len(self.yielded),
        }
        if len(counts) > 1:
            raise VerifyException(
                f"a loop carries {len(self.carried)} values in "
                f"{len(self.formats.data)} formats, begins with "
                f"{len(self.init.data)} numbers, has {len(self.body.block.args)} "
                f"arguments and yields {len(self.yielded)}"
            )


@irdl_op_definition
class CombineOp(IRDLOperation):
    """What two cores carried out of a loop, made into what one would have carried.

    The region takes the values of one core, then those of another, and yields the
    combined ones. Where the loop's axis is not spread over cores, nothing happens and
    the results are the operands. With `each`, every core combines a piece of its own:
    the results run along axes of their own, shares of those of the values, the region
    begins with zeros, and takes in the pieces of all cores.
    """

    name = "grid.combine"
    values = var_operand_def(TENSOR)
    each = opt_prop_def(UnitAttr)
    formats = prop_def(AxesAttr)
    combined = var_result_def(TENSOR)
    body = region_def("single_block")
    traits = traits_def(Pure(), SingleBlockImplicitTerminator(YieldOp))
    assembly_format = (
        "$values (`each` $each^)? `formats` $formats attr-dict-with-keyword `:` "
        "`(` type($values) `)` `->` `(` type($combined) `)` $body"
    )

    def __init__(
        self,
        values: Sequence[SSAValue],
        formats: Sequence[DataFormat],
        body: Region,
        *,
        each: bool = False,
    ):
        properties: dict[str, Attribute] = {"formats": AxesAttr(tuple(formats))}
        if each:
            properties["each"] = UnitAttr()
        super().__init__(
            operands=[values],
            result_types=[[value.type for value in values]],
            properties=properties,
            regions=[body],
        )

    @property
    def yielded(self) -> tuple[SSAValue, ...]:
        """The combined values."""
        last = self.body.block.last_op
        assert isinstance(last, YieldOp)
        return tuple(last.operands)

    def verify_(self) -> None:
        count = len(self.values)
        if len(self.body.block.args) != 2 * count or len(self.yielded) != count:
            raise VerifyException(
                f"{count} values are combined, but the region has "
                f"{len(self.body.block.args)} arguments and yields {len(self.yielded)}"
            )


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
class PositionMaskOp(IRDLOperation):
    """Zero up to the position of a user, the lowest number behind it.

    The positions are run-time scalars, one for each index of the first dimension; the
    last dimension counts what is seen.
    """

    name = "grid.position_mask"
    positions = operand_def(TENSOR)
    result = result_def(TENSOR)
    traits = traits_def(Pure())
    assembly_format = "$positions attr-dict `:` type($positions) `->` type($result)"

    def __init__(self, positions: SSAValue, result_type: Attribute):
        super().__init__(operands=[positions], result_types=[result_type])


@irdl_op_definition
class DecodeAttentionOp(IRDLOperation):
    """Attention of one token of each user over the user's cache, heads first.

    Query 1 x heads x users x D, key and value users x kv heads x S x D; a user sees the
    rows of its cache up to its position. The result is users x (heads * D): what the
    output projection reads, row by row.
    """

    name = "grid.decode_attention"
    query = operand_def(TENSOR)
    key = operand_def(TENSOR)
    value = operand_def(TENSOR)
    positions = operand_def(TENSOR)
    scale = prop_def(NumberAttr)
    result = result_def(TENSOR)
    traits = traits_def(Pure())
    assembly_format = (
        "$query `,` $key `,` $value `at` $positions `scale` $scale attr-dict `:` "
        "`(` type($query) `,` type($key) `,` type($value) `,` type($positions) `)` "
        "`->` type($result)"
    )


@irdl_op_definition
class RotateOp(IRDLOperation):
    """Columns turned round: what stands `by` columns further, from the end the first.

    By half the width, it swaps the halves, as rotary embedding does.
    """

    name = "grid.rotate"
    input = operand_def(TENSOR)
    by = prop_def(IntegerAttr)
    result = result_def(TENSOR)
    traits = traits_def(Pure())
    assembly_format = "$input `by` $by attr-dict `:` type($input) `->` type($result)"

    def __init__(self, input_: SSAValue, by: int):
        super().__init__(
            operands=[input_],
            result_types=[input_.type],
            properties={"by": IntegerAttr(by, 64)},
        )

    def verify_(self) -> None:
        by, width = self.by.value.data, shape_of(self.input)[-1]
        if self.input.type != self.result.type:
            raise VerifyException("a rotation keeps the type of its operand")
        if not 0 < by < width:
            raise VerifyException(f"a rotation of {width} columns goes by {by}")


@irdl_op_definition
class PickRowsOp(IRDLOperation):
    """Rows of a tensor that was computed, by numbers known while running.

    Of T x K and n numbers, n x K. Unlike a gather of a table, the tile that holds a row
    is read, and the row written.
    """

    name = "grid.pick_rows"
    input = operand_def(TENSOR)
    rows = operand_def(TENSOR)
    result = result_def(TENSOR)
    traits = traits_def(Pure())
    assembly_format = (
        "$input `at` $rows attr-dict `:` `(` type($input) `,` type($rows) `)` `->` "
        "type($result)"
    )


@irdl_op_definition
class EachUserOp(IRDLOperation):
    """Rows of all users, once for each user: of each copy one row is meant."""

    name = "grid.each_user"
    input = operand_def(TENSOR)
    result = result_def(TENSOR)
    traits = traits_def(Pure())
    assembly_format = "$input attr-dict `:` type($input) `->` type($result)"

    def __init__(self, input_: SSAValue, result_type: Attribute):
        super().__init__(operands=[input_], result_types=[result_type])


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
    [
        ProgramOp,
        StageOp,
        LoopOp,
        CombineOp,
        YieldOp,
        CausalMaskOp,
        DecodeAttentionOp,
        EachUserOp,
        PickRowsOp,
        PositionMaskOp,
        PadMaskOp,
        RmsNormOfSumsOp,
        RotateOp,
        SquareSumsOp,
    ],
    [AxisListAttr, NumbersAttr, PartAttr, UsesAttr],
)
