"""Every core of a rectangle writes to, or reads from, every core of it.

`all_to_all.csv`: `transactions` of `size_bytes` for each pair, on NoC 0.
"""

from __future__ import annotations

from collections.abc import Iterator

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
    "operation",
    "columns",
    "rows",
    "transactions",
    "size_bytes",
    "bytes_per_cycle_per_core",
)
OPERATIONS = ("read", "write")


def run(bench: Bench) -> Iterator[Outcome]:
    """All rows of the table."""
    chip = load_chip("n150")
    for row in bench.rows("all_to_all.csv", COLUMNS, or_own=True):
        label = (
            f"{row['operation']} {row['columns']}x{row['rows']} {row['size_bytes']} B"
        )
        columns, rows = row.integer("columns"), row.integer("rows")
        if row["operation"] not in OPERATIONS:
            yield LeftOut(label, f"the operation is none of {', '.join(OPERATIONS)}")
        elif not (0 < columns <= chip.grid.x and 0 < rows <= chip.grid.y):
            yield LeftOut(label, "the rectangle does not fit on the chip")
        else:
            rate = _predict(bench.costs, row)
            measured = row.number("bytes_per_cycle_per_core")
            yield Measured(label, measured, rate, "B/cycle/core")


def _predict(costs: CostTable, row: Row) -> float:
    chip = load_chip("n150")
    points = [
        NocPoint(x, y)
        for y in chip.worker_rows[: row.integer("rows")]
        for x in chip.worker_columns[: row.integer("columns")]
    ]
    size, count = row.integer("size_bytes"), row.integer("transactions")
    kind = row["operation"]
    lists = []
    for point in points:
        operations = [
            Operation(kind, target=other, num_bytes=size, count=count)
            for other in points
        ]
        barrier = Operation(f"{kind}_barrier")
        lists.append(ProcessorList(Processor(point), [*operations, barrier]))
    cycles = time_transfers(lists, chip, costs).cycles
    return len(points) * count * size / cycles
