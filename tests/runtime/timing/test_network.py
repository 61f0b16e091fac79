"""Transfers against the measured tables of wormhole.md, and contention."""

import numpy as np
import pytest

from benchmarks.bench_timing import (
    BOTH_DIFFER,
    HERE,
    SAME_AXIS,
    dram_cycles,
    multicast_cycles,
    unicast_cycles,
)
from dialects.chip import Core, load_chip
from runtime.costs import load_costs
from runtime.timing import tables as t
from runtime.timing.workload import WorkloadBuilder, run_workload

CHIP = load_chip("n150")
COSTS = load_costs()


@pytest.mark.parametrize(
    ("write", "count", "other", "num_bytes", "measured", "slack"),
    [
        (False, 1, BOTH_DIFFER, 2048, 366, 0.02),
        (False, 1, SAME_AXIS, 2048, 286, 0.06),
        (False, 16, BOTH_DIFFER, 2048, 1468, 0.03),
        (False, 256, BOTH_DIFFER, 2048, 18811, 0.01),
        (False, 256, BOTH_DIFFER, 64, 6674, 0.04),
        (True, 1, BOTH_DIFFER, 2048, 369, 0.03),
        (True, 16, BOTH_DIFFER, 2048, 1459, 0.07),
        (True, 256, BOTH_DIFFER, 2048, 17353, 0.02),
        (True, 256, BOTH_DIFFER, 65536, 538626, 0.02),
    ],
)
def test_unicast(write, count, other, num_bytes, measured, slack):
    cycles = unicast_cycles(write, count, other, num_bytes)
    assert cycles == pytest.approx(measured, rel=slack)


@pytest.mark.parametrize(
    ("write", "all_banks", "count", "num_bytes", "measured"),
    [
        (False, False, 1, 2048, 470),
        (False, False, 16, 2048, 1901),
        (False, False, 256, 2048, 23818),
        (True, False, 256, 2048, 24111),
        (False, True, 256, 64, 9524),
        (False, True, 256, 2048, 17269),
        (True, True, 256, 2048, 17672),
    ],
)
def test_dram(write, all_banks, count, num_bytes, measured):
    cycles = dram_cycles(write, all_banks, count, num_bytes)
    assert cycles == pytest.approx(measured, rel=0.05)


@pytest.mark.parametrize(
    ("columns", "rows", "linked", "num_bytes", "measured"),
    [
        (2, 2, False, 2048, 539),
        (5, 5, False, 8192, 858),
        (3, 3, False, 65536, 3949),
        (3, 3, True, 65536, 3949),
    ],
)
def test_one_multicast(columns, rows, linked, num_bytes, measured):
    cycles = multicast_cycles(columns, rows, linked, 1, num_bytes)
    assert cycles == pytest.approx(measured, rel=0.05)


def test_linked_multicasts_reserve_their_path_once():
    linked = multicast_cycles(3, 3, True, 32, 2048)
    unlinked = multicast_cycles(3, 3, False, 32, 2048)
    span = 4
    reserve = COSTS.multicast_reserve_cycles
    reserve += COSTS.multicast_reserve_cycles_per_hop * span
    saved = 31 * (reserve - COSTS.multicast_linked_cycles)
    assert unlinked - linked == pytest.approx(saved)


@pytest.mark.parametrize("write", [True, False])
def test_more_bytes_are_not_faster(write):
    sizes = [32, 576, 1088, 2048, 4096, 8192, 9000, 16384]
    cycles = [unicast_cycles(write, 8, BOTH_DIFFER, size) for size in sizes]
    assert cycles == sorted(cycles)


def readers(cores: list[Core], noc: int, count: int = 64) -> float:
    """Bytes a cycle of cores that read interleaved pages of 2 KiB."""
    workload = WorkloadBuilder(CHIP, COSTS, cores)
    for number, core in enumerate(cores):
        places = workload.bank_place(0) + (np.arange(count) + number) % 12
        thread = workload.thread(core)
        issue = COSTS.paged_read_issue_cycles
        thread.transfer(t.READ, places, num_bytes=2048, noc=noc, issue_cycles=issue)
        thread.add(t.READ_BARRIER)
    return len(cores) * count * 2048 / run_workload(workload)[0]


def test_one_channel_is_shared():
    alone = dram_cycles(False, False, 64, 2048)
    cores = [Core(x, 0) for x in range(8)]
    workload = WorkloadBuilder(CHIP, COSTS, cores)
    for core in cores:
        places = np.full(64, workload.bank_place(0), np.int64)
        thread = workload.thread(core)
        thread.transfer(t.READ, places, num_bytes=2048, noc=0, issue_cycles=27)
        thread.add(t.READ_BARRIER)
    assert run_workload(workload)[0] == pytest.approx(8 * alone, rel=0.1)


def test_reading_by_all_cores_prefers_noc0():
    """Links on the way bound it: 248 and 93 B/cycle (timing.md section 2)."""
    cores = [Core(x, y) for y in range(8) for x in range(8)]
    assert 180 < readers(cores, 0) < 248
    assert 60 < readers(cores, 1) < 93


def test_all_to_all_writes_of_the_whole_grid():
    """3.3 B/cycle a core (wormhole.md section 4.3)."""
    cores = [Core(x, y) for y in range(8) for x in range(8)]
    workload = WorkloadBuilder(CHIP, COSTS, cores)
    places = np.array([workload.core_place(core) for core in cores])
    issue = COSTS.write_issue_cycles
    for core in cores:
        thread = workload.thread(core)
        thread.transfer(t.WRITE, places, num_bytes=8192, noc=0, issue_cycles=issue)
    rate = 64 * 8192 / run_workload(workload)[0]
    assert rate == pytest.approx(3.3, rel=0.15)


def test_channel_and_link_loads_are_booked():
    workload = WorkloadBuilder(CHIP, COSTS, [HERE])
    thread = workload.thread(HERE)
    places = np.array([workload.bank_place(3)] * 5)
    thread.transfer(t.READ, places, num_bytes=1000, noc=0, issue_cycles=30)
    thread.add(t.READ_BARRIER)
    _, state = run_workload(workload)
    loads = state.resources[:, t.R_LOAD]
    nodes = workload.geometry.num_nodes
    assert loads[t.CHANNELS * nodes + 3] == 5 * 1032
    bank = workload.geometry.dram_nodes[3]
    hops = workload.geometry.hops(0, bank, workload.geometry.worker_node(HERE))
    assert loads[: t.NIUS * nodes].sum() == hops * 5 * 1032
