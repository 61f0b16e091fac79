"""Which tiles a block reads: a pattern of the block's shape, moved to where it stands.

Maps are sums of axes times numbers nearly always. Then blocks of one shape read the
same tiles relative to their first, and an array for each shape is enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import NamedTuple

import numpy as np

from dialects.axes import Range
from dialects.expr import Environment, Expr, slope


class _Pattern(NamedTuple):
    """Tiles relative to the first, and the least and most row and column."""

    tiles: np.ndarray
    rows: tuple[int, int]
    columns: tuple[int, int]


@dataclass
class TileMap:
    """The map of a buffer, its last two entries sums of `axes` times whole numbers.

    `extent` are the rows and columns of tiles of the operand.
    """

    axes: tuple[str, ...]
    entries: tuple[Expr, Expr]
    slopes: tuple[tuple[int, ...], tuple[int, ...]]
    extent: tuple[int, int]
    patterns: dict[tuple[int, ...], _Pattern] = field(default_factory=dict)

    @staticmethod
    def of(
        axes: tuple[str, ...], entries: Sequence[object], extent: tuple[int, int]
    ) -> TileMap | None:
        """The map, or None where an entry is anything else."""
        row, column = entries
        if isinstance(row, str) or isinstance(column, str):
            return None
        slopes = [[slope(entry, axis) for axis in axes] for entry in (row, column)]  # type: ignore[arg-type]
        if any(number is None for numbers in slopes for number in numbers):
            return None
        rows, columns = (tuple(n or 0 for n in numbers) for numbers in slopes)
        return TileMap(axes, (row, column), (rows, columns), extent)  # type: ignore[arg-type]

    def tiles(self, env: Environment, ranges: Mapping[str, Range]) -> np.ndarray | None:
        """Row-major tile numbers, flattened.

        None where they are not all inside, or an axis leaves tiles out between them.
        """
        own = [ranges[axis] for axis in self.axes]
        if any(current.is_scattered for current in own):
            return None
        shape = tuple(current.size for current in own)
        try:
            row, column = (entry.evaluate(env) for entry in self.entries)
        except KeyError:
            return None
        if not (isinstance(row, int) and isinstance(column, int)):
            return None
        pattern = self.patterns.get(shape)
        if pattern is None:
            pattern = self.patterns[shape] = self._pattern(shape)
        if not len(pattern.tiles):
            return pattern.tiles
        height, width = self.extent
        inside = (
            row + pattern.rows[0] >= 0
            and column + pattern.columns[0] >= 0
            and row + pattern.rows[1] < height
            and column + pattern.columns[1] < width
        )
        return pattern.tiles + (row * width + column) if inside else None

    def _pattern(self, shape: tuple[int, ...]) -> _Pattern:
        places = np.indices(shape).reshape(len(shape), prod(shape))
        rows, columns = (
            np.array(numbers, np.int64) @ places for numbers in self.slopes
        )
        if not rows.size:
            return _Pattern(np.empty(0, np.int64), (0, 0), (0, 0))
        return _Pattern(
            rows * self.extent[1] + columns,
            (int(rows.min()), int(rows.max())),
            (int(columns.min()), int(columns.max())),
        )
