"""The time engine against measured tables, and its speed.

`forge bench silicon` prints the errors of every family and their worst rows.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks import Row
from dialects.chip import Core, load_chip
from forge.silicon.families import FAMILIES
from forge.silicon.outcome import Bench
from forge.silicon.report import choose_families, run_families
from runtime.costs import load_costs
from runtime.timing import tables as t
from runtime.timing.thread_builder import ThreadBuilder
from runtime.timing.workload import WorkloadBuilder, run_workload

CHIP = load_chip("n150")
COSTS = load_costs()
TABLES = ("unicast", "one_core_dram", "multicast", "dram_bandwidth")
TARGETS = {"unicast": 1.5, "multicast": 3.0}
"""Median that is asked for, in percent."""

HERE, SAME_AXIS, BOTH_DIFFER = Core(0, 0), Core(0, 3), Core(2, 3)


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


def error_rows() -> Iterator[Row]:
    """Median and 90th percentile of the absolute errors of each family of tables."""
    for report in run_families(choose_families(FAMILIES, TABLES), Bench(None, COSTS)):
        errors = report.statistics()
        row: Row = {
            "what": f"{report.family.name}: median error",
            "value": errors["median"] or 0.0,
            "unit": "%",
            "note": f"p90 {errors['p90']:.1f}, worst {errors['max']:.1f}",
        }
        if report.family.name in TARGETS:
            row["target"] = TARGETS[report.family.name]
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
