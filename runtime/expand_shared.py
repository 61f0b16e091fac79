"""Kernels that do the same on several cores: walked once, shared by them.

Kernels name pages by their place in a block. Where on an axis a core stands decides
only which tiles of an operand it moves, and where others stand to whom it sends: the
stream of one core is that of another, moved. What it has along each axis must be equal,
and what expressions make of its place.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

import numpy as np
from xdsl.ir import Operation

from dialects import tensix_movement as movement
from dialects.axes import Range
from dialects.chip import Core
from dialects.expr import Binary, Element, Environment, Expr, Name, slope
from dialects.program import CircularBuffer, ProgramFacts
from dialects.syntax import ExprAttr, LocalAttr
from dialects.tensix import ForOp, IfOp, KernelOp
from dialects.tensix_compute import OPERATIONS as COMPUTE

PAGES = (
    movement.ReserveBackOp,
    movement.PushBackOp,
    movement.WaitFrontOp,
    movement.PopFrontOp,
)
TRANSFERS = (movement.ReadOp, movement.WriteOp, movement.WriteRowsOp)
MULTICASTS = (movement.SendOp, movement.ReceiveOp)
_IN_PLACE = (
    ForOp,
    IfOp,
    movement.ReadScalarsOp,
    movement.ReadBarrierOp,
    movement.WriteBarrierOp,
    movement.SemaphoreSetOp,
    movement.SemaphoreWaitOp,
    movement.FillOp,
    *COMPUTE,
)
_FILLED_BY_PLACE = {"causal": 2, "columns": 1}
"""Patterns whose values depend on where the last axes of the block stand."""

CoreKey = Callable[[Core, Environment, Mapping[str, Range]], Hashable]
"""From a core, what its names stand for and its parts of the axes."""


def core_key(facts: ProgramFacts, op: KernelOp, scalars: Environment) -> CoreKey:
    """What a kernel's stream depends on: equal keys, equal streams up to moves.

    The cores themselves where a kernel does what is not known to move.
    """
    body = [inner for inner in op.walk() if inner is not op]
    if not all(_may_move(o) for o in body):
        return lambda core, env, ranges: core
    equal = {name for name, value in scalars.items() if np.ptp(value) == 0}
    conditions = [o.condition.data for o in body if isinstance(o, IfOp)]
    places = {"x", "y", *(f"{axis}.index" for axis in facts.axes)}
    fixed = _fixed(facts)
    guards = [c for c in conditions if c.names() <= fixed]
    names = {
        name
        for inner in body
        for expr in _decisive(facts, inner)
        if expr not in guards
        for name in _names(expr, equal)
    }
    asked = {name.partition(".")[0] for name in names}
    asked |= {o.axis.data for o in body if isinstance(o, ForOp) and o.to is not None}
    stated = sorted(names & places)

    def key(core: Core, env: Environment, ranges: Mapping[str, Range]) -> Hashable:
        return (
            tuple(_range_key(axis, r, asked) for axis, r in ranges.items()),
            tuple(env[name] for name in stated),
            tuple(int(guard.evaluate(env)) for guard in guards),
        )

    return key


def _fixed(facts: ProgramFacts) -> set[str]:
    """What stands for one number as long as a kernel runs on a core."""
    axes = facts.axes.values()
    alone = [a.name for a in axes if a.share == 1]
    kinds = ("", ".start", ".size", ".stop")
    whole = {f"{name}{kind}" for name in alone for kind in kinds}
    return {"x", "y", *facts.scalars, *whole, *(f"{a.name}.index" for a in axes)}


def _may_move(op: Operation) -> bool:
    """Whether an operation is known to do the same, or the same elsewhere."""
    return isinstance(op, (*PAGES, *TRANSFERS, *MULTICASTS, *_IN_PLACE))


def _decisive(facts: ProgramFacts, op: Operation) -> Iterator[Expr]:
    """Expressions that must have the same values on cores that share a stream."""
    for attr in op.properties.values():
        if isinstance(attr, ExprAttr):
            yield attr.data
    if isinstance(op, movement.FillOp):
        yield from _filled_by(facts, op)
    for expr in moving_expressions(facts, op):
        varying = expr.names() - _fixed(facts)
        if any(slope(expr, name) is None for name in varying):
            yield expr


def _filled_by(facts: ProgramFacts, op: movement.FillOp) -> Iterator[Expr]:
    buffer = facts.circular_buffers.get(op.buffer.data)
    if buffer is not None and op.pattern.data == "pad":
        yield from (entry for entry in buffer.map if not isinstance(entry, str))
    elif buffer is not None:
        axes = _FILLED_BY_PLACE.get(op.pattern.data, 0)
        yield from map(Name, buffer.axes[len(buffer.axes) - axes :])


def moving_expressions(facts: ProgramFacts, op: Operation) -> Sequence[Expr]:
    """Expressions that say where an operation does what it does.

    Those that grow evenly with all that changes while the kernel runs are as far apart
    on two cores all the time as at the beginning.
    """
    if isinstance(op, MULTICASTS):
        cast = facts.multicasts.get(op.multicast.data)
        return () if cast is None else cast.master
    buffer = moved_buffer(facts, op)
    entries = () if buffer is None else buffer.map[-2:]
    return [entry for entry in entries if not isinstance(entry, str)]


def moved_buffer(facts: ProgramFacts, op: Operation) -> CircularBuffer | None:
    """The circular buffer whose operand's tiles an operation moves or lends."""
    if not isinstance(op, (*PAGES, *TRANSFERS)):
        return None
    name: LocalAttr = op.buffer
    buffer = facts.circular_buffers.get(name.data)
    if buffer is None or (isinstance(op, PAGES) and not buffer.over):
        return None
    return buffer


def _names(expr: Expr, equal: set[str]) -> set[str]:
    """What an expression depends on, given scalars that are all equal."""
    if isinstance(expr, Binary):
        return _names(expr.left, equal) | _names(expr.right, equal)
    if isinstance(expr, Element) and expr.scalars in equal:
        return set()
    return set(expr.names())


def _range_key(axis: str, current: Range, asked: set[str]) -> Hashable:
    """Without its start, unless that is asked for."""
    if axis in asked:
        return current
    return current.size, current.bound, current.dealt
