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
from passes.program_builder import POSITION
from passes.schedule_parts import Combine, Loop, masks_of


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
    axis = low.axes[loop.axis]
    if axis.dealt or (axis.cores > 1 and axis.extent % axis.part):
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


def is_shared(low: Lowering, combine: Combine) -> bool:
    """Whether several cores share the loop out."""
    return low.axes[combine.loop.axis].cores > 1


def first_of(combine: Combine) -> Expr:
    """Whether a core is the one that combines."""
    return Binary("==", Name(f"{combine.loop.axis}.index"), Const(0))


def other_of(combine: Combine) -> Expr:
    """Whether a core hands its results over."""
    return Binary(">", Name(f"{combine.loop.axis}.index"), Const(0))


def has_results(low: Lowering, combine: Combine) -> Expr:
    """Whether a core had any block of the loop: those that nobody sees are left out."""
    axis, limit = combine.loop.axis, _limit(low, combine.loop)
    end = Const(low.axes[axis].extent) if limit is None else limit
    return Binary("<", Name(f"{axis}.start"), end)


def has_others(low: Lowering, combine: Combine) -> Expr:
    """Whether another core had a block."""
    return Binary(">", others_of(low, combine), Const(0))


def others_of(low: Lowering, combine: Combine) -> Expr:
    """How many other cores had a block."""
    axis = low.axes[combine.loop.axis]
    limit = _limit(low, combine.loop)
    if limit is None:
        return Const(axis.cores - 1)
    blocks = Binary("ceildiv", limit, Const(axis.block))
    return Binary("-", Binary("min", blocks, Const(axis.cores)), Const(1))


def on_first(low: Lowering, item: object, body: Sequence[Operation]) -> list[Operation]:
    """What stands behind the combining of a shared loop is done by its first core."""
    for combine in low.schedule.combines:
        behind = isinstance(item, int) and item > combine.last
        if behind and is_shared(low, combine) and body and not combine.each:
            return [build.branch(first_of(combine), list(body))]
    return list(body)


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
