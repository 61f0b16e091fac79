"""What the kernels of a program owe each other: pages and signals.

All of it is decided by counting, without running a kernel. Each check yields all its
faults; the program's names have been checked before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from xdsl.ir import Operation

from dialects import tensix_movement as movement
from dialects.chip import Core
from dialects.errors import CapacityError, ForgeError, HazardError
from dialects.expr import Const, Environment
from dialects.kernel_counts import (
    PAGE_OPS,
    TRANSFER_OPS,
    TRANSFERS,
    Counts,
    count_all,
)
from dialects.program import Gather, Multicast, ProgramFacts
from dialects.program_checks import fault
from dialects.read_ahead import check_read_ahead
from dialects.syntax import LocalAttr
from dialects.tensix import KernelOp

_RAISING = (
    movement.SemaphoreIncOp,
    movement.SemaphoreMulticastOp,
    movement.SemaphoreSetOp,
)
_ENDS = {"reserved": "back", "pushed": "back", "waited": "front", "popped": "front"}


@dataclass(frozen=True)
class ProgramCounts:
    """A program with the counts of its kernels on all cores."""

    facts: ProgramFacts
    by_kernel: Mapping[KernelOp, Mapping[Core, Counts]]

    def total(self, core: Core, what: str, name: str) -> int:
        """The total over all kernels of a core."""
        return sum(c[core].get(what, name) for c in self.by_kernel.values())

    def over_all(self, what: str, name: str) -> int:
        """The total over all kernels and cores."""
        return sum(self.total(core, what, name) for core in self.facts.cores)


def count_program(
    facts: ProgramFacts, scalars: Environment | None = None
) -> ProgramCounts:
    """Count all kernels of a program on all its cores.

    Run-time scalars are at the upper ends of their ranges unless they are given.
    """
    given = facts.scalar_ends()[-1] if scalars is None else scalars
    return ProgramCounts(facts, {k: count_all(facts, k, given) for k in facts.kernels})


def check_kernels(counts: ProgramCounts) -> list[ForgeError]:
    """All faults in how the kernels of a program work together."""
    return [found for check in _CHECKS for found in check(counts)]


# -- circular buffers ------------------------------------------------------------


def _number_of_buffers(counts: ProgramCounts) -> Iterator[ForgeError]:
    facts = counts.facts
    limit = facts.chip.num_circular_buffers
    if len(facts.circular_buffers) > limit:
        yield fault(
            facts.op,
            f"program @{facts.name} has too many circular buffers",
            limit=limit,
            value=len(facts.circular_buffers),
            advice="split the program, or let stages share a buffer",
            kind=CapacityError,
        )
    pairs = len(facts.multicasts) + len(facts.gathers)
    semaphores = len(facts.semaphores) + 2 * pairs
    if semaphores > facts.chip.num_semaphores:
        yield fault(
            facts.op,
            f"program @{facts.name} has too many semaphores",
            limit=facts.chip.num_semaphores,
            value=f"{semaphores}, two of them for each multicast and gather",
            advice="split the program, or multicast fewer operands",
            kind=CapacityError,
        )


def _ends(counts: ProgramCounts) -> Iterator[ForgeError]:
    """Each end of a circular buffer belongs to one kernel."""
    owners: dict[tuple[str, str], KernelOp] = {}
    blamed: set[tuple[str, str, KernelOp]] = set()
    for kernel in counts.facts.kernels:
        for op in kernel.walk():
            if type(op) not in PAGE_OPS:
                continue
            assert isinstance(op, movement._PagesOp)
            end = _ENDS[PAGE_OPS[type(op)]]
            owner = owners.setdefault((op.buffer.data, end), kernel)
            if owner is kernel or (op.buffer.data, end, kernel) in blamed:
                continue
            blamed.add((op.buffer.data, end, kernel))
            role = "producer" if end == "back" else "consumer"
            yield fault(
                op,
                f"{op.buffer} has two {role} kernels, {owner.sym_name} and "
                f"{kernel.sym_name}",
                limit=f"one {role}: its count of pages is not shared",
                advice="give one of them a circular buffer of its own",
                kind=HazardError,
            )


def _balance(counts: ProgramCounts) -> Iterator[ForgeError]:
    """What is pushed is popped, on every core."""
    for name, buffer in counts.facts.circular_buffers.items():
        for core in counts.facts.cores:
            pushed = counts.total(core, "pushed", name)
            popped = counts.total(core, "popped", name)
            if pushed == popped:
                continue
            rare = movement.PopFrontOp if popped < pushed else movement.PushBackOp
            yield fault(
                _first(counts.facts, name, rare) or buffer.op,
                f"%{name}: {pushed} pages are pushed and {popped} popped on core "
                f"{core} of @{counts.facts.name}",
                limit="every push has its pop",
                advice="compare the loops around the push and the pop, and the axes "
                "of the block",
                kind=HazardError,
            )
            break


def _first(facts: ProgramFacts, buffer: str, kind: type) -> Operation | None:
    for kernel in facts.kernels:
        for op in kernel.walk():
            if isinstance(op, kind) and op.properties["buffer"] == LocalAttr(buffer):
                return op
    return None


def _directions(counts: ProgramCounts) -> Iterator[ForgeError]:
    """An `in` parameter is read, an `out` one written."""
    facts = counts.facts
    ways = {name: way for way, name in facts.parameters}
    used = {(scalars.operand, "read") for scalars in facts.scalars.values()}
    used |= set(_used_in_place(facts, ways))
    for kernel in facts.kernels:
        for op in kernel.walk():
            what = _transfer_direction(op)
            if what is None:
                continue
            assert isinstance(op, (*TRANSFERS, movement.MulticastWriteOp))
            buffer = facts.circular_buffers[op.buffer.data]
            operand = buffer.operand
            if operand is None or buffer.over:
                yield fault(
                    op,
                    f"{op.buffer} is {what}, but is `of` no parameter",
                    advice=f"write `of %parameter[...]` behind cb {op.buffer}",
                )
                continue
            used.add((operand, what))
            if ways[operand] == ("out" if what == "read" else "in"):
                yield fault(
                    op,
                    f"%{operand} is {what}, but is an `{ways[operand]}` parameter of "
                    f"@{facts.name}",
                    advice=f"declare it `inout %{operand}`",
                )
    yield from _unused(facts, ways, used)


def _transfer_direction(op: Operation) -> str | None:
    """Whether an operation reads or writes its buffer's operand, or neither."""
    if isinstance(op, movement.MulticastWriteOp) and op.loopback is not None:
        return "read"
    return TRANSFER_OPS.get(type(op))


