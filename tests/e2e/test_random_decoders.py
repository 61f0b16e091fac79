"""Decoders of random shapes compile, run and agree with PyTorch.

Heads, widths and lengths that divide neither by tiles nor by the grid; with biases of
Qwen2, with norms of queries and keys of Qwen3, or plain as Llama.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forge.artifact import CausalLMInfo
from forge.compiler import CompileOptions, compile_imported
from forge.frontends.huggingface import import_causal_lm

transformers = pytest.importorskip("transformers")

VOCABULARY = 160
NOISE = 1.25
"""How much farther than PyTorch's own bf16 a result may be from its float32."""


@st.composite
def shapes(draw: st.DrawFn) -> dict[str, Any]:
    """A decoder: its family, heads, widths and the length of a prompt."""
    groups = draw(st.integers(1, 3))
    return {
        "model_type": draw(st.sampled_from(["llama", "qwen2", "qwen3"])),
        "num_key_value_heads": groups,
        "num_attention_heads": groups * draw(st.integers(1, 3)),
        "head_dim": draw(st.sampled_from([64, 128])),
        "hidden_size": 8 * draw(st.integers(5, 60)),
        "intermediate_size": 8 * draw(st.integers(5, 90)),
        "seq_len": draw(st.integers(1, 100)),
    }


@pytest.mark.slow
@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(shapes())
def test_a_decoder_of_any_shape_agrees_with_pytorch(shape: dict[str, Any]) -> None:
    torch.manual_seed(0)
    given_shape = dict(shape)
    length = given_shape.pop("seq_len")
    config = transformers.AutoConfig.for_model(
        given_shape.pop("model_type"),
        num_hidden_layers=1,
        vocab_size=VOCABULARY,
        max_position_embeddings=128,
        **given_shape,
    )
    module = transformers.AutoModelForCausalLM.from_config(config).eval()
    ids = torch.randint(0, VOCABULARY, (1, length))
    with torch.no_grad():
        exact = module(ids).logits.double().numpy().ravel()
        module = module.to(torch.bfloat16)
        rounded = module(ids).logits.double().numpy().ravel()
    imported = import_causal_lm(module, seq_len=length, name="main")
    info = CausalLMInfo(length)
    model = compile_imported(imported, "decoder", CompileOptions(), causal_lm=info)
    found = np.asarray(model(ids), dtype=np.float64).ravel()
    error = np.linalg.norm(found - exact) / np.linalg.norm(exact)
    noise = np.linalg.norm(rounded - exact) / np.linalg.norm(exact)
    assert error <= NOISE * noise
    assert np.corrcoef(found, exact)[0, 1] >= 0.999
