"""Bounds of tt-metal's data-movement tests: rows of `noc_dram.csv`.

`data_movement_bound` says at least how many bytes a cycle a core moves in a test whose
name tells the pattern. Sizes are not stated: those of the ideal tests are large, here
8 KiB a transaction. Tests whose name does not tell the pattern are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dialects.chip import NocPoint, load_chip
from forge.silicon.one_core import HERE, OTHERS, in_turn, time_one
from forge.silicon.outcome import Bench, Bounded, LeftOut, Outcome
from forge.silicon.tables import Row
from runtime.costs import CostTable
from runtime.timing.transfer_list import (
    Operation,
    Processor,
    ProcessorList,
    time_transfers,
)

COLUMNS = ("id", "family", "test", "parameter", "noc_or_risc", "value", "value_kind")
SIZE = 8192
PAGE = 2048
COUNT = 256


@dataclass(frozen=True)
class Pattern:
    """A pattern of transfers as the name of a test tells it."""

    kind: str
    columns: int
    rows: int
    linked: bool
    loopback: bool

    @property
    def barrier(self) -> Operation:
        """Waits for all of them."""
        return Operation("read_barrier" if self.kind == "read" else "write_barrier")


def run(bench: Bench) -> Iterator[Outcome]:
    """All rows of the family."""
    for row in bench.rows("noc_dram.csv", COLUMNS):
        if row["family"] == "data_movement_bound":
            yield _outcome(bench.costs, row)


def _outcome(costs: CostTable, row: Row) -> Outcome:
    label = f"{row['id']} {row['test']} ({row['noc_or_risc']})"
    if row["parameter"] != "bandwidth":
        return LeftOut(label, "a time without the number of transactions")
    found = (each for name, each in EXPERIMENTS if re.match(name, row["test"]))
    experiment = next(found, None)
    if experiment is None:
        return LeftOut(label, "the name of the test does not tell the transfers")
    rate = experiment(costs, _pattern(row))
    return Bounded(label, row.number("value"), None, rate, "B/cycle")


def _pattern(row: Row) -> Pattern:
    words = row["test"].split()
    grid = re.search(r"(\d+)x(\d+)", row["test"])
    chip = load_chip("n150")
    if "Read" in words or "from" in words:
        kind = "read"
    elif "Write" in words or "to" in words:
        kind = "write"
    else:
        kind = "read" if row["noc_or_risc"] == "riscv_1" else "write"
    return Pattern(
        kind=kind,
        columns=int(grid[1]) if grid else chip.grid.x,
        rows=int(grid[2]) if grid else chip.grid.y,
        linked="Linked" in words,
        loopback="Loopback" in words or "Multicast" in words,
    )


def one_bank(costs: CostTable, pattern: Pattern) -> float:
    """A core and a DRAM bank."""
    one = Operation(pattern.kind, bank=0, num_bytes=SIZE, count=COUNT)
    return COUNT * SIZE / time_one(costs, [one, pattern.barrier])


def one_other(costs: CostTable, pattern: Pattern) -> float:
    """A core and another."""
    one = Operation(pattern.kind, target=OTHERS["both"], num_bytes=SIZE, count=COUNT)
    return COUNT * SIZE / time_one(costs, [one, pattern.barrier])


def own(costs: CostTable, pattern: Pattern) -> float:
    """A core and its own L1, through its NIU."""
    one = Operation(pattern.kind, target=HERE, num_bytes=SIZE, count=COUNT)
    return COUNT * SIZE / time_one(costs, [one, pattern.barrier])


def all_others(costs: CostTable, pattern: Pattern) -> float:
    """A core and every other in turn."""
    points = workers(pattern)
    operations = [
        Operation(pattern.kind, target=point, num_bytes=SIZE, count=4)
        for point in points
        if point != HERE
    ]
    moved = 4 * SIZE * len(operations)
    return moved / time_one(costs, [*operations, pattern.barrier])


def interleaved_dram(costs: CostTable, pattern: Pattern) -> float:
    """A core and pages of all banks."""
    pages = in_turn(costs, pattern.kind, COUNT, SIZE)
    return COUNT * SIZE / time_one(costs, [*pages, pattern.barrier])


def multicast(costs: CostTable, pattern: Pattern) -> float:
    """A core to all, itself too."""
    points = workers(pattern)
    one = Operation(
        "multicast",
        target=points[0],
        end=points[-1],
        num_bytes=SIZE,
        count=COUNT,
        linked=pattern.linked,
        loopback=pattern.loopback,
    )
    return COUNT * SIZE / time_one(costs, [one, Operation("write_barrier")])


def many_interleaved(costs: CostTable, pattern: Pattern) -> float:
    """Every core and pages of all banks; bytes of one of them."""
    noc = 0 if pattern.kind == "read" else 1
    lists = []
    for number, point in enumerate(workers(pattern)):
        pages = [
            Operation(pattern.kind, noc=noc, bank=(number + i) % 12, num_bytes=PAGE)
            for i in range(COUNT)
        ]
        lists.append(ProcessorList(Processor(point), [*pages, pattern.barrier]))
    cycles = time_transfers(lists, load_chip("n150"), costs).cycles
    return COUNT * PAGE / cycles


def workers(pattern: Pattern) -> list[NocPoint]:
    """The cores of the pattern's grid, from the first on."""
    chip = load_chip("n150")
    return [
        NocPoint(x, y)
        for y in chip.worker_rows[: pattern.rows]
        for x in chip.worker_columns[: pattern.columns]
    ]


EXPERIMENTS: tuple[tuple[str, Callable[[CostTable, Pattern], float]], ...] = (
    (r"DRAM Directed", one_bank),
    (r"One (from|to) One", one_other),
    (r"One to All Multicast", multicast),
    (r"One (from|to) All", all_others),
    (r"DRAM Interleaved", interleaved_dram),
    (r"L1 Interleaved", all_others),
    (r"Multi Interleaved", many_interleaved),
    (r"Loopback", own),
)
"""What the beginning of a test's name says that is moved."""
