"""One core that multicasts to a rectangle: single shots, and many after each other.

`multicast.csv`: `columns` x `rows` receivers, linked or not, the sender among them
(`loopback`) or beside them. `single` is the time of one call and a barrier; `steady`
the bytes a cycle of many, `back_to_back` the cycles that one more takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dialects.chip import NocPoint, load_chip
from forge.silicon.outcome import Bench, LeftOut, Measured, Outcome
from forge.silicon.tables import Row
from runtime.costs import CostTable
from runtime.timing.transfer_list import (
    Operation,
    Processor,
    ProcessorList,
    time_transfers,
)

COLUMNS = (
    "columns",
    "rows",
    "mode",
    "loopback",
    "measure",
    "size_bytes",
    "value",
    "unit",
)
SERIES = (32, 96)
"""Multicasts of the two runs whose difference is the steady state."""


def run(bench: Bench) -> Iterator[Outcome]:
    """All rows of the table."""
    for row in bench.rows("multicast.csv", COLUMNS, or_own=True):
        loopback = " loopback" if row["loopback"] == "yes" else ""
        label = (
            f"{row['columns']}x{row['rows']} {row['mode']}{loopback} "
            f"{row['measure']} {row['size_bytes']} B"
        )
        yield _outcome(bench.costs, row, label)


def _outcome(costs: CostTable, row: Row, label: str) -> Outcome:
    size = row.integer("size_bytes")
    chip = load_chip("n150")
    columns, rows = row.integer("columns"), row.integer("rows")
    if not (0 < columns <= chip.grid.x and 0 < rows <= chip.grid.y):
        return LeftOut(label, "the rectangle does not fit on the chip")
    if row["measure"] == "single":
        return Measured(label, row.number("value"), cycles(costs, row, 1), row["unit"])
    first, last = (cycles(costs, row, count) for count in SERIES)
    each = (last - first) / (SERIES[1] - SERIES[0])
    if row["measure"] == "steady":
        return Measured(label, row.number("value"), size / each, row["unit"])
    if row["measure"] == "back_to_back":
        return Measured(label, row.number("value"), each, row["unit"])
    return LeftOut(label, "the measure is none of single, steady and back_to_back")


def cycles(costs: CostTable, row: Row, count: int) -> float:
    """Cycles of `count` multicasts, the last not linked, and a barrier."""
    chip = load_chip("n150")
    columns, rows = row.integer("columns"), row.integer("rows")
    loopback = row["loopback"] == "yes"
    offset = 0 if loopback or columns == chip.grid.x else 1
    first = NocPoint(chip.worker_columns[offset], chip.worker_rows[0])
    last = NocPoint(
        chip.worker_columns[offset + columns - 1], chip.worker_rows[rows - 1]
    )
    sender = first if offset == 0 else NocPoint(chip.worker_columns[0], first.noc_y)
    one = Operation(
        "multicast",
        target=first,
        end=last,
        num_bytes=row.integer("size_bytes"),
        loopback=loopback,
    )
    many = replace(one, count=count - 1, linked=row["mode"] == "linked")
    operations = [many, one, Operation("write_barrier")]
    lists = [ProcessorList(Processor(sender), operations)]
    return time_transfers(lists, chip, costs).cycles
