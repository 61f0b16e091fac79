"""One core that reads or writes, with nobody else on the chip: cycles until done.

`unicast.csv` is between two cores, `one_core_dram.csv` between a core and one DRAM bank
or all in turn: `transactions` of `size_bytes`, then a barrier.
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

COLUMNS = ("operation", "place", "axis", "transactions", "size_bytes", "cycles")
OPERATIONS = ("read", "write")
PLACES = ("l1", "one_bank", "all_banks")

HERE = NocPoint(1, 1)
OTHERS = {"same": NocPoint(1, 4), "both": NocPoint(3, 4)}
"""Another core by the axes on which it differs: routes are equally long everywhere."""


def run_unicast(bench: Bench) -> Iterator[Outcome]:
    """Between two cores."""
    yield from _run(bench, "unicast.csv")


def run_dram(bench: Bench) -> Iterator[Outcome]:
    """Between a core and DRAM."""
    yield from _run(bench, "one_core_dram.csv")


def _run(bench: Bench, name: str) -> Iterator[Outcome]:
    for row in bench.rows(name, COLUMNS, or_own=True):
        label = " ".join(row[column] for column in COLUMNS[:-1]) + " B"
        if row["operation"] not in OPERATIONS:
            yield LeftOut(label, f"the operation is none of {', '.join(OPERATIONS)}")
        elif row["place"] not in PLACES:
            yield LeftOut(label, f"the place is none of {', '.join(PLACES)}")
        elif row["axis"] not in OTHERS:
            yield LeftOut(label, f"the axis is none of {', '.join(OTHERS)}")
        else:
            predicted = _predict(bench.costs, row)
            yield Measured(label, row.number("cycles"), predicted, "cycles")


def _predict(costs: CostTable, row: Row) -> float:
    kind, size = row["operation"], row.integer("size_bytes")
    count = row.integer("transactions")
    match row["place"]:
        case "l1":
            other = OTHERS[row["axis"]]
            one = Operation(kind, target=other, num_bytes=size, count=count)
            operations = [one]
        case "one_bank":
            operations = [Operation(kind, bank=0, num_bytes=size, count=count)]
        case _:
            operations = in_turn(costs, kind, count, size)
    return time_one(costs, [*operations, Operation(f"{kind}_barrier")])


def in_turn(costs: CostTable, kind: str, count: int, size: int) -> list[Operation]:
    """Pages of an interleaved buffer: a bank after the other, its address computed."""
    is_read = kind == "read"
    issue = costs.paged_read_issue_cycles if is_read else costs.paged_write_issue_cycles
    banks = load_chip("n150").num_dram_banks
    return [
        Operation(kind, bank=page % banks, num_bytes=size, cycles=issue)
        for page in range(count)
    ]


def time_one(costs: CostTable, operations: list[Operation]) -> float:
    """Cycles of one processor alone."""
    lists = [ProcessorList(Processor(HERE), operations)]
    return time_transfers(lists, load_chip("n150"), costs).cycles
