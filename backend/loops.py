"""Loops that carry values: how far they go, and where their masks matter.

A mask in a loop says which blocks nobody sees, so that the loop ends before them, and
in which blocks all is seen, so that nothing has to be masked there.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Operation

from backend import build
from backend.lowering_context import Lowering
from dialects.expr import Binary, Const, Element, Expr, Name, add, floordiv
from dialects.formats import TILE_EDGE
from dialects.grid import NO_AXIS, CausalMaskOp, PositionMaskOp
from passes.form_programs import POSITION
from passes.schedule import Loop, masks_of


def masks_in(low: Lowering, loop: Loop) -> list[Operation]:
    """The masks that the steps of a loop apply."""
    stages = low.schedule.stages[loop.first : loop.last + 1]
    return [mask for stage in stages for mask in masks_of(stage)]


def position_of(low: Lowering, mask: PositionMaskOp) -> Expr:
    """The run-time scalar up to which a mask lets see."""
    user = low.schedule.axes.of(mask.result)[0]
    return Element(POSITION, Const(0) if user == NO_AXIS else Name(user))


def steps_of(low: Lowering, loop: Loop, body: Sequence[Operation]) -> list[Operation]:
    """The loop around the body of one step; nothing around nothing."""
    if not body:
        return []
    if low.axes[loop.axis].dealt:
        has_block = Binary(">", Name(f"{loop.axis}.size"), Const(0))
        body = [build.branch(has_block, body)]
    return [build.loop(loop.axis, body, None, to=_limit(low, loop))]


def _limit(low: Lowering, loop: Loop) -> Expr | None:
    """The tile behind the last that anybody sees."""
    for mask in masks_in(low, loop):
        if isinstance(mask, CausalMaskOp):
            return Name(f"{low.schedule.axes.of(mask.result)[-2]}.stop")
        if isinstance(mask, PositionMaskOp):
            return add(floordiv(position_of(low, mask), TILE_EDGE), Const(1))
    return None


def guard_of(low: Lowering, mask: Operation) -> Expr | None:
    """Whether a mask hides anything in the current block; None where that is open."""
    axes = low.schedule.axes.of(mask.results[0])
    loop = low.schedule.loop_of(low.stage_of(mask))
    if loop is None:
        return None
    stop = Name(f"{loop.axis}.stop")
    if isinstance(mask, CausalMaskOp):
        return Binary(">", stop, Name(f"{axes[-2]}.start"))
    if isinstance(mask, PositionMaskOp):
        seen = floordiv(add(position_of(low, mask), Const(1)), TILE_EDGE)
        return Binary(">", stop, seen)
    return None


def guarded(
    low: Lowering, mask: Operation, body: Sequence[Operation]
) -> list[Operation]:
    """The body, under the mask's guard if it has one."""
    guard = guard_of(low, mask)
    return list(body) if guard is None else [build.branch(guard, body)]
