"""`fold-constants`: computes while compiling what depends on no input.

Each value becomes an argument of type constant, with its tensor in the context; none is
written into the IR. Views of parameters stay: a layout costs nothing to apply when
the weights are loaded. Arguments that nothing uses any more go.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xdsl.context import Context
from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    FunctionType,
    ModuleOp,
    NameLoc,
    StringAttr,
)
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, BlockArgument, Operation, OpResult, SSAValue
from xdsl.passes import ModulePass
from xdsl.transforms.dead_code_elimination import dce

from dialects import ttir
from dialects.ttcore import ARGUMENT_TYPE, ArgumentType, ArgumentTypeAttr
from passes.constant_evaluation import (
    NAME,
    KnownValues,
    argument_attributes,
    argument_names,
    argument_types,
)
from passes.constants import argument_name
from passes.context import values_of
from passes.rewriting import flat_locations, fused_location, splat_of

if TYPE_CHECKING:
    import torch

VIEWS = (
    ttir.ReshapeOp,
    ttir.PermuteOp,
    ttir.BroadcastOp,
    ttir.SliceStaticOp,
    ttir.ConcatOp,
    ttir.TransposeOp,
    ttir.SqueezeOp,
    ttir.UnsqueezeOp,
)
LITERALS = (ttir.FullOp, ttir.ZerosOp, ttir.OnesOp)


class _Fold:
    """One run over a function. Functions of a module share what has one name."""

    def __init__(
        self, function: FuncOp, values: dict[str, torch.Tensor], names: set[str]
    ) -> None:
        self.function = function
        self.values = values
        self.known = KnownValues(function, values)
        self.attributes = argument_attributes(function)
        self.names = names
        self.parameters = {
            argument
            for argument, kind in zip(
                function.body.block.args, argument_types(function), strict=True
            )
            if kind is ArgumentType.Parameter
        }
        self.keys: dict[Hashable, int] = {}
        self.folded: dict[int, SSAValue] = {}

    def run(self) -> None:
        for op in list(self._frontier()):
            self._fold(op)
        self._write_signature()

    def drop_unused(self) -> set[str]:
        """Erase parameters and constants without uses; return their names."""
        block = self.function.body.block
        dropped: set[str] = set()
        for argument in reversed(block.args):
            entry = self.attributes[argument.index]
            kind = entry.get(ARGUMENT_TYPE)
            if kind is None or kind == ArgumentTypeAttr(ArgumentType.Input):
                continue
            if argument.first_use is None:
                del self.attributes[argument.index]
                if isinstance(name := entry.get(NAME), StringAttr):
                    dropped.add(name.data)
                block.erase_arg(argument)
        self._write_signature()
        return dropped

    def _frontier(self) -> Iterator[Operation]:
        """The known ops of which something unknown uses the result."""
        for op in self.function.body.block.ops:
            if not op.results or op.results[0] not in self.known:
                continue
            users = [use.operation for use in op.results[0].uses]
            if all(u.results and u.results[0] in self.known for u in users):
                continue
            if splat_of(op.results[0]) is None and not self._is_layout(op.results[0]):
                yield op

    def _is_layout(self, value: SSAValue) -> bool:
        """Whether a value is a parameter, or views of parameters."""
        if isinstance(value, BlockArgument):
            return value in self.parameters
        op = value.owner
        return isinstance(op, VIEWS) and all(map(self._is_layout, op.operands))

    def _key(self, value: SSAValue) -> int:
        """A number that is equal for values computed in the same way."""
        op = value.owner
        if isinstance(op, Operation):
            operands = tuple(self._key(operand) for operand in op.operands)
            properties = frozenset(op.properties.items())
            key: Hashable = (op.name, properties, value.type, operands)
        else:
            key = value
        return self.keys.setdefault(key, len(self.keys))

    def _fold(self, op: Operation) -> None:
        result = op.results[0]
        key = self._key(result)
        if key not in self.folded:
            self.folded[key] = self._add_argument(op)
        result.replace_all_uses_with(self.folded[key])

    def _add_argument(self, op: Operation) -> SSAValue:
        result = op.results[0]
        tensor = self.known.get(result)
        assert tensor is not None
        name = self._name_of(tensor, _name_for(op))
        self.values[name] = tensor.contiguous()
        block = self.function.body.block
        argument = block.insert_arg(result.type, len(block.args))
        argument.location = fused_location(_sources(op))
        entries: dict[str, Attribute] = {
            ARGUMENT_TYPE: ArgumentTypeAttr(ArgumentType.Constant),
            NAME: StringAttr(name),
        }
        self.attributes.append(entries)
        return argument

    def _name_of(self, tensor: torch.Tensor, name: str) -> str:
        """The name, or with a number the first that is free or has this value."""
        candidate, number = name, 2
        while candidate in self.names and not self._holds(candidate, tensor):
            candidate, number = f"{name}_{number}", number + 1
        self.names.add(candidate)
        return candidate

    def _holds(self, name: str, tensor: torch.Tensor) -> bool:
        """Whether another function's argument of a name has this very value."""
        known = self.values.get(name)
        if known is None or name in argument_names(self.function):
            return False
        if known.is_meta or tensor.is_meta or known.dtype != tensor.dtype:
            return False
        return known.shape == tensor.shape and bool((known == tensor).all())

    def _write_signature(self) -> None:
        outputs = self.function.function_type.outputs.data
        types = self.function.body.block.arg_types
        self.function.properties["function_type"] = FunctionType.from_lists(
            types, outputs
        )
        self.function.properties["arg_attrs"] = ArrayAttr(
            DictionaryAttr(entry) for entry in self.attributes
        )


