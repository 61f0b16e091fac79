"""DRAM bandwidth as tt-metal's benchmarks reach it: rows of `noc_dram.csv`.

Each bank has a reader beside it that streams its part of a matrix of k x n elements,
`num_blocks` blocks of it, with requests of up to 8 KiB always under way. The variants
with a write pass every block on to other cores. Interleaved weights are read by all
cores, a tile at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dialects.chip import NocPoint, load_chip
from dialects.formats import DataFormat
from forge.silicon.dram import Case, neighbours
from forge.silicon.outcome import Bench, Bounded, LeftOut, Measured, Outcome
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
    "pattern",
    "parameter",
    "cores_or_links",
    "value",
    "value_kind",
)
FAMILIES = ("dram_bandwidth_chip", "dram_bandwidth_single_bank")
FORMATS = {"BFP8": DataFormat.BFP8_B, "BF16": DataFormat.BF16}
TILE_ELEMENTS = 1024


@dataclass(frozen=True)
class Stream:
    """What is read from each bank, in how many blocks, and who gets it then."""

    num_banks: int
    bank_bytes: int
    num_blocks: int
    receivers: int


def run(bench: Bench) -> Iterator[Outcome]:
    """All rows of both families."""
    for row in bench.rows("noc_dram.csv", COLUMNS):
        if row["family"] in FAMILIES:
            yield _outcome(bench.costs, row)


def _outcome(costs: CostTable, row: Row) -> Outcome:
    label = f"{row['id']} {row['test']}: {row['parameter']}"
    if row["value_kind"] == "spec_not_measured":
        return LeftOut(label, "a figure of the data sheet, not measured")
    if "DRAM-interleaved" in row["test"]:
        return Measured(label, row.number("value"), interleaved(costs), "GB/s")
    stream = parse(row)
    if stream is None:
        return LeftOut(label, "shapes or blocks are not stated")
    rate = predict(costs, stream)
    low, dash, high = row["value"].partition("-")
    if dash:
        return Bounded(label, float(low), float(high), rate, "GB/s")
    return Measured(label, row.number("value"), rate, "GB/s")


def parse(row: Row) -> Stream | None:
    """The sizes of a row, where it states them."""
    pairs = (part.partition("=") for part in row["parameter"].split(";"))
    stated = {name.strip(): value for name, _, value in pairs}
    if "12 adjacent readers" in row["test"] and "12 GT/s" in row["parameter"]:
        return Stream(12, 1 << 22, 1 << 9, 0)
    if not row.get("cores_or_links"):
        return None
    try:
        banks = row.integer("cores_or_links")
        tiles = int(stated["k"]) * int(stated["n"]) // TILE_ELEMENTS
        tile_bytes = FORMATS[stated["data_format"]].tile_bytes
        blocks = int(stated["num_blocks"])
    except (KeyError, ValueError):
        return None
    layers = int(stated.get("layers", 1))
    passes_on = "write" in row["pattern"] or "remote" in row["pattern"]
    receivers = int(stated.get("receivers", 1)) if passes_on else 0
    size = layers * tiles * tile_bytes // banks
    return Stream(banks, size, layers * blocks, receivers)


def predict(costs: CostTable, stream: Stream) -> float:
    """Bytes a cycle of all banks together, from the go signal until all is there."""
    chip = load_chip("n150")
    case = Case(stream.num_banks, stream.num_banks, True, True, False, 0)
    lists = []
    for bank in range(stream.num_banks):
        reader, *others = neighbours(chip, bank, case)
        block = stream.bank_bytes // stream.num_blocks
        reads = [
            Operation("read", bank=bank, num_bytes=block)
            for _ in range(stream.num_blocks)
        ]
        barrier = Operation("read_barrier")
        start = costs.riscv1_begin_cycles + costs.riscv1_start_cycles
        lists.append(
            ProcessorList(Processor(reader, "riscv1"), [*reads, barrier], start)
        )
        if stream.receivers:
            writes = passed_on(stream, block, others[: stream.receivers])
            lists.append(ProcessorList(Processor(reader, "riscv0"), writes, start))
    cycles = time_transfers(lists, chip, costs).cycles
    if stream.receivers:
        block = stream.bank_bytes // stream.num_blocks
        cycles += block / costs.initiator_bytes_per_cycle
    return stream.num_banks * stream.bank_bytes / cycles


def interleaved(costs: CostTable) -> float:
    """All cores read tiles of interleaved weights, with a barrier after each block."""
    chip = load_chip("n150")
    size, blocks, block = DataFormat.BFP8_B.tile_bytes, 8, 32
    points = [NocPoint(x, y) for y in chip.worker_rows for x in chip.worker_columns]
    points = points[: chip.num_cores]
    lists = []
    for number, point in enumerate(points):
        operations: list[Operation] = []
        for first in range(number, number + blocks * block, block):
            operations += [
                Operation(
                    "read",
                    bank=page % chip.num_dram_banks,
                    num_bytes=size,
                    cycles=costs.paged_read_issue_cycles,
                )
                for page in range(first, first + block)
            ]
            operations.append(Operation("read_barrier"))
        lists.append(ProcessorList(Processor(point, "riscv1"), operations))
    moved = len(points) * blocks * block * size
    return moved / time_transfers(lists, chip, costs).cycles


def passed_on(stream: Stream, block: int, receivers: list[NocPoint]) -> list[Operation]:
    """Every block is written on while the next is read."""
    writes = [
        Operation("write", target=other, num_bytes=block // len(receivers))
        for _ in range(stream.num_blocks)
        for other in receivers
    ]
    return [*writes, Operation("write_barrier")]
