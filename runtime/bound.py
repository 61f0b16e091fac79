"""A program's sheets while it is bound: where every one of them lies in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from dialects.expr import Environment, Expr
from runtime.liveness import Segments
from runtime.sheets import ConstantSheet
from runtime.steps import Place

Sheet = np.ndarray | ConstantSheet


class Address(NamedTuple):
    """Where an operand lies: its first element, and the bytes from row to row and
    from element to element; zero where one stands for all."""

    first: int
    row_step: int
    step: int

    @property
    def is_spread(self) -> bool:
        """Whether one element of a row stands for all of it."""
        return self.step == 0


class Bound:
    """The sheets of parameters, of constants, and those that steps compute.

    `scalars` are the run-time scalars of the run that is going on, `limits` those for
    which the tiles of a constant were last filled.
    """

    def __init__(
        self,
        parameters: Sequence[Sheet],
        others: Mapping[int, np.ndarray],
        words: Mapping[object, np.ndarray],
        limits: dict[int, dict[Expr, int]],
    ):
        self.parameters = list(parameters)
        self.others = others
        self.words = words
        self.limits = limits
        self.scalars: Environment = {}
        self._starts: dict[int, tuple[int, int]] = {}

    def constant(self, sheet: int) -> ConstantSheet | None:
        """The sheet, if it is a parameter that never changes."""
        found = self.parameters[sheet] if sheet < len(self.parameters) else None
        return found if isinstance(found, ConstantSheet) else None

    def array(self, sheet: int) -> np.ndarray:
        """A sheet as a float32 matrix."""
        if sheet >= len(self.parameters):
            return self.others[sheet]
        found = self.parameters[sheet]
        return found.array if isinstance(found, ConstantSheet) else found

    def view(self, place: Place, rows: slice, columns: int) -> np.ndarray:
        """Some rows of an operand; a broadcast row, column or element has extent 1."""
        array = self.array(place.sheet)
        if place.broadcast in ("row", "scalar"):
            across = array[place.row : place.row + 1]
        else:
            across = array[place.row + rows.start : place.row + rows.stop]
        width = 1 if place.broadcast in ("col", "scalar") else columns
        return across[:, place.column : place.column + width]

    def address(self, place: Place) -> Address:
        """Where an operand lies. Its sheet is contiguous."""
        start, row_step = self._start(place.sheet)
        first = start + place.row * row_step + 4 * place.column
        return Address(
            first,
            0 if place.broadcast in ("row", "scalar") else row_step,
            0 if place.broadcast in ("col", "scalar") else 4,
        )

    def _start(self, sheet: int) -> tuple[int, int]:
        """The address of a sheet, and the bytes from row to row."""
        if sheet not in self._starts:
            array = self.array(sheet)
            assert array.flags.c_contiguous, "sheets are contiguous"
            self._starts[sheet] = array.ctypes.data, 4 * array.shape[1]
        return self._starts[sheet]


def table_of(segments: Segments) -> np.ndarray:
    """Segments as compiled code takes them."""
    return np.array(segments, np.int64).reshape(-1, 2)
