"""Norms in two launches: which, in how many parts, and with the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from xdsl.dialects.builtin import IntegerAttr, ModuleOp

from backend.assemble import assemble_netlist
from dialects import ttir
from dialects.netlist_text import parse_netlist, print_netlist
from forge.frontends.torch_export import Imported, export_program, import_program
from passes.context import CompileContext
from passes.form_programs import ALONE, IN_TWO
from passes.pipeline import run_pipeline
from passes.square_sums import num_parts
from runtime.emulator import Emulator
from tests.backend.test_lowering import TOLERANCE


def imported(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> Imported:
    return import_program(export_program(module.to(torch.bfloat16), inputs), name="m")


def norm_of(module: ModuleOp) -> ttir.RMSNormOp:
    return next(op for op in module.walk() if isinstance(op, ttir.RMSNormOp))


def parts_of(width: int) -> int:
    x = torch.randn(64, width, dtype=torch.bfloat16)
    return num_parts(norm_of(imported(nn.RMSNorm(width), (x,)).module))


@pytest.mark.parametrize(
    ("width", "parts"), [(896, 7), (1024, 8), (2560, 8), (4096, 16), (8192, 16)]
)
def test_parts_are_about_as_many_as_their_tiles(width: int, parts: int) -> None:
    assert parts_of(width) == parts


@pytest.mark.parametrize("width", [544, 480, 900], ids=["17 tiles", "short", "in tile"])
def test_rows_that_stay_whole(width: int) -> None:
    assert parts_of(width) == 1


def test_other_norms_stay_whole() -> None:
    x = torch.randn(64, 1024, dtype=torch.bfloat16)
    module = imported(nn.LayerNorm(1024), (x,)).module
    assert all(num_parts(op) == 1 for op in module.walk())


def compiled(
    norm: nn.Module, x: torch.Tensor, disabled: tuple[str, ...] = ()
) -> tuple[str, dict[str, np.ndarray]]:
    """The netlist of a norm in two launches, and its parameters."""
    given = imported(norm, (x,))
    norm_of(given.module).attributes[ALONE] = IntegerAttr(IN_TWO, 64)
    context = CompileContext(values=dict(given.values))
    run_pipeline(
        context, given.module, chip="n150", weights_format="bf16", disabled=disabled
    )
    text = print_netlist(assemble_netlist(given.module, name="m", chip="n150"))
    assert "program @square_sums" in text
    return text, {k: v.detach().float().numpy() for k, v in context.values.items()}


def errors_of(
    shape: tuple[int, ...], *, numerics: str = "fast", disabled: tuple[str, ...] = ()
) -> float:
    """Distance from PyTorch, of a norm in two launches, as a part of the result."""
    torch.manual_seed(0)
    norm = nn.RMSNorm(shape[-1], eps=1e-5)
    nn.init.normal_(norm.weight)
    x = torch.randn(shape, dtype=torch.bfloat16)
    text, values = compiled(norm, x, disabled)
    emulator = Emulator(parse_netlist(text), values, numerics=numerics)
    (name,) = (b.name for b in emulator.machine.buffers_with_role("input"))
    (got,) = emulator.run({name: x.float().numpy()}).values()
    with torch.no_grad():
        wanted = norm(x).float().numpy()
    distance = np.linalg.norm(got.reshape(wanted.shape) - wanted)
    return float(distance / np.linalg.norm(wanted))


@pytest.mark.parametrize("numerics", ["fast", "exact"])
@pytest.mark.parametrize("shape", [(70, 640), (2, 40, 640), (1, 640)], ids=str)
def test_the_same_numbers(shape: tuple[int, ...], numerics: str) -> None:
    assert errors_of(shape, numerics=numerics) <= TOLERANCE


def test_sums_of_several_rows_of_tiles_are_written_one_by_one() -> None:
    """Through DRAM, from cores that have more than one."""
    assert errors_of((512, 896), disabled=("grid-alignment",)) <= TOLERANCE


@pytest.mark.parametrize(("rows", "loader"), [(70, "writer"), (4096, "reader")])
def test_who_reads_the_sums(rows: int, loader: str) -> None:
    """The writer, beside what streams; the reader, where they come for row by row."""
    x = torch.randn(rows, 640, dtype=torch.bfloat16)
    text, _ = compiled(nn.RMSNorm(640), x)
    program = text.partition("program @rms_norm_of_sums")[2]
    kernels = program.split("kernel ")[1:]
    found = [k.split()[0] for k in kernels if "push %cb_x1 read" in k]
    assert found == [loader]
