"""Rows that nothing real depends on are not computed, and nobody can tell."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialects.netlist_text import parse_netlist
from runtime.emulator import Emulator
from runtime.liveness import live_rows
from runtime.replay import prepare
from runtime.steps import Product, rows_of, slices_of
from runtime.trace import trace_launch
from tests.runtime.hostile import step_in_hostile_memory
from tests.runtime.netlists import FOLDER, NAMES, load, run_both
from tests.runtime.test_replay import BF16_STEP, inputs_of

ROWS_OF_NORM = (FOLDER / "norm_matmul.mlir").read_text()


def emulators(name: str, numerics: str) -> tuple[Emulator, Emulator]:
    """Two emulators of a netlist that hold the same random numbers."""
    netlist = load(name)
    values = inputs_of(netlist)
    pair = [Emulator(netlist, values, numerics=numerics) for _ in range(2)]
    for emulator in pair:
        emulator.upload(values)
    return pair[0], pair[1]


@pytest.mark.parametrize("numerics", ["fast", "exact", "reference"])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_reads_what_is_not_needed(name: str, numerics: str) -> None:
    plain, hostile = emulators(name, numerics)
    for run in plain.machine.runs:
        plain.step(run)
        step_in_hostile_memory(hostile, run)
        for buffer in run.buffers:
            np.testing.assert_array_equal(hostile.read(buffer), plain.read(buffer))


def with_rows(rows: int) -> str:
    """The norm and matmul on fewer rows; the last of them end inside a tile."""
    text = re.sub(r"64x576 role input", f"{rows}x576 role input", ROWS_OF_NORM)
    text = text.replace("64x960 role output", f"{rows}x960 role output")
    return text if rows > 32 else re.sub(r"axis m 2\b", "axis m 1", text)


@settings(max_examples=8, deadline=None)
@given(rows=st.integers(1, 64))
def test_any_number_of_rows_agrees_with_the_executor(rows: int) -> None:
    netlist = parse_netlist(with_rows(rows))
    executed, replayed = run_both(netlist, inputs_of(netlist))
    scale = np.abs(executed["y"]).max()
    np.testing.assert_allclose(
        replayed["y"], executed["y"], rtol=BF16_STEP, atol=1e-5 * scale
    )


@pytest.mark.parametrize("rows", [1, 33, 64])
def test_only_real_rows_are_multiplied(rows: int) -> None:
    netlist = parse_netlist(with_rows(rows))
    emulator = Emulator(netlist, inputs_of(netlist))
    (run,) = emulator.machine.runs
    steps = prepare(emulator.machine.launch(run)).merged.steps
    products = [step for step in steps if isinstance(step, Product)]
    assert products
    assert all(rows_of(step.segments) == rows for step in products)


@given(st.sets(st.integers(0, 40)))
def test_slices_are_the_rows_of_segments(rows: set[int]) -> None:
    segments = tuple(
        (start, start + length)
        for start in sorted(rows)
        if start - 1 not in rows
        for length in [next(n for n in range(1, 43) if start + n not in rows)]
    )
    numbers = np.arange(41)
    found = [row for part in slices_of(segments) for row in numbers[part]]
    assert found == sorted(rows)


def test_single_rows_at_equal_distances_are_one_slice() -> None:
    assert slices_of(((0, 1), (32, 33), (64, 65))) == [slice(0, 65, 32)]
    assert len(slices_of(((0, 1), (32, 34)))) == 2


def test_a_right_side_is_needed_whole() -> None:
    emulator, _ = emulators("attention", "fast")
    (run,) = emulator.machine.runs
    trace = trace_launch(emulator.machine.launch(run))
    live = live_rows(trace)
    keys = slice(trace.leaf_base[1], trace.leaf_base[2])
    assert (live.low[keys] == 0).all()
    assert (live.high[keys] == 32).all()
