"""`forge accuracy`: variants of a netlist, their distance, and who loses what."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dialects.formats import DataFormat, Fidelity
from forge import cli
from forge.accuracy import (
    Distance,
    Variant,
    attribute_error,
    compare_variants,
    contraction_weights,
    distance,
    mark_front,
    reference_output,
)
from forge.compiled_model import CompiledModel
from forge.compiler import compile as forge_compile

BF16 = torch.bfloat16


@pytest.fixture(scope="module")
def model() -> CompiledModel:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.RMSNorm(96, eps=1e-5), nn.Linear(96, 128), nn.GELU(), nn.Linear(128, 64)
    )
    return forge_compile(module.to(BF16), [torch.randn(40, 96, dtype=BF16)])


@pytest.fixture(scope="module")
def inputs(model: CompiledModel) -> dict[str, np.ndarray]:
    (buffer,) = model.machine.buffers_with_role("input")
    values = np.random.default_rng(1).standard_normal((40, 96))
    return {buffer.name: values.astype(np.float32)}


def test_only_matmul_weights_change_their_format(model: CompiledModel) -> None:
    names = contraction_weights(model.netlist)
    shapes = {model.machine.buffers[name].tensor.shape for name in names}
    assert shapes == {(96, 128), (128, 64)}


def test_errors_grow_with_fewer_bits(
    model: CompiledModel, inputs: dict[str, np.ndarray]
) -> None:
    parameters = model.emulator.parameters
    truth = reference_output(model.netlist, parameters, inputs)
    choices = [
        (DataFormat.BF16, Fidelity.HIFI4, "fp32"),
        (DataFormat.BFP8_B, Fidelity.HIFI4, "fp32"),
        (DataFormat.BFP4_B, Fidelity.HIFI4, "fp32"),
        (DataFormat.BF16, Fidelity.LOFI, "fp32"),
        (DataFormat.BF16, Fidelity.HIFI4, "bf16"),
    ]
    best, bfp8, bfp4, lofi, narrow = compare_variants(
        model.netlist, parameters, inputs, truth, choices=choices
    )

    def error(variant: Variant) -> float:
        assert variant.distance.relative_l2 is not None
        return variant.distance.relative_l2

    assert error(best) < error(bfp8) < error(bfp4)
    assert error(best) < error(lofi)
    assert error(best) < error(narrow)
    assert lofi.cycles <= best.cycles


def test_reference_is_pytorch_in_float32(model: CompiledModel) -> None:
    torch.manual_seed(0)
    module = nn.Linear(96, 128, dtype=BF16)
    x = torch.randn(40, 96, dtype=BF16)
    compiled = forge_compile(module, [x])
    (buffer,) = compiled.machine.buffers_with_role("input")
    given = {buffer.name: x.float().numpy()}
    found = reference_output(compiled.netlist, compiled.emulator.parameters, given)
    with torch.no_grad():
        expected = module.float()(x.float()).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_every_program_has_its_loss(
    model: CompiledModel, inputs: dict[str, np.ndarray]
) -> None:
    losses = attribute_error(model.netlist, model.emulator.parameters, inputs)
    assert {loss.program for loss in losses} == set(model.machine.programs)
    assert all(0 < loss.isolated < 0.02 for loss in losses)
    assert losses == sorted(losses, key=lambda loss: -loss.isolated)


def test_tiny_and_constant_tensors_are_judged_by_absolute_error() -> None:
    zeros, ones = np.zeros(8), np.ones(8)
    assert distance(zeros + 1e-3, zeros) == Distance(None, None, 1e-3)
    constant = distance(ones * 1.5, ones)
    assert constant.pcc is None
    assert constant.relative_l2 == pytest.approx(0.5)


def test_the_front_holds_what_nothing_beats() -> None:
    def variant(cycles: float, error: float) -> Variant:
        found = Distance(0.9, error, error)
        return Variant(DataFormat.BF16, Fidelity.LOFI, "fp32", found, cycles)

    marked = mark_front([variant(1, 3), variant(2, 2), variant(3, 2), variant(4, 1)])
    assert [v.on_front for v in marked] == [True, True, False, True]


def test_command_prints_variants_and_programs(
    model: CompiledModel,
    inputs: dict[str, np.ndarray],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model.save(tmp_path / "model")
    np.savez(tmp_path / "inputs.npz", allow_pickle=False, **inputs)
    command = ["accuracy", str(tmp_path / "model"), "--json", "--numerics", "fast"]
    assert cli.main([*command, "--inputs", str(tmp_path / "inputs.npz")]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert len(printed["variants"]) == 24
    assert [row["numerics"] for row in printed["numerics"]] == [
        "fast from exact",
        "fast from float32",
        "exact from float32",
    ]
    assert {row["program"] for row in printed["programs"]} == set(
        model.machine.programs
    )
    assert any(row["Pareto"] for row in printed["variants"])


def test_command_asks_for_inputs(
    model: CompiledModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model.save(tmp_path / "model")
    assert cli.main(["accuracy", str(tmp_path / "model")]) == 2
    assert "--inputs" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["text", "array", "names", "nothing"])
def test_command_refuses_what_holds_no_inputs(
    content: str, model: CompiledModel, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder, given = tmp_path / "out", tmp_path / "inputs.npz"
    model.save(folder)
    if content == "text":
        given.write_text("1 2 3")
    elif content == "array":
        with given.open("wb") as file:
            np.save(file, np.zeros(3))
    elif content == "names":
        np.savez(given, other=np.zeros(3))
    assert cli.main(["accuracy", str(folder), "--inputs", str(given)]) == 2
    shown = capsys.readouterr().err
    assert "inputs.npz" in shown
    assert "numpy.savez" in shown
