"""When a loop over blocks of k is one product, and what it may be multiplied with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from dialects.formats import DataFormat
from dialects.netlist_text import parse_netlist
from runtime.arithmetic import fast_matmul
from runtime.arithmetic.formats import quantize_host
from runtime.emulator import Emulator
from runtime.replay import prepare
from runtime.steps import PackAdd, Product, Step
from tests.runtime.netlists import FOLDER, load, run_both
from tests.runtime.test_replay import BF16_STEP, W, X, cut, inputs_of, one_tile

BANKS = (FOLDER / "banks.mlir").read_text()
"""A loop over three blocks of five tiles of k; the packer adds in fp32 in L1."""


def steps_of(text: str, numerics: str = "fast", program: int = 0) -> Sequence[Step]:
    machine = Emulator(parse_netlist(text), {}).machine
    return prepare(machine.launch(machine.runs[program]), numerics).merged.steps


def depths(steps: Sequence[Step]) -> set[int]:
    return {step.depth for step in steps if isinstance(step, Product)}


def additions(steps: Sequence[Step]) -> int:
    return sum(isinstance(step, PackAdd) for step in steps)


def test_sums_in_l1_in_fp32_are_one_contraction() -> None:
    steps = steps_of(BANKS)
    assert depths(steps) == {160}
    assert additions(steps) == 0


@pytest.mark.parametrize(
    ("change", "numerics"),
    [
        (
            ("%sum [m.part, n.part] format fp32", "%sum [m.part, n.part] format bf16"),
            "",
        ),
        (("dst fp32", "dst bf16"), ""),
        (("l1_accumulate", "relu l1_accumulate"), ""),
        (("", ""), "exact"),
    ],
)
def test_what_rounds_or_cuts_between_blocks_keeps_them_apart(
    change: tuple[str, str], numerics: str
) -> None:
    steps = steps_of(BANKS.replace(*change), numerics or "fast")
    assert depths(steps) == {64, 32}
    assert additions(steps) == 2


def test_a_sum_that_starts_from_zeros_in_l1_is_one_too() -> None:
    zeros = """cb_reserve_back %sum
      for m {
        for n {
          tile_regs_acquire
          fill_tile dst[0] [m, n], 0.0
          tile_regs_commit
          tile_regs_wait
          pack_tiles dst[0] [m, n] -> %sum
          tile_regs_release
        }
      }"""
    text = BANKS.replace("cb_reserve_back %sum", zeros).replace(
        "-> %sum\n            }", "-> %sum l1_accumulate\n            }"
    )
    assert depths(steps_of(text)) == {160}
    assert depths(steps_of(text.replace("0.0", "1.0"))) == {64, 32}


def test_a_sum_that_is_kept_is_computed_as_well() -> None:
    assert depths(steps_of((FOLDER / "kept_sum.mlir").read_text())) == {32, 64}


def test_maxima_in_l1_are_added() -> None:
    maximum = "reduce_tiles max row %x, %one [m] over [] -> dst[0]"
    again = f"""{maximum}
      tile_regs_commit
      tile_regs_wait
      cb_reserve_back %y
      pack_tiles dst[0] [m, n] -> %y
      tile_regs_release
      tile_regs_acquire
      {maximum}"""
    found = one_tile(again, X, W, flags="l1_accumulate")
    np.testing.assert_array_equal(found[:, 0], 2 * cut(X, 10).max(1))


@pytest.mark.parametrize("feature", ["avx512bf16", "avx512f", None])
@pytest.mark.parametrize("name", ["banks", "norm_matmul", "matmul_fp32", "attention"])
def test_every_way_to_multiply_agrees(
    name: str, feature: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CPUs that have less fall back on another kernel, or on numpy."""
    if feature is not None and not fast_matmul.cpu_has(feature):
        pytest.skip(f"this CPU has no {feature}")
    monkeypatch.setattr(fast_matmul, "cpu_has", lambda asked: asked == feature)
    netlist = load(name)
    executed, replayed = run_both(netlist, inputs_of(netlist))
    for buffer, expected in executed.items():
        scale = np.abs(expected).max()
        np.testing.assert_allclose(
            replayed[buffer], expected, rtol=BF16_STEP, atol=1e-5 * scale
        )


def test_an_fp32_left_side_meets_bf16_weights_in_panels() -> None:
    """The matrix unit cuts it to tf32, which is more than bf16 holds."""
    text = BANKS.replace("@a dram bf16", "@a dram fp32")
    netlist = parse_netlist(text)
    values = inputs_of(netlist)
    values["w"] = quantize_host(values["w"], DataFormat.BF16)
    executed, replayed = run_both(netlist, values)
    scale = np.abs(executed["c"]).max()
    np.testing.assert_allclose(
        replayed["c"], executed["c"], rtol=BF16_STEP, atol=1e-5 * scale
    )
