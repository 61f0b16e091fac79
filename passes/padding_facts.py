"""What stands in the padding of a value: behind its last row, and its last column.

A fact is a number, where the padding is known to hold it; FINITE, where it holds some
number; REAL, where a dimension of extent 1 is repeated, so that it holds real data;
ANY, where it may hold infinities, which no product with zero removes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from xdsl.ir import BlockArgument, Operation, OpResult, SSAValue

from dialects import ttir
from dialects.formats import TILE_EDGE
from dialects.grid import (
    CausalMaskOp,
    CombineOp,
    EachUserOp,
    LoopOp,
    PadMaskOp,
    PositionMaskOp,
    ProgramOp,
    YieldOp,
)
from dialects.ttir.base import shape_of
from passes.constants import is_constant
from passes.region_views import REGION_VIEWS
from passes.rewriting import splat_of

FINITE, REAL, ANY = "finite", "real", "any"
Fact = float | str


@dataclass(frozen=True)
class Padding:
    """The facts of a value's padding rows and padding columns."""

    rows: Fact
    columns: Fact

    @property
    def turned(self) -> Padding:
        """The facts of the transposed value."""
        return Padding(self.columns, self.rows)


ZEROS = Padding(0.0, 0.0)


def is_harmless(fact: Fact) -> bool:
    """Whether a product with zero is zero there."""
    return fact != ANY


def is_partial(value: SSAValue, dim: int) -> bool:
    """Whether a dimension, counted from the last, ends inside a tile."""
    shape = shape_of(value)
    return len(shape) >= -dim and shape[dim] != 1 and shape[dim] % TILE_EDGE != 0


class PaddingFacts:
    """Facts of all values of a function's programs, in the order of the programs."""

    def __init__(self) -> None:
        self._known: dict[SSAValue, Padding] = {}

    def enter(self, program: ProgramOp) -> None:
        """Take over what is known of a program's operands, then of its values."""
        arguments = program.body.block.args
        for argument, source in zip(arguments, program.inputs, strict=True):
            self._known[argument] = self.of_source(source)
        self.infer(program)

    def infer(self, program: ProgramOp) -> None:
        """Work out the facts of a region again, from those of its arguments."""
        for op in program.body.block.ops:
            if isinstance(op, LoopOp):
                self._infer_carried(op, op.carried)
            elif isinstance(op, CombineOp):
                self._infer_carried(op, op.combined)
            elif isinstance(op, YieldOp):
                facts = [self.of(value) for value in op.operands]
                self._known.update(zip(program.outputs, facts, strict=True))
            else:
                self._known[op.results[0]] = self._of_op(op)

    def _infer_carried(
        self, around: LoopOp | CombineOp, results: Sequence[SSAValue]
    ) -> None:
        """Sums and peaks of numbers are numbers, whatever the blocks held."""
        carried = (*around.body.block.args, *results)
        self._known.update(dict.fromkeys(carried, Padding(FINITE, FINITE)))
        for op in around.body.block.ops:
            if not isinstance(op, YieldOp):
                self._known[op.results[0]] = self._of_op(op)

    def of(self, value: SSAValue) -> Padding:
        """What is known of a value."""
        number = splat_of(value)
        if number is not None:
            return Padding(number, number)
        found = self._known.get(value, Padding(ANY, ANY))
        shape = (1, 1, *shape_of(value))
        return Padding(
            REAL if shape[-2] == 1 else found.rows,
            REAL if shape[-1] == 1 else found.columns,
        )

    def of_source(self, source: SSAValue) -> Padding:
        """What is known of a tensor in memory: uploads are padded with zeros."""
        if is_constant(source) or isinstance(source, BlockArgument):
            return ZEROS
        return self._known.get(source, Padding(ANY, ANY))

    def clean(self, argument: SSAValue) -> None:
        """An operand whose padding is filled with zeros when it is read."""
        self._known[argument] = ZEROS

    # -- operations ----------------------------------------------------------------

    def _of_op(self, op: Operation) -> Padding:
        if isinstance(op, ttir.MatmulOp):
            return self._of_matmul(op)
        if isinstance(op, ttir.ReductionOp):
            return self._of_reduction(op)
        if isinstance(op, ttir.EmbeddingOp):
            return Padding(FINITE, ANY)
        if isinstance(op, CausalMaskOp | PositionMaskOp | PadMaskOp):
            return Padding(FINITE, FINITE)
        operands = [self.of(value) for value in op.operands]
        return Padding(
            _apply(op, [fact.rows for fact in operands]),
            _apply(op, [fact.columns for fact in operands]),
        )

    def _of_matmul(self, op: ttir.MatmulOp) -> Padding:
        a, b = self.of(op.a), self.of(op.b)
        if op.transposes_b:
            b = b.turned
        return Padding(_summed(a.rows), _summed(b.columns))

    def _of_reduction(self, op: ttir.ReductionOp) -> Padding:
        inner = self.of(op.input)
        if isinstance(op, ttir.MaxOp):
            return inner
        return Padding(_summed(inner.rows), _summed(inner.columns))


