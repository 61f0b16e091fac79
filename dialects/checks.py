"""Everything about a netlist that can be wrong, found before it runs.

`check_netlist` lists all faults at once, each with its line, the rule, the limit, what
was found and what to change. It looks at lines and names first, then at each program
whose names are sound, then at each run of it: what a fault hides is found next time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from dialects.bindings import Bindings, instance_names
from dialects.block_checks import check_blocks
from dialects.chip import Chip, chip_names
from dialects.errors import FaultsError, ForgeError, NetlistError
from dialects.fit_checks import check_fit, check_maps
from dialects.kernel_checks import ProgramCounts, check_kernels, count_program
from dialects.netlist_text import line_of
from dialects.program import ProgramFacts
from dialects.program_checks import check_names, fault
from dialects.recipe import RecipeError, parse_recipe
from dialects.tensix import (
    BufferOp,
    EntryOp,
    HostOp,
    NetlistOp,
    ProgramOp,
    RunOp,
    ScalarsOp,
)


@dataclass
class Examined:
    """A netlist that was looked at: its faults, and the counts of sound programs."""

    faults: list[ForgeError] = field(default_factory=list)
    counts: dict[str, ProgramCounts] = field(default_factory=dict)


def check_netlist(netlist: NetlistOp, chip: Chip) -> list[ForgeError]:
    """All faults of a netlist, in the order of looking; empty where it is sound."""
    return examine(netlist, chip).faults


def examine(netlist: NetlistOp, chip: Chip) -> Examined:
    """Look for faults, and keep what was counted on the way."""
    bindings = Bindings(netlist)
    result = Examined([*_chip(netlist, chip), *_lines(netlist), *_buffers(bindings)])
    for name, op in bindings.programs.items():
        found = _program(op, chip)
        if isinstance(found, ProgramCounts):
            result.counts[name] = found
        else:
            result.faults += found
    runs = []
    for run in bindings.runs:
        wrong = list(_run(run, bindings))
        result.faults += wrong
        if isinstance(run, RunOp) and not wrong and run.program.data in result.counts:
            runs.append(run)
    facts = {name: counts.facts for name, counts in result.counts.items()}
    result.faults += check_maps(runs, facts, bindings)
    result.faults += check_fit(runs, facts, bindings, chip)
    return result


def require_sound(netlist: NetlistOp, chip: Chip) -> None:
    """Raise the fault of a netlist, or `FaultsError` with all of them."""
    raise_faults(netlist, check_netlist(netlist, chip))


def raise_faults(netlist: NetlistOp, faults: list[ForgeError]) -> None:
    """Raise one fault as it is, several as `FaultsError`, none not at all."""
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise FaultsError(
            f"netlist @{netlist.sym_name.data} has {len(faults)} faults", faults
        )


def _chip(netlist: NetlistOp, chip: Chip) -> Iterator[ForgeError]:
    name = netlist.chip.data
    if name not in chip_names():
        yield fault(
            netlist,
            f"chip '{name}' is not known",
            advice=f"use one of {', '.join(chip_names())}",
        )
    elif name != chip.name:
        yield fault(
            netlist,
            f"the netlist is for {name}, not for {chip.name}",
            advice="compile it again for this chip",
        )


def _lines(netlist: NetlistOp) -> Iterator[ForgeError]:
    for op in netlist.body.block.ops:
        if isinstance(op, EntryOp):
            yield from _entry(op)
        elif not isinstance(op, BufferOp | ProgramOp | RunOp | HostOp):
            yield fault(op, f"'{op.name}' does not belong directly into a netlist")
    entries = [op for op in netlist.body.block.ops if isinstance(op, EntryOp)]
    for number, op in enumerate(entries):
        first = next(e for e in entries if e.sym_name == op.sym_name)
        if first is not entries[number]:
            yield fault(
                op,
                f"entry {op.sym_name} is declared twice",
                value=f"first in {line_of(first)}",
                advice="rename one of them",
            )


def _entry(entry: EntryOp) -> Iterator[ForgeError]:
    for op in entry.body.block.ops:
        if not isinstance(op, RunOp | HostOp):
            yield fault(op, f"'{op.name}' does not belong into an entry")


def _buffers(bindings: Bindings) -> Iterator[ForgeError]:
    declared: dict[str, BufferOp] = {}
    for op in bindings.buffer_ops:
        yield from _twice(declared, op)
        if op.recipe is not None:
            try:
                parse_recipe(op.recipe.data)
            except RecipeError as error:
                yield fault(op, str(error), advice="see the list in dialects/recipe.py")
    programs: dict[str, ProgramOp] = {}
    for op in bindings.netlist.body.block.ops:
        if not isinstance(op, ProgramOp):
            continue
        name = op.sym_name.data
        if name in programs:
            yield fault(
                op,
                f"program @{name} is declared twice",
                value=f"first in {line_of(programs[name])}",
                advice="rename one of them",
            )
        programs.setdefault(name, op)


def _twice(declared: dict[str, BufferOp], op: BufferOp) -> Iterator[ForgeError]:
    known = [name for name, _ in instance_names(op) if name in declared]
    if known:
        yield fault(
            op,
            f"buffer @{known[0]} is declared twice",
            value=f"first in {line_of(declared[known[0]])}",
            advice="rename or remove one of them",
        )
    for name, _ in instance_names(op):
        declared.setdefault(name, op)


def _program(op: ProgramOp, chip: Chip) -> ProgramCounts | list[ForgeError]:
    """The counts of a sound program, or its faults."""
    faults = check_names(op, chip)
    if faults:
        return faults
    try:
        facts = ProgramFacts(op, chip)
        by_end = [count_program(facts, scalars) for scalars in facts.scalar_ends()]
        counts = by_end[-1]
        found = next(filter(None, map(check_kernels, by_end)), [])
        found = [*found, *check_blocks(counts.facts)]
    except NetlistError as error:
        error.location = error.location or line_of(op)
        return [error]
    return found or counts


def _run(run: RunOp | HostOp, bindings: Bindings) -> Iterator[ForgeError]:
    for name in run.buffers.data:
        if name not in bindings.buffers:
            yield _unknown_buffer(run, name, bindings)
    if isinstance(run, HostOp):
        return
    program = bindings.programs.get(run.program.data)
    if program is None:
        known = ", ".join(f"@{name}" for name in bindings.programs)
        yield fault(
            run, f"{run.program} is run, but not declared", advice=f"there are {known}"
        )
        return
    wanted, given = len(program.parameters.data), len(run.buffers.data)
    if wanted != given:
        yield fault(
            run,
            f"{run.program} is run with {given} buffers",
            limit=f"{wanted} parameters {program.parameters}, {line_of(program)}",
            value=given,
            advice="bind one buffer to each parameter, in their order",
        )
        return
    yield from _scalar_buffers(run, program, bindings)


def _scalar_buffers(
    run: RunOp, program: ProgramOp, bindings: Bindings
) -> Iterator[ForgeError]:
    """Scalars are what the host writes: it knows them when it starts the run."""
    names = [name for _, name in program.parameters.data]
    bound = dict(zip(names, run.buffers.data, strict=True))
    for op in program.body.block.ops:
        if not isinstance(op, ScalarsOp) or op.operand.data not in bound:
            continue
        buffer = bindings.buffers.get(bound[op.operand.data])
        if buffer is None:
            continue
        if buffer.role != "input" or not buffer.tensor.data_format.is_integer:
            yield fault(
                run,
                f"@{buffer.name} holds the scalars {op.sym_name} of {run.program}, but "
                "is no integer input",
                value=f"{buffer.tensor.data_format}, role {buffer.role or 'none'}",
                advice=f"declare @{buffer.name} as int32 with `role input`",
            )


def _unknown_buffer(run: RunOp | HostOp, name: str, bindings: Bindings) -> ForgeError:
    for op in bindings.buffer_ops:
        if op.last is None:
            continue
        pattern = re.escape(op.sym_name.data).replace(r"\$", r"(\d+|\$)")
        member = re.fullmatch(pattern, name)
        if member is not None:
            return fault(
                run,
                f"@{name} is not in the family {op.sym_name} of {line_of(op)}",
                limit=f"0 to {op.last}",
                value=member[1],
                advice="raise `last`, or bind a member that there is",
            )
    near = _nearest(name, bindings)
    return fault(
        run,
        f"@{name} is bound, but not declared",
        advice=f"did you mean @{near}?" if near else "declare the buffer",
    )


def _nearest(name: str, bindings: Bindings) -> str | None:
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, bindings.buffers, n=1)), None)
