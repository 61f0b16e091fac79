"""The time engine against the measured tables of wormhole.md, and its speed.

Sections 4.2 (multicast), 4.3 (unicast) and 4.5 (one core and DRAM). Run as a module of
its own, it prints the error of every cell.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from benchmarks import Row
from dialects.chip import Core, load_chip
from runtime.costs import load_costs
from runtime.timing import tables as t
from runtime.timing.workload import ThreadBuilder, WorkloadBuilder, run_workload

CHIP = load_chip("n150")
COSTS = load_costs()
HERE, SAME_AXIS, BOTH_DIFFER = Core(0, 0), Core(0, 3), Core(2, 3)

UNICAST_BYTES = (64, 256, 512, 1024, 2048, 4096, 8192, 65536)
# Section 4.3: (write, transactions, other axis) -> cycles for each size.
UNICAST = {
    (True, 1, BOTH_DIFFER): (296, 303, 317, 334, 369, 439, 624, 2499),
    (True, 1, SAME_AXIS): (206, 213, 221, 245, 278, 357, 529, 2429),
    (True, 4, BOTH_DIFFER): (361, 368, 385, 450, 640, 914, 1459, 8817),
    (True, 16, BOTH_DIFFER): (624, 633, 649, 905, 1459, 2507, 4601, 34095),
    (True, 64, BOTH_DIFFER): (1682, 1690, 1697, 2517, 4650, 8800, 17232, 134905),
    (True, 256, BOTH_DIFFER): (5906, 5913, 5921, 8957, 17353, 34130, 67769, 538626),
    (False, 1, BOTH_DIFFER): (293, 301, 309, 334, 366, 437, 589, 2597),
    (False, 1, SAME_AXIS): (205, 213, 221, 245, 286, 357, 501, 2501),
    (False, 16, BOTH_DIFFER): (587, 587, 603, 899, 1468, 2603, 4883, 36828),
    (False, 64, BOTH_DIFFER): (1874, 1874, 1890, 2674, 4947, 9498, 18618, 146604),
    (False, 256, BOTH_DIFFER): (6674, 6674, 6690, 9778, 18811, 37026, 73970, 584644),
}

DRAM_BYTES = (64, 512, 1024, 2048, 4096, 8192)
# Section 4.5: (write, all banks, transactions) -> cycles; None is left out there, or a
# clamped or pathological value.
DRAM = {
    (False, False, 1): (381, 405, 421, 470, 549, 893),
    (False, False, 16): (708, 724, 1084, 1901, 3244, 6236),
    (False, False, 256): (7272, 7280, 12102, 23818, 47355, None),
    (True, False, 1): (426, 438, 469, 511, 592, 756),
    (True, False, 256): (None, 6973, 12266, 24111, 47988, None),
    (False, True, 1): (381, 405, 421, 471, 702, 717),
    (False, True, 256): (9524, 9540, 9652, 17269, 33912, None),
    (True, True, 256): (10327, 10366, 10383, 17672, 36411, None),
}

MULTICAST_BYTES = (64, 2048, 8192, 65536)
# Section 4.2, loopback left out: (columns, rows, linked) -> single-shot cycles, then
# steady bytes a cycle in packets of 2 KiB and 8 KiB.
MULTICAST = {
    (2, 2, False): ((450, 539, 753, 3838), (8.8, 19.0)),
    (3, 3, False): ((465, 556, 785, 3949), (8.2, 18.2)),
    (5, 5, False): ((538, 622, 858, 4469), (6.5, 15.9)),
    (2, 2, True): ((448, 533, 756, 3789), (29.4, 30.5)),
    (3, 3, True): ((467, 557, 788, 3949), (28.7, 30.1)),
    (5, 5, True): ((537, 621, 850, 4461), (27.9, 29.8)),
    (1, 8, True): ((563, 645, 857, 4782), (29.4, 30.3)),
}


def transfers(
    write: bool, places: np.ndarray, num_bytes: int, issue: float
) -> WorkloadBuilder:
    """One core that reads from, or writes to, all places and waits."""
    workload = WorkloadBuilder(CHIP, COSTS, [HERE])
    thread = workload.thread(HERE)
    code, barrier = (t.WRITE, t.WRITE_BARRIER) if write else (t.READ, t.READ_BARRIER)
    thread.transfer(code, places, num_bytes=num_bytes, noc=0, issue_cycles=issue)
    thread.add(barrier)
    return workload


def unicast_cycles(write: bool, count: int, other: Core, num_bytes: int) -> float:
    """Cycles of `count` transfers with one other core."""
    issue = COSTS.write_issue_cycles if write else COSTS.read_issue_cycles
    place = WorkloadBuilder(CHIP, COSTS, [HERE]).core_place(other)
    return run_workload(
        transfers(write, np.full(count, place, np.int64), num_bytes, issue)
    )[0]


def dram_cycles(write: bool, all_banks: bool, count: int, num_bytes: int) -> float:
    """Cycles of `count` transfers with one DRAM bank, or with all in turn."""
    if all_banks:
        issues = (COSTS.paged_read_issue_cycles, COSTS.paged_write_issue_cycles)
    else:
        issues = (COSTS.bank_read_issue_cycles, COSTS.bank_write_issue_cycles)
    first = WorkloadBuilder(CHIP, COSTS, [HERE]).bank_place(0)
    pages = np.arange(count) % CHIP.num_dram_banks if all_banks else np.zeros(count)
    places = first + pages.astype(np.int64)
    return run_workload(transfers(write, places, num_bytes, issues[write]))[0]


def multicast_cycles(
    columns: int, rows: int, linked: bool, count: int, num_bytes: int
) -> float:
    """Cycles of `count` multicasts from outside a rectangle, the last not linked."""
    source = Core(0, 7) if columns > 1 else Core(1, 0)
    workload = WorkloadBuilder(CHIP, COSTS, [source])
    receivers = (
        [Core(x, y) for y in range(rows) for x in range(1, columns + 1)]
        if columns > 1
        else [Core(2, y) for y in range(rows)]
    )
    thread: ThreadBuilder = workload.thread(source)
    for number in range(count):
        follows = linked and number < count - 1
        thread.multicast(
            receivers, num_bytes=num_bytes, noc=0, linked=follows, counted=True
        )
    thread.add(t.WRITE_BARRIER)
    return run_workload(workload)[0]


class Cell(NamedTuple):
    """One measured value and what the engine says."""

    family: str
    label: str
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """Relative error in percent."""
        return 100 * (self.predicted / self.measured - 1)


def unicast_cells() -> Iterator[Cell]:
    """Section 4.3."""
    for (write, count, other), cycles in UNICAST.items():
        family = "unicast write" if write else "unicast read"
        axis = "same axis" if other == SAME_AXIS else "both differ"
        for size, measured in zip(UNICAST_BYTES, cycles, strict=True):
            predicted = unicast_cycles(write, count, other, size)
            yield Cell(family, f"{count} x {size} B {axis}", predicted, measured)


def dram_cells() -> Iterator[Cell]:
    """Section 4.5, one core."""
    for (write, all_banks, count), cycles in DRAM.items():
        label = f"{'write' if write else 'read'} {'all' if all_banks else 'one'}"
        for size, measured in zip(DRAM_BYTES, cycles, strict=True):
            if measured is not None:
                predicted = dram_cycles(write, all_banks, count, size)
                yield Cell("dram", f"{label} {count} x {size} B", predicted, measured)


def multicast_cells() -> Iterator[Cell]:
    """Section 4.2: single shots in cycles, then steady rates in bytes a cycle."""
    for shape, (cycles, rates) in MULTICAST.items():
        label = f"{shape[0]}x{shape[1]} {'linked' if shape[2] else 'unlinked'}"
        for size, measured in zip(MULTICAST_BYTES, cycles, strict=True):
            predicted = multicast_cycles(*shape, 1, size)
            yield Cell("multicast", f"{label} {size} B", predicted, measured)
        for size, measured in zip((2048, 8192), rates, strict=True):
            first, last = (multicast_cycles(*shape, n, size) for n in (32, 96))
            rate = 64 * size / (last - first)
            yield Cell("multicast steady", f"{label} {size} B", rate, measured)


# Median that the issue about accuracy asks for, in percent.
TARGETS = {"unicast write": 1.5, "unicast read": 1.5, "multicast": 3.0}


def all_cells() -> list[Cell]:
    """Every cell of all tables."""
    return [*unicast_cells(), *dram_cells(), *multicast_cells()]


def error_rows() -> Iterator[Row]:
    """Median and 90th percentile of the absolute errors of each family."""
    cells = all_cells()
    for family in dict.fromkeys(cell.family for cell in cells):
        errors = np.abs([cell.error for cell in cells if cell.family == family])
        row: Row = {
            "what": f"{family}: median error",
            "value": round(float(np.median(errors)), 2),
            "unit": "%",
            "note": f"p90 {np.quantile(errors, 0.9):.1f}, worst {errors.max():.1f}",
        }
        if family in TARGETS:
            row["target"] = TARGETS[family]
        yield row


def speed_rows() -> Iterator[Row]:
    """64 cores that read interleaved pages, and the first run of a new machine."""
    cores = [Core(x, y) for y in range(8) for x in range(8)]
    workload = WorkloadBuilder(CHIP, COSTS, cores)
    issue = COSTS.paged_read_issue_cycles
    for number, core in enumerate(cores):
        thread = workload.thread(core)
        for block in range(16):
            places = workload.bank_place(0) + (np.arange(32) + number + block) % 12
            thread.transfer(t.READ, places, num_bytes=1088, noc=0, issue_cycles=issue)
            thread.add(t.READ_BARRIER)
    begin = time.perf_counter()
    cycles, state = run_workload(workload)
    seconds = time.perf_counter() - begin
    count = int(state.counters[t.TRANSFERS])
    yield {
        "what": "64 readers, interleaved pages",
        "value": round(count / seconds),
        "unit": "transfers/s",
        "target": 100_000,
        "more_is_better": True,
    }
    yield {
        "what": "64 readers, interleaved pages",
        "value": round(count * 1088 / cycles),
        "unit": "B/cycle",
        "baseline": 190,
        "note": "baseline: silicon, about",
    }
    with TemporaryDirectory() as folder:
        for what in ("first run, compiler included", "first run, compiled before"):
            yield {"what": what, "value": first_run_seconds(folder), "unit": "s"}


def first_run_seconds(cache: str) -> float:
    """Seconds of the first transfer in a new process, imports left out."""
    script = (
        "import time\n"
        "from benchmarks.bench_timing import SAME_AXIS, unicast_cycles\n"
        "begin = time.perf_counter()\n"
        "unicast_cycles(False, 1, SAME_AXIS, 64)\n"
        "print(time.perf_counter() - begin)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "NUMBA_CACHE_DIR": cache},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return round(float(result.stdout), 2)


def run() -> list[Row]:
    """Errors by family, then speed."""
    return [*error_rows(), *speed_rows()]


if __name__ == "__main__":
    for cell in all_cells():
        print(
            f"{cell.family:17} {cell.label:28} {cell.predicted:10.5g} "
            f"{cell.measured:10.5g} {cell.error:+6.1f} %"
        )
