"""A long norm as two launches, so that cores which share a row need not all sum it.

In the first, each core sums the squares of the parts that it has; the second reads a
few sums for each row and scales. Whether that is faster than one launch is for
`weigh_fusions.py`, which marks the norms.
"""

from __future__ import annotations

from math import log

from xdsl.dialects.builtin import TensorType, f32
from xdsl.ir import Operation
from xdsl.rewriter import Rewriter

from dialects import ttir
from dialects.formats import TILE_EDGE
from dialects.grid_norms import RmsNormOfSumsOp, SquareSumsOp
from dialects.ttir.base import shape_of
from passes.views import CutsTileError, aligned_view

_MIN_TILES = 16
"""Tiles of a row from which it is tried: a core sums fewer in the time of a launch."""

_MOST_PARTS = 16
"""Parts of a row, as each core reads all of their sums."""


def num_parts(norm: Operation) -> int:
    """In how many equal parts of whole tiles a norm's rows are cut; 1 where they stay.

    A core sums over one part, then over the sums of all: both are few for about as many
    parts as a part has tiles.
    """
    if not isinstance(norm, ttir.RMSNormOp) or norm.bias is not None:
        return 1
    width = shape_of(norm.input)[-1]
    tiles = width // TILE_EDGE
    if width % TILE_EDGE or tiles < _MIN_TILES or not _is_aligned(norm):
        return 1
    choices = [n for n in range(2, _MOST_PARTS + 1) if tiles % n == 0]
    return min(choices, key=lambda n: (abs(log(n * n / tiles)), -n), default=1)


def _is_aligned(norm: ttir.RMSNormOp) -> bool:
    """Whether rows are cut along tiles where they lie."""
    try:
        aligned_view(norm.input)
    except CutsTileError:
        return False
    return len(shape_of(norm.input)) > 1


def sum_apart(norm: ttir.RMSNormOp) -> None:
    """Write a norm as sums of squares and a norm of them."""
    *rows, width = shape_of(norm.input)
    parts, rank = num_parts(norm), len(rows)
    tiles = width // TILE_EDGE // parts
    cut = ttir.ReshapeOp(norm.input, [*rows, parts, tiles, TILE_EDGE])
    first = ttir.PermuteOp(cut.result, [rank, rank + 1, *range(rank), rank + 2])
    sums = SquareSumsOp.create(
        operands=[first.result],
        result_types=[TensorType(f32, [parts, 1, *rows, TILE_EDGE])],
    )
    last = ttir.PermuteOp(sums.result, [*range(2, rank + 2), 0, 1, rank + 2])
    row = ttir.ReshapeOp(last.result, [*rows, parts * TILE_EDGE])
    scaled = RmsNormOfSumsOp(
        norm.input, row.result, norm.weight, epsilon=norm.epsilon.value.data
    )
    written = [cut, first, sums, last, row, scaled]
    for op in written:
        op.location = norm.location
    Rewriter.replace_op(norm, written, [scaled.result])
