"""Counting a program and expanding it agree on everything that is counted."""

from collections import Counter

import pytest

from dialects.bindings import Bindings
from dialects.chip import Core, load_chip
from dialects.kernel_checks import count_program
from dialects.program import ProgramFacts
from dialects.tensix import RunOp
from runtime import instructions as ins
from runtime.expand import expand_program
from runtime.launch import Launch
from tests.runtime.netlists import NAMES, load

WHAT = {
    ins.ReserveBack: "reserved",
    ins.PushBack: "pushed",
    ins.WaitFront: "waited",
    ins.PopFront: "popped",
}


def counted_instructions(launch: Launch, core: Core) -> Counter[tuple[str, str]]:
    """Pages and tiles by what is done and circular buffer, from the streams."""
    totals: Counter[tuple[str, str]] = Counter()
    names = [buffer.name for buffer in launch.circular_buffers]
    for stream in launch.streams[core]:
        for i in stream.instructions:
            if isinstance(i, tuple(WHAT)):
                totals[WHAT[type(i)], names[i.cb]] += i.pages
            elif isinstance(i, ins.Read | ins.ReadRows):
                totals["read", names[i.cb]] += i.slots.size
            elif isinstance(i, ins.Write):
                totals["written", names[i.cb]] += i.slots.size
    return totals


@pytest.mark.parametrize("name", NAMES)
def test_counts_agree_with_expansion(name: str) -> None:
    netlist = load(name)
    bindings, chip = Bindings(netlist), load_chip("n150")
    for run in bindings.runs:
        assert isinstance(run, RunOp)
        facts = ProgramFacts(bindings.programs[run.program.data], chip)
        counts = count_program(facts)
        launch = expand_program(facts, bindings.tensors(run))
        for core in facts.cores:
            expanded = counted_instructions(launch, core)
            for (what, buffer), total in expanded.items():
                assert counts.total(core, what, buffer) == total, (core, what, buffer)
