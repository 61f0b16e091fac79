"""The state of cores and kernels while a launch is walked, and access to pages.

A page goes through states: empty, in flight (an asynchronous transfer whose barrier
or flag has not come), and filled. Using one that is not filled is an error, as is
writing one that was not reserved.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dialects.block_checks import dst_capacity
from dialects.chip import Core
from dialects.errors import HazardError
from dialects.netlist_text import line_of, print_netlist
from runtime import instructions as ins
from runtime.launch import KernelStream, Launch
from runtime.recorder import Recorder

EMPTY = -1
IN_FLIGHT = -2
ZERO = -3
"""A Dst tile after `tile_regs_acquire`."""

DST_TILES = 16
"""Places in Dst that the walker keeps; the mode allows 4 to 16 of them."""


@dataclass(slots=True)
class Buffer:
    """A circular buffer on one core; `left` is what L1 holds of popped pages."""

    pages: np.ndarray
    left: np.ndarray
    received: int = 0
    acked: int = 0
    reserved: int = 0
    waited: int = 0

    def back(self, slots: np.ndarray) -> np.ndarray:
        """Positions of slots behind the write pointer."""
        return (slots + self.received) % len(self.pages)

    def front(self, slots: np.ndarray) -> np.ndarray:
        """Positions of slots behind the read pointer."""
        return (slots + self.acked) % len(self.pages)


@dataclass(slots=True)
class CoreState:
    """L1 and Dst of one core."""

    core: Core
    buffers: list[Buffer]
    semaphores: list[int]
    dst: np.ndarray
    dst_state: str = "free"
    in_flight: dict[Core, list[tuple[int, np.ndarray, np.ndarray]]] = field(
        default_factory=dict
    )
    landed: dict[int, list[tuple[int, np.ndarray, np.ndarray]]] = field(
        default_factory=dict
    )


@dataclass(slots=True)
class Thread:
    """A kernel on a core, and where it stands."""

    state: CoreState
    stream: KernelStream
    at: int = 0
    reads: list[tuple[int, np.ndarray, np.ndarray, int]] = field(default_factory=list)
    writes: list[tuple[int, np.ndarray]] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Whether all instructions have run."""
        return self.at >= len(self.stream.instructions)


class WalkState:
    """A launch on a recorder: its cores, and checked access to pages."""

    def __init__(self, launch: Launch, recorder: Recorder):
        self.launch = launch
        self.recorder = recorder
        self.cores = {core: self._new_core(core) for core in launch.streams}
        self.capacity = dst_capacity(launch.facts)

    def _new_core(self, core: Core) -> CoreState:
        buffers = [
            Buffer(
                np.full(facts.capacity_pages, EMPTY, np.int64),
                np.full(facts.capacity_pages, EMPTY, np.int64),
            )
            for facts in self.launch.circular_buffers
        ]
        dst = np.full(DST_TILES, EMPTY, np.int64)
        return CoreState(core, buffers, list(self.launch.semaphores), dst)

    def _fault(self, thread: Thread, message: str, advice: str) -> HazardError:
        where = describe(self.launch, thread.stream.instructions[thread.at])
        return HazardError(
            f"{message} (core {thread.state.core}, kernel {thread.stream.name})",
            advice=advice,
            location=where,
        )

    def _check_pages(
        self, thread: Thread, cb: int, pages: int, blocks: int = 1
    ) -> None:
        capacity, block = len(thread.state.buffers[cb].pages), pages // blocks
        if pages > capacity or capacity % block:
            raise self._fault(
                thread,
                f"%{self._name(cb)} holds {capacity} pages, not a multiple of {block}",
                "a block must not straddle the end: make the capacity a multiple",
            )

    def _name(self, cb: int) -> str:
        return self.launch.circular_buffers[cb].name

    def _write_back(
        self, thread: Thread, cb: int, slots: np.ndarray, values: np.ndarray | int
    ) -> np.ndarray:
        buffer = thread.state.buffers[cb]
        if slots.size and int(slots.max()) >= buffer.reserved:
            raise self._fault(
                thread,
                f"%{self._name(cb)}: page {int(slots.max())} written, "
                f"{buffer.reserved} reserved",
                "reserve the block before writing it",
            )
        position = buffer.back(slots)
        for partner in self.launch.circular_buffers[cb].partners:
            self._overwrite(thread, cb, partner, position)
        buffer.pages[position] = values
        return position

    def _overwrite(
        self, thread: Thread, cb: int, partner: int, position: np.ndarray
    ) -> None:
        """Pages of a buffer at the same place are gone; they must have been popped."""
        other = thread.state.buffers[partner]
        if (other.pages[position] != EMPTY).any():
            raise self._fault(
                thread,
                f"%{self._name(cb)} overwrites pages of %{self._name(partner)}, which "
                "lies at the same place and still holds them",
                "pop them first, or give the buffer a place of its own",
            )
        other.left[position] = EMPTY

    def _front(self, thread: Thread, cb: int, slots: np.ndarray) -> np.ndarray:
        buffer = thread.state.buffers[cb]
        if slots.size and int(slots.max()) >= buffer.waited:
            raise self._fault(
                thread,
                f"%{self._name(cb)}: page {int(slots.max())} used, "
                f"{buffer.waited} waited for",
                "wait for the block before using it",
            )
        values = buffer.pages[buffer.front(slots)]
        if values.size and int(values.min()) < 0:
            state = "in flight" if (values == IN_FLIGHT).any() else "empty"
            raise self._fault(
                thread,
                f"%{self._name(cb)}: a page is used that is still {state}",
                "put a barrier (or the wait for the flag) before the push, and fill "
                "every page that is used",
            )
        return values


def describe(launch: Launch, instruction: ins.Instruction) -> str:
    """Where an instruction stands: its line where that is known, and its text."""
    op = launch.sites[instruction.site]
    where = line_of(op) or f"program @{launch.facts.name}"
    text = print_netlist(op).splitlines()[0].strip()
    return f"{where}: `{text}`"
