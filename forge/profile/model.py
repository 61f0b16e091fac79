"""The profile of a netlist: every program timed once, the runs added up."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Hashable, MutableMapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from dialects.chip import Chip
from dialects.netlist_summary import NetlistSummary
from forge.console import Step
from forge.profile.bounds import Bound, Limit, bound_of, limits_of
from forge.profile.layers import layers_of
from runtime.costs import load_costs
from runtime.launch import Launch
from runtime.machine import Machine, Run, Scalars
from runtime.timing import LaunchTiming, time_launch, warm_up

Timings: TypeAlias = MutableMapping[Hashable, LaunchTiming]
"""Timed launches by `launch_key`."""


@dataclass(frozen=True)
class Roofs:
    """What a chip can do at most, and what passes between two launches.

    `fpu_cores` matrix units are busy in every cycle, and DRAM channels together move
    `dram_bytes_per_cycle` (their sustained rate, `runtime/costs.toml`).
    """

    fpu_cores: int
    dram_bytes_per_cycle: float
    gap_cycles: float

    @staticmethod
    def of(chip: Chip) -> Roofs:
        """The roofs of a chip."""
        costs = load_costs()
        rate = chip.num_dram_banks * costs.dram_read_bytes_per_cycle
        return Roofs(chip.num_cores, rate, costs.op_to_op_gap_cycles)


@dataclass(frozen=True)
class ProgramProfile:
    """A program with the tensors it is bound to, timed once for all its runs.

    `l1_bytes` is the most that a run takes on a core: circular buffers, and the tensors
    that live in L1 meanwhile.
    """

    name: str
    runs: int
    cores: int
    l1_bytes: int
    roofs: Roofs
    timing: LaunchTiming

    @property
    def cycles(self) -> float:
        """Cycles of one run."""
        return self.timing.cycles

    @property
    def total_cycles(self) -> float:
        """Cycles of all runs, gaps left out."""
        return self.cycles * self.runs

    @property
    def dram_read_bytes(self) -> int:
        """Bytes that one run reads from DRAM."""
        return self.timing.dram_read_bytes

    @property
    def dram_written_bytes(self) -> int:
        """Bytes that one run writes to DRAM."""
        return self.timing.dram_written_bytes

    @property
    def noc_bytes(self) -> int:
        """Bytes that one run moves over the NoCs; a multicast counts once."""
        return self.timing.noc_bytes

    @property
    def fpu_roof_cycles(self) -> float:
        """Cycles if the matrix units of all cores shared the work and did only that."""
        return self.timing.fpu_busy_cycles / self.roofs.fpu_cores

    @property
    def dram_roof_cycles(self) -> float:
        """Cycles if all DRAM channels moved the bytes and did only that."""
        return self.timing.dram_bytes / self.roofs.dram_bytes_per_cycle

    @property
    def fpu_utilisation(self) -> float:
        """Share of what all matrix units of the chip could have done in this time."""
        return self.fpu_roof_cycles / self.cycles

    @property
    def dram_utilisation(self) -> float:
        """Share of what all DRAM channels could have moved in this time."""
        return self.dram_roof_cycles / self.cycles

    @cached_property
    def limit(self) -> Limit:
        """What bounds this program, and how busy that is."""
        return bound_of(self.timing, self.roofs.gap_cycles)

    @cached_property
    def limits(self) -> list[Limit]:
        """The busiest of each kind of resource, the busiest first."""
        return limits_of(self.timing)


@dataclass(frozen=True)
class Profile:
    """Predicted cost of one pass over the runs of a netlist, or of one of its entries.

    `order` names the program of each run by its place in `programs`, `layers` the
    layer that the run belongs to, None outside layers.
    """

    programs: tuple[ProgramProfile, ...]
    order: tuple[int, ...]
    layers: tuple[int | None, ...]
    chip: Chip
    roofs: Roofs

    @property
    def gap_cycles(self) -> float:
        """Cycles between two launches."""
        return self.roofs.gap_cycles

    @property
    def clock_ghz(self) -> float:
        """The chip's nominal clock."""
        return self.chip.clock_ghz

    @property
    def l1_usable_bytes(self) -> int:
        """L1 of a core that programs may use."""
        return self.chip.l1_usable_bytes

    @property
    def num_runs(self) -> int:
        """Launches in all."""
        return sum(program.runs for program in self.programs)

    @property
    def total_gap_cycles(self) -> float:
        """Cycles between launches, all together."""
        return self.gap_cycles * max(0, self.num_runs - 1)

    @property
    def total_cycles(self) -> float:
        """Cycles of all runs with the gaps between launches."""
        return sum(p.total_cycles for p in self.programs) + self.total_gap_cycles

    @property
    def milliseconds(self) -> float:
        """The same at the chip's nominal clock."""
        return self.total_cycles / self.clock_ghz / 1e6

    @property
    def dram_read_bytes(self) -> int:
        """Bytes read from DRAM by all runs."""
        return sum(p.dram_read_bytes * p.runs for p in self.programs)

    @property
    def dram_written_bytes(self) -> int:
        """Bytes written to DRAM by all runs."""
        return sum(p.dram_written_bytes * p.runs for p in self.programs)

    @property
    def noc_bytes(self) -> int:
        """Bytes moved over the NoCs by all runs."""
        return sum(p.noc_bytes * p.runs for p in self.programs)

    @property
    def fpu_utilisation(self) -> float:
        """Share of what all matrix units could have done in the whole time."""
        return (
            sum(p.fpu_roof_cycles * p.runs for p in self.programs) / self.total_cycles
        )

    @property
    def dram_utilisation(self) -> float:
        """Share of what all DRAM channels could have moved in the whole time."""
        roof = sum(p.dram_roof_cycles * p.runs for p in self.programs)
        return roof / self.total_cycles

    @property
    def l1_peak_bytes(self) -> int:
        """The most L1 that a program takes on a core, living tensors included."""
        return max((p.l1_bytes for p in self.programs), default=0)

    def share_by_bound(self) -> dict[Bound, float]:
        """Share of all cycles by what bounds them; gaps are dispatch."""
        cycles = dict.fromkeys(Bound, 0.0)
        cycles[Bound.DISPATCH] = self.total_gap_cycles
        for program in self.programs:
            cycles[program.limit.bound] += program.total_cycles
        return {bound: n / self.total_cycles for bound, n in cycles.items() if n}


