"""The writer (riscv0): writes results, fills masks and scalers.

Where the reader streams, the writer loads all that is needed before, so that what is
streamed is on its way from the beginning.
"""

from __future__ import annotations

from xdsl.ir import Attribute, Operation, SSAValue

from backend import build
from backend.build import Body
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
    position_of,
    steps_of,
)
from backend.lowering_context import Lowering, nest
from backend.readers import fill_scalers, load_residents, load_step, stream
from dialects import tensix_movement as movement
from dialects.expr import Binary, Const, add
from dialects.grid import CausalMaskOp, PadMaskOp, PositionMaskOp, StageOp
from dialects.syntax import ExprAttr, LocalAttr
from passes.insert_padding import MASKED
from passes.schedule_parts import Combine, Loop, masks_of


def writer(low: Lowering, depth: int = 0) -> list[Operation]:
    """The writer from a depth of the outer loops inwards."""
    body = Body()
    if low.writer_loads:
        body.extend(load_residents(low, depth, noc=0, late=False))
    if depth == 0 and not low.reader_fills:
        body.extend(fill_scalers(low))
    if depth == 0:
        body.extend(_stream_before(low, 0, low.schedule.num_before))
    if low.writer_loads:
        body.extend(load_residents(low, depth, noc=0, late=True))
    body.extend(low.outer_loop(depth, lambda inner: writer(low, inner)))
    if depth == len(low.outer):
        body.extend(_inside(low))
    for name in [] if depth else low.lent_outputs:
        body.wait(name)
        body.pop(name)
    return body.ops


def _inside(low: Lowering) -> list[Operation]:
    """What is written inside all outer loops: masks, what comes before the weights,
    partial results, results."""
    body = Body()
    for item in low.schedule.items:
        if isinstance(item, Loop):
            fills = [op for mask in masks_in(low, item) for op in _fill(low, mask)]
            loads = load_step(low, item, noc=0, beside_weights=True)
            body.extend(steps_of(low, item, [*loads, *fills]))
        elif isinstance(item, Combine):
            body.extend(_hand_over(low, item))
        else:
            for mask in masks_of(low.schedule.stages[item]):
                body.extend(_fill(low, mask))
    begun = low.schedule.num_before
    body.extend(_stream_before(low, begun, low.first_weights or 0))
    for index, stage in enumerate(low.schedule.stages):
        written, guard = _write(low, stage), low.guard(index)
        if guard is not None and written:
            written = [build.branch(guard, written)]
        body.extend(on_first(low, index, written))
    return body.ops


def _stream_before(low: Lowering, first: int, stop: int) -> list[Operation]:
    """What stages before the first with weights stream, from a number to another."""
    stages = low.schedule.stages
    numbers = range(first, min(stop, low.first_weights or 0))
    return [op for n in numbers for op in stream(low, n, stages[n], noc=0)]


def _hand_over(low: Lowering, combine: Combine) -> list[Operation]:
    """Partial results to the first core, which has reserved their slots; or their
    pieces to all cores."""
    if not is_shared(low, combine):
        return []
    gather = low.gathers[combine.op].sym_name
    if combine.each:
        return _exchange(low, combine)
    own = [low.name((other, "own")) for other in combine.others]
    slots = [low.name(other) for other in combine.others]
    give, take = Body(), Body()
    for name in own:
        give.wait(name)
    give.add(movement.ContributeOp, gather=gather)
    for name in own:
        give.pop(name)
    for name in slots:
        take.reserve(name)
    count = ExprAttr(others_of(low, combine))
    take.add(movement.CollectOp, gather=gather, count=count)
    for name in slots:
        take.push(name)
    given = Binary("and", other_of(combine), has_results(low, combine))
    taken = Binary("and", first_of(combine), has_others(low, combine))
    return [build.branch(given, give.ops), build.branch(taken, take.ops)]


def _exchange(low: Lowering, combine: Combine) -> list[Operation]:
    """What the loop carried out, piece by piece to the cores that share it."""
    body = Body()
    own = [low.name(carried.argument) for carried in combine.loop.carried]
    slots = [low.name(other) for other in combine.others]
    for name in own:
        body.wait(name)
    for name in slots:
        body.reserve(name)
    body.add(movement.ExchangeOp, gather=low.gathers[combine.op].sym_name)
    for name in slots:
        body.push(name)
    for name in own:
        body.pop(name)
    return body.ops


def _fill(low: Lowering, mask: Operation) -> list[Operation]:
    """Fill a block of a mask where it hides anything."""
    name, body = low.name(mask.results[0]), Body()
    if isinstance(mask, CausalMaskOp):
        body.fill(name, "causal", MASKED)
    elif isinstance(mask, PositionMaskOp):
        body.fill_behind(name, MASKED, add(position_of(low, mask), Const(1)))
    else:
        assert isinstance(mask, PadMaskOp)
        body.fill_edge(name, mask)
    return guarded(low, mask, body.ops)


def _write(low: Lowering, stage: StageOp) -> list[Operation]:
    inner = Body()
    for value in stage.results:
        if value in low.written:
            name = low.name(value)
            inner.wait(name)
            inner.extend([_store(low, value, name)])
            inner.add(movement.WriteBarrierOp)
            inner.pop(name)
    return nest(low.order(stage), inner.ops)


def _store(low: Lowering, value: SSAValue, name: str) -> Operation:
    """Write a block to its tiles, or one row of each tile to its place."""
    use = low.program.makes.data[low.schedule.outputs.index(value)]
    properties: dict[str, Attribute] = {"buffer": LocalAttr(name)}
    if use.row is None:
        return movement.WriteOp.create(properties=properties)
    row, target = use.row
    properties |= {"row": ExprAttr(row), "target": ExprAttr(target)}
    return movement.WriteRowsOp.create(properties=properties)
