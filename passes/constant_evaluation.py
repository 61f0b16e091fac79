"""Values that are known while compiling, computed when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, BlockArgument, Operation, SSAValue

from dialects.ttcore import ARGUMENT_TYPE, ArgumentType, ArgumentTypeAttr
from passes.ttir_semantics import SEMANTICS, evaluate

if TYPE_CHECKING:
    import torch

NAME = "ttir.name"
"""Key of an argument's name in the attributes of the function."""


def argument_attributes(function: FuncOp) -> list[dict[str, Attribute]]:
    """The attributes of each argument, as new dictionaries."""
    count = len(function.function_type.inputs)
    found = function.arg_attrs or ArrayAttr([DictionaryAttr({})] * count)
    return [dict(entry.data) for entry in found]


def argument_names(function: FuncOp) -> list[str | None]:
    """The name of each argument."""
    entries = [entry.get(NAME) for entry in argument_attributes(function)]
    return [e.data if isinstance(e, StringAttr) else None for e in entries]


def argument_types(function: FuncOp) -> list[ArgumentType]:
    """What each argument is; an input where nothing is said."""
    entries = [entry.get(ARGUMENT_TYPE) for entry in argument_attributes(function)]
    return [
        entry.data if isinstance(entry, ArgumentTypeAttr) else ArgumentType.Input
        for entry in entries
    ]


class KnownValues:
    """The values of a function that depend on no input."""

    def __init__(self, function: FuncOp, values: Mapping[str, torch.Tensor]) -> None:
        self._values: dict[SSAValue, torch.Tensor] = {}
        self._known: set[SSAValue] = set()
        arguments = zip(
            function.body.block.args,
            argument_names(function),
            argument_types(function),
            strict=True,
        )
        for argument, name, kind in arguments:
            if kind is not ArgumentType.Input and name is not None and name in values:
                self._values[argument] = values[name]
        for op in function.body.block.ops:
            if self.computes(op):
                self._known.add(op.results[0])

    def computes(self, op: Operation) -> bool:
        """Whether the result of an op can be computed."""
        return type(op) in SEMANTICS and all(v in self for v in op.operands)

    def __contains__(self, value: SSAValue) -> bool:
        return value in self._known or value in self._values

    def get(self, value: SSAValue) -> torch.Tensor | None:
        """The value, if it is known."""
        if value not in self:
            return None
        if value not in self._values:
            assert not isinstance(value, BlockArgument)
            op = value.owner
            assert isinstance(op, Operation)
            operands = [self.get(operand) for operand in op.operands]
            known = [operand for operand in operands if operand is not None]
            self._values[value] = evaluate(op, known)
        return self._values[value]
