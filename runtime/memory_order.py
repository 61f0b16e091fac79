"""Who touched which tile of memory: cores whose accesses nothing orders.

Only parameters that are both read and written can go wrong, and only where the
program has no semaphore that could order its cores.
"""

from __future__ import annotations

import numpy as np

from dialects.chip import Core
from runtime.launch import Launch

NOBODY = -1


class MemoryOrder:
    """Readers and writers of the tiles of every `inout` parameter."""

    def __init__(self, launch: Launch):
        self._cores = list(launch.streams)
        self._number = {core: n for n, core in enumerate(self._cores)}
        ways = [way for way, _ in launch.facts.parameters]
        watched = [] if launch.semaphores else [
            n for n, way in enumerate(ways) if way == "inout"
        ]  # fmt: skip
        sizes = {n: launch.tensors[n].num_tiles for n in watched}
        self._readers = {n: np.full(size, NOBODY) for n, size in sizes.items()}
        self._writers = {n: np.full(size, NOBODY) for n, size in sizes.items()}

    def read(
        self, core: Core, parameter: int, tiles: np.ndarray
    ) -> tuple[Core, int] | None:
        """Note a read; the core and tile of a write that nothing orders, or None."""
        return self._touch(core, parameter, tiles, self._readers, self._writers)

    def write(
        self, core: Core, parameter: int, tiles: np.ndarray
    ) -> tuple[Core, int] | None:
        """Note a write; the core and tile of a read that nothing orders, or None."""
        return self._touch(core, parameter, tiles, self._writers, self._readers)

    def _touch(
        self,
        core: Core,
        parameter: int,
        tiles: np.ndarray,
        own: dict[int, np.ndarray],
        others: dict[int, np.ndarray],
    ) -> tuple[Core, int] | None:
        if parameter not in own:
            return None
        number = self._number[core]
        own[parameter][tiles] = number
        before = others[parameter][tiles]
        clashing = (before != NOBODY) & (before != number)
        if not clashing.any():
            return None
        place = int(clashing.argmax())
        return self._cores[int(before[place])], int(tiles[place])
