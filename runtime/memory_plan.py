"""Where the sheets of a program lie while it runs: one block, used again and again.

What steps compute lives from its first write to its last read. A plan gives each sheet
an offset in a block of words; blocks belong to the emulator, which lends one to all
programs in turn. What stays, packed weights, gets words of a `Store`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

ALIGN_WORDS = 16
"""Sheets begin at a line of the cache."""


@dataclass(frozen=True)
class Interval:
    """Words that are wanted from one step to another, both included."""

    key: object
    words: int
    first: int
    last: int


def plan(intervals: Iterable[Interval]) -> tuple[dict[object, int], int]:
    """The offset in words of each key, and the words in all; first fit."""
    offsets: dict[object, int] = {}
    placed: list[tuple[int, int, Interval]] = []
    total = 0
    for interval in sorted(intervals, key=lambda i: (i.first, -i.words)):
        words = -(-interval.words // ALIGN_WORDS) * ALIGN_WORDS
        placed = [p for p in placed if p[2].last >= interval.first]
        at = 0
        for start, stop, _ in sorted(placed, key=lambda p: p[0]):
            if at + words <= start:
                break
            at = max(at, stop)
        placed.append((at, at + words, interval))
        offsets[interval.key] = at
        total = max(total, at + words)
    return offsets, total


class Workspace:
    """The block of words that programs compute in, as large as the largest needs."""

    def __init__(self) -> None:
        self._block = np.zeros(0, np.uint32)

    def words(self, count: int) -> np.ndarray:
        """At least `count` words; what they hold is undefined."""
        if len(self._block) < count:
            self._block = np.zeros(count + ALIGN_WORDS, np.uint32)
        skip = -self._block.ctypes.data // 4 % ALIGN_WORDS
        return self._block[skip:]


class Store:
    """Words that stay where they are, handed out from large blocks.

    The system maps large blocks in large pages, small arrays in small ones: a decode
    step, which reads every weight once, would wait for the tables of pages.
    """

    BLOCK_WORDS = 2**23

    def __init__(self) -> None:
        self._left = np.zeros(0, np.uint32)

    def words(self, count: int) -> np.ndarray:
        """`count` words that nobody else has; what they hold is undefined."""
        padded = -(-count // ALIGN_WORDS) * ALIGN_WORDS
        if padded > self.BLOCK_WORDS:
            return _aligned(padded)[:count]
        if padded > len(self._left):
            self._left = _aligned(self.BLOCK_WORDS)
        found, self._left = self._left[:count], self._left[padded:]
        return found


def _aligned(count: int) -> np.ndarray:
    """At least `count` new words that begin at a line of the cache."""
    block = np.empty(count + ALIGN_WORDS, np.uint32)
    return block[-block.ctypes.data // 4 % ALIGN_WORDS :]
