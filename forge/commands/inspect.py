"""`forge inspect`: a compiled folder for a reader. Instant: no torch, no numba."""

from pathlib import Path

from dialects.chip import Core
from forge.errors import ForgeError


def run_inspect(
    folder: Path,
    program: str | None,
    *,
    core: Core | None,
    l1: Core | None,
    show_weights: bool,
    show_sources: bool,
    json: bool,
) -> None:
    """Prints the table of programs, or the part of the netlist that was asked for."""
    raise ForgeError("not built yet")
