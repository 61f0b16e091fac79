"""Heads in groups: when an axis becomes two, and what becomes of the program."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from dialects.chip import load_chip
from passes import choose_grid
from passes.choose_grid import Form
from passes.contraction_loops import discard
from passes.decisions import Decision
from passes.grid_candidates import GridCandidates
from passes.head_groups import in_groups
from passes.schedule import Schedule
from tests.backend.test_lowering import TOLERANCE, compiled
from tests.passes.test_contraction_loops import formed, only_program


class Attention(nn.Module):
    """Attention of queries whose heads share keys and values in groups."""

    def forward(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> torch.Tensor:
        members = query.shape[1] // key.shape[1]
        key, value = (x.repeat_interleave(members, 1) for x in (key, value))
        return scaled_dot_product_attention(query, key, value, is_causal=True)


def shapes(heads: int, groups: int, rows: int = 96) -> tuple[tuple[int, ...], ...]:
    kept = (1, groups, rows, 64)
    return (1, heads, rows, 64), kept, kept


def test_keys_run_along_groups_alone() -> None:
    program = only_program(formed(Attention(), *shapes(6, 2)))
    before = str(program)
    grouped = in_groups(program)
    assert grouped is not None
    grouped.verify()
    schedule = Schedule(grouped)
    assert schedule.outer == ("g", "h", "m")
    query, key, value = (operand.axes for operand in schedule.operands)
    assert query == ("g", "h", "m", "k")
    assert key == ("g", "s", "k")
    assert value == ("g", "s", "n")
    maps = [str(use.map[0]) for use in grouped.uses.data]
    assert maps == ["(g * 3 + h) * 3 + m", "g * 3 + s", "g * 3 + s"]
    discard(grouped)
    assert str(program) == before


def test_several_axes_may_share_a_line_of_cores() -> None:
    grouped = in_groups(only_program(formed(Attention(), *shapes(6, 2))))
    assert grouped is not None
    found = list(GridCandidates(grouped, load_chip("n150"), Schedule(grouped)))
    lines = [
        {name: (axes[name].over, axes[name].cores, axes[name].stride) for name in "ghm"}
        for axes in found
    ]
    assert {"g": ("x", 2, 3), "h": ("y", 3, 1), "m": ("x", 3, 1)} in lines
    for axes in found:
        for line in "xy":
            on_line = [a.cores for a in axes.values() if a.over == line]
            assert prod(on_line) <= 8
    discard(grouped)


@pytest.mark.parametrize(
    ("heads", "groups", "rows"),
    [(4, 4, 96), (4, 1, 96), (4, 2, 512)],
    ids=["keys of their own", "one group", "keys that pass by in a loop"],
)
def test_other_attention_has_no_groups(heads: int, groups: int, rows: int) -> None:
    module = formed(Attention(), *shapes(heads, groups, rows))
    assert in_groups(only_program(module)) is None


def test_keys_of_one_group_run_along_no_heads() -> None:
    program = only_program(formed(Attention(), *shapes(4, 1)))
    _, key, value = (operand.axes for operand in Schedule(program).operands)
    assert (key, value) == (("s", "k"), ("s", "n"))


def test_programs_without_heads_have_no_groups() -> None:
    assert in_groups(only_program(formed(nn.Linear(128, 96), (64, 128)))) is None


def test_groups_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[Decision] = []
    decide = choose_grid._decide

    def only_groups(forms: Sequence[Form], timer: None) -> Decision:
        chosen.append(decide(forms[-1:], None))
        return chosen[-1]

    monkeypatch.setattr(choose_grid, "_decide", only_groups)
    emulator, inputs, module = compiled((Attention, shapes(14, 2, 120)))
    (decision,) = chosen
    assert decision.chosen.form == "groups"
    axes = decision.chosen.axes
    assert axes["g"].over != axes["h"].over
    (program,) = emulator.machine.programs.values()
    assert {cast.buffer for cast in program.multicasts.values()} == {"cb_x1", "cb_x2"}
    names = [b.name for b in emulator.machine.buffers_with_role("input")]
    arrays = [x.float().numpy() for x in inputs]
    (got,) = emulator.run(dict(zip(names, arrays, strict=True))).values()
    with torch.no_grad():
        wanted = module(*inputs).float()
    error = torch.linalg.norm(torch.from_numpy(got).reshape(wanted.shape) - wanted)
    assert error <= TOLERANCE * torch.linalg.norm(wanted)
