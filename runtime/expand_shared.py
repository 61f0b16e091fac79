"""Compute kernels that do the same on several cores: walked once, shared by them.

Compute names pages by their place in a block, so where on an axis a core stands does
not matter, only how much it has there; unless an expression asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

import numpy as np

from dialects import tensix_movement as movement
from dialects.chip import Core
from dialects.expr import Binary, Element, Environment, Expr
from dialects.program import ProgramFacts, Range
from dialects.syntax import ExprAttr
from dialects.tensix import ForOp, IfOp, KernelOp
from dialects.tensix_compute import OPERATIONS as COMPUTE

_BUFFERS = (
    movement.ReserveBackOp,
    movement.PushBackOp,
    movement.WaitFrontOp,
    movement.PopFrontOp,
)

CoreKey = Callable[[Core], Hashable]


def core_key(facts: ProgramFacts, op: KernelOp, scalars: Environment) -> CoreKey:
    """What a kernel's stream depends on: equal keys, equal streams.

    The cores themselves where a kernel does more than compute.
    """
    equal = {name for name, value in scalars.items() if np.ptp(value) == 0}
    body = [inner for inner in op.walk() if inner is not op]
    if op.processor.data != "trisc" or not all(_is_local(facts, o) for o in body):
        return lambda core: core
    names = {
        name
        for inner in body
        for attr in inner.properties.values()
        if isinstance(attr, ExprAttr)
        for name in _names(attr.data, equal)
    }
    asked = {name.partition(".")[0] for name in names}
    asked |= {o.axis.data for o in body if isinstance(o, ForOp) and o.to is not None}

    def key(core: Core) -> Hashable:
        ranges = facts.ranges_on(core).items()
        index = facts.index_on(core)
        return (
            tuple(_range_key(axis, current, asked) for axis, current in ranges),
            tuple((n, index[n]) for n in sorted(names & set(index))),
            core.x if "x" in names else None,
            core.y if "y" in names else None,
        )

    return key


def _is_local(facts: ProgramFacts, op: object) -> bool:
    """Whether an operation touches nothing but blocks of circular buffers."""
    if isinstance(op, _BUFFERS):
        buffer = facts.circular_buffers.get(op.buffer.data)
        return buffer is not None and not buffer.over
    return type(op) in COMPUTE or isinstance(op, ForOp | IfOp | movement.ReadScalarsOp)


def _names(expr: Expr, equal: set[str]) -> set[str]:
    """What an expression depends on, given scalars that are all equal."""
    if isinstance(expr, Binary):
        return _names(expr.left, equal) | _names(expr.right, equal)
    if isinstance(expr, Element) and expr.scalars in equal:
        return set()
    return set(expr.names())


def _range_key(axis: str, current: Range, asked: set[str]) -> Hashable:
    """Blocks that are dealt in turn depend on where a core stands."""
    if axis in asked or current.dealt is not None:
        return current
    return current.size, current.bound
