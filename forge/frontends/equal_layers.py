"""Layers that are alike are traced once: the first is, the others say «as the first».

Everything around the layers is traced as it is, and each layer's call is compared with
the first one's, so what a model does to some layers only is not lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

INDEX = "layer_idx"
"""Where transformers keeps the number of a layer, in it and in modules of it."""

OWN = frozenset({INDEX, "training", "_parameters", "_buffers", "_modules"})
"""Attributes of a module that are compared otherwise, or may differ."""


@torch.library.custom_op("forge::layer_begin", mutates_args=())
def layer_begin(hidden: Tensor) -> Tensor:
    """Marks what goes into the layer that stands for all."""
    return hidden.clone()


@torch.library.custom_op("forge::layer_end", mutates_args=())
def layer_end(hidden: Tensor) -> Tensor:
    """Marks what comes out of the layer that stands for all."""
    return hidden.clone()


@torch.library.custom_op("forge::layer_again", mutates_args=())
def layer_again(hidden: Tensor, index: int) -> Tensor:
    """What is between the marks, with the weights and caches of another layer.

    Only for tracing; it computes nothing.
    """
    return hidden.clone()


@layer_begin.register_fake
@layer_end.register_fake
def _(hidden: Tensor) -> Tensor:
    return torch.empty_like(hidden)


@layer_again.register_fake
def _(hidden: Tensor, index: int) -> Tensor:
    return torch.empty_like(hidden)


class LayersDifferError(Exception):
    """A layer is called otherwise than the first, so all must be traced."""


def _refuse(*_: object) -> Any:
    raise LayersDifferError


class FirstIndex:
    """Stands for `layer_idx` in the first layer: nothing can be computed from it."""

    value = 0

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _refuse
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = _refuse
    __mod__ = __rmod__ = __pow__ = __rpow__ = __neg__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = _refuse
    __hash__ = __bool__ = __int__ = __float__ = __index__ = _refuse  # pyright: ignore[reportAssignmentType]


@dataclass(frozen=True)
class EqualLayers:
    """Layers of one shape, called one after another."""

    path: str
    """Of their list in the model."""
    slots: nn.ModuleList
    """The list itself, where other modules may stand for them."""
    weights: tuple[Mapping[str, Tensor], ...]
    """For each layer its parameters, by their path in it."""

    def counterpart(self, name: str, index: int) -> tuple[str, Tensor] | None:
        """The parameter of a layer that is to it what `name` is to the first."""
        first = f"{self.path}.0."
        if not name.startswith(first):
            return None
        rest = name.removeprefix(first)
        return f"{self.path}.{index}.{rest}", self.weights[index][rest]


def equal_layers(model: nn.Module) -> EqualLayers | None:
    """The layers of a causal LM, if they differ in nothing but their weights."""
    config: Any = model.config
    for path, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) > 1:
            first, *others = module
            whole = len(module) == config.num_hidden_layers
            whole = whole and not _lends_weights(model, path)
            if whole and all(_alike(first, other) for other in others):
                weights = tuple(dict(layer.named_parameters()) for layer in module)
                return EqualLayers(path, module, weights)
    return None


def _lends_weights(model: nn.Module, path: str) -> bool:
    """Whether weights of the layers at a path are also those of other modules."""
    inside: set[int] = set()
    outside: set[int] = set()
    for name, weight in model.named_parameters(remove_duplicate=False):
        (inside if name.startswith(f"{path}.") else outside).add(id(weight))
    return not inside.isdisjoint(outside)


def _alike(first: nn.Module, other: nn.Module) -> bool:
    """Whether two modules do the same with weights of the same shapes.

    A buffer may enter what is computed while compiling, so a module with one is like
    no other.
    """
    if type(first) is not type(other) or first._buffers or other._buffers:
        return False
    settings, others = _settings(first), _settings(other)
    if any(isinstance(value, Tensor) for value in settings.values()):
        return False
    if _weights(first) != _weights(other) or settings != others:
        return False
    if first._modules.keys() != other._modules.keys():
        return False
    pairs = zip(first.children(), other.children(), strict=True)
    return all(_alike(*pair) for pair in pairs)


def _weights(module: nn.Module) -> list[tuple[object, ...]]:
    return [
        (name, None if value is None else (value.shape, value.dtype))
        for name, value in module._parameters.items()
    ]


def _settings(module: nn.Module) -> dict[str, object]:
    return {name: value for name, value in vars(module).items() if name not in OWN}


class _Call:
    """What the first layer was called with, beside the hidden state.

    No container: `torch.export` copies those that a module holds.
    """

    rest: tuple[object, ...]
    settings: dict[str, object]


class _Again(nn.Module):
    """Stands for a layer; in all else it is that layer."""

    def __init__(self, layer: nn.Module, index: int, first: _Call) -> None:
        super().__init__()
        object.__setattr__(self, "layer", layer)  # so that it is no submodule
        self.index = index
        self.first = first

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["layer"], name)

    def forward(self, hidden: Tensor, *rest: object, **settings: Any) -> Tensor:
        first = [self.first.rest, self.first.settings]
        if not _same_call([rest, settings], first):
            raise LayersDifferError
        settings["cache_run"].seen.add(self.index)
        return layer_again(hidden, self.index)


def _same_call(found: object, expected: object) -> bool:
    """Whether the same tensors and equal settings are handed over."""
    if isinstance(found, list | tuple) and isinstance(expected, list | tuple):
        pairs = zip(found, expected, strict=False)
        return len(found) == len(expected) and all(_same_call(*p) for p in pairs)
    if isinstance(found, dict) and isinstance(expected, dict):
        same_names = found.keys() == expected.keys()
        return same_names and all(_same_call(found[n], expected[n]) for n in found)
    if found is expected:
        return True
    plain = bool | int | float | str
    return (
        isinstance(found, plain)
        and type(found) is type(expected)
        and (found == expected)
    )


@contextmanager
def first_layer_only(equal: EqualLayers | None) -> Iterator[None]:
    """Let the first of equal layers stand for all meanwhile; nothing if there are none.

    A trace raises LayersDifferError where the layers are not called alike.
    """
    if equal is None:
        yield
        return
    layers = list(equal.slots)
    call = _Call()

    def enter(_layer: nn.Module, inputs: tuple[Any, ...], settings: Any) -> Any:
        if not inputs or not isinstance(inputs[0], Tensor):
            raise LayersDifferError
        call.rest, call.settings = inputs[1:], dict(settings)
        return (layer_begin(inputs[0]), *inputs[1:]), settings

    def leave(_layer: nn.Module, _inputs: object, result: object) -> Tensor:
        if not isinstance(result, Tensor):
            raise LayersDifferError
        return layer_end(result)

    numbered = [m for m in layers[0].modules() if getattr(m, INDEX, None) is not None]
    hooks = [
        layers[0].register_forward_pre_hook(enter, with_kwargs=True),
        layers[0].register_forward_hook(leave),
    ]
    try:
        for module in numbered:
            setattr(module, INDEX, FirstIndex())
        for index in range(1, len(layers)):
            equal.slots[index] = _Again(layers[index], index, call)
        yield
    finally:
        for module in numbered:
            setattr(module, INDEX, FirstIndex.value)
        for hook in hooks:
            hook.remove()
        for index, layer in enumerate(layers):
            equal.slots[index] = layer
