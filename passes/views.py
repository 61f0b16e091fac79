"""Views: reshapes, permutes and slices that only rename tiles.

A chain of view operations on a tensor is an index map from the dimensions of the
result to tiles of the source. A dimension counts in *granules*: 32 elements where it
runs along rows or columns inside tiles, 1 elsewhere. What would cut inside a tile, or
turn its rows into columns, has no view and must be rewritten before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from xdsl.ir import Operation, SSAValue

from dialects import ttir
from dialects.expr import (
    Const,
    Expr,
    Name,
    add,
    floordiv,
    modulo,
    multiply,
    substitute,
)
from dialects.formats import TILE_EDGE
from dialects.grid import RotateOp
from dialects.ttir.base import integers, shape_of
from passes.constants import is_constant


class CutsTileError(Exception):
    """The view would cut inside a tile; the message says which and how."""


ROWS, COLUMNS = "rows", "columns"


@dataclass(frozen=True)
class Dim:
    """A dimension: elements, and which way it runs inside tiles, if it does."""

    size: int
    inside: str | None = None

    @property
    def granule(self) -> int:
        """Elements per step of its index."""
        return 1 if self.inside is None else TILE_EDGE

    @property
    def steps(self) -> int:
        """Values that the dimension's index takes."""
        return -(-self.size // self.granule)


@dataclass(frozen=True)
class View:
    """A tensor as seen through a chain of views.

    `index` has an expression for each dimension of the source, over `d0`, `d1`, ...,
    the dimensions of the view, all in granules.
    """

    source: SSAValue
    dims: tuple[Dim, ...]
    index: tuple[Expr, ...]

    def tile_map(self, names: Sequence[Expr]) -> tuple[Expr, Expr]:
        """Row and column of a tile of the source, with the dimensions named."""
        values = {f"d{i}": name for i, name in enumerate(names)}
        index = [substitute(expr, values) for expr in self.index]
        shape = shape_of(self.source)
        if len(shape) < 2:
            return Const(0), index[0] if index else Const(0)
        row, stride = index[-2], -(-shape[-2] // TILE_EDGE)
        for size, expr in zip(reversed(shape[:-2]), reversed(index[:-2]), strict=True):
            row = add(multiply(expr, stride), row)
            stride *= size
        return row, index[-1]


def view_of(value: SSAValue) -> View:
    """The view that a value is of the tensor behind it. Raises `CutsTileError`.

    A constant whose tiles would have to be turned is turned at upload: it is the tensor
    behind what is seen of it.
    """
    owner = value.owner
    if isinstance(owner, Operation):
        handler = _HANDLERS.get(type(owner))
        if handler is not None:
            found = handler(owner)
            if found is not None:
                return whole(value) if _is_turned_constant(owner, found) else found
    return whole(value)


def _is_turned_constant(op: Operation, view: View) -> bool:
    turned = isinstance(op, ttir.PermuteOp) and _misplaced(view) is not None
    return turned and is_constant(op.results[0])


def _misplaced(view: View) -> int | None:
    """A dimension that does not run inside tiles as its place says, if there is one."""
    for place, dim in enumerate(view.dims):
        if dim.size != 1 and dim.inside != _inside(place, len(view.dims)):
            return place
    return None


def aligned_view(value: SSAValue) -> View:
    """The same, with tiles along the last two dimensions and nowhere else."""
    view = view_of(value)
    place = _misplaced(view)
    if place is not None:
        raise CutsTileError(
            f"dimension {place} of {'x'.join(str(d.size) for d in view.dims)} "
            "would have to be moved between tiles, or turned inside them"
        )
    return view


def _inside(place: int, rank: int) -> str | None:
    """Which way a dimension of a tensor runs inside its tiles."""
    return {1: COLUMNS, 2: ROWS}.get(rank - place)


def whole(value: SSAValue) -> View:
    """The view of a tensor as it is."""
    shape = shape_of(value)
    dims = tuple(
        Dim(size, _inside(place, len(shape))) for place, size in enumerate(shape)
    )
    index = tuple(_index(place, dim) for place, dim in enumerate(dims))
    return View(value, dims, index)


def by_rows(value: SSAValue) -> View:
    """The view of an index, which is stored row by row and read by pieces of rows.

    One that is a single row may be reshaped, as long as it stays one.
    """
    shape = shape_of(value)
    source = value
    while isinstance(source.owner, ttir.ReshapeOp):
        source = source.owner.input
    last = len(shape) - 1
    dims = tuple(
        Dim(size, COLUMNS if place == last else None)
        for place, size in enumerate(shape)
    )
    index = tuple(_index(place, dim) for place, dim in enumerate(dims))
    if source is value:
        return View(value, dims, index)
    if sum(size != 1 for size in (*shape, *shape_of(source))) > 2 * (shape[-1] != 1):
        raise CutsTileError("an index of several rows is reshaped")
    rows = (Const(0),) * (len(shape_of(source)) - 1)
    return View(source, dims, (*rows, index[-1]))


def repeat_interleave(view: View, dim: int, times: int) -> View:
    """Each index of a leading dimension repeated: grouped queries share a head."""
    dims = list(view.dims)
    dims[dim] = Dim(dims[dim].size * times, dims[dim].inside)
    values = {f"d{dim}": floordiv(Name(f"d{dim}"), times)}
    index = tuple(substitute(expr, values) for expr in view.index)
    return View(view.source, tuple(dims), index)


def _index(place: int, dim: Dim) -> Expr:
    return Const(0) if dim.size == 1 else Name(f"d{place}")


def _permute(op: ttir.PermuteOp) -> View:
    inner = view_of(op.input)
    order = tuple(op.permutation.get_values())
    values: dict[str, Expr] = {
        f"d{old}": Name(f"d{new}") for new, old in enumerate(order)
    }
    index = tuple(substitute(expr, values) for expr in inner.index)
    return View(inner.source, tuple(inner.dims[i] for i in order), index)


def _slice(op: ttir.SliceStaticOp) -> View | None:
    inner = view_of(op.input)
    begins, ends = integers(op.begins), integers(op.ends)
    if any(step != 1 for step in integers(op.step)):
        raise CutsTileError("a slice with a step cuts inside tiles")
    values: dict[str, Expr] = {}
    dims = []
    for place, (dim, begin, end) in enumerate(
        zip(inner.dims, begins, ends, strict=True)
    ):
        if begin % dim.granule or (end % dim.granule and end != dim.size):
            raise CutsTileError(
                f"the slice {begin} to {end} of dimension {place} cuts inside a tile"
            )
        dims.append(Dim(end - begin, dim.inside))
        own = _index(place, dims[-1])
        values[f"d{place}"] = add(own, Const(begin // dim.granule))
    index = tuple(substitute(expr, values) for expr in inner.index)
    return View(inner.source, tuple(dims), index)


def _concat(op: ttir.ConcatOp) -> View | None:
    """The two halves of one tensor in the other order: a rotation of its index."""
    owners = [part.owner for part in op.inputs]
    if len(owners) != 2:
        return None
    second, first = owners
    if not (
        isinstance(second, ttir.SliceStaticOp) and isinstance(first, ttir.SliceStaticOp)
    ):
        return None
    place = op.dim.value.data % len(shape_of(op.result))
    middle = integers(second.begins)[place]
    whole_shape = shape_of(first.input)
    halves = (
        first.input == second.input
        and shape_of(op.result) == whole_shape
        and integers(first.begins)[place] == 0
        and integers(first.ends)[place] == middle
        and integers(second.ends)[place] == whole_shape[place]
    )
    if not halves:
        return None
    return _turned(view_of(first.input), place, middle)


def _turned(inner: View, place: int, by: int) -> View:
    """A view with the index of one dimension rotated."""
    dim = inner.dims[place]
    if by % dim.granule or dim.size % dim.granule:
        raise CutsTileError(f"a rotation by {by} cuts inside a tile")
    turned = add(Name(f"d{place}"), Const(by // dim.granule))
    values = {f"d{place}": modulo(turned, dim.steps)}
    index = tuple(substitute(expr, values) for expr in inner.index)
    return View(inner.source, inner.dims, index)


def _broadcast(op: ttir.BroadcastOp) -> View:
    inner = view_of(op.input)
    sizes = shape_of(op.result)
    if any(
        size != dim.size and dim.granule != 1
        for size, dim in zip(sizes, inner.dims, strict=True)
    ):
        raise CutsTileError("a broadcast along rows or columns repeats inside tiles")
    dims = tuple(
        Dim(size, dim.inside) for size, dim in zip(sizes, inner.dims, strict=True)
    )
    return View(inner.source, dims, inner.index)


def _reshape(op: ttir.ReshapeOp) -> View:
    inner = view_of(op.input)
    new_sizes = shape_of(op.result)
    dims: list[Dim] = [Dim(1)] * len(new_sizes)
    values: dict[str, Expr] = {}
    for old, new in _groups([d.size for d in inner.dims], list(new_sizes)):
        _regroup(inner, old, new, new_sizes, dims, values)
    for place, dim in enumerate(inner.dims):
        if dim.size == 1:
            values[f"d{place}"] = Const(0)
    index = tuple(substitute(expr, values) for expr in inner.index)
    dims = [
        Dim(1, _inside(place, len(dims))) if d.size == 1 else d
        for place, d in enumerate(dims)
    ]
    return View(inner.source, tuple(dims), index)


def _groups(old: list[int], new: list[int]) -> list[tuple[list[int], list[int]]]:
    """Places of old and new dimensions (not 1) whose products agree, in order."""
    olds = [i for i, size in enumerate(old) if size != 1]
    news = [i for i, size in enumerate(new) if size != 1]
    groups = []
    while olds:
        left, right = [olds.pop(0)], [news.pop(0)]
        while True:
            a, b = prod(old[i] for i in left), prod(new[i] for i in right)
            if a == b:
                break
            if a < b:
                left.append(olds.pop(0))
            else:
                right.append(news.pop(0))
        groups.append((left, right))
    return groups


def _regroup(
    view: View,
    old: list[int],
    new: list[int],
    new_sizes: Sequence[int],
    dims: list[Dim],
    values: dict[str, Expr],
) -> None:
    """Express the old dimensions of one group by its new ones."""
    last = view.dims[old[-1]]
    granule = last.granule
    inner_size = new_sizes[new[-1]]
    alone = len(old) == len(new) == 1
    if any(view.dims[i].granule != 1 for i in old[:-1]) or (
        not alone and (inner_size % granule or last.size % granule)
    ):
        shapes = [view.dims[i].size for i in old], [new_sizes[i] for i in new]
        raise CutsTileError(f"a reshape of {shapes[0]} to {shapes[1]} cuts a tile")
    for place in new:
        inside = last.inside if place == new[-1] else None
        dims[place] = Dim(new_sizes[place], inside)
    linear: Expr = Const(0)
    stride = 1
    for place in reversed(new):
        linear = add(multiply(Name(f"d{place}"), stride), linear)
        stride *= dims[place].steps
    if len(old) == len(new) and all(
        view.dims[o].steps == dims[n].steps for o, n in zip(old, new, strict=True)
    ):
        values.update({f"d{o}": Name(f"d{n}") for o, n in zip(old, new, strict=True)})
        return
    stride = 1
    for place in reversed(old):
        steps = view.dims[place].steps
        index = floordiv(linear, stride)
        values[f"d{place}"] = index if place == old[0] else modulo(index, steps)
        stride *= steps


def _rotate(op: RotateOp) -> View:
    inner, place = view_of(op.input), len(shape_of(op.result)) - 1
    return _turned(inner, place, op.by.value.data)


_HANDLERS = {
    ttir.PermuteOp: _permute,
    ttir.SliceStaticOp: _slice,
    ttir.ConcatOp: _concat,
    ttir.BroadcastOp: _broadcast,
    ttir.ReshapeOp: _reshape,
    RotateOp: _rotate,
}


def is_view(op: Operation) -> bool:
    """Whether an operation only renames tiles, whatever it is applied to."""
    return type(op) in _HANDLERS
