"""Contractions whose rows cores share out, on every kind of grid, against PyTorch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from backend.assemble import assemble_netlist
from dialects.checks import check_netlist
from dialects.chip import load_chip
from dialects.netlist_text import parse_netlist, print_netlist
from forge.frontends.torch_export import export_program, import_program
from passes import choose_grid
from passes.context import CompileContext
from passes.contraction_loops import as_split_loop, discard
from passes.grid_candidates import Axes, GridCandidates
from passes.pipeline import run_pipeline
from runtime.emulator import Emulator
from tests.e2e.compare import compare

CHIP = load_chip("n150")


class Mlp(nn.Module):
    """A norm, two projections that share its result, one back, and a sum."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(width, eps=1e-5)
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(x)
        return x + self.down(nn.functional.silu(self.gate(y)) * self.up(y))


@pytest.fixture
def candidates(monkeypatch: pytest.MonkeyPatch) -> list[Axes]:
    """Where cores can share rows out they do, on one grid of all; which ones is kept
    here, and how many are says which is next."""
    every, chosen = GridCandidates.__iter__, list[Axes]()

    def one(self: GridCandidates) -> Iterator[Axes]:
        if any(combine.each for combine in self.schedule.combines):
            found = list(every(self))
            chosen.append(found[len(chosen) * 37 % len(found)])
            return iter(chosen[-1:])
        copy = as_split_loop(self.program)
        if copy is None:
            return every(self)
        discard(copy)
        return iter(())

    monkeypatch.setattr(GridCandidates, "__iter__", one)
    monkeypatch.setattr(choose_grid, "FORMS", {"split": as_split_loop})
    return chosen


@pytest.mark.parametrize("numerics", ["fast", "exact"])
@pytest.mark.parametrize("shape", [(40, 288, 992), (7, 352, 800), (130, 480, 544)])
@pytest.mark.parametrize("first", [0, 3, 11, 40, 77])
def test_all_kinds_of_grids_agree_with_pytorch(
    candidates: list[Axes], numerics: str, shape: tuple[int, int, int], first: int
) -> None:
    candidates += [{}] * first
    rows, width, hidden = shape
    torch.manual_seed(0)
    model = Mlp(width, hidden).to(torch.bfloat16).eval()
    x = torch.randn(rows, width, dtype=torch.bfloat16)
    imported = import_program(export_program(model, (x,)), name="m")
    context = CompileContext(values=dict(imported.values))
    run_pipeline(context, imported.module, chip="n150", weights_format="bf16")
    netlist = parse_netlist(
        print_netlist(assemble_netlist(imported.module, name="m", chip="n150"))
    )
    assert len(candidates) > first
    assert check_netlist(netlist, CHIP) == []
    values = {k: v.detach().float().numpy() for k, v in context.values.items()}
    emulator = Emulator(netlist, values, numerics=numerics)
    (name,) = (b.name for b in emulator.machine.buffers_with_role("input"))
    (got,) = emulator.run({name: x.float().numpy()}).values()
    with torch.no_grad():
        expected = model(x).float().numpy()
    found = compare(np.asarray(got).reshape(expected.shape), expected)
    assert found.relative_l2 < 0.01, candidates[first:]
