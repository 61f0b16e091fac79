"""First-order prices of a program on a grid: what `choose-grid` ranks candidates by.

Compute on the busiest core, bytes out of DRAM with what can be multicast read once,
and transfers that one core must issue. The time engine judges the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, prod

import numpy as np
from xdsl.ir import SSAValue

from dialects import ttir
from dialects.chip import Chip
from dialects.formats import TILE_EDGE, DataFormat, Fidelity
from dialects.grid import ProgramOp, UsesAttr, stored_format
from dialects.program import Axis
from dialects.ttir.base import shape_of
from passes.dst_plan import Copy, Matrix, Unary
from passes.schedule import MIN_DEPTH, Operand, Schedule

# First-order prices in cycles, from the Wormhole fact sheet (section in brackets).
_ISSUE = 38  # one interleaved page by one RISC [4.5]
_CORE_BYTES_PER_CYCLE = 31  # one core reading all banks [4.5]
_DRAM_BYTES_PER_CYCLE = 190  # all cores reading interleaved pages on NoC 0 [4.5]
_BANK_GAIN = 190 / 255  # bytes count less where cores read the bank beside them [4.5]
_BANK_PENALTY = 0.15  # slower for each time that the fullest bank exceeds the mean
_BANK_BYTES_PER_CYCLE = 22.3  # one bank, any number of readers [4.5]
_BARRIER = 500  # from the last read to its data, and the block to the reader [4.5]
_MULTICAST_BYTES_PER_CYCLE = 25  # linked, to a row or all [4.2]
_MULTICAST_START = 900  # handshake and path reservation [5]
_LAUNCH = 2050  # traced op-to-op gap [5]
_UNPACK_BYTES_PER_CYCLE = 53  # both operands [timing study 3]
_VECTOR_TILE = 300  # a vector-unit function on a tile [2.10]
_MATRIX_TILE = 40  # an element-wise matrix-unit instruction on a tile [2.7]
_STREAM_L1_SHARE = 0.6  # up to which buffers of weights grow; tensors may have the rest
_SHOWING = 0.1  # of what is hidden behind something slower, the share that still shows

Axes = dict[str, Axis]


@dataclass(frozen=True)
class Price:
    """What a launch would cost by first-order formulas, in cycles of the busiest core.

    `held` loads what stays, `before` computes ahead of the first streamed block;
    `compute` then runs beside `streamed` (transfers that a core issues), `dram` (all
    bytes at the rate of all banks) and `write`, in `steps` blocks; `ahead` of them may
    be there before the computing begins.
    """

    launch: float
    held: float
    before: float
    compute: float
    streamed: float
    dram: float
    write: float
    steps: int
    ahead: int

    @property
    def total(self) -> float:
        """Cycles in all: what must be there first, then what overlaps."""
        reading = max(self.streamed, self.dram - self.held)
        reading -= min(
            self.before + self.held, reading * min(1.0, self.ahead / self.steps)
        )
        moving = max(reading, self.write)
        hidden = min(self.compute, moving)
        overlap = max(self.compute, moving)
        overlap += hidden * max(1 / self.steps, _SHOWING)
        return self.launch + self.held + self.before + overlap


class GridPrices:
    """Prices a program on any grid; `weights` are the formats of its operands."""

    def __init__(self, program: ProgramOp, chip: Chip, weights: Sequence[DataFormat]):
        self.program = program
        self.chip = chip
        self.schedule = Schedule(program)
        self.streamed = self.schedule.streamed
        formats = [stored_format(value) for value in program.inputs]
        formats += [stored_format(value) for value in program.outputs]
        values = (*program.body.block.args, *self.schedule.outputs)
        streamed = [*weights, *formats[len(weights) :]]
        self.tile_bytes = {
            value: (wanted if value in self.streamed else own).tile_bytes
            for value, own, wanted in zip(values, formats, streamed, strict=True)
        }
        self.arguments: list[SSAValue] = list(program.body.block.args)
        self.cores = np.arange(chip.num_cores)
        self._is_gathered = any(use.index for use in program.uses.data)
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
        before = sum(self._stage_price(i, axes) for i in stages if i < first)
        compute = sum(self._stage_price(i, axes) for i in stages if i >= first)
        compute += self._combine_price(axes)
        held = streamed = dram_bytes = 0.0
        for operand in self.schedule.operands:
            cycles, num_bytes = self._load_price(operand, axes, crowded=crowded)
            dram_bytes += num_bytes
            if operand.resident:
                held += cycles
            else:
                streamed += cycles
        return Price(
            _LAUNCH,
            held,
            before,
            compute,
            streamed,
            dram_bytes / _DRAM_BYTES_PER_CYCLE,
            self._write_price(axes),
            self._steps(axes),
            max(self.depths(axes).values(), default=MIN_DEPTH),
        )

    def depths(self, axes: Axes) -> dict[SSAValue, int]:
        """Blocks that the circular buffers of streamed weights hold."""
        room = int(_STREAM_L1_SHARE * self.chip.l1_usable_bytes)
        return self.schedule.depths(axes, self.tile_bytes, l1_bytes=room)

    def uses(self, axes: Axes) -> UsesAttr:
        """The uses of the program's operands, with the depths of their buffers."""
        depths = self.depths(axes)
        uses = zip(self.program.uses.data, self.arguments, strict=True)
        return UsesAttr(tuple(replace(u, depth=depths.get(a)) for u, a in uses))

    def _combine_price(self, axes: Axes) -> float:
        """Cores that share a loop out hand their results to the first of them."""
        price = 0.0
        for combine in self.schedule.combines:
            others = axes[combine.loop.axis].cores - 1
            own = range(combine.first, combine.last + 1)
            each = sum(self._stage_price(index, axes) for index in own)
            price += (others - 1) * each
            price += _MULTICAST_START if others else 0.0
        return price

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

    def _load_price(
        self, operand: Operand, axes: Axes, *, crowded: bool
    ) -> tuple[float, float]:
        """Cycles on a core to load all of an operand, and bytes out of DRAM."""
        again = 1
        if operand.loop is not None:
            around = [a for a in self.schedule.outer if a not in operand.axes]
            again = prod(ceil(axes[a].share / axes[a].block) for a in around)
        tiles = again * prod(axes[a].share for a in operand.axes)
        size = self.tile_bytes[operand.value] * tiles
        cores = prod(a.cores for a in axes.values())
        blocks = ceil(tiles / self.schedule.block_tiles(operand, axes))
        cycles = max(tiles * _ISSUE, size / _CORE_BYTES_PER_CYCLE) + blocks * _BARRIER
        sharing = cores / prod(axes[a].cores for a in operand.axes)
        if sharing > 1 and _shared_line(axes, operand.axes) is not None:
            cycles += size / _MULTICAST_BYTES_PER_CYCLE + blocks * _MULTICAST_START
            return cycles, size * cores / sharing
        beside = self._column_beside_bank(operand, axes)
        if beside is not None:
            banks = self.chip.num_dram_banks
            fullest = ceil(beside.extent / banks) * banks / beside.share
            lanes = beside.cores / banks
            rate = min(_CORE_BYTES_PER_CYCLE, _BANK_BYTES_PER_CYCLE / lanes)
            return size / rate + blocks * _BARRIER, size * fullest * _BANK_GAIN
        crowding = 1.0
        if crowded and not operand.resident and not self._is_gathered:
            crowding += _BANK_PENALTY * (self._fullest_bank(operand, axes) - 1.0)
        return cycles, size * cores * crowding

    def _column_beside_bank(self, operand: Operand, axes: Axes) -> Axis | None:
        """The axis that brings an operand's columns to the cores beside their bank."""
        if not self.program.uses.data[self.arguments.index(operand.value)].sharded:
            return None
        return next((axes[a] for a in operand.axes if axes[a].over == "banks"), None)

    def _fullest_bank(self, operand: Operand, axes: Axes) -> float:
        """Reads of the fullest DRAM bank over the mean, when all cores begin a block.

        Cores whose parts begin in the same bank meet there again and again.
        """
        number = self.arguments.index(operand.value)
        use = self.program.uses.data[number]
        source = shape_of(self.program.inputs[number])
        blocks = np.meshgrid(
            self.cores,
            *(np.arange(axes[a].block) for a in operand.axes),
            indexing="ij",
        )
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
            cycles += tiles * _ISSUE + blocks * _BARRIER
        return cycles

    def _stage_price(self, index: int, axes: Axes) -> float:
        stage, plan = self.schedule.stages[index], self.schedule.plans[index]
        tiles = prod(axes[a].share for a in stage.over.data)
        results = prod(axes[a].share for a in self.schedule.axes.real(stage.results[0]))
        contraction = 0.0
        for op in plan.accumulators:
            if isinstance(op, ttir.MatmulOp):
                size = self.tile_bytes.get(op.b, DataFormat.BF16.tile_bytes)
                unpack = 1.25 * size / _UNPACK_BYTES_PER_CYCLE
                contraction += tiles * max(16 * self.phases + 1, unpack)
            else:
                contraction += tiles * _MATRIX_TILE
        finish = 0.0
        for step in plan.steps:
            vector = not isinstance(step, Copy | Matrix)
            cheap = isinstance(step, Unary) and step.scalar is not None
            finish += _VECTOR_TILE / (2 if cheap else 1) if vector else _MATRIX_TILE
        return contraction + results * (finish + _MATRIX_TILE)


def _shared_line(axes: Axes, used: tuple[str, ...]) -> str | None:
    """The way along which all cores want the same tiles of an operand, if any."""
    spread: dict[str | None, list[str]] = {}
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


def shared_line(program: ProgramOp, used: tuple[str, ...]) -> str | None:
    """The direction along which an operand with these axes may be multicast."""
    return _shared_line({a.name: a for a in program.axes.data}, used)
