"""Every combination of switches gives the same numbers, within the noise of bf16.

A small decoder with grouped heads, whose widths fill tiles nowhere: everything on,
everything off, each switch alone, each left out, each pair alone, and mixtures in which
every two switches meet in all four ways. The table of switches says which there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, product
from random import Random
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from xdsl.dialects.builtin import ModuleOp

from dialects.netlist_text import print_netlist
from forge.artifact import CausalLMInfo
from forge.compiled_model import CompiledModel
from forge.compiler import CompileOptions, compile_imported
from forge.frontends.generation import ImportedGeneration, import_generation
from forge.frontends.huggingface import import_causal_lm
from forge.frontends.torch_export import Imported
from forge.generate import Session
from passes.switches import NAMES
from tests.e2e.compare import compare
from tests.e2e.greedy import last_logits

PROMPT, STEPS, CACHE = 37, 2, 64
SEED, VOCABULARY = 5, 300
WIDTHS = {
    "hidden_size": 200,
    "intermediate_size": 328,
    "num_attention_heads": 3,
    "num_key_value_heads": 1,
    "head_dim": 64,
    "num_hidden_layers": 2,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": CACHE,
}
NOISE = 1.25
"""How much farther than PyTorch's own bf16 a result may be from its float32. Both round
the same values, each once, at places of their own: the ratio is 0.67 to 0.98 over all
combinations here."""

NUMERICS = ("fast", "exact")
Off: TypeAlias = tuple[str, ...]


@dataclass(frozen=True)
class Combination:
    """Switches that are off, and how a test is called."""

    name: str
    off: Off


def singles() -> Iterator[Combination]:
    yield Combination("all on", ())
    yield Combination("all off", NAMES)
    for name in NAMES:
        yield Combination(f"without {name}", (name,))
        yield Combination(f"only {name}", _others({name}))


def pairs() -> Iterator[Combination]:
    for pair in combinations(NAMES, 2):
        yield Combination(f"only {' and '.join(pair)}", _others(set(pair)))


def mixtures() -> Iterator[Combination]:
    """Sets of switches in which any two are both on, both off, and one of them on."""
    states = list(product((False, True), repeat=2))
    missing = {(*p, *s) for p in combinations(range(len(NAMES)), 2) for s in states}
    random, number = Random(SEED), 0
    while missing:
        rows = [[random.random() < 0.5 for _ in NAMES] for _ in range(50)]
        best = max(rows, key=lambda row: len(missing & _meetings(row)))
        missing -= _meetings(best)
        number += 1
        off = tuple(name for name, is_on in zip(NAMES, best, strict=True) if not is_on)
        yield Combination(f"mixture {number}", off)


def _others(names: set[str]) -> Off:
    return tuple(name for name in NAMES if name not in names)


def _meetings(row: list[bool]) -> set[tuple[int, int, bool, bool]]:
    return {(i, j, row[i], row[j]) for i, j in combinations(range(len(row)), 2)}


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
        tokens = np.random.default_rng(SEED).integers(0, VOCABULARY, PROMPT + STEPS)
        self.tokens: list[int] = tokens.tolist()
        self.known: dict[tuple[str, str], np.ndarray] = {}

    @cached_property
    def generation(self) -> ImportedGeneration:
        """Prefill and decode over a cache."""
        lengths = [CACHE]
        return import_generation(
            self.module, prefill_lengths=lengths, cache_length=CACHE, name="decoder"
        )

    @cached_property
    def one_pass(self) -> Imported:
        """All tokens of the prompt to all logits: half the work."""
        return import_causal_lm(self.module, seq_len=PROMPT, name="main")

    def compiled(self, imported: Any, off: Off) -> CompiledModel:
        module = imported.module.clone()
        assert isinstance(module, ModuleOp)
        copy = replace(imported, module=module, values=dict(imported.values))
        info = CausalLMInfo(PROMPT)
        if imported is self.generation:
            info = CausalLMInfo(CACHE, (), 1, {"prefill": CACHE}, "decode")
        options = CompileOptions(disabled=off)
        return compile_imported(copy, "decoder", options, causal_lm=info)

    def logits(self, off: Off) -> Iterator[np.ndarray]:
        """Logits behind the prompt and behind each step, in fast and in exact numerics;
        equal netlists run once."""
        model = self.compiled(self.generation, off)
        for numerics in NUMERICS:
            key = (print_netlist(model.netlist), numerics)
            if key not in self.known:
                self.known[key] = self._run(model, numerics)
            yield self.known[key]

    def _run(self, model: CompiledModel, numerics: str) -> np.ndarray:
        own = CompiledModel(
            model.netlist, model.values, causal_lm=model.causal_lm, numerics=numerics
        )
        session = Session(own)
        found = [session.prefill(0, self.tokens[:PROMPT])]
        for token in self.tokens[PROMPT:]:
            found.append(session.step({0: token})[0])
        return np.stack(found)

    def logits_of_one_pass(self, off: Off) -> np.ndarray:
        """Logits behind each token of the prompt."""
        model = self.compiled(self.one_pass, off)
        return model(torch.tensor([self.tokens[:PROMPT]])).numpy()

    def noise_of(self, given: np.ndarray, ends: range) -> float:
        """How far logits are from float32's, against PyTorch's bf16."""
        exact = self.reference(torch.float32, ends)
        theirs = compare(self.reference(torch.bfloat16, ends), exact)
        return compare(given, exact).relative_l2 / theirs.relative_l2

    def reference(self, dtype: torch.dtype, ends: range) -> np.ndarray:
        key = (str(dtype), str(ends))
        if key not in self.known:
            module = self.module.to(dtype)
            found = [last_logits(module, self.tokens[:end]) for end in ends]
            self.known[key] = np.stack(found)
            self.module.to(torch.bfloat16)
        return self.known[key]


STEP_ENDS, PROMPT_ENDS = range(PROMPT, PROMPT + STEPS + 1), range(1, PROMPT + 1)


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return Decoder()


@pytest.mark.slow
@pytest.mark.parametrize("case", [*singles(), *mixtures()], ids=lambda c: c.name)
def test_prefill_and_steps_agree(case: Combination, decoder: Decoder) -> None:
    for numerics, logits in zip(NUMERICS, decoder.logits(case.off), strict=True):
        assert decoder.noise_of(logits, STEP_ENDS) <= NOISE, numerics


@pytest.mark.slow
@pytest.mark.parametrize("case", [*pairs()], ids=lambda c: c.name)
def test_pairs_agree(case: Combination, decoder: Decoder) -> None:
    logits = decoder.logits_of_one_pass(case.off)
    assert decoder.noise_of(logits, PROMPT_ENDS) <= NOISE
