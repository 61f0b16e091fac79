"""Contractions as loops over blocks of their rows: when, and what becomes of them."""

from __future__ import annotations

import torch
from torch import nn
from xdsl.dialects.builtin import ModuleOp

from dialects.grid import LoopOp, ProgramOp, StageOp
from forge.frontends.torch_export import export_program, import_program
from passes.context import CompileContext
from passes.contraction_loops import as_loop, as_split_loop, discard
from passes.pipeline import PASSES, PIPELINE
from passes.schedule import Schedule


class NormLinear(nn.Module):
    """A norm that only feeds a projection."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(128, eps=1e-5)
        self.project = nn.Linear(128, 96, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.project(self.norm(x))


def formed(module: nn.Module, *shapes: tuple[int, ...], but: str = "") -> ModuleOp:
    """A module before cores are chosen; `but` names a pass to leave out."""
    module = module.to(torch.bfloat16).eval()
    inputs = tuple(torch.randn(shape, dtype=torch.bfloat16) for shape in shapes)
    imported = import_program(export_program(module, inputs), name="m")
    context = CompileContext(values=dict(imported.values))
    for name in PIPELINE[: PIPELINE.index("choose-grid")]:
        if name != but:
            PASSES[name]()().apply(context, imported.module)
    return imported.module


def only_program(module: ModuleOp) -> ProgramOp:
    (program,) = (op for op in module.walk() if isinstance(op, ProgramOp))
    return program


def test_a_norm_and_its_projection_are_summed_on_the_way() -> None:
    module = formed(NormLinear(), (64, 128))
    program = only_program(module)
    before = str(program)
    looped = as_loop(program)
    assert looped is not None
    (loop,) = (op for op in looped.body.block.ops if isinstance(op, LoopOp))
    schedule = Schedule(looped)
    (carried,) = schedule.loops
    assert len(loop.carried) == 2
    assert all(sum_.added and sum_.depth == 1 for sum_ in carried.carried)
    assert len(schedule.weights_in(carried)) == 1
    discard(looped)
    assert str(program) == before
    module.verify()


def test_rows_that_wait_for_their_own_sum_do_not_become_a_loop() -> None:
    module = formed(NormLinear(), (64, 128), but="sink-row-scale")
    assert as_loop(only_program(module)) is None


def test_products_of_activations_do_not_become_a_loop() -> None:
    class Product(nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return a @ b

    module = formed(Product(), (64, 64), (64, 64))
    assert as_loop(only_program(module)) is None


def test_heads_that_stages_take_in_part_do_not_become_a_loop() -> None:
    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.project = nn.Linear(128, 256, bias=False)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            y = self.project(x)
            q = y[..., :192].view(1, 64, 3, 64).transpose(1, 2)
            k = y[..., 192:].view(1, 64, 1, 64).transpose(1, 2)
            return nn.functional.silu(q), nn.functional.silu(k)

    program = only_program(formed(Heads(), (1, 64, 128)))
    assert any(isinstance(op, StageOp) and op.where for op in program.walk())
    assert as_loop(program) is None


def test_cores_that_split_the_rows_go_on_with_pieces_of_the_sums() -> None:
    program = only_program(formed(NormLinear(), (64, 128)))
    split = as_split_loop(program)
    assert split is not None
    (combine,) = Schedule(split).combines
    assert combine.each
    axes = split.axes.by_name()
    assert [axes[name].of for name in combine.carried[-1].axes] == ["m", "n"]
    assert split.makes.data[0].axes == combine.carried[-1].axes
    assert split.uses.data[0].axes == program.uses.data[0].axes
    discard(split)
