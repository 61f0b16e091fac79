"""What the time engine says about a launch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dialects.chip import Core
from runtime.costs import CostTable, load_costs
from runtime.timing.recording import Recording


class Link(NamedTuple):
    """A link of a NoC, by the tile that it leaves (NoC 0 coordinates)."""

    noc: int
    noc_x: int
    noc_y: int
    direction: str


class Port(NamedTuple):
    """A place where a tile of the die meets the NoC, or its L1 behind it.

    `kind` is `read responder`, `initiator` or `sink` of one NoC, or `L1 read-out`,
    which both share (`noc` is None).
    """

    kind: str
    noc: int | None
    noc_x: int
    noc_y: int


class Load(NamedTuple):
    """What passed a link, a port or a DRAM channel.

    Bytes on the wire, headers included, and the cycles that they take at its rate.
    """

    num_bytes: int
    busy_cycles: float


@dataclass(frozen=True, slots=True)
class KernelTiming:
    """A kernel's processor on one core; compute kernels have three.

    `waiting` maps `cb NAME`, `semaphore NAME`, `read barrier`, `write barrier`, `dst`
    and `src` (unpack and math on each other) to cycles. `fpu_cycles` is what the
    matrix unit computes at its best rate. `noc_bytes` are all bytes that it moves,
    those of DRAM among them; a multicast counts once.
    """

    core: Core
    kernel: str
    processor: str
    begin: float
    end: float
    busy_cycles: float
    waiting: Mapping[str, float]
    fpu_cycles: float = 0.0
    dram_read_bytes: int = 0
    dram_written_bytes: int = 0
    noc_bytes: int = 0


@dataclass(frozen=True)
class LaunchTiming:
    """Cycles of one launch, and where they go.

    `cycles` runs from the kernels' begin until the last core is done and its writes
    are acknowledged. `recording` refers to `kernels` by number.
    """

    program: str
    cycles: float
    kernels: tuple[KernelTiming, ...]
    dram_read_bytes: int
    dram_written_bytes: int
    noc_bytes: int
    channels: tuple[Load, ...]
    links: Mapping[Link, Load]
    ports: Mapping[Port, Load]
    fpu_busy_cycles: float
    num_transfers: int
    num_events: int
    recording: Recording | None = field(default=None, repr=False, compare=False)

    @property
    def dram_bytes(self) -> int:
        """Bytes read from and written to DRAM."""
        return self.dram_read_bytes + self.dram_written_bytes

    @property
    def channel_bytes(self) -> tuple[int, ...]:
        """Bytes on the wire of each DRAM channel."""
        return tuple(load.num_bytes for load in self.channels)

    @property
    def link_bytes(self) -> Mapping[Link, int]:
        """Bytes on the wire of every link that carried any."""
        return {link: load.num_bytes for link, load in self.links.items()}


def time_sequence(
    launches: Sequence[LaunchTiming], costs: CostTable | None = None
) -> float:
    """Cycles of launches one after the other, with the gaps between them."""
    gap = (costs or load_costs()).op_to_op_gap_cycles
    return sum(launch.cycles for launch in launches) + gap * max(0, len(launches) - 1)
