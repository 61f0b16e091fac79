"""The timeline of a launch as slices: what a trace shows of every kernel.

A step of a kernel becomes a slice of waiting and one of being busy; equal neighbours
are one. Slices are in whole nanoseconds, rounded so that those of one kernel and one
reason add up to what the tables say; a boundary is off by a few nanoseconds at most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forge.profile.bounds import reason_name
from runtime.timing import KernelTiming, LaunchTiming, Recording

BUSY = -1
"""Category of a slice that is not waiting; others are numbers of reasons."""

LEAST_CYCLES = 1e-6


@dataclass(frozen=True, eq=False)
class Slices:
    """What one kernel does; arrays have an entry for each slice, in order of time.

    `start` counts from the begin of the launch; `name` indexes the names of the
    `Timeline`. `sends` and `takes` hold the number of a signal, or -1.
    """

    start: np.ndarray
    duration: np.ndarray
    category: np.ndarray
    name: np.ndarray
    sends: np.ndarray
    takes: np.ndarray


@dataclass(frozen=True, eq=False)
class Timeline:
    """All kernels of a launch, in the order of `LaunchTiming.kernels`."""

    kernels: tuple[Slices, ...]
    names: tuple[str, ...]
    num_signals: int

    @property
    def num_slices(self) -> int:
        """Slices of all kernels."""
        return sum(len(kernel.start) for kernel in self.kernels)


def timeline_of(
    timing: LaunchTiming, clock_ghz: float, *, is_coarse: bool = False
) -> Timeline:
    """The slices of a recorded launch; `is_coarse` leaves the instructions out."""
    recording = timing.recording
    assert recording is not None, "the launch was timed without recording it"
    names = (*recording.labels, *map(wait_name, recording.reasons))
    if is_coarse:
        names = ("busy", *names[1:])
    sends, takes = _signals(recording)
    kernels = []
    for number, kernel in enumerate(timing.kernels):
        rows = slice(recording.first[number], recording.first[number + 1])
        pieces = _pieces(recording, rows, sends[rows], takes[rows], is_coarse)
        kernels.append(_rounded(pieces, kernel, recording.reasons, clock_ghz))
    return Timeline(tuple(kernels), names, int(sends.max(initial=-1)) + 1)


def wait_name(reason: str) -> str:
    """What a slice of waiting is called."""
    return f"wait {reason_name(reason)}"


def _signals(recording: Recording) -> tuple[np.ndarray, np.ndarray]:
    """For each step the number of the signal that it sends, and that it takes."""
    sends = np.full(len(recording.begin), -1, np.int64)
    takes = sends.copy()
    if len(recording.arrows):
        sent, taken = recording.arrows.T
        sources, numbers = np.unique(sent, return_inverse=True)
        sends[sources] = np.arange(len(sources))
        takes[taken] = numbers
    return sends, takes


@dataclass(frozen=True, eq=False)
class _Pieces:
    """Merged pieces of one kernel, in cycles."""

    length: np.ndarray
    category: np.ndarray
    name: np.ndarray
    sends: np.ndarray
    takes: np.ndarray


def _pieces(
    recording: Recording,
    rows: slice,
    sends: np.ndarray,
    takes: np.ndarray,
    is_coarse: bool,
) -> _Pieces:
    """Two pieces for each step, waiting and busy; empty ones left out, equal merged."""
    wait = np.maximum(recording.wait[rows], 0.0)
    busy = np.maximum(recording.end[rows] - recording.begin[rows] - wait, 0.0)
    label = np.zeros_like(recording.label[rows]) if is_coarse else recording.label[rows]
    reason, none = recording.reason[rows], np.full(len(wait), -1, np.int64)
    length = np.stack([wait, busy], 1).reshape(-1)
    category = np.stack([reason, none], 1).reshape(-1)
    name = np.stack([len(recording.labels) + reason, label], 1).reshape(-1)
    sent = np.stack([none, sends], 1).reshape(-1)
    taken = np.stack([none, takes], 1).reshape(-1)
    kept = (length > LEAST_CYCLES) | (sent >= 0) | (taken >= 0)
    length, category, name = length[kept], category[kept], name[kept]
    sent, taken = sent[kept], taken[kept]
    opens = np.diff(name, prepend=-1) != 0
    opens |= (sent >= 0) | (taken >= 0)
    at = np.flatnonzero(opens)
    if not len(at):
        return _Pieces(length, category, name, sent, taken)
    total = np.add.reduceat(length, at)
    return _Pieces(total, category[at], name[at], sent[at], taken[at])


def _rounded(
    pieces: _Pieces, kernel: KernelTiming, reasons: tuple[str, ...], clock_ghz: float
) -> Slices:
    """Pieces in nanoseconds; those of each category add up to the table's total."""
    duration = np.zeros(len(pieces.length), np.int64)
    for category in np.unique(pieces.category).tolist():
        mine = np.flatnonzero(pieces.category == category)
        total = (
            kernel.busy_cycles
            if category == BUSY
            else kernel.waiting.get(reasons[category], 0.0)
        )
        ends = np.rint(np.cumsum(pieces.length[mine]) / clock_ghz)
        ends[-1] = round(total / clock_ghz)
        ends = np.minimum(ends, ends[-1])
        duration[mine] = np.diff(ends, prepend=0.0)
    ends = round(kernel.begin / clock_ghz) + np.cumsum(duration)
    start = ends - duration
    return Slices(
        start, duration, pieces.category, pieces.name, pieces.sends, pieces.takes
    )