def _summed(fact: Fact) -> Fact:
    """A sum whose terms all have a factor with this fact, the other being real."""
    if fact in (0.0, ANY):
        return fact
    return FINITE


def _apply(op: Operation, facts: Sequence[Fact]) -> Fact:
    if ANY in facts:
        return ANY
    if isinstance(op, (ttir.TypecastOp, EachUserOp, *REGION_VIEWS)):
        return facts[0]
    if all(fact == REAL for fact in facts):
        return REAL
    numbers = [fact for fact in facts if not isinstance(fact, str)]
    if isinstance(op, ttir.MultiplyOp) and 0.0 in numbers:
        return 0.0
    function = _FUNCTIONS.get(type(op))
    if function is not None and len(numbers) == len(facts):
        return _evaluate(function, numbers)
    return FINITE if is_always_finite(op) or _is_guarded(op) else ANY


def is_always_finite(op: Operation) -> bool:
    """Whether an operation makes numbers of all numbers, never infinities."""
    return isinstance(op, _ALWAYS_FINITE)


def _is_guarded(op: Operation) -> bool:
    """Whether the operand lies where the operation is finite: norms and softmax.

    They take the root of a mean of squares plus a number, the exponential of a
    distance to the maximum, and the reciprocal of a sum that holds exp(0).
    """
    inner = op.operands[0].owner
    if isinstance(op, ttir.RsqrtOp):
        return isinstance(inner, ttir.AddOp) and (splat_of(inner.rhs) or 0.0) > 0.0
    if isinstance(op, ttir.ExpOp):
        return isinstance(inner, ttir.SubtractOp) and _is_maximum(inner.rhs)
    if isinstance(op, ttir.ReciprocalOp) and isinstance(inner, LoopOp | CombineOp):
        return _carries_softmax(op.operands[0])
    if isinstance(op, ttir.ReciprocalOp) and isinstance(inner, ttir.SumOp):
        terms = inner.input.owner
        masked = isinstance(terms, ttir.MultiplyOp)
        weights = terms.lhs.owner if masked else terms
        return isinstance(weights, ttir.ExpOp) and _is_guarded(weights)
    return False


def _carries_softmax(value: SSAValue) -> bool:
    """Whether a loop's result sums exponentials of distances to the peak so far."""
    if isinstance(value.owner, CombineOp):
        assert isinstance(value, OpResult)
        value = value.owner.values[value.index]
    if not (isinstance(value.owner, LoopOp) and isinstance(value, OpResult)):
        return False
    inner = value.owner.yielded[value.index].owner
    return isinstance(inner, ttir.AddOp) and any(
        isinstance(part, ttir.SumOp) for part in map(_before_cast, inner.operands)
    )


def _before_cast(value: SSAValue) -> object:
    owner = value.owner
    while isinstance(owner, ttir.TypecastOp):
        owner = owner.input.owner
    return owner


def _is_maximum(value: SSAValue) -> bool:
    return isinstance(value.owner, ttir.MaxOp | ttir.MaximumOp)


def _evaluate(function: Callable[..., float], numbers: Sequence[float]) -> Fact:
    try:
        result = function(*numbers)
    except (ArithmeticError, ValueError):
        return ANY
    return result if math.isfinite(result) and abs(result) < 1e30 else ANY


_ALWAYS_FINITE = (
    ttir.AddOp,
    ttir.SubtractOp,
    ttir.MultiplyOp,
    ttir.MaximumOp,
    ttir.MinimumOp,
    ttir.NegOp,
    ttir.AbsOp,
    ttir.ReluOp,
    ttir.SigmoidOp,
    ttir.TanhOp,
    ttir.SiluOp,
    ttir.GeluOp,
    ttir.ErfOp,
    ttir.SinOp,
    ttir.CosOp,
)
_FUNCTIONS: dict[type[Operation], Callable[..., Any]] = {
    ttir.AddOp: lambda a, b: a + b,
    ttir.SubtractOp: lambda a, b: a - b,
    ttir.MultiplyOp: lambda a, b: a * b,
    ttir.DivOp: lambda a, b: a / b,
    ttir.PowOp: math.pow,
    ttir.MaximumOp: max,
    ttir.MinimumOp: min,
    ttir.NegOp: lambda a: -a,
    ttir.AbsOp: abs,
    ttir.ReluOp: lambda a: max(a, 0.0),
    ttir.ReciprocalOp: lambda a: 1.0 / a,
    ttir.RsqrtOp: lambda a: a**-0.5,
    ttir.SqrtOp: math.sqrt,
    ttir.ExpOp: math.exp,
    ttir.LogOp: math.log,
    ttir.SigmoidOp: lambda a: 1.0 / (1.0 + math.exp(-a)),
    ttir.TanhOp: math.tanh,
    ttir.SiluOp: lambda a: a / (1.0 + math.exp(-a)),
    ttir.GeluOp: lambda a: 0.5 * a * (1.0 + math.erf(a / math.sqrt(2.0))),
    ttir.ErfOp: math.erf,
    ttir.SinOp: math.sin,
    ttir.CosOp: math.cos,
}
