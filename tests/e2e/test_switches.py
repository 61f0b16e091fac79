"""Every combination of switches gives the same numbers, within the noise of bf16.

A small decoder with grouped heads and widths that fill tiles nowhere: everything on,
everything off, each switch alone, each left out, and each pair. The table of switches
says which there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from xdsl.dialects.builtin import ModuleOp

from dialects.netlist_text import print_netlist
from forge.artifact import CausalLMInfo
from forge.compiled_model import CompiledModel
from forge.compiler import CompileOptions, compile_imported
from forge.frontends.generation import import_generation
from forge.generate import Session
from passes.switches import NAMES
from tests.e2e.compare import compare
from tests.e2e.greedy import last_logits

PROMPT, STEPS, CACHE = 37, 2, 64
SEED = 5
WIDTHS = {
    "hidden_size": 200,
    "intermediate_size": 328,
    "num_attention_heads": 3,
    "num_key_value_heads": 1,
    "head_dim": 64,
    "num_hidden_layers": 2,
    "vocab_size": 300,
    "max_position_embeddings": CACHE,
}
NOISE = 1.25
"""How much farther than PyTorch's own bf16 a result may be from its float32. Both round
the same values, each once, at places of their own; the ratio is 0.6 to 1.0 over all
combinations."""


@dataclass(frozen=True)
class Combination:
    """Switches that are off, and how a test is called."""

    name: str
    off: tuple[str, ...]


def singles() -> Iterator[Combination]:
    yield Combination("all on", ())
    yield Combination("all off", NAMES)
    for name in NAMES:
        yield Combination(f"without {name}", (name,))
        yield Combination(f"only {name}", tuple(n for n in NAMES if n != name))


def pairs() -> Iterator[Combination]:
    for pair in combinations(NAMES, 2):
        off = tuple(n for n in NAMES if n not in pair)
        yield Combination(f"only {' and '.join(pair)}", off)
        yield Combination(f"without {' and '.join(pair)}", pair)


class Decoder:
    """The model, exported once; what each combination makes of it."""

    def __init__(self) -> None:
        from transformers import Qwen3Config, Qwen3ForCausalLM

        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(SEED)
            module: Any = Qwen3ForCausalLM(Qwen3Config(**WIDTHS))
            for parameter in module.parameters():
                scale = 0.1 if parameter.dim() == 1 else 0.02
                parameter.add_(scale * torch.randn_like(parameter))
        self.module = module.to(torch.bfloat16).eval()
        self.tokens = np.random.default_rng(SEED).integers(0, 300, PROMPT + STEPS)
        self.known: dict[tuple[str, str], np.ndarray] = {}

    @cached_property
    def imported(self) -> Any:
        return import_generation(
            self.module, prefill_lengths=[64], cache_length=CACHE, name="decoder"
        )

    def compiled(self, off: tuple[str, ...]) -> CompiledModel:
        module = self.imported.module.clone()
        assert isinstance(module, ModuleOp)
        values = dict(self.imported.values)
        copy = replace(self.imported, module=module, values=values)
        info = CausalLMInfo(CACHE, (), 1, {"prefill": 64}, "decode")
        options = CompileOptions(disabled=off)
        return compile_imported(copy, "decoder", options, causal_lm=info)

    def logits(self, off: tuple[str, ...], numerics: str) -> np.ndarray:
        """Logits behind the prompt and behind each step; equal netlists run once."""
        model = self.compiled(off)
        key = (print_netlist(model.netlist), numerics)
        if key not in self.known:
            model.numerics = numerics
            session = Session(model)
            found = [session.prefill(0, self.tokens[:PROMPT].tolist())]
            for token in self.tokens[PROMPT:].tolist():
                found.append(session.step({0: token})[0])
            self.known[key] = np.stack(found)
        return self.known[key]

    def reference(self, dtype: torch.dtype) -> np.ndarray:
        module = self.module.to(dtype)
        ends = range(PROMPT, PROMPT + STEPS + 1)
        found = [last_logits(module, self.tokens[:end].tolist()) for end in ends]
        self.module.to(torch.bfloat16)
        return np.stack(found)

    @cached_property
    def exact(self) -> np.ndarray:
        """Float32's logits."""
        return self.reference(torch.float32)

    @cached_property
    def noise(self) -> float:
        """How far PyTorch's bf16 is from float32."""
        return compare(self.reference(torch.bfloat16), self.exact).relative_l2

    def require_same(self, off: tuple[str, ...], numerics: str) -> None:
        found = compare(self.logits(off, numerics), self.exact)
        assert found.relative_l2 <= NOISE * self.noise, found


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return Decoder()


@pytest.mark.parametrize("case", [*singles(), *pairs()], ids=lambda c: c.name)
def test_combinations_agree(case: Combination, decoder: Decoder) -> None:
    decoder.require_same(case.off, "fast")


@pytest.mark.parametrize("case", singles(), ids=lambda c: c.name)
def test_combinations_agree_exactly_computed(
    case: Combination, decoder: Decoder
) -> None:
    decoder.require_same(case.off, "exact")
