"""Predicted device figures of Llama beside the DRAM bound and what was published.

    python -m benchmarks.bench_llm [--csv DIR]    the table of docs/timing.md

A decode step reads every weight and the cache of every user: what that takes at the
rate DRAM sustains is the least a step can take. `--csv` names a folder with
`llm_e2e.csv`; without it the columns of published figures stay empty.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from backend.assemble import assemble_netlist
from dialects.netlist_text import parse_netlist, print_netlist
from forge.frontends.generation import import_generation
from forge.profile import Profile, profile_machine
from forge.profile.bounds import Bound
from forge.program_timer import ProgramTimer
from passes.context import CompileContext
from passes.pipeline import run_pipeline
from runtime.machine import Machine

DRAM_GB_PER_SECOND = 266
"""What careful reading of all channels sustains (wormhole.md section 4.5)."""
PROMPT, CACHE, POSITION = 128, 1024, 128

FORMATS = {"bfp8": "bfp8_b", "bfp4 MLP": "bfp8_b,mlp=bfp4_b"}
MODES = {"bfp8": "Accuracy", "bfp4 MLP": "Performance"}
"""The sections of the published table that store weights like this."""

COMMON = {
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500_000,
}
CONFIGS = {
    "Llama-3.1-8B": LlamaConfig(
        **COMMON,
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        head_dim=128,
        tie_word_embeddings=False,
    ),
    "Llama-3.2-1B": LlamaConfig(
        **COMMON,
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=16,
        head_dim=64,
        tie_word_embeddings=True,
    ),
}


HEAD = (
    "| model | weights | batch | TTFT ms | published | tokens/s/user | DRAM bound "
    "| published | largest programs of a step |"
)


@dataclass(frozen=True)
class Case:
    """A model as it is served."""

    model: str
    batch: int
    formats: str


@dataclass(frozen=True)
class Figures:
    """What a case takes: cycles of a prefill and of a step, and where they go."""

    prefill_ms: float
    step_ms: float
    read_gb: float
    programs: tuple[tuple[str, float], ...]
    bounds: dict[Bound, float]

    @property
    def bound_ms(self) -> float:
        """The DRAM bound of a step."""
        return self.read_gb / DRAM_GB_PER_SECOND * 1e3


def machine_of(case: Case) -> Machine:
    """The netlist of a model without weights."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(
            CONFIGS[case.model], dtype=torch.bfloat16
        ).eval()
    found = import_generation(
        model, prefill_lengths=[PROMPT], cache_length=CACHE, batch=case.batch
    )
    formats = FORMATS[case.formats]
    timer = ProgramTimer(chip="n150", weights_format=formats)
    context = CompileContext(values=dict(found.values), timer=timer)
    run_pipeline(context, found.module, chip="n150", weights_format=formats)
    netlist = assemble_netlist(
        found.module, name="llama", chip="n150", weights_format=formats
    )
    return Machine(parse_netlist(print_netlist(netlist)))


def figures_of(case: Case) -> Figures:
    """Prefill of one user, and a step of all of them behind `POSITION` tokens."""
    machine = machine_of(case)
    scalars = {
        buffer.name: torch.full((case.batch,), POSITION).numpy()
        for buffer in machine.buffers_with_role("input")
        if buffer.name == "decode.positions"
    }
    prefill = profile_machine(machine, entry="prefill")
    step = profile_machine(machine, entry="decode", scalars=scalars)
    return Figures(
        prefill.milliseconds,
        step.milliseconds,
        _least_bytes(machine, case) / 1e9,
        _largest(step),
        step.share_by_bound(),
    )


def _least_bytes(machine: Machine, case: Case) -> float:
    """Bytes of all weights that a step reads whole, and of the cache it attends to."""
    weights = {}
    for run in machine.entry("decode"):
        for name, tensor in zip(run.buffers, machine.tensors(run), strict=True):
            if machine.buffers[name].recipe is not None and not tensor.row_major:
                weights[name] = tensor.tile_rows * tensor.tile_columns
                weights[name] *= tensor.data_format.tile_bytes
    config = CONFIGS[case.model]
    width = 8 * int(config.head_dim or 0)
    cache = 2 * 2 * case.batch * (POSITION + 1) * width * config.num_hidden_layers
    return sum(weights.values()) + cache


def _largest(step: Profile) -> tuple[tuple[str, float], ...]:
    shares = [(p.name, p.total_cycles / step.total_cycles) for p in step.programs]
    return tuple(sorted(shares, key=lambda pair: -pair[1])[:3])


def published(folder: Path | None, case: Case) -> tuple[str, str]:
    """Latest time to first token and tokens/s/user of a case, or dashes."""
    if folder is None:
        return "", ""
    with (folder / "llm_e2e.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if _is_of(row, case)]
    if not rows:
        return "-", "-"
    last = max(rows, key=lambda row: row["last_seen"])
    return tuple("-" if last[c] == "unknown" else last[c] for c in ("ttft_ms", "tsu"))  # type: ignore[return-value]


def _is_of(row: dict[str, str], case: Case) -> bool:
    mode = MODES[case.formats] if case.batch == 1 else "Batch-32"
    return (
        row["model"].replace("Llama3", "Llama-3") == case.model
        and row["hardware"].lower() == "n150"
        and row["batch"] == str(case.batch)
        and row["mode"].endswith(mode)
    )


def table(cases: Sequence[Case], folder: Path | None) -> list[str]:
    """The rows of the table, in Markdown."""
    lines = [HEAD, "|---|---|---|---|---|---|---|---|---|"]
    for case in cases:
        figures = figures_of(case)
        first, rate = published(folder, case)
        shares = ", ".join(f"{name} {share:.0%}" for name, share in figures.programs)
        lines.append(
            f"| {case.model} | {case.formats} | {case.batch} "
            f"| {figures.prefill_ms:.0f} | {first} "
            f"| {1e3 / figures.step_ms:.1f} | {1e3 / figures.bound_ms:.1f} "
            f"| {rate} | {shares} |"
        )
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Print the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", type=Path, default=None, metavar="DIR")
    cases = [Case(m, b, f) for m in CONFIGS for f in FORMATS for b in (1, 32)]
    print(*table([], None), sep="\n")
    table(cases, parser.parse_args().csv)


if __name__ == "__main__":
    main()
