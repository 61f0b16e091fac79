"""Reductions along an axis of their own: when, and what becomes of the program."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import nn

from passes import choose_grid
from passes.choose_grid import Form
from passes.contraction_loops import discard
from passes.decisions import Decision
from passes.row_parts import in_parts
from passes.schedule import Schedule
from tests.backend.test_lowering import TOLERANCE, compiled
from tests.passes.test_contraction_loops import formed, only_program


class Softmax(nn.Module):
    """Two reductions; the second sums what is computed from the first."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(x, -1)


def norm() -> nn.Module:
    return nn.RMSNorm(256, eps=1e-5)


def layer_norm() -> nn.Module:
    return nn.LayerNorm(256)


def test_cores_may_share_a_row_of_a_norm() -> None:
    module = formed(norm(), (64, 256))
    program = only_program(module)
    before = str(program)
    assert Schedule(program).parallel == ("m",)
    parted = in_parts(program)
    assert parted is not None
    schedule = Schedule(parted)
    assert schedule.parallel == ("m", "n")
    row, part = (
        next(o for o in schedule.operands if o.axes == axes)
        for axes in (("m", "k"), ("m", "n"))
    )
    assert row.resident
    assert not part.resident
    discard(parted)
    assert str(program) == before


@pytest.mark.parametrize(
    "module",
    [nn.Linear(128, 96), nn.SiLU(), nn.Sequential(norm(), nn.Linear(256, 96))],
    ids=["contraction", "no reduction", "norm inside a contraction"],
)
def test_other_programs_have_no_such_form(module: nn.Module) -> None:
    columns = 128 if isinstance(module, nn.Linear) else 256
    program = only_program(formed(module, (64, columns)))
    assert in_parts(program) is None


@pytest.mark.parametrize("make", [norm, layer_norm, Softmax])
def test_parts_give_the_same_numbers(
    make: type[nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[str] = []
    decide = choose_grid._decide

    def only_parts(forms: Sequence[Form], timer: None) -> Decision:
        decision = decide(forms[-1:], None)
        chosen.append(decision.chosen.form)
        return decision

    monkeypatch.setattr(choose_grid, "_decide", only_parts)
    emulator, (x,), module = compiled((make, ((70, 256),)))
    assert chosen == ["parts"]
    (name,) = (b.name for b in emulator.machine.buffers_with_role("input"))
    (got,) = emulator.run({name: x.float().numpy()}).values()
    with torch.no_grad():
        wanted = module(x).float()
    error = torch.linalg.norm(torch.from_numpy(got).reshape(wanted.shape) - wanted)
    assert error <= TOLERANCE * torch.linalg.norm(wanted)
