"""`split-heads`: a projection that is read head by head is computed head by head.

Query, key and value leave their projection as rows with all heads side by side, and
are then seen as heads x rows x columns. With the weights seen that way, the projection
itself makes that shape: heads become an axis, a norm or a rotation inside a head stays
on one core, and the parts of q, k and v are runs of heads. The columns turned round in
rotary embedding become one operation on the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import IntegerAttr, ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from dialects import ttir
from dialects.chip import load_chip
from dialects.expr import Name
from dialects.formats import TILE_EDGE
from dialects.grid import RotateOp
from dialects.ttir.base import shape_of
from passes.constants import is_constant
from passes.patterns import is_elementwise
from passes.views import CutsTileError, View, aligned_view, is_view

BY_HEADS = "forge.by_heads"
"""Attribute of a projection of which it is known whether it is faster by heads
(`weigh_fusions.py`); others are judged by what a launch costs."""

_CORE_BYTES_PER_CYCLE = 31  # one core reading all banks [fact sheet, 4.5]
_DRAM_BYTES_PER_CYCLE = 190  # all cores reading interleaved pages [fact sheet, 4.5]
_TILE_CYCLES = 66  # a bf16 tile of weights, as long to read as to multiply [2.6, 4.5]
_SAVED = 4000  # a small launch: 2,050 from op to op [5], its reads and writes as long


@dataclass(frozen=True)
class SplitHeadsPass(ModulePass):
    """Projections that are read head by head are computed head by head.

    Rotary embedding of norms becomes rotations, with or without a projection before.
    """

    name = "split-heads"

    chip: str = "n150"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        num_cores = load_chip(self.chip).num_cores
        for linear, heads in list(_projections(op)):
            weighed = linear.attributes.get(BY_HEADS)
            if weighed is None:
                pays = _pays(linear, heads, num_cores)
            else:
                assert isinstance(weighed, IntegerAttr)
                pays = bool(weighed.value.data)
            if pays:
                _split(linear, heads)
        for norm in list(op.walk()):
            if isinstance(norm, ttir.RMSNormOp):
                _turn_columns(norm.result)


def projections_by_heads(around: Operation) -> list[ttir.LinearOp]:
    """The projections in a module or function that could be computed head by head."""
    return [linear for linear, _ in _projections(around)]


def _projections(around: Operation) -> Iterator[tuple[ttir.LinearOp, list[_Heads]]]:
    for op in around.walk():
        if isinstance(op, ttir.LinearOp) and _projects(op):
            heads = list(_heads(op.result, op.result))
            if _is_worth_it(heads):
                yield op, [part for part in heads if part is not None]


@dataclass(frozen=True)
class _Heads:
    """A run of heads of a projection, and the value that sees it as such."""

    value: SSAValue
    first: int

    @property
    def count(self) -> int:
        """Heads in the run."""
        return shape_of(self.value)[1]

    @property
    def width(self) -> int:
        """Columns of a head."""
        return shape_of(self.value)[3]


def _projects(op: ttir.LinearOp) -> bool:
    """Whether the right side is a weight, and the result one matrix."""
    shape = shape_of(op.result)
    return (
        op.transposes_b
        and not op.transposes_a
        and is_constant(op.b)
        and (op.bias is None or is_constant(op.bias))
        and len(shape) == 3
        and shape[0] == 1
    )


def _heads(projection: SSAValue, value: SSAValue) -> Iterator[_Heads | None]:
    """The heads as which each use of a projection sees it; None for another use."""
    for use in value.uses:
        if not is_view(use.operation):
            yield None
            continue
        seen = use.operation.results[0]
        first = _first_head(projection, seen)
        if first is not None:
            yield _Heads(seen, first)
        else:
            yield from _heads(projection, seen)


def _first_head(projection: SSAValue, value: SSAValue) -> int | None:
    """The number of the head that a view begins with, where it shows whole heads."""
    shape, whole = shape_of(value), shape_of(projection)
    if len(shape) != 4 or (shape[0], shape[2]) != (1, whole[1]):
        return None
    if shape[3] % TILE_EDGE or whole[2] % shape[3]:
        return None
    try:
        view = aligned_view(value)
    except CutsTileError:
        return None
    rows, columns = _places(view)
    head, row, column = np.indices((shape[1], rows.shape[1], rows.shape[2]))
    width = shape[3] // TILE_EDGE
    first, rest = divmod(int(columns.flat[0]), width)
    same = (rows == row).all() and (columns == (first + head) * width + column).all()
    return first if view.source is projection and same and not rest else None


def _places(view: View) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of the tile behind each tile of a view: heads, rows, columns."""
    steps = [dim.steps for dim in view.dims]
    names = [Name(f"i{place}") for place in range(len(steps))]
    grids = np.indices(steps)
    env = {name.name: grid for name, grid in zip(names, grids, strict=True)}
    row, column = (expr.evaluate(env) for expr in view.tile_map(names))
    return (
        np.broadcast_to(np.asarray(row), steps)[0],
        np.broadcast_to(np.asarray(column), steps)[0],
    )


