"""Makes sure that `runtime`, `backend` and the others are ours.

The packages have plain names. An editable install puts our folder behind site-packages
on the path, where a stranger's package of the same name would win silently.
"""

from importlib.util import find_spec
from pathlib import Path

from forge.errors import ForgeError

PACKAGES = ("forge", "dialects", "passes", "backend", "runtime")


def check_packages_are_ours() -> None:
    """Raises ForgeError if a package of ours would be imported from somewhere else."""
    home = Path(__file__).resolve().parents[1]
    for name in PACKAGES:
        spec = find_spec(name)
        origin = spec.origin if spec is not None else None
        if origin is None or Path(origin).resolve().parents[1] != home:
            raise ForgeError(
                f"the Python package {name!r} is not the one of forge",
                limit=f"{home / name}",
                value=origin or "no such package",
                advice="install forge into an environment of its own",
            )
