"""The table of importers: ATen op -> the function that writes it in `ttir`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from xdsl.ir import SSAValue

from forge.errors import UnsupportedError
from forge.frontends.graph_builder import GraphBuilder

Results = SSAValue | Sequence[SSAValue]
Importer = Callable[..., Results]
ImporterT = TypeVar("ImporterT", bound=Importer)

IMPORTERS: dict[str, Importer] = {}
"""ATen op, as `aten.linear.default` -> its importer.

An importer takes the builder, then the arguments of the op under the op's own names:
tensors as values of the module, all else as in the exported graph.
"""

WITHOUT_MEANING = frozenset(
    {"device", "layout", "pin_memory", "memory_format", "non_blocking", "copy"}
)
"""Arguments that say where and how torch stores a tensor."""


def importer(*names: str) -> Callable[[ImporterT], ImporterT]:
    """Enter a function in the table under the names of the ops that it imports."""

    def enter(function: ImporterT) -> ImporterT:
        for name in names:
            assert name not in IMPORTERS, f"two importers for {name}"
            IMPORTERS[name] = function
        return function

    return enter


def call_importer(
    name: str,
    builder: GraphBuilder,
    arguments: Sequence[object],
    keywords: Mapping[str, object],
) -> Results:
    """Import one node. Raises UnsupportedError for an argument we cannot honour."""
    function = IMPORTERS[name]
    meant = {key: v for key, v in keywords.items() if key not in WITHOUT_MEANING}
    try:
        bound = inspect.signature(function).bind(builder, *arguments, **meant)
    except TypeError as error:
        raise UnsupportedError(
            f"{name}: {error}", advice="call the op without this argument"
        ) from None
    return function(*bound.args, **bound.kwargs)
