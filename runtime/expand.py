"""From the text of a program to the instruction streams of its cores.

The one reader of kernels. Each operation of a kernel becomes a small function once
per program (`_build`); walking those for a core, with its coordinates and ranges in
an environment, yields the core's instructions. An axis `k` stands in the environment
as its current `Range`; `k`, `k.start`, `k.size`, `k.stop` may stand in expressions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from xdsl.dialects.builtin import UnitAttr
from xdsl.ir import Block, Operation

from dialects import tensix_compute as compute
from dialects import tensix_movement as movement
from dialects.chip import Core
from dialects.errors import NetlistError
from dialects.expr import Expr, Name, Value
from dialects.program import CircularBuffer, Multicast, ProgramFacts, Range, Tensor
from dialects.syntax import LocalAttr
from dialects.tensix import ForOp, IfOp, KernelOp
from runtime import instructions as ins
from runtime.launch import CircularBufferFacts, KernelStream, Launch

Step: TypeAlias = "Callable[[_Walk], None]"


@dataclass
class _Walk:
    """Where a kernel of one core stands: ranges, block bases, output so far."""

    core: Core
    env: dict[str, Value]
    ranges: dict[str, Range]
    noc: int
    out: list[ins.Instruction] = field(default_factory=list)
    bases: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def enter(self, axis: str, current: Range) -> None:
        """Make a range the current one of its axis."""
        self.ranges[axis] = current
        self.env[axis] = self.env[f"{axis}.start"] = current.start
        self.env[f"{axis}.size"] = current.size
        self.env[f"{axis}.stop"] = current.start + current.size


def expand_program(facts: ProgramFacts, tensors: Sequence[Tensor]) -> Launch:
    """Expand a program, bound to tensors, for all its active cores.

    Raises `NetlistError` where a name, a map or a block makes no sense.
    """
    return _Expander(facts, tensors).launch()


class _Expander:
    """Builds the steps of each kernel once and walks them for each core."""

    def __init__(self, facts: ProgramFacts, tensors: Sequence[Tensor]):
        if len(tensors) != len(facts.parameters):
            raise NetlistError(
                f"program @{facts.name} has {len(facts.parameters)} parameters, "
                f"the run binds {len(tensors)} buffers"
            )
        self.facts = facts
        self.tensors = tuple(tensors)
        self.parameter_index = {
            name: index for index, (_, name) in enumerate(facts.parameters)
        }
        self.by_parameter = {
            name: tensors[index] for name, index in self.parameter_index.items()
        }
        self.sites: list[Operation] = []
        self.semaphores = dict(facts.semaphores)
        for name in facts.multicasts:
            self.semaphores[f"{name}.ready"] = 0
            self.semaphores[f"{name}.valid"] = 0
        self.semaphore_index = {name: i for i, name in enumerate(self.semaphores)}
        self._active = frozenset(facts.cores)

    def launch(self) -> Launch:
        """Expand all kernels on all cores."""
        steps = [(op, self._block(op.body.block)) for op in self.facts.kernels]
        streams = {
            core: tuple(self._walk_kernel(op, step, core) for op, step in steps)
            for core in self.facts.cores
        }
        return Launch(
            self.facts,
            self.tensors,
            tuple(map(self._buffer_facts, self.facts.circular_buffers.values())),
            tuple(self.semaphores.values()),
            tuple(self.semaphores),
            streams,
            self.sites,
        )

    def _buffer_facts(self, buffer: CircularBuffer) -> CircularBufferFacts:
        data_format = self.facts.format_of(buffer, self.by_parameter)
        return CircularBufferFacts(
            buffer.name,
            buffer.capacity,
            buffer.block_pages,
            data_format,
            data_format.tile_bytes,
        )

    def _walk_kernel(self, op: KernelOp, steps: Step, core: Core) -> KernelStream:
        noc = None if op.noc is None else op.noc.value
        walk = _Walk(core, {"x": core.x, "y": core.y}, {}, noc or 0)
        for axis, current in self.facts.ranges_on(core).items():
            walk.enter(axis, current)
        steps(walk)
        return KernelStream(op.sym_name.data, op.processor.data, noc, walk.out)

    # -- control flow ----------------------------------------------------------

    def _block(self, block: Block) -> Step:
        steps = [self._build(op) for op in block.ops]

        def run(walk: _Walk) -> None:
            for step in steps:
                step(walk)

        return run

    def _build(self, op: Operation) -> Step:
        builder = _BUILDERS.get(type(op))
        if builder is None:
            raise NetlistError(f"'{op.name}' does not belong into a kernel")
        self.sites.append(op)
        return builder(self, op, len(self.sites) - 1)

    def _for(self, op: ForOp, site: int) -> Step:
        axis = self._axis(op.axis.data)
        by = self.facts.axes[axis].block if op.by is None else op.by.value
        limit = None if op.to is None else op.to.data
        body = self._block(op.body.block)

        def run(walk: _Walk) -> None:
            outer = walk.ranges[axis]
            stop, bound = outer.start + outer.size, outer.bound
            if limit is not None:
                to = int(limit.evaluate(walk.env))
                stop, bound = min(stop, to), min(bound, to - outer.start)
            for offset in range(0, bound, by):
                start = outer.start + offset
                size = max(0, min(by, stop - start))
                walk.enter(axis, Range(start, size, min(by, outer.bound)))
                body(walk)
            walk.enter(axis, outer)

        return run

    def _if(self, op: IfOp, site: int) -> Step:
        condition = op.condition.data
        body = self._block(op.then.block)

        def run(walk: _Walk) -> None:
            if condition.evaluate(walk.env):
                body(walk)

        return run

    # -- names and blocks ------------------------------------------------------

    def _axis(self, name: str) -> str:
        if name not in self.facts.axes:
            raise NetlistError(
                f"'{name}' is not an axis of @{self.facts.name}",
                advice=f"axes are {', '.join(self.facts.axes)}",
            )
        return name

    def buffer(self, attr: LocalAttr) -> CircularBuffer:
        """Look up a circular buffer; `NetlistError` lists those there are."""
        found = self.facts.circular_buffers.get(attr.data)
        if found is None:
            raise NetlistError(
                f"{attr} is not a circular buffer of @{self.facts.name}",
                advice=f"there are {', '.join(self.facts.circular_buffers)}",
            )
        return found

    def slots(
        self, walk: _Walk, buffer: CircularBuffer, axes: Sequence[str]
    ) -> np.ndarray:
        """Page offsets in a buffer's block over the current ranges of `axes`.

        The result has one dimension for each of `axes`; axes that the buffer does
        not have repeat its tiles. Its other axes stand at their current start.
        """
        bases = walk.bases.get(buffer.name)
        if bases is None:
            raise NetlistError(
                f"%{buffer.name} is used before it is reserved or waited for"
            )
        shape = [walk.ranges[axis].size for axis in axes]
        total = np.zeros(shape, np.int64)
        for axis, base, stride, bound in zip(
            buffer.axes, bases, buffer.strides, buffer.bounds, strict=True
        ):
            current = walk.ranges[axis]
            offset = current.start - base
            if offset < 0 or offset + current.size > bound:
                raise NetlistError(
                    f"%{buffer.name} holds {bound} tiles of axis {axis} from {base}, "
                    f"but {current.start} to {current.start + current.size} are used",
                    advice=f"write `{axis}.part` in its block or step with `for`",
                )
            if axis not in axes:
                total += offset * stride
                continue
            positions = (np.arange(current.size) + offset) * stride
            view = [1] * len(shape)
            view[list(axes).index(axis)] = current.size
            total += positions.reshape(view)
        return total

    def rebase(self, walk: _Walk, buffer: CircularBuffer) -> None:
        """A new block begins: its bases are the current starts of its axes."""
        walk.bases[buffer.name] = tuple(walk.ranges[a].start for a in buffer.axes)

    def tiles(self, walk: _Walk, buffer: CircularBuffer) -> np.ndarray:
        """Row-major tile numbers of the operand for the current block, flattened."""
        assert buffer.operand is not None
        tensor = self.by_parameter[buffer.operand]
        rows, columns = (
            self.index(walk, buffer, entry) for entry in buffer.map[-2:]
        )
        rows, columns = np.broadcast_arrays(rows, columns)
        if rows.size and (
            rows.min() < 0
            or columns.min() < 0
            or rows.max() >= tensor.tile_rows
            or columns.max() >= tensor.tile_columns
        ):
            raise NetlistError(
                f"%{buffer.name} reaches tile ({rows.max()}, {columns.max()}) of "
                f"%{buffer.operand}",
                limit=f"{tensor.tile_rows}x{tensor.tile_columns} tiles",
                advice="an axis extent or the index map does not fit the buffer",
            )
        return (rows * tensor.tile_columns + columns).reshape(-1)

    def index(
        self, walk: _Walk, buffer: CircularBuffer, entry: str | Expr
    ) -> np.ndarray:
        """Evaluate one entry of a map over the block of current ranges."""
        if isinstance(entry, str):
            raise NetlistError(f"%{entry} stands in a map that reads tiles, not rows")
        shape = [walk.ranges[axis].size for axis in buffer.axes]
        env = dict(walk.env)
        for place, axis in enumerate(buffer.axes):
            view = [1] * len(shape)
            view[place] = shape[place]
            current = walk.ranges[axis]
            env[axis] = (np.arange(current.size) + current.start).reshape(view)
        try:
            value = entry.evaluate(env)
        except KeyError as error:
            raise NetlistError(
                f"{error.args[0]!r} in the map of %{buffer.name} is not an axis, "
                "a coordinate or a scalar"
            ) from None
        return np.broadcast_to(np.asarray(value), shape)

    def operand(self, buffer: CircularBuffer) -> int:
        """The parameter number of a buffer's operand."""
        if buffer.operand not in self.parameter_index:
            raise NetlistError(
                f"%{buffer.name} is `of %{buffer.operand}`, which is not a parameter "
                f"of @{self.facts.name}"
            )
        return self.parameter_index[buffer.operand]

    def rectangle(
        self, walk: _Walk, start: Core, end: Core
    ) -> tuple[Core, Core, tuple[Core, ...]]:
        """A rectangle with the active cores in it, the sender left out."""
        receivers = tuple(
            core
            for core in self.facts.cores
            if start.x <= core.x <= end.x
            and start.y <= core.y <= end.y
            and core != walk.core
        )
        return start, end, receivers

    def multicast(self, attr: LocalAttr) -> Multicast:
        """Look up a multicast."""
        found = self.facts.multicasts.get(attr.data)
        if found is None:
            raise NetlistError(f"{attr} is not a multicast of @{self.facts.name}")
        return found

    def semaphore(self, name: str) -> int:
        """The number of a semaphore."""
        if name not in self.semaphore_index:
            raise NetlistError(f"%{name} is not a semaphore of @{self.facts.name}")
        return self.semaphore_index[name]