def _is_worth_it(heads: list[_Heads | None]) -> bool:
    """Whether something is computed with heads, all alike, that could move in."""
    found = [part for part in heads if part is not None]
    return (
        bool(found)
        and len(found) == len(heads)
        and len({part.width for part in found}) == 1
        and any(_followers(part.value) for part in found)
    )


def _followers(value: SSAValue) -> int:
    """How many programs would follow on heads: a norm, a rotation, a cache write."""
    users = {use.operation for use in value.uses}
    norms = [user for user in users if isinstance(user, ttir.RMSNormOp)]
    written = any(isinstance(user, ttir.CacheWriteOp) for user in users)
    rotated = any(is_elementwise(user) or _half_of(user) is value for user in users)
    return written + rotated + sum(1 + _followers(norm.result) for norm in norms)


def _pays(linear: ttir.LinearOp, heads: list[_Heads], num_cores: int) -> bool:
    """Whether the launches that are saved outweigh that a core has whole heads.

    Where there are fewer heads than cores, a head's weights pass through one core
    while others are idle; columns could be shared out further, though never to more
    than DRAM delivers.
    """
    rows, inner = (-(-size // TILE_EDGE) for size in shape_of(linear.a)[1:])
    columns, width = shape_of(linear.result)[2] // TILE_EDGE, heads[0].width
    width //= TILE_EDGE
    whole = -(-rows * columns // width // num_cores) * width * inner
    shared = -(-rows * columns // num_cores) * inner
    least = columns * inner * _CORE_BYTES_PER_CYCLE / _DRAM_BYTES_PER_CYCLE
    saved = _SAVED * sum(_followers(part.value) for part in heads)
    return (whole - max(shared, least)) * _TILE_CYCLES <= saved


def _split(linear: ttir.LinearOp, heads: list[_Heads]) -> None:
    """Put the projection by heads, and runs of them, in the place of the linear."""
    rows, inner = shape_of(linear.a)[1:]
    columns, width = shape_of(linear.result)[2], heads[0].width
    count = columns // width
    turned = ttir.PermuteOp(linear.b, [1, 0])
    apart = ttir.ReshapeOp(turned, [inner, count, width])
    first = ttir.PermuteOp(apart, [1, 0, 2])
    weight = ttir.ReshapeOp(first, [1, count, inner, width])
    made = ttir.MatmulOp(linear.a, weight)
    new: list[Operation] = [turned, apart, first, weight, made]
    if linear.bias is not None:
        bias = ttir.ReshapeOp(linear.bias, [1, count, 1, width])
        made = ttir.AddOp(made, bias)
        new += [bias, made]
    runs: dict[tuple[int, int], SSAValue] = {(0, count): made.results[0]}
    for part in sorted(heads, key=lambda part: part.first):
        run = (part.first, part.first + part.count)
        if run not in runs:
            begins, ends = [0, run[0], 0, 0], [1, run[1], rows, width]
            new.append(cut := ttir.SliceStaticOp(made, begins, ends))
            runs[run] = cut.result
        part.value.replace_all_uses_with(runs[run])
    for op in new:
        op.location = linear.location
    Rewriter.insert_op(new, InsertPoint.before(linear))
    for value in runs.values():
        _turn_columns(value)
    _erase(linear)


def _erase(op: Operation) -> None:
    """Erase an operation and the views of it, which nobody uses any more."""
    for use in list(op.results[0].uses):
        if use.operation.parent is not None:
            _erase(use.operation)
    Rewriter.erase_op(op)


def _half_of(op: Operation) -> SSAValue | None:
    """What an operation is one half of, along the columns."""
    if not isinstance(op, ttir.SliceStaticOp):
        return None
    *others, last = op.runs
    *extents, width = shape_of(op.input)
    whole = [run == range(extent) for run, extent in zip(others, extents, strict=True)]
    halves = (range(width // 2), range(width // 2, width))
    return op.input if all(whole) and last in halves else None


def _turn_columns(value: SSAValue) -> None:
    """Make concat(second half, first half) of a value's columns a rotation."""
    halves = [use.operation for use in value.uses if _half_of(use.operation) is value]
    for half in halves:
        for use in list(half.results[0].uses):
            concat = use.operation
            if isinstance(concat, ttir.ConcatOp) and _is_swap(concat, value):
                turned = RotateOp(value, shape_of(value)[-1] // 2)
                turned.location = concat.location
                Rewriter.insert_op(turned, InsertPoint.before(concat))
                concat.result.replace_all_uses_with(turned.result)
                Rewriter.erase_op(concat)
    for half in halves:
        if not half.results[0].uses:
            Rewriter.erase_op(half)


def _is_swap(op: ttir.ConcatOp, value: SSAValue) -> bool:
    """Whether the second half of a value stands before its first."""
    parts = [part.owner for part in op.inputs]
    if len(parts) != 2 or op.axis != len(shape_of(value)) - 1:
        return False
    starts = [
        part.runs[-1].start
        for part in parts
        if isinstance(part, ttir.SliceStaticOp) and _half_of(part) is value
    ]
    width = shape_of(value)[-1]
    return starts == [width // 2, 0] and width // 2 % TILE_EDGE == 0
