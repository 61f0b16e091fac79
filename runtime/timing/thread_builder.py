"""The micro-operations of one thread, collected in program order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dialects.chip import Core, NocPoint
from runtime.timing import tables as t

if TYPE_CHECKING:
    from runtime.timing.workload import WorkloadBuilder

COLUMNS = 6
"""Code and arguments of a micro-operation."""


class Rows(NamedTuple):
    """Micro-operations of a thread: code and arguments, cycles and parts, sites."""

    operations: np.ndarray
    cycles: np.ndarray
    sites: np.ndarray

    def copy(self) -> Rows:
        """Operations of one's own, with the same cycles and sites."""
        return self._replace(operations=self.operations.copy())


@dataclass
class ThreadBuilder:
    """Collects the micro-operations of one thread, in program order."""

    workload: WorkloadBuilder
    core: int
    start: float
    operations: list[tuple[int, ...]] = field(default_factory=list)
    cycles: list[tuple[float, float]] = field(default_factory=list)
    sites: list[int] = field(default_factory=list)
    site: int = -1
    _rows: Rows | None = None

    def add(self, *operation: int, cycles: float = 0.0, parts: float = 0.0) -> None:
        """Append an operation: code and up to five arguments."""
        self.operations.append(operation + (0,) * (COLUMNS - len(operation)))
        self.cycles.append((cycles, parts))
        self.sites.append(self.site)

    def rows(self) -> Rows:
        """The operations as arrays; nothing may be added any more."""
        if self._rows is None:
            self._rows = Rows(
                np.array(self.operations, np.int64).reshape(-1, COLUMNS),
                np.array(self.cycles, np.float64).reshape(-1, 2),
                np.array(self.sites, np.int64),
            )
        return self._rows

    def execute(self, rows: Rows) -> None:
        """Execute what was made elsewhere; nothing may be added any more."""
        self._rows = rows

    def transfer(
        self,
        code: int,
        places: np.ndarray,
        *,
        num_bytes: int,
        noc: int,
        issue_cycles: float,
        flags: int = 0,
    ) -> None:
        """Read from or write to each place, in packets of at most the largest size."""
        costs, largest = self.workload.costs, self.workload.chip.max_packet_bytes
        full, rest = divmod(num_bytes, largest)
        for count, size in ((full, largest), (min(rest, 1), rest)):
            if count:
                chosen = np.repeat(places, count) if count > 1 else places
                first = self.workload.add_places(chosen)
                wire = size + int(costs.header_bytes)
                self.add(
                    code, first, len(chosen), wire, noc, flags, cycles=issue_cycles
                )

    def atomics(self, places: np.ndarray, noc: int) -> None:
        """Change a word at each place: a flit there and one back."""
        costs, first = self.workload.costs, self.workload.add_places(places)
        flit, issue = int(costs.header_bytes), costs.atomic_issue_cycles
        self.add(t.WRITE, first, len(places), flit, noc, cycles=issue)

    def multicast(
        self,
        receivers: Sequence[Core] | Sequence[NocPoint],
        *,
        num_bytes: int,
        noc: int,
        linked: bool,
        counted: bool = False,
        busy: bool = False,
    ) -> None:
        """Multicast; `counted` ones are waited for by a write barrier.

        `busy`: the receivers compute meanwhile, which slows the writes to their L1.
        """
        tree = self.workload.tree(noc, self.core, tuple(receivers))
        flags = (t.LINKED if linked else 0) | (t.COUNTED if counted else 0)
        flags |= t.BUSY if busy else 0
        largest = self.workload.chip.max_packet_bytes
        issue = self.workload.costs.multicast_issue_cycles
        self.add(t.MULTICAST, tree, num_bytes, flags, largest, cycles=issue)

    def multicast_semaphore(
        self,
        receivers: Sequence[Core] | Sequence[NocPoint],
        semaphore: int,
        value: int,
        noc: int,
    ) -> None:
        """Write a semaphore of all receivers."""
        tree = self.workload.tree(noc, self.core, tuple(receivers))
        issue = self.workload.costs.multicast_issue_cycles
        self.add(t.SEM_MULTICAST, tree, semaphore, value, 4, cycles=issue)
