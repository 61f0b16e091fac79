"""Compute instructions of `tensix`: unpack, matrix unit, vector unit, pack.

Each works on a block of tiles, row by row over the axes in brackets, and names its
source and its target, a circular buffer or a place in Dst. Nothing hides a pack.
"""

from __future__ import annotations

from xdsl.dialects.builtin import UnitAttr
from xdsl.irdl import IRDLOperation, irdl_op_definition, opt_prop_def, prop_def
from xdsl.utils.exceptions import VerifyException

from dialects.expr import Const
from dialects.syntax import (
    AxesAttr,
    DstAttr,
    ExprAttr,
    LocalAttr,
    NumberAttr,
    WordAttr,
)

BROADCASTS = ("row", "col", "scalar")
REDUCTIONS = ("sum", "max")
DIMENSIONS = ("row", "col", "scalar")


def _verify_broadcast(word: WordAttr | None) -> None:
    if word is not None and word.data not in BROADCASTS:
        raise VerifyException(
            f"broadcast '{word}' is not one of {', '.join(BROADCASTS)}"
        )


def _verify_turned(count: ExprAttr | None) -> None:
    if count is not None and not (isinstance(count.data, Const) and count.value > 0):
        raise VerifyException(f"columns are turned by a number of tiles, not `{count}`")


class _BareOp(IRDLOperation):
    assembly_format = "attr-dict"


@irdl_op_definition
class AcquireOp(_BareOp):
    """Math: wait for a free half of Dst and clear it."""

    name = "tensix.tile_regs_acquire"


@irdl_op_definition
class CommitOp(_BareOp):
    """Math: hand the half to the packer."""

    name = "tensix.tile_regs_commit"


@irdl_op_definition
class RegsWaitOp(_BareOp):
    """Pack: wait for the half."""

    name = "tensix.tile_regs_wait"


@irdl_op_definition
class ReleaseOp(_BareOp):
    """Pack: give the half back."""

    name = "tensix.tile_regs_release"


@irdl_op_definition
class CopyTilesOp(IRDLOperation):
    """Dst = tiles of a circular buffer, broadcast along rows or columns if asked.

    `turned` takes tiles that stand so many places further along the buffer's last
    axis, from its end those at its beginning; the block must hold all of that axis.
    """

    name = "tensix.copy_tiles"
    buffer = prop_def(LocalAttr)
    turned = opt_prop_def(ExprAttr)
    broadcast = opt_prop_def(WordAttr)
    axes = prop_def(AxesAttr)
    dst = prop_def(DstAttr)
    assembly_format = (
        "$buffer (`turned` $turned^)? (`bcast` $broadcast^)? $axes `->` $dst attr-dict"
    )

    def verify_(self) -> None:
        _verify_broadcast(self.broadcast)
        _verify_turned(self.turned)


class _BinaryTilesOp(IRDLOperation):
    """Base: element-wise on the matrix unit; only the second operand broadcasts.

    The first may be `turned`, as in `copy_tiles`.
    """

    lhs = prop_def(LocalAttr)
    turned = opt_prop_def(ExprAttr)
    rhs = prop_def(LocalAttr)
    broadcast = opt_prop_def(WordAttr)
    accumulate = opt_prop_def(UnitAttr)
    axes = prop_def(AxesAttr)
    dst = prop_def(DstAttr)
    assembly_format = (
        "$lhs (`turned` $turned^)? `,` $rhs (`bcast` $broadcast^)? $axes `->` $dst "
        "(`accumulate` $accumulate^)? attr-dict"
    )

    def verify_(self) -> None:
        _verify_broadcast(self.broadcast)
        _verify_turned(self.turned)


@irdl_op_definition
class AddTilesOp(_BinaryTilesOp):
    """Dst = lhs + rhs."""

    name = "tensix.add_tiles"


@irdl_op_definition
class SubTilesOp(_BinaryTilesOp):
    """Dst = lhs - rhs."""

    name = "tensix.sub_tiles"


@irdl_op_definition
class MulTilesOp(_BinaryTilesOp):
    """Dst = lhs * rhs; with `accumulate` added to what Dst holds.

    Axes behind the last one of the target are summed into the same Dst tile.
    """

    name = "tensix.mul_tiles"
    over = opt_prop_def(AxesAttr)
    assembly_format = (
        "$lhs (`turned` $turned^)? `,` $rhs (`bcast` $broadcast^)? $axes "
        "(`sum` $over^)? `->` $dst (`accumulate` $accumulate^)? attr-dict"
    )


class MatmulOp(IRDLOperation):
    """Base: Dst += lhs x rhs over the tiles of the `sum` axes; Dst is rows x columns.

    Rows are the axes of `lhs`, columns those of `rhs`, in the order of `axes`.
    `transpose` turns each tile of `rhs` on its way into SrcA.
    """

    lhs = prop_def(LocalAttr)
    rhs = prop_def(LocalAttr)
    transpose = opt_prop_def(UnitAttr)
    axes = prop_def(AxesAttr)
    over = prop_def(AxesAttr)
    dst = prop_def(DstAttr)
    assembly_format = (
        "$lhs `,` $rhs (`transpose` $transpose^)? $axes `sum` $over `->` $dst attr-dict"
    )


@irdl_op_definition
class MatmulBlockOp(MatmulOp):
    """A product of blocks: a tile of one operand stays in Src for a row or column."""

    name = "tensix.matmul_block"


