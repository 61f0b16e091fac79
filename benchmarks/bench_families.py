"""Families at full depth: logits of prefill and decode beside PyTorch in bf16.

Random weights, from the published configs. A prefill of 128 tokens, then 8 decode
steps; PCC of the logits at each step. `python -m benchmarks families`.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch

from benchmarks import Row
from forge.compiler import CompileOptions, GenerationShape, compile_generation
from forge.frontends.huggingface import LoadedCausalLM, quiet_transformers
from forge.generate import Session
from tests.e2e.greedy import last_logits

PROMPT, STEPS, CACHE = 128, 8, 160
TARGET = 0.999
SEED = 7

COMMON = {"hidden_act": "silu", "tie_word_embeddings": True}
FAMILIES: dict[str, dict[str, Any]] = {
    "Qwen2.5-0.5B": {
        "model_type": "qwen2",
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_attention_heads": 14,
        "num_hidden_layers": 24,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1e6,
        "vocab_size": 151936,
    },
    "Qwen3-0.6B": {
        "model_type": "qwen3",
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_attention_heads": 16,
        "num_hidden_layers": 28,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 40960,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1e6,
        "vocab_size": 151936,
    },
    "Llama-3.2-1B": {
        "model_type": "llama",
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_attention_heads": 32,
        "num_hidden_layers": 16,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "rope_scaling": {
            "factor": 32.0,
            "high_freq_factor": 4.0,
            "low_freq_factor": 1.0,
            "original_max_position_embeddings": 8192,
            "rope_type": "llama3",
        },
        "vocab_size": 128256,
    },
}
"""As published, each in its config.json."""


def run() -> list[Row]:
    return [row for name in FAMILIES for row in family_rows(name)]


def family_rows(name: str) -> list[Row]:
    """The worst PCC of a family; each step is shown."""
    module = random_model(FAMILIES[name])
    shape = GenerationShape(CACHE, prefill=(PROMPT,))
    model = compile_generation(
        LoadedCausalLM(module, None, module.config),
        name,
        shape=shape,
        options=CompileOptions(),
    )
    session = Session(model)
    generator = np.random.default_rng(SEED)
    vocabulary = module.config.vocab_size
    tokens = generator.integers(0, vocabulary, PROMPT).tolist()
    found = [pcc(session.prefill(0, tokens), last_logits(module, tokens))]
    for _ in range(STEPS):
        tokens.append(int(generator.integers(0, vocabulary)))
        logits = session.step({0: tokens[-1]})[0]
        found.append(pcc(logits, last_logits(module, tokens)))
    steps = " ".join(f"{value:.5f}" for value in found)
    print(f"{name}: prefill, then steps: {steps}", file=sys.stderr)
    note = f"the lowest of prefill and {STEPS} steps"
    return [
        {
            "what": f"{name}, PCC with PyTorch's bf16",
            "value": round(min(found), 6),
            "unit": "",
            "target": TARGET,
            "more_is_better": True,
            "note": note,
        }
    ]


def random_model(settings: dict[str, Any]) -> Any:
    """The model in bf16, its weights drawn."""
    from transformers import AutoConfig, AutoModelForCausalLM

    with quiet_transformers(), torch.random.fork_rng():
        torch.manual_seed(SEED)
        config = AutoConfig.for_model(**(COMMON | settings))
        return AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()


def pcc(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's correlation."""
    return float(np.corrcoef(first.reshape(-1), second.reshape(-1))[0, 1])