def profile_machine(
    machine: Machine,
    progress: Step | None = None,
    *,
    entry: str | None = None,
    scalars: Scalars | None = None,
    recorded: Collection[str] = (),
    known: Timings | None = None,
) -> Profile:
    """Time every distinct launch of a netlist, or of one of its entries.

    Programs in `recorded` are timed step by step. `scalars` gives run-time scalars by
    buffer; others are at the upper ends of their ranges. `known` is where timings are
    looked up and kept. Raises `ForgeError` for a value outside of its range.
    """
    timings: Timings = {} if known is None or recorded else known
    if progress is not None:
        progress.update("compiling its event loop, once on a machine")
    warm_up()
    roofs = Roofs.of(machine.chip)
    summary = NetlistSummary(machine.netlist, machine.chip)
    lines = machine.runs if entry is None else machine.entry(entry)
    keys = [launch_key(machine, run, scalars) for run in lines]
    runs = Counter(keys)
    first = dict(zip(reversed(keys), reversed(lines), strict=True))

    def timed(key: Hashable) -> ProgramProfile:
        run = first[key]
        launch = machine.launch(run, machine.scalars(run, scalars))
        if key not in timings:
            timings[key] = time_launch(launch, recorded=run.program in recorded)
        timing = timings[key]
        l1_bytes = summary.most_l1_bytes(launch.facts) or 0
        return _program(launch, timing, roofs, runs=runs[key], l1_bytes=l1_bytes)

    def report(done: int, key: Hashable) -> None:
        if progress is not None:
            progress.update(f"{done} of {len(first)}: @{first[key].program}")

    programs = _each(timed, runs, report, size=lambda key: _size(machine, first[key]))
    place = {key: number for number, key in enumerate(runs)}
    return Profile(
        tuple(programs[key] for key in runs),
        tuple(place[key] for key in keys),
        layers_of(machine, lines),
        machine.chip,
        roofs,
    )


def _each(
    timed: Callable[[Hashable], ProgramProfile],
    keys: Collection[Hashable],
    report: Callable[[int, Hashable], None],
    *,
    size: Callable[[Hashable], int],
) -> dict[Hashable, ProgramProfile]:
    """Time all keys, the largest first, on as many threads as there are cores.

    The event loop holds no lock of Python, so it runs beside the expansion of others.
    """
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        jobs = {
            pool.submit(timed, key): key for key in sorted(keys, key=size, reverse=True)
        }
        found = {}
        for done, job in enumerate(as_completed(jobs), 1):
            found[jobs[job]] = job.result()
            report(done, jobs[job])
        return found
    finally:
        pool.shutdown(cancel_futures=True)


def _size(machine: Machine, run: Run) -> int:
    """Tiles of all operands of a run: about how long it takes to time."""
    return sum(t.tile_rows * t.tile_columns for t in machine.tensors(run))


def entry_cycles(
    machine: Machine, entry: str, scalars: Scalars, *, known: Timings
) -> float:
    """Cycles of one call of an entry, gaps between its launches included.

    As `profile_machine`, but without the rest of a profile: for many calls of which
    most launches are `known`.
    """
    lines = machine.entry(entry)
    cycles = Roofs.of(machine.chip).gap_cycles * max(0, len(lines) - 1)
    for run in lines:
        key = launch_key(machine, run, scalars)
        if key not in known:
            launch = machine.launch(run, machine.scalars(run, scalars))
            known[key] = time_launch(launch)
        cycles += known[key].cycles
    return cycles


def launch_key(machine: Machine, run: Run, scalars: Scalars | None = None) -> Hashable:
    """Runs with equal keys take equal time: program, tensors, scalars that matter."""
    control = machine.programs[run.program].control_key(machine.scalars(run, scalars))
    return (run.program, machine.tensors(run), control)


def _program(
    launch: Launch, timing: LaunchTiming, roofs: Roofs, *, runs: int, l1_bytes: int
) -> ProgramProfile:
    return ProgramProfile(
        name=timing.program,
        runs=runs,
        cores=len(launch.streams),
        l1_bytes=l1_bytes,
        roofs=roofs,
        timing=timing,
    )
