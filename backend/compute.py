"""The compute kernel: waits for operands, runs the stages, frees what was used."""

from __future__ import annotations

from collections.abc import Callable

from xdsl.ir import Operation, SSAValue

from backend import build
from backend.build import Body
from backend.compute_stages import compute_stage
from backend.declare import PARTIAL
from backend.loops import (
    first_of,
    guarded,
    has_others,
    has_results,
    is_shared,
    masks_in,
    on_first,
    other_of,
    others_of,
    steps_of,
)
from backend.lowering_context import COLUMN_OF_ONES, ONES, Lowering, nest
from dialects import tensix_compute as instructions
from dialects.syntax import AxesAttr, LocalAttr, NumberAttr
from passes.schedule import Carried, Combine, Loop, masks_of


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
    lent = [] if depth else low.lent_outputs
    for name in lent:
        body.reserve(name)
    body.extend(low.outer_loop(depth, lambda inner: compute(low, inner)))
    if depth == len(low.outer):
        _compute_stages(low, body)
    for name in lent:
        body.push(name)
    for name in (*masks, *held):
        body.pop(name)
    return body.ops


def _compute_stages(low: Lowering, body: Body) -> None:
    """Stages and loops in their order; each value goes after its last reader."""
    for item in low.schedule.items:
        inner = Body()
        if isinstance(item, Loop):
            _compute_loop(low, inner, item)
            last = item.last
        elif isinstance(item, Combine):
            _combine(low, inner, item)
            last = item.last
        else:
            _compute_stage(low, inner, item)
            last = item
        _free(low, inner, last, inside=None)
        body.extend(on_first(low, item, inner.ops))


def _compute_stage(low: Lowering, body: Body, index: int) -> None:
    stage = low.schedule.stages[index]
    kept = {local.value for local in low.schedule.locals}
    made = [low.name(value) for value in stage.results if value in kept]
    region = low.schedule.around(index)
    carried = [] if region is None else region.carried
    handed_on = [
        low.name(c.argument)
        for c in carried
        if c.yielded in stage.results and not c.added
    ]
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
    old = [low.name(c.argument) for c in loop.carried if not c.added]
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
        if carried.added:
            body.push(low.name(carried.result))
        body.wait(low.name(carried.result))
    if low.schedule.combine_of(loop) is None:
        _drop_unread(low, body, loop)


def _drop_unread(low: Lowering, body: Body, region: Loop | Combine) -> None:
    """Free what nobody reads behind a loop."""
    for carried in region.carried:
        if not low.schedule.is_read(carried.result):
            body.pop(low.name(carried.result))


def _combine(low: Lowering, body: Body, combine: Combine) -> None:
    """The first core takes the results of the others in; they hand theirs over."""
    names = [low.name(carried.argument) for carried in combine.carried]
    if not is_shared(low, combine):
        _drop_unread(low, body, combine)
        return
    others = Body()
    given = Body()
    for carried, other in zip(combine.carried, combine.others, strict=True):
        target = low.name((other, "own"))
        given.reserve(target)
        given.extend(_copies(low, carried, target))
        given.push(target)
    others.extend([build.branch(has_results(low, combine), given.ops)])
    for name in names:
        others.pop(name)
    taken, step = Body(), Body()
    partials = [low.name(other) for other in combine.others]
    for name in partials:
        taken.wait(name)
    for name in names:
        step.wait(name)
    for index in range(combine.first, combine.last + 1):
        _compute_stage(low, step, index)
        _free(low, step, index, inside=combine)
    for name in names:
        step.pop(name)
    taken.extend([build.loop(PARTIAL, step.ops, None, to=others_of(low, combine))])
    for name in names:
        taken.wait(name)
    for name in partials:
        taken.pop(name)
    first = Body()
    first.extend([build.branch(has_others(low, combine), taken.ops)])
    _drop_unread(low, first, combine)
    body.extend([build.branch(other_of(combine), others.ops)])
    body.extend([build.branch(first_of(combine), first.ops)])


def _copies(low: Lowering, carried: Carried, target: str) -> list[Operation]:
    """Copy a carried value into another buffer."""
    copy = instructions.CopyTilesOp.create(
        properties={
            "buffer": low.local(carried.argument),
            "axes": AxesAttr(carried.axes),
            "dst": build.dst(0),
        }
    )
    return _pack_all(low, carried, copy, target)


def _pack_all(
    low: Lowering, carried: Carried, make: Operation, target: str
) -> list[Operation]:
    """Pack what an operation leaves in Dst, a section of Dst after another."""
    own, steps = _sections(low, carried)
    axes, inner = AxesAttr(carried.axes), Body()
    inner.add(instructions.AcquireOp)
    inner.extend([make])
    inner.add(instructions.CommitOp)
    inner.add(instructions.RegsWaitOp)
    inner.add(
        instructions.PackTilesOp, dst=build.dst(0), axes=axes, buffer=LocalAttr(target)
    )
    inner.add(instructions.ReleaseOp)
    return nest(own, inner.ops, steps)


def _sections(low: Lowering, carried: Carried) -> tuple[list[str], dict[str, int]]:
    """Axes of a carried value, and how far each goes in one section of Dst."""
    own = [axis for axis in carried.axes if axis not in low.outer]
    room, steps = low.capacity, {}
    for axis in reversed(own):
        steps[axis] = min(room, low.axes[axis].part)
        room = max(1, room // steps[axis])
    return own, steps


def _mask_pages(
    low: Lowering, mask: Operation, take: Callable[[Body, str], None]
) -> list[Operation]:
    body = Body()
    take(body, low.name(mask.results[0]))
    return guarded(low, mask, body.ops)


def _begin(low: Lowering, body: Body, carried: Carried) -> None:
    """Fill the first block of a carried value with its number."""
    name = low.name(carried.argument)
    fill = instructions.FillTileOp.create(
        properties={
            "dst": build.dst(0),
            "axes": AxesAttr(carried.axes),
            "scalar": NumberAttr(carried.init),
        }
    )
    body.reserve(name)
    body.extend(_pack_all(low, carried, fill, name))
    if not carried.added:
        body.push(name)


def _free(
    low: Lowering, body: Body, last: int, *, inside: Loop | Combine | None
) -> None:
    """Free the values whose last reader has run.

    What a loop reads, but does not make, is freed behind the loop.
    """
    values: list[SSAValue] = [local.value for local in low.schedule.locals]
    regions = (*low.schedule.loops, *low.schedule.combines)
    values += [
        carried.result
        for region in regions
        for carried in region.carried
        if low.schedule.is_read(carried.result)
    ]
    for value in values:
        reader = _last_reader(low, value)
        home = low.schedule.around(_maker(low, value))
        around = low.schedule.around(reader)
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
