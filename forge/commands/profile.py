"""`forge profile`: where the cycles go, without computing values."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from forge.artifact import load_netlist
from forge.console import show_table, step
from forge.errors import UsageError
from forge.reports import show_profile

if TYPE_CHECKING:
    from forge.profile import ProgramProfile


def run_profile(
    folder: Path,
    program: str | None,
    *,
    scalars: Mapping[str, int],
    json: bool,
) -> None:
    """Times the netlist in `folder` and prints cycles per program and per resource."""
    if scalars:
        raise UsageError(
            f"the netlist has no run-time scalar {', '.join(scalars)}",
            advice="leave --set out",
        )
    netlist = load_netlist(folder)
    with step("timing") as progress:
        from forge.profile import profile_machine
        from runtime.emulator import Machine

        profile = profile_machine(Machine(netlist), progress)
    if program is None:
        show_profile(profile, title=str(folder), json=json)
        return
    found = [p for p in profile.programs if p.name == program]
    if not found:
        raise UsageError(
            f"there is no program '{program}'",
            advice=f"there are {', '.join(p.name for p in profile.programs)}",
        )
    _show_program(found[0], json=json)


def _show_program(program: "ProgramProfile", *, json: bool) -> None:
    rows = [
        (
            str(kernel.core),
            kernel.kernel,
            kernel.processor,
            round(kernel.busy_cycles),
            round(kernel.end),
            ", ".join(f"{why} {round(n)}" for why, n in kernel.waiting.items()),
        )
        for kernel in program.timing.kernels
    ]
    columns = ("core", "kernel", "processor", "busy", "end", "waiting for")
    title = f"{program.name}: {program.cycles:,.0f} cycles"
    show_table(title, columns, rows, json=json)
