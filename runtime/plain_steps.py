"""Steps as calls of the numerics on views of the sheets, one for each live segment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from dialects.expr import Expr
from runtime.arithmetic.l1_accumulation import accumulate_l1
from runtime.arithmetic.strip_kernels import copy_runs
from runtime.bound import Bound
from runtime.instructions import Fill
from runtime.liveness import Segments
from runtime.numerics import Numerics
from runtime.semantics import TILE, limit_tile
from runtime.steps import (
    Copy,
    LimitTiles,
    MulSum,
    PackAdd,
    PadEdge,
    Place,
    Product,
    Reduce,
    RowStores,
    Step,
    TableRows,
    Vector,
)

Call = Callable[[], Any]


def plain_call(
    step: Step, bound: Bound, numerics: Numerics, unrounded: Numerics
) -> Call:
    """A step as a call. `unrounded` computes sums that go on."""
    if isinstance(step, MulSum | Reduce | Product) and not step.rounds:
        numerics = unrounded
    return _CALLS[type(step)](step, bound, numerics)


def _slices(segments: Segments) -> Iterator[slice]:
    for start, stop in segments:
        yield slice(start, stop)


def _whole_tiles(segments: Segments) -> Segments:
    """Segments widened to whole tiles, where an operation works on tiles."""
    widened: list[tuple[int, int]] = []
    for start, stop in segments:
        start, stop = start // TILE * TILE, -(-stop // TILE) * TILE
        if widened and widened[-1][1] >= start:
            start = widened.pop()[0]
        widened.append((start, stop))
    return tuple(widened)


def _vector(step: Vector, bound: Bound, numerics: Numerics) -> Call:
    calls = [_vector_on(step, bound, numerics, rows) for rows in _slices(step.segments)]
    return calls[0] if len(calls) == 1 else lambda: [call() for call in calls]


def _vector_on(step: Vector, bound: Bound, numerics: Numerics, rows: slice) -> Call:
    out = bound.array(step.out)[rows]
    operands = [bound.view(place, rows, step.columns) for place in step.operands]
    detail = step.detail
    if step.kind == "unary":
        function, scalar = detail
        return lambda: numerics.vector_unary(function, operands[0], scalar, out)
    if step.kind == "pack":
        data_format, relu = detail
        return lambda: numerics.pack(operands[0], data_format, relu, out)
    if step.kind == "sfpu_binary":
        left, right = operands
        return lambda: numerics.vector_binary(detail[0], left, right, out)
    if step.kind == "copy":
        source = _read(numerics, operands[0], detail[1])
        return lambda: np.copyto(out, source())
    function, _, cut_lhs, cut_rhs = detail
    lhs = _read(numerics, operands[0], cut_lhs)
    rhs = _read(numerics, operands[1], cut_rhs)
    return lambda: numerics.binary(function, lhs(), rhs(), out)


def _read(
    numerics: Numerics, values: np.ndarray, is_cut: bool
) -> Callable[[], np.ndarray]:
    """Values as the matrix unit reads them."""
    return (lambda: numerics.cut(values)) if is_cut else (lambda: values)


def _mul_sum(step: MulSum, bound: Bound, numerics: Numerics) -> Call:
    out = bound.array(step.out)

    def call() -> None:
        for rows in _slices(step.segments):
            lhs, rhs = (
                _read(numerics, bound.view(place, rows, step.terms * TILE), is_cut)()
                for place, is_cut in zip(step.operands, step.is_cut, strict=True)
            )
            numerics.mul_sum(lhs, rhs, step.terms, out[rows])

    return call


def _reduce(step: Reduce, bound: Bound, numerics: Numerics) -> Call:
    out = bound.array(step.out)
    segments = _whole_tiles(step.segments)

    def call() -> None:
        for rows in _slices(segments):
            values = bound.view(step.operands[0], rows, step.terms * TILE)
            values = _read(numerics, values, step.is_cut)()
            out[rows] = 0
            numerics.reduce(
                step.kind, step.dim, values, step.terms, step.scaler, out[rows]
            )

    return call


def _product(step: Product, bound: Bound, numerics: Numerics) -> Call:
    right = _right_side(step, bound, numerics)
    out = bound.array(step.out)[step.first_row :, : step.columns]

    def call() -> None:
        rhs = right()
        for rows in _slices(step.segments):
            lhs = bound.view(step.operands[0], rows, step.depth)
            lhs = _read(numerics, lhs, step.is_cut[0])()
            numerics.matmul(np.ascontiguousarray(lhs), rhs, out[rows])

    return call


def _right_side(step: Product, bound: Bound, numerics: Numerics) -> Callable[[], Any]:
    """The right side; a constant one as these numerics keep it."""
    place, is_cut = step.operands[1], step.is_cut[1]
    rows, columns = step.depth, step.columns
    if step.turned:
        rows, columns = columns, rows

    def values() -> np.ndarray:
        found = bound.view(place, slice(0, rows), columns)
        found = _read(numerics, found, is_cut)()
        return found.T if step.turned else found

    constant = bound.constant(place.sheet)
    pack = numerics.pack_constant
    if constant is None or pack is None:
        return values
    key = ("plain", place, rows, columns, step.turned, is_cut)
    packed = constant.derived(key, lambda: pack(values()))
    return lambda: packed


def _copy(step: Copy, bound: Bound, numerics: Numerics) -> Call:
    runs = runs_table(step, bound)
    return lambda: copy_runs(runs)


def runs_table(step: Copy, bound: Bound) -> np.ndarray:
    """The runs of a copy with their addresses; see `copy_runs`."""
    target, target_step, _ = bound.address(Place(step.out, 0, 0))
    rows = []
    for run in step.runs:
        source, source_step, element_step = bound.address(run.source)
        to = target + run.row * target_step + 4 * run.column
        size = (run.rows, run.width, element_step == 0)
        rows.append((source, source_step, to, target_step, *size))
    return np.array(rows, np.int64).reshape(-1, 7)


def _pad(step: PadEdge, bound: Bound, numerics: Numerics) -> Call:
    out, number = bound.array(step.out), np.float32(step.number)

    def call() -> None:
        for rows in _slices(step.segments):
            values = bound.view(step.operands[0], rows, TILE)
            out[rows] = np.where(step.outside[rows], number, values)

    return call


def _pack_add(step: PackAdd, bound: Bound, numerics: Numerics) -> Call:
    out = bound.array(step.out)

    def call() -> None:
        for rows in _slices(step.segments):
            old, packed = (bound.view(p, rows, step.columns) for p in step.operands)
            out[rows] = accumulate_l1(old, packed, step.data_format)

    return call


def _table_rows(step: TableRows, bound: Bound, numerics: Numerics) -> Call:
    out = bound.array(step.out)
    table = _table_of(step, bound)
    places = [
        (at * TILE, place, step.segments) for at, place in enumerate(step.operands)
    ]
    wanted = np.concatenate([np.arange(*segment) for segment in step.segments])

    def call() -> None:
        numbers = np.concatenate(
            [bound.view(place, slice(0, 1), TILE)[0] for _, place, _ in places]
        )
        out[wanted] = table(numbers[wanted].astype(np.int64))

    return call


def _table_of(step: TableRows, bound: Bound) -> Callable[[np.ndarray], np.ndarray]:
    """Rows of the table by number; a constant bf16 table whose rows are whole tiles
    is kept as bf16."""
    elements = step.elements
    last = int(elements[-1])
    if (np.diff(elements) == 1).all():
        elements = slice(int(elements[0]), last + 1)
    constant = bound.constant(step.table)
    halves = None if constant is None else constant.halves()
    if halves is None or halves.shape[1] <= last:
        values = bound.array(step.table)
        return lambda numbers: values[numbers][:, elements]

    def widened(numbers: np.ndarray) -> np.ndarray:
        picked = halves[numbers][:, elements].astype(np.uint32) << np.uint32(16)
        return picked.view(np.float32)

    return widened


def _limit_tiles(step: LimitTiles, bound: Bound, numerics: Numerics) -> Call:
    """Fill the tiles; `known`, kept with them, says for which limits that was done."""
    tiles = bound.array(step.out)
    places: dict[Expr, list[tuple[int, Fill, int]]] = {}
    for place, (fill, column) in enumerate(step.fills):
        assert fill.limit is not None
        places.setdefault(fill.limit, []).append((place, fill, column))
    known = bound.limits.setdefault(step.out, {})

    def call() -> None:
        for limit, own in places.items():
            end = int(limit.evaluate(bound.scalars))
            if known.get(limit) == end:
                continue
            known[limit] = end
            for place, fill, column in own:
                rows = slice(place * TILE, (place + 1) * TILE)
                tiles[rows] = limit_tile(fill, column, end)

    return call


def _row_stores(step: RowStores, bound: Bound, numerics: Numerics) -> Call:
    target = bound.array(step.out)
    row_bytes = 4 * target.shape[1]
    table = np.zeros((len(step.moves), 7), np.int64)
    ways: dict[tuple[Expr, Expr], list[int]] = {}
    for at, move in enumerate(step.moves):
        source = bound.address(move.source)
        to = target.ctypes.data + TILE * (
            move.tile_row * row_bytes + 4 * move.tile_column
        )
        table[at] = source.first, source.row_step, to, row_bytes, 1, TILE, 0
        ways.setdefault((move.row, move.target), []).append(at)
    groups = [(*way, np.array(members)) for way, members in ways.items()]

    def call() -> None:
        moved = table.copy()
        for row, to, members in groups:
            own = int(row.evaluate(bound.scalars)) % TILE
            moved[members, 0] += own * table[members, 1]
            moved[members, 2] += int(to.evaluate(bound.scalars)) * row_bytes
        copy_runs(moved)

    return call


_CALLS: dict[type, Callable[[Any, Bound, Numerics], Call]] = {
    Vector: _vector,
    MulSum: _mul_sum,
    Reduce: _reduce,
    Product: _product,
    Copy: _copy,
    PadEdge: _pad,
    PackAdd: _pack_add,
    TableRows: _table_rows,
    LimitTiles: _limit_tiles,
    RowStores: _row_stores,
}
