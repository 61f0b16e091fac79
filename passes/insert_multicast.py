"""`insert-multicast`: what all cores of a line want, one of them reads and sends.

An operand whose map does not depend on the axes that a row, a column or the whole
rectangle is spread over is the same for all cores there. Its first core becomes the
master; the cost of a handshake must be less than that of reading again.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from dialects.grid import NO_AXIS, ProgramOp, UsesAttr
from passes.grid_prices import shared_line
from passes.schedule import Schedule
from passes.structure_key import structure_key

MIN_TILES = 4
"""Tiles of a block from which a multicast pays: its handshake costs about 900 cycles
(fact sheet, section 5), a read of two tiles about 470 (section 4.5)."""


@dataclass(frozen=True)
class InsertMulticastPass(ModulePass):
    """Choose masters for operands that a line of cores shares."""

    name = "insert-multicast"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        known: dict[Hashable, UsesAttr] = {}
        for program in op.walk():
            if isinstance(program, ProgramOp):
                key = structure_key(program)
                if key not in known:
                    known[key] = multicast_uses(program)
                program.properties["uses"] = known[key]


def multicast_uses(program: ProgramOp) -> UsesAttr:
    """The uses of a program's operands, with the line that each is sent along."""
    axes = program.axes.by_name()
    schedule = Schedule(program)
    uses = []
    operands = {operand.value: operand for operand in schedule.operands}
    for use, argument in zip(program.uses.data, program.body.block.args, strict=True):
        operand = operands.get(argument)
        if operand is None or not (operand.loop is None or operand.loop.is_whole):
            uses.append(use)
            continue
        tiles = schedule.block_tiles(operand, axes)
        own = tuple(a for a in use.axes if a != NO_AXIS)
        along = shared_line(program, own)
        pays = tiles >= MIN_TILES and not use.index and not _gathered(program, use.axes)
        uses.append(replace(use, along=along if pays else None))
    return UsesAttr(tuple(uses))


def _gathered(program: ProgramOp, axes: tuple[str, ...]) -> bool:
    """A table whose rows an index picks: each core wants other rows."""
    has_index = any(use.index for use in program.uses.data)
    return has_index and axes[0] == NO_AXIS and len(axes) == 2
