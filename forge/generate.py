"""Greedy generation: the whole padded prompt is run again for each token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forge.compiled_model import CompiledModel
from forge.errors import ForgeError

UNFINISHED = "\ufffd"
"""What a tokenizer writes for the first bytes of a character that goes on."""


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
    nothing before them. Raises `ForgeError` if the prompt does not fit.
    """
    length = require_prompt_fits(model, prompt)
    assert model.causal_lm is not None
    tokens = list(prompt)
    for _ in range(min(max_new_tokens, length + 1 - len(prompt))):
        ids = np.zeros((1, length), np.int64)
        ids[0, : len(tokens)] = tokens
        logits = model(ids).numpy()
        chosen = int(logits.reshape(length, -1)[len(tokens) - 1].argmax())
        yield chosen
        tokens.append(chosen)
        if chosen in model.causal_lm.stop_tokens:
            return


def require_prompt_fits(model: CompiledModel, prompt: Sequence[int]) -> int:
    """Return the compiled length. Raises `ForgeError` for a prompt that is longer or
    empty, or holds a token that the model does not have."""
    length = model.sequence_length
    if not prompt or len(prompt) > length:
        raise ForgeError(
            "the prompt does not fit the compiled length",
            limit=f"1 to {length} tokens",
            value=f"{len(prompt)} tokens",
            advice=f"shorten it, or compile with --seq-len {len(prompt) + 32}",
        )
    vocabulary = model.machine.buffers_with_role("output")[0].tensor.shape[-1]
    if max(prompt) >= vocabulary or min(prompt) < 0:
        raise ForgeError(
            "the model has no such token",
            limit=f"0 to {vocabulary - 1}",
            value=max(prompt) if min(prompt) >= 0 else min(prompt),
            advice="use the tokenizer that belongs to this model",
        )
    return length


def generate(
    model: CompiledModel,
    prompt: Sequence[int],
    *,
    tokenizer: Any = None,
    max_new_tokens: int = 32,
) -> Iterator[Token]:
    """Yield tokens with the text that each adds; special tokens add none.

    Without a tokenizer the text is the tokens' numbers.
    """
    numbers: list[int] = []
    shown = ""
    for number in generate_tokens(model, prompt, max_new_tokens=max_new_tokens):
        numbers.append(number)
        if tokenizer is None:
            yield Token(number, f"{number} ")
            continue
        text = tokenizer.decode(numbers, skip_special_tokens=True)
        if text.endswith(UNFINISHED):
            yield Token(number, "")
            continue
        yield Token(number, text[len(shown) :])
        shown = text
