"""Greedy generation on the emulator beside Hugging Face's, token by token.

The emulator is fed Hugging Face's tokens, so that every place of an answer is judged,
also those behind a place where the two would go different ways.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from forge.compiled_model import CompiledModel
from forge.generate import Session
from tests.e2e.compare import bf16_ulp

NOISE_ULPS = 2


@dataclass(frozen=True)
class Difference:
    """A place where the emulator would have chosen another token.

    `ours`, `theirs` and `exact` are the logits of the two tokens, Hugging Face's and
    then ours: on the emulator, in PyTorch's bf16, and in its float32.
    """

    place: int
    tokens: tuple[int, int]
    ours: tuple[float, float]
    theirs: tuple[float, float]
    exact: tuple[float, float]

    @property
    def noise(self) -> float:
        """Two bf16 units of such a logit or, if more, how far PyTorch's own bf16 is
        from its float32 there."""
        pairs = zip(self.theirs, self.exact, strict=True)
        return max(NOISE_ULPS * bf16_ulp(self.ours[1]), *(abs(a - b) for a, b in pairs))

    @property
    def is_noise(self) -> bool:
        """Whether bf16 explains it: a gap within its noise, or PyTorch's float32
        chooses as we do, so that it was PyTorch's bf16 that turned the two round."""
        return self.gap <= self.noise or self.exact[1] >= self.exact[0]

    @property
    def gap(self) -> float:
        """By how much ours prefers its token."""
        return self.ours[1] - self.ours[0]

    def __str__(self) -> str:
        return (
            f"token {self.place}: {self.tokens[0]} has {self.ours[0]:g} here and "
            f"{self.theirs[0]:g} in PyTorch, {self.tokens[1]} {self.ours[1]:g} and "
            f"{self.theirs[1]:g} ({self.exact[0]:g} and {self.exact[1]:g} in float32); "
            f"a gap of {self.gap:g}, noise {self.noise:g}"
        )


def hugging_face(module: Any, prompt: Sequence[int], new_tokens: int) -> Any:
    """Greedy tokens of `generate` with a static cache, and the logits behind each."""
    with torch.no_grad():
        found = module.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.int64),
            max_new_tokens=new_tokens,
            do_sample=False,
            cache_implementation="static",
            disable_compile=True,
            return_dict_in_generate=True,
            output_logits=True,
        )
    logits = [row[0].float().numpy() for row in found.logits]
    return found.sequences[0, len(prompt) :].tolist(), logits


def emulated(
    compiled: CompiledModel, prompt: Sequence[int], answer: Sequence[int]
) -> list[np.ndarray]:
    """Our logits before each token of an answer, which is fed to the model."""
    session = Session(compiled)
    logits, waiting = session.begin(0, prompt)
    for token in waiting:
        logits = session.step({0: token})[0]
    rows = [logits]
    rows += [session.step({0: token})[0] for token in answer[:-1]]
    return rows


def differences(
    compiled: CompiledModel,
    modules: tuple[Any, Any],
    prompt: Sequence[int],
    *,
    new_tokens: int,
) -> tuple[list[int], list[Difference]]:
    """The answer of Hugging Face, and where ours would differ.

    `modules` is the model in bf16, and the same weights in float32.
    """
    module, wide = modules
    answer, theirs = hugging_face(module, prompt, new_tokens)
    found = []
    for place, row in enumerate(emulated(compiled, prompt, answer)):
        wanted, chosen = answer[place], int(row.argmax())
        if chosen != wanted:
            pair = [wanted, chosen]
            exact = last_logits(wide, [*prompt, *answer[:place]])
            rows = (row, theirs[place], exact)
            logits = (tuple(r[pair].tolist()) for r in rows)
            found.append(Difference(place, (wanted, chosen), *logits))
    return answer, found


def last_logits(module: Any, tokens: Sequence[int]) -> np.ndarray:
    """PyTorch's logits behind a sequence, everything computed anew."""
    with torch.no_grad():
        return module(torch.tensor([tokens])).logits[0, -1].float().numpy()
