"""Layers that are traced once: only where nothing but their weights differs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from xdsl.dialects.func import FuncOp

from forge.frontends import generation
from forge.frontends.equal_layers import (
    FirstIndex,
    LayersDifferError,
    equal_layers,
    first_layer_only,
)
from forge.frontends.generation import import_generation
from passes.constant_evaluation import argument_attributes
from passes.ttir_pipeline import TTIR_PIPELINE
from tests.frontends.test_generation import (
    Machine,
    check_greedy,
    prompt_of,
    small_model,
)
from tests.support.ttir_reference import apply_passes, functions_of, op_names_of


class Layer(nn.Module):
    """A layer of a toy."""

    def __init__(self, index: int, width: int = 4) -> None:
        super().__init__()
        self.layer_idx: Any = index
        self.factor = 2.0
        self.linear = nn.Linear(4, width)

    def forward(self, x: torch.Tensor, *, shift: object, cache_run: Any) -> Any:
        return self.linear(x) * self.factor


class Toy(nn.Module):
    """A model in which equal layers follow each other."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(num_hidden_layers=3)
        self.blocks = nn.ModuleList(Layer(index) for index in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        run = SimpleNamespace(seen=set())
        for block in self.blocks:
            x = block(x, shift=x.shape, cache_run=run)
        return x


class Shifting(Toy):
    """A model that treats its layers differently."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        run = SimpleNamespace(seen=set())
        for number, block in enumerate(self.blocks):
            x = block(x, shift=number, cache_run=run)
        return x


def test_equal_layers_are_found() -> None:
    found = equal_layers(Toy())
    assert found is not None
    assert found.path == "blocks"
    name, weight = found.counterpart("blocks.0.linear.weight", 2) or ("", None)
    assert name == "blocks.2.linear.weight"
    assert weight is found.slots[2].get_parameter("linear.weight")
    assert found.counterpart("blocks.1.linear.weight", 2) is None


def other_width(model: Any) -> None:
    model.blocks[1].linear = nn.Linear(4, 5)


def other_setting(model: Any) -> None:
    model.blocks[2].factor = 3.0


def other_type(model: Any) -> None:
    model.blocks[1].linear = nn.Sequential(model.blocks[1].linear)


def other_child(model: Any) -> None:
    model.blocks[1].more = nn.Identity()


def hidden_tensor(model: Any) -> None:
    for block in model.blocks:
        block.table = torch.ones(4)


def buffers(model: Any) -> None:
    for block in model.blocks:
        block.register_buffer("table", torch.ones(4))


def weight_used_elsewhere(model: Any) -> None:
    model.head = model.blocks[0].linear


@pytest.mark.parametrize(
    "change",
    [
        *(other_width, other_setting, other_type, other_child, hidden_tensor),
        *(buffers, weight_used_elsewhere),
    ],
)
def test_layers_that_differ(change: Any) -> None:
    model = Toy()
    change(model)
    assert equal_layers(model) is None


def test_layers_come_back() -> None:
    model = Toy()
    before = list(model.blocks)
    x = torch.ones(2, 4)
    expected = model(x)
    with first_layer_only(equal_layers(model)):
        model(x)
        assert isinstance(model.blocks[0].layer_idx, FirstIndex)
        assert model.blocks[1].factor == 2.0
    assert list(model.blocks) == before
    assert model.blocks[0].layer_idx == 0
    assert torch.equal(model(x), expected)


def test_layers_that_are_called_differently() -> None:
    model = Shifting()
    with first_layer_only(equal_layers(model)), pytest.raises(LayersDifferError):
        model(torch.ones(2, 4))


@pytest.mark.parametrize(
    "use",
    [lambda i: 1 / (i + 1), lambda i: i in (2, 3), lambda i: i % 2, float, bool],
)
def test_nothing_is_computed_from_the_number_of_the_layer(use: Any) -> None:
    with pytest.raises(LayersDifferError):
        use(FirstIndex())


def test_repeated_layers_are_those_that_would_be_traced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = small_model("Qwen3", num_hidden_layers=4)

    def imported() -> Any:
        found = import_generation(model, prefill_lengths=[16], cache_length=64)
        apply_passes(found.module, TTIR_PIPELINE, found.values)
        return found

    once = imported()
    monkeypatch.setattr(generation, "equal_layers", lambda _: None)
    whole = imported()
    assert once.values.keys() == whole.values.keys()
    functions = functions_of(whole.module)
    for name, function in functions_of(once.module).items():
        other = functions[name]
        assert op_names_of(function) == op_names_of(other)
        places = [str(op.location) for op in function.body.block.ops]
        assert places == [str(op.location) for op in other.body.block.ops]
        assert arguments_of(function) == arguments_of(other)


def arguments_of(function: FuncOp) -> set[str]:
    """Type and attributes of the arguments, in any order."""
    types = function.function_type.inputs.data
    entries = argument_attributes(function)
    return {f"{t} {entry}" for t, entry in zip(types, entries, strict=True)}


@pytest.mark.parametrize("layers", [3, 4])
def test_tokens_with_repeated_layers(layers: int) -> None:
    model = small_model("Llama", num_hidden_layers=layers)
    assert equal_layers(model) is not None
    imported = import_generation(model, prefill_lengths=[16], cache_length=64, batch=2)
    machine = Machine(imported, torch.float32)
    check_greedy(machine, model, [prompt_of(9), prompt_of(16)], steps=3)


def test_tokens_with_a_layer_that_depends_on_its_number() -> None:
    model: Any = small_model("Llama", num_hidden_layers=3)
    kind = type(model.model.layers[0])

    def forward(self: Any, *args: Any, **settings: Any) -> torch.Tensor:
        return kind.forward(self, *args, **settings) / (1 + self.self_attn.layer_idx)

    scaled = type("Scaled", (kind,), {"forward": forward})
    for layer in model.model.layers:
        layer.__class__ = scaled
    assert equal_layers(model) is not None
    imported = import_generation(model, prefill_lengths=[16], cache_length=64)
    check_greedy(Machine(imported, torch.float32), model, [prompt_of(9)], steps=2)
