"""Netlists stay readable: each program of a fused layer fits on two screens."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    PretrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from dialects.chip import load_chip
from dialects.netlist_notes import notes
from dialects.netlist_text import parse_netlist, print_netlist
from tests.backend.generations import netlist_of

MOST_LINES = 120
MOST_COLUMNS = 120
PROGRAM = re.compile(
    r"^  (?://[^\n]*\n  )?program @(\w+).*?^  }$", re.MULTILINE | re.DOTALL
)
RAW = re.compile("tile_regs_acquire|noc_async_read|noc_async_write")

SIZES = {
    "num_hidden_layers": 1,
    "vocab_size": 64,
    "max_position_embeddings": 1024,
    "tie_word_embeddings": True,
}
CONFIGS: dict[str, PretrainedConfig] = {
    "norms of heads": Qwen3Config(
        hidden_size=1024,
        intermediate_size=3072,
        num_attention_heads=16,
        num_key_value_heads=8,
        head_dim=128,
        **SIZES,
    ),
    "biases": Qwen2Config(
        hidden_size=896,
        intermediate_size=4864,
        num_attention_heads=14,
        num_key_value_heads=2,
        **SIZES,
    ),
}


def text_of(config: PretrainedConfig, batch: int, disabled: tuple[str, ...]) -> str:
    """The netlist of a decoder as `forge compile` writes it, notes included."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()
    netlist, _ = netlist_of(
        model, prefill=128, cache=1024, batch=batch, disabled=disabled
    )
    text = print_netlist(netlist, notes(netlist, load_chip("n150")))
    assert parse_netlist(text).is_structurally_equivalent(netlist)
    return text


def programs_of(text: str) -> Iterator[tuple[str, list[str]]]:
    for match in PROGRAM.finditer(text):
        yield match[1], match[0].splitlines()


@pytest.mark.parametrize(
    ("disabled", "batch"),
    [
        ((), 1),
        (("weighed-fusion",), 1),
        (("weighed-fusion",), 4),
        (("split-heads",), 1),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", CONFIGS)
def test_programs_fit_on_two_screens(
    name: str, disabled: tuple[str, ...], batch: int
) -> None:
    programs = dict(programs_of(text_of(CONFIGS[name], batch, disabled)))
    assert len(programs) > 10
    lengths = {program: len(lines) for program, lines in programs.items()}
    assert {p: n for p, n in lengths.items() if n > MOST_LINES} == {}
    lines = [line for found in programs.values() for line in found]
    assert [line for line in lines if len(line) > MOST_COLUMNS] == []


def test_no_kernel_is_spelt_out() -> None:
    """Whatever the lowering makes has a short form."""
    text = text_of(CONFIGS["norms of heads"], 1, ("weighed-fusion",))
    assert [line for line in text.splitlines() if RAW.search(line)] == []


def test_a_program_names_all_that_was_fused_into_it() -> None:
    programs = dict(programs_of(text_of(CONFIGS["norms of heads"], 1, ())))
    head = "".join(programs["rms_norm_matmul_rotate_fill_cache"][:8])
    source = re.sub(r'"\s+"', "", head)
    for part in (
        "model.layers.0: rms_norm(input_layernorm, self_attn.{q,k}_norm)",
        "matmul(self_attn.{q,k,v}_proj)",
        "rotate(self_attn)",
        "fill_cache(self_attn)",
        "modeling_qwen3.py:",
    ):
        assert part in source
