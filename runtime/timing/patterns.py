"""What the threads of all cores do that run one stream, each of them elsewhere.

The stream is translated once. Where its pages lie, who receives its multicasts and
whose semaphores it raises differs from core to core: that is filled in for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from dialects.chip import Core
from dialects.program import Tensor
from runtime import instructions as ins
from runtime.launch import Corners, Move
from runtime.timing.page_table import Packets, Pages, PageTable
from runtime.timing.thread_builder import Rows, ThreadBuilder

Member: TypeAlias = tuple[ThreadBuilder, Mapping[int, Move]]
"""A thread that executes a pattern, and its moves by site."""


@dataclass
class Pattern(ThreadBuilder):
    """Collects what several threads do, in program order, as the first of them does."""

    pages: list[Pages] = field(default_factory=list)
    casts: dict[tuple[int, int, Corners], list[int]] = field(default_factory=dict)
    signals: dict[tuple[int, Core], list[int]] = field(default_factory=dict)

    def transfer_pages(
        self,
        code: int,
        tensor: Tensor,
        numbers: np.ndarray,
        *,
        num_bytes: int,
        noc: int,
        issue_cycles: float,
        flags: int = 0,
        slots: np.ndarray | None = None,
    ) -> None:
        """Read or write pages of a tensor, wherever they lie.

        Where `slots` are given, pages that lie together in a shard and in the circular
        buffer are one transaction.
        """
        row = len(self.operations)
        self.pages.append(Pages(row, self.site, tensor, numbers, num_bytes, slots))
        self.add(code, 0, 0, 0, noc, flags, cycles=issue_cycles)

    def note_cast(self, op: ins.MulticastWrite | ins.SemaphoreMulticast) -> None:
        """What was added last goes to a rectangle that moves with the core."""
        key = (op.site, op.noc, (op.start, op.end))
        self.casts.setdefault(key, []).append(len(self.operations) - 1)

    def note_signal(self, op: ins.SemaphoreInc) -> None:
        """What was added last goes to a core that moves with the core."""
        key = (op.site, op.target)
        self.signals.setdefault(key, []).append(len(self.operations) - 1)

    def place(self, members: Sequence[Member]) -> None:
        """Give each member its rows; those that are not moved execute the same."""
        unmoved: Rows | None = None
        for number, rows, first in self._placed(members):
            thread, moves = members[number]
            if not moves:
                unmoved = unmoved or rows
                rows = unmoved
            else:
                self._aim(thread, moves, rows.operations, first)
            thread.execute(rows)

    def _aim(
        self,
        thread: ThreadBuilder,
        moves: Mapping[int, Move],
        operations: np.ndarray,
        first: np.ndarray,
    ) -> None:
        """Turn multicasts and signals to where a member sends them.

        `first` are the member's rows by number of the pattern's.
        """
        for (site, noc, corners), rows in self.casts.items():
            if site in moves:
                start, end = (moves[site].core(corner) for corner in corners)
                receivers = moves[site].receivers[start, end]
                tree = self.workload.tree(noc, thread.core, receivers)
                operations[first[rows], 1] = tree
        for (site, target), rows in self.signals.items():
            if site in moves:
                core = self.workload.core_number[moves[site].core(target)]
                operations[first[rows], 3] = core

    def _placed(
        self, members: Sequence[Member]
    ) -> Iterator[tuple[int, Rows, np.ndarray]]:
        """Members by number, with their rows, and where each of the pattern's is."""
        base = self.rows()
        if not self.pages:
            every = np.arange(len(base.operations))
            for number in range(len(members)):
                yield number, base.copy(), every
            return
        workload = self.workload
        table = PageTable(self.pages, [moves for _, moves in members], workload.places)
        for some, packets in table.packets(workload.chip.max_packet_bytes):
            rows, first, mine = self._with_packets(base, packets)
            for number in some:
                own = rows.copy()
                places = table.places[number, packets.pages]
                own.operations[mine, 1] += workload.add_places(places)
                yield number, own, first

    def _with_packets(
        self, base: Rows, packets: Packets
    ) -> tuple[Rows, np.ndarray, np.ndarray]:
        """Rows for packets in place of open ones; the first of each; which are new.

        Their places are counted from that of the first packet.
        """
        counts = np.ones(len(base.operations), np.int64)
        is_open = np.zeros(len(counts), bool)
        found = np.bincount(packets.transfer, minlength=len(self.pages))
        for each, count in zip(self.pages, found, strict=True):
            counts[each.row], is_open[each.row] = count, True
        rows = Rows(*(np.repeat(column, counts, axis=0) for column in base))
        mine = np.flatnonzero(np.repeat(is_open, counts))
        rows.operations[mine, 1] = np.cumsum(packets.count) - packets.count
        rows.operations[mine, 2] = packets.count
        header = int(self.workload.costs.header_bytes)
        rows.operations[mine, 3] = packets.size + header
        return rows, np.cumsum(counts) - counts, mine
