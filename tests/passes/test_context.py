"""The context of passes: a clone has its own table of values."""

from __future__ import annotations

import torch
from xdsl.context import Context

from passes.context import CompileContext, values_of


def test_clone_keeps_values_apart() -> None:
    ctx = CompileContext(values={"weight": torch.ones(2)})
    clone = ctx.clone()
    values_of(clone)["other"] = torch.zeros(1)
    assert list(values_of(ctx)) == ["weight"]
    assert list(values_of(clone)) == ["weight", "other"]


def test_context_of_a_text_tool_has_no_values() -> None:
    assert values_of(Context()) == {}
