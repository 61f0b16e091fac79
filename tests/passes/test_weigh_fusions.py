"""A norm stays a launch of its own where that takes less time."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dialects import ttir
from dialects.errors import ForgeError
from dialects.grid import ProgramOp
from forge.frontends.torch_export import export_program, import_program
from passes.context import CompileContext
from passes.pipeline import run_pipeline


class FakeTimer:
    """So many cycles for a matmul with a norm inside, and for all else."""

    def __init__(self, fused: float, alone: float):
        self.fused = fused
        self.alone = alone

    def cycles(self, program: ProgramOp) -> float:
        ops = list(program.body.block.walk())
        has_norm = any(isinstance(op, ttir.RsqrtOp) for op in ops)
        has_matmul = any(isinstance(op, ttir.MatmulOp) for op in ops)
        return self.fused if has_norm and has_matmul else self.alone

    def faults(self, program: ProgramOp) -> list[ForgeError]:
        return []


def names(timer: FakeTimer | None, *disabled: str) -> list[str]:
    module = nn.Sequential(nn.RMSNorm(640), nn.Linear(640, 2560)).to(torch.bfloat16)
    inputs = (torch.randn(256, 640, dtype=torch.bfloat16),)
    imported = import_program(export_program(module.eval(), inputs), name="m")
    context = CompileContext(values=dict(imported.values), timer=timer)
    run_pipeline(
        context,
        imported.module,
        chip="n150",
        weights_format="bf16",
        disabled=disabled,
    )
    programs = [op for op in imported.module.walk() if isinstance(op, ProgramOp)]
    return [program.sym_name.data for program in programs]


def test_a_slow_fusion_is_declined() -> None:
    assert names(FakeTimer(fused=1e6, alone=1e5)) == ["rms_norm", "linear"]


def test_a_fast_fusion_is_kept() -> None:
    assert names(FakeTimer(fused=1e5, alone=9e4)) == ["rms_norm_linear"]


def test_the_gap_of_another_launch_counts() -> None:
    assert names(FakeTimer(fused=1e5, alone=49_500)) == ["rms_norm_linear"]
    assert names(FakeTimer(fused=1e5, alone=48_000)) == ["rms_norm", "linear"]


@pytest.mark.parametrize("switch", ["weighed-fusion", "search"])
def test_nothing_is_weighed_when_that_is_off(switch: str) -> None:
    assert names(FakeTimer(fused=1e6, alone=1e5), switch) == ["rms_norm_linear"]


def test_nothing_is_weighed_without_a_timer() -> None:
    assert names(None) == ["rms_norm_linear"]
