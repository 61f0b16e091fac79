"""Matmul rows against vendor-like netlists, and what the model's parts are worth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from statistics import mean

import pytest

from dialects.chip import Core
from dialects.formats import DataFormat, Fidelity
from forge.cli import main
from forge.silicon import own_matmul
from forge.silicon.gemm import COLUMNS, run_traced, run_tuned, timed_matmul
from forge.silicon.outcome import Bench, LeftOut, Measured
from forge.silicon.vendor_matmul import Blocking, Matmul
from runtime.costs import load_costs, without_effects

Capture = pytest.CaptureFixture[str]
COSTS = load_costs()
HEADER = ",".join((*COLUMNS, "use_trace", "host_time_avg_ns"))
ONE_CORE = "num_blocks=8;packer_l1_acc=1;fp32_dest_acc=0;matmul_block=1"

# Published rows: 64 cores, in0 and output in L1; the last two columns traced or not.
ROWS = """\
g0,manually_tuned,512,512,512,BFLOAT16,HiFi2,8,8,L1,L1,9927.3,unknown,,True,14123.92
g1,manually_tuned,1024,1024,1024,BFLOAT16,HiFi2,8,8,L1,L1,33546.3,unknown,,True,38208.96
g2,manually_tuned,1024,1024,2048,BFLOAT16,HiFi2,8,8,L1,L1,60146.8,unknown,,True,67245.96
g3,out_of_box,512,512,512,BFLOAT16,HiFi2,8,8,DRAM,DRAM,11596.8,unknown,,True,20344.26
"""


def folder(tmp_path: Path, rows: str = ROWS) -> Path:
    (tmp_path / "gemm.csv").write_text(f"{HEADER}\n{rows}")
    return tmp_path


def errors(tmp_path: Path, family, *without: str) -> list[float]:
    bench = Bench(folder(tmp_path), without_effects(COSTS, without))
    found = list(family(bench))
    assert all(isinstance(each, Measured) for each in found)
    return [abs(each.error) for each in found if isinstance(each, Measured)]


def test_rows_are_predicted(tmp_path: Path, capsys: Capture) -> None:
    line = ["bench", "silicon", "--json", "--family", "gemm_tuned"]
    assert main([*line, "--csv", str(folder(tmp_path))]) == 0
    report = json.loads(capsys.readouterr().out)["families"]["gemm_tuned"]
    assert [row["row"][:2] for row in report["rows"]] == ["g0", "g1", "g2"]
    assert report["error_percent"]["max"] < 15


def test_unpacking_is_worth_something(tmp_path: Path) -> None:
    assert mean(errors(tmp_path, run_tuned, "unpack")) > 0.05 + mean(
        errors(tmp_path, run_tuned)
    )


def test_the_gap_between_launches_is_worth_something(tmp_path: Path) -> None:
    """On a short launch; a long one hides it."""
    with_gap, without = (
        errors(tmp_path, run_traced),
        errors(tmp_path, run_traced, "dispatch"),
    )
    assert without[0] > 0.1 + with_gap[0]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a,manually_tuned,512,512,512,FLOAT8,LoFi,8,8,L1,L1,9,unknown,", "format"),
        ("a,manually_tuned,500,512,512,BFLOAT16,LoFi,8,8,L1,L1,9,unknown,", "whole"),
        ("a,manually_tuned,288,512,512,BFLOAT16,LoFi,8,8,L1,L1,9,unknown,", "equal"),
        ("a,manually_tuned,512,512,512,BFLOAT16,LoFi,9,8,L1,L1,9,unknown,", "grid"),
        (
            "a,manually_tuned,512,512,512,BFLOAT16,LoFi,8,8,L1,L1,unknown,unknown,",
            "only the host's time",
        ),
    ],
)
def test_rows_that_cannot_be_expressed(row: str, reason: str, tmp_path: Path) -> None:
    bench = Bench(folder(tmp_path, f"{row},True,5\n"), COSTS)
    (found,) = run_tuned(bench)
    assert isinstance(found, LeftOut)
    assert reason in found.reason


def test_own_matmul_is_set_beside(tmp_path: Path) -> None:
    rows = ROWS.splitlines()[-1] + "\n"
    (found,) = own_matmul.run(Bench(folder(tmp_path, rows), COSTS))
    assert isinstance(found, Measured)
    assert found.predicted > 4096


@pytest.mark.parametrize("wrong", ["HiFi9", "-4"])
def test_wrong_values_name_their_row(
    wrong: str, tmp_path: Path, capsys: Capture
) -> None:
    fidelity, m = ("HiFi9", "512") if wrong == "HiFi9" else ("LoFi", wrong)
    row = f"a,manually_tuned,{m},512,512,BFLOAT16,{fidelity},8,8,L1,L1,9,unknown,,,5\n"
    where = str(folder(tmp_path, row))
    assert main(["bench", "silicon", "--family", "gemm_tuned", "--csv", where]) == 1
    assert "gemm.csv:2" in capsys.readouterr().err


def alone(fidelity: Fidelity) -> Matmul:
    """Sixteen by sixteen tiles on one core, compute-bound."""
    cut = Blocking("single_core", Core(1, 1), (16, 16), (16, 16), (4, 2), 16)
    return Matmul(512, 512, 512, DataFormat.BFP8_B, fidelity, cut, k_repeats=4)


def test_half_the_phases_halve_a_compute_bound_matmul() -> None:
    four, two = (
        timed_matmul(alone(fidelity), COSTS).launch_cycles
        for fidelity in (Fidelity.HIFI4, Fidelity.HIFI2)
    )
    assert four / two == pytest.approx(2, rel=0.07)


def test_dram_bandwidth_matters_where_dram_is_the_bound() -> None:
    slow = replace(COSTS, dram_read_bytes_per_cycle=2.0)
    fast = replace(COSTS, dram_read_bytes_per_cycle=4.0)
    cut = Blocking("1d", Core(8, 8), (1, 2), (1, 2), (1, 2), 4)
    thin = Matmul(32, 1024, 4096, DataFormat.BFP8_B, Fidelity.LOFI, cut)
    before, after = (timed_matmul(thin, costs).math_cycles for costs in (slow, fast))
    assert before / after == pytest.approx(2, rel=0.1)
    compute = alone(Fidelity.HIFI4)
    before, after = (timed_matmul(compute, costs).math_cycles for costs in (slow, fast))
    assert before == pytest.approx(after, rel=1e-6)
