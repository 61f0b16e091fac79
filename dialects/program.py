"""What a program states, read once into plain data, and what follows from it.

`ProgramFacts` derives parts, cores and block sizes from the axes; with the buffers
bound it knows page sizes. Printer, checker and both engines ask here, so that a fact
derived is a fact shared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

import numpy as np
from xdsl.ir import Block, Operation

from dialects.axes import Axis, Range
from dialects.chip import Chip, Core
from dialects.errors import NetlistError
from dialects.expr import Environment, Expr, over_all_elements, run_time_parts
from dialects.formats import DataFormat
from dialects.tensix import (
    AxisOp,
    BufferOp,
    CircularBufferOp,
    ForOp,
    GatherOp,
    IfOp,
    KernelOp,
    MulticastOp,
    ProgramOp,
    ScalarsOp,
    SemaphoreOp,
)


@dataclass(frozen=True)
class CoreOrder:
    """The orders in which axes count cores: columns, rows, both folded, beside banks.

    `columns` are those of the program's grid. Cores that are not beside a bank have
    positions behind all others in that order.
    """

    columns: int
    bank_cores: tuple[Core, ...]

    @cached_property
    def _beside_banks(self) -> dict[Core, int]:
        return {core: number for number, core in enumerate(self.bank_cores)}

    def position(self, over: str | None, core: Core) -> int:
        """The position of a core in an order; 0 for an axis that is not spread."""
        if over == "banks":
            return self._beside_banks.get(core, len(self.bank_cores))
        row_by_row = core.y * self.columns + core.x
        return {"x": core.x, "y": core.y, "xy": row_by_row, None: 0}[over]

    def core(self, over: str | None, position: int, like: Core) -> Core:
        """The core at a position; the other coordinate is that of `like`."""
        if over == "banks":
            return self.bank_cores[position]
        if over == "x":
            return Core(position, like.y)
        if over == "y":
            return Core(like.x, position)
        row, column = divmod(position, self.columns)
        return Core(column, row)


def _read_axis(op: AxisOp, others: Mapping[str, Axis]) -> Axis:
    def number(attr: object, default: int) -> int:
        return default if attr is None else attr.value  # type: ignore[union-attr]

    axis = Axis(
        op.sym_name.data,
        op.extent.value,
        None if op.over is None else op.over.data,
        number(op.cores, 1),
        number(op.stride, 1),
        number(op.unit, 1),
        0,
    )
    if op.of is not None:
        whole = others[op.of.data].part if op.of.data in others else axis.extent
        axis = replace(axis, of=op.of.data, whole=whole)
    block = min(number(op.block, axis.part), axis.part)
    dealt = op.dealt is not None
    return replace(axis, block=block, dealt=dealt)


@dataclass(frozen=True)
class Scalars:
    """Run-time scalars of a program: an integer operand and the range of its values."""

    name: str
    operand: str
    low: int
    high: int


@dataclass(frozen=True)
class Tensor:
    """A buffer as the engines see it: format, shape in elements, memory, layout."""

    data_format: DataFormat
    shape: tuple[int, ...]
    memory: str = "dram"
    row_major: bool = False
    first_bank: int = 0
    shards: tuple[int, int] | None = None
    shards_over: str | None = None

    @property
    def tile_rows(self) -> int:
        """Rows of tiles; leading dimensions are stacked, each padded to tiles."""
        return prod(self.shape[:-2]) * -(-self.shape[-2] // 32)

    @property
    def tile_columns(self) -> int:
        """Columns of tiles."""
        return -(-self.shape[-1] // 32)

    @property
    def num_tiles(self) -> int:
        """Tiles in all, padding included."""
        return self.tile_rows * self.tile_columns

    @property
    def shard_tiles(self) -> tuple[int, int]:
        """Rows and columns of tiles in one shard; the whole where there are none."""
        rows, columns = self.shards or (1, 1)
        return -(-self.tile_rows // rows), -(-self.tile_columns // columns)

    def shard_of(self, tiles: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row and column of the shard that each tile lies in, and its place there."""
        height, width = self.shard_tiles
        rows, columns = np.divmod(tiles, self.tile_columns)
        inside = rows % height * width + columns % width
        return rows // height, columns // width, inside

    def shard_owners(self, tiles: np.ndarray, grid: Core) -> np.ndarray:
        """The number of the core, or the part in DRAM, in which tiles lie."""
        assert self.shards is not None
        row, column, _ = self.shard_of(tiles)
        folded = self.memory == "dram" or self.shards_over is not None
        return row * (self.shards[1] if folded else grid.x) + column

    @property
    def num_bytes(self) -> int:
        """Bytes on the device."""
        if self.row_major:
            return prod(self.shape) * (self.data_format.element_bytes or 0)
        return self.num_tiles * self.data_format.tile_bytes


