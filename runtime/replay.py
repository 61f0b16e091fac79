"""Replay: a launch as a flat list of steps on whole matrices.

`prepare` merges the trace. The records of a group are stacked; equal ones are
computed once, wherever they came from. Matmuls whose operand rows pair with the same
columns are one GEMM. What is left of all data movement is the view or gather of each
step's operands. A prepared program is run with any sheets bound to its parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from dialects.expr import Environment
from dialects.formats import DstMode, Fidelity
from runtime import instructions as ins
from runtime.arithmetic.l1_accumulation import accumulate_l1
from runtime.launch import Launch
from runtime.numerics import Numerics, make_numerics
from runtime.semantics import TILE, limit_tile
from runtime.sheets import (
    ConstantSheet,
    Memory,
    Operand,
    Places,
    rectangle,
    view,
)
from runtime.trace import Group, Trace, trace_launch

Step: TypeAlias = Callable[[Memory], None]
RunTimeStep: TypeAlias = "Callable[[Memory, Environment], None]"


@dataclass
class Prepared:
    """A program ready to run: call it with the sheets of its parameters."""

    steps: list[Step]
    temporaries: list[np.ndarray]
    num_parameters: int
    site_names: list[str]
    constant_operands: list[Operand]
    before: list[RunTimeStep]
    after: list[RunTimeStep]
    launch_scalars: Environment

    def __call__(
        self,
        parameters: Sequence[np.ndarray | ConstantSheet],
        scalars: Environment | None = None,
    ) -> None:
        """Compute; outputs are written into their sheets.

        `scalars` are the run-time scalars by name; they may differ from those of the
        launch where only fills and row writes depend on them.
        """
        memory = [*parameters, *self.temporaries]
        given = self.launch_scalars if scalars is None else scalars
        for step in self.before:
            step(memory, given)
        for step in self.steps:
            step(memory)
        for step in self.after:
            step(memory, given)

    def warm(self, parameters: Sequence[np.ndarray | ConstantSheet]) -> None:
        """Pack the constants that products read, so that the first call is quick."""
        memory = [*parameters, *self.temporaries]
        for operand in self.constant_operands:
            operand(memory)


def prepare(
    launch: Launch,
    numerics: str = "fast",
    *,
    constants: frozenset[int] = frozenset(),
) -> Prepared:
    """Trace a launch and merge it. Raises `HazardError` for what cannot run.

    `numerics` is one of `runtime.numerics.NUMERICS`. Parameters in `constants` will be
    bound to `ConstantSheet`s.
    """
    return _Merger(trace_launch(launch), numerics, constants).prepared()


class _Merger:
    """Turns groups into steps, in order, keeping the places of all tiles."""

    def __init__(self, trace: Trace, numerics: str, constants: frozenset[int]):
        self.trace = trace
        self.constants = constants
        self.launch: Launch = trace.launch
        self.places = Places(trace.num_tiles)
        self.num_parameters = len(self.launch.tensors)
        self.temporaries: list[np.ndarray] = []
        self.steps: list[Step] = []
        self.names: list[str] = []
        self.constant_operands: list[Operand] = []
        dst = DstMode.FP32 if self.launch.facts.fp32_dst else DstMode.BF16
        fidelity = Fidelity(self.launch.facts.fidelity)
        self.numerics = make_numerics(numerics, fidelity, dst)
        self.unrounded = make_numerics(numerics, fidelity, DstMode.FP32)

    def prepared(self) -> Prepared:
        """Merge all groups, then the stores."""
        for number, tensor in enumerate(self.launch.tensors):
            grid = np.arange(tensor.num_tiles) + self.trace.leaf_base[number]
            self.places.put(grid.reshape(tensor.tile_rows, tensor.tile_columns), number)
        self._place_constants()
        for group in self.trace.groups:
            _MERGE[group.kind](self, group)
        for parameter, numbers in self.trace.stores.items():
            self._store(parameter, numbers)
        return Prepared(
            self.steps,
            self.temporaries,
            self.num_parameters,
            self.names,
            self.constant_operands,
            self._limit_fills(),
            [self._row_store(i, numbers) for i, numbers in self.trace.row_stores],
            self.launch.scalars,
        )

    def _limit_fills(self) -> list[RunTimeStep]:
        """Tiles that run-time scalars decide are filled before anything else."""
        return [
            _limit_fill(i, column, self.limit_sheet, place)
            for place, (i, column) in enumerate(self.trace.limits.values())
        ]

    def _row_store(self, i: ins.WriteRows, numbers: np.ndarray) -> RunTimeStep:
        width = self.launch.tensors[i.parameter].tile_columns
        rows, columns = np.divmod(i.tiles, width)
        same = self.places.same[numbers]
        sheets = self.places.sheet[same]
        at_row, at_column = self.places.row[same], self.places.column[same]
        cells = list(zip(rows, columns, sheets, at_row, at_column, strict=True))

        def step(memory: Memory, scalars: Environment) -> None:
            row = int(i.row.evaluate(scalars)) % TILE
            target = int(i.target.evaluate(scalars))
            for to_row, to_column, sheet, own_row, own_column in cells:
                source = memory[sheet][own_row * TILE + row]
                piece = source[own_column * TILE : (own_column + 1) * TILE]
                place = memory[i.parameter][to_row * TILE + target]
                place[to_column * TILE : (to_column + 1) * TILE] = piece

        return step

    def _place_constants(self) -> None:
        self.limit_sheet = self._sheet(max(len(self.trace.limits), 1), 1)
        if self.trace.limits:
            self.places.put(
                np.array(list(self.trace.limits))[:, None], self.limit_sheet
            )
        if not self.trace.constants:
            return
        numbers = np.array(list(self.trace.constants))
        sheet = self._sheet(len(numbers), 1)
        self.temporaries[-1][:] = np.concatenate(list(self.trace.constants.values()))
        self.places.put(numbers[:, None], sheet)

    def _sheet(self, rows: int, columns: int) -> int:
        self.temporaries.append(np.zeros((rows * TILE, columns * TILE), np.float32))
        return self.num_parameters + len(self.temporaries) - 1

    def _add(self, group: Group, step: Step) -> None:
        self.steps.append(step)
        self.names.append(self.launch.sites[group.site].name)

    # -- element-wise ------------------------------------------------------------

    def _unique(self, columns: list[np.ndarray], outputs: np.ndarray) -> np.ndarray:
        """Fold equal records; return the indices of those that are computed."""
        keys = np.stack([self.places.same[c] for c in columns], axis=1)
        _, first, inverse = np.unique(
            keys, axis=0, return_index=True, return_inverse=True
        )
        self.places.same[outputs] = outputs[first][inverse.reshape(-1)]
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

    def _stacked(self, group: Group, place: int) -> np.ndarray:
        return np.concatenate([operands[place] for operands in group.operands])

    def _elementwise(
        self, group: Group, num_operands: int
    ) -> tuple[list[np.ndarray], int]:
        """Unique records as grids of operand numbers, and the result's sheet."""
        columns = [self._stacked(group, place) for place in range(num_operands)]
        outputs = np.concatenate(group.outputs)
        kept = self._unique(columns, outputs)
        order, grid = self._arrange(columns[0][kept])
        kept = kept[order]
        sheet = self._sheet(*grid)
        self.places.put(outputs[kept].reshape(grid), sheet)
        return [c[kept].reshape(grid) for c in columns], sheet

    def unary(self, group: Group) -> None:
        """A vector-unit function."""
        (grid,), sheet = self._elementwise(group, 1)
        operand, (function, scalar) = view(self.places, grid), group.detail
        compute = self.numerics.vector_unary

        def step(memory: Memory) -> None:
            compute(function, operand(memory), scalar, memory[sheet])

        self._add(group, step)

    def pack(self, group: Group) -> None:
        """Rounding to a format."""
        (grid,), sheet = self._elementwise(group, 1)
        operand, (data_format, relu) = view(self.places, grid), group.detail
        compute = self.numerics.pack

        def step(memory: Memory) -> None:
            compute(operand(memory), data_format, relu, memory[sheet])

        self._add(group, step)

    def pack_add(self, group: Group) -> None:
        """What is packed added to what lies in L1."""
        (left, right), sheet = self._elementwise(group, 2)
        old, packed = view(self.places, left), view(self.places, right)
        (data_format,) = group.detail

        def step(memory: Memory) -> None:
            memory[sheet][:] = accumulate_l1(old(memory), packed(memory), data_format)

        self._add(group, step)

    def binary(self, group: Group) -> None:
        """Element-wise on the matrix unit."""
        (left, right), sheet = self._elementwise(group, 2)
        function, broadcast, cut_lhs, cut_rhs = group.detail
        lhs = self._source(view(self.places, left), cut_lhs)
        rhs = self._source(view(self.places, right, broadcast), cut_rhs)
        compute = self.numerics.binary

        def step(memory: Memory) -> None:
            compute(function, lhs(memory), rhs(memory), memory[sheet])

        self._add(group, step)

    def sfpu_binary(self, group: Group) -> None:
        """Element-wise on the vector unit."""
        (left, right), sheet = self._elementwise(group, 2)
        lhs, rhs = view(self.places, left), view(self.places, right)
        function, compute = group.detail[0], self.numerics.vector_binary

        def step(memory: Memory) -> None:
            compute(function, lhs(memory), rhs(memory), memory[sheet])

        self._add(group, step)

    def _source(self, operand: Operand, is_cut: bool) -> Operand:
        """The operand as the matrix unit reads it."""
        if not is_cut:
            return operand
        cut = self.numerics.cut
        return lambda memory: cut(operand(memory))

    def copy(self, group: Group) -> None:
        """Tiles on their way to Dst, maybe spread over rows or columns."""
        (grid,), sheet = self._elementwise(group, 1)
        broadcast, is_cut = group.detail
        operand = self._source(view(self.places, grid, broadcast), is_cut)

        def step(memory: Memory) -> None:
            memory[sheet][:] = operand(memory)

        self._add(group, step)

    def pad(self, group: Group) -> None:
        """Tiles at an operand's edge, filled behind its extent."""
        numbers, place = self._stacked(group, 0), self._stacked(group, 1)
        outputs = np.concatenate(group.outputs)
        sheet = self._sheet(len(numbers), 1)
        self.places.put(outputs[:, None], sheet)
        value, (num_rows, num_columns) = group.detail
        rows = (place[:, :1] * TILE + np.arange(TILE)).reshape(-1, 1) >= num_rows
        columns = np.repeat(place[:, 1:] * TILE + np.arange(TILE), TILE, axis=0)
        outside = rows | (columns >= num_columns)
        operand = view(self.places, numbers[:, None])

        def step(memory: Memory) -> None:
            memory[sheet][:] = np.where(outside, np.float32(value), operand(memory))

        self._add(group, step)

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
        index = view(self.places, blocks[:, None])
        elements = (runs[:, None] * TILE + np.arange(TILE)).reshape(-1)
        parameter = group.detail[0]

        def step(memory: Memory) -> None:
            numbers = index(memory)[::TILE].astype(np.int64).reshape(-1)
            memory[sheet][:] = memory[parameter][numbers][:, elements]

        self._add(group, step)

    # -- contractions ------------------------------------------------------------

    def _lists(self, lists: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distinct rows of tile lists, in the order of their tiles, and who is who."""
        return np.unique(self.places.same[lists], axis=0, return_inverse=True)

    def mul_sum(self, group: Group) -> None:
        """Sum over k of products, element by element."""
        left, right = self._stacked(group, 0), self._stacked(group, 1)
        outputs = np.concatenate(group.outputs)
        terms = left.shape[1]
        pairs, inverse = self._lists(np.concatenate([left, right], axis=1))
        sheet = self._fold(outputs, inverse.reshape(-1), len(pairs))
        _, broadcast, cut_lhs, cut_rhs, *unrounded = group.detail
        lhs = self._source(view(self.places, pairs[:, :terms]), cut_lhs)
        rhs = self._source(view(self.places, pairs[:, terms:], broadcast), cut_rhs)
        compute = self._unrounded_if(unrounded).mul_sum

        def step(memory: Memory) -> None:
            compute(lhs(memory), rhs(memory), terms, memory[sheet])

        self._add(group, step)

    def _unrounded_if(self, unrounded: list[object]) -> Numerics:
        """The numerics of a sum that goes on: it is rounded when it is complete."""
        return self.unrounded if unrounded else self.numerics

    def _fold(self, outputs: np.ndarray, inverse: np.ndarray, count: int) -> int:
        """Give each distinct result one tile in a column of tiles."""
        _, first = np.unique(inverse, return_index=True)
        representative = outputs[first]
        self.places.same[outputs] = representative[inverse]
        sheet = self._sheet(count, 1)
        self.places.put(representative[:, None], sheet)
        return sheet

    def reduce(self, group: Group) -> None:
        """Sum or maximum over k and inside the tiles."""
        lists, inverse = self._lists(self._stacked(group, 0))
        outputs = np.concatenate(group.outputs)
        sheet = self._fold(outputs, inverse.reshape(-1), len(lists))
        kind, dim, scaler, is_cut, *unrounded = group.detail
        operand = self._source(view(self.places, lists), is_cut)
        compute, terms = self._unrounded_if(unrounded).reduce, lists.shape[1]

        def step(memory: Memory) -> None:
            compute(kind, dim, operand(memory), terms, scaler, memory[sheet])

        self._add(group, step)

    def matmul(self, group: Group) -> None:
        """Blocks of rows x columns over K lists; see `_products`."""
        left, right = self._matmul_lists(group)
        rows, which_row = self._lists(left)
        columns, which_column = self._lists(right)
        outputs, pairs = self._matmul_pairs(
            group, which_row.reshape(-1), which_column.reshape(-1)
        )
        products = _products(pairs)
        widths = {len(c) for _, c in products}
        stacked = len(widths) == 1
        number = {tuple(p): o for p, o in zip(pairs.tolist(), outputs, strict=True)}
        transpose, cut_lhs, cut_rhs, *unrounded = group.detail
        compute = self._unrounded_if(unrounded).matmul
        total = sum(len(r) for r, _ in products)
        shared = self._sheet(total, widths.pop()) if stacked else -1
        first = 0
        for row_set, column_set in products:
            grid = np.array([[number[r, c] for c in column_set] for r in row_set])
            if not stacked:
                first, shared = 0, self._sheet(*grid.shape)
            self._put_at(grid, shared, first)
            lhs = self._source(view(self.places, rows[row_set]), cut_lhs)
            rhs = self._rhs(columns[column_set], transpose, cut_rhs)
            where = slice(first * TILE, (first + len(row_set)) * TILE)
            self._add(group, _gemm(compute, lhs, rhs, shared, where))
            first += len(row_set)

    def _put_at(self, grid: np.ndarray, sheet: int, first: int) -> None:
        self.places.put(grid, sheet)
        self.places.row[grid] += first

    def _rhs(self, lists: np.ndarray, transpose: bool, is_cut: bool) -> Operand:
        if not transpose:
            grid = np.ascontiguousarray(lists.T)
            packed = self._packed(grid, is_cut)
            return packed or self._source(view(self.places, grid), is_cut)
        turned = self._source(view(self.places, lists), is_cut)
        return lambda memory: turned(memory).T

    def _packed(self, grid: np.ndarray, is_cut: bool) -> Operand | None:
        """A constant right side, kept as these numerics' matrix kernel wants it."""
        pack, cut = self.numerics.pack_constant, self.numerics.cut
        found = rectangle(self.places, grid)
        if pack is None or found is None or found[0] not in self.constants:
            return None
        sheet, rows, columns = found

        def made(values: np.ndarray) -> Any:
            return pack(cut(values) if is_cut else values)

        def packed(memory: Memory) -> Any:
            return memory[sheet].packed(rows, columns, made)

        self.constant_operands.append(packed)
        return packed

    def _matmul_lists(self, group: Group) -> tuple[np.ndarray, np.ndarray]:
        return self._stacked(group, 0), self._stacked(group, 1)

    def _matmul_pairs(
        self, group: Group, rows: np.ndarray, columns: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Each output's (row list, column list), duplicates folded."""
        at_row = at_column = 0
        pairs = []
        for operands in group.operands:
            num_rows, num_columns = len(operands[0]), len(operands[1])
            own_rows = rows[at_row : at_row + num_rows]
            own_columns = columns[at_column : at_column + num_columns]
            pairs.append(
                np.stack(
                    [
                        np.repeat(own_rows, num_columns),
                        np.tile(own_columns, num_rows),
                    ],
                    axis=1,
                )
            )
            at_row, at_column = at_row + num_rows, at_column + num_columns
        outputs = np.concatenate(group.outputs)
        distinct, first, inverse = np.unique(
            np.concatenate(pairs), axis=0, return_index=True, return_inverse=True
        )
        self.places.same[outputs] = outputs[first][inverse.reshape(-1)]
        return outputs[first], distinct

    # -- stores ------------------------------------------------------------------

    def _store(self, parameter: int, numbers: np.ndarray) -> None:
        tensor = self.launch.tensors[parameter]
        grid = self.places.same[numbers].reshape(tensor.tile_rows, tensor.tile_columns)
        base = self.trace.leaf_base[parameter]
        leaves = np.arange(tensor.num_tiles).reshape(grid.shape) + base
        changed = grid != leaves
        self.names.append("store")
        if changed.all():
            whole = view(self.places, grid)

            def store_all(memory: Memory) -> None:
                memory[parameter][:] = whole(memory)

            self.steps.append(store_all)
            return
        rows, columns = np.nonzero(changed)
        part = view(self.places, grid[changed][:, None])

        def store_part(memory: Memory) -> None:
            sheet = memory[parameter]
            tiles = sheet.reshape(grid.shape[0], TILE, grid.shape[1], TILE)
            tiles[rows, :, columns] = part(memory).reshape(-1, TILE, TILE)

        self.steps.append(store_part)


def _limit_fill(i: ins.Fill, column: int, sheet: int, place: int) -> RunTimeStep:
    limit = i.limit
    assert limit is not None
    where = slice(place * TILE, (place + 1) * TILE)

    def step(memory: Memory, scalars: Environment) -> None:
        end = int(limit.evaluate(scalars))
        memory[sheet][where] = limit_tile(i, column, end)

    return step


def _gemm(
    compute: Callable[[np.ndarray, np.ndarray, np.ndarray], None],
    lhs: Operand,
    rhs: Operand,
    sheet: int,
    where: slice,
) -> Step:
    def step(memory: Memory) -> None:
        compute(lhs(memory), rhs(memory), memory[sheet][where])

    return step


def _products(pairs: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split (row, column) pairs into full products: rows that share their columns."""
    order = np.argsort(pairs[:, 0], kind="stable")
    rows, starts = np.unique(pairs[order, 0], return_index=True)
    columns = np.split(pairs[order, 1], starts[1:])
    sets: dict[bytes, list[int]] = {}
    for row, own in enumerate(columns):
        sets.setdefault(np.sort(own).tobytes(), []).append(row)
    return [(rows[members], np.sort(columns[members[0]])) for members in sets.values()]


_MERGE: dict[str, Callable[[_Merger, Group], None]] = {
    "unary": _Merger.unary,
    "pack": _Merger.pack,
    "binary": _Merger.binary,
    "sfpu_binary": _Merger.sfpu_binary,
    "pack_add": _Merger.pack_add,
    "copy": _Merger.copy,
    "pad": _Merger.pad,
    "rows": _Merger.rows,
    "mul_sum": _Merger.mul_sum,
    "reduce": _Merger.reduce,
    "matmul": _Merger.matmul,
}
