"""The merge: a trace as steps on whole matrices.

The records of a group are stacked; equal ones are computed once, wherever they came
from. Matmuls whose operand rows pair with the same columns are one product. What is
left of all data movement is the place where a step finds its operands, or a copy where
they do not lie side by side. Rows that nothing real depends on are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from dialects.formats import TILE_EDGE as TILE
from runtime.liveness import LiveRows, Segments, live_rows, real_rows
from runtime.sheets import Places
from runtime.steps import (
    Copy,
    LimitTiles,
    MulSum,
    PackAdd,
    PadEdge,
    Place,
    Product,
    Reduce,
    RowMove,
    RowStores,
    Run,
    Step,
    TableRows,
    Vector,
    reads,
    renamed,
)
from runtime.trace import UNROUNDED, Group, Trace


@dataclass
class Merged:
    """The steps of a program in order, and the sheets that they use.

    Sheets 0 to `num_parameters` - 1 are the parameters'. `shapes` are in elements.
    """

    steps: list[Step]
    shapes: dict[int, tuple[int, int]]
    constants: dict[int, np.ndarray]
    num_parameters: int
    outputs: set[int] = field(default_factory=set)
    """Parameters that steps write directly, which nothing reads as they were."""


def merge(trace: Trace) -> Merged:
    """Merge all groups of a trace, then its stores."""
    return _Merger(trace).merged()


class _Merger:
    """Turns groups into steps, in order, keeping the places of all tiles."""

    def __init__(self, trace: Trace):
        self.trace = trace
        self.launch = trace.launch
        self.live: LiveRows = live_rows(trace)
        self.places = Places(trace.num_tiles)
        self.num_parameters = len(self.launch.tensors)
        self.next_sheet = self.num_parameters
        self.shapes: dict[int, tuple[int, int]] = {}
        self.constants: dict[int, np.ndarray] = {}
        self.steps: list[Step] = []
        self.copies: dict[tuple[object, ...], Place] = {}

    def merged(self) -> Merged:
        """All steps."""
        for number, tensor in enumerate(self.launch.tensors):
            grid = np.arange(tensor.num_tiles) + self.trace.leaf_base[number]
            self.places.put(grid.reshape(tensor.tile_rows, tensor.tile_columns), number)
            self.shapes[number] = (tensor.tile_rows * TILE, tensor.tile_columns * TILE)
        self._place_constants()
        self._place_limits()
        for group in self.trace.groups:
            _MERGE[group.kind](self, group)
        result = Merged(self.steps, self.shapes, self.constants, self.num_parameters)
        self._save_what_is_overwritten()
        for parameter, numbers in self.trace.stores.items():
            self._store(result, parameter, numbers)
        self._row_stores()
        return result

    def _place_constants(self) -> None:
        if not self.trace.constants:
            return
        numbers = np.array(list(self.trace.constants))
        sheet = self._sheet(len(numbers), 1)
        tiles = list(self.trace.constants.values())
        self.constants[sheet] = np.concatenate(tiles).astype(np.float32)
        self.places.put(numbers[:, None], sheet)

    def _place_limits(self) -> None:
        """Tiles that run-time scalars decide: filled before anything else."""
        limits = self.trace.limits
        if not limits:
            return
        sheet = self._sheet(len(limits), 1)
        self.constants[sheet] = np.zeros(self.shapes[sheet], np.float32)
        self.places.put(np.array(list(limits))[:, None], sheet)
        self.steps.append(LimitTiles(tuple(limits.values()), sheet, "fill"))

    def _sheet(self, rows: int, columns: int) -> int:
        sheet = self.next_sheet
        self.next_sheet += 1
        self.shapes[sheet] = (rows * TILE, columns * TILE)
        return sheet

    def _name(self, group: Group) -> str:
        return self.launch.sites[group.site].name

    # -- operands ----------------------------------------------------------------

    def _stacked(self, group: Group, place: int) -> np.ndarray:
        return np.concatenate([operands[place] for operands in group.operands])

    def _fold(self, outputs: np.ndarray, representative: np.ndarray) -> None:
        """Let equal results be one: what is needed of any is needed of that one."""
        self.places.same[outputs] = representative
        low, high = self.live.low[outputs], self.live.high[outputs]
        self.live.need(representative, low, high)

    def _operand(
        self, grid: np.ndarray, segments: Segments, broadcast: str | None = None
    ) -> Place:
        """Where a grid of tiles lies, brought together if it lies apart."""
        if broadcast is None:
            found = self.places.rectangle(grid)
        else:
            found = self.places.repeated(grid, broadcast)
        if found is not None:
            return found
        grid = self.places.same[grid]
        key = (grid.tobytes(), grid.shape, segments, broadcast)
        if key not in self.copies:
            sheet = self._sheet(*grid.shape)
            runs = self._runs(grid, segments, broadcast)
            self.steps.append(Copy(runs, sheet, "copy"))
            self.copies[key] = Place(sheet, 0, 0)
        return self.copies[key]

    def _runs(
        self, grid: np.ndarray, segments: Segments, broadcast: str | None
    ) -> tuple[Run, ...]:
        """The copies that make a sheet of a grid, of the rows that are needed."""
        runs: list[Run] = []
        parts = list(_by_tile_row(segments))
        columns = np.arange(grid.shape[1]).tolist()
        sheets = self.places.sheet[grid].tolist()
        rows = (self.places.row[grid] * TILE).tolist()
        firsts = (self.places.column[grid] * TILE).tolist()
        for at, start, stop in parts:
            for column in columns:
                first = rows[at][column]
                if broadcast in (None, "col"):
                    first += start
                source = Place(sheets[at][column], first, firsts[at][column], broadcast)
                run = Run(source, at * TILE + start, column * TILE, stop - start, TILE)
                if runs and _continues(runs[-1], run):
                    runs[-1] = replace(runs[-1], width=runs[-1].width + TILE)
                else:
                    runs.append(run)
        return tuple(runs)

    # -- element-wise ------------------------------------------------------------

    def _unique(self, columns: list[np.ndarray], outputs: np.ndarray) -> np.ndarray:
        """Fold equal records; return the indices of those that are computed."""
        first, inverse = _unique_rows(
            np.stack([self.places.same[c] for c in columns], axis=1)
        )
        self._fold(outputs, outputs[first][inverse])
        return np.sort(first)

    def _arrange(self, numbers: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
        """Order records so that their first operand lies as on its sheet."""
        same = self.places.same[numbers]
        rows, columns = self.places.row[same], self.places.column[same]
        order = np.lexsort((columns, rows, self.places.sheet[same]))
        num_columns = len(np.unique(columns))
        grid = (len(numbers) // num_columns, num_columns)
        if grid[0] * grid[1] == len(numbers):
            table = columns[order].reshape(grid)
            if (table == table[0]).all() and len(np.unique(same)) == len(numbers):
                return order, grid
        return order, (len(numbers), 1)

    def _elementwise(
        self, group: Group, num_operands: int
    ) -> tuple[list[np.ndarray], int, Segments]:
        """Unique records as grids of operand numbers, the result's sheet and rows."""
        columns = [self._stacked(group, place) for place in range(num_operands)]
        outputs = np.concatenate(group.outputs)
        kept = self._unique(columns, outputs)
        order, grid = self._arrange(columns[0][kept])
        kept = kept[order]
        sheet = self._sheet(*grid)
        self.places.put(outputs[kept].reshape(grid), sheet)
        segments = self.live.segments(outputs[kept].reshape(grid))
        return [c[kept].reshape(grid) for c in columns], sheet, segments

    def elementwise(self, group: Group) -> None:
        """What computes each element from the same element of one or two operands."""
        count = 2 if group.kind in ("binary", "sfpu_binary", "pack_add") else 1
        grids, sheet, segments = self._elementwise(group, count)
        if not segments:
            return
        broadcast: list[str | None] = [None, None]
        if group.kind == "binary":
            broadcast[1] = group.detail[1]
        elif group.kind == "copy":
            broadcast[0] = group.detail[0]
        places = tuple(
            self._operand(grid, segments, how)
            for grid, how in zip(grids, broadcast, strict=False)
        )
        columns, name = self.shapes[sheet][1], self._name(group)
        if group.kind == "pack_add":
            old, packed = places
            self.steps.append(
                PackAdd((old, packed), group.detail[0], columns, sheet, segments, name)
            )
            return
        self.steps.append(
            Vector(group.kind, group.detail, places, sheet, columns, segments, name)
        )

    def pad(self, group: Group) -> None:
        """Tiles at an operand's edge, filled behind its extent."""
        numbers, place = self._stacked(group, 0), self._stacked(group, 1)
        outputs = np.concatenate(group.outputs)
        sheet = self._sheet(len(numbers), 1)
        self.places.put(outputs[:, None], sheet)
        segments = self.live.segments(outputs[:, None])
        if not segments:
            return
        value, (num_rows, num_columns) = group.detail
        rows = (place[:, :1] * TILE + np.arange(TILE)).reshape(-1, 1) >= num_rows
        columns = np.repeat(place[:, 1:] * TILE + np.arange(TILE), TILE, axis=0)
        outside = rows | (columns >= num_columns)
        operand = self._operand(numbers[:, None], segments)
        self.steps.append(
            PadEdge((operand,), outside, value, sheet, segments, self._name(group))
        )

    def rows(self, group: Group) -> None:
        """Rows of an operand picked by an index tile's first row."""
        which, columns = self._stacked(group, 0), self._stacked(group, 1)
        outputs = np.concatenate(group.outputs)
        kept = self._unique([which, columns], outputs)
        blocks, at_block = np.unique(which[kept], return_inverse=True)
        runs, at_column = np.unique(columns[kept], return_inverse=True)
        grid = np.full((len(blocks), len(runs)), -1)
        grid[at_block, at_column] = outputs[kept]
        sheet = self._sheet(*grid.shape)
        for block, run in np.argwhere(grid < 0):
            grid[block, run] = grid[block].max()
        self.places.put(grid, sheet)
        segments = self.live.segments(grid)
        if not segments:
            return
        index = tuple(self._operand(b.reshape(1, 1), ((0, 1),)) for b in blocks)
        elements = (runs[:, None] * TILE + np.arange(TILE)).reshape(-1)
        table, name = group.detail[0], self._name(group)
        self.steps.append(TableRows(index, table, elements, sheet, segments, name))

    # -- contractions ------------------------------------------------------------

    def mul_sum(self, group: Group) -> None:
        """Sum over k of products, element by element."""
        left, right = self._stacked(group, 0), self._stacked(group, 1)
        terms = left.shape[1]
        pairs, sheet, segments = self._lists(
            group, np.concatenate([left, right], axis=1)
        )
        if not segments:
            return
        _, broadcast, cut_lhs, cut_rhs, *rest = group.detail
        lhs = self._operand(pairs[:, :terms], segments)
        rhs = self._operand(pairs[:, terms:], segments, broadcast)
        rounds, name = UNROUNDED not in rest, self._name(group)
        self.steps.append(
            MulSum((lhs, rhs), (cut_lhs, cut_rhs), terms, rounds, sheet, segments, name)
        )

    def _lists(
        self, group: Group, lists: np.ndarray
    ) -> tuple[np.ndarray, int, Segments]:
        """Distinct lists of tiles; each gives one tile in a column of tiles."""
        outputs = np.concatenate(group.outputs)
        lists = self.places.same[lists]
        first, inverse = _unique_rows(lists)
        self._fold(outputs, outputs[first][inverse])
        grid = outputs[first][:, None]
        sheet = self._sheet(len(first), 1)
        self.places.put(grid, sheet)
        return lists[first], sheet, self.live.segments(grid)

    def reduce(self, group: Group) -> None:
        """Sum or maximum over k and inside the tiles."""
        lists, sheet, segments = self._lists(group, self._stacked(group, 0))
        if not segments:
            return
        kind, dim, scaler, is_cut, *rest = group.detail
        if dim != "row":
            segments = ((0, len(lists) * TILE),)
        operand = self._operand(lists, segments)
        self.steps.append(
            Reduce(
                kind,
                dim,
                scaler,
                (operand,),
                is_cut,
                lists.shape[1],
                UNROUNDED not in rest,
                sheet,
                segments,
                self._name(group),
            )
        )

    def matmul(self, group: Group) -> None:
        """Blocks of rows x columns over K lists; see `_products`."""
        left = self.places.same[self._stacked(group, 0)]
        right = self.places.same[self._stacked(group, 1)]
        first_left, which_row = _unique_rows(left)
        first_right, which_column = _unique_rows(right)
        rows, columns = left[first_left], right[first_right]
        number = self._pairs(group, which_row, which_column, (len(rows), len(columns)))
        products = _products(number)
        widths = {len(c) for _, c in products}
        stacked = len(widths) == 1
        total = sum(len(r) for r, _ in products)
        shared = self._sheet(total, widths.pop()) if stacked else -1
        first = 0
        for row_set, column_set in products:
            grid = number[np.ix_(row_set, column_set)]
            if not stacked:
                first, shared = 0, self._sheet(*grid.shape)
            self.places.put(grid, shared, first)
            self._product(group, rows[row_set], columns[column_set], grid, first)
            first += len(row_set)

    def _product(
        self,
        group: Group,
        left: np.ndarray,
        right: np.ndarray,
        grid: np.ndarray,
        first: int,
    ) -> None:
        segments = self.live.segments(grid)
        if not segments:
            return
        turned, cut_lhs, cut_rhs, *rest = group.detail
        lhs = self._operand(left, segments)
        tiles = right if turned else np.ascontiguousarray(right.T)
        rhs = self._operand(tiles, ((0, len(tiles) * TILE),))
        self.steps.append(
            Product(
                (lhs, rhs),
                (cut_lhs, cut_rhs),
                turned,
                left.shape[1] * TILE,
                len(right) * TILE,
                UNROUNDED not in rest,
                int(self.places.sheet[grid[0, 0]]),
                first * TILE,
                segments,
                self._name(group),
            )
        )

    def _pairs(
        self,
        group: Group,
        rows: np.ndarray,
        columns: np.ndarray,
        shape: tuple[int, int],
    ) -> np.ndarray:
        """The output of each (row list, column list), duplicates folded; -1: none."""
        number = np.full(shape, -1)
        at_row = at_column = 0
        for (left, right), outputs in zip(group.operands, group.outputs, strict=True):
            own = np.ix_(
                rows[at_row : at_row + len(left)],
                columns[at_column : at_column + len(right)],
            )
            found = outputs.reshape(len(left), len(right))
            number[own] = np.where(number[own] < 0, found, number[own])
            self._fold(outputs, number[own].reshape(-1))
            at_row, at_column = at_row + len(left), at_column + len(right)
        return number

    # -- stores ------------------------------------------------------------------

    def _store(self, merged: Merged, parameter: int, numbers: np.ndarray) -> None:
        """Bring stored tiles home: at once where they are computed, or by a copy."""
        tensor = self.launch.tensors[parameter]
        grid = self.places.same[numbers].reshape(tensor.tile_rows, tensor.tile_columns)
        if self._is_computed_in_place(merged, parameter, grid):
            return
        changed = grid != self._leaves(parameter)
        heights = real_rows(tensor).reshape(grid.shape)
        runs: list[Run] = []
        for row in np.flatnonzero(changed.any(axis=1)).tolist():
            segments = ((row * TILE, row * TILE + int(heights[row, 0])),)
            found = self._runs_of_row(grid, segments)
            runs += [run for run in found if changed[row, run.column // TILE]]
        self.steps.append(Copy(tuple(_joined(runs)), parameter, "store"))

    def _leaves(self, parameter: int) -> np.ndarray:
        """The tiles of a parameter as they were."""
        tensor = self.launch.tensors[parameter]
        numbers = np.arange(tensor.num_tiles) + self.trace.leaf_base[parameter]
        return numbers.reshape(tensor.tile_rows, tensor.tile_columns)

    def _save_what_is_overwritten(self) -> None:
        """Copy tiles that are stored elsewhere from parameters that change, too."""
        stores = [*self.trace.stores.items()]
        stores += [(i.parameter, numbers) for i, numbers in self.trace.row_stores]
        for parameter, numbers in stores:
            stored = np.unique(self.places.same[numbers])
            sheets = self.places.sheet[stored]
            for other in self.trace.stores:
                moved = stored[sheets == other]
                if other != parameter and len(moved):
                    place = self._operand(moved[:, None], ((0, len(moved) * TILE),))
                    self.places.put(moved[:, None], place.sheet)

    def _row_stores(self) -> None:
        """Rows of tiles that go where run-time scalars say."""
        moves: dict[int, list[RowMove]] = {}
        for i, numbers in self.trace.row_stores:
            width = self.launch.tensors[i.parameter].tile_columns
            own = moves.setdefault(i.parameter, [])
            for number, tile in zip(numbers.tolist(), i.tiles.tolist(), strict=True):
                source = self._operand(np.array([[number]]), ((0, TILE),))
                own.append(RowMove(source, i.row, i.target, *divmod(tile, width)))
        for parameter, own in moves.items():
            self.steps.append(RowStores(tuple(own), parameter, "write rows"))

    def _runs_of_row(self, grid: np.ndarray, segments: Segments) -> list[Run]:
        """One run for each tile of a tile row."""
        found = []
        for run in self._runs(grid, segments, None):
            for column in range(0, run.width, TILE):
                source = replace(run.source, column=run.source.column + column)
                place = run.column + column
                found.append(replace(run, source=source, column=place, width=TILE))
        return found

    def _is_computed_in_place(
        self, merged: Merged, parameter: int, grid: np.ndarray
    ) -> bool:
        """Let the step that computes a whole output write it where it belongs."""
        place = self.places.rectangle(grid)
        if place is None or place.sheet < self.num_parameters:
            return False
        sheet = place.sheet
        whole = self.shapes[sheet] == self.shapes[parameter]
        is_read = any(parameter in reads(step) for step in self.steps)
        if sheet in self.constants or not whole or is_read:
            return False
        moved = {sheet: parameter}
        self.steps[:] = [renamed(step, moved) for step in self.steps]
        self.places.sheet[self.places.sheet == sheet] = parameter
        merged.outputs.add(parameter)
        return True


def _by_tile_row(segments: Segments) -> list[tuple[int, int, int]]:
    """Segments cut at tile borders: tile row, first and last row in it."""
    found = []
    for start, stop in segments:
        for at in range(start // TILE, -(-stop // TILE)):
            low, high = max(start - at * TILE, 0), min(stop - at * TILE, TILE)
            found.append((at, low, high))
    return found


def _continues(left: Run, right: Run) -> bool:
    """Whether a run goes on where another one ends."""
    a, b = left.source, right.source
    return (
        (a.sheet, a.row, left.row, left.rows) == (b.sheet, b.row, right.row, right.rows)
        and b.column == a.column + left.width
        and right.column == left.column + left.width
        and a.broadcast in (None, "row")
    )


def _joined(runs: list[Run]) -> list[Run]:
    joined: list[Run] = []
    for run in runs:
        if joined and _continues(joined[-1], run):
            joined[-1] = replace(joined[-1], width=joined[-1].width + run.width)
        else:
            joined.append(run)
    return joined


def _unique_rows(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the distinct rows in sorted order, and for each row which it is."""
    _, first, inverse = np.unique(table, axis=0, return_index=True, return_inverse=True)
    return first, inverse.reshape(-1)


def _products(number: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split (row, column) pairs into full products: rows that share their columns."""
    sets: dict[bytes, list[int]] = {}
    exists = number >= 0
    for row, own in enumerate(exists):
        sets.setdefault(own.tobytes(), []).append(row)
    return [
        (np.array(members), np.flatnonzero(exists[members[0]]))
        for members in sets.values()
    ]


_MERGE: dict[str, Callable[[_Merger, Group], None]] = {
    "unary": _Merger.elementwise,
    "pack": _Merger.elementwise,
    "binary": _Merger.elementwise,
    "sfpu_binary": _Merger.elementwise,
    "copy": _Merger.elementwise,
    "pack_add": _Merger.elementwise,
    "pad": _Merger.pad,
    "rows": _Merger.rows,
    "mul_sum": _Merger.mul_sum,
    "reduce": _Merger.reduce,
    "matmul": _Merger.matmul,
}
