"""Data movement of a kernel, from operations to resolved instructions."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from xdsl.ir import Operation

from dialects import tensix_movement as movement
from dialects.chip import Core
from dialects.errors import NetlistError
from dialects.expr import Expr, Name
from dialects.program import CircularBuffer, Gather, Multicast
from dialects.read_ahead import transaction_ids
from dialects.syntax import ExprAttr, LocalAttr
from runtime import instructions as ins
from runtime.expander import Builder, Expander, Step, Walk

# -- circular buffers ----------------------------------------------------------


def _pages(kind: type, starts_block: bool) -> Callable[..., Step]:
    def build(expander: Expander, op: movement._PagesOp, site: int) -> Step:
        buffer = expander.buffer(op.buffer)
        count = None if op.pages is None else op.pages.data
        in_place = _in_place(expander, buffer, kind)

        def run(walk: Walk) -> None:
            if starts_block:
                expander.rebase(walk, buffer)
            if in_place is not None:
                tiles = expander.shard_tiles(walk, buffer)
                slots = expander.slots(walk, buffer, buffer.axes).reshape(-1)
                parameter = expander.operand(buffer)
                walk.out.append(in_place(site, buffer.index, slots, parameter, tiles))
            pages = (
                buffer.block_pages if count is None else int(count.evaluate(walk.env))
            )
            walk.out.append(kind(site, buffer.index, pages))

        return run

    return build


def _in_place(expander: Expander, buffer: CircularBuffer, kind: type) -> type | None:
    """What a push or pop of a buffer over a shard does to the operand, if anything."""
    if not buffer.over:
        return None
    way = expander.facts.parameters[expander.operand(buffer)][0]
    if kind is ins.PushBack and way == "in":
        return ins.LendTiles
    return ins.KeepTiles if kind is ins.PopFront and way == "out" else None


# -- data movement -------------------------------------------------------------


def _transfer(kind: type, *run_time: str) -> Callable[..., Step]:
    """A transfer of whole tiles; `run_time` names properties that keep scalars."""

    def build(expander: Expander, op: movement.ReadOp, site: int) -> Step:
        buffer = expander.buffer(op.buffer)
        parameter = expander.operand(buffer)
        stated = None if op.noc is None else op.noc.value
        kept = [op.properties[name] for name in run_time]
        expressions = [attr.data for attr in kept if isinstance(attr, ExprAttr)]

        def run(walk: Walk) -> None:
            tiles = expander.tiles(walk, buffer)
            if not tiles.size:
                return
            slots = expander.slots(walk, buffer, buffer.axes).reshape(-1)
            rest = [expander.deferred(walk, expr) for expr in expressions]
            noc = walk.noc if stated is None else stated
            walk.out.append(
                kind(site, buffer.index, slots, parameter, tiles, *rest, noc)
            )

        return run

    return build


def _read(expander: Expander, op: movement.ReadOp, site: int) -> Step:
    """A read of the current block, or of the next step's while this one arrives."""
    read_block = _transfer(ins.Read)(expander, op, site)
    if op.ahead is None:
        return read_block
    buffer, axis = expander.buffer(op.buffer), op.ahead.data
    groups = transaction_ids(expander.facts, buffer.name)

    def start(walk: Walk, group: int, first_slot: int) -> None:
        done = len(walk.out)
        read_block(walk)
        for read in walk.out[done:]:
            assert isinstance(read, ins.Read)
            read.slots, read.group = read.slots + first_slot, group

    def run(walk: Walk) -> None:
        here, coming = walk.ranges[axis], walk.coming[axis]
        bases = walk.bases[buffer.name]
        known, group = walk.ahead.get(buffer.name, (None, groups[0]))
        if known != bases:
            start(walk, group, 0)
        if coming is not None and coming.size:
            pages, other = buffer.block_pages, groups[group == groups[0]]
            walk.out.append(ins.ReserveBack(site, buffer.index, 2 * pages, 2))
            walk.enter(axis, coming)
            expander.rebase(walk, buffer)
            start(walk, other, pages)
            walk.ahead[buffer.name] = walk.bases[buffer.name], other
            walk.enter(axis, here)
            walk.bases[buffer.name] = bases
        walk.awaited[buffer.name] = group

    return run


def _read_barrier(expander: Expander, op: movement.ReadBarrierOp, site: int) -> Step:
    if op.buffer is None:
        return lambda walk: walk.out.append(ins.ReadBarrier(site))
    name = expander.buffer(op.buffer).name
    return lambda walk: walk.out.append(ins.ReadBarrier(site, walk.awaited[name]))


