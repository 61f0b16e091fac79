"""Where the pages lie that the cores of one stream transfer, and in which packets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dialects.program import Tensor
from runtime.launch import Move


@dataclass(frozen=True, slots=True)
class Pages:
    """A transfer of pages of a tensor, of `num_bytes` each, at a row left open.

    With `slots`, pages that lie together in a shard and in the circular buffer are one
    transaction.
    """

    row: int
    site: int
    tensor: Tensor
    numbers: np.ndarray
    num_bytes: int
    slots: np.ndarray | None


@dataclass(frozen=True, slots=True)
class Packets:
    """Packets in rows of equal ones.

    `transfer`, `count` and `size` (bytes) have an entry for each row; `pages` has the
    page that each packet is of, or begins with, row after row.
    """

    transfer: np.ndarray
    count: np.ndarray
    size: np.ndarray
    pages: np.ndarray


class PageTable:
    """All pages of some transfers, one behind the other, for several cores at once.

    `moves` are those of each core. `places_of` says where pages of a tensor lie:
    `places` has a row for each core.
    """

    def __init__(
        self,
        transfers: Sequence[Pages],
        moves: Sequence[Mapping[int, Move]],
        places_of: Callable[[Tensor, np.ndarray], np.ndarray],
    ):
        self.transfers = transfers
        lengths = [len(each.numbers) for each in transfers]
        self.owner = np.repeat(np.arange(len(transfers)), lengths)
        unmoved = Move()
        shifts = [
            [m.get(each.site, unmoved).tiles for each in transfers] for m in moves
        ]
        numbers = np.concatenate([each.numbers for each in transfers])
        pages = numbers + np.array(shifts)[:, self.owner]
        self.places = np.empty_like(pages)
        self._begins = np.zeros(pages.shape, bool)
        self._begins[:, np.cumsum([0, *lengths[:-1]])] = True
        tensors = {id(each.tensor): each.tensor for each in transfers}
        which = np.array([id(each.tensor) for each in transfers])[self.owner]
        for key, tensor in tensors.items():
            mine = np.flatnonzero(which == key)
            self.places[:, mine] = places_of(tensor, pages[:, mine])
            if tensor.shards is not None:
                self._begins[:, mine[1:]] |= self._apart(tensor, pages, mine)

    def _apart(self, tensor: Tensor, pages: np.ndarray, mine: np.ndarray) -> np.ndarray:
        """Whether pages, but the first, do not lie behind the one before."""
        slots = [
            np.zeros(len(each.numbers), np.int64) if each.slots is None else each.slots
            for each in self.transfers
        ]
        one_by_one = np.array([each.slots is None for each in self.transfers])
        row, column, inside = tensor.shard_of(pages[:, mine])
        apart = np.diff(inside) != 1
        apart |= np.diff(np.concatenate(slots)[mine]) != 1
        apart |= (np.diff(row) != 0) | (np.diff(column) != 0)
        return apart & ~one_by_one[self.owner[mine[1:]]]

    def packets(self, largest: int) -> Iterator[tuple[np.ndarray, Packets]]:
        """Cores that send the same packets, of at most `largest` bytes, by number."""
        left = np.arange(len(self._begins))
        while len(left):
            begins = self._begins[left[0]]
            alike = (self._begins[left] == begins).all(axis=1)
            yield left[alike], self._packets(begins, largest)
            left = left[~alike]

    def _packets(self, begins: np.ndarray, largest: int) -> Packets:
        first = np.flatnonzero(begins)
        length = np.diff(np.append(first, len(begins)))
        transfer = self.owner[first]
        num_bytes = np.array([each.num_bytes for each in self.transfers])[transfer]
        joined = np.array([self._joins(each) for each in self.transfers])[transfer]
        size = np.where(joined, num_bytes * length, num_bytes)
        pages = np.where(joined, 1, length)
        full, rest = np.divmod(size, largest)
        # Of each transaction first the largest packets of all pages, then what is left.
        times = np.stack([full, rest > 0], axis=1).reshape(-1)
        sizes = np.stack([np.full_like(rest, largest), rest], axis=1).reshape(-1)
        there = times > 0
        times, sizes = times[there], sizes[there]
        number = np.repeat(np.arange(len(first)), 2)[there]
        count = times * pages[number]
        behind = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        found = np.repeat(first[number], count) + behind // np.repeat(times, count)
        return Packets(transfer[number], count, sizes, found)

    def _joins(self, transfer: Pages) -> bool:
        return transfer.slots is not None and transfer.tensor.shards is not None
