"""`insert-padding`: what fills the last tile must not reach a sum or a maximum.

A reduction or contraction along columns whose extent is not a multiple of 32 reads
padding. Inputs and weights are padded with zeros at upload; whatever was computed may
hold anything there. Where a zero (for sums) or the lowest number (for maxima) is
needed and not known to be there, a mask is multiplied or added first.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, BlockArgument, Operation, SSAValue
from xdsl.passes import ModulePass

from dialects import ttir
from dialects.expr import Const
from dialects.formats import TILE_EDGE
from dialects.grid import PadMaskOp, ProgramOp
from dialects.syntax import ExprAttr, NumberAttr
from dialects.ttir.base import shape_of, tensor_type_of
from passes.constants import is_constant

LOWEST = -3.3895313892515355e38
"""The lowest finite bf16."""


@dataclass(frozen=True)
class InsertPaddingPass(ModulePass):
    """Mask padding columns before reductions and contractions that would read them."""

    name = "insert-padding"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for program in op.walk():
            if isinstance(program, ProgramOp):
                for inner in list(program.body.block.ops):
                    _guard(program, inner)


def _guard(program: ProgramOp, op: Operation) -> None:
    if isinstance(op, ttir.ReductionOp):
        along_columns = op.axes == (len(shape_of(op.input)) - 1,)
        if not (_is_partial(op.input) and along_columns):
            return
        if isinstance(op, ttir.MaxOp):
            _mask(op, 0, ttir.AddOp, inside=0.0, outside=LOWEST)
        elif not (_is_zero_padded(program, op.input) or _is_masked_softmax(op.input)):
            _mask(op, 0, ttir.MultiplyOp, inside=1.0, outside=0.0)
    elif isinstance(op, ttir.MatmulOp) and _is_partial(op.a):
        clean = _is_zero_padded(program, op.a) or _is_zero_padded(program, op.b)
        if not (clean or _is_masked_softmax(op.a)):
            _mask(op, 0, ttir.MultiplyOp, inside=1.0, outside=0.0)


def _is_partial(value: SSAValue) -> bool:
    return shape_of(value)[-1] % TILE_EDGE != 0 and shape_of(value)[-1] != 1


def _is_zero_padded(program: ProgramOp, value: SSAValue) -> bool:
    """Uploaded tensors are; products are where one factor is."""
    if isinstance(value, BlockArgument):
        source = program.inputs[value.index]
        return is_constant(source) or isinstance(source.owner, Block)
    owner = value.owner
    if isinstance(owner, ttir.MultiplyOp):
        return any(_is_zero_padded(program, v) for v in (owner.lhs, owner.rhs))
    return False


def _is_masked_softmax(value: SSAValue) -> bool:
    """Exponentials of scores whose padding was masked are zero there."""
    owner = value.owner
    while isinstance(owner, ttir.ExpOp | ttir.SubtractOp):
        owner = owner.operands[0].owner
    return isinstance(owner, ttir.AddOp) and any(
        isinstance(operand.owner, PadMaskOp) for operand in owner.operands
    )


def _mask(
    op: Operation,
    place: int,
    combine: type[ttir.AddOp] | type[ttir.MultiplyOp],
    *,
    inside: float,
    outside: float,
) -> None:
    value = op.operands[place]
    valid = shape_of(value)[-1] % TILE_EDGE
    mask = PadMaskOp.create(
        result_types=[tensor_type_of(value)],
        properties={
            "valid": ExprAttr(Const(valid)),
            "inside": NumberAttr(inside),
            "outside": NumberAttr(outside),
        },
    )
    masked = combine(value, mask.results[0])
    block = op.parent
    assert block is not None
    block.insert_ops_before([mask, masked], op)
    if isinstance(op, ttir.MaxOp):
        value.replace_uses_with_if(
            masked.results[0], lambda use: use.operation is not masked
        )
    else:
        op.operands[place] = masked.results[0]
