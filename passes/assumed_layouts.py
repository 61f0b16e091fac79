"""Where tensors between programs will lie, as `choose-grid` takes it.

`align-grids` decides that behind it, when all parts are known; until then a program is
priced and timed as if its tensors lay in L1, page by page over all cores, as far as
they fit there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xdsl.dialects.func import ReturnOp
from xdsl.ir import OpResult, SSAValue

from dialects.chip import Chip
from dialects.grid import ProgramOp, UsesAttr, stored_format
from dialects.grid_attributes import DRAM, INTERLEAVED, Use
from dialects.program import Tensor
from dialects.ttir.base import shape_of
from passes.l1_budget import tensor_limit


def lay_in_l1(program: ProgramOp, chip: Chip) -> None:
    """Let what a program reads of others, and leaves for them, lie in L1."""
    left = tensor_limit(chip)
    left, uses = _laid(program.inputs, program.uses.data, left)
    _, makes = _laid(program.outputs, program.makes.data, left)
    program.properties |= {"uses": uses, "makes": makes}


def in_dram(uses: UsesAttr) -> UsesAttr:
    """Uses as they are before layouts are chosen."""
    return UsesAttr(tuple(replace(use, layout=DRAM) for use in uses.data))


def _laid(
    values: Sequence[SSAValue], uses: Sequence[Use], left: int
) -> tuple[int, UsesAttr]:
    """Uses with what fits into the bytes that are left in L1, and what then is left."""
    found = []
    for value, use in zip(values, uses, strict=True):
        num_bytes = _num_bytes(value)
        if use.inplace is None and _is_between_programs(value) and num_bytes <= left:
            left -= num_bytes
            use = replace(use, layout=INTERLEAVED)
        found.append(use)
    return left, UsesAttr(tuple(found))


def _is_between_programs(value: SSAValue) -> bool:
    if not isinstance(value, OpResult) or not isinstance(value.op, ProgramOp):
        return False
    return not any(isinstance(use.operation, ReturnOp) for use in value.uses)


def _num_bytes(value: SSAValue) -> int:
    return Tensor(stored_format(value), (1, *shape_of(value))).num_bytes