# -- circular buffers ----------------------------------------------------------


def _pages(kind: type, starts_block: bool) -> Callable[..., Step]:
    def build(expander: _Expander, op: movement._PagesOp, site: int) -> Step:
        buffer = expander.buffer(op.buffer)
        count = None if op.pages is None else op.pages.data

        def run(walk: _Walk) -> None:
            if starts_block:
                expander.rebase(walk, buffer)
            pages = (
                buffer.block_pages if count is None else int(count.evaluate(walk.env))
            )
            walk.out.append(kind(site, buffer.index, pages))

        return run

    return build


# -- data movement -------------------------------------------------------------


def _transfer(kind: type) -> Callable[..., Step]:
    def build(expander: _Expander, op: movement.ReadOp, site: int) -> Step:
        buffer = expander.buffer(op.buffer)
        parameter = expander.operand(buffer)
        stated = None if op.noc is None else op.noc.value

        def run(walk: _Walk) -> None:
            tiles = expander.tiles(walk, buffer)
            if not tiles.size:
                return
            slots = expander.slots(walk, buffer, buffer.axes).reshape(-1)
            noc = walk.noc if stated is None else stated
            walk.out.append(kind(site, buffer.index, slots, parameter, tiles, noc))

        return run

    return build


def _read_rows(expander: _Expander, op: movement.ReadRowsOp, site: int) -> Step:
    buffer = expander.buffer(op.buffer)
    parameter = expander.operand(buffer)
    entry = buffer.map[0]
    index = expander.buffer(LocalAttr(entry)) if isinstance(entry, str) else None
    stated = None if op.noc is None else op.noc.value

    def run(walk: _Walk) -> None:
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


