"""A profile as Chrome trace, which Perfetto opens: one track per core and kernel.

The format is Chrome's "Trace Event Format": complete events (`X`) for slices, counters
(`C`), metadata (`M`). Every run is a slice on the track `programs`; the runs that are
selected have their kernels as well. An arrow leads from the instruction that sends a
multicast (`flow_out`) to where each receiver goes on with it (`flow_in`).
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dialects.chip import Core
from forge.errors import UsageError
from forge.profile.bounds import PHASE_OF
from forge.profile.layers import layers_of
from forge.profile.model import Profile, launch_key
from forge.profile.slices import BUSY, Slices, Timeline, timeline_of
from runtime.machine import Machine, Run
from runtime.timing import KernelTiming

PROGRAMS_TRACK = 1
FIRST_KERNEL_TRACK = 1000
"""Above the number of any process, since a thread is numbered once in a trace."""

MAX_LAYER_SLICES = 180_000
"""More slices than this in one layer (some 20 MB), and instructions are merged."""

ALL_LAYERS = "all"
_LAYERS = re.compile(r"(\d+)(?:-(\d+))?")


@dataclass(frozen=True)
class Selection:
    """What of a netlist is traced in detail: runs by number, and one core or all."""

    runs: tuple[int, ...]
    programs: frozenset[str]
    core: Core | None

    @staticmethod
    def of(
        machine: Machine,
        lines: Sequence[Run],
        *,
        layers: str | None = None,
        program: str | None = None,
        core: Core | None = None,
    ) -> Selection:
        """Runs of some layers (`0,3-5`, `all`), or else the first of equal runs.

        Raises `UsageError` where `layers` is no such list, or where nothing is left.
        """
        numbers = layers_of(machine, lines)
        wanted = _parse_layers(layers, [n for n in numbers if n is not None])
        seen, runs = set(), []
        for number, run in enumerate(lines):
            key = launch_key(machine, run)
            chosen = key not in seen if wanted is None else numbers[number] in wanted
            seen.add(key)
            if (chosen or layers == ALL_LAYERS) and program in (None, run.program):
                runs.append(number)
        if not runs:
            raise UsageError(
                f"no run of @{program} is in layer {layers}",
                advice="leave --layers or --program out",
            )
        names = frozenset(lines[number].program for number in runs)
        return Selection(tuple(runs), names, core)


def _parse_layers(text: str | None, known: list[int]) -> set[int] | None:
    """`0,3-5` as a set of layers; None where no layer is named."""
    if text is None:
        return None
    if text == ALL_LAYERS:
        return set(known)
    wanted: set[int] = set()
    for part in text.split(","):
        if (match := _LAYERS.fullmatch(part.strip())) is None:
            raise UsageError(
                f"{text!r} is not a list of layers",
                advice="write --layers 0, --layers 0,3-5 or --layers all",
            )
        wanted.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    if missing := wanted - set(known):
        there = f"layers 0 to {max(known)}" if known else "no layers in this netlist"
        raise UsageError(
            f"there is no layer {min(missing)}", limit=there, advice="give another one"
        )
    return wanted


@dataclass(frozen=True)
class TraceFile:
    """What was written."""

    path: Path
    num_bytes: int
    num_slices: int
    num_runs: int
    is_coarse: bool


def write_trace(profile: Profile, selection: Selection, path: Path) -> TraceFile:
    """Write the trace, gzipped if the name ends in `.gz`. Whole or not at all.

    The programs of `selection` must have been recorded.
    """
    timelines, is_coarse = _timelines(profile, selection)
    events = _Events(profile, selection, timelines).all()
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as scratch:
        draft = Path(scratch) / path.name
        is_packed = path.suffix == ".gz"
        with gzip.open(draft, "wt") if is_packed else draft.open("w") as file:
            file.write('{"displayTimeUnit":"ns","traceEvents":[\n')
            file.write(next(events))
            file.writelines(f",\n{event}" for event in events)
            file.write("\n]}\n")
        draft.replace(path)
    num_slices = sum(timelines[profile.order[i]].num_slices for i in selection.runs)
    size = path.stat().st_size
    return TraceFile(path, size, num_slices, len(selection.runs), is_coarse)


def _timelines(
    profile: Profile, selection: Selection
) -> tuple[dict[int, Timeline], bool]:
    """The slices of every selected program, coarse if a layer would have too many."""
    numbers = dict.fromkeys(profile.order[run] for run in selection.runs)
    for is_coarse in (False, True):
        timelines = {
            number: timeline_of(
                profile.programs[number].timing, profile.clock_ghz, is_coarse=is_coarse
            )
            for number in numbers
        }
        in_layer: Counter[int | None] = Counter()
        for run in selection.runs:
            slices = timelines[profile.order[run]].num_slices
            in_layer[profile.layers[run]] += slices
        if max(in_layer.values()) <= MAX_LAYER_SLICES:
            break
    return timelines, is_coarse


class _Events:
    """The events of a trace, as lines of JSON."""

    def __init__(
        self, profile: Profile, selection: Selection, timelines: dict[int, Timeline]
    ):
        self.profile = profile
        self.core = selection.core
        self.timelines = timelines
        self.selected = frozenset(selection.runs)
        self._tracks: dict[tuple[Core, str, str], int] = {}
        self._cores: dict[Core, int] = {}
        self._signals = 0

    def all(self) -> Iterator[str]:
        """Every run in its order, each with the tracks that it is the first to need."""
        yield _name("process_name", PROGRAMS_TRACK, PROGRAMS_TRACK, "programs")
        yield _name("thread_name", PROGRAMS_TRACK, PROGRAMS_TRACK, "runs")
        begin_cycles = 0.0
        for run, number in enumerate(self.profile.order):
            begin = self._nanoseconds(begin_cycles)
            yield from self._run(run, number, begin)
            if run in self.selected:
                yield from self._kernels(number, begin)
            cycles = self.profile.programs[number].cycles
            begin_cycles += cycles + self.profile.gap_cycles

    def _nanoseconds(self, cycles: float) -> int:
        return round(cycles / self.profile.clock_ghz)

    def _run(self, run: int, number: int, begin: int) -> Iterator[str]:
        """The slice of a run, and its share of the roofs as counters."""
        program = self.profile.programs[number]
        duration = self._nanoseconds(program.cycles)
        args = {
            "run": run,
            "layer": self.profile.layers[run],
            "cycles": round(program.cycles),
            "bound": program.limit.bound.value,
            "limit": str(program.limit),
        }
        track = {"pid": PROGRAMS_TRACK, "tid": PROGRAMS_TRACK}
        yield _event("X", program.name, begin, dur=duration / 1000, **track, args=args)
        for name, share in (
            ("DRAM", program.dram_utilisation),
            ("FPU", program.fpu_utilisation),
        ):
            for at, value in ((begin, round(100 * share, 2)), (begin + duration, 0)):
                yield _event("C", name, at, pid=PROGRAMS_TRACK, args={"% roof": value})

    def _kernels(self, number: int, begin: int) -> Iterator[str]:
        """The slices of all kernels of a run."""
        timeline = self.timelines[number]
        kernels = self.profile.programs[number].timing.kernels
        for kernel, slices in zip(kernels, timeline.kernels, strict=True):
            if self.core in (None, kernel.core):
                yield from self._track(kernel)
                yield from self._slices(kernel, slices, timeline.names, begin)
        self._signals += timeline.num_signals

    def _track(self, kernel: KernelTiming) -> Iterator[str]:
        """Name the track of a kernel, and its core, where they are new."""
        key = (kernel.core, kernel.kernel, kernel.processor)
        if key in self._tracks:
            return
        if kernel.core not in self._cores:
            pid = self._cores[kernel.core] = PROGRAMS_TRACK + 1 + len(self._cores)
            yield _name("process_name", pid, pid, f"core {kernel.core}")
        pid = self._cores[kernel.core]
        self._tracks[key] = FIRST_KERNEL_TRACK + len(self._tracks)
        phase = PHASE_OF.get(kernel.processor, kernel.processor)
        yield _name("thread_name", pid, self._tracks[key], f"{kernel.kernel} {phase}")

    def _slices(
        self, kernel: KernelTiming, slices: Slices, names: tuple[str, ...], begin: int
    ) -> Iterator[str]:
        tid = self._tracks[kernel.core, kernel.kernel, kernel.processor]
        track = {"pid": self._cores[kernel.core], "tid": tid}
        columns = (slices.start, slices.duration, slices.category, slices.name)
        columns = (*columns, slices.sends, slices.takes)
        for start, duration, category, name, sends, takes in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            fields = {"dur": duration / 1000, **track}
            fields["cat"] = "busy" if category == BUSY else "wait"
            if self.core is None and max(sends, takes) >= 0:
                fields["bind_id"] = self._signals + max(sends, takes) + 1
                fields["flow_out" if sends >= 0 else "flow_in"] = True
            yield _event("X", names[name], begin + start, **fields)


def _event(phase: str, name: str, nanoseconds: int, **fields: Any) -> str:
    """One event; the format counts microseconds."""
    event = {"ph": phase, "name": name, "ts": nanoseconds / 1000, **fields}
    return json.dumps(event, separators=(",", ":"))


def _name(what: str, pid: int, tid: int, name: str) -> str:
    """The name of a process or thread."""
    return _event("M", what, 0, pid=pid, tid=tid, args={"name": name})
