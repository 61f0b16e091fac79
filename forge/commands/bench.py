"""`forge bench silicon`: predictions beside measurements of real chips."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from forge.console import show_json, show_table, step
from forge.errors import UsageError

if TYPE_CHECKING:
    from forge.silicon.report import FamilyReport

COLUMNS = (
    "family",
    "rows",
    "left out",
    "mean %",
    "median %",
    "p90 %",
    "max %",
    "bias %",
    "bounds",
    "asked for",
)


def run_silicon(
    folder: Path | None,
    *,
    families: Sequence[str],
    without: Sequence[str],
    json: bool,
) -> None:
    """Runs all measurements that can be expressed, and prints the errors."""
    if folder is not None and not folder.is_dir():
        raise UsageError(
            f"there is no folder {folder}",
            advice="name a folder with CSV files, as forge/silicon/data holds them",
        )
    with step("timing") as progress:
        from forge.silicon.families import FAMILIES
        from forge.silicon.outcome import Bench
        from forge.silicon.report import as_json, choose_families, run_families
        from runtime.costs import load_costs, without_effects
        from runtime.timing import warm_up

        chosen = choose_families(FAMILIES, families)
        bench = Bench(folder, without_effects(load_costs(), without))
        progress.update("compiling the event loop, once on a machine")
        warm_up()
        reports = run_families(chosen, bench, progress.update)
    if json:
        show_json({"without": list(without), **as_json(reports)})
        return
    title = "predicted against measured"
    if without:
        title += f", without {', '.join(without)}"
    show_table(title, COLUMNS, map(_summary, reports))
    _show_worst(reports)
    _show_left_out(reports)


def _summary(report: "FamilyReport") -> tuple[object, ...]:
    bounds = f"{report.num_right} of {len(report.bounded)}" if report.bounded else ""
    return (
        report.family.name,
        report.num_tried,
        len(report.left_out),
        *report.statistics().values(),
        bounds,
        report.family.target,
    )


def _show_worst(reports: Sequence["FamilyReport"]) -> None:
    rows = [
        (
            report.family.name,
            each.row,
            each.measured,
            each.predicted,
            each.unit,
            f"{100 * each.error:+.1f}",
        )
        for report in reports
        for each in report.worst
    ]
    rows += [
        (
            report.family.name,
            each.row,
            f"{_limit(each.low)} .. {_limit(each.high)}",
            each.predicted,
            each.unit,
            "outside",
        )
        for report in reports
        for each in report.bounded
        if not each.is_right
    ]
    if rows:
        columns = ("family", "row", "measured", "predicted", "unit", "error %")
        show_table("the worst rows", columns, rows)


def _limit(value: float | None) -> str:
    return "" if value is None else f"{value:,g}"


def _show_left_out(reports: Sequence["FamilyReport"]) -> None:
    rows = [
        (report.family.name, count, reason)
        for report in reports
        for reason, count in report.reasons.most_common()
    ]
    if rows:
        show_table("left out", ("family", "rows", "why"), rows)


def run_transfers(path: Path, *, without: Sequence[str], json: bool) -> None:
    """Times the transfers of a file, and prints when each processor is done."""
    with step("timing") as progress:
        from forge.silicon.transfer_file import read_transfers
        from runtime.costs import load_costs, without_effects
        from runtime.timing import warm_up
        from runtime.timing.transfer_list import time_transfers

        lists = read_transfers(path)
        costs = without_effects(load_costs(), without)
        progress.update("compiling the event loop, once on a machine")
        warm_up()
        timing = time_transfers(lists, costs=costs)
    rows = [
        (f"{who.point.noc_x}-{who.point.noc_y}", who.name, round(end))
        for who, end in timing.ends.items()
    ]
    columns = ("tile", "processor", "done at cycle")
    if json:
        show_json(
            {
                "cycles": round(timing.cycles, 1),
                "transfers": timing.num_transfers,
                "channel_bytes": list(timing.channel_bytes),
                "processors": [dict(zip(columns, row, strict=True)) for row in rows],
            }
        )
        return
    title = f"{path}: {timing.cycles:,.0f} cycles, {timing.num_transfers:,} packets"
    show_table(title, columns, rows)
