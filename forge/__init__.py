"""forge compiles PyTorch models for Tenstorrent Wormhole and runs them on its emulator.

    compiled = forge.compile(module, sample_inputs=(x,))
    y = compiled(x)

`import forge` is instant: each public name is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forge.errors import ForgeError as ForgeError

__version__ = "0.1.0"

_HOMES = {
    "compile": "forge.compiler",
    "load": "forge.artifact",
    "CompiledModel": "forge.compiled_model",
    "ForgeError": "forge.errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'forge' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
