"""Buffers that a kernel reads one step ahead: which they are, and what they need.

A core's network interface counts the transactions that are under way by their ids, so
that a barrier can wait for the older of two reads. A buffer that is read ahead takes
two ids, in turn.
"""

from __future__ import annotations

from collections.abc import Iterator

from xdsl.ir import Operation

from dialects import tensix_movement as movement
from dialects.errors import CapacityError, ForgeError
from dialects.program import CircularBuffer, ProgramFacts
from dialects.program_checks import fault
from dialects.tensix import ForOp, KernelOp

TRANSACTION_IDS = 16
"""Of a network interface (fact sheet, section 4.1); the first is for other reads."""

_MOST = (TRANSACTION_IDS - 1) // 2


def buffers_read_ahead(facts: ProgramFacts) -> list[str]:
    """Names of the buffers that are read ahead, in the order of the text."""
    return list(dict.fromkeys(op.buffer.data for op in _reads(facts.op)))


def transaction_ids(facts: ProgramFacts, buffer: str) -> tuple[int, int]:
    """The two transaction ids of a buffer that is read ahead."""
    first = 2 * buffers_read_ahead(facts).index(buffer) + 1
    return first, first + 1


def check_read_ahead(facts: ProgramFacts) -> Iterator[ForgeError]:
    """Faults in reads that start one step early, and in what waits for them."""
    names = buffers_read_ahead(facts)
    if len(names) > _MOST:
        yield fault(
            facts.op,
            f"program @{facts.name} reads too many circular buffers ahead",
            limit=f"{_MOST}: each takes two of {TRANSACTION_IDS} transaction ids",
            value=len(names),
            advice="drop `ahead` where a read is short",
            kind=CapacityError,
        )
    for kernel in facts.kernels:
        for op in _reads(kernel):
            yield from _check_read(facts.circular_buffers[op.buffer.data], op)
        yield from _check_barriers(kernel)


def _reads(op: Operation) -> Iterator[movement.ReadOp]:
    for inner in op.walk():
        if isinstance(inner, movement.ReadOp) and inner.ahead is not None:
            yield inner


def _check_read(buffer: CircularBuffer, op: movement.ReadOp) -> Iterator[ForgeError]:
    assert op.ahead is not None
    axis = op.ahead.data
    around = op.parent_op()
    while around is not None and not (
        isinstance(around, ForOp) and around.axis.data == axis
    ):
        around = around.parent_op()
    if around is None:
        yield fault(
            op,
            f"{op.buffer} is read ahead along {axis}, but outside of a loop over it",
            advice=f"put it into `for {axis}`, or drop `ahead {axis}`",
        )
    if axis not in buffer.axes:
        yield fault(
            op,
            f"{op.buffer} is read ahead along {axis}, which its block does not have",
            value=f"its axes are {', '.join(buffer.axes)}",
            advice=f"drop `ahead {axis}`: the next step has the same block",
        )
    if buffer.depth < 2:
        yield fault(
            op,
            f"{op.buffer} is read ahead, but holds one block",
            limit="depth 2 at least",
            advice=f"write `depth 2` or more behind cb {op.buffer}",
        )


def _check_barriers(kernel: KernelOp) -> Iterator[ForgeError]:
    known = {op.buffer.data for op in _reads(kernel)}
    for op in kernel.walk():
        named = op.buffer if isinstance(op, movement.ReadBarrierOp) else None
        if named is not None and named.data not in known:
            yield fault(
                op,
                f"the barrier names {named}, which kernel {kernel.sym_name} does not "
                "read ahead",
                advice=f"drop `of {named}`, or write `ahead` and an axis behind its "
                "read",
            )