def _read_scalars(expander: Expander, op: movement.ReadScalarsOp, site: int) -> Step:
    operand = expander.facts.scalars[op.scalars.data].operand
    parameter = expander.parameter_index[operand]
    return lambda walk: walk.out.append(ins.ReadScalars(site, parameter, walk.noc))


def _read_rows(expander: Expander, op: movement.ReadRowsOp, site: int) -> Step:
    buffer = expander.buffer(op.buffer)
    parameter = expander.operand(buffer)
    entry = buffer.map[0]
    index = expander.buffer(LocalAttr(entry)) if isinstance(entry, str) else None
    stated = None if op.noc is None else op.noc.value

    def run(walk: Walk) -> None:
        slots = expander.slots(walk, buffer, buffer.axes)
        if not slots.size:
            return
        if isinstance(entry, str):
            rows = np.arange(slots.shape[0])
        else:
            rows = expander.index(walk, buffer, entry)[:, 0]
        columns = expander.index(walk, buffer, buffer.map[1])[0]
        noc = walk.noc if stated is None else stated
        cb = None if index is None else index.index
        walk.out.append(
            ins.ReadRows(site, buffer.index, slots, parameter, cb, rows, columns, noc)
        )

    return run


def _fill(expander: Expander, op: movement.FillOp, site: int) -> Step:
    buffer = expander.buffer(op.buffer)
    pattern, value = op.pattern.data, op.value.data

    def coordinates(walk: Walk) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
        sizes = [walk.ranges[a].size for a in buffer.axes]
        if pattern == "pad":
            assert buffer.operand is not None
            shape = expander.by_parameter[buffer.operand].shape
            rows, columns = (expander.index(walk, buffer, e) for e in buffer.map)
            return rows, columns, (shape[-2], shape[-1])
        if pattern == "columns":
            axis = buffer.axes[-1]
            if op.limit is not None:
                columns = expander.index(walk, buffer, Name(axis))
                return np.zeros_like(columns), columns, (0, 0)
            assert op.extent is not None
            last = expander.facts.axes[axis].extent - 1
            ends = (expander.index(walk, buffer, Name(axis)) == last).astype(np.int64)
            return ends, np.zeros_like(ends), (0, op.extent.value)
        if pattern != "causal":
            zeros = np.zeros(sizes, np.int64)
            return zeros, zeros, (0, 0)
        rows, columns = (
            expander.index(walk, buffer, Name(a)) for a in buffer.axes[-2:]
        )
        return rows, columns, (0, 0)

    def run(walk: Walk) -> None:
        slots = expander.slots(walk, buffer, buffer.axes).reshape(-1)
        rows, columns, extent = coordinates(walk)
        limit = None
        if op.limit is not None:
            limit = expander.deferred(walk, op.limit.data)
        walk.out.append(
            ins.Fill(
                site,
                buffer.index,
                slots,
                pattern,
                value,
                rows.reshape(-1),
                columns.reshape(-1),
                extent,
                0.0 if op.inside is None else op.inside.data,
                limit,
            )
        )

    return run


def _bare(kind: type) -> Callable[..., Step]:
    def build(expander: Expander, op: Operation, site: int) -> Step:
        return lambda walk: walk.out.append(kind(site))

    return build


# -- multicast and semaphores --------------------------------------------------


def _send(expander: Expander, op: movement.SendOp, site: int) -> Step:
    cast = expander.multicast(op.multicast)
    ready = expander.semaphore(f"{cast.name}.ready")
    valid = expander.semaphore(f"{cast.name}.valid")
    index = expander.facts.circular_buffers[cast.buffer].index

    def run(walk: Walk) -> None:
        corners = expander.facts.rectangle(cast, walk.env)
        start, end, receivers = expander.rectangle(walk, *corners)
        first, pages = _piece(expander, walk, cast)
        if not receivers or not pages:
            return
        noc, linked = cast.noc, cast.linked
        walk.out += [
            ins.SemaphoreWait(site, ready, len(receivers)),
            ins.SemaphoreSet(site, ready, 0),
            ins.MulticastWrite(
                site, index, pages, start, end, receivers, noc, linked, first=first
            ),
            ins.SemaphoreMulticast(site, valid, 1, start, end, receivers, noc),
        ]

    return run


def _piece(expander: Expander, walk: Walk, cast: Multicast) -> tuple[int, int]:
    """First page in the block, and number of pages, that a send moves now."""
    buffer = expander.facts.circular_buffers[cast.buffer]
    if cast.pieces is None:
        return 0, buffer.block_pages
    slots = expander.slots(walk, buffer, buffer.axes).reshape(-1)
    if slots.size and int(slots[-1] - slots[0]) != slots.size - 1:
        raise NetlistError(
            f"multicast %{cast.name} sends {slots.size} pages of %{buffer.name} that "
            "do not lie together",
            advice="cut the block along its first axes, as it lies row by row",
        )
    return int(slots[0]) if slots.size else 0, slots.size


