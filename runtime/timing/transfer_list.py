"""Lists of transfers without any kernel: what processors read, write and wait for.

A list holds for each processor (a tile and the name of a RISC-V there) its operations
in order. The same event loop runs them that runs the launches of netlists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dialects.chip import Chip, NocPoint, load_chip
from dialects.errors import ForgeError
from runtime.costs import CostTable, load_costs
from runtime.timing import tables as t
from runtime.timing.thread_builder import ThreadBuilder
from runtime.timing.workload import WorkloadBuilder, run_workload

KINDS = (
    "read",
    "write",
    "posted_write",
    "atomic",
    "multicast",
    "read_barrier",
    "write_barrier",
    "delay",
)


class Processor(NamedTuple):
    """A RISC-V of a tile that issues transfers."""

    point: NocPoint
    name: str = "riscv0"


@dataclass(frozen=True)
class Operation:
    """One operation of a processor.

    `target` is the tile at the other end, or `bank` the DRAM bank; a multicast goes
    to the workers of the rectangle from `target` to `end`. `count` repeats it. With
    `issue` it is issued at this cycle whatever came before; else after the operation
    before it. `cycles` is what its issue takes the processor, the cost table's value
    where it is None; of a delay, how long it is.
    """

    kind: str
    noc: int = 0
    target: NocPoint | None = None
    bank: int | None = None
    end: NocPoint | None = None
    num_bytes: int = 0
    count: int = 1
    linked: bool = False
    loopback: bool = False
    issue: float | None = None
    cycles: float | None = None


@dataclass(frozen=True)
class ProcessorList:
    """Operations of a processor from the cycle that its kernel begins."""

    processor: Processor
    operations: Sequence[Operation]
    start: float = 0.0


@dataclass(frozen=True)
class TransferTiming:
    """Cycles until the last operation and acknowledgement, and who ended when."""

    cycles: float
    ends: Mapping[Processor, float]
    num_transfers: int
    num_events: int
    channel_bytes: tuple[int, ...]


def time_transfers(
    lists: Sequence[ProcessorList],
    chip: Chip | None = None,
    costs: CostTable | None = None,
) -> TransferTiming:
    """Run lists of transfers; all begin on an idle chip at cycle 0."""
    chip, costs = chip or load_chip("n150"), costs or load_costs()
    lists = sorted(lists, key=lambda each: each.processor)
    points = dict.fromkeys(each.processor.point for each in lists)
    workload = WorkloadBuilder(chip, costs, tuple(points))
    for each in lists:
        thread = workload.thread(each.processor.point, each.start)
        for operation in _effective(each.operations):
            _add(workload, thread, operation)
    cycles, state = run_workload(workload)
    nodes = workload.geometry.num_nodes
    ends = state.waits[:, t.C_END].tolist()
    return TransferTiming(
        cycles=cycles,
        ends=dict(zip((each.processor for each in lists), ends, strict=True)),
        num_transfers=int(state.counters[t.TRANSFERS]),
        num_events=int(state.counters[t.EVENTS]),
        channel_bytes=tuple(
            int(n) for n in state.resources[t.CHANNELS * nodes :, t.R_LOAD]
        ),
    )


def _effective(operations: Sequence[Operation]) -> list[Operation]:
    """Without the barriers that a later issue time says to be over by then."""
    timed = [i for i, each in enumerate(operations) if each.issue is not None]
    last = timed[-1] if timed else -1
    return [
        each
        for i, each in enumerate(operations)
        if i >= last or not each.kind.endswith("barrier")
    ]


def _add(workload: WorkloadBuilder, thread: ThreadBuilder, each: Operation) -> None:
    if each.issue is not None:
        thread.add(t.UNTIL, cycles=each.issue)
    if each.kind == "delay":
        thread.add(t.DELAY, cycles=each.cycles or 0.0)
    elif each.kind == "read_barrier":
        thread.add(t.READ_BARRIER)
    elif each.kind == "write_barrier":
        thread.add(t.WRITE_BARRIER)
    elif each.kind == "multicast":
        _add_multicast(workload, thread, each)
    else:
        _add_transfer(workload, thread, each)


def _add_transfer(
    workload: WorkloadBuilder, thread: ThreadBuilder, each: Operation
) -> None:
    costs, geometry = workload.costs, workload.geometry
    is_read = each.kind == "read"
    if each.bank is not None:
        place = workload.bank_place(each.bank)
        issues = costs.bank_read_issue_cycles, costs.bank_write_issue_cycles
    else:
        place = geometry.node_at(_target(each))
        issues = costs.read_issue_cycles, costs.write_issue_cycles
    places = np.full(each.count, place, np.int64)
    if each.kind == "atomic":
        thread.atomics(places, each.noc)
        return
    issue = issues[0 if is_read else 1]
    thread.transfer(
        t.READ if is_read else t.WRITE,
        places,
        num_bytes=each.num_bytes,
        noc=each.noc,
        issue_cycles=issue if each.cycles is None else each.cycles,
        flags=t.POSTED if each.kind == "posted_write" else 0,
    )


def _add_multicast(
    workload: WorkloadBuilder, thread: ThreadBuilder, each: Operation
) -> None:
    first, last = _target(each), each.end or _target(each)
    receivers = workload.geometry.workers_in(first, last)
    if not each.loopback:
        source = workload.cores[thread.core]
        receivers = [point for point in receivers if point != source]
    for _ in range(each.count):
        thread.multicast(
            receivers,
            num_bytes=each.num_bytes,
            noc=each.noc,
            linked=each.linked,
            counted=True,
        )


def _target(each: Operation) -> NocPoint:
    if each.target is None:
        raise ForgeError(
            f"a {each.kind} has no target",
            advice="name the tile, or the DRAM bank",
        )
    return each.target
