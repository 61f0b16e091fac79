"""What passes know beside the module: values of parameters, and who times a program."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from xdsl.context import Context

if TYPE_CHECKING:
    import torch

    from dialects.errors import ForgeError
    from dialects.grid import ProgramOp, UsesAttr
    from passes.decisions import Decision


class ProgramTimer(Protocol):
    """Knows what a placed program costs on the chip; `forge` has one."""

    def cycles(self, program: ProgramOp) -> float:
        """Cycles of one launch. Raises `ForgeError` where it cannot be one."""
        ...

    def faults(self, program: ProgramOp) -> list[ForgeError]:
        """What a netlist of this program alone would be refused for."""
        ...


@dataclass
class CompileContext(Context):
    """xDSL's context, the values that are never in the IR, and what was decided."""

    values: dict[str, torch.Tensor] = field(default_factory=dict, kw_only=True)
    """Argument name -> value. `fold-constants` adds to it and takes from it."""

    timer: ProgramTimer | None = field(default=None, kw_only=True)
    """Times candidates. Without one, first-order prices decide."""

    known_decisions: dict[Hashable, tuple[Decision, UsesAttr]] = field(
        default_factory=dict, kw_only=True
    )
    """What `choose-grid` need not weigh again: clones share it."""

    decisions: list[Decision] = field(default_factory=list, kw_only=True)
    """What `choose-grid` weighed and chose, program by program."""

    def clone(self) -> CompileContext:
        base = super().clone()
        return CompileContext(
            *vars(base).values(),
            values=dict(self.values),
            timer=self.timer,
            known_decisions=self.known_decisions,
            decisions=list(self.decisions),
        )


def values_of(ctx: Context) -> dict[str, torch.Tensor]:
    """The values of a context; none, for a tool that has only the text."""
    return ctx.values if isinstance(ctx, CompileContext) else {}


def timer_of(ctx: Context) -> ProgramTimer | None:
    """Who times programs; nobody, for a tool that has only the text."""
    return ctx.timer if isinstance(ctx, CompileContext) else None


def note_decision(ctx: Context, decision: Decision) -> None:
    """Keep a decision for those who ask why."""
    if isinstance(ctx, CompileContext):
        ctx.decisions.append(decision)
