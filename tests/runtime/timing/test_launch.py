"""Whole launches: hand-computed times, waits, hazards, and what an engineer tries."""

from dataclasses import replace
from pathlib import Path

import pytest

from dialects.chip import Core
from dialects.errors import HazardError
from dialects.formats import DataFormat
from dialects.program import Tensor
from runtime.costs import load_costs, without_effects
from runtime.timing import (
    KernelTiming,
    LaunchTiming,
    estimate_cycles,
    time_launch,
    time_sequence,
)
from tests.runtime.timing.programs import launch_of, matmul

COSTS = load_costs()
NETLISTS = Path(__file__).parents[2] / "netlists"
BF16 = DataFormat.BF16

READ_ONE = """
program @read (in %a) fidelity LoFi dst bf16 {
  axis m 1
  cb %a [m] of %a [m, 0]
  kernel reader on riscv1 noc 0 {
    cb_reserve_back %a
    noc_async_read %a
    noc_async_read_barrier
    cb_push_back %a
  }
}
"""


ORIGIN = Core(0, 0)


def kernel(timing: LaunchTiming, processor: str, core: Core = ORIGIN) -> KernelTiming:
    """The timing of one processor."""
    return next(
        k for k in timing.kernels if k.processor == processor and k.core == core
    )


def test_one_read_by_hand():
    """Bank 0 lies at (0, 11), core (0, 0) at (1, 1): there and back are 22 hops."""
    timing = time_launch(launch_of(READ_ONE, [Tensor(BF16, (32, 32))]))
    begin = COSTS.riscv1_start_cycles + COSTS.cb_operation_cycles
    network = 22 * COSTS.hop_cycles + 4 * COSTS.niu_cycles
    memory = COSTS.dram_read_cycles + 2080 / COSTS.dram_read_bytes_per_cycle
    end = begin + network + memory + COSTS.barrier_wake_cycles
    end += COSTS.cb_operation_cycles
    assert timing.cycles == pytest.approx(end)
    reader = kernel(timing, "riscv1")
    waited = end - begin - COSTS.paged_read_issue_cycles - COSTS.cb_operation_cycles
    assert reader.waiting == {"read barrier": pytest.approx(waited)}
    assert reader.busy_cycles == pytest.approx(
        reader.end - reader.begin - reader.waiting["read barrier"]
    )
    assert timing.dram_read_bytes == timing.noc_bytes == 2048
    assert timing.channel_bytes == (2080, *[0] * 11)
    assert sum(timing.link_bytes.values()) % 2080 == 0


def test_one_core_matmul_by_hand():
    """2 x 4 output tiles, 4 K blocks of 2: in0 stays in SrcB, in1 streams to SrcA."""
    timing = time_launch(matmul(2, 8, 4, k_block=2))
    step = 8 * 2 * COSTS.matmul_phase_cycles + 2 * COSTS.matmul_switch_cycles
    block = 2 * step + COSTS.matmul_block_cycles
    math = kernel(timing, "trisc.math")
    assert math.busy_cycles == pytest.approx(4 * block + 2 * COSTS.dst_handshake_cycles)
    assert math.fpu_cycles == timing.fpu_busy_cycles == 8 * 8 * 32
    pack = kernel(timing, "trisc.pack")
    handshakes = 2 * COSTS.cb_operation_cycles + 2 * COSTS.dst_handshake_cycles
    assert pack.busy_cycles == pytest.approx(8 * 32 + handshakes)
    unpack = kernel(timing, "trisc.unpack")
    step = 2 * 2048 / COSTS.unpack_bytes_per_cycle
    step += 8 * 2048 / COSTS.unpack_busy_srca_bytes_per_cycle
    block = 2 * step + COSTS.matmul_block_cycles
    handshakes = 4 * 4 * COSTS.cb_operation_cycles
    assert unpack.busy_cycles == pytest.approx(4 * block + handshakes)
    assert timing.num_transfers == 16 + 32 + 8
    assert timing.dram_read_bytes == 48 * 2048
    assert timing.dram_written_bytes == 8 * 2048


def test_times_of_a_thread_add_up():
    timing = time_launch(matmul(8, 8, 8, rows=4, columns=4, multicast=True))
    for each in timing.kernels:
        total = each.busy_cycles + sum(each.waiting.values())
        assert total == pytest.approx(each.end - each.begin)
        assert each.busy_cycles > 0
        assert each.end <= timing.cycles


