"""`forge check`: what of a model forge cannot compile, all at once."""

from forge.arguments import require_at_least
from forge.errors import ForgeError


def run_check(model: str, *, seq_len: int, json: bool) -> None:
    """Prints unsupported operations with shape, count, source line and advice."""
    require_at_least(1, "--seq-len", value=seq_len)
    raise ForgeError("not built yet")
