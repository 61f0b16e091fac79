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
    from forge.profile import Profile
    from forge.profile.tables import Table
    from forge.profile.trace import Selection
    from runtime.emulator import Machine, Run, Scalars


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
    """Times the netlist and prints cycles per program, kernel and resource."""
    netlist = load_netlist(request.folder)
    with step("timing") as progress:
        from forge.profile import profile_machine
        from forge.profile.trace import Selection
        from runtime.emulator import Machine

        machine = Machine(netlist)
        runs = machine.entry(request.entry)
        _check(machine, runs, request)
        chosen = Selection.of(
            machine,
            runs,
            layers=request.layers,
            program=request.program,
            core=request.core,
        )
        recorded = chosen.programs if request.trace is not None else ()
        profile = profile_machine(
            machine,
            progress,
            entry=request.entry,
            scalars=_scalars(machine, runs, request.scalars),
            recorded=recorded,
        )
    if json:
        from forge.profile.document import profile_document

        shown = {"program": request.program, "core": request.core}
        show_json(profile_document(profile, **shown))
    else:
        _show(profile, request)
    if request.trace is not None:
        _write_trace(profile, request.trace, chosen)


def _check(machine: "Machine", runs: Sequence["Run"], request: ProfileRequest) -> None:
    """Refuse programs and cores that there are not, before anything is timed."""
    names = list(dict.fromkeys(run.program for run in runs))
    if request.program is not None and request.program not in names:
        raise UsageError(
            f"there is no program '{request.program}'",
            advice=f"there are {', '.join(names)}",
        )
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


def _show(profile: "Profile", request: ProfileRequest) -> None:
    from forge.profile import tables
    from forge.reports import show_profile

    if request.core is not None:
        _show_table(tables.core_table(profile, request.core, request.program))
        return
    if request.program is None:
        show_profile(profile, title=str(request.folder))
        print("more: --program NAME, --core X,Y, --trace FILE")
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