def _sources(op: Operation) -> list[Operation]:
    """An op and all that its operands are computed from, the op first."""
    found, pending = [], [op]
    while pending:
        current = pending.pop(0)
        if current not in found:
            found.append(current)
            owners = [operand.owner for operand in current.operands]
            pending += [owner for owner in owners if isinstance(owner, Operation)]
    return found


def _name_for(op: Operation) -> str:
    """A readable name: the module that computed the value, and the op or a hint.

    Views, casts, lookups and factors that are plain numbers do not give a name; an
    argument that is found behind them gives its own.
    """
    hint: str | None = None
    while True:
        found = op.attributes.get(NAME)
        if hint is None and isinstance(found, StringAttr):
            hint = found.data
        source = _named_source(op)
        if isinstance(source, BlockArgument):
            return _beside(argument_name(source), hint)
        if not isinstance(source, OpResult):
            break
        op = source.op
    short = hint or op.name.removeprefix("ttir.")
    path = _module_path(op)
    return f"{path}.{short}" if path else short


def _named_source(op: Operation) -> SSAValue | None:
    """The value that gives the result of an op its name, if the op does not."""
    if isinstance(op, ttir.EmbeddingOp):
        return op.weight
    if not isinstance(op, (*VIEWS, ttir.TypecastOp, ttir.MultiplyOp)):
        return None
    carried = [value for value in op.operands if not _is_literal(value)]
    return carried[0] if len(carried) == 1 else None


def _beside(name: str, hint: str | None) -> str:
    """The name itself, or the hint in its module: `a.sin`, `b` is `a.b`."""
    if hint is None:
        return name
    path = name.rpartition(".")[0]
    return f"{path}.{hint}" if path else hint


def _is_literal(value: SSAValue) -> bool:
    """Whether a value is made of numbers that stand in the text."""
    op = value.owner
    if isinstance(op, LITERALS):
        return True
    return isinstance(op, VIEWS) and all(map(_is_literal, op.operands))


def _module_path(op: Operation) -> str:
    for location in flat_locations(op.location):
        if isinstance(location, NameLoc):
            return location.desc.data
    return ""


def _names_in(functions: Sequence[FuncOp]) -> set[str]:
    """The names of all arguments."""
    return {name for f in functions for name in argument_names(f) if name}


@dataclass(frozen=True)
class FoldConstantsPass(ModulePass):
    """Computes while compiling what depends on no input."""

    name = "fold-constants"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        functions = [
            function
            for function in op.body.block.ops
            if isinstance(function, FuncOp) and function.body.blocks
        ]
        values = values_of(ctx)
        names = _names_in(functions)
        folds = [_Fold(function, values, names) for function in functions]
        for fold in folds:
            fold.run()
        dce(op)
        dropped = [fold.drop_unused() for fold in folds]
        for name in set[str]().union(*dropped) - _names_in(functions):
            values.pop(name, None)
