"""Which tiles of a tensor each core of a program has, and whether its shard is they.

Everything is counted out, tile by tile, so that it holds for any map: transposed
heads, a slice of several projections, uneven parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import numpy as np

from dialects.axes import Axis
from dialects.chip import Chip
from dialects.expr import Expr
from dialects.formats import TILE_EDGE
from dialects.grid import NO_AXIS, ProgramOp, StageOp
from dialects.grid_attributes import Layout, Use
from dialects.weight_formats import WeightFormats
from passes.l1_budget import operand_formats, tile_bytes_of
from passes.schedule import MIN_DEPTH, Schedule

Map = tuple[Expr, Expr]


class Access(NamedTuple):
    """One operand, or one result, of a program that has a number."""

    program: int
    number: int
    makes: bool


@dataclass(frozen=True)
class Partition:
    """Tiles by core (counted row by row) and page, as a buffer of whole parts has them.

    `inside` is false where a core has no tile at a page.
    """

    rows: np.ndarray
    columns: np.ndarray
    inside: np.ndarray


def tile_grid(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of tiles of a tensor; leading dimensions are stacked."""
    *leading, rows, columns = (1, *shape) if len(shape) < 2 else shape
    return prod(leading) * -(-rows // TILE_EDGE), -(-columns // TILE_EDGE)


def page_order(map_: Map, axes: Sequence[str]) -> tuple[str, ...]:
    """Axes of a block in the order in which a shard has its tiles: row by row."""

    def step(axis: str) -> tuple[int, int]:
        env = dict.fromkeys(axes, 0)
        first = [int(entry.evaluate(env)) for entry in map_]
        second = [int(entry.evaluate({**env, axis: 1})) for entry in map_]
        return first[0] - second[0], first[1] - second[1]

    return tuple(sorted(axes, key=step))


def partition_of(
    axes: Mapping[str, Axis], own: Sequence[str], map_: Map, chip: Chip
) -> Partition | None:
    """The parts of a tensor with the axes `own`.

    None where cores take turns, or where only run time knows them.
    """
    orders = {axis.over for axis in axes.values()} - {None}
    names = frozenset[str]().union(*(entry.names() for entry in map_))
    takes_turns = any(axes[axis].of is not None for axis in own)
    takes_turns |= any(axis.dealt for axis in axes.values())
    if takes_turns or orders - {"x", "y", "xy"} or names - set(own):
        return None
    positions, takes_part = _positions(axes, chip)
    ordered = page_order(map_, own)
    pages = np.meshgrid(
        np.arange(chip.num_cores),
        *(np.arange(axes[name].part) for name in ordered),
        indexing="ij",
    )
    inside = takes_part[pages[0]]
    env: dict[str, np.ndarray | int] = {}
    for name, offset in zip(ordered, pages[1:], strict=True):
        env[name] = _start(axes[name], positions)[pages[0]] + offset
        inside &= env[name] < axes[name].extent
    rows, columns = (np.broadcast_to(e.evaluate(env), inside.shape) for e in map_)
    flat = (chip.num_cores, -1)
    return Partition(rows.reshape(flat), columns.reshape(flat), inside.reshape(flat))


def _positions(
    axes: Mapping[str, Axis], chip: Chip
) -> tuple[dict[str | None, np.ndarray], np.ndarray]:
    """Each core's position in every order, and whether it takes part."""
    spans = {"x": 1, "y": 1, "xy": 1}
    for axis in axes.values():
        if axis.over is not None:
            spans[axis.over] = max(spans[axis.over], axis.cores * axis.stride)
    y, x = np.divmod(np.arange(chip.num_cores), chip.grid.x)
    columns = min(spans["xy"], chip.grid.x)
    folded = y * columns + x
    takes_part = (x < spans["x"]) & (y < spans["y"])
    if spans["xy"] > 1:
        takes_part = (x < columns) & (folded < spans["xy"])
    positions: dict[str | None, np.ndarray] = {"x": x, "y": y, "xy": folded}
    positions[None] = np.zeros_like(x)
    for axis in axes.values():
        if axis.of is None:
            takes_part &= _start(axis, positions) < axis.extent
    return positions, takes_part


def _start(axis: Axis, positions: Mapping[str | None, np.ndarray]) -> np.ndarray:
    return positions[axis.over] // axis.stride % axis.cores * axis.part


def lies_in_shards(
    parts: Partition, layout: Layout, shape: tuple[int, ...], chip: Chip
) -> bool:
    """Whether each page of each core is the tile at that place of its own shard."""
    if layout.shards is None:
        return False
    rows, columns = layout.shards
    tile_rows, tile_columns = tile_grid(shape)
    height, width = -(-tile_rows // rows), -(-tile_columns // columns)
    across = chip.grid.x if layout.over is None else columns
    owner = parts.rows // height * across + parts.columns // width
    place = parts.rows % height * width + parts.columns % width
    core = np.arange(chip.num_cores)[:, None]
    page = np.arange(parts.rows.shape[1])[None, :]
    fits = parts.rows.shape[1] <= height * width
    return fits and bool(np.all((owner == core) & (place == page) | ~parts.inside))


def shards_of(parts: Partition, shape: tuple[int, ...], chip: Chip) -> Iterator[Layout]:
    """Shards that are the parts of a program: by columns and rows of cores, or folded.

    The first core's part gives their size.
    """
    inside = parts.inside[0]
    if not inside.any():
        return
    height, width = (
        int(numbers[0][inside].max() - numbers[0][inside].min()) + 1
        for numbers in (parts.rows, parts.columns)
    )
    tile_rows, tile_columns = tile_grid(shape)
    shards = -(-tile_rows // height), -(-tile_columns // width)
    found = []
    if shards[0] <= chip.grid.y and shards[1] <= chip.grid.x:
        found.append(Layout("l1", shards))
    if prod(shards) <= chip.num_cores:
        found.append(Layout("l1", shards, "xy"))
    yield from (
        layout for layout in found if lies_in_shards(parts, layout, shape, chip)
    )


@dataclass(frozen=True)
class Demand:
    """What a program moves of one operand or result.

    `most_tiles` are those of the busiest core, `num_tiles` those of all that move any;
    `may_lend` says whether a buffer may lie over the cores' own parts.
    """

    parts: Partition | None
    most_tiles: int
    num_tiles: int
    may_lend: bool

    def is_lent(self, layout: Layout, shape: tuple[int, ...], chip: Chip) -> bool:
        """Whether every core finds its part in its own shard."""
        return (
            self.may_lend
            and self.parts is not None
            and lies_in_shards(self.parts, layout, shape, chip)
        )


class Demands:
    """What a placed program moves, and the L1 that it takes."""

    def __init__(self, program: ProgramOp, chip: Chip, weights: WeightFormats):
        self.program = program
        self.chip = chip
        self.axes = program.axes.by_name()
        self.schedule = Schedule(program)
        sizes = tile_bytes_of(program, self.schedule, operand_formats(program, weights))
        self._operands = {o.value: o for o in self.schedule.operands}
        self.circular_bytes = self.schedule.l1_bytes(self.axes, sizes)
        for argument, use in zip(
            program.body.block.args, program.uses.data, strict=True
        ):
            if use.depth is not None:
                operand = self._operands[argument]
                block = self.schedule.block_tiles(operand, self.axes) * sizes[argument]
                self.circular_bytes += (use.depth - MIN_DEPTH) * block
        self._gathers = any(use.index for use in program.uses.data)
        self._found: dict[Access, Demand] = {}

    def of(self, access: Access) -> Demand:
        """What is moved of an operand or a result."""
        key = access._replace(program=0)
        if key not in self._found:
            uses = self.program.makes if access.makes else self.program.uses
            self._found[key] = self._demand(key, uses.data[key.number])
        return self._found[key]

    def _demand(self, access: Access, use: Use) -> Demand:
        own = tuple(axis for axis in use.axes if axis != NO_AXIS)
        most = prod(self.axes[axis].share for axis in own)
        spread = {axis.over: 1 for axis in self.axes.values()}
        for axis in self.axes.values():
            spread[axis.over] *= axis.cores if axis.of is None else 1
        sent = {"x": ("x",), "y": ("y",), "xy": ("x", "y", "xy")}.get(
            use.along or "", ()
        )
        movers = prod(cores for over, cores in spread.items() if over not in sent)
        parts = partition_of(self.axes, own, use.map, self.chip)
        return Demand(parts, most, most * movers, self._may_lend(access, use))

    def _may_lend(self, access: Access, use: Use) -> bool:
        """Whether whole parts may be used where they lie, from begin to end."""
        if self._gathers or use.row is not None or use.inplace is not None:
            return False
        if access.makes:
            made = self.schedule.outputs[access.number].owner
            partly = isinstance(made, StageOp) and made.where is not None
            return not partly and not any(
                self.axes[combine.loop.axis].cores > 1
                for combine in self.schedule.combines
            )
        operand = self._operands.get(self.program.body.block.args[access.number])
        return (
            operand is not None
            and operand.loop is None
            and use.along is None
            and use.scalars is None
            and not use.cleaned
        )
