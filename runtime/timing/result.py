"""What the time engine says about a launch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dialects.chip import Core
from runtime.costs import CostTable, load_costs


class Link(NamedTuple):
    """A link of a NoC, by the tile that it leaves (NoC 0 coordinates)."""

    noc: int
    noc_x: int
    noc_y: int
    direction: str


@dataclass(frozen=True, slots=True)
class KernelTiming:
    """A kernel's processor on one core; compute kernels have three.

    `waiting` maps `cb NAME`, `semaphore NAME`, `read barrier`, `write barrier`, `dst`
    and `src` (unpack and math on each other) to cycles. `fpu_cycles` is what the
    matrix unit computes at its best rate.
    """

    core: Core
    kernel: str
    processor: str
    begin: float
    end: float
    busy_cycles: float
    waiting: Mapping[str, float]
    fpu_cycles: float = 0.0


class TraceEvent(NamedTuple):
    """An instruction on one thread, its site in the text; waits are part of it."""

    thread: int
    site: int
    begin: float
    end: float


@dataclass(frozen=True)
class LaunchTiming:
    """Cycles of one launch, and where they go.

    `cycles` runs from the kernels' begin until the last core is done and its writes
    are acknowledged. `trace` refers to `kernels` by number.
    """

    program: str
    cycles: float
    kernels: tuple[KernelTiming, ...]
    dram_read_bytes: int
    dram_written_bytes: int
    noc_bytes: int
    channel_bytes: tuple[int, ...]
    link_bytes: Mapping[Link, int]
    fpu_busy_cycles: float
    num_transfers: int
    num_events: int
    trace: tuple[TraceEvent, ...] = field(default=(), repr=False)

    @property
    def dram_bytes(self) -> int:
        """Bytes read from and written to DRAM."""
        return self.dram_read_bytes + self.dram_written_bytes


def time_sequence(
    launches: Sequence[LaunchTiming], costs: CostTable | None = None
) -> float:
    """Cycles of launches one after the other, with the gaps between them."""
    gap = (costs or load_costs()).op_to_op_gap_cycles
    return sum(launch.cycles for launch in launches) + gap * max(0, len(launches) - 1)
