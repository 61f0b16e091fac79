"""From `torch.export` to `ttir`.

Weights and buffers become arguments of the function; their values are handed back
beside the module, as the tensors of the program itself, never copied.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, InputSpec, OutputKind
from torch.fx import Node
from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    ModuleOp,
    StringAttr,
    UnitAttr,
    f32,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, BlockArgument, Region, SSAValue

import forge.frontends.aten_arithmetic
import forge.frontends.aten_cache
import forge.frontends.aten_contractions
import forge.frontends.aten_layout  # noqa: F401
from dialects import ttir
from dialects.ttcore import ARGUMENT_TYPE, KV_CACHE, ArgumentType, ArgumentTypeAttr
from forge.errors import FaultsError, UnsupportedError
from forge.frontends.constant_nodes import ConstantNodes
from forge.frontends.equal_layers import EqualLayers
from forge.frontends.graph_builder import (
    GraphBuilder,
    module_path_of,
    strip_root,
    tensor_type_for,
)
from forge.frontends.importers import IMPORTERS, call_importer
from forge.frontends.layer_copies import LayerCopies
from forge.frontends.unsupported import (
    UnsupportedOp,
    fixed_shape,
    grouped,
    no_importer,
)

NAME = "ttir.name"
"""Key of an argument's name in the attributes of the function."""

CHECKS = ("aten._assert_tensor_metadata.default", "aten.sym_constrain_range.default")
"""Ops that compute nothing: assertions of the exporter about its own trace."""

ARGUMENT_TYPES = {
    InputKind.USER_INPUT: ArgumentType.Input,
    InputKind.PARAMETER: ArgumentType.Parameter,
    InputKind.BUFFER: ArgumentType.Constant,
    InputKind.CONSTANT_TENSOR: ArgumentType.Constant,
}


Identity: TypeAlias = tuple[object, ...]
"""What two tensors share if and only if they are the same view of one storage."""


@dataclass(frozen=True)
class Imported:
    """A `ttir` module and what belongs to it."""

    module: ModuleOp
    """One function, `@main`; its arguments are the inputs, then what is in `values`."""
    values: dict[str, torch.Tensor]
    """Parameters and constants by argument name; the program's tensors, not copies."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Signature:
    """What a function is called, and which of its inputs are caches."""

    name: str = "main"
    caches: Mapping[str, str] = field(default_factory=dict)
    """Input of the exported program -> name of the cache. A cache is written in place:
    the program returns the new caches behind all else, the function does not."""

    def counterpart(self, argument: str, index: int) -> str:
        """The input that is to a layer what one is to the first; itself if to none."""
        first = "layers.0."
        cache = self.caches.get(argument, "")
        if not cache.startswith(first):
            return argument
        other = f"layers.{index}.{cache.removeprefix(first)}"
        return next(name for name, found in self.caches.items() if found == other)

    def attributes(self, argument: str, kind: ArgumentType) -> DictionaryAttr:
        """What stands beside an argument of the function."""
        entries: dict[str, Attribute] = {ARGUMENT_TYPE: ArgumentTypeAttr(kind)}
        if kind is ArgumentType.Input and argument in self.caches:
            entries[KV_CACHE] = UnitAttr()
            argument = self.caches[argument]
        return DictionaryAttr(entries | {NAME: StringAttr(argument)})


@dataclass(frozen=True)
class ImportedFunction:
    """One function, in no module yet, and what belongs to it."""

    function: FuncOp
    values: dict[str, torch.Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def export_program(
    module: torch.nn.Module, sample_inputs: tuple[torch.Tensor, ...]
) -> ExportedProgram:
    """Export a module for the shapes of its sample inputs."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(module, sample_inputs, strict=False)


def import_program(
    ep: ExportedProgram, *, name: str = "model", root: str = ""
) -> Imported:
    """Turn an exported program into `ttir`.

    `root` is the path of a submodule from which parameters and source locations are
    named, so that a wrapper around a model does not show. Raises FaultsError with one
    UnsupportedError for each kind of unsupported op.
    """
    found = import_function(ep, Signature(), title=name, root=root)
    module = ModuleOp([found.function], sym_name=StringAttr(name))
    return Imported(module, found.values, found.inputs, found.outputs)


def import_function(
    ep: ExportedProgram,
    signature: Signature,
    *,
    title: str,
    root: str = "",
    layers: EqualLayers | None = None,
) -> ImportedFunction:
    """Turn an exported program into one function of a `ttir` module.

    `title` names the model in errors; `layers` are those of which only the first was
    traced; else as `import_program`.
    """
    work = _run_import(ep, root, signature, layers)
    if work.faults:
        raise FaultsError(
            f"{title} holds operations that forge cannot compile",
            [fault.as_error() for fault in work.unsupported()],
        )
    return work.finish(signature)


