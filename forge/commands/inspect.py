"""`forge inspect`: a compiled folder for a reader. Instant: no torch, no numba."""

from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from dialects.chip import Core
from forge.console import show_json, show_table
from forge.overview import read_overview

if TYPE_CHECKING:
    from forge.inspect_netlist import Inspected, Rows

NETLIST = "netlist.mlir"
WIDTH = 100


def run_inspect(
    folder: Path,
    program: str | None,
    *,
    core: Core | None,
    l1: Core | None,
    show_weights: bool,
    show_caches: bool,
    show_sources: bool,
    json: bool,
) -> None:
    """Prints the table of programs, or the part of the netlist that was asked for."""
    parts = (program, core, l1, show_weights, show_caches, show_sources)
    whole = not any(parts)
    overview = read_overview(folder, NETLIST) if whole else None
    if overview is not None:
        _show_programs(overview, json=json)
        return
    from forge.inspect_netlist import open_netlist

    _show_part(
        open_netlist(folder),
        program,
        core=core,
        l1=l1,
        show_weights=show_weights,
        show_caches=show_caches,
        show_sources=show_sources,
        json=json,
    )


def _show_part(
    shown: "Inspected",
    program: str | None,
    *,
    core: Core | None,
    l1: Core | None,
    show_weights: bool,
    show_caches: bool,
    show_sources: bool,
    json: bool,
) -> None:
    from forge.inspect_netlist import cache_rows, core_rows, source_rows, weight_rows

    if l1 is not None:
        _show_l1(shown, program, l1, json=json)
    elif core is not None and program is not None:
        _show_core(shown, program, core, json=json)
    elif core is not None:
        shown.require_core(core)
        _show_rows(f"core {core}", core_rows(shown, core), json=json)
    elif show_weights:
        total = shown.summary.weight_bytes
        _show_rows(f"weights, {total:,} bytes", weight_rows(shown), json=json)
    elif show_caches:
        total = shown.summary.cache_bytes
        _show_rows(f"caches, {total:,} bytes", cache_rows(shown), json=json)
    elif show_sources:
        _show_sources(source_rows(shown), json=json)
    elif program is not None:
        _show_program(shown, program, json=json)
    else:
        _show_programs(_overview_of(shown), json=json)


def _show_rows(title: str, rows: "Rows", *, json: bool) -> None:
    if json:
        show_json(rows)
        return
    columns = (
        [name for name in rows[0] if any(row[name] not in (None, "") for row in rows)]
        if rows
        else []
    )
    show_table(title, columns, [[row[name] for name in columns] for row in rows])


def _overview_of(shown: "Inspected") -> dict[str, Any]:
    from forge.inspect_netlist import program_rows

    return {
        "netlist": shown.summary.netlist.sym_name.data,
        "chip": shown.chip.name,
        "header": shown.header,
        "programs": program_rows(shown),
    }


def _show_programs(overview: dict[str, Any], *, json: bool) -> None:
    if json:
        show_json({key: overview[key] for key in ("netlist", "programs")})
        return
    print(f"netlist @{overview['netlist']} for {overview['chip']}")
    print("\n".join(f"  {line}" for line in overview["header"]))
    rows = overview["programs"]
    beside = ("source", "fused", "lines")
    table = [{k: v for k, v in row.items() if k not in beside} for row in rows]
    _show_rows("", table, json=False)
    for row in rows:
        if row["source"]:
            print("\n".join(_fused(row["program"], row["source"])))


def _fused(program: str, source: str) -> list[str]:
    """What was fused into a program, in lines of the usual width."""
    text = f"{program}: from {source}"
    return wrap(text, WIDTH, initial_indent="  ", subsequent_indent="      ")


def _show_sources(rows: "Rows", *, json: bool) -> None:
    from forge.inspect_netlist import operation_rows

    _show_rows("sources", rows if json else operation_rows(rows), json=json)


def _show_program(shown: "Inspected", name: str, *, json: bool) -> None:
    from forge.inspect_netlist import program_rows, program_text

    program = shown.program(name)
    text = program_text(shown, program)
    if json:
        row = next(r for r in program_rows(shown) if r["program"] == program.name)
        show_json({**row, "text": text})
    else:
        print(text)


def _show_core(shown: "Inspected", name: str, core: Core, *, json: bool) -> None:
    from forge.inspect_core import CoreView

    view = CoreView(shown, shown.program(name), core)
    if json:
        show_json(view.as_data())
    else:
        print(view.text())


def _show_l1(shown: "Inspected", name: str | None, core: Core, *, json: bool) -> None:
    """The L1 map of a program, or of the one that fills L1 most."""
    from forge.inspect_netlist import l1_rows

    shown.require_core(core)
    program = shown.program(name or shown.summary.l1_peak[1])
    title = f"L1 of core {core} in @{program.name}"
    _show_rows(title, l1_rows(shown, program, core), json=json)
