"""What is known before the model runs: parameters, and layout changes of them."""

from __future__ import annotations

from xdsl.dialects.builtin import StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, BlockArgument, SSAValue

from dialects import ttir
from dialects.recipe import Call, Recipe
from dialects.ttcore import ArgumentTypeAttr
from dialects.ttir.base import integers, shape_of

_LAYOUT_OPS = (
    ttir.PermuteOp,
    ttir.ReshapeOp,
    ttir.ConcatOp,
    ttir.SliceStaticOp,
    ttir.TypecastOp,
)


def argument_property(argument: BlockArgument, key: str) -> object:
    """A property of a function's argument by its key, or None."""
    block = argument.owner
    function = block.parent_op() if isinstance(block, Block) else None
    if not isinstance(function, FuncOp) or function.arg_attrs is None:
        return None
    return function.arg_attrs.data[argument.index].data.get(key)


def argument_name(argument: BlockArgument) -> str:
    """The name of a function's argument, or `arg<index>`."""
    name = argument_property(argument, "ttir.name")
    return name.data if isinstance(name, StringAttr) else f"arg{argument.index}"


def is_constant(value: SSAValue) -> bool:
    """Whether a value is a parameter or constant, maybe laid out anew."""
    if isinstance(value, BlockArgument):
        kind = argument_property(value, "ttcore.argument_type")
        return isinstance(kind, ArgumentTypeAttr) and kind.data != "input"
    owner = value.owner
    return isinstance(owner, _LAYOUT_OPS) and all(map(is_constant, owner.operands))


def recipe_of(value: SSAValue) -> Recipe:
    """The recipe that makes a constant value from parameters of the weights file."""
    if isinstance(value, BlockArgument):
        return argument_name(value)
    owner = value.owner
    if isinstance(owner, ttir.PermuteOp):
        return _permute_recipe(owner)
    if isinstance(owner, ttir.ReshapeOp):
        sizes = map(float, shape_of(owner.result))
        return Call("reshape", (recipe_of(owner.input), *sizes))
    if isinstance(owner, ttir.ConcatOp):
        dim = owner.dim.value.data % len(shape_of(owner.result))
        return Call("concat", (float(dim), *map(recipe_of, owner.inputs)))
    if isinstance(owner, ttir.TypecastOp):
        return recipe_of(owner.input)
    assert isinstance(owner, ttir.SliceStaticOp)
    return _slice_recipe(owner)


def _permute_recipe(op: ttir.PermuteOp) -> Recipe:
    order = tuple(op.permutation.get_values())
    inner = recipe_of(op.input)
    if order == (*range(len(order) - 2), len(order) - 1, len(order) - 2):
        return Call("transpose", (inner,))
    return Call("permute", (inner, *map(float, order)))


def _slice_recipe(op: ttir.SliceStaticOp) -> Recipe:
    recipe = recipe_of(op.input)
    begins, ends = integers(op.begins), integers(op.ends)
    for dim, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        if (begin, end) != (0, shape_of(op.input)[dim]):
            recipe = Call("slice", (recipe, float(dim), float(begin), float(end)))
    return recipe
