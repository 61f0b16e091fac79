"""A profile as JSON, as `docs/profile.schema.json` describes it."""

from __future__ import annotations

from typing import Any

from dialects.chip import Core
from forge.profile.model import Profile, ProgramProfile
from runtime.timing import KernelTiming

VERSION = 1

Json = dict[str, Any]


def profile_document(
    profile: Profile, *, program: str | None = None, core: Core | None = None
) -> Json:
    """The whole profile, or what `program` and `core` leave of its details.

    `roofs` and `total` are of the whole netlist in any case.
    """
    return {
        "version": VERSION,
        "chip": profile.chip.name,
        "clock_ghz": profile.clock_ghz,
        "roofs": {
            "fpu_cores": profile.roofs.fpu_cores,
            "dram_bytes_per_cycle": round(profile.roofs.dram_bytes_per_cycle, 3),
        },
        "total": _total(profile),
        "programs": [
            {**_program(profile, p), **_details(p, core)}
            for p in profile.programs
            if program in (None, p.name)
        ],
    }


def profile_summary(profile: Profile) -> Json:
    """Programs and totals, without kernels and links."""
    programs = [_program(profile, program) for program in profile.programs]
    return {"programs": programs, "total": _total(profile)}


def _total(profile: Profile) -> Json:
    """The totals over all runs."""
    return {
        "launches": profile.num_runs,
        "cycles": round(profile.total_cycles),
        "milliseconds": round(profile.milliseconds, 6),
        "gap_cycles_between_launches": round(profile.gap_cycles),
        "share_by_bound": {
            bound.value: round(share, 4)
            for bound, share in profile.share_by_bound().items()
        },
        "fpu_utilisation": round(profile.fpu_utilisation, 4),
        "dram_utilisation": round(profile.dram_utilisation, 4),
        "dram_read_bytes": profile.dram_read_bytes,
        "dram_written_bytes": profile.dram_written_bytes,
        "noc_bytes": profile.noc_bytes,
        "l1_peak_bytes": profile.l1_peak_bytes,
        "l1_usable_bytes": profile.l1_usable_bytes,
    }


def _program(profile: Profile, program: ProgramProfile) -> Json:
    """A program without its cores and links; bytes and cycles are of one run."""
    limit = program.limit
    return {
        "name": program.name,
        "runs": program.runs,
        "cores": program.cores,
        "cycles": round(program.cycles),
        "all_runs_cycles": round(program.total_cycles),
        "share": round(program.total_cycles / profile.total_cycles, 4),
        "bound": limit.bound.value,
        "limit": {"what": limit.what, "share": round(limit.share, 4)},
        "fpu_utilisation": round(program.fpu_utilisation, 4),
        "dram_utilisation": round(program.dram_utilisation, 4),
        "fpu_roof_cycles": round(program.fpu_roof_cycles),
        "dram_roof_cycles": round(program.dram_roof_cycles),
        "dram_read_bytes": program.dram_read_bytes,
        "dram_written_bytes": program.dram_written_bytes,
        "noc_bytes": program.noc_bytes,
        "l1_peak_bytes": program.l1_bytes,
    }


def _details(program: ProgramProfile, core: Core | None) -> Json:
    timing = program.timing
    kernels = [k for k in timing.kernels if core in (None, k.core)]
    return {
        "limits": [
            {
                "bound": limit.bound.value,
                "what": limit.what,
                "share": round(limit.share, 4),
            }
            for limit in program.limits
        ],
        "kernels": [_kernel(kernel) for kernel in kernels],
        "dram_channels": [
            {"bank": bank, **_load(*load, timing.cycles)}
            for bank, load in enumerate(timing.channels)
        ],
        "links": [
            {**link._asdict(), **_load(*load, timing.cycles)}
            for link, load in timing.links.items()
        ],
        "ports": [
            {**port._asdict(), **_load(*load, timing.cycles)}
            for port, load in timing.ports.items()
        ],
    }


def _kernel(kernel: KernelTiming) -> Json:
    return {
        "core": [kernel.core.x, kernel.core.y],
        "kernel": kernel.kernel,
        "processor": kernel.processor,
        "begin_cycles": round(kernel.begin),
        "end_cycles": round(kernel.end),
        "busy_cycles": round(kernel.busy_cycles),
        "waiting_cycles": {why: round(n) for why, n in kernel.waiting.items()},
        "fpu_cycles": round(kernel.fpu_cycles),
        "dram_read_bytes": kernel.dram_read_bytes,
        "dram_written_bytes": kernel.dram_written_bytes,
        "noc_bytes": kernel.noc_bytes,
    }


def _load(num_bytes: int, busy_cycles: float, cycles: float) -> Json:
    return {
        "bytes": num_bytes,
        "busy_cycles": round(busy_cycles),
        "utilisation": round(busy_cycles / cycles, 4),
    }
