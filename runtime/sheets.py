"""Where tiles lie: sheets, and views of them.

A *sheet* is a float32 matrix of whole tiles: a tensor of a parameter, a constant, or
the result of one replay step. A tile number has a place (sheet, row, column). An
operand of a step is a grid of tile numbers; where its places form a rectangle it is a
view of the sheet and costs nothing, else it is gathered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from runtime.semantics import BROADCAST_SOURCE, TILE

Memory: TypeAlias = "list[Any]"
"""The sheets of a program by number; parameters first, bound at each run."""

Operand: TypeAlias = Callable[[Memory], np.ndarray]


class ConstantSheet:
    """A sheet that never changes: made when it is first looked at.

    A product's right side is kept as the matrix kernel wants it; the sheet itself is
    then not kept, so that a weight takes its bf16 bytes once.
    """

    def __init__(self, make: Callable[[], np.ndarray], shape: tuple[int, int]):
        self.shape = shape
        self._make = make
        self._array: np.ndarray | None = None
        self._packed: dict[tuple[Any, ...], Any] = {}

    @property
    def array(self) -> np.ndarray:
        """The values, kept from now on."""
        if self._array is None:
            self._array = self._make()
        return self._array

    def __getitem__(self, place: Any) -> np.ndarray:
        return self.array[place]

    def reshape(self, *shape: int) -> np.ndarray:
        """The values in another shape."""
        return self.array.reshape(*shape)

    def packed(
        self, rows: slice, columns: slice, pack: Callable[[np.ndarray], Any]
    ) -> Any:
        """What `pack` makes of a part of the sheet, made once for each part."""
        key = (rows.start, rows.stop, columns.start, columns.stop)
        if key not in self._packed:
            values = self._make() if self._array is None else self._array
            self._packed[key] = pack(values[rows, columns])
        return self._packed[key]


class Places:
    """The place of every tile number, after duplicates are folded."""

    def __init__(self, num_tiles: int):
        self.same = np.arange(num_tiles)
        self.sheet = np.full(num_tiles, -1, np.int32)
        self.row = np.zeros(num_tiles, np.int32)
        self.column = np.zeros(num_tiles, np.int32)

    def put(self, numbers: np.ndarray, sheet: int) -> None:
        """Place a grid of tile numbers on a sheet."""
        rows, columns = np.indices(numbers.shape)
        self.sheet[numbers] = sheet
        self.row[numbers] = rows
        self.column[numbers] = columns


def view(places: Places, grid: np.ndarray, broadcast: str | None = None) -> Operand:
    """The operand that a grid of tile numbers stands for, as cheap as it can be."""
    grid = places.same[grid]
    if broadcast is not None:
        return _broadcast_view(places, grid, broadcast)
    sheets = places.sheet[grid]
    if (sheets != sheets[0, 0]).any():
        return _gather_many(places, grid)
    return _view_one(
        int(sheets[0, 0]), places.row[grid].astype(int), places.column[grid].astype(int)
    )


def rectangle(places: Places, grid: np.ndarray) -> tuple[int, slice, slice] | None:
    """The sheet, rows and columns of a grid that lies as one rectangle on a sheet."""
    grid = places.same[grid]
    sheets, rows, columns = places.sheet[grid], places.row[grid], places.column[grid]
    by_row, by_column = rows[:, 0].astype(int), columns[0].astype(int)
    whole = (
        (sheets == sheets[0, 0]).all()
        and (rows == by_row[:, None]).all()
        and (columns == by_column).all()
        and _is_run(by_row)
        and _is_run(by_column)
    )
    return (int(sheets[0, 0]), _run(by_row), _run(by_column)) if whole else None


def _view_one(sheet: int, rows: np.ndarray, columns: np.ndarray) -> Operand:
    by_row, by_column = rows[:, 0], columns[0]
    separable = (rows == by_row[:, None]).all() and (columns == by_column).all()
    if not separable:
        return _gather(sheet, rows, columns)
    if _is_run(by_row) and _is_run(by_column):
        place = (_run(by_row), _run(by_column))
        return lambda memory: memory[sheet][place]
    return _take(sheet, by_row, by_column)


def _is_run(indices: np.ndarray) -> bool:
    return bool((indices == indices[0] + np.arange(len(indices))).all())


def _run(indices: np.ndarray) -> slice:
    first = int(indices[0])
    return slice(first * TILE, (first + len(indices)) * TILE)


def _take(sheet: int, rows: np.ndarray, columns: np.ndarray) -> Operand:
    shape = (len(rows) * TILE, len(columns) * TILE)

    def get(memory: Memory) -> np.ndarray:
        tiles = _tiled(memory[sheet])
        if _is_run(rows):
            picked = tiles[rows[0] : rows[0] + len(rows)][:, :, columns]
        else:
            picked = tiles[rows][:, :, columns]
        return picked.reshape(shape)

    return get


def _gather(sheet: int, rows: np.ndarray, columns: np.ndarray) -> Operand:
    shape = (rows.shape[0] * TILE, rows.shape[1] * TILE)

    def get(memory: Memory) -> np.ndarray:
        picked = _tiled(memory[sheet])[rows, :, columns]
        return picked.transpose(0, 2, 1, 3).reshape(shape)

    return get


def _gather_many(places: Places, grid: np.ndarray) -> Operand:
    sheets, rows, columns = places.sheet[grid], places.row[grid], places.column[grid]
    parts = [
        (int(s), *np.nonzero(sheets == s), rows[sheets == s], columns[sheets == s])
        for s in np.unique(sheets)
    ]
    shape = grid.shape

    def get(memory: Memory) -> np.ndarray:
        out = np.empty((shape[0], TILE, shape[1], TILE), np.float32)
        for sheet, at_row, at_column, row, column in parts:
            out[at_row, :, at_column] = _tiled(memory[sheet])[row, :, column]
        return out.reshape(shape[0] * TILE, shape[1] * TILE)

    return get


def _tiled(sheet: np.ndarray) -> np.ndarray:
    rows, columns = sheet.shape
    return sheet.reshape(rows // TILE, TILE, columns // TILE, TILE)


def _broadcast_view(places: Places, grid: np.ndarray, kind: str) -> Operand:
    along_row = kind in ("col", "scalar") and (grid == grid[:, :1]).all()
    along_column = kind in ("row", "scalar") and (grid == grid[:1]).all()
    if kind == "col" and along_row:
        column = view(places, grid[:, :1])
        return lambda memory: column(memory)[:, :1]
    if kind == "row" and along_column:
        row = view(places, grid[:1])
        return lambda memory: row(memory)[:1]
    if kind == "scalar" and along_row and along_column:
        element = view(places, grid[:1, :1])
        return lambda memory: element(memory)[:1, :1]
    return _spread_tiles(view(places, grid), grid.shape, kind)


def _spread_tiles(tiles: Operand, shape: Sequence[int], kind: str) -> Operand:
    rows, columns = shape
    source = BROADCAST_SOURCE[kind]

    def get(memory: Memory) -> np.ndarray:
        full = tiles(memory).reshape(rows, TILE, columns, TILE).swapaxes(1, 2)
        part = full[(slice(None), *source)]
        spread = np.broadcast_to(part, full.shape)
        return spread.swapaxes(1, 2).reshape(rows * TILE, columns * TILE)

    return get
