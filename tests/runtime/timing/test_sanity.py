"""What an engineer who knows the chip would try first."""

from dataclasses import replace

import numpy as np
import pytest

from dialects.chip import Core, load_chip
from dialects.formats import DataFormat
from runtime.costs import load_costs
from runtime.launch import Launch
from runtime.timing import tables as t
from runtime.timing import time_launch
from runtime.timing.workload import WorkloadBuilder, run_workload
from tests.runtime.timing.programs import matmul

CHIP = load_chip("n150")
COSTS = load_costs()
HALF_DRAM = replace(
    COSTS,
    dram_read_bytes_per_cycle=COSTS.dram_read_bytes_per_cycle / 2,
    dram_write_bytes_per_cycle=COSTS.dram_write_bytes_per_cycle / 2,
)
"""Twice the chip's own bandwidth would be more than the NIU of a channel passes on."""

TWO_BANKS = "[k, n mod 2 * 6]"
"""Columns of twelve tiles, of which only those of banks 0 and 6 are read."""


def weights_of_two_banks(fidelity: str) -> Launch:
    """Four cores, each with a row of activations and four columns of weights."""
    shape = {"columns": 4, "k_block": 8, "weights": TWO_BANKS, "weight_columns": 12}
    return matmul(1, 256, 16, fidelity=fidelity, **shape)


def speed_up(launch: Launch) -> float:
    """How much faster it is with the bandwidth of DRAM than with half of it."""
    return time_launch(launch, HALF_DRAM).cycles / time_launch(launch, COSTS).cycles


def test_twice_the_dram_bandwidth_halves_what_dram_bounds():
    assert speed_up(weights_of_two_banks("LoFi")) == pytest.approx(2, rel=0.15)


def test_twice_the_dram_bandwidth_leaves_what_compute_bounds():
    shape = {"rows": 2, "columns": 2, "k_block": 8, "data_format": DataFormat.BFP8_B}
    launch = matmul(8, 128, 4, fidelity="HiFi4", multicast=True, **shape)
    assert speed_up(launch) == pytest.approx(1, rel=0.03)


def test_half_the_phases_halve_what_compute_bounds():
    shape = {"k_block": 8, "data_format": DataFormat.BFP8_B}
    four, two = (
        time_launch(matmul(4, 256, 2, fidelity=name, **shape)).cycles
        for name in ("HiFi4", "HiFi2")
    )
    assert four / two == pytest.approx(2, rel=0.1)


def test_a_multicast_to_eight_beats_eight_reads_of_the_same_tile():
    cores = [Core(x, 0) for x in range(8)]
    reads = WorkloadBuilder(CHIP, COSTS, cores)
    for core in cores:
        place = np.full(16, reads.bank_place(0), np.int64)
        thread = reads.thread(core)
        issue = COSTS.paged_read_issue_cycles
        thread.transfer(t.READ, place, num_bytes=2048, noc=0, issue_cycles=issue)
        thread.add(t.READ_BARRIER)
    shared = WorkloadBuilder(CHIP, COSTS, cores)
    thread = shared.thread(cores[0])
    place = np.full(16, shared.bank_place(0), np.int64)
    thread.transfer(t.READ, place, num_bytes=2048, noc=0, issue_cycles=37)
    thread.add(t.READ_BARRIER)
    thread.multicast(cores[1:], num_bytes=16 * 2048, noc=0, linked=True, counted=True)
    thread.add(t.WRITE_BARRIER)
    assert run_workload(shared)[0] < 0.35 * run_workload(reads)[0]


def signal_cycles(target: Core) -> float:
    """Until a signal of core (0, 0) by NoC 0 is seen."""
    workload = WorkloadBuilder(CHIP, COSTS, [Core(0, 0), target], semaphores=[0])
    sender = workload.thread(Core(0, 0))
    sender.add(t.SEM_INC, 0, 1, 1, 0, cycles=COSTS.atomic_issue_cycles)
    workload.thread(target).add(t.SEM_WAIT, 0, 1)
    return run_workload(workload)[0]


def test_a_longer_path_costs_its_hops():
    """Workers stand in NoC columns 1-4 and 6-9, and in rows 1-5 and 7-9."""
    beside = signal_cycles(Core(1, 0))
    for target, hops in ((Core(3, 0), 3), (Core(7, 0), 8), (Core(7, 7), 16)):
        later = signal_cycles(target) - beside
        assert later == pytest.approx((hops - 1) * COSTS.hop_cycles)