def _fill(expander: _Expander, op: movement.FillOp, site: int) -> Step:
    buffer = expander.buffer(op.buffer)
    pattern, value = op.pattern.data, op.value.data

    def coordinates(walk: _Walk) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
        sizes = [walk.ranges[a].size for a in buffer.axes]
        if pattern == "pad":
            assert buffer.operand is not None
            shape = expander.by_parameter[buffer.operand].shape
            rows, columns = (expander.index(walk, buffer, e) for e in buffer.map)
            return rows, columns, (shape[-2], shape[-1])
        if pattern == "columns":
            assert op.extent is not None
            axis = buffer.axes[-1]
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

    def run(walk: _Walk) -> None:
        slots = expander.slots(walk, buffer, buffer.axes).reshape(-1)
        rows, columns, extent = coordinates(walk)
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
            )
        )

    return run


def _bare(kind: type) -> Callable[..., Step]:
    def build(expander: _Expander, op: Operation, site: int) -> Step:
        return lambda walk: walk.out.append(kind(site))

    return build


# -- multicast and semaphores --------------------------------------------------


def _send(expander: _Expander, op: movement.SendOp, site: int) -> Step:
    cast = expander.multicast(op.multicast)
    ready = expander.semaphore(f"{cast.name}.ready")
    valid = expander.semaphore(f"{cast.name}.valid")
    buffer = expander.facts.circular_buffers[cast.buffer]

    def run(walk: _Walk) -> None:
        corners = expander.facts.rectangle(cast, walk.env)
        start, end, receivers = expander.rectangle(walk, *corners)
        if not receivers:
            return
        pages, noc = buffer.block_pages, cast.noc
        walk.out += [
            ins.SemaphoreWait(site, ready, len(receivers)),
            ins.SemaphoreSet(site, ready, 0),
            ins.MulticastWrite(
                site, buffer.index, pages, start, end, receivers, noc, cast.linked
            ),
            ins.SemaphoreMulticast(site, valid, 1, start, end, receivers, noc),
        ]

    return run


