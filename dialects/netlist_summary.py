"""Totals that follow from a netlist: cores, L1 and traffic of each program.

Printer and `forge inspect` ask here, so that both show the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from dialects.allocation import (
    Place,
    allocate_buffers,
    bound_by_name,
    circular_buffer_bytes,
    l1_tensors,
)
from dialects.bindings import Bindings
from dialects.chip import Chip, Core
from dialects.kernel_checks import ProgramCounts, count_program
from dialects.program import ProgramFacts, Tensor
from dialects.tensix import BufferOp, HostOp, NetlistOp, ProgramOp, RunOp


@dataclass(frozen=True)
class ProgramSummary:
    """A program in numbers; bytes of its first run, None where nothing runs it."""

    name: str
    facts: ProgramFacts
    runs: int
    num_cores: int
    grid: Core
    l1_bytes: int | None
    read_bytes: int | None
    written_bytes: int | None
    source: str
    tensors: Mapping[str, Tensor] | None


class NetlistSummary:
    """A netlist in numbers. The netlist is sound (`dialects.checks`)."""

    def __init__(
        self,
        netlist: NetlistOp,
        chip: Chip,
        counts: Mapping[str, ProgramCounts] | None = None,
    ):
        self.netlist = netlist
        self._counts = counts or {}
        self.chip = chip
        self.bindings = Bindings(netlist)
        self.places: dict[str, Place] = allocate_buffers(netlist, chip)
        self._l1_tensor_bytes = {
            run: chip.l1_bytes - bottom for run, bottom in self._l1_bottoms().items()
        }

    @cached_property
    def programs(self) -> dict[str, ProgramSummary]:
        """All programs by name; their kernels are counted when they are asked for."""
        return {name: self._program(op) for name, op in self.bindings.programs.items()}

    def _l1_bottoms(self) -> dict[RunOp, int]:
        """The lowest address of an L1 tensor during each run."""
        has_tensors = any(p.memory == "l1" for p in self.places.values())
        bottoms = {}
        for run in self.bindings.runs:
            if isinstance(run, RunOp):
                regions = (
                    l1_tensors(run, self.bindings, self.places) if has_tensors else []
                )
                bottoms[run] = min(
                    (r.address for r in regions), default=self.chip.l1_bytes
                )
        return bottoms

    def _program(self, op: ProgramOp) -> ProgramSummary:
        counts = self._counts.get(op.sym_name.data)
        if counts is None:
            counts = count_program(ProgramFacts(op, self.chip))
        facts = counts.facts
        runs = self.bindings.runs_of(facts.name)
        tensors = read = written = None
        if runs:
            tensors = bound_by_name(facts, self.bindings.tensors(runs[0]))
            read = traffic(counts, tensors, "read")
            written = traffic(counts, tensors, "written")
        return ProgramSummary(
            facts.name,
            facts,
            len(runs),
            len(facts.cores),
            facts.grid,
            self.most_l1_bytes(facts),
            read,
            written,
            "" if op.source is None else op.source.data,
            tensors,
        )

    def most_l1_bytes(self, facts: ProgramFacts) -> int | None:
        """Bytes of L1 that a program takes on a core in the run that takes most."""
        runs = self.bindings.runs_of(facts.name)
        return max((self.l1_bytes(facts, run) for run in runs), default=None)

    def l1_bytes(self, facts: ProgramFacts, run: RunOp) -> int:
        """Bytes of L1 that a run takes on a core, tensors of other runs included."""
        tensors = bound_by_name(facts, self.bindings.tensors(run))
        sizes = circular_buffer_bytes(facts, tensors)
        return sum(map(self.chip.aligned, sizes.values())) + self._l1_tensor_bytes[run]

    @property
    def l1_peak(self) -> tuple[int, str]:
        """The most L1 that a program takes on a core, and which program."""
        sizes = [(p.l1_bytes or 0, p.name) for p in self.programs.values()]
        return max(sizes, default=(0, ""))

    @property
    def most_cores(self) -> int:
        """Cores of the widest program."""
        return max((p.num_cores for p in self.programs.values()), default=0)

    @property
    def num_host_steps(self) -> int:
        """Steps that the host does."""
        return sum(isinstance(run, HostOp) for run in self.bindings.runs)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all buffers that have a recipe."""
        buffers = self.bindings.buffers.values()
        return sum(b.tensor.num_bytes for b in buffers if b.recipe is not None)

    @property
    def cache_bytes(self) -> int:
        """Bytes of all buffers that outlive a run."""
        buffers = self.bindings.buffers.values()
        return sum(b.tensor.num_bytes for b in buffers if b.role == "cache")

    @property
    def scratch_bytes(self) -> int:
        """DRAM that all other buffers take at most at one time."""
        lasting = {
            b.name
            for b in self.bindings.buffers.values()
            if b.recipe is not None or b.role == "cache"
        }
        own = [
            (name, place)
            for name, place in self.places.items()
            if place.memory == "dram" and name not in lasting
        ]
        sizes = {name: self.bindings.buffers[name].tensor.num_bytes for name, _ in own}
        return max(
            (
                sum(sizes[name] for name, place in own if place.lives_at(number))
                for number in range(len(self.bindings.runs))
            ),
            default=0,
        )


def traffic(counts: ProgramCounts, tensors: Mapping[str, Tensor], what: str) -> int:
    """Bytes of DRAM that one launch has `read` or `written`."""
    total = 0
    for name, buffer in counts.facts.circular_buffers.items():
        if buffer.operand is None or tensors[buffer.operand].memory != "dram":
            continue
        tile_bytes = tensors[buffer.operand].data_format.tile_bytes
        total += counts.over_all(what, name) * tile_bytes
    return total


def instances_of(op: BufferOp) -> int:
    """How many buffers a line declares."""
    return 1 if op.last is None else op.last.value + 1
