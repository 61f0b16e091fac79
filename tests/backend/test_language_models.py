"""A small Llama at lengths that do and do not fill tiles, against PyTorch in bf16."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from forge.artifact import CausalLMInfo
from forge.compiler import CompileOptions, compile_imported
from forge.frontends.huggingface import import_causal_lm

transformers = pytest.importorskip("transformers")


@pytest.mark.parametrize("length", [1, 33, 45, 64])
def test_logits_agree_with_pytorch(length: int) -> None:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        hidden_size=192,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=3,
        num_key_value_heads=1,
        vocab_size=256,
    )
    module = transformers.LlamaForCausalLM(config).to(torch.bfloat16).eval()
    imported = import_causal_lm(module, seq_len=length, name="main")
    info = CausalLMInfo(length)
    model = compile_imported(imported, "llama", CompileOptions(), causal_lm=info)
    ids = torch.randint(0, 256, (1, length))
    got = np.asarray(model(ids), dtype=np.float64).ravel()
    with torch.no_grad():
        expected = module(ids).logits.double().numpy().ravel()
    assert np.corrcoef(got, expected)[0, 1] >= 0.999
