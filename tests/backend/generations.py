"""Causal LMs with their caches, from PyTorch to a netlist, for the tests here."""

from __future__ import annotations

from typing import Any

import numpy as np

from backend.assemble import assemble_netlist
from dialects.netlist_text import parse_netlist, print_netlist
from dialects.tensix import NetlistOp
from forge.frontends.generation import import_generation
from passes.context import CompileContext
from passes.pipeline import run_pipeline


def netlist_of(
    model: Any,
    *,
    prefill: int,
    cache: int,
    batch: int,
    disabled: tuple[str, ...] = (),
) -> tuple[NetlistOp, CompileContext]:
    """The netlist of a model, as it reads when it was printed, and its values."""
    found = import_generation(
        model, prefill_lengths=[prefill], cache_length=cache, batch=batch
    )
    context = CompileContext(values=dict(found.values))
    run_pipeline(
        context, found.module, chip="n150", weights_format="bf16", disabled=disabled
    )
    netlist = assemble_netlist(found.module, name="case", chip="n150")
    read = parse_netlist(print_netlist(netlist))
    assert netlist.is_structurally_equivalent(read)
    return read, context


def arrays_of(context: CompileContext) -> dict[str, np.ndarray]:
    """The values of a compile as the emulator takes them."""
    return {
        name: (v.float() if v.is_floating_point() else v).detach().numpy()
        for name, v in context.values.items()
    }
