"""What the schedule allows, and what `choose-grid` makes of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn
from xdsl.dialects.builtin import ModuleOp

from dialects.chip import load_chip
from dialects.grid import ProgramOp, StageOp
from forge.frontends.torch_export import export_program, import_program
from passes.context import CompileContext
from passes.dst_plan import Copy, Matrix, Unary, Vector, capacity, plan_stage
from passes.pipeline import run_pipeline
from passes.schedule import Schedule

BF16_TILE = 2048


def placed(
    module: nn.Module, *shapes: tuple[int, ...], disabled: tuple[str, ...] = ()
) -> ModuleOp:
    module = module.to(torch.bfloat16).eval()
    inputs = tuple(torch.randn(shape, dtype=torch.bfloat16) for shape in shapes)
    imported = import_program(export_program(module, inputs), name="m")
    context = CompileContext(values=dict(imported.values))
    run_pipeline(
        context,
        imported.module,
        chip="n150",
        weights_format="bf16",
        disabled=disabled,
    )
    return imported.module


def programs(module: ModuleOp) -> Iterator[ProgramOp]:
    return (op for op in module.walk() if isinstance(op, ProgramOp))


def stages(module: ModuleOp) -> list[StageOp]:
    return [op for op in module.walk() if isinstance(op, StageOp)]


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.Softmax(-1), (200, 300)),
        (nn.RMSNorm(300), (200, 300)),
        (nn.Linear(320, 4000), (64, 320)),
        (nn.Sequential(nn.RMSNorm(640), nn.Linear(640, 960)), (64, 640)),
    ],
)
def test_cores_share_no_reduced_axis_and_l1_suffices(
    module: nn.Module, shape: tuple[int, ...]
) -> None:
    for program in programs(placed(module, shape)):
        schedule, axes = Schedule(program), program.axes.by_name()
        spread = {name for name, axis in axes.items() if axis.cores > 1}
        assert spread <= set(schedule.parallel)
        values = (*program.body.block.args, *schedule.outputs)
        used = schedule.l1_bytes(axes, dict.fromkeys(values, BF16_TILE))
        assert used <= load_chip("n150").l1_usable_bytes


def test_softmax_shares_rows_only() -> None:
    (program,) = programs(placed(nn.Softmax(-1), (200, 300)))
    assert Schedule(program).parallel == ("m",)


def test_cores_do_not_all_begin_at_one_bank() -> None:
    (program,) = programs(placed(nn.Linear(576, 49152), (64, 576)))
    axis = program.axes.by_name()["n"]
    assert axis.part % load_chip("n150").num_dram_banks != 0


def test_matmul_with_epilogue_accumulates_then_finishes() -> None:
    module = nn.Sequential(nn.Linear(64, 64), nn.SiLU())
    (stage,) = stages(placed(module, (64, 64), disabled=("contraction-loops",)))
    plan = plan_stage(stage)
    assert len(plan.accumulators) == 1
    assert [type(step) for step in plan.steps] == [Copy, Vector, Unary]
    assert plan.registers == 2
    assert plan.registers <= capacity(fp32_dst=True, full_sync=False)


def test_elementwise_begins_on_the_matrix_unit() -> None:
    class Gated(nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return torch.exp(a + b) * 2

    (stage,) = stages(placed(Gated(), (64, 64), (64, 64)))
    steps = plan_stage(stage).steps
    assert isinstance(steps[0], Matrix)
    assert [s.function for s in steps[1:] if isinstance(s, Unary)] == [
        "exp",
        "mul_unary",
    ]
