"""What bounds a launch: the busiest of what it uses, or that nothing is busy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from runtime.timing import LaunchTiming, Link, Port


class Bound(StrEnum):
    """What a launch would have to do less of, or faster, to take less time."""

    COMPUTE = "compute"
    DRAM = "DRAM"
    NOC = "NoC"
    LATENCY = "latency"
    DISPATCH = "dispatch"


BUSY_SHARE = 0.5
"""What is busy for less than this share of a launch does not bound it."""

RESULTING_WAITS = ("cb ", "dst", "src")
"""Waits of one processor for another of the same core: consequences, not causes."""

PHASE_OF = {"trisc.unpack": "unpack", "trisc.math": "math", "trisc.pack": "pack"}


@dataclass(frozen=True)
class Limit:
    """Something that a launch keeps busy, or waits for, for a share of its cycles."""

    bound: Bound
    what: str
    share: float

    def __str__(self) -> str:
        return f"{self.what} {100 * self.share:.0f} %"


def limits_of(timing: LaunchTiming) -> list[Limit]:
    """The busiest of each kind of resource, the busiest first."""
    busiest: dict[tuple[Bound, str], tuple[float, str]] = {}
    for kind, what, cycles in _busy_cycles(timing):
        busiest[kind] = max(busiest.get(kind, (0.0, "")), (cycles, what))
    limits = [
        Limit(bound, what, cycles / timing.cycles)
        for (bound, _), (cycles, what) in busiest.items()
    ]
    return sorted(limits, key=lambda limit: -limit.share)


def bound_of(timing: LaunchTiming, gap_cycles: float) -> Limit:
    """What bounds a launch that follows another one after a gap.

    Dispatch, if the gap is longer than the launch; else the busiest resource, if it is
    busy for at least `BUSY_SHARE` of the time; else latency: round trips, handshakes,
    and the processors that issue transfers.
    """
    if gap_cycles >= timing.cycles:
        share = gap_cycles / (gap_cycles + timing.cycles)
        return Limit(Bound.DISPATCH, "gap between launches", share)
    busiest = limits_of(timing)[0]
    if busiest.share >= BUSY_SHARE:
        return busiest
    return max(
        longest_wait(timing),
        Limit(Bound.LATENCY, busiest.what, busiest.share),
        key=lambda limit: limit.share,
    )


def longest_wait(timing: LaunchTiming) -> Limit:
    """The longest wait of a kernel for memory or for another core."""
    waits = [
        (cycles, f"{reason_name(reason)}, {kernel.kernel} {kernel.core}")
        for kernel in timing.kernels
        for reason, cycles in kernel.waiting.items()
        if not reason.startswith(RESULTING_WAITS)
    ]
    cycles, what = max(waits, default=(0.0, "nothing"))
    return Limit(Bound.LATENCY, what, cycles / timing.cycles)


def _busy_cycles(
    timing: LaunchTiming,
) -> Iterator[tuple[tuple[Bound, str], str, float]]:
    """Everything that can be busy: its kind, its name, its busy cycles."""
    for bank, load in enumerate(timing.channels):
        yield (Bound.DRAM, "channel"), f"DRAM bank {bank}", load.busy_cycles
    for link, load in timing.links.items():
        yield (Bound.NOC, "link"), link_name(link), load.busy_cycles
    for port, load in timing.ports.items():
        yield (Bound.NOC, port.kind), port_name(port), load.busy_cycles
    for kernel in timing.kernels:
        phase = PHASE_OF.get(kernel.processor)
        bound = Bound.LATENCY if phase is None else Bound.COMPUTE
        what = f"{phase or kernel.processor} {kernel.core}"
        yield (bound, kernel.processor), what, kernel.busy_cycles


def reason_name(reason: str) -> str:
    """A reason to wait as people read it: a circular buffer as the netlist names it."""
    return f"%{reason[3:]}" if reason.startswith("cb ") else reason


def link_name(link: Link) -> str:
    """`NoC 0 link (3,4) right`, by the tile that it leaves (NoC 0 coordinates)."""
    return f"NoC {link.noc} link ({link.noc_x},{link.noc_y}) {link.direction}"


def port_name(port: Port) -> str:
    """`NoC 0 sink (3,4)`, by its tile in NoC 0 coordinates."""
    noc = "" if port.noc is None else f"NoC {port.noc} "
    return f"{noc}{port.kind} ({port.noc_x},{port.noc_y})"
