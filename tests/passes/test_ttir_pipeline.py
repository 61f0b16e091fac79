"""The `ttir` pipeline keeps the numbers of small decoders and gives them one form."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

from forge.frontends.huggingface import import_causal_lm, quiet_transformers
from passes.ttir_pipeline import TTIR_PIPELINE
from tests.support.ttir_reference import (
    apply_passes,
    main_of,
    op_names,
    pcc,
    run_imported,
    run_module,
)

SEQUENCE = 40

PROJECTION = ["linear", "reshape", "permute"]
ROTARY = ["multiply", "slice_static", "slice_static", "concat", "multiply", "add"]
MLP = ["rms_norm", "linear", "silu", "linear", "multiply", "linear", "add"]
ATTENTION = [
    "scaled_dot_product_attention",
    *("permute", "reshape", "linear", "add"),
]
LLAMA_LAYER = ["rms_norm", *PROJECTION * 3, *ROTARY * 2, *ATTENTION, *MLP]
QK_NORM_LAYER = [
    "rms_norm",
    *("linear", "reshape", "rms_norm", "permute") * 2,
    *PROJECTION,
    *ROTARY * 2,
    *ATTENTION,
    *MLP,
]


@cache
def small_decoder(family: str, attention: str, dtype: torch.dtype) -> nn.Module:
    """Two layers, grouped heads, random norm weights and biases."""
    import transformers

    with quiet_transformers():
        config_class: Any = getattr(transformers, f"{family}Config")
        model_class: Any = getattr(transformers, f"{family}ForCausalLM")
        config = config_class(
            hidden_size=96,
            intermediate_size=160,
            num_hidden_layers=2,
            num_attention_heads=6,
            num_key_value_heads=2,
            head_dim=16,
            vocab_size=200,
            tie_word_embeddings=True,
            attn_implementation=attention,
        )
        with torch.random.fork_rng():
            torch.manual_seed(7)
            model = model_class._from_config(config, dtype=dtype).eval()
            for name, parameter in model.named_parameters():
                if "norm" in name or "bias" in name:
                    nn.init.uniform_(parameter, 0.5, 1.5)
    return model


def token_ids() -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 200, (1, SEQUENCE), generator=generator)


FAMILIES = pytest.mark.parametrize(
    ("family", "layer"),
    [
        ("Llama", LLAMA_LAYER),
        ("Qwen2", LLAMA_LAYER),
        ("Qwen3", QK_NORM_LAYER),
    ],
)


@FAMILIES
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_decoder_keeps_its_numbers(
    family: str, layer: list[str], attention: str
) -> None:
    model = small_decoder(family, attention, torch.float32)
    ids = token_ids()
    with torch.no_grad():
        expected = model(ids, use_cache=False).logits
    imported = import_causal_lm(model, seq_len=SEQUENCE)
    imported.module.verify()
    (before,) = run_imported(imported, ids)
    assert pcc(before, expected) >= 0.999999

    values = apply_passes(imported.module, TTIR_PIPELINE, imported.values)

    (after,) = run_module(imported.module, [ids], values)
    assert pcc(after, expected) >= 0.9999
    torch.testing.assert_close(after, expected, rtol=1e-3, atol=1e-4)
    assert op_names(imported.module) == [
        "embedding",
        *layer * 2,
        "rms_norm",
        "linear",
    ]


@FAMILIES
def test_bf16_decoder_takes_the_same_form(family: str, layer: list[str]) -> None:
    model = small_decoder(family, "sdpa", torch.bfloat16)
    ids = token_ids()
    with torch.no_grad():
        expected = model(ids, use_cache=False).logits
    imported = import_causal_lm(model, seq_len=SEQUENCE)
    values = apply_passes(imported.module, TTIR_PIPELINE, imported.values)
    (after,) = run_module(imported.module, [ids], values)
    assert pcc(after, expected) >= 0.999
    wide_logits = ["rms_norm", "linear", "typecast"]
    assert op_names(imported.module) == ["embedding", *layer * 2, *wide_logits]
    tables = [name for name in values if "rotary" in name]
    assert tables == ["model.rotary_emb.cos", "model.rotary_emb.sin_signed"]


def test_attention_is_causal_with_grouped_heads() -> None:
    imported = import_causal_lm(
        small_decoder("Llama", "sdpa", torch.float32), seq_len=SEQUENCE
    )
    apply_passes(imported.module, TTIR_PIPELINE, imported.values)
    from dialects import ttir

    found = [
        op
        for op in main_of(imported.module).body.block.ops
        if isinstance(op, ttir.ScaledDotProductAttentionOp)
    ]
    assert len(found) == 2
    for op in found:
        assert op.causal
        assert op.softmax_scale == pytest.approx(16**-0.5)
        assert ttir.shape_of(op.key)[1] == 2


def test_pipeline_twice_changes_nothing() -> None:
    imported = import_causal_lm(
        small_decoder("Qwen3", "sdpa", torch.bfloat16), seq_len=SEQUENCE
    )
    values = apply_passes(imported.module, TTIR_PIPELINE, imported.values)
    once, names = str(imported.module), list(values)
    values = apply_passes(imported.module, TTIR_PIPELINE, values)
    assert str(imported.module) == once
    assert list(values) == names


def test_model_without_weights_takes_the_same_form() -> None:
    import transformers

    with quiet_transformers(), torch.device("meta"):
        config = small_decoder("Llama", "sdpa", torch.bfloat16).config
        model = transformers.LlamaForCausalLM._from_config(
            config, dtype=torch.bfloat16
        ).eval()
    imported = import_causal_lm(model, seq_len=SEQUENCE)
    values = apply_passes(imported.module, TTIR_PIPELINE, imported.values)
    assert op_names(imported.module)[1:-3] == LLAMA_LAYER * 2
    assert all(value.is_meta for value in values.values())