def check_program(ep: ExportedProgram, *, root: str = "") -> list[UnsupportedOp]:
    """All unsupported ops of a program; empty if it can be imported."""
    return _run_import(ep, root, Signature()).unsupported()


def _run_import(
    ep: ExportedProgram,
    root: str,
    signature: Signature,
    layers: EqualLayers | None = None,
) -> _Import:
    """Import a program as it is if possible, else decomposed and without mutation.

    That traces the whole program once more, which is most of the time of an import,
    and most programs need it not.
    """
    work = _Import(ep, root, signature, layers)
    work.run()
    if work.faults:
        work = _Import(_decomposed(ep), root, signature, layers)
        work.run()
    return work


def _decomposed(ep: ExportedProgram) -> ExportedProgram:
    """The program without mutation, in our ops and core ATen ops."""
    table = torch.export.default_decompositions()
    for op in list(table):
        if str(op) in IMPORTERS:
            table.pop(op)
    with warnings.catch_warnings():
        # torch 2.13 warns about its own use of LeafSpec.
        warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
        return ep.run_decompositions(table)


class _Import:
    """One run over the nodes of a graph."""

    def __init__(
        self,
        ep: ExportedProgram,
        root: str,
        signature: Signature,
        layers: EqualLayers | None,
    ) -> None:
        self.ep = ep
        self.root = root
        self.signature = signature
        self.layers = layers
        self.block = Block()
        self.builder = GraphBuilder(self.block, root)
        if layers is not None:
            copies = LayerCopies(self.block, layers.path, self._counterpart)
            self.builder.layers = copies
        self.results: dict[Node, SSAValue | Sequence[SSAValue]] = {}
        self.arguments: list[tuple[str, ArgumentType]] = []
        self.values: dict[str, torch.Tensor] = {}
        self.faults: list[tuple[Node, UnsupportedError]] = []
        self.shared: dict[Identity, SSAValue] = {}
        specs = ep.graph_signature.input_specs
        self.first_names: dict[Identity, str] = {}
        self.specs = {spec.arg.name: spec for spec in specs}
        buffers = {
            spec.arg.name: self._tensor(spec)
            for spec in specs
            if ARGUMENT_TYPES.get(spec.kind) == ArgumentType.Constant
        }
        for spec in specs:
            if spec.target is not None and spec.kind in ARGUMENT_TYPES:
                key = _identity(self._tensor(spec))
                self.first_names.setdefault(key, strip_root(spec.target, root))
        self.constants = ConstantNodes(ep.graph.nodes, buffers)

    def run(self) -> None:
        """Import every node, collecting faults rather than stopping at the first.

        Without sound arguments there is nothing to be read behind them.
        """
        arguments = [node for node in self.ep.graph.nodes if node.op == "placeholder"]
        for node in sorted(arguments, key=self._order):
            self._try(node)
        if self.faults:
            return
        for node in self.ep.graph.nodes:
            if node.op != "placeholder":
                self._try(node)

    def _try(self, node: Node) -> None:
        self.builder.enter(node)
        try:
            self._import(node)
        except UnsupportedError as error:
            self.faults.append((node, error))
            self._stand_in(node)

    def _order(self, node: Node) -> bool:
        """The inputs first, all else as it comes."""
        return self.specs[node.name].kind is not InputKind.USER_INPUT

    def _import(self, node: Node) -> None:
        if node.op == "placeholder":
            self._import_placeholder(node)
        elif node.op == "output":
            self._check_outputs()
        elif node.target is operator.getitem:
            source, index = node.args
            assert isinstance(source, Node)
            assert isinstance(index, int)
            if source in self.results:
                self.results[node] = self._parts(source)[index]
            elif node in self.constants:
                self.results[node] = self._constant_argument(node)
        elif node.op == "call_function" and str(node.target) not in CHECKS:
            self._import_call(node)

    def _parts(self, node: Node) -> Sequence[SSAValue]:
        parts = self.results[node]
        assert not isinstance(parts, SSAValue)
        return parts

    def _import_call(self, node: Node) -> None:
        """Import an op; what no importer can say is computed now if it can be."""
        target = str(node.target)
        try:
            if target not in IMPORTERS:
                raise no_importer(target)
            arguments = torch.fx.map_arg(node.args, self._result)
            keywords = torch.fx.map_arg(node.kwargs, self._result)
            self.results[node] = call_importer(
                target, self.builder, arguments, keywords
            )
        except UnsupportedError:
            if node not in self.constants:
                raise
            if isinstance(node.meta.get("val"), torch.Tensor):
                self.results[node] = self._constant_argument(node)

    def _result(self, node: Node) -> Any:
        return self.results[node]

    def _stand_in(self, node: Node) -> None:
        """Give a node that failed some result, so that the next ones can be read."""
        found = node.meta.get("val")
        tensors = found if isinstance(found, list | tuple) else [found]
        parts = [
            self.builder.emit(ttir.ZerosOp(fixed_shape(tensor), f32))
            for tensor in tensors
        ]
        self.results[node] = parts if isinstance(found, list | tuple) else parts[0]

    def _import_placeholder(self, node: Node) -> None:
        spec = self.specs[node.name]
        if spec.kind not in ARGUMENT_TYPES:
            raise UnsupportedError(
                f"an argument of kind {spec.kind.name} is not supported",
                advice="pass tensors only",
            )
        kind = ARGUMENT_TYPES[spec.kind]
        if kind is ArgumentType.Input:
            self.results[node] = self._argument(node.name, kind, node.meta["val"])
        elif node.users:
            name = strip_root(spec.target or node.name, self.root)
            self.results[node] = self._valued_argument(name, kind, self._tensor(spec))

    def _constant_argument(self, node: Node) -> SSAValue:
        value = self.constants.value(node)
        assert isinstance(value, torch.Tensor)
        path = module_path_of(node, self.root)
        name = f"{path}.{node.name}" if path else node.name
        return self._valued_argument(name, ArgumentType.Constant, value)

    def _counterpart(self, argument: BlockArgument, index: int) -> SSAValue:
        """The cache or weight of a layer that one of the first layer stands for.

        What belongs to no layer is the same for all.
        """
        name, kind = self.arguments[argument.index]
        if kind is ArgumentType.Input:
            other = (self.signature.counterpart(name, index), kind)
            return self.block.args[self.arguments.index(other)]
        assert self.layers is not None
        found = self.layers.counterpart(name, index)
        if found is None:
            return argument
        name, value = found
        return self._valued_argument(name, kind, value)

    def _valued_argument(
        self, name: str, kind: ArgumentType, value: torch.Tensor
    ) -> SSAValue:
        """An argument with a known value; tied weights share one."""
        key = _identity(value)
        if key not in self.shared:
            name = self.first_names.get(key, name)
            self.shared[key] = self._argument(name, kind, value)
            self.values[name] = value.detach()
        return self.shared[key]

    def _argument(self, name: str, kind: ArgumentType, found: object) -> SSAValue:
        if not isinstance(found, torch.Tensor):
            raise UnsupportedError(
                f"argument {name} is not a tensor", advice="pass tensors only"
            )
        type_ = tensor_type_for(found)
        self.arguments.append((name, kind))
        return self.block.insert_arg(type_, len(self.block.args))

    def _tensor(self, spec: InputSpec) -> torch.Tensor:
        target = spec.target
        assert target is not None
        found = self.ep.state_dict.get(target, self.ep.constants.get(target))
        assert isinstance(found, torch.Tensor), f"no value for {target}"
        return found

    def _check_outputs(self) -> None:
        for spec in self.ep.graph_signature.output_specs:
            if spec.kind is not OutputKind.USER_OUTPUT:
                raise UnsupportedError(
                    f"the program changes {spec.target} in place",
                    advice="return the new value instead of writing it",
                )

    def unsupported(self) -> list[UnsupportedOp]:
        """The faults, those of one op, reason, shape and source line as one."""
        return grouped(self.faults)

    def finish(self, signature: Signature) -> ImportedFunction:
        """Wrap what was built into a function."""
        specs = self.ep.graph_signature.output_specs
        specs = specs[: len(specs) - len(signature.caches)]
        nodes = {node.name: node for node in self.ep.graph.nodes}
        returned = [self.results[nodes[spec.arg.name]] for spec in specs]
        values = [value for value in returned if isinstance(value, SSAValue)]
        self.block.add_op(ReturnOp(*values))
        outputs = _output_names(len(values))
        function = FuncOp(
            signature.name,
            (list(self.block.arg_types), [value.type for value in values]),
            Region(self.block),
            arg_attrs=ArrayAttr(signature.attributes(*a) for a in self.arguments),
            res_attrs=ArrayAttr(
                DictionaryAttr({NAME: StringAttr(output)}) for output in outputs
            ),
        )
        inputs = tuple(
            argument for argument, kind in self.arguments if kind is ArgumentType.Input
        )
        return ImportedFunction(function, self.values, inputs, outputs)


def _identity(value: torch.Tensor) -> Identity:
    place = (value.untyped_storage()._cdata, value.storage_offset())
    return (*place, value.shape, value.stride(), value.dtype)


def _output_names(count: int) -> tuple[str, ...]:
    """`output`, or `output0`, `output1`, ..."""
    if count == 1:
        return ("output",)
    return tuple(f"output{i}" for i in range(count))
