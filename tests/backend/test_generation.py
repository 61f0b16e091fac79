"""Prefill and decode over one cache, on the emulator, against PyTorch step by step."""

from __future__ import annotations

from dataclasses import dataclass
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

VOCABULARY, LENGTH, CACHE, STEPS = 320, 64, 128, 5
PCC = 0.9999

SIZES = {
    "hidden_size": 128,
    "intermediate_size": 192,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 256,
}

CONFIGS: dict[str, PretrainedConfig] = {
    "llama": LlamaConfig(**SIZES, tie_word_embeddings=True),
    "qwen2": Qwen2Config(**SIZES, tie_word_embeddings=False),
    "qwen3": Qwen3Config(**SIZES, tie_word_embeddings=True),
}


@dataclass
class Subject:
    """A model in PyTorch, in float32 with bf16 weights, and on the emulator."""

    reference: Any
    emulator: Emulator

    def logits(self, tokens: list[int]) -> np.ndarray:
        """The last logits of PyTorch for a sequence."""
        with torch.no_grad():
            return self.reference(torch.tensor([tokens])).logits[0, -1].numpy()


def build(
    config: PretrainedConfig, batch: int, disabled: tuple[str, ...] = ()
) -> Subject:
    torch.manual_seed(1)
    model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()
    read, context = netlist_of(
        model, prefill=LENGTH, cache=CACHE, batch=batch, disabled=disabled
    )
    require_sound(read, load_chip("n150"))
    return Subject(model.float(), Emulator(read, arrays_of(context)))


def close(got: np.ndarray, wanted: np.ndarray) -> None:
    assert np.corrcoef(got.reshape(-1), wanted.reshape(-1))[0, 1] >= PCC


@pytest.mark.parametrize(
    ("name", "batch"), [("llama", 1), ("qwen2", 1), ("qwen3", 1), ("qwen3", 3)]
)
def test_each_step_agrees_with_pytorch(name: str, batch: int) -> None:
    """Prompts differ in length, and a step crosses a tile of the cache."""
    subject = build(CONFIGS[name], batch)
    generator = np.random.default_rng(3)
    users = [
        generator.integers(0, VOCABULARY, 30 + 7 * user).tolist()
        for user in range(batch)
    ]
    for user, tokens in enumerate(users):
        ids = np.zeros((1, LENGTH), np.int64)
        ids[0, : len(tokens)] = tokens
        given = {"prefill.input_ids": ids, "prefill.last": np.array([len(tokens) - 1])}
        if batch > 1:
            given["prefill.user"] = np.array([user])
        (logits,) = subject.emulator.run(given, "prefill").values()
        close(logits, subject.logits(tokens))
    for _ in range(STEPS):
        new = generator.integers(0, VOCABULARY, batch)
        positions = np.array([len(tokens) for tokens in users])
        given = {"decode.input_ids": new[None], "decode.positions": positions}
        (logits,) = subject.emulator.run(given, "decode").values()
        for tokens, token, own in zip(users, new, logits[0], strict=True):
            tokens.append(int(token))
            close(own, subject.logits(tokens))


def test_deeper_models_have_no_more_programs() -> None:
    """Layers between the first and the last share all of theirs."""
    configs = [Qwen3Config(**SIZES | {"num_hidden_layers": n}) for n in (2, 5)]
    machines = [build(config, 1).emulator.machine for config in configs]
    assert set(machines[0].programs) == set(machines[1].programs)


def test_a_position_behind_the_cache_is_refused() -> None:
    subject = build(CONFIGS["llama"], 1)
    given = {"decode.input_ids": np.array([[1]]), "decode.positions": np.array([CACHE])}
    with pytest.raises(Exception, match="outside of its range"):
        subject.emulator.run(given, "decode")


def test_users_that_do_not_divide_among_the_cores() -> None:
    """Five users on cores of which the last has fewer: no position is made up."""
    subject = build(CONFIGS["llama"], 5)
    machine = subject.emulator.machine
    shares = {
        (axis.extent, axis.part)
        for axis in machine.programs["decode_attention"].axes.values()
        if axis.name == "b"
    }
    assert shares
    for user in range(5):
        ids = np.full((1, LENGTH), user)
        given = {
            "prefill.input_ids": ids,
            "prefill.last": np.array([LENGTH - 1]),
            "prefill.user": np.array([user]),
        }
        subject.emulator.run(given, "prefill")
    given = {
        "decode.input_ids": np.arange(5)[None],
        "decode.positions": np.full(5, LENGTH),
    }
    (logits,) = subject.emulator.run(given, "decode").values()
    for user, own in enumerate(logits[0]):
        close(own, subject.logits([user] * (LENGTH + 1)))
