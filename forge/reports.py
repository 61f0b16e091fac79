"""Tables that several commands print: what a model costs, program by program."""

from __future__ import annotations

from collections.abc import Sequence

from forge.console import format_cell, show_json, show_table
from forge.profile import Profile
from forge.profile.document import profile_summary

COLUMNS = (
    "program",
    "runs",
    "cores",
    "cycles",
    "share %",
    "bound by",
    "busiest, or longest wait",
    "%",
    "FPU %",
    "DRAM %",
    "DRAM KiB",
    "L1 KiB",
)


def profile_rows(profile: Profile) -> list[Sequence[object]]:
    """One row for each program, as `COLUMNS` names them."""
    total = profile.total_cycles
    return [
        (
            p.name,
            p.runs,
            p.cores,
            round(p.cycles),
            round(100 * p.total_cycles / total, 1),
            p.limit.bound.value,
            p.limit.what,
            round(100 * p.limit.share),
            round(100 * p.fpu_utilisation, 1),
            round(100 * p.dram_utilisation, 1),
            round(p.timing.dram_bytes / 1024),
            round(p.l1_bytes / 1024),
        )
        for p in profile.programs
    ]


def show_profile(profile: Profile, *, title: str, json: bool = False) -> None:
    """Print the table of programs and the totals."""
    if json:
        show_json(profile_summary(profile))
        return
    show_table(title, COLUMNS, profile_rows(profile))
    print("\n".join(summary_lines(profile)))


def summary_lines(profile: Profile) -> list[str]:
    """The totals in words."""
    shares = sorted(profile.share_by_bound().items(), key=lambda item: -item[1])
    bounds = ", ".join(f"{bound} {100 * share:.0f} %" for bound, share in shares)
    milliseconds = format_cell(profile.milliseconds)
    time = (
        f"{profile.total_cycles:,.0f} cycles, {milliseconds} ms at "
        f"{profile.clock_ghz:g} GHz: "
    )
    if profile.num_runs == 1:
        time += "1 launch"
    else:
        time += f"{profile.num_runs} launches, with gaps of "
        time += f"{profile.gap_cycles:,.0f} cycles between them"
    memory = (
        f"DRAM {profile.dram_read_bytes / 1e6:,.1f} MB read, "
        f"{profile.dram_written_bytes / 1e6:,.1f} MB written; L1 peak "
        f"{profile.l1_peak_bytes / 1024:,.0f} of "
        f"{profile.l1_usable_bytes / 1024:,.0f} KiB on a core"
    )
    roofs = (
        f"of the roofs: DRAM {100 * profile.dram_utilisation:.0f} %, "
        f"FPU {100 * profile.fpu_utilisation:.0f} %"
    )
    return [time, memory, f"time is bound by {bounds}; {roofs}"]
