"""Tables that several commands print: what a model costs, program by program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from forge.console import show_json, show_table
from forge.profile import Profile

COLUMNS = (
    "program",
    "runs",
    "cores",
    "cycles",
    "all runs",
    "share %",
    "FPU %",
    "DRAM read KiB",
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
            round(p.total_cycles),
            round(100 * p.total_cycles / total, 1),
            round(100 * p.fpu_utilisation, 1),
            round(p.dram_read_bytes / 1024),
            round(p.l1_bytes / 1024),
        )
        for p in profile.programs
    ]


def profile_dicts(profile: Profile) -> list[dict[str, object]]:
    """The same rows for JSON."""
    return [dict(zip(COLUMNS, row, strict=True)) for row in profile_rows(profile)]


def profile_summary(profile: Profile) -> dict[str, Any]:
    """The totals, with units in their names."""
    return {
        "launches": profile.num_runs,
        "cycles": round(profile.total_cycles),
        "milliseconds": round(profile.milliseconds, 3),
        "gap_cycles_between_launches": round(profile.gap_cycles),
        "dram_read_bytes": profile.dram_read_bytes,
        "dram_written_bytes": profile.dram_written_bytes,
        "l1_peak_bytes": profile.l1_peak_bytes,
        "l1_usable_bytes": profile.l1_usable_bytes,
    }


def show_profile(profile: Profile, *, title: str, json: bool = False) -> None:
    """Print the table of programs and the totals."""
    if json:
        total = profile_summary(profile)
        show_json({"programs": profile_dicts(profile), "total": total})
        return
    show_table(title, COLUMNS, profile_rows(profile))
    print(
        f"{profile.total_cycles:,.0f} cycles, {profile.milliseconds:.2f} ms at "
        f"{profile.clock_ghz:g} GHz: {profile.num_runs} launches, with gaps of "
        f"{profile.gap_cycles:,.0f} cycles between them"
    )
    print(
        f"DRAM {profile.dram_read_bytes / 1e6:.1f} MB read, "
        f"{profile.dram_written_bytes / 1e6:.1f} MB written; L1 peak "
        f"{profile.l1_peak_bytes / 1024:,.0f} of "
        f"{profile.l1_usable_bytes / 1024:,.0f} KiB on a core"
    )
