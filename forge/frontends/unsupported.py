"""Ops that forge cannot compile, gathered so that each place is reported once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch.fx import Node

from forge.errors import UnsupportedError
from forge.frontends.graph_builder import source_of

ADVICE = {
    "aten.index_copy": "export without a KV cache (use_cache=False)",
    "aten.convolution": "convolutions have no lowering yet",
    "aten.conv2d": "convolutions have no lowering yet",
    "aten.index": "index with a slice, or look rows up with an embedding",
    "aten.native_dropout": "call .eval() on the module before exporting it",
    "aten.batch_norm": "fold the batch norm into the layer before it",
}
"""What to do about an op, by the part of its name before the overload."""


@dataclass(frozen=True)
class UnsupportedOp:
    """An op that forge cannot compile, with all its occurrences at one place."""

    op: str
    message: str
    advice: str
    shape: tuple[int, ...]
    """The shape of the (first) result; empty where it is not a tensor."""
    count: int
    location: str

    def as_error(self) -> UnsupportedError:
        """The same as an error to raise."""
        shape = "x".join(map(str, self.shape)) or "scalar"
        times = "" if self.count == 1 else f", {self.count} times"
        return UnsupportedError(
            self.message,
            value=f"{self.op} yielding {shape}{times}",
            advice=self.advice,
            location=self.location,
        )


def no_importer(target: str) -> UnsupportedError:
    """The fault of an op that is in no table."""
    advice = ADVICE.get(
        target.rsplit(".", 1)[0], "express it with supported operations"
    )
    return UnsupportedError(f"{target} is not supported", advice=advice)


def grouped(faults: Iterable[tuple[Node, UnsupportedError]]) -> list[UnsupportedOp]:
    """The faults, those of one op, reason, shape and source line as one."""
    groups: dict[tuple[str, str, tuple[int, ...], str], list[UnsupportedError]] = {}
    for node, error in faults:
        key = (str(node.target), error.message, _shape(node), _place(node))
        groups.setdefault(key, []).append(error)
    return [
        UnsupportedOp(
            op=op,
            message=message,
            advice=errors[0].advice or "",
            shape=shape,
            count=len(errors),
            location=place,
        )
        for (op, message, shape, place), errors in groups.items()
    ]


def _shape(node: Node) -> tuple[int, ...]:
    found = node.meta.get("val")
    first = found[0] if isinstance(found, list | tuple) and found else found
    return tuple(fixed_shape(first))


def fixed_shape(value: object) -> list[int]:
    """The shape of a tensor, a dimension that is not fixed as 1; else of a scalar."""
    shape = value.shape if isinstance(value, torch.Tensor) else ()
    return [extent if isinstance(extent, int) else 1 for extent in shape]


def _place(node: Node) -> str:
    source = source_of(node)
    return "unknown" if source is None else f"{source[0]}:{source[1]}"
