"""`forge profile`: where the cycles go, without computing values."""

from collections.abc import Mapping
from pathlib import Path

from forge.errors import ForgeError


def run_profile(
    folder: Path,
    program: str | None,
    *,
    scalars: Mapping[str, int],
    json: bool,
) -> None:
    """Times the netlist in `folder` and prints cycles per program and per resource."""
    raise ForgeError("not built yet")
