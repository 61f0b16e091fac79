"""DRAM bandwidth of many cores: rows of `noc_dram.csv`.

`isa_doc_dram_bandwidth` moves 1 MiB for each tile, with one channel or all twelve, the
tiles next to their channels ("carefully chosen") or anywhere. Of a random placement
only one draw was measured; the prediction is the mean of several.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dialects.chip import Chip, NocPoint, load_chip
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
    "id",
    "family",
    "test",
    "parameter",
    "cores_or_links",
    "value",
    "value_kind",
    "conditions",
)
DRAWS = 16
"""Random placements that a prediction is the mean of."""

TILE_BYTES = 1 << 20
REQUEST_BYTES = 8192


@dataclass(frozen=True)
class Case:
    """An experiment: which tiles exchange with which channels."""

    num_channels: int
    num_tiles: int
    careful: bool
    is_read: bool
    dynamic: bool
    noc: int


def run(bench: Bench) -> Iterator[Outcome]:
    """All rows of the family."""
    for row in bench.rows("noc_dram.csv", COLUMNS):
        if row["family"] == "isa_doc_dram_bandwidth":
            yield _outcome(bench.costs, row)


def _outcome(costs: CostTable, row: Row) -> Outcome:
    case = parse(row)
    if case is None:
        return LeftOut(row["id"], "the placement is not described")
    label = f"{case.num_channels} ch {row['test']}"
    rates = [predict(costs, case, seed) for seed in range(1 if case.careful else DRAWS)]
    more = {"spread": round(float(np.std(rates)), 2)}
    return Measured(label, row.number("value"), float(np.mean(rates)), "GB/s", more)


def parse(row: Row) -> Case | None:
    """What a row says of its experiment."""
    channels = re.search(r"(\d+) DRAM channel", row["parameter"])
    words = row["test"].split("|")
    if channels is None or len(words) != 4:
        return None
    tiles, direction, policy, noc = map(str.strip, words)
    return Case(
        num_channels=int(channels[1]),
        num_tiles=row.integer("cores_or_links"),
        careful="careful" in tiles,
        is_read="read" in direction,
        dynamic=policy.startswith("Dynamic"),
        noc=int(noc[-1]),
    )


def predict(costs: CostTable, case: Case, seed: int = 0) -> float:
    """Bytes a cycle of all tiles together until the last is done."""
    chip = load_chip("n150")
    if case.dynamic and not case.is_read:
        costs = replace(costs, blocked_write_factor=1.0)
        if case.num_tiles > case.num_channels:
            crowded = costs.dram_crowded_write_bytes_per_cycle
            costs = replace(costs, dram_write_bytes_per_cycle=crowded)
    size = TILE_BYTES if case.careful or case.num_channels == 1 else TILE_BYTES // 4
    kind = "read" if case.is_read else "write"
    lists = []
    for point, bank in place(chip, case, seed):
        transfer = Operation(
            kind,
            noc=case.noc,
            bank=bank,
            num_bytes=REQUEST_BYTES,
            count=size // REQUEST_BYTES,
        )
        operations = [transfer, Operation(f"{kind}_barrier")]
        lists.append(ProcessorList(Processor(point), operations))
    return len(lists) * size / time_transfers(lists, chip, costs).cycles


def place(chip: Chip, case: Case, seed: int) -> list[tuple[NocPoint, int]]:
    """Tiles with the bank of each."""
    each = max(1, case.num_tiles // case.num_channels)
    if case.careful:
        return [
            (point, bank)
            for bank in range(case.num_channels)
            for point in neighbours(chip, bank, case)[:each]
        ]
    generator = np.random.default_rng(seed)
    points = [NocPoint(x, y) for y in chip.worker_rows for x in chip.worker_columns]
    chosen = generator.permutation(len(points))[: case.num_tiles]
    return [
        (points[number], place % case.num_channels)
        for place, number in enumerate(chosen)
    ]


def neighbours(chip: Chip, bank: int, case: Case) -> Sequence[NocPoint]:
    """Tiles in the row of a channel, the one that its data reach first at the front.

    Read data go right on NoC 0 and left on NoC 1, written data come from there.
    """
    endpoint = chip.dram_endpoints[bank]
    goes_right = case.is_read == (case.noc == 0)
    columns = sorted(
        chip.worker_columns,
        key=lambda x: (x - endpoint.noc_x) * (1 if goes_right else -1) % 10,
    )
    return [NocPoint(x, endpoint.noc_y) for x in columns]
