"""The compute kernel: waits for operands, runs the stages, frees what was used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

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
from dialects.grid_attributes import PartAttr
from dialects.syntax import AxesAttr, LocalAttr, NumberAttr
from passes.schedule_parts import Carried, Combine, Loop, masks_of


def compute(low: Lowering, depth: int = 0) -> list[Operation]:
    """The compute kernel from a depth of the outer loops inwards."""
    body = Body()
    innermost = depth == len(low.outer)
    masks = _masks(low) if innermost else []
    held, late = _held(low, depth)
    lent = [] if depth else low.lent_outputs
    for name in (*held, *masks):
        body.wait(name)
    for name in lent:
        body.reserve(name)
    before = low.schedule.num_before
    if depth == 0 and before:
        _compute_stages(low, body, low.schedule.items[:before])
    body.extend(low.outer_loop(depth, lambda inner: compute(low, inner)))
    if innermost:
        _compute_stages(low, body, low.schedule.items[before:])
    for value in late:
        if _may_be_unread(low, value):
            body.wait(low.name(value))
    if depth == 0 and before:
        _free_behind(low, body)
    for name in lent:
        body.push(name)
    for name in (*masks, *held, *map(low.name, late)):
        body.pop(name)
    return body.ops


def _held(low: Lowering, depth: int) -> tuple[list[str], list[SSAValue]]:
    """What is there at a depth of the outer loops: buffers that are waited for at once,
    and operands that are waited for where they are first read."""
    residents = low.residents(depth)
    held = [low.name(value) for value in residents if not low.is_late(value)]
    helpers = (ONES, COLUMN_OF_ONES) if depth == 0 else ()
    held += [low.name(key) for key in helpers if key in low.buffers]
    return held, [value for value in residents if low.is_late(value)]


def _may_be_unread(low: Lowering, value: SSAValue) -> bool:
    """Whether only stages that some steps leave out wait for an operand."""
    readers = (
        item for item in low.schedule.items if low.schedule.reads_in(item, value)
    )
    return all(_where(low, item) is not None for item in readers)


def _masks(low: Lowering) -> list[str]:
    """Buffers of the masks that no loop brings."""
    return [
        low.name(mask.results[0])
        for index, stage in enumerate(low.schedule.stages)
        if low.schedule.loop_of(index) is None
        for mask in masks_of(stage)
    ]


def _compute_stages(
    low: Lowering, body: Body, items: Sequence[Loop | Combine | int]
) -> None:
    """Stages and loops in their order; each value goes after its last reader.

    Stages that follow each other and run for the same part of an axis stand under one
    condition; what they read, but do not make, goes behind it.
    """
    waited = set[str]()
    for where, group in groupby(items, lambda item: _where(low, item)):
        members, inner = list(group), Body()
        if where is None:
            for item in members:
                needed = _first_needed(low, [item])
                for name in (n for n in needed if n not in waited):
                    body.wait(name)
                waited.update(needed)
                _compute_item(low, body, item)
            continue
        for name in _first_needed(low, members):
            inner.wait(name)
        for item in members:
            _compute_item(low, inner, item)
        (first, *_) = (item for item in members if isinstance(item, int))
        guard = low.guard(first)
        assert guard is not None
        body.extend([build.branch(guard, inner.ops)])
        for item in members:
            assert isinstance(item, int)
            _free(low, body, item, inside=None, where=None)


def _first_needed(low: Lowering, items: Sequence[Loop | Combine | int]) -> list[str]:
    """Operands that are waited for only where they are read, before all of a stage."""
    readers = {
        operand.value: [i for i in items if low.schedule.reads_in(i, operand.value)]
        for operand in low.schedule.operands
        if low.is_late(operand.value)
    }
    return [
        low.name(value)
        for value, found in readers.items()
        if any(
            not isinstance(i, int) or value not in low.needed_behind(i) for i in found
        )
    ]


def _where(low: Lowering, item: object) -> PartAttr | None:
    if not isinstance(item, int) or item < 0:
        return None
    return low.schedule.stages[item].where


def _compute_item(low: Lowering, body: Body, item: Loop | Combine | int) -> None:
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
    _free(low, inner, last, inside=None, where=_where(low, item))
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
    combine = low.schedule.combine_of(loop)
    for carried in loop.carried:
        if carried.added:
            body.push(low.name(carried.result))
        if combine is None or not combine.each:
            body.wait(low.name(carried.result))
    if combine is None:
        _drop_unread(low, body, loop)


def _drop_unread(low: Lowering, body: Body, region: Loop | Combine) -> None:
    """Free what nobody reads behind a loop."""
    for carried in region.carried:
        if not low.schedule.is_read(carried.result):
            body.pop(low.name(carried.result))


def _combine(low: Lowering, body: Body, combine: Combine) -> None:
    """The first core takes the results of the others in; they hand theirs over."""
    names = [low.name(carried.argument) for carried in combine.carried]
    if combine.each:
        _add_pieces(low, body, combine)
        return
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


def _add_pieces(low: Lowering, body: Body, combine: Combine) -> None:
    """The sum of a core's pieces, its own and those of the other cores."""
    for carried in combine.carried:
        _begin(low, body, carried)
    pieces = [low.name(other) for other in combine.others]
    for name in pieces:
        body.wait(name)
    step = Body()
    for index in range(combine.first, combine.last + 1):
        _compute_stage(low, step, index)
        _free(low, step, index, inside=combine)
    body.extend([build.loop(PARTIAL, step.ops, None)])
    for name in pieces:
        body.pop(name)
    for carried in combine.carried:
        body.push(low.name(carried.result))
        body.wait(low.name(carried.result))
    _drop_unread(low, body, combine)


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
    low: Lowering,
    body: Body,
    last: int,
    *,
    inside: Loop | Combine | None,
    where: PartAttr | None = None,
) -> None:
    """Free the values whose last reader has run.

    What a loop reads, but does not make, is freed behind the loop; what stages for the
    part `where` made, among them.
    """
    for value in _kept(low):
        maker, reader = _maker(low, value), _last_reader(low, value)
        home = low.schedule.around(maker)
        around = low.schedule.around(reader)
        if around is not None and around is not home:
            reader = around.last
        stays = _outlasts_steps(low, value) or _where(low, maker) != where
        if reader == last and home is inside and not stays:
            body.pop(low.name(value))


def _free_behind(low: Lowering, body: Body) -> None:
    """Free what was made before the outer loops and read in their steps."""
    for value in _kept(low):
        if _outlasts_steps(low, value):
            body.pop(low.name(value))


def _outlasts_steps(low: Lowering, value: SSAValue) -> bool:
    """Whether a value is made before the outer loops and read inside them."""
    before = low.schedule.num_before
    return 0 <= _maker(low, value) < before <= _last_reader(low, value)


def _kept(low: Lowering) -> list[SSAValue]:
    """Values that stages or loops leave in L1."""
    values: list[SSAValue] = [local.value for local in low.schedule.locals]
    regions = (*low.schedule.loops, *low.schedule.combines)
    values += [
        carried.result
        for region in regions
        for carried in region.carried
        if low.schedule.is_read(carried.result)
    ]
    return values


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
