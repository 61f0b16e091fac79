"""How long a placed program takes: what `choose-grid` asks about its candidates."""

from __future__ import annotations

from collections.abc import Hashable

from backend.assemble import assemble_alone
from dialects.checks import check_netlist
from dialects.chip import load_chip
from dialects.errors import ForgeError
from dialects.expr import Environment
from dialects.grid import ProgramOp
from dialects.program import ProgramFacts
from dialects.tensix import ForOp, NetlistOp
from forge.console import Step
from passes.structure_key import structure_key
from runtime.machine import Machine
from runtime.recent import Recent
from runtime.timing import estimate_cycles, warm_up

WHOLE, SAMPLED = 30_000, 10_000
"""A launch with more transfers than the first is timed in part: as many as the second,
or as the first where its loops have bounds, as in causal attention.

The estimate was within 0.5 % of the whole for the LM heads of Qwen2.5-0.5B, Qwen3-0.6B
and Qwen3-4B and for gate and up of Qwen3-4B at prefill 128, 9 % below it at 512, and
16 % above it for causal attention there: candidates alike are off the same way.
"""

_KNOWN: Recent[Hashable, float] = Recent(10_000)
"""Cycles of programs, for later compiles of this process."""

_RECENT = 20
"""Netlists of programs as they were placed; the fastest is asked for again."""


class ProgramTimer:
    """Times programs on a chip, with weights in their formats, by the time engine."""

    def __init__(
        self, *, chip: str, weights_format: str = "bf16", progress: Step | None = None
    ):
        self.chip = load_chip(chip)
        self.weights_format = weights_format
        self.progress = progress
        self.num_timed = 0
        self._netlists: Recent[Hashable, NetlistOp] = Recent(_RECENT)

    def cycles(self, program: ProgramOp) -> float:
        """Cycles of a launch, run-time scalars in the middle of their ranges.

        Raises `ForgeError` where a kernel cannot be read, or no core can go on.
        """
        netlist = self._netlist(program)
        machine = Machine(netlist)
        key = (structure_key(program), machine.tensors(machine.runs[0]), self.chip.name)
        return _KNOWN.get(key, lambda: self._time(machine))

    def faults(self, program: ProgramOp) -> list[ForgeError]:
        """What the checks of netlists say of this program alone."""
        return check_netlist(self._netlist(program), self.chip)

    def _netlist(self, program: ProgramOp) -> NetlistOp:
        def assemble() -> NetlistOp:
            return assemble_alone(
                program, chip=self.chip.name, weights_format=self.weights_format
            )

        return self._netlists.get((program, program.axes, program.uses), assemble)

    def _time(self, machine: Machine) -> float:
        (run,) = machine.runs
        if not self.num_timed:
            warm_up()
        self.num_timed += 1
        if self.progress is not None:
            self.progress.update(f"timing candidate {self.num_timed}: @{run.program}")
        facts = machine.programs[run.program]
        launch = machine.launch(run, middle_of(facts))
        sampled = SAMPLED if _is_even(facts) else WHOLE
        return estimate_cycles(launch, transfers=sampled, whole=WHOLE)


def _is_even(facts: ProgramFacts) -> bool:
    """Whether all steps of all loops are taken, so that later ones are as the first."""
    return not any(isinstance(op, ForOp) and op.to is not None for op in facts.walk())


def middle_of(facts: ProgramFacts) -> Environment:
    """Run-time scalars in the middle of their ranges: a cache that is half full."""
    return {s.name: (s.low + s.high) // 2 for s in facts.scalars.values()}
