"""The compute kernel: waits for operands, runs the stages, frees what was used."""

from __future__ import annotations

from collections.abc import Callable

from xdsl.ir import Operation, SSAValue

from backend import build
from backend.build import Body
from backend.compute_stages import compute_stage
from backend.loops import guarded, masks_in, steps_of
from backend.lowering_context import COLUMN_OF_ONES, ONES, Lowering, nest
from dialects import tensix_compute as instructions
from dialects.syntax import AxesAttr, LocalAttr, NumberAttr
from passes.schedule import Carried, Loop, masks_of


def compute(low: Lowering, depth: int = 0) -> list[Operation]:
    """The compute kernel from a depth of the outer loops inwards."""
    body = Body()
    held = [low.name(value) for value in low.residents(depth)]
    if depth == 0 and ONES in low.buffers:
        held.append(low.name(ONES))
    if depth == 0 and COLUMN_OF_ONES in low.buffers:
        held.append(low.name(COLUMN_OF_ONES))
    masks = []
    if depth == len(low.outer):
        masks = [
            low.name(mask.results[0])
            for index, stage in enumerate(low.schedule.stages)
            if low.schedule.loop_of(index) is None
            for mask in masks_of(stage)
        ]
    for name in (*held, *masks):
        body.wait(name)
    body.extend(low.outer_loop(depth, lambda inner: compute(low, inner)))
    if depth == len(low.outer):
        _compute_stages(low, body)
    for name in (*masks, *held):
        body.pop(name)
    return body.ops


def _compute_stages(low: Lowering, body: Body) -> None:
    """Stages and loops in their order; each value goes after its last reader."""
    for item in low.schedule.items:
        if isinstance(item, Loop):
            _compute_loop(low, body, item)
            last = item.last
        else:
            _compute_stage(low, body, item)
            last = item
        _free(low, body, last, inside=None)


def _compute_stage(low: Lowering, body: Body, index: int) -> None:
    stage = low.schedule.stages[index]
    kept = {local.value for local in low.schedule.locals}
    made = [low.name(value) for value in stage.results if value in kept]
    loop = low.schedule.loop_of(index)
    carried = [] if loop is None else loop.carried
    handed_on = [low.name(c.argument) for c in carried if c.yielded in stage.results]
    for name in (*made, *handed_on):
        body.reserve(name)
    body.extend(compute_stage(low, index))
    for name in made:
        body.push(name)
        body.wait(name)
    for name in handed_on:
        body.push(name)


def _compute_loop(low: Lowering, body: Body, loop: Loop) -> None:
    """Begin what is carried, take the steps, and leave the results to be read."""
    for carried in loop.carried:
        _begin(low, body, carried)
    step = Body()
    old = [low.name(carried.argument) for carried in loop.carried]
    loaded = [low.name(o.value) for o in low.schedule.operands if o.loop is loop]
    for name in (*old, *loaded):
        step.wait(name)
    for mask in masks_in(low, loop):
        step.extend(_mask_pages(low, mask, Body.wait))
    for index in range(loop.first, loop.last + 1):
        _compute_stage(low, step, index)
        _free(low, step, index, inside=loop)
    for mask in masks_in(low, loop):
        step.extend(_mask_pages(low, mask, Body.pop))
    for name in (*loaded, *old):
        step.pop(name)
    body.extend(steps_of(low, loop, step.ops))
    for carried in loop.carried:
        body.wait(low.name(carried.result))
        if not low.schedule.is_read(carried.result):
            body.pop(low.name(carried.result))


def _mask_pages(
    low: Lowering, mask: Operation, take: Callable[[Body, str], None]
) -> list[Operation]:
    body = Body()
    take(body, low.name(mask.results[0]))
    return guarded(low, mask, body.ops)


def _begin(low: Lowering, body: Body, carried: Carried) -> None:
    """Fill the first block of a carried value with its number."""
    name, inner = low.name(carried.argument), Body()
    own = [axis for axis in carried.axes if axis not in low.outer]
    room, steps = low.capacity, {}
    for axis in reversed(own):
        steps[axis] = min(room, low.axes[axis].part)
        room = max(1, room // steps[axis])
    axes = AxesAttr(carried.axes)
    inner.add(instructions.AcquireOp)
    inner.add(
        instructions.FillTileOp,
        dst=build.dst(0),
        axes=axes,
        scalar=NumberAttr(carried.init),
    )
    inner.add(instructions.CommitOp)
    inner.add(instructions.RegsWaitOp)
    inner.add(
        instructions.PackTilesOp, dst=build.dst(0), axes=axes, buffer=LocalAttr(name)
    )
    inner.add(instructions.ReleaseOp)
    body.reserve(name)
    body.extend(nest(own, inner.ops, steps))
    body.push(name)


def _free(low: Lowering, body: Body, last: int, *, inside: Loop | None) -> None:
    """Free the values whose last reader has run.

    What a loop reads, but does not make, is freed behind the loop.
    """
    values: list[SSAValue] = [local.value for local in low.schedule.locals]
    values += [
        carried.result
        for loop in low.schedule.loops
        for carried in loop.carried
        if low.schedule.is_read(carried.result)
    ]
    for value in values:
        reader = _last_reader(low, value)
        home = low.schedule.loop_of(_maker(low, value))
        around = low.schedule.loop_of(reader)
        if around is not None and around is not home:
            reader = around.last
        if reader == last and home is inside:
            body.pop(low.name(value))


def _maker(low: Lowering, value: SSAValue) -> int:
    """The stage that makes a value; -1 for the result of a loop."""
    for index, stage in enumerate(low.schedule.stages):
        if value in stage.results:
            return index
    return -1


def _last_reader(low: Lowering, value: SSAValue) -> int:
    return max(
        index
        for index, stage in enumerate(low.schedule.stages)
        if any(value in op.operands for op in stage.body.block.ops)
    )
