"""What passes know beside the module: the values of its parameters and constants."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xdsl.context import Context

if TYPE_CHECKING:
    import torch


@dataclass
class CompileContext(Context):
    """xDSL's context, and the values that are never in the IR."""

    values: dict[str, torch.Tensor] = field(default_factory=dict, kw_only=True)
    """Argument name -> value. `fold-constants` adds to it and takes from it."""

    def clone(self) -> CompileContext:
        base = super().clone()
        return CompileContext(*vars(base).values(), values=dict(self.values))


def values_of(ctx: Context) -> dict[str, torch.Tensor]:
    """The values of a context; none, for a tool that has only the text."""
    return ctx.values if isinstance(ctx, CompileContext) else {}
