"""`forge run`: a compiled chat model answers on the emulator."""

from pathlib import Path

from forge.arguments import require_at_least
from forge.errors import ForgeError


def run_run(
    folder: Path,
    prompt: str,
    *,
    max_new_tokens: int,
    use_chat_template: bool,
    json: bool,
) -> None:
    """Streams the greedy answer to `prompt`, then prints what it cost."""
    require_at_least(1, "--max-new-tokens", value=max_new_tokens)
    raise ForgeError("not built yet")
