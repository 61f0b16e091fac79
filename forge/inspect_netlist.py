"""What `forge inspect` shows of a netlist: programs, L1, weights, sources.

Each view is made once as plain data, which `--json` prints as it is and the tables
lay out. Nothing here imports torch or numba.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dialects.allocation import l1_map
from dialects.checks import examine, raise_faults
from dialects.chip import Chip, Core, load_chip
from dialects.netlist_notes import header_notes, program_notes
from dialects.netlist_summary import NetlistSummary, ProgramSummary, instances_of
from dialects.netlist_text import print_netlist, read_netlist
from dialects.program import tensor_of
from dialects.provenance import Provenance
from dialects.tensix import RunOp
from forge.errors import ArtifactError, UsageError

NETLIST = "netlist.mlir"
MANIFEST = "manifest.json"
KIB = 1024

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Inspected:
    """A sound netlist with its totals, and the cycles that its manifest predicts."""

    path: Path
    chip: Chip
    summary: NetlistSummary
    cycles: Mapping[str, float] | None

    def program(self, name: str) -> ProgramSummary:
        """A program by name, with or without `@`. Raises `UsageError`."""
        programs = self.summary.programs
        found = programs.get(name.removeprefix("@"))
        if found is None:
            raise UsageError(
                f"{self.path.name} has no program '{name}'",
                advice=f"there are {', '.join(programs) or 'none'}",
            )
        return found

    def first_run(self, program: ProgramSummary) -> RunOp:
        """The first run of a program. Raises `UsageError` where nothing runs it."""
        runs = self.summary.bindings.runs_of(program.name)
        if not runs:
            raise UsageError(
                f"no run binds buffers to @{program.name}, so its sizes are not known",
                advice=f"add `run @{program.name}(...)` to {self.path.name}",
            )
        return runs[0]

    def require_core(self, core: Core, program: ProgramSummary | None = None) -> None:
        """Raise `UsageError` for a core that the chip or the program has not."""
        grid = self.chip.grid
        if core.x >= grid.x or core.y >= grid.y:
            raise UsageError(
                f"{self.chip.name} has no core {core}",
                limit=f"(0,0) to ({grid.x - 1},{grid.y - 1})",
            )
        if program is not None and core not in program.facts.cores:
            raise UsageError(
                f"core {core} takes no part in @{program.name}",
                advice=f"its {program.num_cores} cores are "
                f"{_show_cores(program.facts.cores)}",
            )

    @cached_property
    def header(self) -> list[str]:
        """The totals of the netlist."""
        return list(header_notes(self.summary, self.cycles))


def _show_cores(cores: tuple[Core, ...]) -> str:
    if len(cores) <= 8:
        return ", ".join(map(str, cores))
    return f"{cores[0]} to {cores[-1]}, row by row"


def open_netlist(path: Path) -> Inspected:
    """Read the netlist of a folder, or a netlist file; it must be sound."""
    file = path / NETLIST if path.is_dir() else path
    if not file.is_file():
        raise ArtifactError(
            f"{path} holds no netlist",
            advice=f"name a folder with {NETLIST}, or a netlist file",
        )
    netlist = read_netlist(file)
    chip = load_chip(netlist.chip.data)
    examined = examine(netlist, chip)
    raise_faults(netlist, examined.faults)
    summary = NetlistSummary(netlist, chip, examined.counts)
    cycles = _predicted_cycles(path / MANIFEST) if path.is_dir() else None
    return Inspected(file, chip, summary, cycles)


def _predicted_cycles(manifest: Path) -> Mapping[str, float] | None:
    if not manifest.is_file():
        return None
    try:
        cycles = json.loads(manifest.read_text(encoding="utf-8")).get("cycles")
    except (ValueError, AttributeError) as error:
        raise ArtifactError(
            f"{manifest} is damaged ({error})", advice="compile the model again"
        ) from None
    return cycles if isinstance(cycles, dict) and cycles else None


# -- views -------------------------------------------------------------------------


def program_rows(shown: Inspected) -> Rows:
    """One row for each program: cores, runs, L1, traffic of a run, cycles, source."""
    rows = []
    for program in shown.summary.programs.values():
        cycles = None if shown.cycles is None else shown.cycles.get(program.name)
        rows.append(
            {
                "program": program.name,
                "cores": program.num_cores,
                "grid": f"{program.grid.x}x{program.grid.y}",
                "runs": program.runs,
                "entries": _entries_of(shown, program),
                "L1 KiB": _kib(program.l1_bytes),
                "read KiB": _kib(program.read_bytes),
                "written KiB": _kib(program.written_bytes),
                "cycles": None if cycles is None else round(cycles),
                **_provenance(program),
            }
        )
    return rows


def _provenance(program: ProgramSummary) -> dict[str, Any]:
    """Every operation that was fused into a program, with the module it came from."""
    found = Provenance.read(program.source)
    return {
        "source": program.source,
        "fused": [
            {"operation": kind, "module": path}
            for kind, paths in found.operations
            for path in paths
        ],
        "lines": found.places,
    }


def _entries_of(shown: Inspected, program: ProgramSummary) -> str | None:
    """The entries that run a program, where there are several entries."""
    entries = shown.summary.bindings.entries
    if len(entries) == 1:
        return None
    return ", ".join(
        name
        for name, runs in entries.items()
        if any(isinstance(r, RunOp) and r.program.data == program.name for r in runs)
    )


def _kib(num_bytes: int | None) -> int | None:
    return None if num_bytes is None else -(-num_bytes // KIB)


def program_text(shown: Inspected, program: ProgramSummary) -> str:
    """A program in full, with notes and the runs that bind it."""
    cycles = None if shown.cycles is None else shown.cycles.get(program.name)
    text = print_netlist(program.facts.op, program_notes(program, cycles))
    runs = shown.summary.bindings.runs_of(program.name)
    lines = [print_netlist(run).strip() for run in runs[:3]]
    if len(runs) > 3:
        lines.append(f"// and {len(runs) - 3} more runs")
    return "\n".join([text.rstrip(), *lines])


def core_rows(shown: Inspected, core: Core) -> Rows:
    """What a core gets of each program: its range on every axis, its L1."""
    rows = []
    for program in shown.summary.programs.values():
        facts = program.facts
        takes_part = core in facts.cores
        ranges = facts.ranges_on(core).items() if takes_part else ()
        rows.append(
            {
                "program": program.name,
                "runs": program.runs,
                "ranges": ", ".join(
                    f"{axis} {r.start}..{r.start + r.size - 1}" for axis, r in ranges
                )
                or ("all" if takes_part else "idle"),
                "L1 KiB": _kib(program.l1_bytes) if takes_part else None,
            }
        )
    return rows


def l1_rows(shown: Inspected, program: ProgramSummary, core: Core) -> Rows:
    """What lies where in the L1 of a core during the program's first run."""
    run, chip = shown.first_run(program), shown.chip
    regions = l1_map(
        run,
        program.facts,
        bindings=shown.summary.bindings,
        places=shown.summary.places,
        chip=chip,
    )
    inside = core.x < program.grid.x and core.y < program.grid.y
    rows: Rows = [_region("firmware", "reserved", 0, chip.l1_reserved_bytes)]
    at = chip.l1_reserved_bytes
    for region in regions:
        if region.kind == "circular buffer" and not inside:
            continue
        if region.address > at:
            rows.append(_region("", "free", at, region.address - at))
        rows.append(_region(region.name, region.kind, region.address, region.num_bytes))
        at = region.address + chip.aligned(region.num_bytes)
    if at < chip.l1_bytes:
        rows.append(_region("", "free", at, chip.l1_bytes - at))
    return rows


