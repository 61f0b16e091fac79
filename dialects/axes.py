"""The axes of a program, and the ranges of tiles that a core has of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Dealt:
    """Tiles that a core gets in turn: `run` of them, then the next `stride` further."""

    run: int
    stride: int


@dataclass(frozen=True)
class Range:
    """Tiles of a core along an axis. `bound` is the most that any core has.

    They follow each other, unless blocks are `dealt` in turn. `before` are the tiles of
    the core that come before the first one; blocks count pages from there.
    """

    start: int
    size: int
    bound: int
    dealt: Dealt | None = None
    before: int | None = None

    @property
    def place(self) -> int:
        """Where the first tile stands among those of the core, or of the axis."""
        return self.start if self.before is None else self.before

    @property
    def is_scattered(self) -> bool:
        """Whether the tiles do not follow each other."""
        return self.dealt is not None and self.size > self.dealt.run

    @property
    def tiles(self) -> np.ndarray:
        """The numbers of the tiles."""
        return self.start + self._way(np.arange(self.size))

    def _way(self, count: np.ndarray) -> np.ndarray:
        """From the first tile to one that comes so many of the core's later."""
        if self.dealt is None:
            return count
        blocks, inside = np.divmod(count, self.dealt.run)
        return blocks * self.dealt.stride + inside

    def steps(self, by: int, to: int | None = None) -> Iterator[Range]:
        """The blocks of a loop over this range, up to `to` where that is given.

        Every core takes the same number of steps; where the extent ends early the
        range is empty, and begins and stops there.
        """
        if self.dealt is not None:
            yield from self._dealt_steps(self.dealt, by, to)
            return
        stop, bound = self.start + self.size, self.bound
        if to is not None:
            stop, bound = min(stop, to), min(bound, to - self.start)
        end = max(stop, self.start)
        for offset in range(0, bound, by):
            start = min(self.start + offset, end)
            before = None if self.before is None else self.before + start - self.start
            size = max(0, min(by, stop - start))
            yield Range(start, size, min(by, self.bound), before=before)

    def _dealt_steps(self, dealt: Dealt, by: int, to: int | None) -> Iterator[Range]:
        """Steps over what was dealt: parts of a block, or several whole blocks."""
        bound = self.bound
        if to is not None:
            bound = min(bound, -(-to // dealt.stride) * dealt.run)
        several = by >= 2 * dealt.run
        by = by - by % dealt.run if several else min(by, dealt.run)
        for first in range(0, bound, max(by, dealt.run)):
            for count in range(first, first + max(by, dealt.run), by):
                start = self.start + int(self._way(np.array(count)))
                left = dealt.run - count % dealt.run
                size = max(0, min(by, self.size - count, by if several else left))
                if to is not None:
                    size = max(0, min(size, to - start))
                kept = dealt if several else None
                yield Range(start, size, by, kept, self.place + count)


@dataclass(frozen=True)
class Axis:
    """An axis with its defaults filled in. Counts are in tiles (or heads, rows).

    `of` names an axis whose part on each core this one shares out further, among cores
    that all have that part; `whole` is the part, `extent` that axis's own.
    """

    name: str
    extent: int
    over: str | None
    cores: int
    stride: int
    unit: int
    block: int
    dealt: bool = False
    of: str | None = None
    whole: int = 0

    @cached_property
    def part(self) -> int:
        """What the first core gets: a run of whole units, or all its dealt blocks."""
        if self.dealt:
            return self.share
        shared = self.extent if self.of is None else self.whole
        units = -(-shared // self.unit)
        return min(-(-units // self.cores) * self.unit, shared)

    @cached_property
    def share(self) -> int:
        """Tiles that come to the busiest core, whether in one run or dealt in turn."""
        if not self.dealt:
            return self.part
        blocks = -(-self.extent // self.block)
        return min(-(-blocks // self.cores) * self.block, self.extent)

    def index_at(self, position: int) -> int:
        """Which part of this axis is at a position in the order it is spread over."""
        return (position // self.stride) % self.cores

    def range_at(self, position: int, within: Range | None = None) -> Range:
        """The run at a position: `min(part, extent - start)` tiles, maybe none.

        `within` is what the core has of the axis that this one is `of`.
        """
        index = self.index_at(position)
        if self.dealt:
            return self._dealt_at(index)
        if within is not None:
            stop = within.start + within.size
            start = min(within.start + index * self.part, stop)
            return Range(start, min(self.part, stop - start), self.part)
        start = index * self.part
        return Range(start, max(0, min(self.part, self.extent - start)), self.part)

    def _dealt_at(self, index: int) -> Range:
        """The blocks that come to a core in turn; the last of all may be smaller."""
        start, stride = index * self.block, self.block * self.cores
        rounds, rest = divmod(max(0, self.extent - start), stride)
        size = rounds * self.block + min(rest, self.block)
        return Range(start, size, self.share, Dealt(self.block, stride), 0)