def _receive(expander: Expander, op: movement.ReceiveOp, site: int) -> Step:
    cast = expander.multicast(op.multicast)
    ready = expander.semaphore(f"{cast.name}.ready")
    valid = expander.semaphore(f"{cast.name}.valid")

    def run(walk: Walk) -> None:
        if not _piece(expander, walk, cast)[1]:
            return
        master = Core(*(int(e.evaluate(walk.env)) for e in cast.master))
        walk.out += [
            ins.SemaphoreSet(site, valid, 0),
            ins.SemaphoreInc(site, ready, master, 1, cast.noc),
            ins.SemaphoreWait(site, valid, 1),
        ]

    return run


def _gather(expander: Expander, name: LocalAttr) -> tuple[Gather, int, int]:
    """A gather, and its semaphores `ready` and `arrived`."""
    gather = expander.facts.gathers[name.data]
    ready, arrived = (f"{gather.name}.{signal}" for signal in ("ready", "arrived"))
    return gather, expander.semaphore(ready), expander.semaphore(arrived)


def _contribute(expander: Expander, op: movement.ContributeOp, site: int) -> Step:
    facts = expander.facts
    gather, ready, arrived = _gather(expander, op.gather)

    def run(walk: Walk) -> None:
        assert gather.noc is not None
        index = facts.place_on(gather.axis, walk.core)
        first = facts.along(gather.axis, walk.core, 0)
        walk.out += [
            ins.SemaphoreWait(site, ready, 1),
            ins.SemaphoreSet(site, ready, 0),
        ]
        for source, target in gather.pairs:
            own, other = (facts.circular_buffers[name] for name in (source, target))
            slots = np.arange(own.block_pages)
            there = slots + (index - 1) * own.block_pages
            walk.out.append(
                ins.CoreWrite(
                    site, own.index, slots, other.index, there, first, gather.noc
                )
            )
        walk.out += [
            ins.WriteBarrier(site),
            ins.SemaphoreInc(site, arrived, first, 1, gather.noc),
        ]

    return run


def _collect(expander: Expander, op: movement.CollectOp, site: int) -> Step:
    facts = expander.facts
    gather, ready, arrived = _gather(expander, op.gather)

    def run(walk: Walk) -> None:
        assert gather.noc is not None
        count = int(op.count.data.evaluate(walk.env))
        for place in range(1, count + 1):
            core = facts.along(gather.axis, walk.core, place)
            walk.out.append(ins.SemaphoreInc(site, ready, core, 1, gather.noc))
        walk.out += [
            ins.SemaphoreWait(site, arrived, count),
            ins.SemaphoreSet(site, arrived, 0),
        ]

    return run


def _exchange(expander: Expander, op: movement.ExchangeOp, site: int) -> Step:
    facts = expander.facts
    gather, ready, arrived = _gather(expander, op.gather)

    def run(walk: Walk) -> None:
        line = facts.line(gather.axis, walk.core)
        own = line.index(walk.core)
        others = (*line[own + 1 :], *line[: own + 1])  # not all to the same at once
        nocs = {core: _way(expander, walk, gather, core) for core in others}
        for core in others:
            walk.out.append(ins.SemaphoreInc(site, ready, core, 1, nocs[core]))
        walk.out.append(ins.SemaphoreWait(site, ready, len(line)))
        walk.out.append(ins.SemaphoreSet(site, ready, 0))
        for core in others:
            for piece in _pieces(expander, walk, gather, core):
                walk.out.append(ins.CoreWrite(site, *piece, core, nocs[core]))
        walk.out.append(ins.WriteBarrier(site))
        for core in others:
            walk.out.append(ins.SemaphoreInc(site, arrived, core, 1, nocs[core]))
        walk.out.append(ins.SemaphoreWait(site, arrived, len(line)))
        walk.out.append(ins.SemaphoreSet(site, arrived, 0))

    return run


def _way(expander: Expander, walk: Walk, gather: Gather, core: Core) -> int:
    if gather.noc is not None:
        return gather.noc
    return expander.facts.chip.nearest_noc(walk.core, core)