def _region(name: str, kind: str, address: int, num_bytes: int) -> dict[str, Any]:
    return {
        "address": f"0x{address:06x}",
        "bytes": num_bytes,
        "KiB": round(num_bytes / KIB, 1),
        "what": kind,
        "name": name,
    }


def weight_rows(shown: Inspected) -> Rows:
    """One row for each line of weights: recipe, format, bytes."""
    rows = []
    for op in shown.summary.bindings.buffer_ops:
        if op.recipe is None:
            continue
        tensor, number = tensor_of(op), instances_of(op)
        rows.append(
            {
                "buffer": f"@{op.sym_name.data}",
                "number": number,
                "shape": "x".join(map(str, tensor.shape)),
                "format": tensor.data_format.value,
                "layout": "rows" if tensor.row_major else "tiles",
                "bytes": number * tensor.num_bytes,
                "recipe": op.recipe.data,
            }
        )
    return rows


def cache_rows(shown: Inspected) -> Rows:
    """One row for each line of buffers that outlive a run."""
    return [
        {
            "buffer": f"@{op.sym_name.data}",
            "number": instances_of(op),
            "shape": "x".join(map(str, tensor.shape)),
            "format": tensor.data_format.value,
            "bytes": instances_of(op) * tensor.num_bytes,
        }
        for op in shown.summary.bindings.buffer_ops
        if op.role is not None and op.role.data == "cache"
        for tensor in [tensor_of(op)]
    ]


def source_rows(shown: Inspected) -> Rows:
    """Where in the model each program comes from, and which lines run it."""
    rows = []
    for program in shown.summary.programs.values():
        runs = shown.summary.bindings.runs_of(program.name)
        bound = sorted({name for run in runs for name in run.buffers.data})
        weights = [
            name
            for name in bound
            if shown.summary.bindings.buffers[name].recipe is not None
        ]
        rows.append(
            {
                "program": program.name,
                "runs": program.runs,
                **_provenance(program),
                "weights": _shorten(weights),
            }
        )
    return rows


def operation_rows(rows: Rows) -> Rows:
    """One row for each operation of each program, for a person."""
    found: Rows = []
    for row in rows:
        fused = row["fused"] or [{"operation": row["source"] or "not stated"}]
        for number, part in enumerate(fused):
            first = number == 0
            found.append(
                {
                    "program": row["program"] if first else None,
                    "operation": part["operation"],
                    "module": part.get("module"),
                    "lines": ", ".join(row["lines"]) if first else None,
                }
            )
    return found


def _shorten(names: list[str]) -> str:
    shown = ", ".join(f"@{name}" for name in names[:2])
    return shown + (f" (+{len(names) - 2})" if len(names) > 2 else "")