def _used_in_place(
    facts: ProgramFacts, ways: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Operands that a circular buffer lies over: lent when pushed, kept when popped."""
    for buffer in facts.circular_buffers.values():
        if buffer.over and buffer.operand is not None:
            yield buffer.operand, "read" if ways[buffer.operand] == "in" else "written"


def _unused(
    facts: ProgramFacts, ways: Mapping[str, str], used: set[tuple[str, str]]
) -> Iterator[ForgeError]:
    wanted = {"in": ("read",), "out": ("written",), "inout": ("written",)}
    for name, way in ways.items():
        for what in wanted[way]:
            if (name, what) not in used:
                yield fault(
                    facts.op,
                    f"`{way} %{name}` of @{facts.name} is never {what}",
                    advice="remove the parameter, or correct its direction",
                )


# -- multicasts and semaphores -----------------------------------------------------


def _multicasts(counts: ProgramCounts) -> Iterator[ForgeError]:
    for cast in counts.facts.multicasts.values():
        groups: dict[int, list[Core]] = {}
        for core in counts.facts.cores:
            line = {"x": core.y, "y": core.x, "xy": 0}[cast.along]
            groups.setdefault(line, []).append(core)
        for cores in groups.values():
            found = _rounds_fault(counts, cast, cores)
            if found is not None:
                yield found
                break


def _rounds_fault(
    counts: ProgramCounts, cast: Multicast, cores: list[Core]
) -> ForgeError | None:
    """In each round one core of the line sends and all others receive."""
    sent = {core: counts.total(core, "sent", cast.name) for core in cores}
    received = {core: counts.total(core, "received", cast.name) for core in cores}
    rounds = sum(sent.values())
    for core in cores:
        taken = sent[core] + received[core]
        if taken != rounds and not (len(cores) == 1 and not received[core]):
            return fault(
                cast.op,
                f"multicast %{cast.name}: {rounds} blocks are sent along {cast.along}, "
                f"but core {core} sends {sent[core]} and receives {received[core]}",
                limit="each block is sent by one core and received by all others",
                advice="guard `send` and `receive` so that each core does one of them",
                kind=HazardError,
            )
    return None


def _gathers(counts: ProgramCounts) -> Iterator[ForgeError]:
    """What the first core collects is what the others along the axis contribute."""
    facts = counts.facts
    for gather in facts.gathers.values():
        yield from _slots(facts, gather)
        if gather.each:
            yield from _exchanges(counts, gather)
            continue
        for core in facts.cores:
            index = facts.place_on(gather.axis, core)
            if index:
                continue
            line = [
                facts.along(gather.axis, core, place)
                for place in range(1, facts.axes[gather.axis].cores)
            ]
            given = sum(
                counts.total(other, "given", gather.name)
                for other in line
                if other in facts.cores
            )
            taken = counts.total(core, "taken", gather.name)
            if given != taken:
                yield fault(
                    gather.op,
                    f"gather %{gather.name}: core {core} collects {taken} blocks, but "
                    f"{given} are contributed",
                    limit="each block that is contributed is collected once",
                    advice="make the conditions around contribute and collect agree",
                    kind=HazardError,
                )
                break


def _exchanges(counts: ProgramCounts, gather: Gather) -> Iterator[ForgeError]:
    """All cores of an axis exchange pieces equally often."""
    facts = counts.facts
    for core in facts.cores:
        line = facts.line(gather.axis, core)
        times = {other: counts.total(other, "exchanged", gather.name) for other in line}
        odd = next((other for other in line if times[other] != times[core]), None)
        if odd is not None:
            yield fault(
                gather.op,
                f"gather %{gather.name}: core {core} exchanges {times[core]} times, "
                f"core {odd} {times[odd]} times",
                limit="each core of the axis gives and takes once in each round",
                advice="let no condition around `exchange` tell cores of "
                f"{gather.axis} apart",
                kind=HazardError,
            )
            return


def _slots(facts: ProgramFacts, gather: Gather) -> Iterator[ForgeError]:
    cores = facts.axes[gather.axis].cores
    for source, target in gather.pairs:
        block = facts.circular_buffers[source].block_pages
        slots, who = cores - 1, f"each core of {gather.axis} but one"
        if gather.each:
            block = facts.piece_pages(target)
            slots, who = cores, f"each core of {gather.axis}"
        room = facts.circular_buffers[target].capacity
        if room != block * slots:
            yield fault(
                gather.op,
                f"gather %{gather.name}: %{target} has not one slot for each block",
                limit=f"{block * slots} pages, {block} for {who}",
                value=f"{room} pages",
                advice="give it an axis of that many slots before those of the source",
                kind=CapacityError,
            )


def _masters(counts: ProgramCounts) -> Iterator[ForgeError]:
    """Sends happen on the master, receives elsewhere, masters take part."""
    blamed: set[Operation] = set()
    for by_core in counts.by_kernel.values():
        for core, own in by_core.items():
            for op, points in own.points.items():
                if op in blamed or not isinstance(
                    op, movement.SendOp | movement.ReceiveOp
                ):
                    continue
                masters = {master for (master,) in points}
                message = _master_fault(counts.facts, op, core, masters)
                if message is not None:
                    blamed.add(op)
                    yield fault(
                        op,
                        f"multicast {op.multicast}: {message}",
                        advice="make the condition around it agree with `from`",
                        kind=HazardError,
                    )


def _master_fault(
    facts: ProgramFacts,
    op: movement.SendOp | movement.ReceiveOp,
    core: Core,
    masters: set[Core],
) -> str | None:
    for master in masters:
        if master not in facts.cores:
            return f"the master {master} does not take part in @{facts.name}"
        if isinstance(op, movement.SendOp) and master != core:
            return f"core {core} sends, but the master is {master}"
        if isinstance(op, movement.ReceiveOp) and master == core:
            return f"core {core} receives, but is the master itself"
    return None


def _rectangles(counts: ProgramCounts) -> Iterator[ForgeError]:
    """Corners of raw multicasts and targets of increments lie in the program's grid."""
    facts, blamed = counts.facts, set[Operation]()
    for by_core in counts.by_kernel.values():
        for own in by_core.values():
            for op, points in own.points.items():
                if op in blamed or isinstance(op, movement.SendOp | movement.ReceiveOp):
                    continue
                for corners in sorted(points):
                    if not _is_legal(facts, corners):
                        blamed.add(op)
                        shown = " to ".join(map(str, corners))
                        yield fault(
                            op,
                            f"{shown} is no rectangle of cores of @{facts.name}",
                            limit=f"(0,0) to ({facts.grid.x - 1},{facts.grid.y - 1}), "
                            "first corner left of and above the second",
                            advice="correct the corners",
                        )
                        break


def _is_legal(facts: ProgramFacts, corners: tuple[Core, ...]) -> bool:
    inside = all(0 <= c.x < facts.grid.x and 0 <= c.y < facts.grid.y for c in corners)
    first, last = corners[0], corners[-1]
    return inside and first.x <= last.x and first.y <= last.y


def _links(counts: ProgramCounts) -> Iterator[ForgeError]:
    """A linked multicast keeps its path until an unlinked one follows."""
    for op in counts.facts.walk():
        if not isinstance(op, movement.MulticastWriteOp) or op.linked is None:
            continue
        if not isinstance(
            op.next_op, movement.MulticastWriteOp | movement.SemaphoreMulticastOp
        ):
            yield fault(
                op,
                f"the linked multicast of {op.buffer} is not followed by another "
                "multicast, so its path stays reserved and blocks all others",
                advice="put noc_semaphore_set_multicast behind it, or drop `linked`",
                kind=HazardError,
            )


def _signals(counts: ProgramCounts) -> Iterator[ForgeError]:
    """A semaphore that someone waits for is raised by someone."""
    facts = counts.facts
    raised: set[str] = set()
    waits: list[movement.SemaphoreWaitOp] = []
    for op in facts.walk():
        if isinstance(op, _RAISING):
            raised.add(op.semaphore.data)
        elif isinstance(op, movement.SemaphoreWaitOp):
            waits.append(op)
        elif isinstance(op, movement.SendOp | movement.ReceiveOp):
            raised |= {f"{op.multicast.data}.{s}" for s in ("ready", "valid")}
        elif isinstance(
            op, movement.ContributeOp | movement.CollectOp | movement.ExchangeOp
        ):
            raised |= {f"{op.gather.data}.{s}" for s in ("ready", "arrived")}
    for op in waits:
        name = op.semaphore.data
        initial = facts.semaphores.get(name, 0)
        if name not in raised and op.value.data != Const(initial):
            yield fault(
                op,
                f"%{name} is waited for to be {op.value}, but nobody raises it",
                value=f"it stays {initial}",
                advice="add the matching noc_semaphore_inc or set_multicast",
                kind=HazardError,
            )


_CHECKS: list[Callable[[ProgramCounts], Iterator[ForgeError]]] = [
    _number_of_buffers,
    _ends,
    _balance,
    _directions,
    _multicasts,
    _gathers,
    _masters,
    _rectangles,
    _links,
    _signals,
    lambda counts: check_read_ahead(counts.facts),
]