@irdl_op_definition
class MatmulTilesOp(MatmulOp):
    """A product of blocks tile by tile: both operands are unpacked for each."""

    name = "tensix.matmul_tiles"


@irdl_op_definition
class ReduceTilesOp(IRDLOperation):
    """Dst (+)= reduction of tiles along `dim`, over all tiles of the `sum` axes.

    `dim row` leaves one column (a value for each row). The scaler's first tile
    multiplies a sum; a maximum needs 1.
    """

    name = "tensix.reduce_tiles"
    kind = prop_def(WordAttr)
    dim = prop_def(WordAttr)
    buffer = prop_def(LocalAttr)
    scaler = prop_def(LocalAttr)
    axes = prop_def(AxesAttr)
    over = prop_def(AxesAttr)
    dst = prop_def(DstAttr)
    assembly_format = (
        "$kind $dim $buffer `,` $scaler $axes `over` $over `->` $dst attr-dict"
    )

    def verify_(self) -> None:
        if self.kind.data not in REDUCTIONS or self.dim.data not in DIMENSIONS:
            raise VerifyException(
                f"reduction '{self.kind} {self.dim}' is not one of "
                f"{', '.join(REDUCTIONS)} along {', '.join(DIMENSIONS)}"
            )


@irdl_op_definition
class TilizeBlockOp(IRDLOperation):
    """Dst = tiles made of the rows in a row-major circular buffer."""

    name = "tensix.tilize_block"
    buffer = prop_def(LocalAttr)
    axes = prop_def(AxesAttr)
    dst = prop_def(DstAttr)
    assembly_format = "$buffer $axes `->` $dst attr-dict"


@irdl_op_definition
class PackTilesOp(IRDLOperation):
    """Round Dst to the format of the circular buffer and write it to the block.

    `relu` clamps on the way; `l1_accumulate` adds to what the block holds in L1.
    """

    name = "tensix.pack_tiles"
    dst = prop_def(DstAttr)
    axes = prop_def(AxesAttr)
    buffer = prop_def(LocalAttr)
    relu = opt_prop_def(UnitAttr)
    l1_accumulate = opt_prop_def(UnitAttr)
    assembly_format = (
        "$dst $axes `->` $buffer (`relu` $relu^)? "
        "(`l1_accumulate` $l1_accumulate^)? attr-dict"
    )


class SfpuUnaryOp(IRDLOperation):
    """Base: a function of the vector unit, in place on a block of Dst."""

    dst = prop_def(DstAttr)
    axes = prop_def(AxesAttr)
    assembly_format = "$dst $axes attr-dict"


class SfpuScalarOp(IRDLOperation):
    """Base: a function of the vector unit with a scalar, in place."""

    dst = prop_def(DstAttr)
    axes = prop_def(AxesAttr)
    scalar = prop_def(NumberAttr)
    assembly_format = "$dst $axes `,` $scalar attr-dict"


@irdl_op_definition
class FillTileOp(SfpuScalarOp):
    """Vector unit: fill a block of Dst with a number."""

    name = "tensix.fill_tile"


class SfpuBinaryOp(IRDLOperation):
    """Base: a function of the vector unit of two blocks of Dst, into the first."""

    lhs = prop_def(DstAttr)
    rhs = prop_def(DstAttr)
    axes = prop_def(AxesAttr)
    assembly_format = "$lhs `,` $rhs $axes attr-dict"


UNARY_FUNCTIONS = (
    "exp", "recip", "rsqrt", "sqrt", "sigmoid", "silu", "gelu", "tanh", "log", "sin",
    "cos", "erf", "abs", "negative", "square", "relu",
)  # fmt: skip
SCALAR_FUNCTIONS = ("add_unary", "mul_unary", "max_unary", "min_unary", "pow_unary")
BINARY_FUNCTIONS = ("add", "sub", "mul", "div", "max", "min")


def _define(base: type[IRDLOperation], metal_name: str) -> type[IRDLOperation]:
    """Make the operation class of one vector-unit function of the tables above."""
    class_name = "".join(part.title() for part in metal_name.split("_")) + "Op"
    body = {
        "name": f"tensix.{metal_name}",
        "__doc__": f"Vector unit: `{metal_name}` on a block of Dst.",
        "__module__": __name__,
    }
    return irdl_op_definition(type(class_name, (base,), body))


UNARY_OPS = {name: _define(SfpuUnaryOp, f"{name}_tile") for name in UNARY_FUNCTIONS}
SCALAR_OPS = {name: _define(SfpuScalarOp, f"{name}_tile") for name in SCALAR_FUNCTIONS}
BINARY_OPS = {
    name: _define(SfpuBinaryOp, f"{name}_binary_tile") for name in BINARY_FUNCTIONS
}

OPERATIONS = [
    AcquireOp,
    CommitOp,
    RegsWaitOp,
    ReleaseOp,
    CopyTilesOp,
    AddTilesOp,
    SubTilesOp,
    MulTilesOp,
    MatmulBlockOp,
    MatmulTilesOp,
    ReduceTilesOp,
    TilizeBlockOp,
    PackTilesOp,
    FillTileOp,
    *UNARY_OPS.values(),
    *SCALAR_OPS.values(),
    *BINARY_OPS.values(),
]
