"""`simplify`: drops ops that do nothing and merges chains of views and casts."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, f32
from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import (
    PatternRewriter,
    RewritePattern,
    op_type_rewrite_pattern,
)

from dialects import ttir
from passes import extent_one
from passes.rewriting import (
    apply_patterns,
    is_float_cast,
    producer,
    replace,
    replace_by_value,
    splat_of,
    with_splat,
)


class DropIdentityView(RewritePattern):
    """A view that yields its own input.

    Reshape, cast, broadcast and slice do when the type stays; a permutation when it
    leaves each dimension in place; concat of one input always.
    """

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        match op:
            case (
                ttir.ReshapeOp()
                | ttir.TypecastOp()
                | ttir.BroadcastOp()
                | ttir.SliceStaticOp()
                | ttir.PadOp()
            ):
                if op.input.type == op.result.type:
                    replace_by_value(rewriter, op, op.input)
            case ttir.PermuteOp():
                order = op.permutation.get_values()
                if list(order) == list(range(len(order))):
                    replace_by_value(rewriter, op, op.input)
            case ttir.ConcatOp():
                if len(op.inputs) == 1:
                    replace_by_value(rewriter, op, op.inputs[0])


class MergeReshapes(RewritePattern):
    """Of two reshapes in a row the second is enough."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ttir.ReshapeOp, rewriter: PatternRewriter) -> None:
        first = producer(op.input, ttir.ReshapeOp)
        if first is not None:
            merged = ttir.ReshapeOp(first.input, ttir.shape_of(op))
            replace(rewriter, op, merged, absorbed=[first])


class MergePermutes(RewritePattern):
    """Two permutations in a row are one."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ttir.PermuteOp, rewriter: PatternRewriter) -> None:
        first = producer(op.input, ttir.PermuteOp)
        if first is not None:
            inner = first.permutation.get_values()
            order = [int(inner[int(i)]) for i in op.permutation.get_values()]
            merged = ttir.PermuteOp(first.input, order)
            replace(rewriter, op, merged, absorbed=[first])


class WritePermuteAsReshape(RewritePattern):
    """A permutation that moves only dimensions of extent one is a reshape."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ttir.PermuteOp, rewriter: PatternRewriter) -> None:
        shape = ttir.shape_of(op.input)
        moved = [i for i in op.permutation.get_values() if shape[int(i)] != 1]
        if moved == sorted(moved):
            replace(rewriter, op, ttir.ReshapeOp(op.input, ttir.shape_of(op)))


class MergeCasts(RewritePattern):
    """A cast after one to a wider float type may start from the first input."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ttir.TypecastOp, rewriter: PatternRewriter) -> None:
        first = producer(op.input, ttir.TypecastOp)
        if first is None or not is_float_cast(first):
            return
        if ttir.element_of(first) != f32:
            return
        merged = ttir.TypecastOp(first.input, ttir.element_of(op))
        replace(rewriter, op, merged, absorbed=[first])


class WriteViewOfFullAsFull(RewritePattern):
    """A reshape, broadcast or cast of one number everywhere is that number."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        if not isinstance(op, ttir.ReshapeOp | ttir.BroadcastOp | ttir.TypecastOp):
            return
        number = splat_of(op.result)
        if number is not None:
            full = ttir.FullOp(ttir.shape_of(op), number, ttir.element_of(op))
            replace(rewriter, op, full)


class DropNeutralElement(RewritePattern):
    """x + 0, x - 0, 1 x and x / 1 are x."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        match op:
            case ttir.AddOp() | ttir.MultiplyOp():
                found = with_splat(op)
            case ttir.SubtractOp() | ttir.DivOp():
                found = with_splat(op, commutes=False)
            case _:
                return
        neutral = float(isinstance(op, ttir.MultiplyOp | ttir.DivOp))
        if found is not None and found[1] == neutral:
            value = found[0]
            if value.type == op.result.type:
                replace_by_value(rewriter, op, value)


class DropBroadcastOfOperand(RewritePattern):
    """An element-wise operation repeats its operands itself."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        if not isinstance(op, ttir.ArithmeticOp):
            return
        shape = ttir.shape_of(op)
        for number, value in enumerate(op.operands):
            view = producer(value, ttir.BroadcastOp)
            if view is None:
                continue
            shapes = [ttir.shape_of(v) for v in op.operands]
            shapes[number] = ttir.shape_of(view.input)
            if ttir.broadcast_shape(*shapes) == shape:
                operands = list(op.operands)
                operands[number] = view.input
                replace(rewriter, op, type(op)(*operands), absorbed=[view])
                return


class AbsorbTransposeIntoContraction(RewritePattern):
    """A permutation that exchanges the last two dimensions of b is `transpose_b`."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        if not isinstance(op, ttir.MatmulOp | ttir.LinearOp):
            return
        view = producer(op.b, ttir.PermuteOp)
        if view is None or not exchanges_last_two(view):
            return
        flags = {
            "transpose_a": op.transposes_a,
            "transpose_b": not op.transposes_b,
        }
        if isinstance(op, ttir.MatmulOp):
            new_op = ttir.MatmulOp(op.a, view.input, **flags)
        else:
            new_op = ttir.LinearOp(op.a, view.input, op.bias, **flags)
        replace(rewriter, op, new_op, absorbed=[view])


def exchanges_last_two(op: ttir.PermuteOp) -> bool:
    """Whether a permutation exchanges the last two dimensions and no others."""
    order = [int(i) for i in op.permutation.get_values()]
    rank = len(order)
    return rank >= 2 and order == [*range(rank - 2), rank - 1, rank - 2]


@dataclass(frozen=True)
class SimplifyPass(ModulePass):
    """Drops ops that do nothing and merges chains of views and casts."""

    name = "simplify"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        apply_patterns(
            op,
            DropIdentityView(),
            MergeReshapes(),
            MergePermutes(),
            WritePermuteAsReshape(),
            MergeCasts(),
            WriteViewOfFullAsFull(),
            DropNeutralElement(),
            DropBroadcastOfOperand(),
            *(pattern() for pattern in extent_one.PATTERNS),
            AbsorbTransposeIntoContraction(),
        )
