"""The choice of the next token from logits, on the host."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forge.errors import UsageError


@dataclass(frozen=True)
class Sampling:
    """How a token is chosen.

    `temperature` 0 takes the largest logit. Otherwise one is drawn from the
    probabilities at this temperature, of the `top_k` likeliest tokens (0: of all) and
    of the fewest likeliest whose sum reaches `top_p`, in this order, as Hugging Face
    does. `seed` makes the draws repeatable.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        _require(self.temperature >= 0, "--temperature", "0 or more", self.temperature)
        _require(self.top_k >= 0, "--top-k", "0 (all tokens) or more", self.top_k)
        _require(0 < self.top_p <= 1, "--top-p", "more than 0, up to 1", self.top_p)
        _require(self.seed >= 0, "--seed", "0 or more", self.seed)

    def choose(self, logits: np.ndarray, generator: np.random.Generator) -> int:
        """A token from the logits [V] of one position."""
        if self.temperature == 0:
            return int(logits.argmax())
        tokens, probabilities = self.candidates(logits)
        return int(generator.choice(tokens, p=probabilities))

    def candidates(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The tokens that may be drawn, likeliest first, and their probabilities."""
        order = np.argsort(-logits, kind="stable")[: self.top_k or None]
        scaled = logits[order].astype(np.float64) / self.temperature
        weights = np.exp(scaled - scaled[0])
        weights /= weights.sum()
        before = np.cumsum(weights) - weights  # the first is always kept
        kept = before < self.top_p
        return order[kept], weights[kept] / weights[kept].sum()


def _require(holds: bool, option: str, limit: str, value: float) -> None:
    if not holds:
        raise UsageError(
            f"{option} has no meaning with this value",
            limit=limit,
            value=value,
            advice=f"choose {option} within the limit",
        )
