"""The models of the paper, the calls that are timed, and what the paper published.

The paper is "Operator Fusion for LLM Inference on the Tensix Architecture",
arXiv:2606.09879; its figures are those of its Table 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

LAYERS = 3
"""Layers that are compiled: the middle one is timed, with others before and after."""
TIMED_LAYER = 1
VOCABULARY = 2048
"""Tokens that are compiled: embedding and head are in no layer."""
CACHE, POSITION = 1024, 128
"""Tokens that a cache holds, and those before the token of a decode step."""

NORM_QKV, AFTER_QKV = "norm and q, k, v", "attention after q, k, v"
NORM_GATE_UP, AFTER_GATE_UP = "norm and gate, up", "MLP after gate, up"
PARTS = MappingProxyType(
    {
        "input_layernorm": NORM_QKV,
        "self_attn.q_proj": NORM_QKV,
        "self_attn.k_proj": NORM_QKV,
        "self_attn.v_proj": NORM_QKV,
        "self_attn": AFTER_QKV,
        "post_attention_layernorm": NORM_GATE_UP,
        "mlp.gate_proj": NORM_GATE_UP,
        "mlp.up_proj": NORM_GATE_UP,
        "mlp": AFTER_GATE_UP,
    }
)
"""The part of a layer by the module path inside it, as transformers names them.

What the layer itself computes, residual sums, belongs to the part before it."""

ATTENTION, MLP, LAYER = "attention", "MLP", "decoder layer"
BLOCKS = MappingProxyType(
    {
        ATTENTION: (NORM_QKV, AFTER_QKV),
        MLP: (NORM_GATE_UP, AFTER_GATE_UP),
        LAYER: (NORM_QKV, AFTER_QKV, NORM_GATE_UP, AFTER_GATE_UP),
    }
)
"""What is compared as a whole, and its parts."""
KERNELS = MappingProxyType({ATTENTION: NORM_QKV, MLP: NORM_GATE_UP})
"""The part of a block that one kernel of the paper computes."""


@dataclass(frozen=True)
class PaperModel:
    """A model of Table 1. `config` is its published config.json, `reductions` the
    latency that fusion saved on its `published_cores`, in percent by block, `pcc` that
    of the fused with the baseline."""

    name: str
    config: Mapping[str, Any]
    chip: str
    published_cores: int
    reductions: Mapping[str, float]
    pcc: float


def _reductions(attention: float, mlp: float, layer: float) -> Mapping[str, float]:
    return MappingProxyType({ATTENTION: attention, MLP: mlp, LAYER: layer})


_COMMON = {
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "tie_word_embeddings": True,
}

MODELS = (
    PaperModel(
        "Qwen2.5-0.5B",
        # huggingface.co/Qwen/Qwen2.5-0.5B/blob/main/config.json
        {
            **_COMMON,
            "model_type": "qwen2",
            "hidden_size": 896,
            "intermediate_size": 4864,
            "num_attention_heads": 14,
            "num_key_value_heads": 2,
            "max_position_embeddings": 32768,
        },
        "n150",
        64,
        _reductions(37.44, 12.04, 7.91),
        0.9994,
    ),
    PaperModel(
        "Qwen3-0.6B",
        # huggingface.co/Qwen/Qwen3-0.6B/blob/main/config.json
        {
            **_COMMON,
            "model_type": "qwen3",
            "hidden_size": 1024,
            "intermediate_size": 3072,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "max_position_embeddings": 40960,
        },
        "n150",
        64,
        _reductions(18.53, 5.66, 4.58),
        0.9957,
    ),
    PaperModel(
        "Qwen3-4B",
        # huggingface.co/Qwen/Qwen3-4B/blob/main/config.json
        {
            **_COMMON,
            "model_type": "qwen3",
            "hidden_size": 2560,
            "intermediate_size": 9728,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "max_position_embeddings": 40960,
        },
        "n300-as-one",
        128,
        _reductions(10.63, 15.89, 3.58),
        0.9875,
    ),
)


@dataclass(frozen=True)
class Phase:
    """A call of a model: a prompt of `tokens` of one user, or a step of `batch` users
    behind `POSITION` tokens each."""

    name: str
    tokens: int | None = None
    batch: int = 1


PHASES = (
    Phase("prefill-32", tokens=32),
    Phase("prefill-128", tokens=128),
    Phase("prefill-512", tokens=512),
    Phase("decode-1"),
    Phase("decode-32", batch=32),
)
QUICK_PHASES = ("prefill-128", "decode-1")
