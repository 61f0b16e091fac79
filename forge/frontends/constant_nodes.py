"""Which nodes of an exported graph depend on no input and no weight, and their values.

Masks and tables of positions are often built with ops that no chip would run (`tril`,
`index`, `cumsum`). What depends on numbers in the program alone needs no importer.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch.fx import Node


class ConstantNodes:
    """The constant nodes of a graph; values are computed when asked for."""

    def __init__(
        self, nodes: Iterable[Node], buffers: Mapping[str, torch.Tensor]
    ) -> None:
        self._values: dict[Node, object] = {}
        self._constant: set[Node] = set()
        for node in nodes:
            if node.op == "placeholder" and node.name in buffers:
                self._values[node] = buffers[node.name]
                self._constant.add(node)
            elif node.op == "call_function" and self._is_constant(node):
                self._constant.add(node)

    def __contains__(self, node: Node) -> bool:
        return node in self._constant

    def _is_constant(self, node: Node) -> bool:
        if not isinstance(node.target, torch._ops.OpOverload):
            return node.target is operator.getitem and self._depends_on_none(node)
        if torch.Tag.nondeterministic_seeded in node.target.tags:
            return False
        return not node.target._schema.is_mutable and self._depends_on_none(node)

    def _depends_on_none(self, node: Node) -> bool:
        return all(source in self._constant for source in node.all_input_nodes)

    def value(self, node: Node) -> Any:
        """What a constant node computes: a tensor, or several."""
        if node not in self._values:
            self._values[node] = self._evaluate(node)
        return self._values[node]

    def _evaluate(self, node: Node) -> object:
        assert callable(node.target)
        sources = [self.value(source) for source in node.all_input_nodes]
        if any(isinstance(v, torch.Tensor) and v.is_meta for v in sources):
            value = node.meta["val"]
            return torch.empty(value.shape, dtype=value.dtype, device="meta")
        arguments = torch.fx.map_arg(node.args, self.value)
        keywords = dict(torch.fx.map_arg(node.kwargs, self.value))
        if "device" in keywords:  # a model without weights is traced on meta
            keywords["device"] = "cpu"
        return node.target(*arguments, **keywords)
