"""Rotary embedding by lookup: cosine and sine of every position, made beforehand.

The tables come from the model's own rotary modules, so every kind of scaling that does
not depend on the length of the running sequence is exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from forge.errors import UnsupportedError

FIXED_ROPE_TYPES = ("default", "linear", "llama3", "yarn")
"""Scalings of which the frequencies are fixed when the model is built. Source:
transformers, modeling_rope_utils.py, `ROPE_INIT_FUNCTIONS`; its `dynamic_rope_update`
changes those of `dynamic` and `longrope` while running."""


class RotaryTable(nn.Module):
    """Stands for a rotary module: looks the rows of its positions up."""

    cos: Tensor
    sin: Tensor

    def __init__(self, rotary: nn.Module, *, length: int, dtype: torch.dtype) -> None:
        super().__init__()
        device = next(rotary.buffers()).device
        like = torch.empty((1, 1, 1), dtype=dtype, device=device)
        positions = torch.arange(length, device=device)[None]
        with torch.no_grad():
            cos, sin = rotary(like, positions)
        self.register_buffer("cos", cos[0].contiguous(), persistent=False)
        self.register_buffer("sin", sin[0].contiguous(), persistent=False)

    def forward(self, _like: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine, 1 x T x rotary dimension each, for positions 1 x T."""
        lookup = torch.nn.functional.embedding
        return lookup(position_ids, self.cos), lookup(position_ids, self.sin)


def rotary_modules(model: nn.Module) -> dict[str, nn.Module]:
    """The rotary modules of a model by path; they hold inverse frequencies."""
    return {
        path: module
        for path, module in model.named_modules(remove_duplicate=False)
        if isinstance(getattr(module, "inv_freq", None), Tensor)
    }


def require_known_rope(config: Any) -> None:
    """Raise UnsupportedError for a type of scaling that transformers does not know."""
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    settings = getattr(config, "rope_parameters", None)
    if not isinstance(settings, dict):
        return
    by_layer = [entry for entry in settings.values() if isinstance(entry, dict)]
    for entry in (settings, *by_layer):
        kind = entry.get("rope_type", "default")
        if kind != "default" and kind not in ROPE_INIT_FUNCTIONS:
            raise _unsupported(kind, "config.json, rope_parameters")


def _unsupported(kind: object, location: str) -> UnsupportedError:
    return UnsupportedError(
        f"rotary embedding of type '{kind}' is not supported",
        limit=", ".join(FIXED_ROPE_TYPES),
        advice="use a model or a config whose frequencies do not change while running",
        location=location,
    )


def require_fixed_rope(model: nn.Module) -> None:
    """Raise UnsupportedError for a scaling that depends on the running sequence."""
    for path, module in rotary_modules(model).items():
        kind: Any = getattr(module, "rope_type", "default")
        if kind not in FIXED_ROPE_TYPES:
            raise _unsupported(kind, path)


@contextmanager
def rotary_by_lookup(
    model: nn.Module, *, length: int, dtype: torch.dtype
) -> Iterator[None]:
    """Put tables of a length in the place of a model's rotary modules meanwhile."""
    found = rotary_modules(model)
    tables: dict[nn.Module, RotaryTable] = {}
    try:
        for path, module in found.items():
            if module not in tables:
                tables[module] = RotaryTable(module, length=length, dtype=dtype)
            model.set_submodule(path, tables[module])
        yield
    finally:
        for path, module in found.items():
            model.set_submodule(path, module)