def test_a_compute_bound_matmul_doubles_with_its_phases():
    fast = without_effects(COSTS, ["unpack"])
    shape = {"k_block": 8, "data_format": DataFormat.BFP4_B}
    times = [
        time_launch(matmul(2, 256, 4, fidelity=name, **shape), fast).cycles
        for name in ("HiFi2", "HiFi4")
    ]
    assert times[1] / times[0] == pytest.approx(2, rel=0.1)


def test_fewer_bits_move_and_unpack_faster():
    times = [
        time_launch(matmul(2, 64, 4, k_block=4, data_format=f)).cycles
        for f in (DataFormat.BFP4_B, DataFormat.BFP8_B, BF16, DataFormat.FP32)
    ]
    assert times == sorted(times)
    assert times[0] < 0.6 * times[-1]


def test_twice_the_dram_bandwidth_halves_one_core_on_one_bank():
    text = READ_ONE.replace("axis m 1", "axis m 512").replace("[m, 0]", "[m * 12, 0]")
    launch = launch_of(text, [Tensor(BF16, (32 * 12 * 512, 32))])
    costs = replace(COSTS, block_row_issue_cycles=0)
    double = replace(costs, dram_read_bytes_per_cycle=44.7, sink_bytes_per_cycle=63)
    double = replace(double, responder_bytes_per_cycle=60, link_bytes_per_cycle=63)
    ratio = time_launch(launch, costs).cycles / time_launch(launch, double).cycles
    assert ratio == pytest.approx(2, rel=0.05)


def test_multicast_beats_reading_the_same_tiles_by_all():
    shape = {"rows": 8, "columns": 8, "k_block": 2}
    alone = time_launch(matmul(16, 16, 16, **shape))
    shared = time_launch(matmul(16, 16, 16, multicast=True, **shape))
    assert shared.dram_read_bytes == alone.dram_read_bytes / 8
    assert shared.cycles < 0.6 * alone.cycles


def test_a_master_that_reads_ahead_hides_its_reads():
    text = (NETLISTS / "read_ahead.mlir").read_text()
    text = text[text.index("program @") : text.index("  run @")]
    text = text.replace("axis k 7", "axis k 96")
    plain = text.replace("%a ahead k", "%a").replace("_barrier of %a", "_barrier")
    shapes = [(96, 3072), (3072, 160), (96, 160)]
    tensors = [Tensor(BF16, shape) for shape in shapes]
    in_turn, ahead = (
        kernel(time_launch(launch_of(each, tensors)), "riscv1", Core(0, 1))
        for each in (plain, text)
    )
    assert ahead.waiting["read barrier"] < 0.5 * in_turn.waiting["read barrier"]


def test_receivers_wait_for_their_master():
    timing = time_launch(matmul(4, 16, 4, rows=4, columns=4, multicast=True))
    waiting = kernel(timing, "riscv1", Core(3, 3)).waiting
    assert waiting["semaphore row.valid"] > 1000
    master = kernel(timing, "riscv1", Core(0, 3))
    assert master.waiting.keys() <= {"cb a", "read barrier", "semaphore row.ready"}
    assert master.waiting["read barrier"] > 1000


def test_a_full_dst_does_not_overlap_math_and_pack():
    text = """
program @copy (in %a, out %c) fidelity LoFi dst bf16 FULL {
  axis m 64 block 4
  cb %a [m.part] of %a [m, 0]
  cb %c [m.part] of %c [m, 0]
  kernel reader on riscv1 noc 0 {
    cb_reserve_back %a
    noc_async_read %a
    noc_async_read_barrier
    cb_push_back %a
  }
  kernel compute on trisc {
    cb_wait_front %a
    cb_reserve_back %c
    for m {
      tile_regs_acquire
      copy_tiles %a [m] -> dst[0]
      exp_tile dst[0] [m]
      tile_regs_commit
      tile_regs_wait
      pack_tiles dst[0] [m] -> %c
      tile_regs_release
    }
    cb_push_back %c
  }
}
"""
    tensors = [Tensor(BF16, (2048, 32)), Tensor(DataFormat.FP32, (2048, 32))]
    half = time_launch(launch_of(text.replace("FULL", ""), tensors))
    full = time_launch(launch_of(text.replace("FULL", "full_sync"), tensors))
    assert full.cycles - half.cycles > 14 * 4 * 64
    assert "dst" in kernel(full, "trisc.math").waiting


