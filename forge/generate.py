"""Greedy generation: the whole padded prompt is run again for each token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forge.compiled_model import CompiledModel
from forge.errors import UsageError


@dataclass(frozen=True)
class Token:
    """A generated token and the text that it adds."""

    number: int
    text: str


def encode_prompt(tokenizer: Any, prompt: str, *, chat: bool) -> list[int]:
    """Token numbers of a prompt, in the model's chat template if it has one."""
    if chat and getattr(tokenizer, "chat_template", None):
        messages = [{"role": "user", "content": prompt}]
        text = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])
    return list(tokenizer(prompt)["input_ids"])


def generate_tokens(
    model: CompiledModel, prompt: Sequence[int], *, max_new_tokens: int
) -> Iterator[int]:
    """Yield token numbers until a stop token, the limit, or the compiled length.

    Positions behind the prompt hold token 0; attention is causal, so they change
    nothing before them. Raises `UsageError` if the prompt does not fit.
    """
    length = require_prompt_fits(model, prompt)
    assert model.causal_lm is not None
    tokens = list(prompt)
    for _ in range(max_new_tokens):
        ids = np.zeros((1, length), np.int64)
        ids[0, : len(tokens)] = tokens
        logits = model(ids).numpy()
        chosen = int(logits.reshape(length, -1)[len(tokens) - 1].argmax())
        yield chosen
        tokens.append(chosen)
        if chosen in model.causal_lm.stop_tokens or len(tokens) >= length:
            return


def require_prompt_fits(model: CompiledModel, prompt: Sequence[int]) -> int:
    """Return the compiled length; `UsageError` if the prompt is longer, or empty."""
    if model.causal_lm is None:
        raise UsageError(f"'{model.name}' is not a language model")
    length = model.causal_lm.seq_len
    if not prompt or len(prompt) > length:
        raise UsageError(
            "the prompt does not fit the compiled length",
            limit=f"1 to {length} tokens",
            value=f"{len(prompt)} tokens",
            advice=f"shorten it, or compile with --seq-len {len(prompt) + 32}",
        )
    return length


def generate(
    model: CompiledModel,
    tokenizer: Any,
    prompt: str,
    *,
    max_new_tokens: int = 32,
    chat: bool = True,
) -> Iterator[Token]:
    """Yield tokens with the text that each adds; special tokens add none."""
    start = encode_prompt(tokenizer, prompt, chat=chat)
    numbers: list[int] = []
    shown = ""
    for number in generate_tokens(model, start, max_new_tokens=max_new_tokens):
        numbers.append(number)
        text = tokenizer.decode(numbers, skip_special_tokens=True)
        if text.endswith("\ufffd"):
            yield Token(number, "")
            continue
        yield Token(number, text[len(shown) :])
        shown = text
