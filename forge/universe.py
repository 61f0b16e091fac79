"""What forge adds to xDSL: its dialects and passes, each loaded when first used.

The entry point `xdsl.universe` names `UNIVERSE`, so that plain `xdsl-opt` and
`xdsl-gui` know our vocabulary too.
"""

from collections.abc import Callable
from importlib import import_module

from xdsl.ir import Dialect
from xdsl.universe import Universe

from passes import PASSES

_DIALECTS = {
    "ttcore": ("dialects.ttcore", "TTCore"),
    "ttir": ("dialects.ttir", "TTIR"),
    "grid": ("dialects.grid", "Grid"),
    "tensix": ("dialects.tensix", "Tensix"),
}
"""Dialect name -> the module and the name of its `Dialect` object."""


def _loader(module: str, name: str) -> Callable[[], Dialect]:
    def load() -> Dialect:
        return getattr(import_module(module), name)

    return load


UNIVERSE = Universe(
    all_dialects={name: _loader(*home) for name, home in _DIALECTS.items()},
    all_passes=dict(PASSES),
)
