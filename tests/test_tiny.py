"""The one-minute tour: one small network through every level, one test for each.

Read it from top to bottom: PyTorch -> ttir (what) -> grid (where) -> tensix (how)
-> the slow executor, the replay that it judges, and the time.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pytest
import torch
from xdsl.dialects.builtin import ModuleOp

from backend.assemble import assemble_netlist
from dialects.checks import require_sound
from dialects.chip import load_chip
from dialects.grid import ProgramOp
from dialects.netlist_text import parse_netlist, print_netlist
from dialects.tensix import NetlistOp
from forge.compiled_model import CompiledModel
from forge.frontends.torch_export import Imported, export_program, import_program
from passes.context import CompileContext
from passes.pipeline import run_pipeline
from runtime.emulator import Emulator
from runtime.executor import execute
from runtime.machine import Machine
from runtime.timing import time_launch

CHIP = "n150"
ROWS, INPUTS, INNER, OUTPUTS = 50, 70, 96, 40
"""Whole tiles nowhere: padding is part of the tour."""


class TinyNetwork(torch.nn.Module):
    """Two linear layers with a ReLU between them."""

    def __init__(self) -> None:
        super().__init__()
        self.up = torch.nn.Linear(INPUTS, INNER, dtype=torch.bfloat16)
        self.down = torch.nn.Linear(INNER, OUTPUTS, dtype=torch.bfloat16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(torch.relu(self.up(x)))


class Tour:
    """Each stage is made from the one before it, once."""

    def __init__(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.module = TinyNetwork().eval()
            self.x = torch.randn(ROWS, INPUTS, dtype=torch.bfloat16)

    @property
    def expected(self) -> np.ndarray:
        with torch.no_grad():
            return self.module(self.x).float().numpy()

    @cached_property
    def imported(self) -> Imported:
        return import_program(export_program(self.module, (self.x,)), name="tiny")

    @cached_property
    def ttir(self) -> str:
        return str(self.imported.module)

    @cached_property
    def grid(self) -> ModuleOp:
        module = self.imported.module.clone()
        context = CompileContext(values=dict(self.imported.values))
        run_pipeline(context, module, chip=CHIP, weights_format="bf16")
        return module

    @cached_property
    def netlist(self) -> NetlistOp:
        return assemble_netlist(self.grid.clone(), name="tiny", chip=CHIP)

    @cached_property
    def model(self) -> CompiledModel:
        return CompiledModel(self.netlist, self.imported.values)


@pytest.fixture(scope="module")
def tour() -> Tour:
    return Tour()


def test_what_the_model_computes(tour: Tour) -> None:
    """torch.export becomes ttir, in the names of tt-mlir; no weights inside."""
    assert tour.ttir.count('"ttir.linear"') == 2
    assert tour.ttir.count('"ttir.relu"') == 1
    assert set(tour.imported.values) == set(tour.module.state_dict())
    assert "dense<" not in tour.ttir


def test_where_it_is_computed(tour: Tour) -> None:
    """Two programs: the ReLU went into the first. Axes say who computes what."""
    programs = [op for op in tour.grid.walk() if isinstance(op, ProgramOp)]
    assert [op.sym_name.data for op in programs] == ["linear_relu", "linear"]
    assert "axes [m 2" in str(programs[0])


def test_how_each_core_does_it(tour: Tour) -> None:
    """Kernels of every core as text, and the text is all there is to it."""
    text = print_netlist(tour.netlist)
    for line in ("matmul_block", "relu_tile", "push %cb_w read", "cb_wait_front"):
        assert line in text
    assert parse_netlist(text).is_structurally_equivalent(tour.netlist)
    require_sound(tour.netlist, load_chip(CHIP))


def test_values(tour: Tour) -> None:
    """The fast engine against PyTorch."""
    ours = tour.model(tour.x).numpy()
    error = np.linalg.norm(ours - tour.expected) / np.linalg.norm(tour.expected)
    assert ours.shape == (ROWS, OUTPUTS)
    assert error < 0.01


def test_the_slow_executor_agrees(tour: Tour) -> None:
    """One coroutine for each core and kernel, real tiles: the meaning of a netlist."""
    fast, slow = (
        Emulator(tour.netlist, tour.model.emulator.parameters) for _ in range(2)
    )
    (given,) = slow.machine.buffers_with_role("input")
    inputs = {given.name: tour.x.float().numpy()}
    expected = fast.run(inputs)["output"]
    slow.prepare()
    slow.upload(inputs)
    for run in slow.machine.runs:
        execute(slow.machine.launch(run), [slow.sheets[name] for name in run.buffers])
    np.testing.assert_allclose(slow.read("output"), expected, rtol=2**-7, atol=1e-3)


def test_time(tour: Tour) -> None:
    """The same instructions as events: cycles, bytes, and who waited for what."""
    machine = Machine(tour.netlist)
    timings = [time_launch(machine.launch(run)) for run in machine.runs]
    read = sum(timing.dram_read_bytes for timing in timings)
    assert read > sum(timing.dram_written_bytes for timing in timings) > 0
    for timing in timings:
        assert timing.cycles > 1000
        assert {kernel.kernel for kernel in timing.kernels} >= {
            "reader",
            "compute",
            "writer",
        }
