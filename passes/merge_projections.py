"""`merge-projections`: linear layers that read the same tensor become one.

Query, key and value projections are one matmul with the weights side by side, and
slices of its result. Projections that meet again element by element (gate and up)
stay two: they become two accumulators of one program.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from dialects import ttir
from dialects.formats import TILE_EDGE
from dialects.ttir.base import shape_of
from passes.constants import is_constant
from passes.patterns import elementwise_partner
from passes.rewriting import fused_location


@dataclass(frozen=True)
class MergeProjectionsPass(ModulePass):
    """Linear layers that read the same tensor become one matmul and slices."""

    name = "merge-projections"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        readers: dict[SSAValue, list[ttir.LinearOp]] = {}
        for linear in op.walk():
            if isinstance(linear, ttir.LinearOp) and _mergeable(linear):
                readers.setdefault(linear.a, []).append(linear)
        for group in readers.values():
            alike = [o for o in group if (o.bias is None) == (group[0].bias is None)]
            if len(alike) > 1:
                _merge(alike)


def _mergeable(op: ttir.LinearOp) -> bool:
    width = shape_of(op.result)[-1]
    return (
        op.transposes_b
        and not op.transposes_a
        and is_constant(op.b)
        and (op.bias is None or is_constant(op.bias))
        and width % TILE_EDGE == 0
        and elementwise_partner(op) is None
    )


def _merge(group: list[ttir.LinearOp]) -> None:
    """Put one linear in the place of the first, and slices in that of each."""
    first = group[0]
    location = fused_location(group)
    new: list[Operation] = [weight := ttir.ConcatOp([o.b for o in group], 0)]
    bias = None
    if first.bias is not None:
        biases = [o.bias for o in group if o.bias is not None]
        new.append(bias := ttir.ConcatOp(biases, 0))
    new.append(merged := ttir.LinearOp(first.a, weight, bias, transpose_b=True))
    begin = 0
    shape = shape_of(merged)
    slices = []
    for op in group:
        end = begin + shape_of(op.result)[-1]
        begins = [0] * (len(shape) - 1) + [begin]
        ends = [*shape[:-1], end]
        slices.append(ttir.SliceStaticOp(merged, begins, ends, [1] * len(shape)))
        begin = end
    for op in (*new, *slices):
        op.location = location
    Rewriter.insert_op([*new, *slices], InsertPoint.before(first))
    for op, part in zip(group, slices, strict=True):
        op.result.replace_all_uses_with(part.result)
        Rewriter.erase_op(op)
