"""Norms stay launches of their own, and projections whole, where that is faster."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from xdsl.ir import Operation

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


class SumTimer(FakeTimer):
    """So many cycles for a norm, inside a matmul or alone, and for all else."""

    def cycles(self, program: ProgramOp) -> float:
        ops = list(program.body.block.walk())
        has_norm = any(isinstance(op, ttir.RsqrtOp) for op in ops)
        sums_squares = any(
            isinstance(op, ttir.MultiplyOp) and op.lhs == op.rhs for op in ops
        )
        return self.fused if has_norm and sums_squares else self.alone


class HeadTimer(FakeTimer):
    """So many cycles for a projection by heads, and for all else."""

    def cycles(self, program: ProgramOp) -> float:
        products = [op for op in program.body.block.walk() if _is_product(op)]
        by_heads = any(len(ttir.shape_of(op.results[0])) == 4 for op in products)
        return self.fused if by_heads else self.alone


def _is_product(op: Operation) -> bool:
    return isinstance(op, ttir.MatmulOp)


class Heads(nn.Module):
    """A projection to twenty heads, and what is computed with each."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(640, 2560, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        heads = self.project(x).view(1, 256, 20, 128).transpose(1, 2)
        return nn.functional.silu(heads)


def names(timer: FakeTimer | None, *disabled: str) -> list[str]:
    module = nn.Sequential(nn.RMSNorm(640), nn.Linear(640, 2560))
    return names_of(module, timer, disabled, (256, 640))


def names_of(
    module: nn.Module,
    timer: FakeTimer | None,
    disabled: tuple[str, ...],
    shape: tuple[int, ...],
) -> list[str]:
    inputs = (torch.randn(shape, dtype=torch.bfloat16),)
    exported = export_program(module.to(torch.bfloat16).eval(), inputs)
    imported = import_program(exported, name="m")
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


def test_a_slow_norm_takes_two_launches() -> None:
    two = ["square_sums", "rms_norm_of_sums", "linear"]
    assert names(SumTimer(fused=1e6, alone=1e5)) == two
    assert names(SumTimer(fused=1e6, alone=1e5), "rms-norm-fusion") == two


def test_a_fast_norm_takes_one_launch() -> None:
    off = "rms-norm-fusion"
    assert names(SumTimer(fused=1.5e5, alone=1e5), off) == ["rms_norm", "linear"]


def test_a_slow_norm_takes_one_launch_when_that_is_off() -> None:
    off = "square-sums"
    assert names(SumTimer(fused=1e6, alone=1e5), off) == ["rms_norm_linear"]


@pytest.mark.parametrize("switch", ["weighed-fusion", "search"])
def test_nothing_is_weighed_when_that_is_off(switch: str) -> None:
    assert names(FakeTimer(fused=1e6, alone=1e5), switch) == ["rms_norm_linear"]


def test_nothing_is_weighed_without_a_timer() -> None:
    assert names(None) == ["rms_norm_linear"]


def head_names(timer: FakeTimer | None, *disabled: str) -> list[str]:
    return names_of(Heads(), timer, disabled, (1, 256, 640))


def test_slow_heads_are_declined() -> None:
    assert head_names(HeadTimer(fused=1e6, alone=1e5)) == ["linear", "silu"]


def test_fast_heads_are_kept() -> None:
    assert head_names(HeadTimer(fused=1e5, alone=9e4)) == ["matmul_silu"]


def test_heads_must_save_more_than_what_stays_in_l1() -> None:
    """A launch more costs 2,050 cycles, of which 1,000 come back."""
    assert head_names(HeadTimer(fused=1e5, alone=49_800)) == ["matmul_silu"]
    assert head_names(HeadTimer(fused=1e5, alone=49_200)) == ["linear", "silu"]


@pytest.mark.parametrize("switch", ["weighed-fusion", "search"])
def test_launches_decide_about_heads_when_nothing_is_timed(switch: str) -> None:
    assert head_names(HeadTimer(fused=1e6, alone=1e5), switch) == ["matmul_silu"]
