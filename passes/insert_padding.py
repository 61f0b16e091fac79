"""`insert-padding`: what fills the last tile must not reach a sum or a maximum.

A reduction or contraction along a dimension whose extent is not a multiple of 32 reads
padding. Inputs and weights are padded with zeros at upload; whatever was computed may
hold anything there. An operand that may hold infinities is filled with zeros when it
is read. Where a zero (for sums) or the lowest number (for maxima) is needed and not
known to be there, a mask is multiplied or added first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import PassFailedException

from dialects import ttir
from dialects.expr import Const
from dialects.formats import TILE_EDGE
from dialects.grid import PadMaskOp, ProgramOp, UsesAttr
from dialects.syntax import ExprAttr, NumberAttr
from dialects.ttir.base import shape_of, tensor_type_of
from passes.axis_classes import ValueAxes
from passes.padding_facts import PaddingFacts, is_harmless, is_partial

MASKED = -3.3895313892515355e38 / 2
"""Half the lowest finite bf16: what masks add. Two of them add up to a number still,
and a maximum minus minus infinity would be none."""


@dataclass(frozen=True)
class InsertPaddingPass(ModulePass):
    """Clean or mask the padding that reductions and contractions would read."""

    name = "insert-padding"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        facts = PaddingFacts()
        for program in op.walk():
            if isinstance(program, ProgramOp):
                facts.enter(program)
                _clean_operands(program, facts)
                ops = list(program.body.block.ops)
                for inner in ops:
                    _guard(facts, inner)
                if len(program.body.block.ops) > len(ops):
                    facts.infer(program)


def _clean_operands(program: ProgramOp, facts: PaddingFacts) -> None:
    """Fill the padding of operands with zeros where infinities would spread."""
    risky = {
        argument: dims
        for argument in program.body.block.args
        if (dims := _risky_dims(argument, facts))
    }
    if not risky:
        return
    axes = ValueAxes(program)
    summed = _summed_axes(program, axes)
    uses = list(program.uses.data)
    for argument, dims in risky.items():
        own = axes.of(argument)
        if any(own[dim] in summed for dim in dims):
            _check_is_matrix(program.inputs[argument.index])
            facts.clean(argument)
            uses[argument.index] = replace(uses[argument.index], cleaned=True)
    program.properties["uses"] = UsesAttr(tuple(uses))
    facts.infer(program)


def _risky_dims(argument: SSAValue, facts: PaddingFacts) -> list[int]:
    """Dimensions, counted from the last, whose padding may hold infinities."""
    found = facts.of(argument)
    return [
        dim
        for dim, fact in ((-1, found.columns), (-2, found.rows))
        if is_partial(argument, dim) and not is_harmless(fact)
    ]


def _summed_axes(program: ProgramOp, axes: ValueAxes) -> set[str]:
    """Axes that some operation of a program sums or takes the maximum over."""
    summed: set[str] = set()
    for op in program.body.block.walk():
        if isinstance(op, ttir.MatmulOp | ttir.ReductionOp):
            inner = {axis for value in op.operands for axis in axes.real(value)}
            summed |= inner - set(axes.real(op.results[0]))
    return summed


def _check_is_matrix(source: SSAValue) -> None:
    """A data-movement processor finds the edge of one matrix only."""
    shape = shape_of(source)
    if prod(shape[:-2]) > 1:
        raise PassFailedException(
            f"the padding of a {'x'.join(map(str, shape))} tensor may hold infinities "
            f"that a sum would read; make its last dimensions multiples of {TILE_EDGE}"
        )


def _guard(facts: PaddingFacts, op: Operation) -> None:
    if isinstance(op, ttir.ReductionOp):
        along_columns = op.axes == (len(shape_of(op.input)) - 1,)
        if not (along_columns and is_partial(op.input, -1)):
            return
        if isinstance(op, ttir.MaxOp):
            _mask(op, 0, ttir.AddOp, inside=0.0, outside=MASKED)
        elif facts.of(op.input).columns != 0.0 and not _is_masked_softmax(op.input):
            _mask(op, 0, ttir.MultiplyOp, inside=1.0, outside=0.0)
    elif isinstance(op, ttir.MatmulOp) and is_partial(op.a, -1):
        b = facts.of(op.b)
        zeros = 0.0 in (
            facts.of(op.a).columns,
            b.columns if op.transposes_b else b.rows,
        )
        if not (zeros or _is_masked_softmax(op.a)):
            _mask(op, 0, ttir.MultiplyOp, inside=1.0, outside=0.0)


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