def _receive(expander: _Expander, op: movement.ReceiveOp, site: int) -> Step:
    cast = expander.multicast(op.multicast)
    ready = expander.semaphore(f"{cast.name}.ready")
    valid = expander.semaphore(f"{cast.name}.valid")

    def run(walk: _Walk) -> None:
        master = Core(*(int(e.evaluate(walk.env)) for e in cast.master))
        walk.out += [
            ins.SemaphoreSet(site, valid, 0),
            ins.SemaphoreInc(site, ready, master, 1, cast.noc),
            ins.SemaphoreWait(site, valid, 1),
        ]

    return run


def _multicast_write(
    expander: _Expander, op: movement.MulticastWriteOp, site: int
) -> Step:
    buffer = expander.buffer(op.buffer)

    def run(walk: _Walk) -> None:
        start, end, receivers = expander.rectangle(
            walk, _core(walk, op.start.data), _core(walk, op.end.data)
        )
        linked = op.linked is not None
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
            )
        )

    return run


def _core(walk: _Walk, point: tuple[Expr, Expr]) -> Core:
    return Core(*(int(e.evaluate(walk.env)) for e in point))


def _semaphore(kind: type) -> Callable[..., Step]:
    def build(expander: _Expander, op: movement.SemaphoreSetOp, site: int) -> Step:
        semaphore, value = expander.semaphore(op.semaphore.data), op.value.data

        def run(walk: _Walk) -> None:
            walk.out.append(kind(site, semaphore, int(value.evaluate(walk.env))))

        return run

    return build


def _semaphore_inc(expander: _Expander, op: movement.SemaphoreIncOp, site: int) -> Step:
    semaphore = expander.semaphore(op.semaphore.data)

    def run(walk: _Walk) -> None:
        value = int(op.value.data.evaluate(walk.env))
        target = _core(walk, op.core.data)
        walk.out.append(ins.SemaphoreInc(site, semaphore, target, value, walk.noc))

    return run


