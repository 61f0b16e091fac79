"""Tensors between programs in L1: the same numbers, less moved, and DRAM where L1 is
full."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from xdsl.dialects.builtin import ModuleOp

from backend.assemble import assemble_netlist
from dialects.checks import require_sound
from dialects.chip import load_chip
from dialects.grid import ProgramOp
from dialects.netlist_text import parse_netlist, print_netlist
from forge.frontends.torch_export import export_program, import_program
from forge.profile import profile_machine
from passes.context import CompileContext
from passes.pipeline import run_pipeline
from runtime.emulator import Emulator
from tests.backend.sequences import Chain, Residual
from tests.backend.test_generation import CACHE, CONFIGS, LENGTH, VOCABULARY, build

OFF = ("grid-alignment",)
BF16_TILE = 2048


def placed(
    module: nn.Module, shape: tuple[int, ...], disabled: tuple[str, ...] = ()
) -> tuple[ModuleOp, dict[str, Tensor]]:
    torch.manual_seed(0)
    module = module.to(torch.bfloat16).eval()
    inputs = (torch.randn(shape, dtype=torch.bfloat16),)
    imported = import_program(export_program(module, inputs), name="m")
    context = CompileContext(values=dict(imported.values))
    run_pipeline(
        context, imported.module, chip="n150", weights_format="bf16", disabled=disabled
    )
    return imported.module, dict(context.values)


def text_of(module: ModuleOp) -> str:
    return print_netlist(assemble_netlist(module, name="m", chip="n150"))


def numbers(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> list[np.ndarray]:
    """Results with alignment and without."""
    results = []
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    for disabled in ((), OFF):
        torch.manual_seed(3)
        module, values = placed(make(), shape, disabled)
        netlist = parse_netlist(text_of(module))
        require_sound(netlist, load_chip("n150"))
        arrays = {k: v.detach().float().numpy() for k, v in values.items()}
        emulator = Emulator(netlist, arrays)
        (name,) = [b.name for b in emulator.machine.buffers_with_role("input")]
        (result,) = emulator.run({name: x}).values()
        results.append(result)
    return results


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: Residual(256), (128, 256)),
        (lambda: Residual(416), (100, 416)),  # 13 tiles over 8 columns, a partial tile
        (lambda: Residual(32), (32, 32)),  # one core
        (Chain, (320, 96)),
        (Chain, (2200, 40)),  # 69 rows of tiles, two columns of which one is partial
    ],
)
def test_layouts_do_not_change_a_bit(
    make: Callable[[], nn.Module], shape: tuple[int, ...]
) -> None:
    aligned, plain = numbers(make, shape)
    np.testing.assert_array_equal(aligned, plain)


@pytest.mark.parametrize(("name", "batch"), [("qwen2", 1), ("qwen3", 3)])
def test_a_decoder_computes_the_same(name: str, batch: int) -> None:
    results = []
    tokens = np.random.default_rng(3).integers(0, VOCABULARY, (1, LENGTH))
    for disabled in ((), OFF):
        emulator = build(CONFIGS[name], batch, disabled).emulator
        given = {"prefill.input_ids": tokens, "prefill.last": np.array([LENGTH - 1])}
        if batch > 1:
            given["prefill.user"] = np.array([batch - 1])
        found = list(emulator.run(given, "prefill").values())
        positions = np.full(batch, LENGTH)
        assert LENGTH < CACHE
        given = {
            "decode.input_ids": tokens[:, :batch],
            "decode.positions": positions,
        }
        results.append(found + list(emulator.run(given, "decode").values()))
    for aligned, plain in zip(*results, strict=True):
        np.testing.assert_array_equal(aligned, plain)


def test_a_decoder_layer_reads_and_writes_its_activations_in_l1() -> None:
    """What is left are ids, positions, caches and logits."""
    aligned, plain = (
        build(CONFIGS["qwen3"], 1, disabled).emulator.machine for disabled in ((), OFF)
    )
    scratch = [b for b in aligned.buffers.values() if b.role is None and not b.recipe]
    assert {buffer.tensor.memory for buffer in scratch} == {"l1"}
    written = [
        sum(
            p.dram_written_bytes * p.runs
            for p in profile_machine(m, entry=entry).programs
        )
        for m, entry in ((aligned, "prefill"), (plain, "prefill"))
    ]
    caches = 2 * 2 * 2 * (LENGTH // 32) * 2 * BF16_TILE  # layers, k and v, heads, tiles
    logits = -(-VOCABULARY // 32) * 2 * BF16_TILE
    assert written[0] == caches + logits < written[1]


def test_what_does_not_fit_stays_in_dram() -> None:
    module, _ = placed(Chain(), (40960, 1024))
    programs = [op for op in module.walk() if isinstance(op, ProgramOp)]
    assert [op.makes.data[0].layout.memory for op in programs] == ["dram"] * 3


def test_netlist_reads_well(golden: Callable[..., None]) -> None:
    module, _ = placed(Residual(256), (128, 256))
    golden(text_of(module), suffix=".mlir")
