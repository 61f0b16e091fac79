"""`move-inside-tiles`: what no renaming of tiles can do, the compute units do.

Most views become the maps of operands. A transposition turns tiles inside: it is a
product with the identity matrix, whose right side the unpacker turns. A reshape of a
column into a row is a transposition too. A broadcast along rows or columns is an
element-wise operation, since those repeat their operands. What no pattern here can
rewrite stays for the coverage check to report.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter
from xdsl.transforms.dead_code_elimination import dce

from dialects import ttir
from dialects.ttir.base import element_of, shape_of
from passes.constants import is_constant
from passes.rewriting import fused_location
from passes.views import CutsTileError, aligned_view, is_view


@dataclass(frozen=True)
class MoveInsideTilesPass(ModulePass):
    """Views that cut or turn tiles become products and sums."""

    name = "move-inside-tiles"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in op.walk():
            if isinstance(function, FuncOp) and function.body.blocks:
                _rewrite(function.body.block)
        dce(op)


def _rewrite(block: Block) -> None:
    for op in list(block.ops):
        if isinstance(op, ttir.MatmulOp | ttir.LinearOp) and op.transposes_a:
            op = _turn_left_side(op)
        if not is_view(op):
            for number in range(len(op.operands)):
                _align(op, number)


def _align(op: Operation, number: int) -> None:
    """Rewrite views of an operand, the nearest first, until it is read by tiles."""
    view: SSAValue = op.operands[number]
    while not is_aligned(op.operands[number]):
        owner = view.owner
        if not (isinstance(owner, Operation) and is_view(owner)):
            return
        new = _REWRITES[type(owner)](owner) if type(owner) in _REWRITES else []
        view = owner.operands[0]
        if new:
            _replace(owner, new)
            for made in new:
                if isinstance(made, ttir.MatmulOp):
                    _align(made, 1)
                elif isinstance(made, ttir.AddOp):
                    _align(made, 0)


def is_aligned(value: SSAValue) -> bool:
    """Whether a value is read tile by tile; constants are laid out at upload."""
    if is_constant(value):
        return True
    try:
        aligned_view(value)
    except CutsTileError:
        return False
    return True


def _replace(op: Operation, new: list[Operation]) -> None:
    for made in new:
        made.location = fused_location([op])
    Rewriter.insert_op(new, InsertPoint.before(op))
    op.results[0].replace_all_uses_with(new[-1].results[0])


# -- transpositions ----------------------------------------------------------------


def _transposed(value: SSAValue) -> list[Operation]:
    """The last two dimensions exchanged, by a product with the identity matrix."""
    width = shape_of(value)[-1]
    numbers = ttir.ArangeOp(0, width)
    column = ttir.ReshapeOp(numbers, [width, 1])
    row = ttir.ReshapeOp(numbers, [1, width])
    equal = ttir.EqOp(column, row)
    identity = ttir.TypecastOp(equal, element_of(value))
    product = ttir.MatmulOp(identity, value, transpose_b=True)
    return [numbers, column, row, equal, identity, product]


def _turn_left_side(op: ttir.MatmulOp | ttir.LinearOp) -> Operation:
    """A contraction whose left side is a transposition of its own."""
    rank = len(shape_of(op.a))
    turned = ttir.PermuteOp(op.a, [*range(rank - 2), rank - 1, rank - 2])
    if isinstance(op, ttir.LinearOp):
        new = ttir.LinearOp(turned, op.b, op.bias, transpose_b=op.transposes_b)
    else:
        new = ttir.MatmulOp(turned, op.b, transpose_b=op.transposes_b)
    _replace(op, [turned, new])
    Rewriter.erase_op(op)
    return new


def _permute(op: Operation) -> list[Operation]:
    """A permutation that moves columns is one that does not, and a transposition."""
    assert isinstance(op, ttir.PermuteOp)
    order = [int(place) for place in op.permutation.get_values()]
    rank = len(order)
    if rank < 2 or order[-1] == rank - 1:
        return []
    *leading, row, column = order
    kept = [*leading, column, row]
    if kept == list(range(rank)):
        return _transposed(op.input)
    first = ttir.PermuteOp(op.input, kept)
    return [first, *_transposed(first.result)]


def _reshape(op: Operation) -> list[Operation]:
    """A reshape that only makes the columns rows, or the rows columns."""
    assert isinstance(op, ttir.ReshapeOp)
    old, new = shape_of(op.input), shape_of(op.result)
    if [size for size in old if size != 1] != [size for size in new if size != 1]:
        return []
    was_row, is_row = _lies_in_rows(old), _lies_in_rows(new)
    if is_row and not was_row:
        flat = ttir.ReshapeOp(op.input, [*new[:-2], new[-1], new[-2]])
        return [flat, *_transposed(flat.result)]
    if was_row and not is_row:
        turned = _transposed(op.input)
        return [*turned, ttir.ReshapeOp(turned[-1], new)]
    return []


def _lies_in_rows(shape: tuple[int, ...]) -> bool:
    return len(shape) > 1 and shape[-1] == 1 and shape[-2] != 1


# -- repetitions -------------------------------------------------------------------


def _broadcast(op: Operation) -> list[Operation]:
    assert isinstance(op, ttir.BroadcastOp)
    if not ttir.is_float(element_of(op.result)):
        return []
    zero = ttir.FullOp(shape_of(op.result), 0.0, element_of(op.result))
    return [zero, ttir.AddOp(op.input, zero)]


_REWRITES: dict[type[Operation], Callable[[Operation], list[Operation]]] = {
    ttir.PermuteOp: _permute,
    ttir.ReshapeOp: _reshape,
    ttir.BroadcastOp: _broadcast,
}
