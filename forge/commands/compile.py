"""`forge compile`: a model into a folder."""

from pathlib import Path

from forge.arguments import require_at_least
from forge.errors import ForgeError


def run_compile(
    model: str,
    output: Path,
    *,
    chip: str,
    seq_len: int,
    weights_format: str,
    dump_ir: Path | None,
    disabled_passes: tuple[str, ...],
    with_weights: bool,
    json: bool,
) -> None:
    """Compiles `model` and writes the artefact to `output`, whole or not at all."""
    require_at_least(1, "--seq-len", value=seq_len)
    raise ForgeError("not built yet")
