"""`choose-grid`: the cores of each axis, and the blocks, by a cost model.

Every way to share the parallel axes out over a line, a column or all cores row by row
is priced: compute on the busiest core, bytes out of DRAM with what can be multicast
read once, and transfers that one core must issue. What does not fit into L1 is out.
The prices are first-order; the time engine judges the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import ceil, prod

from xdsl.context import Context
from xdsl.dialects.builtin import BFloat16Type, IntegerType, ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import PassFailedException

from dialects import ttir
from dialects.chip import Chip, load_chip
from dialects.formats import DataFormat, Fidelity
from dialects.grid import AxisListAttr, ProgramOp
from dialects.program import Axis
from dialects.ttir.base import element_of
from passes.constants import is_constant
from passes.dst_plan import Copy, Matrix, Unary, capacity
from passes.schedule import Schedule

# First-order prices in cycles, from the Wormhole fact sheet (section in brackets).
_ISSUE = 38  # one interleaved page by one RISC [4.5]
_DRAM_BYTES_PER_CYCLE = 190  # all cores reading interleaved pages on NoC 0 [4.5]
_MULTICAST_BYTES_PER_CYCLE = 25  # linked, to a row or all [4.2]
_MULTICAST_START = 900  # handshake and path reservation [5]
_LAUNCH = 2050  # traced op-to-op gap [5]
_UNPACK_BYTES_PER_CYCLE = 53  # both operands [timing study 3]
_VECTOR_TILE = 300  # a vector-unit function on a tile [2.10]
_MATRIX_TILE = 40  # an element-wise matrix-unit instruction on a tile [2.7]
_MAX_K_BLOCK = 8
_L1_SHARE = 0.9


@dataclass(frozen=True)
class ChooseGridPass(ModulePass):
    """Choose cores and blocks of every program."""

    name = "choose-grid"

    chip: str = "n150"
    weights_format: str = "bf16"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        chip = load_chip(self.chip)
        known: dict[str, AxisListAttr] = {}
        for program in op.walk():
            if isinstance(program, ProgramOp):
                key = structure_key(program)
                if key not in known:
                    known[key] = _Chooser(program, chip, self.weights_format).best()
                program.properties["axes"] = known[key]


def structure_key(program: ProgramOp) -> str:
    """A text that is equal for programs that differ only in what they are bound to."""
    kinds = ",".join("w" if is_constant(v) else "a" for v in program.inputs)
    region = "\n".join(str(op) for op in program.body.block.ops)
    head = f"{program.axes.write()} {program.uses.write()} {program.makes.write()}"
    return f"{head} {kinds} {program.fidelity} {program.dst}\n{region}"


class _Chooser:
    """Prices all candidates of one program."""

    def __init__(self, program: ProgramOp, chip: Chip, weights_format: str):
        self.program = program
        self.chip = chip
        self.schedule = Schedule(program)
        self.tile_bytes: dict[SSAValue, int] = {
            argument: self._bytes(argument, source, DataFormat(weights_format))
            for argument, source in zip(
                program.body.block.args, program.inputs, strict=True
            )
        }
        self.phases = Fidelity(program.fidelity.data).phases
        self.capacity = capacity(fp32_dst=program.dst.data == "fp32", full_sync=False)

    def _bytes(self, argument: SSAValue, source: SSAValue, weights: DataFormat) -> int:
        if argument in {
            v
            for i in range(len(self.schedule.stages))
            for v in self.schedule.weights_of(i)
        }:
            return weights.tile_bytes
        element = element_of(argument)
        if isinstance(element, BFloat16Type):
            return DataFormat.BF16.tile_bytes
        assert isinstance(element, IntegerType) or element is not None
        return DataFormat.FP32.tile_bytes

    def best(self) -> AxisListAttr:
        """The cheapest candidate that fits. `PassFailedException` where none does."""
        priced = []
        for candidate in self._candidates():
            axes = self._with_blocks(candidate)
            used = self.schedule.l1_bytes(axes, self.tile_bytes)
            if used <= _L1_SHARE * self.chip.l1_usable_bytes:
                priced.append((self._price(axes), len(priced), axes))
        if not priced:
            raise PassFailedException(
                f"program '{self.program.sym_name.data}' does not fit into L1 on any "
                f"grid of {self.chip.name} ({self.chip.l1_usable_bytes} bytes a core)"
            )
        return AxisListAttr(tuple(min(priced)[2].values()))

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
        for chosen in product(*counts):
            if not self.chip.grid.x < prod(chosen) <= self.chip.num_cores:
                continue
            spread, stride = dict(axes), 1
            for name, cores in reversed(list(zip(parallel, chosen, strict=True))):
                if cores > 1:
                    spread[name] = replace(
                        axes[name], over="xy", cores=cores, stride=stride
                    )
                    stride *= cores
            yield spread

    # -- blocks --------------------------------------------------------------------

    def _with_blocks(self, axes: dict[str, Axis]) -> dict[str, Axis]:
        """Blocks: outer axes one by one, a Dst block of results, K by up to eight."""
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
        for name, axis in axes.items():
            if name not in blocks:
                blocks[name] = _divisor(axis.part, _MAX_K_BLOCK)
        return {
            name: replace(axis, block=min(blocks[name], axis.part))
            for name, axis in axes.items()
        }

    # -- prices --------------------------------------------------------------------

    def _price(self, axes: dict[str, Axis]) -> float:
        compute = sum(
            self._stage_price(i, axes) for i in range(len(self.schedule.stages))
        )
        cores = prod(a.cores for a in axes.values())
        dram_bytes, issue = 0.0, 0.0
        for operand in self.schedule.operands:
            tiles = prod(axes[a].part for a in operand.axes)
            size = self.tile_bytes[operand.value] * tiles
            sharing = cores / prod(axes[a].cores for a in operand.axes)
            if sharing > 1 and _shared_line(axes, operand.axes) is not None:
                dram_bytes += size * cores / sharing
                issue += size / _MULTICAST_BYTES_PER_CYCLE + _MULTICAST_START
            else:
                dram_bytes += size * cores
            issue += tiles * _ISSUE
        for value in self.schedule.outputs:
            issue += prod(axes[a].part for a in self.schedule.axes.real(value)) * _ISSUE
        moving = max(dram_bytes / _DRAM_BYTES_PER_CYCLE, issue)
        return _LAUNCH + max(compute, moving) + 0.25 * min(compute, moving)

    def _stage_price(self, index: int, axes: dict[str, Axis]) -> float:
        stage, plan = self.schedule.stages[index], self.schedule.plans[index]
        tiles = prod(axes[a].part for a in stage.over.data)
        results = prod(axes[a].part for a in self.schedule.axes.real(stage.results[0]))
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


def _divisor(extent: int, most: int) -> int:
    """The largest divisor up to `most`, unless a poor one: then `most` itself."""
    best = max(d for d in range(1, min(extent, most) + 1) if extent % d == 0)
    return best if best * 2 >= min(extent, most) else min(extent, most)


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