def tensor_of(buffer: BufferOp) -> Tensor:
    """Read a buffer operation."""
    return Tensor(
        DataFormat(buffer.data_format.data),
        buffer.shape.data,
        buffer.memory.data,
        buffer.row_major is not None,
        shards=None if buffer.shards is None else _pair(buffer.shards.data),
        shards_over=None if buffer.shards_over is None else buffer.shards_over.data,
    )


def _pair(numbers: tuple[int, ...]) -> tuple[int, int]:
    rows, columns = numbers
    return rows, columns


@dataclass(frozen=True)
class CircularBuffer:
    """A circular buffer of a program, its sizes derived from the axes."""

    name: str
    index: int
    axes: tuple[str, ...]
    bounds: tuple[int, ...]
    depth: int
    stated_format: DataFormat | None
    rows: bool
    operand: str | None
    map: tuple[str | Expr, ...]
    over: bool
    shares: str | None
    op: CircularBufferOp

    @cached_property
    def whole(self) -> tuple[bool, ...]:
        """Of which axes a block holds all that the core has, whatever is current."""
        return tuple(entry.endswith(".part") for entry in self.op.block.data)

    @property
    def block_pages(self) -> int:
        """Pages of one block; what push and pop move unless they say otherwise."""
        return prod(self.bounds)

    @property
    def capacity(self) -> int:
        """Pages in all."""
        return self.block_pages * self.depth

    @cached_property
    def strides(self) -> tuple[int, ...]:
        """Pages between neighbours along each axis of the block."""
        return tuple(prod(self.bounds[i + 1 :]) for i in range(len(self.bounds)))


@dataclass(frozen=True)
class Multicast:
    """A multicast with its rectangle: inclusive corners, for the master's core."""

    name: str
    buffer: str
    along: str
    master: tuple[Expr, Expr]
    noc: int
    linked: bool
    pieces: tuple[str, ...] | None
    op: MulticastOp


def is_block_size(size: str) -> bool:
    """Whether this may stand behind an axis of a block: `part`, a number, nothing."""
    return size in ("", "part") or (size.isdigit() and int(size) > 0)


@dataclass(frozen=True)
class Gather:
    """Blocks that the cores along an axis write to the first of them, or pieces that
    `each` gets."""

    name: str
    pairs: tuple[tuple[str, str], ...]
    axis: str
    each: bool
    noc: int | None
    op: GatherOp


