"""The steps of a replay: what is computed on which rows of which sheets.

A *sheet* is a float32 matrix of whole tiles, named by a number: the tensors of the
parameters come first, then constants, then what steps compute. Every sheet that a step
computes is written once. Steps name places on sheets in elements.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from dialects.expr import Expr
from runtime.instructions import Fill
from runtime.liveness import Segments


@dataclass(frozen=True, slots=True)
class Place:
    """A rectangle on a sheet, from its first element on; maybe its first row, column
    or element (`row`, `col`, `scalar`) stands for all of it."""

    sheet: int
    row: int
    column: int
    broadcast: str | None = None


@dataclass(frozen=True, slots=True)
class Vector:
    """An element-wise operation: `kind` and `detail` as in the trace."""

    kind: str
    detail: tuple[Any, ...]
    operands: tuple[Place, ...]
    out: int
    columns: int
    segments: Segments
    name: str


@dataclass(frozen=True, slots=True)
class MulSum:
    """Sums over tiles side by side of products, element by element."""

    operands: tuple[Place, Place]
    is_cut: tuple[bool, bool]
    terms: int
    rounds: bool
    out: int
    segments: Segments
    name: str


@dataclass(frozen=True, slots=True)
class Reduce:
    """Sum or maximum over tiles side by side and inside the tiles."""

    kind: str
    dim: str
    scaler: float
    operands: tuple[Place]
    is_cut: bool
    terms: int
    rounds: bool
    out: int
    segments: Segments
    name: str


@dataclass(frozen=True, slots=True)
class Product:
    """Rows times a matrix [depth, columns], or its transpose [columns, depth].

    Row r of the left side gives row `first_row` + r of `out`, for r in `segments`.
    """

    operands: tuple[Place, Place]
    is_cut: tuple[bool, bool]
    turned: bool
    depth: int
    columns: int
    rounds: bool
    out: int
    first_row: int
    segments: Segments
    name: str


@dataclass(frozen=True, slots=True)
class Run:
    """Rows of a sheet that are copied; with a broadcast its source is repeated."""

    source: Place
    row: int
    column: int
    rows: int
    width: int


@dataclass(frozen=True, slots=True)
class Copy:
    """Runs of elements brought together on one sheet."""

    runs: tuple[Run, ...]
    out: int
    name: str

    @property
    def operands(self) -> tuple[Place, ...]:
        """Where the runs come from."""
        return tuple(run.source for run in self.runs)


@dataclass(frozen=True, slots=True)
class PadEdge:
    """Values in place, and a number where `outside` says so."""

    operands: tuple[Place]
    outside: np.ndarray
    number: float
    out: int
    segments: Segments
    name: str


@dataclass(frozen=True, slots=True)
class PackAdd:
    """What is packed (second) added to what lies in L1 (first)."""

    operands: tuple[Place, Place]
    data_format: Any
    columns: int
    out: int
    segments: Segments
    name: str


@dataclass(frozen=True, slots=True)
class TableRows:
    """Rows of the sheet `table` that numbers in first rows of tiles pick.

    `operands` are those tiles, one for each tile row of `out`; `elements` the columns
    of the table that are wanted.
    """

    operands: tuple[Place, ...]
    table: int
    elements: np.ndarray
    out: int
    segments: Segments
    name: str


@dataclass(frozen=True, slots=True)
class LimitTiles:
    """Tiles that run-time scalars decide: `fills` with their places along the axis.

    `out` is a constant of the program; it is filled again when a limit has changed.
    """

    fills: tuple[tuple[Fill, int], ...]
    out: int
    name: str

    @property
    def operands(self) -> tuple[Place, ...]:
        """Nothing is read."""
        return ()


@dataclass(frozen=True, slots=True)
class RowMove:
    """Row `row` of a tile goes to row `target`, counted from that of the tile at
    (`tile_row`, `tile_column`); both are known when the program runs."""

    source: Place
    row: Expr
    target: Expr
    tile_row: int
    tile_column: int


@dataclass(frozen=True, slots=True)
class RowStores:
    """Rows of tiles that go where run-time scalars say, after everything else."""

    moves: tuple[RowMove, ...]
    out: int
    name: str

    @property
    def operands(self) -> tuple[Place, ...]:
        """The tiles that rows are taken of."""
        return tuple(move.source for move in self.moves)


Step: TypeAlias = (
    Vector
    | MulSum
    | Reduce
    | Product
    | Copy
    | PadEdge
    | PackAdd
    | TableRows
    | LimitTiles
    | RowStores
)


def reads(step: Step) -> Iterator[int]:
    """The sheets that a step reads."""
    for place in step.operands:
        yield place.sheet
    if isinstance(step, TableRows):
        yield step.table


def renamed(step: Step, sheets: dict[int, int]) -> Step:
    """The step on other sheets."""

    def moved(place: Place) -> Place:
        return replace(place, sheet=sheets.get(place.sheet, place.sheet))

    out = sheets.get(step.out, step.out)
    if isinstance(step, LimitTiles):
        return replace(step, out=out)
    if isinstance(step, RowStores):
        moves = tuple(replace(move, source=moved(move.source)) for move in step.moves)
        return replace(step, moves=moves, out=out)
    if isinstance(step, Copy):
        runs = tuple(replace(run, source=moved(run.source)) for run in step.runs)
        return replace(step, runs=runs, out=out)
    operands: Any = tuple(moved(place) for place in step.operands)
    return replace(step, operands=operands, out=out)


def slices_of(segments: Segments) -> list[slice]:
    """Segments as slices of rows; single rows at equal distances are one."""
    distances = {b[0] - a[0] for a, b in pairwise(segments)}
    if len(distances) == 1 and rows_of(segments) == len(segments):
        return [slice(segments[0][0], segments[-1][1], distances.pop())]
    return [slice(start, stop) for start, stop in segments]


def rows_of(segments: Segments) -> int:
    """How many rows there are in all segments."""
    return sum(stop - start for start, stop in segments)
