"""How often a kernel does what: pages pushed and popped, tiles moved, sends, receives.

Counted without expanding instructions: a loop's steps that are alike are counted once
and multiplied. Steps differ in their size, and in what conditions say about the axis.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

from xdsl.ir import Block, Operation

from dialects import tensix_movement as movement
from dialects.axes import Range
from dialects.chip import Core
from dialects.errors import NetlistError
from dialects.expr import Environment, Expr, Value
from dialects.program import ProgramFacts
from dialects.syntax import PointAttr
from dialects.tensix import ForOp, IfOp, KernelOp

PAGE_OPS = {
    movement.ReserveBackOp: "reserved",
    movement.PushBackOp: "pushed",
    movement.WaitFrontOp: "waited",
    movement.PopFrontOp: "popped",
}
TRANSFER_OPS = {
    movement.ReadOp: "read",
    movement.ReadRowsOp: "read",
    movement.WriteOp: "written",
    movement.WriteRowsOp: "written",
}
TRANSFERS = (
    movement.ReadOp,
    movement.ReadRowsOp,
    movement.WriteOp,
    movement.WriteRowsOp,
)
MULTICAST_OPS = {movement.SendOp: "sent", movement.ReceiveOp: "received"}
POINT_PROPERTIES = {
    movement.MulticastWriteOp: ("start", "end"),
    movement.SemaphoreMulticastOp: ("start", "end"),
    movement.SemaphoreIncOp: ("core",),
}


@dataclass
class Counts:
    """Totals of one kernel on one core, keyed by (what, name).

    `points` holds the cores that an operation named: the master of a send or receive,
    the corners of a raw multicast, the target of an increment.
    """

    totals: Counter[tuple[str, str]] = field(default_factory=Counter)
    points: dict[Operation, set[tuple[Core, ...]]] = field(default_factory=dict)

    def get(self, what: str, name: str) -> int:
        """The total, 0 where there is none."""
        return self.totals[what, name]


def count_kernel(
    facts: ProgramFacts,
    kernel: KernelOp,
    core: Core,
    *,
    scalars: Environment,
    deciding: dict[Block, frozenset[str]] | None = None,
) -> Counts:
    """Count what a kernel does on a core.

    `deciding` keeps, from core to core, on which axes blocks depend. Raises
    `NetlistError` where an expression has a name that nobody knows.
    """
    counter = _Counter(facts, core, scalars, {} if deciding is None else deciding)
    counter.block(kernel.body.block, 1)
    return counter.counts


def count_all(
    facts: ProgramFacts, kernel: KernelOp, scalars: Environment
) -> dict[Core, Counts]:
    """Count a kernel on every active core, those that must be alike once."""
    place_matters = bool(deciding_names(facts, kernel.body.block))
    known: dict[object, Counts] = {}
    deciding: dict[Block, frozenset[str]] = {}
    counts = {}
    for core in facts.cores:
        sizes = tuple(r.size for r in facts.ranges_on(core).values())
        key = core if place_matters else sizes
        if key not in known:
            known[key] = count_kernel(
                facts, kernel, core, scalars=scalars, deciding=deciding
            )
        counts[core] = known[key]
    return counts


def deciding_names(facts: ProgramFacts, block: Block) -> frozenset[str]:
    """Names on which control flow, page counts and named cores of a block depend."""
    expressions = [e for op in block.walk() for e in _deciding_expressions(facts, op)]
    return frozenset[str]().union(*(e.names() for e in expressions))


def _deciding_expressions(facts: ProgramFacts, op: Operation) -> Sequence[Expr]:
    if isinstance(op, IfOp):
        return [op.condition.data]
    if isinstance(op, ForOp):
        return [] if op.to is None else [op.to.data]
    if isinstance(op, movement._PagesOp):
        return [] if op.pages is None else [op.pages.data]
    if isinstance(op, movement.CollectOp):
        return [op.count.data]
    return [expr for point in _points_of(facts, op) for expr in point]


def _points_of(facts: ProgramFacts, op: Operation) -> list[tuple[Expr, Expr]]:
    """The cores that an operation names, as expressions."""
    if isinstance(op, movement.SendOp | movement.ReceiveOp):
        return [facts.multicasts[op.multicast.data].master]
    points = [op.properties[name] for name in POINT_PROPERTIES.get(type(op), ())]
    return [point.data for point in points if isinstance(point, PointAttr)]


class _Counter:
    """Walks the blocks of a kernel with the current ranges of one core."""

    def __init__(
        self,
        facts: ProgramFacts,
        core: Core,
        scalars: Environment,
        deciding: dict[Block, frozenset[str]],
    ):
        self.facts = facts
        self.core = core
        self.counts = Counts()
        places = facts.index_on(core)
        self.env: dict[str, Value] = {**scalars, **places, "x": core.x, "y": core.y}
        self.ranges: dict[str, Range] = {}
        self._decides = deciding
        for axis, current in facts.ranges_on(core).items():
            self._enter(axis, current)

    def _enter(self, axis: str, current: Range) -> None:
        self.ranges[axis] = current
        self.env[axis] = self.env[f"{axis}.start"] = current.start
        self.env[f"{axis}.size"] = current.size
        self.env[f"{axis}.stop"] = current.start + current.size

    def _evaluate(self, expr: Expr) -> int:
        try:
            return int(expr.evaluate(self.env))
        except KeyError as error:
            raise NetlistError(f"'{error.args[0]}' in `{expr}` is not known") from None

    def _deciding_axes(self, block: Block) -> frozenset[str]:
        """Axes whose place, not only size, decides what the block does."""
        if block not in self._decides:
            names = deciding_names(self.facts, block)
            self._decides[block] = frozenset(n.partition(".")[0] for n in names)
        return self._decides[block]

    def block(self, block: Block, times: int) -> None:
        """Count the operations of a block that is executed so often."""
        for op in block.ops:
            if isinstance(op, ForOp):
                self._for(op, times)
            elif isinstance(op, IfOp):
                if self._evaluate(op.condition.data):
                    self.block(op.then.block, times)
            elif type(op) in PAGE_OPS:
                self._pages(op, times)
            elif type(op) in TRANSFER_OPS:
                self._transfer(op, times)
            elif isinstance(op, movement.ContributeOp):
                self.counts.totals["given", op.gather.data] += times
            elif isinstance(op, movement.ExchangeOp):
                self.counts.totals["exchanged", op.gather.data] += times
            elif isinstance(op, movement.CollectOp):
                count = self._evaluate(op.count.data)
                self.counts.totals["taken", op.gather.data] += count * times
            else:
                self._named_cores(op, times)

    def _for(self, op: ForOp, times: int) -> None:
        axis = op.axis.data
        outer = self.ranges[axis]
        alike: Counter[Range] = Counter()
        decides = axis in self._deciding_axes(op.body.block)
        by = self.facts.axes[axis].block if op.by is None else op.by.value
        to = None if op.to is None else self._evaluate(op.to.data)
        for step in outer.steps(by, to):
            alike[step if decides else Range(0, step.size, step.bound)] += 1
        for current, number in alike.items():
            self._enter(axis, current)
            self.block(op.body.block, times * number)
        self._enter(axis, outer)

    def _pages(self, op: Operation, times: int) -> None:
        assert isinstance(op, movement._PagesOp)
        name = op.buffer.data
        pages = self.facts.circular_buffers[name].block_pages
        if op.pages is not None:
            pages = self._evaluate(op.pages.data)
        self.counts.totals[PAGE_OPS[type(op)], name] += pages * times

    def _transfer(self, op: Operation, times: int) -> None:
        assert isinstance(op, TRANSFERS)
        buffer = self.facts.circular_buffers[op.buffer.data]
        tiles = prod(self.ranges[axis].size for axis in buffer.axes)
        self.counts.totals[TRANSFER_OPS[type(op)], buffer.name] += tiles * times

    def _named_cores(self, op: Operation, times: int) -> None:
        points = _points_of(self.facts, op)
        if not points:
            return
        cores = tuple(Core(*(self._evaluate(e) for e in point)) for point in points)
        self.counts.points.setdefault(op, set()).add(cores)
        if isinstance(op, movement.SendOp | movement.ReceiveOp):
            what = MULTICAST_OPS[type(op)]
            self.counts.totals[what, op.multicast.data] += times