class ProgramFacts:
    """A program's axes, cores, circular buffers and kernels on a given chip."""

    def __init__(self, op: ProgramOp, chip: Chip):
        self.op = op
        self.chip = chip
        self.name = op.sym_name.data
        self.parameters = op.parameters.data
        self.fidelity = op.fidelity.data
        self.fp32_dst = op.dst.data == "fp32"
        self.full_sync = op.full_sync is not None
        block: Block = op.body.block
        self.axes: dict[str, Axis] = {}
        for axis_op in (o for o in block.ops if isinstance(o, AxisOp)):
            axis = _read_axis(axis_op, self.axes)
            self.axes[axis.name] = axis
        self.kernels = [o for o in block.ops if isinstance(o, KernelOp)]
        self.semaphores = {
            o.sym_name.data: o.initial.value
            for o in block.ops
            if isinstance(o, SemaphoreOp)
        }
        self.scalars = {
            o.sym_name.data: Scalars(
                o.sym_name.data, o.operand.data, o.low.value, o.high.value
            )
            for o in block.ops
            if isinstance(o, ScalarsOp)
        }
        self._ranges: dict[Core, dict[str, Range]] = {}
        self._check_axes()
        buffers = [o for o in block.ops if isinstance(o, CircularBufferOp)]
        self.circular_buffers = {
            o.sym_name.data: self._read_buffer(o, index)
            for index, o in enumerate(buffers)
        }
        self.multicasts = {
            o.sym_name.data: _read_multicast(o)
            for o in block.ops
            if isinstance(o, MulticastOp)
        }

        self.gathers = {
            o.sym_name.data: Gather(
                o.sym_name.data,
                tuple(zip(o.sources.data, o.targets.data, strict=True)),
                o.along.data,
                o.each is not None,
                None if o.noc is None else o.noc.value,
                o,
            )
            for o in block.ops
            if isinstance(o, GatherOp)
        }

    def _check_axes(self) -> None:
        columns, rows = self.grid
        if columns > self.chip.grid.x or rows > self.chip.grid.y:
            raise NetlistError(
                f"program @{self.name} spreads its axes over {columns}x{rows} cores",
                limit=f"{self.chip.grid.x}x{self.chip.grid.y} on {self.chip.name}",
                advice="lower the number of cores behind `over` on an axis",
            )

    def _read_buffer(self, op: CircularBufferOp, index: int) -> CircularBuffer:
        bounds = tuple(self._bound(entry, op) for entry in op.block.data)
        over = op.shard is not None
        operand, index_map = (op.shard, op.shard_map) if over else (op.operand, op.map)
        return CircularBuffer(
            name=op.sym_name.data,
            index=index,
            axes=tuple(entry.partition(".")[0] for entry in op.block.data),
            bounds=bounds,
            depth=1 if op.depth is None else op.depth.value,
            stated_format=(
                None if op.data_format is None else DataFormat(op.data_format.data)
            ),
            rows=op.rows is not None,
            operand=None if operand is None else operand.data,
            map=() if index_map is None else index_map.data,
            over=over,
            shares=None if op.shares is None else op.shares.data,
            op=op,
        )

    def _bound(self, entry: str, op: Operation) -> int:
        name, _, size = entry.partition(".")
        if name not in self.axes or not is_block_size(size):
            raise NetlistError(
                f"'{entry}' in a block of @{self.name} is not an axis",
                advice=f"axes are {', '.join(self.axes)}; write `k`, `k.part` or `k.4`",
            )
        axis = self.axes[name]
        if size.isdigit():
            return int(size)
        return axis.part if size == "part" else axis.block

    def sent_pages(self, cast: Multicast) -> int:
        """Pages of a send, at most."""
        if cast.pieces is None:
            return self.circular_buffers[cast.buffer].block_pages
        return prod(self._bound(entry, cast.op) for entry in cast.pieces)

    def piece_pages(self, target: str) -> int:
        """Pages, at most, of a piece in a slot of the target of a gather of `each`."""
        return prod(self.circular_buffers[target].bounds[1:])

    def scalar_ends(self) -> tuple[Environment, ...]:
        """Run-time scalars at the lower and the upper ends of their ranges.

        One environment where the program has none.
        """
        if not self.scalars:
            return ({},)
        return tuple(
            {s.name: getattr(s, end) for s in self.scalars.values()}
            for end in ("low", "high")
        )

    def control_key(self, scalars: Environment) -> tuple[object, ...]:
        """What run-time scalars mean for bounds, guards and maps.

        Launches with equal keys have equal streams of instructions, up to fills and
        row writes that name scalars themselves.
        """
        return tuple(
            value if isinstance(value, int) else tuple(value.reshape(-1).tolist())
            for value in (over_all_elements(e, scalars) for e in self._control_parts)
        )

    @cached_property
    def _control_parts(self) -> tuple[Expr, ...]:
        if not self.scalars:
            return ()
        parts = {
            part: None
            for op in self.walk()
            for expr in control_expressions(op)
            for part in run_time_parts(expr)
        }
        return tuple(parts)

    @cached_property
    def grid(self) -> Core:
        """Columns and rows of the rectangle that the program's cores fill."""
        spans = self._spans
        if spans["banks"] > 1:
            return self.chip.grid
        if spans["xy"] == 1:
            return Core(spans["x"], spans["y"])
        columns = min(spans["xy"], self.chip.grid.x)
        return Core(columns, -(-spans["xy"] // columns))

    @cached_property
    def _spans(self) -> dict[str, int]:
        """Positions with work in each order."""
        spans = {"x": 1, "y": 1, "xy": 1, "banks": 1}
        for axis in self.axes.values():
            if axis.over is not None:
                spans[axis.over] = max(spans[axis.over], axis.cores * axis.stride)
        return spans

    @cached_property
    def order(self) -> CoreOrder:
        """The orders in which the program's axes count cores."""
        return CoreOrder(self.grid.x, self.chip.bank_cores)

    def _has_work(self, core: Core) -> bool:
        """Whether a core has a position in every order, and a part of every axis."""
        return all(
            self.order.position(over, core) < span
            for over, span in self._spans.items()
            if span > 1
        ) and all(
            self.ranges_on(core)[name].size
            for name, axis in self.axes.items()
            if axis.of is None
        )

    @cached_property
    def cores(self) -> tuple[Core, ...]:
        """The active cores, row by row: those whose part of every axis is not empty."""
        columns, rows = self.grid
        everyone = (Core(x, y) for y in range(rows) for x in range(columns))
        return tuple(filter(self._has_work, everyone))

    def index_on(self, core: Core) -> dict[str, int]:
        """The place of a core along each axis, as `k.index` in expressions."""
        return {f"{name}.index": self.place_on(name, core) for name in self.axes}

    def place_on(self, axis: str, core: Core) -> int:
        """The place of a core along one axis."""
        found = self.axes[axis]
        return found.index_at(self.order.position(found.over, core))

    def along(self, axis: str, core: Core, index: int) -> Core:
        """The core with this place along an axis, and the core's own along others."""
        found = self.axes[axis]
        position = self.order.position(found.over, core)
        position += (index - found.index_at(position)) * found.stride
        return self.order.core(found.over, position, core)

    def line(self, axis: str, core: Core) -> tuple[Core, ...]:
        """The active cores that differ from one only in their place along an axis."""
        found = (self.along(axis, core, i) for i in range(self.axes[axis].cores))
        active = set(self.cores)
        return tuple(core for core in found if core in active)

    def ranges_on(self, core: Core) -> Mapping[str, Range]:
        """The parts of all axes on a core."""
        if core not in self._ranges:
            found: dict[str, Range] = {}
            for a in self.axes.values():
                within = None if a.of is None else found.get(a.of)
                found[a.name] = a.range_at(self.order.position(a.over, core), within)
            self._ranges[core] = found
        return self._ranges[core]

    def rectangle(self, multicast: Multicast, env: Environment) -> tuple[Core, Core]:
        """Corners (inclusive) of the cores that a master's multicast reaches."""
        x, y = (int(e.evaluate(env)) for e in multicast.master)
        last = Core(self.grid.x - 1, self.grid.y - 1)
        if multicast.along == "x":
            return Core(0, y), Core(last.x, y)
        if multicast.along == "y":
            return Core(x, 0), Core(x, last.y)
        return Core(0, 0), last

    def format_of(
        self, buffer: CircularBuffer, tensors: dict[str, Tensor]
    ) -> DataFormat:
        """The stated format of a circular buffer, or that of its operand."""
        if buffer.stated_format is not None:
            return buffer.stated_format
        assert buffer.operand is not None
        return tensors[buffer.operand].data_format

    def walk(self) -> Iterator[Operation]:
        """All operations of the program, in text order."""
        yield from self.op.body.block.walk()


def control_expressions(op: Operation) -> Iterator[Expr]:
    """Expressions of an operation that decide which instructions there are."""
    if isinstance(op, ForOp):
        yield from [] if op.to is None else [op.to.data]
    elif isinstance(op, IfOp):
        yield op.condition.data
    elif isinstance(op, CircularBufferOp) and op.map is not None:
        yield from (e for e in op.map.data if not isinstance(e, str))


def _read_multicast(op: MulticastOp) -> Multicast:
    return Multicast(
        op.sym_name.data,
        op.buffer.data,
        op.along.data,
        op.master.data,
        op.noc.value,
        op.linked is not None,
        None if op.pieces is None else op.pieces.data,
        op,
    )
