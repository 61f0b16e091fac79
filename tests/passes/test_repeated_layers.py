"""Of equal layers three stay for trials; what those are marked with counts for all."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from xdsl.dialects.builtin import UnitAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation

from dialects import ttir
from dialects.weight_formats import WeightFormats
from forge.frontends.torch_export import Imported, export_program, import_program
from passes.repeated_layers import ShortCopy, find_repetition
from passes.rewriting import describe_source

ONE, MARK = WeightFormats(), "test.mark"


class Layer(nn.Module):
    """Two operations with weights of their own, around which x goes by."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(64)
        self.linear = nn.Linear(64, 64, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.linear(self.norm(x))


class Layers(nn.Module):
    """Layers one after the other, between a first and a last operation."""

    def __init__(self, count: int, *, sees: int | None = None) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer() for _ in range(count))
        self.sees = sees

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = x = torch.relu(x)
        for number, layer in enumerate(self.layers):
            x = layer(x)
            if number == self.sees:
                seen = x
        return torch.sigmoid(x) * seen


def imported(count: int, *, sees: int | None = None) -> Imported:
    module = Layers(count, sees=sees).to(torch.bfloat16).eval()
    inputs = (torch.randn(32, 64, dtype=torch.bfloat16),)
    return import_program(export_program(module, inputs), name="m")


def ops_of(found: Operation, kind: type[Operation] = Operation) -> list[Operation]:
    (function,) = (op for op in found.walk() if isinstance(op, FuncOp))
    return [op for op in function.body.block.ops if isinstance(op, kind)]


def layer_of(op: Operation) -> str:
    return describe_source(op).split()[0].split(".")[1]


def test_the_layers_are_found() -> None:
    found = find_repetition(ops_of(imported(6).module), ONE)
    assert found is not None
    assert found.times == 6


def test_three_of_equal_layers_stay() -> None:
    short = ShortCopy(imported(6).module, "bf16")
    short.module.verify()
    kept = [layer_of(op) for op in ops_of(short.module, ttir.LinearOp)]
    assert kept == ["0", "1", "5"]


def test_what_one_layer_is_marked_with_its_equals_are_marked_with() -> None:
    module = imported(6).module
    short = ShortCopy(module, "bf16")
    _, middle, _ = ops_of(short.module, ttir.LinearOp)
    middle.attributes[MARK] = UnitAttr()
    short.hand_back(MARK)
    marked = [MARK in op.attributes for op in ops_of(module, ttir.LinearOp)]
    assert marked == [False, True, True, True, True, False]


@pytest.mark.parametrize("count", [1, 3])
def test_few_layers_all_stay(count: int) -> None:
    module = imported(count).module
    assert len(ops_of(ShortCopy(module, "bf16").module)) == len(ops_of(module))


def test_a_layer_whose_result_is_read_behind_the_last_stays() -> None:
    module = imported(6, sees=2).module
    assert len(ops_of(ShortCopy(module, "bf16").module)) == len(ops_of(module))


def test_layers_with_other_weights_formats_are_not_equal() -> None:
    module = imported(6).module
    some = WeightFormats.parse("bfp8_b,2=bf16")
    found = find_repetition(ops_of(module), some)
    assert found is not None
    assert found.times == 3
