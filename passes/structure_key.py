"""What programs of equal layers have in common: a key by which work is done once."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

from xdsl.ir import Operation, SSAValue

from dialects.grid import ProgramOp, stored_format
from dialects.grid_attributes import DRAM
from passes.constants import is_constant


def structure_key(program: ProgramOp) -> Hashable:
    """Equal for programs that differ only in their names and in what they are bound to.

    Where results lie is part of the latter. Operations stand in the order of a walk,
    their operands as the numbers of values; since each region ends in a yield, that
    says how they are nested too.
    """
    kinds = tuple(
        "w" if is_constant(value) else stored_format(value) for value in program.inputs
    )
    numbers: dict[SSAValue, int] = {}
    for argument in program.body.block.args:
        numbers[argument] = len(numbers)
    types = tuple(argument.type for argument in program.body.block.args)
    ops = tuple(_operation_key(op, numbers) for op in program.body.block.walk())
    makes = tuple(replace(use, layout=DRAM) for use in program.makes.data)
    stated = (program.axes, program.uses, makes, program.fidelity, program.dst)
    return stated, kinds, types, ops


def _operation_key(op: Operation, numbers: dict[SSAValue, int]) -> Hashable:
    operands = tuple(numbers[value] for value in op.operands)
    inner = [argument for region in op.regions for argument in region.block.args]
    made = (*op.results, *inner)
    for value in made:
        numbers[value] = len(numbers)
    types = tuple(value.type for value in made)
    return op.name, operands, types, frozenset(op.properties.items())
