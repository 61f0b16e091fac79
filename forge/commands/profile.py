"""`forge profile`: where the cycles go, without computing values."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dialects.chip import Core
from forge.artifact import load_netlist
from forge.console import show_json, show_table, step
from forge.errors import UsageError

if TYPE_CHECKING:
    from forge.console import Step
    from forge.profile import Profile
    from forge.profile.tables import Table
    from forge.profile.trace import Selection
    from runtime.machine import Machine, Run, Scalars


@dataclass(frozen=True)
class ProfileRequest:
    """What `forge profile` is asked for.

    `entry` names one of several; `program` and `core` narrow what is shown; `trace` is
    where to write a trace, of the layers that `layers` selects.
    """

    folder: Path
    entry: str | None = None
    program: str | None = None
    core: Core | None = None
    trace: Path | None = None
    layers: str | None = None
    scalars: Mapping[str, int] = field(default_factory=dict)


def run_profile(request: ProfileRequest, *, json: bool) -> None:
    """Times the netlist and prints cycles per program, kernel and resource.

    Of several entries each by itself, unless the request names one.
    """
    netlist = load_netlist(request.folder)
    with step("timing") as progress:
        from runtime.machine import Machine

        machine = Machine(netlist)
        entries = _entries(machine, request)
        _check(machine, request)
        chosen = _selection(machine, request) if request.trace is not None else None
        profiles = _profiles(machine, entries, request, chosen, progress)
    if json:
        _show_json(machine, profiles, request)
    else:
        for entry, profile in profiles.items():
            is_alone = len(machine.entries) == 1
            title = f"{request.folder}" if is_alone else f"{request.folder} @{entry}"
            _show(profile, request, title)
        if request.program is None and request.core is None:
            print("more: --program NAME, --core X,Y, --trace FILE")
    if request.trace is not None and chosen is not None:
        (profile,) = profiles.values()
        _write_trace(profile, request.trace, chosen)


def _entries(machine: "Machine", request: ProfileRequest) -> list[str]:
    """The entries to show: the one that is named, or all that run the program."""
    named = request.entry is not None or request.trace is not None
    runs = machine.entry(request.entry) if named else machine.runs
    names = list(dict.fromkeys(run.program for run in runs))
    if request.program is not None and request.program not in names:
        raise UsageError(
            f"there is no program '{request.program}'",
            advice=f"there are {', '.join(names)}",
        )
    if named:
        return [request.entry or next(iter(machine.entries))]
    return [
        entry
        for entry, runs in machine.entries.items()
        if request.program in (None, *(run.program for run in runs))
    ]


def _profiles(
    machine: "Machine",
    entries: Sequence[str],
    request: ProfileRequest,
    chosen: "Selection | None",
    progress: "Step",
) -> dict[str, "Profile"]:
    from forge.profile import Timings, profile_machine

    known: Timings = {}
    runs = [run for entry in entries for run in machine.entry(entry)]
    scalars = _scalars(machine, runs, request.scalars)
    return {
        entry: profile_machine(
            machine,
            progress,
            entry=entry,
            scalars=scalars,
            recorded=() if chosen is None else chosen.programs,
            known=known,
        )
        for entry in entries
    }


def _selection(machine: "Machine", request: ProfileRequest) -> "Selection":
    from forge.profile.trace import Selection

    return Selection.of(
        machine,
        machine.entry(request.entry),
        layers=request.layers,
        program=request.program,
        core=request.core,
    )


def _show_json(
    machine: "Machine", profiles: Mapping[str, "Profile"], request: ProfileRequest
) -> None:
    """One document, or where there are several entries one for each of them."""
    from forge.profile.document import profile_document

    documents = {
        entry: profile_document(profile, program=request.program, core=request.core)
        for entry, profile in profiles.items()
    }
    is_one = request.entry is not None or len(machine.entries) == 1
    show_json(next(iter(documents.values())) if is_one else {"entries": documents})


def _check(machine: "Machine", request: ProfileRequest) -> None:
    """Refuse what there is not, before anything is timed."""
    if request.layers is not None and request.trace is None:
        raise UsageError(
            "--layers chooses what --trace writes, and there is no --trace",
            advice="add --trace FILE, or leave --layers out",
        )
    if request.trace is not None and not request.trace.parent.is_dir():
        raise UsageError(
            f"there is no folder {request.trace.parent}",
            advice="make it first, or name another place for the trace",
        )
    core, grid = request.core, machine.chip.grid
    if core is not None and not (core.x < grid.x and core.y < grid.y):
        raise UsageError(
            f"{machine.chip.name} has no core {core}",
            limit=f"columns 0 to {grid.x - 1}, rows 0 to {grid.y - 1}",
        )


def _scalars(
    machine: "Machine", runs: Sequence["Run"], given: Mapping[str, int]
) -> "Scalars":
    """The buffers that hold run-time scalars, filled with the values of `--set`.

    A value is given to the name of a scalar, or to a buffer that holds one.
    """
    import numpy as np

    buffers: dict[str, set[str]] = {}
    for run in runs:
        facts = machine.programs[run.program]
        operands = [name for _, name in facts.parameters]
        for scalars in facts.scalars.values():
            buffer = run.buffers[operands.index(scalars.operand)]
            for name in (scalars.name, buffer):
                buffers.setdefault(name, set()).add(buffer)
    if unknown := sorted(set(given) - set(buffers)):
        there = f"there are {', '.join(buffers)}" if buffers else "leave --set out"
        raise UsageError(
            f"the netlist has no run-time scalar {', '.join(unknown)}", advice=there
        )
    return {
        buffer: np.full(machine.buffers[buffer].tensor.shape, value)
        for name, value in given.items()
        for buffer in sorted(buffers[name])
    }


def _show(profile: "Profile", request: ProfileRequest, title: str) -> None:
    from forge.profile import tables
    from forge.reports import show_profile

    if request.core is not None:
        _show_table(tables.core_table(profile, request.core, request.program))
        return
    if request.program is None:
        show_profile(profile, title=title)
        return
    for program in profile.programs:
        if program.name == request.program:
            print("\n".join(["", *tables.heading(program), ""]))
            _show_table(tables.kernel_table(program))
            _show_table(tables.limit_table(program))
            _show_table(tables.load_table(program))


def _show_table(table: "Table") -> None:
    show_table(table.title, table.columns, table.rows)


def _write_trace(profile: "Profile", path: Path, chosen: "Selection") -> None:
    from forge.profile.trace import write_trace

    with step(f"writing {path}"):
        written = write_trace(profile, chosen, path)
    detail = "waits and work" if written.is_coarse else "every instruction"
    print(
        f"{path}: {written.num_bytes / 1e6:.1f} MB, {profile.num_runs} runs, "
        f"{written.num_runs} of them with {detail} of their kernels; "
        "open it at https://ui.perfetto.dev",
        file=sys.stderr,
    )
