"""`forge demo`: a real chat model from its weights to an answer and its costs."""

from pathlib import Path

from forge.arguments import require_at_least
from forge.errors import ForgeError


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
    raise ForgeError("not built yet")
