"""Views against a slow oracle: the same operations on an array of tile numbers."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects.builtin import TensorType, bf16
from xdsl.ir import Block, SSAValue

from dialects import ttir
from dialects.expr import Const
from dialects.formats import TILE_EDGE
from dialects.ttir.base import shape_of
from passes.views import CutsTileError, View, aligned_view

Elements = np.ndarray


def source(shape: tuple[int, ...]) -> tuple[SSAValue, Elements]:
    """A tensor, and for each of its elements where it lies: tile row, tile column,
    row and column inside the tile."""
    value = Block(arg_types=[TensorType(bf16, shape)]).args[0]
    *leading, rows, _columns = shape
    index = np.indices(shape)
    stacked = np.zeros(shape, int)
    for size, where in zip(leading, index[:-2], strict=True):
        stacked = stacked * size + where
    tile_rows = stacked * -(-rows // TILE_EDGE) + index[-2] // TILE_EDGE
    places = [tile_rows, index[-1] // TILE_EDGE, index[-2] % TILE_EDGE]
    return value, np.stack([*places, index[-1] % TILE_EDGE], axis=-1)


def permuted(value: SSAValue, places: Elements, order: list[int]) -> tuple:
    turned = places.transpose(*order, len(order))
    return ttir.PermuteOp(value, order).result, turned


def reshaped(value: SSAValue, places: Elements, shape: list[int]) -> tuple:
    return ttir.ReshapeOp(value, shape).result, places.reshape(*shape, 4)


def sliced(value: SSAValue, places: Elements, dim: int, begin: int, end: int) -> tuple:
    shape = shape_of(value)
    begins, ends = [0] * len(shape), list(shape)
    begins[dim], ends[dim] = begin, end
    op = ttir.SliceStaticOp(value, begins, ends, [1] * len(shape))
    return op.result, places.take(range(begin, end), axis=dim)


def swapped(value: SSAValue, places: Elements, dim: int, middle: int) -> tuple:
    size = shape_of(value)[dim]
    upper, _ = sliced(value, places, dim, middle, size)
    lower, _ = sliced(value, places, dim, 0, middle)
    turned = np.roll(places, -middle, axis=dim)
    return ttir.ConcatOp([upper, lower], dim).result, turned


@st.composite
def chains(draw: st.DrawFn) -> tuple[SSAValue, Elements]:
    """A chain of up to four views of a small tensor."""
    sizes = st.sampled_from([1, 2, 3, 32, 33, 64, 96])
    shape = draw(
        st.lists(sizes, min_size=2, max_size=4).filter(lambda s: prod(s) < 2e5)
    )
    value, places = source(tuple(shape))
    for _ in range(draw(st.integers(1, 4))):
        shape = list(shape_of(value))
        dim = draw(st.integers(0, len(shape) - 1))
        kind = draw(st.sampled_from(["permute", "split", "merge", "slice", "swap"]))
        if kind == "permute":
            order = draw(st.permutations(range(len(shape))))
            value, places = permuted(value, places, list(order))
        elif kind == "split" and len(shape) < 5:
            divisors = [d for d in (1, 2, 3, 32) if shape[dim] % d == 0]
            inner = draw(st.sampled_from(divisors))
            new = [*shape[:dim], shape[dim] // inner, inner, *shape[dim + 1 :]]
            value, places = reshaped(value, places, new)
        elif kind == "merge" and len(shape) > 2 and dim > 0:
            new = [*shape[: dim - 1], shape[dim - 1] * shape[dim], *shape[dim + 1 :]]
            value, places = reshaped(value, places, new)
        elif kind == "slice" and shape[dim] > 1:
            begin = draw(st.sampled_from([b for b in (0, 1, 32) if b < shape[dim]]))
            end = draw(st.sampled_from([e for e in (33, 64, shape[dim]) if e > begin]))
            end = min(end, shape[dim])
            value, places = sliced(value, places, dim, begin, end)
        elif kind == "swap" and shape[dim] > 1:
            middle = draw(st.sampled_from([m for m in (1, 32) if m < shape[dim]]))
            value, places = swapped(value, places, dim, middle)
    return value, places


def check(value: SSAValue, places: Elements, view: View) -> None:
    """Each tile of the view is one tile of the source, as the oracle finds it."""
    shape = shape_of(value)
    steps = [*shape[:-2], *(-(-size // TILE_EDGE) for size in shape[-2:])]
    for index in np.ndindex(*steps):
        row, column = view.tile_map([Const(number) for number in index])
        first = places[(*index[:-2], index[-2] * TILE_EDGE, index[-1] * TILE_EDGE)]
        assert (row.evaluate({}), column.evaluate({})) == tuple(first[:2])
        assert tuple(first[2:]) == (0, 0)


@given(chains())
def test_map_agrees_with_the_oracle_or_the_view_is_refused(
    chain: tuple[SSAValue, Elements],
) -> None:
    value, places = chain
    try:
        view = aligned_view(value)
    except CutsTileError:
        return
    check(value, places, view)
    tile = places[..., :TILE_EDGE, :TILE_EDGE, :]
    rows, columns = tile.shape[-3], tile.shape[-2]
    assert (tile[..., 2] == np.arange(rows)[:, None]).all()
    assert (tile[..., 3] == np.arange(columns)).all()


def test_heads_are_columns_of_the_projection() -> None:
    value, places = source((1, 50, 192))
    value, places = reshaped(value, places, [1, 50, 3, 64])
    value, places = permuted(value, places, [0, 2, 1, 3])
    check(value, places, aligned_view(value))


def test_halves_in_the_other_order_are_a_rotation() -> None:
    value, places = swapped(*source((50, 96)), 1, 32)
    check(value, places, aligned_view(value))


@pytest.mark.parametrize(
    "chain",
    [
        permuted(*source((50, 70)), [1, 0]),
        permuted(*source((33, 3, 64)), [1, 0, 2]),
        reshaped(*source((50, 1)), [1, 50]),
        reshaped(*source((50, 70)), [50, 2, 35]),
        sliced(*source((50, 70)), 1, 3, 50),
        sliced(*source((50, 70)), 0, 0, 40),
        swapped(*source((50, 70)), 1, 32),
    ],
    ids=["turns", "moves rows", "column to row", "splits", "begins", "ends", "rotates"],
)
def test_cuts_inside_tiles_are_refused(chain: tuple[SSAValue, Elements]) -> None:
    with pytest.raises(CutsTileError):
        aligned_view(chain[0])


def test_a_vector_lies_in_one_row_of_tiles() -> None:
    value = Block(arg_types=[TensorType(bf16, (70,))]).args[0]
    row, column = aligned_view(value).tile_map([Const(2)])
    assert (row.evaluate({}), column.evaluate({})) == (0, 2)
