"""Where tiles lie: tile numbers on sheets, and constants that are made once.

A tile number has a place (sheet, row, column). An operand of a step is a grid of tile
numbers; where its places form a rectangle it is read where it lies, else its tiles are
brought together first (`runtime.merge`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from runtime.memory_plan import Store
from runtime.semantics import TILE
from runtime.steps import Place


class SheetSource(Protocol):
    """How a sheet that never changes is made, whole or by pieces."""

    def open(self) -> Callable[[int, int], np.ndarray]:
        """A function that makes rows [start, stop), contiguous float32."""
        ...

    def halves(self) -> np.ndarray | None:
        """The bf16 datums (uint16, any strides) where they are as they are stored,
        without padding; None where they have to be made."""
        ...


class ConstantSheet:
    """A sheet that never changes: made when it is first looked at.

    A product's right side is kept as the matrix kernel wants it, in words of `store`;
    the sheet itself is then not kept, so that a weight takes its bf16 bytes once.
    """

    def __init__(self, source: SheetSource, shape: tuple[int, int], store: Store):
        self.shape = shape
        self.store = store
        self._source = source
        self._array: np.ndarray | None = None
        self._derived: dict[object, Any] = {}

    @property
    def array(self) -> np.ndarray:
        """The values, kept from now on."""
        if self._array is None:
            self._array = self._source.open()(0, self.shape[0])
        return self._array

    def __getitem__(self, place: Any) -> np.ndarray:
        return self.array[place]

    def open(self) -> Callable[[int, int], np.ndarray]:
        """A function that makes rows [start, stop), which are not kept."""
        return self._source.open()

    def halves(self) -> np.ndarray | None:
        """The bf16 datums [rows, columns] without padding, where they are at hand."""
        return self._source.halves()

    def turned_halves(self) -> np.ndarray | None:
        """The bf16 datums of the transpose, where its rows are contiguous."""
        halves = self._source.halves()
        turned = None if halves is None else halves.T
        if turned is None or turned.strides[1] != turned.itemsize:
            return None
        return turned

    def derived(self, key: object, make: Callable[[], Any]) -> Any:
        """What `make` makes of the sheet, made once for each key."""
        if key not in self._derived:
            self._derived[key] = make()
        return self._derived[key]


class Places:
    """The place of every tile number, after duplicates are folded."""

    def __init__(self, num_tiles: int):
        self.same = np.arange(num_tiles)
        self.sheet = np.full(num_tiles, -1, np.int32)
        self.row = np.zeros(num_tiles, np.int32)
        self.column = np.zeros(num_tiles, np.int32)

    def put(self, numbers: np.ndarray, sheet: int, first_row: int = 0) -> None:
        """Place a grid of tile numbers on a sheet, from a tile row on."""
        rows, columns = np.indices(numbers.shape)
        self.sheet[numbers] = sheet
        self.row[numbers] = rows + first_row
        self.column[numbers] = columns

    def rectangle(self, grid: np.ndarray) -> Place | None:
        """The place of a grid of tiles that lies as one rectangle on a sheet."""
        grid = self.same[grid]
        sheets, rows, columns = self.sheet[grid], self.row[grid], self.column[grid]
        expected_rows = rows[0, 0] + np.arange(grid.shape[0])[:, None]
        expected_columns = columns[0, 0] + np.arange(grid.shape[1])
        whole = (
            (sheets == sheets[0, 0]).all()
            and (rows == expected_rows).all()
            and (columns == expected_columns).all()
        )
        if not whole:
            return None
        return Place(
            int(sheets[0, 0]), int(rows[0, 0]) * TILE, int(columns[0, 0]) * TILE
        )

    def repeated(self, grid: np.ndarray, broadcast: str) -> Place | None:
        """The place of a grid whose tiles are the same along what is broadcast."""
        grid = self.same[grid]
        part = {"col": grid[:, :1], "row": grid[:1], "scalar": grid[:1, :1]}[broadcast]
        place = self.rectangle(part) if (grid == part).all() else None
        if place is None:
            return None
        return Place(place.sheet, place.row, place.column, broadcast)
