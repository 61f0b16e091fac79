"""Row liveness: which rows of every tile of a trace anything real depends on.

Rows of a buffer beyond its shape are not data. From the rows that are, a pass over the
groups against their order finds what each record needs of its operands: the same rows
for what works row by row, the first row for a row that is broadcast, all rows where
rows are mixed (the right side of a product, a reduction over columns). What no output
depends on is not computed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import TypeAlias

import numpy as np

from dialects.expr import run_time_parts
from dialects.program import Tensor
from runtime.instructions import WriteRows
from runtime.semantics import TILE
from runtime.trace import Group, Trace

Segments: TypeAlias = tuple[tuple[int, int], ...]
"""Ranges [start, stop) of element rows, ascending and apart from each other."""


@dataclass
class LiveRows:
    """The interval [low, high) of needed rows of every tile; none where low >= high."""

    low: np.ndarray
    high: np.ndarray

    @staticmethod
    def none(num_tiles: int) -> LiveRows:
        """Nothing is needed yet."""
        return LiveRows(np.full(num_tiles, TILE, np.int8), np.zeros(num_tiles, np.int8))

    def need(self, tiles: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        """Widen the intervals of `tiles`; a tile may occur several times."""
        np.minimum.at(self.low, tiles, low.astype(np.int8))
        np.maximum.at(self.high, tiles, high.astype(np.int8))

    def segments(self, grid: np.ndarray) -> Segments:
        """The needed rows of a grid of tiles (tile rows, tile columns)."""
        low, high = self.low[grid].min(axis=1), self.high[grid].max(axis=1)
        found: list[tuple[int, int]] = []
        for at in np.flatnonzero(low < high).tolist():
            start, stop = TILE * at + int(low[at]), TILE * at + int(high[at])
            if found and found[-1][1] == start:
                start = found.pop()[0]
            found.append((start, stop))
        return tuple(found)


def live_rows(trace: Trace) -> LiveRows:
    """What the stores of a trace depend on."""
    live = LiveRows.none(trace.num_tiles)
    for parameter, numbers in trace.stores.items():
        heights = real_rows(trace.launch.tensors[parameter]).astype(np.int8)
        live.need(numbers, np.zeros_like(heights), heights)
    for write, numbers in trace.row_stores:
        low, high = _row_of(write)
        live.need(numbers, np.full(len(numbers), low), np.full(len(numbers), high))
    for group in reversed(trace.groups):
        _NEEDS.get(group.kind, _all_rows)(live, group)
    return live


def _row_of(write: WriteRows) -> tuple[int, int]:
    """The row that is written, or all that it may be."""
    if any(True for _ in run_time_parts(write.row)):
        return 0, TILE
    row = int(write.row.evaluate({})) % TILE
    return row, row + 1


def real_rows(tensor: Tensor) -> np.ndarray:
    """How many rows of each tile of a tensor are data, in the order of its tiles."""
    per_matrix = -(-tensor.shape[-2] // TILE)
    rows = np.full(per_matrix, TILE)
    rows[-1] = tensor.shape[-2] - TILE * (per_matrix - 1)
    stacked = np.tile(rows, prod(tensor.shape[:-2]))
    return np.repeat(stacked, tensor.tile_columns)


def _stacked(group: Group, place: int) -> np.ndarray:
    return np.concatenate([operands[place] for operands in group.operands])


def _outputs(live: LiveRows, group: Group) -> tuple[np.ndarray, np.ndarray]:
    numbers = np.concatenate(group.outputs)
    return live.low[numbers], live.high[numbers]


def _mark(
    live: LiveRows, operand: np.ndarray, low: np.ndarray, high: np.ndarray, how: str
) -> None:
    """Mark one operand, one entry (or list of tiles) for each output."""
    used = low < high
    tiles, low, high = operand[used], low[used], high[used]
    if how == "first":
        low, high = np.zeros_like(low), np.ones_like(high)
    elif how == "all":
        low, high = np.zeros_like(low), np.full_like(high, TILE)
    repeats = tiles[0].size if len(tiles) else 1
    live.need(tiles.reshape(-1), np.repeat(low, repeats), np.repeat(high, repeats))


_BROADCAST_ROWS = {None: "same", "col": "same", "row": "first", "scalar": "first"}


def _same_rows(live: LiveRows, group: Group) -> None:
    low, high = _outputs(live, group)
    for place in range(len(group.operands[0])):
        _mark(live, _stacked(group, place), low, high, "same")


def _all_rows(live: LiveRows, group: Group) -> None:
    low, high = _outputs(live, group)
    for place in range(len(group.operands[0])):
        _mark(live, _stacked(group, place), low, high, "all")


def _only_first_operand(live: LiveRows, group: Group) -> None:
    _mark(live, _stacked(group, 0), *_outputs(live, group), "same")


def _index_row(live: LiveRows, group: Group) -> None:
    _mark(live, _stacked(group, 0), *_outputs(live, group), "first")


def _copy(live: LiveRows, group: Group) -> None:
    how = _BROADCAST_ROWS[group.detail[0]]
    _mark(live, _stacked(group, 0), *_outputs(live, group), how)


def _binary(live: LiveRows, group: Group) -> None:
    low, high = _outputs(live, group)
    _mark(live, _stacked(group, 0), low, high, "same")
    _mark(live, _stacked(group, 1), low, high, _BROADCAST_ROWS[group.detail[1]])


def _reduce(live: LiveRows, group: Group) -> None:
    how = "same" if group.detail[1] == "row" else "all"
    _mark(live, _stacked(group, 0), *_outputs(live, group), how)


def _matmul(live: LiveRows, group: Group) -> None:
    for (left, right), outputs in zip(group.operands, group.outputs, strict=True):
        grid = outputs.reshape(len(left), len(right))
        low, high = live.low[grid].min(axis=1), live.high[grid].max(axis=1)
        _mark(live, left, low, high, "same")
        used = (live.low[grid] < live.high[grid]).any(axis=0)
        _mark(
            live,
            right,
            np.where(used, 0, TILE).astype(np.int8),
            np.where(used, TILE, 0).astype(np.int8),
            "all",
        )


_NEEDS: dict[str, Callable[[LiveRows, Group], None]] = {
    "unary": _same_rows,
    "pack": _same_rows,
    "pack_add": _same_rows,
    "sfpu_binary": _same_rows,
    "binary": _binary,
    "mul_sum": _binary,
    "copy": _copy,
    "pad": _only_first_operand,
    "rows": _index_row,
    "reduce": _reduce,
    "matmul": _matmul,
}
"""What a record needs of its operands; one that is not here needs all rows."""
