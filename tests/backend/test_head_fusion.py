"""Norms, rotary embedding and cache writes of heads, with and without their fusion.

Decoders whose heads do not divide among the cores, with one head of keys, with biases
and with norms of heads, step by step against PyTorch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    PretrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from dialects.checks import require_sound
from dialects.chip import load_chip
from runtime.emulator import Emulator
from tests.backend.generations import arrays_of, netlist_of

VOCABULARY, LENGTH, CACHE = 64, 64, 96
PCC = 0.9999

SIZES = {
    "hidden_size": 96,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 256,
    "tie_word_embeddings": True,
}


def sizes(heads: int, groups: int, width: int) -> dict[str, Any]:
    return SIZES | {
        "num_attention_heads": heads,
        "num_key_value_heads": groups,
        "head_dim": width,
    }


CONFIGS: dict[str, PretrainedConfig] = {
    "norms of heads": Qwen3Config(**sizes(3, 1, 128)),
    "biases": Qwen2Config(**sizes(6, 2, 64)),
    "neither": LlamaConfig(**sizes(3, 3, 64)),
}


class Decoder:
    """A decoder in PyTorch, in float32 with bf16 weights, and on the emulator."""

    def __init__(
        self,
        config: PretrainedConfig,
        *,
        batch: int = 1,
        disabled: tuple[str, ...] = (),
        numerics: str = "fast",
    ):
        torch.manual_seed(1)
        model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        read, context = netlist_of(
            model.eval(), prefill=LENGTH, cache=CACHE, batch=batch, disabled=disabled
        )
        require_sound(read, load_chip("n150"))
        self.batch = batch
        self.reference = model.float()
        self.emulator = Emulator(read, arrays_of(context), numerics=numerics)
        self.programs = set(self.emulator.machine.programs)

    def check(self, steps: int) -> None:
        """Prompts of different lengths, then steps; all logits as PyTorch's."""
        generator = np.random.default_rng(3)
        users = [
            generator.integers(0, VOCABULARY, 30 + 17 * user).tolist()
            for user in range(self.batch)
        ]
        for user, tokens in enumerate(users):
            self._prefill(user, tokens)
        for _ in range(steps):
            new = generator.integers(0, VOCABULARY, self.batch)
            positions = np.array([len(tokens) for tokens in users])
            given = {"decode.input_ids": new[None], "decode.positions": positions}
            (logits,) = self.emulator.run(given, "decode").values()
            for tokens, token, own in zip(users, new, logits[0], strict=True):
                tokens.append(int(token))
                self._compare(own, tokens)

    def _prefill(self, user: int, tokens: list[int]) -> None:
        ids = np.zeros((1, LENGTH), np.int64)
        ids[0, : len(tokens)] = tokens
        given = {"prefill.input_ids": ids, "prefill.last": np.array([len(tokens) - 1])}
        if self.batch > 1:
            given["prefill.user"] = np.array([user])
        (logits,) = self.emulator.run(given, "prefill").values()
        self._compare(logits, tokens)

    def _compare(self, got: np.ndarray, tokens: list[int]) -> None:
        with torch.no_grad():
            wanted = self.reference(torch.tensor([tokens])).logits[0, -1].numpy()
        assert np.corrcoef(got.reshape(-1), wanted.reshape(-1))[0, 1] >= PCC


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", CONFIGS)
def test_all_fused(name: str, batch: int) -> None:
    """One program from the norm to the caches; positions cross a tile."""
    decoder = Decoder(CONFIGS[name], batch=batch)
    decoder.check(steps=4)
    assert "rms_norm_matmul_rotate_update_cache" in decoder.programs
    assert "rms_norm_matmul_rotate_fill_cache" in decoder.programs
    assert not decoder.programs & {"multiply_add", "update_cache", "fill_cache"}


@pytest.mark.parametrize(
    "disabled",
    [
        ("split-heads",),
        ("rope-fusion",),
        ("cache-fusion",),
        ("rope-fusion", "cache-fusion"),
        ("rms-norm-fusion",),
        ("epilogue-fusion",),
        ("merge-projections",),
        ("merge-projections", "cache-fusion"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("name", CONFIGS)
def test_switched_off(name: str, disabled: tuple[str, ...]) -> None:
    Decoder(CONFIGS[name], disabled=disabled).check(steps=1)


@pytest.mark.parametrize("name", CONFIGS)
def test_exact_numerics(name: str) -> None:
    Decoder(CONFIGS[name], numerics="exact").check(steps=1)
