"""Profiles: what bounds a launch, what tables add up to, the JSON and its schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from dialects.chip import Core, load_chip
from dialects.formats import DataFormat
from dialects.netlist_text import parse_netlist
from dialects.program import Tensor
from forge.console import show_table
from forge.profile import Bound, Profile, model, profile_machine, tables
from forge.profile.bounds import bound_of, limits_of
from forge.profile.document import profile_document
from forge.profile.layers import layers_of
from forge.reports import show_profile
from runtime.costs import load_costs
from runtime.machine import Machine
from runtime.timing import LaunchTiming, time_launch
from tests.runtime.netlists import NAMES, load
from tests.runtime.timing.programs import launch_of, matmul

SCHEMA = Path(__file__).parents[1] / "docs" / "profile.schema.json"
GAP_CYCLES = load_costs().op_to_op_gap_cycles

LAYERS = """
tensix.netlist @layers version 1 chip "n150" {
  buffer @x dram bf16 96x128 role input
  buffer @y dram bf16 96x128
  buffer @out dram bf16 96x128 role output
  buffer @table dram bf16 96x128 from "table"
  buffer @layers.$.w last 2 dram bf16 96x128 from "layers.$.w"
  buffer @final dram bf16 96x128 from "final"
  program @add(in %a, in %b, out %c) fidelity HiFi4 dst fp32 {
    axis m 3 over y 3
    axis n 4 over x 4
    cb %a [m, n] of %a[m, n]
    cb %b [m, n] of %b[m, n]
    cb %c [m, n] of %c[m, n]
    kernel reader on riscv1 noc 0 {
      cb_reserve_back %a
      cb_reserve_back %b
      noc_async_read %a
      noc_async_read %b
      noc_async_read_barrier
      cb_push_back %a
      cb_push_back %b
    }
    kernel compute on trisc {
      cb_wait_front %a
      cb_wait_front %b
      tile_regs_acquire
      add_tiles %a, %b [m, n] -> dst[0]
      tile_regs_commit
      tile_regs_wait
      cb_reserve_back %c
      pack_tiles dst[0] [m, n] -> %c
      cb_push_back %c
      tile_regs_release
      cb_pop_front %a
      cb_pop_front %b
    }
    kernel writer on riscv0 noc 1 {
      cb_wait_front %c
      noc_async_write %c
      noc_async_write_barrier
      cb_pop_front %c
    }
  }
  run @add(@x, @table, @y)
  run @add(@y, @layers.0.w, @y)
  run @add(@y, @table, @y)
  run @add(@y, @layers.1.w, @y)
  run @add(@y, @table, @y)
  run @add(@y, @layers.2.w, @y)
  run @add(@y, @final, @out)
}
"""


@pytest.fixture(scope="module")
def profile() -> Profile:
    """Row and column multicasts on nine cores."""
    return profile_machine(Machine(load("matmul_grid")))


@pytest.fixture(scope="module")
def layers() -> Machine:
    return Machine(parse_netlist(LAYERS))


# -- runs and layers -------------------------------------------------------------------


def test_equal_programs_are_timed_once(
    layers: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed = []

    def counted(*args: Any, **options: Any) -> LaunchTiming:
        timed.append(time_launch(*args, **options))
        return timed[-1]

    monkeypatch.setattr(model, "time_launch", counted)
    found = profile_machine(layers)
    assert len(timed) == 1
    assert [(p.name, p.runs) for p in found.programs] == [("add", 7)]
    assert found.order == (0,) * 7
    gaps = 6 * GAP_CYCLES
    assert found.total_cycles == pytest.approx(7 * timed[0].cycles + gaps)


def test_a_run_is_of_the_layer_of_its_weights(layers: Machine) -> None:
    assert layers_of(layers, layers.runs) == (None, 0, 0, 1, 1, 2, None)


# -- bounds ----------------------------------------------------------------------------


def bound(timing: LaunchTiming, gap_cycles: float = GAP_CYCLES) -> Bound:
    return bound_of(timing, gap_cycles).bound


READ_ONE_BANK = """
program @read (in %a) fidelity LoFi dst bf16 {
  axis m 512 over y 8 block 4
  cb %a [m] of %a [m * 12, 0] depth 2
  kernel reader on riscv1 noc 0 {
    for m {
      cb_reserve_back %a
      noc_async_read %a
      noc_async_read_barrier
      cb_push_back %a
    }
  }
  kernel compute on trisc {
    for m {
      cb_wait_front %a
      cb_pop_front %a
    }
  }
}
"""


def test_readers_of_one_bank_are_bound_by_dram() -> None:
    tensor = Tensor(DataFormat.BF16, (32 * 12 * 512, 32))
    limit = bound_of(time_launch(launch_of(READ_ONE_BANK, [tensor])), GAP_CYCLES)
    assert limit.bound is Bound.DRAM
    assert limit.what == "DRAM bank 0"
    assert limit.share > 0.9


def test_four_phases_on_one_core_are_bound_by_compute() -> None:
    launch = matmul(
        2, 64, 4, k_block=8, fidelity="HiFi4", data_format=DataFormat.BFP4_B
    )
    limit = bound_of(time_launch(launch), GAP_CYCLES)
    assert (limit.bound, limit.what) == (Bound.COMPUTE, "math (0,0)")


def test_rows_that_all_read_alone_are_bound_by_the_noc() -> None:
    launch = matmul(16, 16, 16, rows=8, columns=8, k_block=2)
    assert bound(time_launch(launch)) is Bound.NOC


def test_one_tile_is_bound_by_dispatch_and_without_a_gap_by_latency() -> None:
    timing = time_launch(matmul(1, 1, 1))
    assert bound(timing) is Bound.DISPATCH
    assert bound(timing, 0.0) is Bound.LATENCY


def test_no_limit_is_more_than_the_whole_time(profile: Profile) -> None:
    shares = [limit.share for limit in limits_of(profile.programs[0].timing)]
    assert shares == sorted(shares, reverse=True)
    assert 0 < shares[-1] <= shares[0] <= 1


def test_roofs_lie_below_the_time(profile: Profile) -> None:
    (program,) = profile.programs
    # 3x5 output tiles, 4 deep, HiFi4: 16 cycles a phase on the matrix unit
    assert program.fpu_roof_cycles == 3 * 5 * 4 * 4 * 16 / 64
    # A once for each of the two columns of a core
    moved = (2 * 3 * 4 + 4 * 5 + 3 * 5) * 2048
    assert program.timing.dram_bytes == moved
    rate = 12 * load_costs().dram_read_bytes_per_cycle
    assert program.dram_roof_cycles == pytest.approx(moved / rate)
    assert program.cycles > max(program.fpu_roof_cycles, program.dram_roof_cycles)


def test_shares_by_bound_cover_all_cycles(profile: Profile) -> None:
    assert sum(profile.share_by_bound().values()) == pytest.approx(1)


# -- JSON ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def document(profile: Profile) -> dict[str, Any]:
    return json.loads(json.dumps(profile_document(profile)))


@pytest.fixture(scope="module")
def validate() -> Callable[[object], None]:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema).validate


def test_the_schema_describes_the_document(
    document: dict[str, Any], validate: Callable[[object], None]
) -> None:
    validate(document)


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d["total"].pop("cycles"),
        lambda d: d["programs"][0].update(bound="luck"),
        lambda d: d["programs"][0]["kernels"][0].update(core=[1]),
        lambda d: d["programs"][0]["kernels"][0]["waiting_cycles"].update(coffee=1),
        lambda d: d["programs"][0]["links"][0].update(utilisation=1.5),
        lambda d: d.update(extra=1),
    ],
)
def test_the_schema_refuses_what_is_wrong(
    document: dict[str, Any],
    validate: Callable[[object], None],
    damage: Callable[[dict[str, Any]], object],
) -> None:
    wrong = json.loads(json.dumps(document))
    damage(wrong)
    with pytest.raises(jsonschema.ValidationError):
        validate(wrong)


def test_kernels_add_up_to_their_program(document: dict[str, Any]) -> None:
    (program,) = document["programs"]
    assert len(program["kernels"]) == 9 * 5
    for name in ("dram_read_bytes", "dram_written_bytes", "noc_bytes"):
        assert sum(kernel[name] for kernel in program["kernels"]) == program[name]
    for kernel in program["kernels"]:
        times = [kernel["busy_cycles"], *kernel["waiting_cycles"].values()]
        assert sum(times) == pytest.approx(
            kernel["end_cycles"] - kernel["begin_cycles"], abs=len(times)
        )
        assert kernel["end_cycles"] <= program["cycles"]


@pytest.mark.parametrize("name", NAMES)
def test_kernels_move_the_bytes_of_their_launch(name: str) -> None:
    for program in profile_machine(Machine(load(name))).programs:
        timing = program.timing
        for what in ("dram_read_bytes", "dram_written_bytes", "noc_bytes"):
            moved = sum(getattr(kernel, what) for kernel in timing.kernels)
            assert moved == getattr(timing, what)


def test_program_and_core_narrow_the_document(profile: Profile) -> None:
    narrow = profile_document(profile, core=Core(1, 2))
    kernels = narrow["programs"][0]["kernels"]
    assert {tuple(kernel["core"]) for kernel in kernels} == {(1, 2)}
    assert len(kernels) == 5
    assert profile_document(profile, program="other")["programs"] == []
    assert profile_document(profile, program="other")["total"]["launches"] == 1


# -- tables ----------------------------------------------------------------------------

Capture = pytest.CaptureFixture[str]


def test_the_overview_says_what_bounds_each_program(
    profile: Profile, capsys: Capture
) -> None:
    show_profile(profile, title="grid")
    shown = capsys.readouterr().out
    assert "bound by" in shown
    assert profile.programs[0].limit.what in shown
    assert "GHz: 1 launch\n" in shown


def test_the_kernel_table_shares_out_the_time(profile: Profile) -> None:
    (program,) = profile.programs
    table = tables.kernel_table(program)
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [row["kernel"] for row in rows] == ["reader", *["compute"] * 3, "writer"]
    for row in rows:
        assert row["cores"] == 9
        assert 0 < row["busy %"] + row["waiting %"] <= 100.1
    assert "%a" in str(rows[1]["for"])


def test_every_table_can_be_shown(profile: Profile, capsys: Capture) -> None:
    (program,) = profile.programs
    for table in (
        tables.kernel_table(program),
        tables.limit_table(program),
        tables.load_table(program),
        tables.core_table(profile, Core(0, 0), "matmul"),
    ):
        show_table(table.title, table.columns, table.rows)
    shown = capsys.readouterr().out
    assert f"DRAM bank {load_chip('n150').num_dram_banks - 1}" in shown
    assert "wait" in shown
    assert "read barrier" in shown