def _pieces(
    expander: Expander, walk: Walk, gather: Gather, core: Core
) -> Iterator[tuple[int, np.ndarray, int, np.ndarray]]:
    """Buffer and pages of each piece of a core, and its place in the slots there."""
    facts, here = expander.facts, dict(walk.ranges)
    place = facts.place_on(gather.axis, walk.core)
    for source, target in gather.pairs:
        own, other = (facts.circular_buffers[name] for name in (source, target))
        axes = other.axes[1:]
        walk.ranges.update({axis: facts.ranges_on(core)[axis] for axis in axes})
        slots = expander.slots(walk, own, axes).reshape(-1)
        sizes = [np.arange(walk.ranges[axis].size) for axis in axes]
        walk.ranges.update(here)
        there = np.full(1, place * other.strides[0])
        for places, stride in zip(np.ix_(*sizes), other.strides[1:], strict=True):
            there = there + places * stride
        if slots.size:
            yield own.index, slots, other.index, there.reshape(-1)


def _multicast_write(
    expander: Expander, op: movement.MulticastWriteOp, site: int
) -> Step:
    buffer = expander.buffer(op.buffer)
    loopback = op.loopback is not None

    def run(walk: Walk) -> None:
        corners = _core(walk, op.start.data), _core(walk, op.end.data)
        start, end, receivers = expander.rectangle(walk, *corners, loopback=loopback)
        linked = op.linked is not None
        shard = None
        if loopback:
            slots = expander.slots(walk, buffer, buffer.axes).reshape(-1)
            tiles = expander.shard_tiles(walk, buffer)
            shard = ins.ShardSource(expander.operand(buffer), tiles, slots)
        walk.out.append(
            ins.MulticastWrite(
                site,
                buffer.index,
                buffer.block_pages,
                start,
                end,
                receivers,
                walk.noc,
                linked,
                shard,
            )
        )

    return run


def _core(walk: Walk, point: tuple[Expr, Expr]) -> Core:
    return Core(*(int(e.evaluate(walk.env)) for e in point))


def _semaphore(kind: type) -> Callable[..., Step]:
    def build(expander: Expander, op: movement.SemaphoreSetOp, site: int) -> Step:
        semaphore, value = expander.semaphore(op.semaphore.data), op.value.data

        def run(walk: Walk) -> None:
            walk.out.append(kind(site, semaphore, int(value.evaluate(walk.env))))

        return run

    return build


def _semaphore_inc(expander: Expander, op: movement.SemaphoreIncOp, site: int) -> Step:
    semaphore = expander.semaphore(op.semaphore.data)

    def run(walk: Walk) -> None:
        value = int(op.value.data.evaluate(walk.env))
        target = _core(walk, op.core.data)
        walk.out.append(ins.SemaphoreInc(site, semaphore, target, value, walk.noc))

    return run


def _semaphore_multicast(
    expander: Expander, op: movement.SemaphoreMulticastOp, site: int
) -> Step:
    semaphore = expander.semaphore(op.semaphore.data)
    loopback = op.loopback is not None

    def run(walk: Walk) -> None:
        corners = _core(walk, op.start.data), _core(walk, op.end.data)
        start, end, receivers = expander.rectangle(walk, *corners, loopback=loopback)
        value = int(op.value.data.evaluate(walk.env))
        walk.out.append(
            ins.SemaphoreMulticast(
                site, semaphore, value, start, end, receivers, walk.noc
            )
        )

    return run


MOVEMENT: dict[type, Builder] = {
    movement.ReserveBackOp: _pages(ins.ReserveBack, True),
    movement.PushBackOp: _pages(ins.PushBack, False),
    movement.WaitFrontOp: _pages(ins.WaitFront, True),
    movement.PopFrontOp: _pages(ins.PopFront, False),
    movement.ReadOp: _read,
    movement.WriteOp: _transfer(ins.Write),
    movement.WriteRowsOp: _transfer(ins.WriteRows, "row", "target"),
    movement.ReadScalarsOp: _read_scalars,
    movement.ReadRowsOp: _read_rows,
    movement.ReadBarrierOp: _read_barrier,
    movement.WriteBarrierOp: _bare(ins.WriteBarrier),
    movement.FillOp: _fill,
    movement.SendOp: _send,
    movement.ReceiveOp: _receive,
    movement.ContributeOp: _contribute,
    movement.CollectOp: _collect,
    movement.ExchangeOp: _exchange,
    movement.MulticastWriteOp: _multicast_write,
    movement.SemaphoreSetOp: _semaphore(ins.SemaphoreSet),
    movement.SemaphoreWaitOp: _semaphore(ins.SemaphoreWait),
    movement.SemaphoreIncOp: _semaphore_inc,
    movement.SemaphoreMulticastOp: _semaphore_multicast,
}
