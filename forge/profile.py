"""Predicted cost: every program timed once, the runs added up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from dialects.allocation import allocate_circular_buffers, bound_by_name
from forge.console import Step
from runtime.costs import load_costs
from runtime.emulator import Machine
from runtime.launch import Launch
from runtime.timing import LaunchTiming, time_launch, warm_up


@dataclass(frozen=True)
class ProgramProfile:
    """A program with the tensors it is bound to, timed once for all its runs."""

    name: str
    runs: int
    cores: int
    cycles: float
    dram_read_bytes: int
    dram_written_bytes: int
    noc_bytes: int
    l1_bytes: int
    fpu_utilisation: float
    timing: LaunchTiming

    @property
    def total_cycles(self) -> float:
        """Cycles of all runs, gaps left out."""
        return self.cycles * self.runs


@dataclass(frozen=True)
class Profile:
    """Predicted cost of one pass over all runs of a netlist."""

    programs: tuple[ProgramProfile, ...]
    gap_cycles: float
    clock_ghz: float
    l1_usable_bytes: int

    @property
    def num_runs(self) -> int:
        """Launches in all."""
        return sum(program.runs for program in self.programs)

    @property
    def total_cycles(self) -> float:
        """Cycles of all runs with the gaps between launches."""
        gaps = self.gap_cycles * max(0, self.num_runs - 1)
        return sum(program.total_cycles for program in self.programs) + gaps

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
    def l1_peak_bytes(self) -> int:
        """The most L1 that a program's circular buffers take on a core."""
        return max((p.l1_bytes for p in self.programs), default=0)


def profile_machine(machine: Machine, progress: Step | None = None) -> Profile:
    """Time every distinct launch of a netlist."""
    if progress is not None:
        progress.update("compiling its event loop, once on a machine")
    warm_up()
    keys = [(run.program, machine.tensors(run)) for run in machine.runs]
    first = dict(zip(reversed(keys), reversed(machine.runs), strict=True))
    programs = []
    for number, (key, runs) in enumerate(Counter(keys).items()):
        if progress is not None:
            progress.update(f"{number + 1} of {len(first)}: @{key[0]}")
        programs.append(_profile_launch(machine.launch(first[key]), runs))
    gap = load_costs().op_to_op_gap_cycles
    chip = machine.chip
    return Profile(tuple(programs), gap, chip.clock_ghz, chip.l1_usable_bytes)


def _profile_launch(launch: Launch, runs: int) -> ProgramProfile:
    timing = time_launch(launch)
    facts, cores = launch.facts, len(launch.streams)
    bound = bound_by_name(facts, launch.tensors)
    placed = allocate_circular_buffers(facts, bound, facts.chip)
    return ProgramProfile(
        name=facts.name,
        runs=runs,
        cores=cores,
        cycles=timing.cycles,
        dram_read_bytes=timing.dram_read_bytes,
        dram_written_bytes=timing.dram_written_bytes,
        noc_bytes=timing.noc_bytes,
        l1_bytes=sum(size for _, size in placed.values()),
        fpu_utilisation=timing.fpu_busy_cycles / (timing.cycles * cores),
        timing=timing,
    )
