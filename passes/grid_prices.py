"""First-order prices of a program on a grid: what `choose-grid` ranks candidates by.

Compute on the busiest core, bytes out of DRAM with what can be multicast read once,
and transfers that one core must issue. The time engine judges the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, prod

import numpy as np
from xdsl.ir import Block, Operation, SSAValue

from dialects import ttir
from dialects.axes import Axis
from dialects.chip import Chip
from dialects.formats import TILE_EDGE, DataFormat, Fidelity
from dialects.grid import ProgramOp, StageOp, UsesAttr
from dialects.grid_attributes import Use
from dialects.ttir.base import shape_of
from passes.dst_plan import Unary, Vector
from passes.l1_budget import circular_buffer_limit, tile_bytes_of
from passes.schedule import MIN_DEPTH, Schedule
from passes.schedule_parts import Operand

# First-order prices in cycles, from the Wormhole fact sheet (section in brackets).
_ISSUE = 38  # one interleaved page by one RISC [4.5]
_CORE_BYTES_PER_CYCLE = 31  # one core reading all banks [4.5]
_PAGED_BYTES_PER_CYCLE = 190 / 12  # a bank: all cores, interleaved pages, NoC 0 [4.5]
_BANK_GAIN = 190 / 255  # bytes count less where cores read the bank beside them [4.5]
_CHANNEL_BYTES_PER_CYCLE = 22.35  # one DRAM channel, sustained [4.5]
_BANK_PENALTY = 0.15  # slower for each time that the fullest bank exceeds the mean
_BANK_BYTES_PER_CYCLE = 22.3  # one bank, any number of readers [4.5]
_BARRIER = 500  # from the last read to its data, and the block to the reader [4.5]
_MULTICAST_BYTES_PER_CYCLE = 25  # linked, to a row or all [4.2]
_EXCHANGE_BYTES_PER_CYCLE = 16  # pieces to all cores of a line (the time engine)
_MULTICAST_START = 900  # handshake and path reservation [5]
_LAUNCH = 2050  # traced op-to-op gap [5]
_UNPACK_BYTES_PER_CYCLE = 53  # both operands [timing study 3]
_COLUMN_BYTES_PER_CYCLE = 43  # cores of one column together: links of NoC 0, from all
# rows that DRAM is in (the time engine; 31 for a link [4.1])
_VECTOR_TILE = 300  # a vector-unit function on a tile [2.10]
_VECTOR_TILES = {  # those that take much longer or less, on a tile [2.10]
    "exp": 1771,
    "gelu": 2849,
    "erf": 2849,
    "pow": 2489,
    "cos": 1548,
    "div": 1070,
    "rsqrt": 1000,
    "recip": 910,
    "sin": 910,
    "silu": 907,
    "sqrt": 885,
    "sigmoid": 811,
    "log": 718,
    "add": 160,
    "sub": 160,
    "mul": 160,
    "add_unary": 124,
    "mul_unary": 124,
}
_ADD_IN_L1_TILE = 128  # the packer adds an fp32 tile to L1 [2.9]
_MATRIX_TILE = 40  # an element-wise matrix-unit instruction on a tile [2.7]
_SHOWING = 0.1  # of what is hidden behind something slower, the share that still shows

MIN_MULTICAST_TILES = 4
"""Tiles of a block from which a multicast pays: its handshake costs about 900 cycles
(fact sheet, section 5), a read of two tiles about 470 (section 4.5)."""

Axes = dict[str, Axis]


@dataclass(frozen=True)
class Price:
    """What a launch would cost by first-order formulas, in cycles of the busiest core.

    `held` loads what stays, `before` computes ahead of the first streamed block,
    `behind` is what waits for the last one on all cores; `compute` runs beside
    `streamed` (transfers that a core issues), `dram` (all streamed bytes at the rate of
    all banks) and `write`, in `steps` blocks; `ahead` of them may be there before the
    computing begins.
    """

    launch: float
    held: float
    before: float
    compute: float
    streamed: float
    dram: float
    write: float
    behind: float
    steps: int
    ahead: int

    @property
    def total(self) -> float:
        """Cycles in all: what must be there first, then what overlaps."""
        reading = max(self.streamed, self.dram)
        room = reading * min(1.0, self.ahead / self.steps)
        reading -= min(self.before + self.held, room)
        moving = max(reading, self.write)
        hidden = min(self.compute, moving)
        overlap = max(self.compute, moving)
        overlap += hidden * max(1 / self.steps, _SHOWING)
        return self.launch + self.held + self.before + overlap + self.behind


@dataclass(frozen=True)
class _Load:
    """What loading an operand takes.

    Cycles of a core that reads it and of one that sends it on, one after the other or,
    where it reads `ahead`, at once; bytes in all and into the busiest column of cores;
    and how many cores read.
    """

    reading: float
    sending: float
    num_bytes: float
    column_bytes: float
    readers: float
    ahead: bool = False

    @property
    def moving(self) -> float:
        """Cycles of the core that reads and sends."""
        if self.ahead:
            return max(self.reading, self.sending)
        return self.reading + self.sending


def _from_dram(loads: Sequence[_Load], banks: int) -> float:
    """Cycles until all of it has come out of DRAM and into the columns of cores."""
    num_bytes = sum(load.num_bytes for load in loads)
    column_bytes = sum(load.column_bytes for load in loads)
    return max(
        num_bytes / (banks * _PAGED_BYTES_PER_CYCLE),
        column_bytes / _COLUMN_BYTES_PER_CYCLE,
    )


def _held(held: Sequence[_Load], ahead: float, *, cores: int, banks: int) -> float:
    """Cycles until operands that stay are there.

    Meanwhile all cores read streamed blocks, up to `ahead` cycles of DRAM: one that
    reads what others wait for gets as much of DRAM as each of them.
    """
    if not held:
        return 0.0
    own = _from_dram(held, banks)
    readers = max(load.readers for load in held)
    crowded = own + min(ahead, own * cores / readers)
    reading = max(crowded, sum(load.reading for load in held))
    return reading + sum(load.sending for load in held)


def _num_cores(axes: Axes) -> int:
    """Cores that axes are spread over; shares of a part go to those that have it."""
    return prod(axis.cores for axis in axes.values() if axis.of is None)


def _num_parts(axes: Axes, names: Sequence[str]) -> int:
    """Parts that differ of a tensor with some axes."""
    whole = {axes[name].of for name in names}
    return prod(axes[n].cores for n in (*names, *whole) if n is not None)


class GridPrices:
    """Prices a program on any grid; `weights` are the formats of its operands."""

    def __init__(
        self,
        program: ProgramOp,
        chip: Chip,
        weights: Sequence[DataFormat],
        *,
        multicast: bool = True,
        read_ahead: bool = True,
    ):
        self.program = program
        self.multicast = multicast
        self.read_ahead = read_ahead
        self.chip = chip
        self.schedule = Schedule(program)
        self.streamed = self.schedule.streamed
        self.tile_bytes = tile_bytes_of(program, self.schedule, weights)
        self.arguments: list[SSAValue] = list(program.body.block.args)
        self.cores = np.arange(chip.num_cores)
        self._is_gathered = any(use.index for use in program.uses.data)
        self._extents = {a.name: a.extent for a in program.axes.data}
        self.phases = Fidelity(program.fidelity.data).phases

    def l1_bytes(self, axes: Axes) -> int:
        """L1 that the circular buffers take on a core."""
        return self.schedule.l1_bytes(axes, self.tile_bytes)

    def price(self, axes: Axes, *, crowded: bool) -> Price:
        """The price of a launch. `crowded` says whether the fullest bank counts."""
        stages = range(len(self.schedule.stages))
        first = min(
            (o.stage for o in self.schedule.operands if o.stage is not None),
            default=len(stages) - 1,
        )
        weights = [lp for lp in self.schedule.loops if self.schedule.weights_in(lp)]
        first = min([first, *(loop.first for loop in weights)])
        before = sum(self._stage_price(i, axes) for i in stages if i < first)
        exchanges = [c.first for c in self.schedule.combines if c.each]
        last = min(exchanges, default=len(stages))
        compute = sum(self._stage_price(i, axes) for i in stages[first:last])
        compute += _MULTICAST_START * self._num_shared_loops(axes)
        behind = sum(self._stage_price(i, axes) for i in stages[last:])
        behind += self._exchange_price(axes)
        depths = self.depths(axes)
        loads = {
            operand: self._load(
                operand, axes, crowded=crowded, depth=depths.get(operand.value)
            )
            for operand in self.schedule.operands
        }
        held = [load for operand, load in loads.items() if operand.resident]
        others = [load for operand, load in loads.items() if not operand.resident]
        steps = self._steps(axes)
        ahead = max(depths.values(), default=MIN_DEPTH)
        dram = _from_dram(others, self.chip.num_dram_banks)
        return Price(
            _LAUNCH,
            _held(
                held,
                dram * min(1.0, ahead / steps),
                cores=_num_cores(axes),
                banks=self.chip.num_dram_banks,
            ),
            before,
            compute,
            self._moving_price(loads, axes),
            dram,
            self._write_price(axes),
            behind,
            steps,
            ahead,
        )

    def floor(self, axes: Axes) -> float:
        """What no price is below: what a core computes, writes or reads alone."""
        stages = range(len(self.schedule.stages))
        compute = sum(self._stage_price(i, axes) for i in stages)
        streamed = (o for o in self.schedule.operands if not o.resident)
        num_bytes = sum(self._share_bytes(operand, axes) for operand in streamed)
        reading = num_bytes / _CORE_BYTES_PER_CYCLE
        return _LAUNCH + max(compute, reading, self._write_price(axes))

    @cached_property
    def roof(self) -> float:
        """Cycles that no grid goes below: the weights out of all DRAM channels."""
        tiles = {
            operand.value: prod(self._extents[a] for a in operand.axes)
            for operand in self.schedule.operands
            if operand.value in self.streamed
        }
        num_bytes = sum(self.tile_bytes[v] * count for v, count in tiles.items())
        return num_bytes / (self.chip.num_dram_banks * _CHANNEL_BYTES_PER_CYCLE)

    def depths(self, axes: Axes) -> dict[SSAValue, int]:
        """Blocks that the circular buffers of streamed weights hold."""
        room = circular_buffer_limit(self.chip)
        return self.schedule.depths(
            axes, self.tile_bytes, l1_bytes=room, read_ahead=self.read_ahead
        )

    def uses(self, axes: Axes) -> UsesAttr:
        """The uses of the program's operands, with the depths of their buffers."""
        depths = self.depths(axes)
        uses = [
            replace(use, depth=depths.get(a), sharded=self._sharded(a, use, axes))
            for use, a in zip(self.program.uses.data, self.arguments, strict=True)
        ]
        return UsesAttr(tuple(uses))

    def _sharded(self, argument: SSAValue, use: Use, axes: Axes) -> str | None:
        """How an operand lies in DRAM banks; weights whose rows cores share out lie as
        those are spread."""
        split = {c.loop.axis for c in self.schedule.combines if c.each}
        if argument not in self.streamed or not split:
            return use.sharded
        beside = any(axes[axis].over == "banks" for axis in split)
        return "rows" if beside else None

    def _num_shared_loops(self, axes: Axes) -> int:
        """Loops whose cores hand their results to the first of them."""
        combines = self.schedule.combines
        return sum(axes[combine.loop.axis].cores > 1 for combine in combines)

    def _moving_price(self, loads: Mapping[Operand, _Load], axes: Axes) -> float:
        """Cycles of the busier processor: in a loop with weights, one reads those, the
        other what comes beside them; or of the port through which all of it comes."""
        weights = [lp for lp in self.schedule.loops if self.schedule.weights_in(lp)]
        own = beside = num_bytes = 0.0
        for operand, load in loads.items():
            if not operand.resident:
                num_bytes += self._share_bytes(operand, axes)
            if operand.loop in weights and operand.value not in self.streamed:
                beside += load.moving
            elif not operand.resident:
                own += load.moving
        return max(own, beside, num_bytes / _CORE_BYTES_PER_CYCLE)

    def _exchange_price(self, axes: Axes) -> float:
        """Cycles until every core has its pieces of what loops carried out."""
        carried = [c for b in self.schedule.combines if b.each for c in b.loop.carried]
        num_bytes = sum(
            c.data_format.tile_bytes * prod(axes[a].part for a in c.axes)
            for c in carried
        )
        return num_bytes / _EXCHANGE_BYTES_PER_CYCLE

    def _steps(self, axes: Axes) -> int:
        """Blocks that pass by one after the other, the computing beside the reading."""
        counts = [
            ceil(
                prod(axes[a].share for a in operand.axes)
                / self.schedule.block_tiles(operand, axes)
            )
            for operand in self.schedule.operands
            if not operand.resident
        ]
        return max(counts, default=1)

    def _share_bytes(self, operand: Operand, axes: Axes) -> int:
        return self.tile_bytes[operand.value] * self._share_tiles(operand, axes)

    def _share_tiles(self, operand: Operand, axes: Axes) -> int:
        """Tiles of an operand that a core gets, as often as it does."""
        again = 1
        if operand.loop is not None:
            around = [a for a in self.schedule.outer if a not in operand.axes]
            again = prod(ceil(axes[a].share / axes[a].block) for a in around)
        return again * prod(axes[a].share for a in operand.axes)

    def _load(
        self, operand: Operand, axes: Axes, *, crowded: bool, depth: int | None
    ) -> _Load:
        """What it takes to load all of an operand into a buffer of `depth` blocks."""
        tiles, size = self._share_tiles(operand, axes), self._share_bytes(operand, axes)
        cores = _num_cores(axes)
        blocks = ceil(tiles / self.schedule.block_tiles(operand, axes))
        cycles = max(tiles * _ISSUE, size / _CORE_BYTES_PER_CYCLE) + blocks * _BARRIER
        sharing = cores / _num_parts(axes, operand.axes)
        rows = self._rows(axes)
        large = self.schedule.block_tiles(operand, axes) >= MIN_MULTICAST_TILES
        sent = self.multicast and large
        line = _shared_line(axes, operand.axes) if sent else None
        if sharing > 1 and line is not None:
            sending = size / _MULTICAST_BYTES_PER_CYCLE + blocks * _MULTICAST_START
            masters = cores / _num_along(axes, line)
            in_column = rows if line == "x" else 1
            ahead = self.read_ahead and self.schedule.has_room_ahead(
                operand, axes, depth
            )
            column_bytes = size * in_column
            return _Load(cycles, sending, size * masters, column_bytes, masters, ahead)
        fullest = self._fullest_shard_bytes(operand, axes)
        if fullest is not None:
            # Cores beside a bank share it: it is busy until all of it is out.
            bank = fullest / _BANK_BYTES_PER_CYCLE
            cycles = max(size / _CORE_BYTES_PER_CYCLE + blocks * _BARRIER, bank)
            whole = fullest * self.chip.num_dram_banks
            return _Load(cycles, 0.0, whole * _BANK_GAIN, 0.0, cores)
        crowding = 1.0
        if crowded and not operand.resident and not self._is_gathered:
            crowding += _BANK_PENALTY * (self._fullest_bank(operand, axes) - 1.0)
        return _Load(cycles, 0.0, size * cores * crowding, size * rows, cores)

    def _rows(self, axes: Axes) -> int:
        """Cores of the fullest column."""
        own = [a for a in axes.values() if a.of is None]
        down = prod(a.cores for a in own if a.over == "y")
        folded = prod(a.cores for a in own if a.over == "xy")
        return max(down, ceil(folded / self.chip.grid.x))

    def _fullest_shard_bytes(self, operand: Operand, axes: Axes) -> float | None:
        """Bytes in the fullest bank of an operand that is read by cores beside it, its
        columns dealt to them or a run of its rows; None for others."""
        spread = [axes[a] for a in operand.axes if axes[a].over == "banks"]
        if not spread or operand.value not in self.streamed:
            return None
        first, banks = spread[0], self.chip.num_dram_banks
        line = self.tile_bytes[operand.value] * prod(
            axes[a].extent for a in operand.axes if a != first.name
        )
        return line * (ceil(first.extent / banks) if first.dealt else first.part)

    def _fullest_bank(self, operand: Operand, axes: Axes) -> float:
        """Reads of the fullest DRAM bank over the mean, when all cores begin a block.

        Cores whose parts begin in the same bank meet there again and again.
        """
        number = self.arguments.index(operand.value)
        use = self.program.uses.data[number]
        source = shape_of(self.program.inputs[number])
        sizes = self.schedule.block_sizes(operand, axes)
        blocks = np.meshgrid(self.cores, *map(np.arange, sizes), indexing="ij")
        uses = self.program.uses.data
        env: dict[str, np.ndarray | int] = {
            u.scalars[0]: 0 for u in uses if u.scalars is not None
        }
        inside = np.ones(blocks[0].shape, bool)
        for name, offset in zip(operand.axes, blocks[1:], strict=True):
            axis = axes[name]
            divisor = {"x": 1, "y": self.chip.grid.x, "xy": 1}.get(axis.over or "", 1)
            place = blocks[0] // divisor
            if axis.over == "x":
                place = place % self.chip.grid.x
            piece = axis.block if axis.dealt else axis.part
            start = (place // axis.stride) % axis.cores * piece
            env[name] = start + offset
            inside &= env[name] < axis.extent
        row, column = (np.broadcast_to(e.evaluate(env), inside.shape) for e in use.map)
        tiles = row * ceil(source[-1] / TILE_EDGE) + column
        banks = np.bincount(tiles[inside] % self.chip.num_dram_banks)
        return float(banks.max() * self.chip.num_dram_banks / max(banks.sum(), 1))

    def _write_price(self, axes: Axes) -> float:
        cycles = 0.0
        for value in self.schedule.outputs:
            own = self.schedule.axes.real(value)
            tiles = prod(axes[a].share for a in own)
            blocks = ceil(tiles / prod(axes[a].block for a in own))
            cycles += _running(value.owner, axes) * (tiles * _ISSUE + blocks * _BARRIER)
        return cycles

    def _stage_price(self, index: int, axes: Axes) -> float:
        """Cycles of a stage on the busiest core; one that combines what cores made
        runs for each other core."""
        stage, plan = self.schedule.stages[index], self.schedule.plans[index]
        tiles = prod(axes[a].share for a in stage.over.data)
        results = prod(axes[a].share for a in self.schedule.axes.real(stage.results[0]))
        contraction = 0.0
        for op in plan.accumulators:
            if isinstance(op, ttir.MatmulOp):
                size = self.tile_bytes.get(op.b, DataFormat.BF16.tile_bytes)
                unpack = 1.25 * size / _UNPACK_BYTES_PER_CYCLE
                math = tiles * max(16 * self.phases + 1, unpack)
                contraction += max(math, self._adding_price(index, results, axes))
            else:
                contraction += tiles * _MATRIX_TILE
        finish = 0.0
        for step in plan.steps:
            vector = isinstance(step, Unary | Vector)
            finish += _vector_tile(step) if vector else _MATRIX_TILE
        combine = next((c for c in self.schedule.combines if c.holds(index)), None)
        times = 1.0
        if combine is not None:
            times = axes[combine.loop.axis].cores - 1.0 + combine.each
        times *= _running(stage, axes)
        return times * (contraction + results * (finish + _MATRIX_TILE))

    def _adding_price(self, index: int, results: int, axes: Axes) -> float:
        """Cycles of the packer that adds to sums in L1, over all steps of a loop."""
        loop = self.schedule.loop_of(index)
        if loop is None or not self.schedule.weights_in(loop):
            return 0.0
        steps = ceil(axes[loop.axis].share / axes[loop.axis].block)
        return results * steps * _ADD_IN_L1_TILE


def _running(stage: Operation | Block, axes: Axes) -> float:
    """The part of the steps in which a stage runs, on the average over cores."""
    if not isinstance(stage, StageOp) or stage.where is None:
        return 1.0
    part = stage.where.data
    return (part.stop - part.first) / axes[part.axis].extent


def _vector_tile(step: Unary | Vector) -> float:
    return _VECTOR_TILES.get(step.function, _VECTOR_TILE)


def _shared_line(axes: Axes, used: tuple[str, ...]) -> str | None:
    """The way along which all cores want the same tiles of an operand, if any."""
    spread: dict[str | None, list[str]] = {}
    used = (*used, *(axes[name].of or name for name in used))
    for name, axis in axes.items():
        if axis.over is not None and axis.cores > 1:
            spread.setdefault(axis.over, []).append(name)
    free = [over for over, names in spread.items() if not set(names) & set(used)]
    if {"xy", "banks"} & set(free) or {"x", "y"} <= set(free):
        return "xy"
    for over in ("x", "y"):
        if over in free:
            return over
    return None


def _num_along(axes: Axes, line: str) -> int:
    """Cores of a line that a multicast goes along."""
    return prod(axis.cores for axis in axes.values() if line in ("xy", axis.over))


def shared_line(program: ProgramOp, used: tuple[str, ...]) -> str | None:
    """The direction along which an operand with these axes may be multicast."""
    return _shared_line({a.name: a for a in program.axes.data}, used)