def test_a_missing_push_names_who_waits_for_what():
    text = READ_ONE.replace(
        "cb_push_back %a\n  }", "}\n  kernel compute on trisc { cb_wait_front %a }"
    )
    with pytest.raises(HazardError) as error:
        time_launch(launch_of(text, [Tensor(BF16, (32, 32))]))
    assert (
        "compute (trisc.unpack) on (0,0) waits for 1 pages of cb a, 0 are there"
        in str(error.value)
    )


def test_a_missing_signal_names_the_semaphore():
    text = """
program @wait (in %a) fidelity LoFi dst bf16 {
  axis m 2 over x 2
  semaphore %go initial 0
  kernel reader on riscv1 noc 0 {
    if x > 0 { noc_semaphore_inc %go at (0, 0), 1 }
    if x == 0 { noc_semaphore_wait %go, 2 }
  }
}
"""
    with pytest.raises(HazardError) as error:
        time_launch(launch_of(text, [Tensor(BF16, (64, 32))]))
    assert "waits for semaphore go to be 2, it is 1" in str(error.value)


def test_equal_launches_take_equal_time():
    launch = matmul(8, 8, 8, rows=4, columns=4, multicast=True)
    assert time_launch(launch) == time_launch(launch)


def test_a_sequence_adds_the_gaps_between():
    timing = time_launch(matmul(1, 1, 1))
    gap = COSTS.op_to_op_gap_cycles
    assert time_sequence([timing] * 3) == pytest.approx(3 * timing.cycles + 2 * gap)
    assert time_sequence([]) == 0


@pytest.mark.parametrize(
    ("fill", "words"),
    [("value 1", 128), ("causal -1", 128 + 2 * 248), ("row_scaler 1", 6 * 32)],
)
def test_a_fill_stores_what_cannot_be_copied(fill, words):
    """Of tiles of one number, a piece; the rest is copied as zeros are."""
    text = """
program @fill (in %a) fidelity LoFi dst bf16 {
  axis m 2
  axis n 3
  cb %a [m, n] format bf16
  kernel reader on riscv1 noc 0 {
    cb_reserve_back %a
    fill %a FILL
    cb_push_back %a
  }
}
"""
    tensors = [Tensor(BF16, (32, 32))]
    one = launch_of(text.replace("FILL", fill), tensors)
    zero = launch_of(text.replace("FILL", "value 0"), tensors)
    stored = time_launch(one).cycles - time_launch(zero).cycles
    assert stored == pytest.approx(words * COSTS.store_word_cycles)


def test_a_short_launch_is_estimated_as_it_is_timed():
    launch = matmul(4, 16, 4, rows=4, columns=4)
    assert estimate_cycles(launch, transfers=100_000) == time_launch(launch).cycles


def test_a_long_launch_goes_on_at_the_pace_of_what_is_slower():
    """All tiles may be read long before the first hundred are computed with."""
    text = """
program @exp (in %a) fidelity LoFi dst bf16 {
  axis m 300 block 1
  cb %a [m] of %a [m, 0] depth 300
  cb %c [m] format bf16
  kernel reader on riscv1 noc 0 {
    for m { push %a read }
  }
  kernel compute on trisc {
    for m {
      cb_wait_front %a
      push %c [m] = %a | exp_tile
      cb_wait_front %c
      cb_pop_front %c
      cb_pop_front %a
    }
  }
}
"""
    launch = launch_of(text, [Tensor(BF16, (300 * 32, 32))])
    timing = time_launch(launch)
    assert estimate_cycles(launch, transfers=100) == pytest.approx(
        timing.cycles, rel=0.1
    )


def test_a_long_launch_goes_on_at_its_pace():
    launch = matmul(8, 256, 8, rows=4, columns=4, k_block=2)
    timing = time_launch(launch)
    transfers = timing.num_transfers // 3
    estimate = estimate_cycles(launch, transfers=transfers)
    assert type(estimate) is float
    assert estimate == pytest.approx(timing.cycles, rel=0.1)
    assert estimate != timing.cycles
    whole = timing.num_transfers
    assert estimate_cycles(launch, transfers=10, whole=whole) == timing.cycles
