"""The grids that `choose-grid` weighs: cores of each axis, and blocks on them.

Parallel axes are shared out over a line, over a column, over both, over all cores row
by row, or among the cores beside the DRAM banks that hold their weights; an axis of a
loop that carries values may be dealt among cores too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from math import ceil, prod

from dialects import ttir
from dialects.axes import Axis
from dialects.chip import Chip
from dialects.expr import Name
from dialects.grid import ProgramOp
from passes.dst_plan import capacity
from passes.schedule import Schedule
from passes.schedule_parts import Combine, Loop

_STREAM_TILES = 96  # tiles of a block from which its barrier no longer shows
_SHARES = (2, 3, 4, 5, 6, 7, 8, 12, 16)  # cores whose results one of them combines
_LOOP_BLOCKS = (2, 4, 8, 16)  # tiles of a step of a loop that carries values

_FEW_ADDED, _MOST_ADDED = (2, 3, 4, 8), 20  # tiles of a step that only adds to sums

Axes = dict[str, Axis]


class GridCandidates:
    """All placements of one program that are weighed."""

    def __init__(
        self,
        program: ProgramOp,
        chip: Chip,
        schedule: Schedule,
        *,
        shards_rows: bool = True,
    ):
        self.program = program
        self.chip = chip
        self.schedule = schedule
        self.shards_rows = shards_rows
        self.streamed = schedule.streamed
        self.capacity = capacity(fp32_dst=program.dst.data == "fp32", full_sync=False)

    def __iter__(self) -> Iterator[Axes]:
        """Each placement once, whichever way it was found."""
        seen: set[tuple[Axis, ...]] = set()
        for spread in self._spreads():
            for axes in self._with_blocks(_normal(spread)):
                key = tuple(axes.values())
                if key not in seen:
                    seen.add(key)
                    yield axes

    def _spreads(self) -> Iterator[Axes]:
        axes = {a.name: a for a in self.program.axes.data}
        for combine in self.schedule.combines:
            if combine.each:
                yield from self._split(axes, combine)
                return
        parallel = self.schedule.parallel
        yield dict(axes)
        for name in parallel:
            limit = {"x": self.chip.grid.x, "y": self.chip.grid.y}
            for over, most in limit.items():
                for cores in _counts(axes[name].extent, most):
                    yield {**axes, name: replace(axes[name], over=over, cores=cores)}
        # Of two ways that cost the same, weights are read by a row of masters: in a
        # column of them, all would pull through the links of that column.
        of_weights = {a for w in self.streamed for a in self.schedule.axes.real(w)}
        rows_first = sorted(parallel, key=lambda name: name in of_weights)
        for row, column in product(rows_first, rows_first):
            if row != column:
                yield from self._pairs(axes, row, column)
        yield from self._lines(axes)
        yield from self._folded(axes, parallel)
        yield from self._beside_banks(axes)

    def _beside_banks(self, axes: Axes) -> Iterator[Axes]:
        """Columns of sharded weights to cores beside the bank that they lie in."""
        columns = {
            axis.name
            for argument, use in zip(
                self.program.body.block.args, self.program.uses.data, strict=True
            )
            if argument in self.streamed
            for axis in axes.values()
            if use.sharded == "columns" and use.map[1] == Name(axis.name)
        }
        if len(columns) != 1 or not columns <= set(self.schedule.parallel):
            return
        (name,) = columns
        banks = self.chip.num_dram_banks
        for cores in range(banks, len(self.chip.bank_cores) + 1, banks):
            if cores - banks < axes[name].extent:
                column = replace(axes[name], over="banks", cores=cores, block=1)
                yield {**axes, name: replace(column, dealt=True)}

    def _split(self, axes: Axes, combine: Combine) -> Iterator[Axes]:
        """The steps of a loop over rows of weights to lines of cores, or to those of
        the bank that the rows lie in, columns across; each core a piece of the sums."""
        steps = axes[combine.loop.axis]
        *_, column = max((c.axes for c in combine.loop.carried), key=len)
        grid, banks = self.chip.grid, self.chip.num_dram_banks
        ways = [("y", grid.y, "x", grid.x), ("x", grid.x, "y", grid.y)]
        for over, most, across, rest in ways:
            for cores in _counts(steps.extent, most):
                for columns in _counts(axes[column].extent, rest):
                    if cores > 1 and 2 * cores * columns > self.chip.num_cores:
                        split = replace(steps, over=over, cores=cores)
                        spread = replace(axes[column], over=across, cores=columns)
                        placed = {**axes, steps.name: split, column: spread}
                        yield _pieces(placed, combine)
        in_each = len(self.chip.bank_cores) // banks
        if self.shards_rows and banks in _counts(steps.extent, banks):
            split = replace(steps, over="banks", cores=banks)
            for columns in _counts(axes[column].extent, in_each):
                spread = replace(
                    axes[column], over="banks", cores=columns, stride=banks
                )
                yield _pieces({**axes, steps.name: split, column: spread}, combine)

    def _pairs(self, axes: Axes, row: str, column: str) -> Iterator[Axes]:
        for rows in _counts(axes[row].extent, self.chip.grid.y):
            for columns in _counts(axes[column].extent, self.chip.grid.x):
                yield {
                    **axes,
                    row: replace(axes[row], over="y", cores=rows),
                    column: replace(axes[column], over="x", cores=columns),
                }

    def _lines(self, axes: Axes) -> Iterator[Axes]:
        """Several axes on a line of cores, the later ones inside: what depends on those
        of one line is the same for all cores of the other."""
        names = [name for name in self.schedule.outer if axes[name].extent > 1]
        most = {"x": self.chip.grid.x, "y": self.chip.grid.y}
        if len(names) < 3:
            return
        choices = [
            [
                (over, cores)
                for over, most_cores in most.items()
                for cores in _counts(axes[name].extent, most_cores)
            ]
            for name in names
        ]
        for chosen in product(*choices):
            spread, strides = dict(axes), {"x": 1, "y": 1}
            for name, (over, cores) in reversed(list(zip(names, chosen, strict=True))):
                spread[name] = replace(
                    axes[name], over=over, cores=cores, stride=strides[over]
                )
                strides[over] *= cores
            if all(strides[over] <= most[over] for over in most):
                yield spread

    def _folded(self, axes: Axes, parallel: tuple[str, ...]) -> Iterator[Axes]:
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

    def _with_blocks(self, axes: Axes) -> Iterator[Axes]:
        """Blocks: outer axes one by one, a Dst block of results, K in even parts."""
        blocks = dict.fromkeys((*self.schedule.outer, *self.schedule.row_axes), 1)
        for stage, plan in zip(self.schedule.stages, self.schedule.plans, strict=True):
            if not self.schedule.is_blocked(stage):
                continue
            own = self.schedule.axes.real(stage.results[0])
            room = max(1, self.capacity // max(plan.registers, 1))
            if any(isinstance(op, ttir.ReductionOp) for op in plan.accumulators):
                room = 1  # sums leave Dst one by one
            rows_first = bool(plan.accumulators)
            inner = [a for a in own if a not in self.schedule.outer]
            for name in inner if rows_first else reversed(inner):
                fit = min(room, axes[name].part, blocks.get(name, room))
                if axes[name].over == "banks" and axes[name].dealt:
                    fit = 1
                blocks[name] = fit
                room = max(1, room // fit)
        loops = self.schedule.loops
        looped = [loop.axis for loop in loops]
        rest = [name for name in axes if name not in blocks and name not in looped]
        if not self.streamed:
            blocks |= {name: axes[name].part for name in rest}
            rest = []
        wide = max(1, prod(blocks.values()))
        choices = [_divisors(axes[name].part, wide) for name in rest]
        choices += [self._loop_blocks(axes[loop.axis], loop) for loop in loops]
        rest += looped
        for sizes in product(*choices):
            chosen = {**blocks, **dict(zip(rest, sizes, strict=True))}
            found = {
                name: replace(axis, block=min(chosen[name], axis.part))
                for name, axis in axes.items()
            }
            dealt = [a for a in found.values() if a.dealt and a.over != "banks"]
            if all(a.cores * a.block <= a.extent for a in dealt):
                yield self._kept_whole(found)

    def _loop_blocks(self, axis: Axis, loop: Loop) -> list[int]:
        """Blocks of a loop that carries values: each step rescales what is carried.

        Where each step only adds to sums, even parts serve as well.
        """
        if not self.schedule.weights_in(loop):
            return sorted({min(axis.part, size) for size in _LOOP_BLOCKS})
        even = [n for n in range(4, _MOST_ADDED + 1) if axis.part % n == 0]
        return sorted({min(axis.part, size) for size in (*_FEW_ADDED, *even)})

    def _kept_whole(self, axes: Axes) -> Axes:
        """Weights that stay while rows pass by are one block, however it is cut."""
        made = self.schedule.axes.real(self.schedule.outputs[0])
        kept = {
            name
            for operand in self.schedule.operands
            if self.schedule.keeps_column(operand, axes)
            for name in operand.axes
            if name not in made
        }
        return {
            name: replace(axis, block=axis.part) if name in kept else axis
            for name, axis in axes.items()
        }


def _pieces(axes: Axes, combine: Combine) -> Axes:
    """The axes of the pieces that cores get of their sums, all about equally large."""
    split = axes[combine.loop.axis]
    names = dict.fromkeys(name for c in combine.carried for name in c.axes)
    *rows, column = (
        replace(axes[name], whole=axes[axes[name].of or name].part) for name in names
    )

    def size(across: int) -> tuple[int, int]:
        pieces = [ceil(column.whole / across)]
        pieces += [ceil(row.whole / (split.cores // across)) for row in rows]
        return prod(pieces), across

    counts = [n for n in range(1, split.cores + 1) if split.cores % n == 0]
    across = min(counts if rows else [split.cores], key=size)
    found = dict(axes)
    for axis, cores, stride in (
        (column, across, split.stride),
        *((row, split.cores // across, split.stride * across) for row in rows),
    ):
        found[axis.name] = replace(axis, over=split.over, cores=cores, stride=stride)
    return found


def _normal(axes: Axes) -> Axes:
    """An axis on one core is not spread, whichever way it was to be."""
    return {
        name: axis if axis.cores > 1 else replace(axis, over=None, stride=1)
        for name, axis in axes.items()
    }


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