def _semaphore_multicast(
    expander: _Expander, op: movement.SemaphoreMulticastOp, site: int
) -> Step:
    semaphore = expander.semaphore(op.semaphore.data)

    def run(walk: _Walk) -> None:
        start, end, receivers = expander.rectangle(
            walk, _core(walk, op.start.data), _core(walk, op.end.data)
        )
        value = int(op.value.data.evaluate(walk.env))
        walk.out.append(
            ins.SemaphoreMulticast(
                site, semaphore, value, start, end, receivers, walk.noc
            )
        )

    return run


# -- compute -------------------------------------------------------------------


def _word(attr: object) -> str | None:
    return None if attr is None else attr.data  # type: ignore[union-attr]


def _copy(expander: _Expander, op: compute.CopyTilesOp, site: int) -> Step:
    buffer = expander.buffer(op.buffer)
    broadcast, dst, axes = _word(op.broadcast), op.dst.data, op.axes.data

    def run(walk: _Walk) -> None:
        slots = expander.slots(walk, buffer, axes).reshape(-1)
        if slots.size:
            walk.out.append(ins.CopyTiles(site, buffer.index, slots, broadcast, dst))

    return run


def _tilize(expander: _Expander, op: compute.TilizeBlockOp, site: int) -> Step:
    buffer = expander.buffer(op.buffer)

    def run(walk: _Walk) -> None:
        slots = expander.slots(walk, buffer, op.axes.data)
        if slots.size:
            walk.out.append(
                ins.TilizeBlock(site, buffer.index, slots, op.dst.data)
            )

    return run


def _binary(kind: str) -> Callable[..., Step]:
    def build(
        expander: _Expander, op: compute._BinaryTilesOp, site: int
    ) -> Step:
        lhs, rhs = expander.buffer(op.lhs), expander.buffer(op.rhs)
        over: tuple[str, ...] = ()
        if isinstance(op, compute.MulTilesOp) and op.over is not None:
            over = op.over.data
        kept, axes = op.axes.data, (*op.axes.data, *over)
        broadcast = _word(op.broadcast)
        accumulate = isinstance(op.accumulate, UnitAttr) or bool(over)

        def run(walk: _Walk) -> None:
            left = expander.slots(walk, lhs, axes)
            if not left.size:
                return
            right = expander.slots(walk, rhs, axes)
            sizes = [walk.ranges[a].size for a in kept]
            targets = np.arange(np.prod(sizes, dtype=np.int64)) + op.dst.data
            view = targets.reshape([*sizes, *[1] * len(over)])
            walk.out.append(
                ins.BinaryTiles(
                    site,
                    kind,
                    lhs.index,
                    left.reshape(-1),
                    rhs.index,
                    right.reshape(-1),
                    broadcast,
                    np.broadcast_to(view, left.shape).reshape(-1),
                    accumulate,
                )
            )

        return run

    return build


def _matmul(expander: _Expander, op: compute.MatmulBlockOp, site: int) -> Step:
    lhs, rhs = expander.buffer(op.lhs), expander.buffer(op.rhs)
    over = op.over.data
    rows = tuple(a for a in op.axes.data if a in lhs.axes)
    columns = tuple(a for a in op.axes.data if a not in rows)

    def run(walk: _Walk) -> None:
        left = expander.slots(walk, lhs, (*rows, *over))
        right = expander.slots(walk, rhs, (*over, *columns))
        if not left.size or not right.size:
            return
        inner = int(np.prod([walk.ranges[a].size for a in over], dtype=np.int64))
        walk.out.append(
            ins.MatmulBlock(
                site,
                lhs.index,
                left.reshape(-1, inner),
                rhs.index,
                right.reshape(inner, -1),
                op.transpose is not None,
                op.dst.data,
            )
        )

    return run


