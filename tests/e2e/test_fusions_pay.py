"""No fusion makes a decoder slower than leaving it out, whatever its shape.

Two layers at widths and lengths that divide neither by tiles nor by the grid; what
`choose-grid` and `weigh_fusions` decide is judged by the cycles of whole entries.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from xdsl.dialects.builtin import ModuleOp

from forge.artifact import CausalLMInfo
from forge.compiler import CompileOptions, compile_imported
from forge.frontends.generation import ImportedGeneration, import_generation
from passes.switches import NAMES

transformers = pytest.importorskip("transformers")

FUSIONS = [name for name in NAMES if name.endswith("-fusion")]
FUSIONS += ["merge-projections", "split-heads", "head-groups"]
FUSIONS += ["row-parts", "square-sums", "split-k"]
FUSIONS.remove("weighed-fusion")  # what declines the others

MOST = 1.02
"""Cycles with a fusion, of those without it, that may not be exceeded."""

CACHE = 96
SHAPES: dict[str, dict[str, Any]] = {
    "wide, three groups of heads": {
        "model_type": "qwen3",
        "num_key_value_heads": 3,
        "num_attention_heads": 6,
        "head_dim": 64,
        "hidden_size": 456,
        "intermediate_size": 1304,
    },
    "narrow, one group": {
        "model_type": "llama",
        "num_key_value_heads": 1,
        "num_attention_heads": 5,
        "head_dim": 64,
        "hidden_size": 360,
        "intermediate_size": 712,
    },
}


def imported(shape: dict[str, Any]) -> ImportedGeneration:
    """Prefill of 70 tokens and decode; weights are never looked at."""
    widths = dict(shape)
    config = transformers.AutoConfig.for_model(
        widths.pop("model_type"),
        num_hidden_layers=2,
        vocab_size=64,
        max_position_embeddings=CACHE,
        **widths,
    )
    with torch.device("meta"):
        module = transformers.AutoModelForCausalLM.from_config(
            config, dtype=torch.bfloat16
        )
    return import_generation(
        module.eval(), prefill_lengths=[70], cache_length=CACHE, name="decoder"
    )


def cycles(given: ImportedGeneration, off: tuple[str, ...]) -> dict[str, float]:
    """Cycles of each entry, gaps between launches included."""
    module = given.module.clone()
    assert isinstance(module, ModuleOp)
    copy = replace(given, module=module, values=dict(given.values))
    info = CausalLMInfo(CACHE, (), 1, {"prefill": 70}, "decode")
    options = CompileOptions(disabled=off)
    model = compile_imported(copy, "decoder", options, causal_lm=info)
    return {entry: p.total_cycles for entry, p in model.profiles().items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_no_fusion_loses(name: str) -> None:
    given = imported(SHAPES[name])
    everything = cycles(given, ())
    for fusion in FUSIONS:
        for entry, without in cycles(given, (fusion,)).items():
            assert everything[entry] <= MOST * without, (fusion, entry)
