"""Builds the body of a `ttir` function, one node of an exported graph at a time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch.fx import Node
from xdsl.dialects.builtin import (
    UNKNOWN_LOC,
    BFloat16Type,
    FileLineColLoc,
    Float32Type,
    IntAttr,
    IntegerType,
    LocationAttr,
    NameLoc,
    StringAttr,
    TensorType,
    bf16,
    f32,
    i1,
    i32,
    i64,
)
from xdsl.ir import Attribute, Block, Operation, SSAValue

from dialects import ttir
from forge.errors import UnsupportedError
from forge.frontends.layer_copies import LayerCopies

Number: TypeAlias = bool | int | float
Value: TypeAlias = SSAValue
"""A tensor of the graph."""
Operand: TypeAlias = SSAValue | bool | int | float
"""A tensor, or a Python number that broadcasts."""

ELEMENTS: dict[torch.dtype, BFloat16Type | Float32Type | IntegerType] = {
    torch.bfloat16: bf16,
    torch.float32: f32,
    torch.bool: i1,
    torch.int32: i32,
    torch.int64: i64,
}
"""The dtypes that a `ttir` tensor can have."""

_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
_PACKAGES = re.compile(r".*/(?:site|dist)-packages/")


def element_for(dtype: torch.dtype) -> BFloat16Type | Float32Type | IntegerType:
    """The element type for a dtype. Raises UnsupportedError for one we lack."""
    if dtype not in ELEMENTS:
        raise UnsupportedError(
            f"dtype {dtype} is not supported",
            limit="bfloat16, float32, bool, int32, int64",
            advice="convert the model or the value to bfloat16 or float32",
        )
    return ELEMENTS[dtype]


def tensor_type_for(tensor: torch.Tensor) -> TensorType[Attribute]:
    """The `ttir` type of a (fake) tensor. Raises UnsupportedError."""
    if not all(isinstance(extent, int) for extent in tensor.shape):
        raise UnsupportedError(
            f"shape {tuple(tensor.shape)} is not fixed",
            advice="export without dynamic shapes",
        )
    return TensorType(element_for(tensor.dtype), list(tensor.shape))


def short_path(filename: str) -> str:
    """A source file without the machine's part of its path."""
    if _PACKAGES.match(filename):
        return _PACKAGES.sub("", filename)
    path = Path(filename)
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return path.name


def source_of(node: Node) -> tuple[str, int] | None:
    """File and line of the innermost frame outside torch itself, if known."""
    frames = _FRAME.findall(node.meta.get("stack_trace") or "")
    own = [frame for frame in frames if "/torch/" not in frame[0]]
    if not own:
        return None
    filename, line = own[-1]
    return short_path(filename), int(line)


def module_path_of(node: Node, root: str = "") -> str:
    """The dotted path of the module a node was traced in, seen from `root`."""
    stack = node.meta.get("nn_module_stack")
    if not stack:
        return ""
    path = next(reversed(stack.values()))[0]
    return strip_root(path, root)


def strip_root(path: str, root: str) -> str:
    """A dotted path seen from one of the modules on it."""
    if path == root:
        return ""
    return path.removeprefix(f"{root}.") if root else path


def location_of(node: Node, root: str = "") -> LocationAttr:
    """`loc("module.path"("file.py":line:0))`, with what is known of it."""
    source = source_of(node)
    place: LocationAttr = UNKNOWN_LOC
    if source is not None:
        place = FileLineColLoc(StringAttr(source[0]), IntAttr(source[1]), IntAttr(0))
    path = module_path_of(node, root)
    return NameLoc(StringAttr(path), place) if path else place


class GraphBuilder:
    """Emits ops for the current node; importers get it as their first argument."""

    layers: LayerCopies
    """Copies a layer that stands for all; set where a program has one."""

    def __init__(self, block: Block, root: str) -> None:
        self.block = block
        self.root = root
        self._node: Node | None = None
        self._location: LocationAttr = UNKNOWN_LOC

    def enter(self, node: Node) -> None:
        """Make `node` the one that the next ops come from."""
        self._node = node
        self._location = location_of(node, self.root)

    @property
    def node(self) -> Node:
        """The node being imported."""
        assert self._node is not None
        return self._node

    @property
    def result_type(self) -> TensorType[Attribute]:
        """The type that the current node must yield."""
        return tensor_type_for(self.node.meta["val"])

    @property
    def result_element(self) -> Attribute:
        """The element type that the current node must yield."""
        return self.result_type.element_type

    @property
    def result_shape(self) -> tuple[int, ...]:
        """The shape that the current node must yield."""
        return self.result_type.get_shape()

    def emit(self, op: Operation) -> SSAValue:
        """Append an op with one result, at the current node's location."""
        op.location = self._location
        self.block.add_op(op)
        return op.results[0]

    def promoted_element(self) -> Attribute:
        """The element type in which torch computes on the node's two operands."""
        operands: list[Any] = [
            operand.meta["val"] if isinstance(operand, Node) else operand
            for operand in self.node.args[:2]
        ]
        return element_for(torch.result_type(*operands))

    def full(self, value: Number, shape: Sequence[int], element: Attribute) -> SSAValue:
        """A tensor with one value everywhere."""
        return self.emit(ttir.FullOp(shape, value, element))

    def cast(self, value: SSAValue, element: Attribute) -> SSAValue:
        """The value in another element type; itself where it has that type."""
        if ttir.element_of(value) == element:
            return value
        return self.emit(ttir.TypecastOp(value, element))

    def operand(self, value: Operand, element: Attribute, rank: int) -> SSAValue:
        """A tensor or a number as an operand that broadcasts at a given rank."""
        if isinstance(value, SSAValue):
            return self.cast(value, element)
        return self.full(value, [1] * rank, element)

    def reshape(self, value: SSAValue, shape: Sequence[int]) -> SSAValue:
        """The value under another shape; itself where it has that shape."""
        if ttir.shape_of(value) == tuple(shape):
            return value
        return self.emit(ttir.ReshapeOp(value, shape))

    def permute(self, value: SSAValue, order: Sequence[int]) -> SSAValue:
        """The value with its dimensions in another order."""
        return self.emit(ttir.PermuteOp(value, order))

    def broadcast(self, value: SSAValue, shape: Sequence[int]) -> SSAValue:
        """The value expanded to a shape, as in torch: new dimensions come first."""
        before = ttir.shape_of(value)
        aligned = (1,) * (len(shape) - len(before)) + before
        value = self.reshape(value, aligned)
        factors = [
            target if extent == 1 else 1
            for extent, target in zip(aligned, shape, strict=True)
        ]
        if all(factor == 1 for factor in factors):
            return value
        return self.emit(ttir.BroadcastOp(value, factors))
