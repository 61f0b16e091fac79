"""Views inside a program: heads cut out of a projection, columns turned round.

Such an operation moves nothing. It says for which part of an axis the stages run that
read it, or which tiles of a local they read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.ir import Operation, SSAValue

from dialects import ttir
from dialects.formats import TILE_EDGE
from dialects.grid import RotateOp
from dialects.grid_attributes import Part
from dialects.ttir.base import shape_of

REGION_VIEWS = (ttir.SliceStaticOp, RotateOp)
"""Operations that are other names for tiles of what they read."""


def stored(value: SSAValue) -> tuple[SSAValue, int]:
    """The value whose tiles are read, and by how many of them its columns turn."""
    turned = 0
    while isinstance(value.owner, REGION_VIEWS):
        if isinstance(value.owner, RotateOp):
            turned += value.owner.by.value.data // TILE_EDGE
        value = value.owner.input
    return value, turned


def leading_cut(op: Operation) -> int | None:
    """The one dimension that a slice cuts, where it is not one inside tiles."""
    if not isinstance(op, ttir.SliceStaticOp):
        return None
    shape = shape_of(op.input)
    cut = [d for d, run in enumerate(op.runs) if run != range(shape[d])]
    return cut[0] if len(cut) == 1 and cut[0] < len(shape) - 2 else None


def part_of(
    value: SSAValue, axes_of: Callable[[SSAValue], Sequence[str]]
) -> Part | None:
    """The part of an axis for which a value is computed; None where for all of it.

    `axes_of` gives the axis of each dimension of a value.
    """
    owner = value.owner
    if not isinstance(owner, Operation):
        return None
    dim = leading_cut(owner)
    if dim is not None:
        assert isinstance(owner, ttir.SliceStaticOp)
        run = owner.runs[dim]
        return Part(axes_of(owner.input)[dim], run.start, run.stop)
    found = [part_of(operand, axes_of) for operand in owner.operands]
    return next((part for part in found if part is not None), None)
