"""Small modules from PyTorch to numbers, against PyTorch and the slow executor."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.assemble import assemble_netlist
from dialects.errors import CapacityError, ForgeError
from dialects.netlist_text import parse_netlist, print_netlist
from forge.frontends.torch_export import export_program, import_program
from passes.context import CompileContext
from passes.pipeline import run_pipeline
from runtime.emulator import Emulator
from runtime.executor import execute
from tests.backend.modules import CASES, UNSUPPORTED, Case, of
from tests.runtime.hostile import step_in_hostile_memory

TOLERANCE = 6e-3
"""Relative L2 error: PyTorch rounds to bf16 (2^-9) after each of up to four operations
that we leave in Dst, or the other way round; errors of roundings add up in squares."""


def compiled(case: Case) -> tuple[Emulator, tuple[torch.Tensor, ...], torch.nn.Module]:
    make, shapes = case
    torch.manual_seed(0)
    module = make().to(torch.bfloat16).eval()
    if isinstance(module, torch.nn.Embedding):
        inputs = tuple(torch.randint(0, 100, shape) for shape in shapes)
    else:
        inputs = tuple(torch.randn(shape, dtype=torch.bfloat16) for shape in shapes)
    imported = import_program(export_program(module, inputs), name="case")
    context = CompileContext(values=dict(imported.values))
    run_pipeline(context, imported.module, chip="n150", weights_format="bf16")
    netlist = assemble_netlist(imported.module, name="case", chip="n150")
    read = parse_netlist(print_netlist(netlist))
    assert netlist.is_structurally_equivalent(read)
    values = {k: v.detach().float().numpy() for k, v in context.values.items()}
    return Emulator(read, values), inputs, module


@pytest.mark.parametrize("name", CASES)
def test_module_agrees_with_pytorch(name: str) -> None:
    emulator, inputs, module = compiled(CASES[name])
    names = [b.name for b in emulator.machine.buffers_with_role("input")]
    arrays = [tensor.float().numpy() for tensor in inputs]  # ids below 2^24 too
    outputs = emulator.run(dict(zip(names, arrays, strict=True)))
    with torch.no_grad():
        expected = module(*inputs)
    wanted = expected if isinstance(expected, tuple) else (expected,)
    for got, tensor in zip(outputs.values(), wanted, strict=True):
        reference = tensor.float().numpy()
        error = np.linalg.norm(got.reshape(reference.shape) - reference)
        assert error <= TOLERANCE * np.linalg.norm(reference)


@pytest.mark.parametrize("name", CASES)
def test_replay_agrees_with_the_slow_executor(name: str) -> None:
    """Each run alone, on the same inputs: at most one bf16 step apart.

    The two sum in another order, so an fp32 result may round to the other neighbour.
    """
    emulator, inputs, _ = compiled(CASES[name])
    names = [b.name for b in emulator.machine.buffers_with_role("input")]
    arrays = [tensor.float().numpy() for tensor in inputs]
    emulator.upload(dict(zip(names, arrays, strict=True)))
    for run in emulator.machine.runs:
        sheets = {name: emulator.sheet(name).copy() for name in run.buffers}
        execute(emulator.machine.launch(run), [sheets[name] for name in run.buffers])
        emulator.step(run)
        for name in run.buffers:
            got = emulator.crop(name, emulator.sheet(name))
            wanted = emulator.crop(name, sheets[name])
            step = 2.0**-7 * np.abs(wanted) + 2.0**-9 * np.abs(wanted).max(initial=0)
            assert (np.abs(got - wanted) <= step).all(), f"@{run.program} @{name}"


@pytest.mark.parametrize("name", CASES)
def test_what_is_not_needed_does_not_matter(name: str) -> None:
    emulator, inputs, _ = compiled(CASES[name])
    names = [b.name for b in emulator.machine.buffers_with_role("input")]
    arrays = [tensor.float().numpy() for tensor in inputs]
    given = dict(zip(names, arrays, strict=True))
    expected = emulator.run(given)
    emulator.upload(given)
    for run in emulator.machine.runs:
        step_in_hostile_memory(emulator, run)
    for output, values in expected.items():
        np.testing.assert_array_equal(emulator.read(output), values)


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported_is_one_clear_error(name: str) -> None:
    case, words = UNSUPPORTED[name]
    with pytest.raises(ForgeError) as caught:
        compiled(case)
    text = str(caught.value)
    assert words in text
    assert "where: modules.py:" in text
    assert "to do:" in text


def test_all_unsupported_operations_come_at_once() -> None:
    def both(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.where(a > 0, torch.cat([a, b])[:50], b)

    with pytest.raises(ForgeError) as caught:
        compiled(of(both, (50, 70), (50, 70)))
    text = str(caught.value)
    assert all(op in text for op in ("ttir.gt", "ttir.where", "ttir.concat"))


def test_what_fits_nowhere_says_how_much_it_needs() -> None:
    with pytest.raises(CapacityError) as caught:
        compiled(of(lambda a: torch.softmax(a, -1), (64, 20000)))
    assert "bytes a core" in str(caught.value.limit)
    assert "bytes at least" in str(caught.value.value)
