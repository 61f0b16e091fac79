"""`choose-grid`: the cores of each axis, and the blocks, by a cost model.

Every way to share the parallel axes out over a line, a column or all cores row by row
is priced: compute on the busiest core, bytes out of DRAM with what can be multicast
read once, and transfers that one core must issue. What does not fit into L1 is out.
The prices are first-order; the time engine judges the result.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import ceil, inf, prod
from operator import itemgetter

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from dialects import ttir
from dialects.chip import Chip, load_chip
from dialects.errors import CapacityError
from dialects.formats import TILE_EDGE, DataFormat, Fidelity
from dialects.grid import AxisListAttr, ProgramOp
from dialects.program import Axis
from dialects.ttir.base import shape_of
from dialects.weight_formats import WeightFormats
from passes.dst_plan import Copy, Matrix, Unary, capacity
from passes.l1_budget import operand_formats, tile_bytes_of, usable_bytes
from passes.rewriting import describe_source
from passes.schedule import Operand, Schedule
from passes.structure_key import structure_key

# First-order prices in cycles, from the Wormhole fact sheet (section in brackets).
_ISSUE = 38  # one interleaved page by one RISC [4.5]
_CORE_BYTES_PER_CYCLE = 31  # one core reading all banks [4.5]
_DRAM_BYTES_PER_CYCLE = 190  # all cores reading interleaved pages on NoC 0 [4.5]
_BANK_PENALTY = 0.15  # slower for each time that the fullest bank exceeds the mean
_BARRIER = 500  # from the last read to its data, and the block to the reader [4.5]
_MULTICAST_BYTES_PER_CYCLE = 25  # linked, to a row or all [4.2]
_MULTICAST_START = 900  # handshake and path reservation [5]
_LAUNCH = 2050  # traced op-to-op gap [5]
_UNPACK_BYTES_PER_CYCLE = 53  # both operands [timing study 3]
_VECTOR_TILE = 300  # a vector-unit function on a tile [2.10]
_MATRIX_TILE = 40  # an element-wise matrix-unit instruction on a tile [2.7]
_STREAM_TILES = 96  # tiles of a block from which its barrier no longer shows
_SHARES = (2, 3, 4, 5, 6, 7, 8, 12, 16)  # cores whose results one of them combines
_LOOP_BLOCKS = (2, 4, 8, 16)  # tiles of a step of a loop that carries values
_SHOWING = 0.1  # of what is hidden behind something slower, the share that still shows


@dataclass(frozen=True)
class ChooseGridPass(ModulePass):
    """Choose cores and blocks of every program."""

    name = "choose-grid"

    chip: str = "n150"
    weights_format: str = "bf16"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        chip, formats = load_chip(self.chip), WeightFormats.parse(self.weights_format)
        known: dict[Hashable, AxisListAttr] = {}
        for program in op.walk():
            if isinstance(program, ProgramOp):
                stored = operand_formats(program, formats)
                key = (structure_key(program), *stored)
                if key not in known:
                    known[key] = _Chooser(program, chip, stored).best()
                program.properties["axes"] = known[key]


class _Chooser:
    """Prices all candidates of one program."""

    def __init__(self, program: ProgramOp, chip: Chip, weights: Sequence[DataFormat]):
        self.program = program
        self.chip = chip
        self.schedule = Schedule(program)
        self.streamed = self.schedule.streamed
        self.tile_bytes = tile_bytes_of(program, self.schedule, weights)
        self.arguments: list[SSAValue] = list(program.body.block.args)
        self.cores = np.arange(chip.num_cores)
        self._is_gathered = any(use.index for use in program.uses.data)
        self.phases = Fidelity(program.fidelity.data).phases
        self.capacity = capacity(fp32_dst=program.dst.data == "fp32", full_sync=False)

    def best(self) -> AxisListAttr:
        """The cheapest candidate that fits. `CapacityError` where none does.

        Crowded banks only add to a price and take long to find: candidates come in the
        order of their prices without, until that is more than the best price with.
        """
        bounds: list[tuple[float, int, dict[str, Axis]]] = []
        limit, least = usable_bytes(self.chip), inf
        for candidate in self._candidates():
            for axes in self._with_blocks(candidate):
                used = self.schedule.l1_bytes(axes, self.tile_bytes)
                least = min(least, used)
                if used <= limit:
                    bound = self._price(axes, crowded=False)
                    bounds.append((bound, len(bounds), axes))
        if not bounds:
            raise CapacityError(
                f"program '{self.program.sym_name.data}' fits into L1 on no grid of "
                f"{self.chip.name}",
                limit=f"{limit} bytes a core",
                value=f"{int(least)} bytes at least",
                advice="make its rows shorter, or its right sides weights, which "
                "are streamed",
                location=describe_source(self.program) or None,
            )
        best = (inf, 0, bounds[0][2])
        for bound, number, axes in sorted(bounds, key=itemgetter(0, 1)):
            if bound > best[0]:
                break
            best = min(best, (self._price(axes, crowded=True), number, axes))
        return AxisListAttr(tuple(best[2].values()))

    # -- candidates ----------------------------------------------------------------

    def _candidates(self) -> Iterator[dict[str, Axis]]:
        axes = {a.name: a for a in self.program.axes.data}
        parallel = self.schedule.parallel
        yield dict(axes)
        for name in parallel:
            limit = {"x": self.chip.grid.x, "y": self.chip.grid.y}
            for over, most in limit.items():
                for cores in _counts(axes[name].extent, most):
                    yield {**axes, name: replace(axes[name], over=over, cores=cores)}
        for row, column in product(parallel, parallel):
            if row != column:
                yield from self._pairs(axes, row, column)
        yield from self._folded(axes, parallel)

    def _pairs(
        self, axes: dict[str, Axis], row: str, column: str
    ) -> Iterator[dict[str, Axis]]:
        for rows in _counts(axes[row].extent, self.chip.grid.y):
            for columns in _counts(axes[column].extent, self.chip.grid.x):
                yield {
                    **axes,
                    row: replace(axes[row], over="y", cores=rows),
                    column: replace(axes[column], over="x", cores=columns),
                }

    def _folded(
        self, axes: dict[str, Axis], parallel: tuple[str, ...]
    ) -> Iterator[dict[str, Axis]]:
        counts = [_counts(axes[name].extent, self.chip.num_cores) for name in parallel]
        shared = [combine.loop.axis for combine in self.schedule.combines]
        counts += [_shares(axes[name].extent) for name in shared]
        names = (*parallel, *shared)
        for chosen in product(*counts):
            if not self.chip.grid.x < prod(chosen) <= self.chip.num_cores:
                continue
            spread, stride = dict(axes), 1
            for name, cores in reversed(list(zip(names, chosen, strict=True))):
                if cores > 1:
                    dealt = name in shared
                    spread[name] = replace(
                        axes[name], over="xy", cores=cores, stride=stride, dealt=dealt
                    )
                    stride *= cores
            yield spread

    # -- blocks --------------------------------------------------------------------

    def _with_blocks(self, axes: dict[str, Axis]) -> Iterator[dict[str, Axis]]:
        """Blocks: outer axes one by one, a Dst block of results, K in even parts."""
        blocks = dict.fromkeys(self.schedule.outer, 1)
        for stage, plan in zip(self.schedule.stages, self.schedule.plans, strict=True):
            if not any(value in self.schedule.outputs for value in stage.results):
                continue
            own = self.schedule.axes.real(stage.results[0])
            room = max(1, self.capacity // max(plan.registers, 1))
            rows_first = bool(plan.accumulators)
            inner = [a for a in own if a not in self.schedule.outer]
            for name in inner if rows_first else reversed(inner):
                fit = min(room, axes[name].part, blocks.get(name, room))
                blocks[name] = fit
                room = max(1, room // fit)
        looped = [loop.axis for loop in self.schedule.loops]
        rest = [name for name in axes if name not in blocks and name not in looped]
        if not self.streamed:
            blocks |= {name: axes[name].part for name in rest}
            rest = []
        wide = max(1, prod(blocks.values()))
        choices = [_divisors(axes[name].part, wide) for name in rest]
        choices += [_loop_blocks(axes[name].part) for name in looped]
        rest += looped
        for sizes in product(*choices):
            chosen = {**blocks, **dict(zip(rest, sizes, strict=True))}
            found = {
                name: replace(axis, block=min(chosen[name], axis.part))
                for name, axis in axes.items()
            }
            if all(a.cores * a.block <= a.extent for a in found.values() if a.dealt):
                yield found

    # -- prices --------------------------------------------------------------------

    def _price(self, axes: dict[str, Axis], *, crowded: bool) -> float:
        """Cycles of a launch: what must be there first, then what overlaps.

        `crowded` says whether the fullest bank counts.
        """
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
        dram = dram_bytes / _DRAM_BYTES_PER_CYCLE
        steps = self._steps(axes)
        reading = max(streamed, dram - held)
        reading -= min(before, 2 * reading / steps)  # ahead, into both blocks
        moving = max(reading, self._write_price(axes))
        hidden = min(compute, moving)
        overlap = max(compute, moving) + hidden * max(1 / steps, _SHOWING)
        return _LAUNCH + held + before + overlap

    def _combine_price(self, axes: dict[str, Axis]) -> float:
        """Cores that share a loop out hand their results to the first of them."""
        price = 0.0
        for combine in self.schedule.combines:
            others = axes[combine.loop.axis].cores - 1
            own = range(combine.first, combine.last + 1)
            each = sum(self._stage_price(index, axes) for index in own)
            price += (others - 1) * each
            price += _MULTICAST_START if others else 0.0
        return price

    def _steps(self, axes: dict[str, Axis]) -> int:
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
        self, operand: Operand, axes: dict[str, Axis], *, crowded: bool
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
        crowding = 1.0
        if crowded and not operand.resident and not self._is_gathered:
            crowding += _BANK_PENALTY * (self._fullest_bank(operand, axes) - 1.0)
        return cycles, size * cores * crowding

    def _fullest_bank(self, operand: Operand, axes: dict[str, Axis]) -> float:
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

    def _write_price(self, axes: dict[str, Axis]) -> float:
        cycles = 0.0
        for value in self.schedule.outputs:
            own = self.schedule.axes.real(value)
            tiles = prod(axes[a].share for a in own)
            blocks = ceil(tiles / prod(axes[a].block for a in own))
            cycles += tiles * _ISSUE + blocks * _BARRIER
        return cycles

    def _stage_price(self, index: int, axes: dict[str, Axis]) -> float:
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


def _counts(extent: int, most: int) -> list[int]:
    """Core counts that give different parts: ceil(extent / part) up to `most`."""
    counts = {ceil(extent / part) for part in range(1, extent + 1)}
    return sorted(count for count in counts if count <= most)


def _divisors(extent: int, wide: int) -> list[int]:
    """Block sizes along an inner axis: its divisors, while a barrier still shows.

    `wide` is the number of tiles that each step of it brings.
    """
    most = max(1, _STREAM_TILES // wide)
    found = [d for d in range(1, extent + 1) if extent % d == 0 and d <= most]
    return found[-3:]


def _shares(extent: int) -> list[int]:
    """Numbers of cores that share the blocks of a loop out."""
    return [1, *(count for count in _SHARES if count <= extent)]


def _loop_blocks(extent: int) -> list[int]:
    """Blocks of a loop that carries values: each step rescales what is carried."""
    return sorted({min(extent, size) for size in _LOOP_BLOCKS})


def _shared_line(axes: dict[str, Axis], used: tuple[str, ...]) -> str | None:
    """The way along which all cores want the same tiles of an operand, if any."""
    spread: dict[str | None, list[str]] = {}
    for name, axis in axes.items():
        if axis.over is not None and axis.cores > 1:
            spread.setdefault(axis.over, []).append(name)
    free = [over for over, names in spread.items() if not set(names) & set(used)]
    if "xy" in free or ("x" in free and "y" in free):
        return "xy"
    for over in ("x", "y"):
        if over in free:
            return over
    return None


def shared_line(program: ProgramOp, used: tuple[str, ...]) -> str | None:
    """The direction along which an operand with these axes may be multicast."""
    return _shared_line({a.name: a for a in program.axes.data}, used)