def _reduce(expander: _Expander, op: compute.ReduceTilesOp, site: int) -> Step:
    buffer, scaler = expander.buffer(op.buffer), expander.buffer(op.scaler)

    def run(walk: _Walk) -> None:
        slots = expander.slots(walk, buffer, (*op.axes.data, *op.over.data))
        if not slots.size:
            return
        over = [walk.ranges[a].size for a in op.over.data]
        walk.out.append(
            ins.ReduceTiles(
                site,
                op.kind.data,
                op.dim.data,
                buffer.index,
                slots.reshape(-1, int(np.prod(over, dtype=np.int64))),
                scaler.index,
                0,
                op.dst.data,
            )
        )

    return run


def _pack(expander: _Expander, op: compute.PackTilesOp, site: int) -> Step:
    buffer = expander.buffer(op.buffer)

    def run(walk: _Walk) -> None:
        slots = expander.slots(walk, buffer, op.axes.data).reshape(-1)
        if slots.size:
            walk.out.append(
                ins.PackTiles(
                    site,
                    op.dst.data,
                    buffer.index,
                    slots,
                    op.relu is not None,
                    op.l1_accumulate is not None,
                )
            )

    return run


def _count(walk: _Walk, axes: Sequence[str]) -> int:
    return int(np.prod([walk.ranges[a].size for a in axes], dtype=np.int64))


def _unary(function: str) -> Callable[..., Step]:
    def build(expander: _Expander, op: Operation, site: int) -> Step:
        assert isinstance(op, compute.SfpuUnaryOp | compute.SfpuScalarOp)
        scalar = op.scalar.data if isinstance(op, compute.SfpuScalarOp) else None

        def run(walk: _Walk) -> None:
            count = _count(walk, op.axes.data)
            if count:
                walk.out.append(
                    ins.SfpuUnary(site, function, op.dst.data, count, scalar)
                )

        return run

    return build


def _dst_binary(function: str) -> Callable[..., Step]:
    def build(expander: _Expander, op: compute.SfpuBinaryOp, site: int) -> Step:
        def run(walk: _Walk) -> None:
            count = _count(walk, op.axes.data)
            if count:
                walk.out.append(
                    ins.SfpuBinary(site, function, op.lhs.data, op.rhs.data, count)
                )

        return run

    return build


_BUILDERS: dict[type, Callable[..., Step]] = {
    ForOp: _Expander._for,
    IfOp: _Expander._if,
    movement.ReserveBackOp: _pages(ins.ReserveBack, True),
    movement.PushBackOp: _pages(ins.PushBack, False),
    movement.WaitFrontOp: _pages(ins.WaitFront, True),
    movement.PopFrontOp: _pages(ins.PopFront, False),
    movement.ReadOp: _transfer(ins.Read),
    movement.WriteOp: _transfer(ins.Write),
    movement.ReadRowsOp: _read_rows,
    movement.ReadBarrierOp: _bare(ins.ReadBarrier),
    movement.WriteBarrierOp: _bare(ins.WriteBarrier),
    movement.FillOp: _fill,
    movement.SendOp: _send,
    movement.ReceiveOp: _receive,
    movement.MulticastWriteOp: _multicast_write,
    movement.SemaphoreSetOp: _semaphore(ins.SemaphoreSet),
    movement.SemaphoreWaitOp: _semaphore(ins.SemaphoreWait),
    movement.SemaphoreIncOp: _semaphore_inc,
    movement.SemaphoreMulticastOp: _semaphore_multicast,
    compute.AcquireOp: _bare(ins.RegsAcquire),
    compute.CommitOp: _bare(ins.RegsCommit),
    compute.RegsWaitOp: _bare(ins.RegsWait),
    compute.ReleaseOp: _bare(ins.RegsRelease),
    compute.CopyTilesOp: _copy,
    compute.AddTilesOp: _binary("add"),
    compute.SubTilesOp: _binary("sub"),
    compute.MulTilesOp: _binary("mul"),
    compute.MatmulBlockOp: _matmul,
    compute.ReduceTilesOp: _reduce,
    compute.TilizeBlockOp: _tilize,
    compute.PackTilesOp: _pack,
    **{op: _unary(name) for name, op in compute.UNARY_OPS.items()},
    **{op: _unary(name) for name, op in compute.SCALAR_OPS.items()},
    **{op: _dst_binary(name) for name, op in compute.BINARY_OPS.items()},
}
