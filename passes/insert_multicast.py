"""`insert-multicast`: what all cores of a line want, one of them reads and sends.

An operand whose map does not depend on the axes that a row, a column or the whole
rectangle is spread over is the same for all cores there. Its first core becomes the
master; the cost of a handshake must be less than that of reading again.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from dialects.axes import Axis
from dialects.chip import load_chip
from dialects.grid import NO_AXIS, ProgramOp, UsesAttr, stored_format
from passes.grid_prices import MIN_MULTICAST_TILES, shared_line
from passes.schedule import Schedule
from passes.structure_key import structure_key

_HANDSHAKE = 900  # cycles [fact sheet, section 5]
_READ_BYTES_PER_CYCLE = 28.7  # one core, reading [fact sheet, section 4.3]


@dataclass(frozen=True)
class InsertMulticastPass(ModulePass):
    """Choose masters for operands that a line of cores shares."""

    name = "insert-multicast"

    chip: str = "n150"
    read_ahead: bool = True

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        columns = load_chip(self.chip).grid.x
        known: dict[Hashable, UsesAttr] = {}
        for program in op.walk():
            if isinstance(program, ProgramOp):
                key = structure_key(program)
                if key not in known:
                    known[key] = multicast_uses(
                        program,
                        columns,
                        schedule=Schedule(program),
                        read_ahead=self.read_ahead,
                    )
                program.properties["uses"] = known[key]


def multicast_uses(
    program: ProgramOp, columns: int, *, schedule: Schedule, read_ahead: bool = True
) -> UsesAttr:
    """The uses of a program's operands, with the line that each is sent along.

    `columns` are those of the chip's grid. With `read_ahead`, masters read a loop's
    next block while they send one, where its buffer has room for that.
    """
    axes = program.axes.by_name()
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
        pays = (
            tiles >= MIN_MULTICAST_TILES
            and not schedule.stays_whole(operand, axes)
            and not use.index
            and not _gathered(program, use.axes)
        )
        if along is None or not pays:
            uses.append(replace(use, along=None, turns=1, ahead=False))
            continue
        size = stored_format(program.inputs[argument.index]).tile_bytes * tiles
        cut = schedule.cut_axis(operand, axes)
        turns = 1
        if cut is not None and operand.resident and not use.cleaned:
            most = min(cut.part, _masters(axes, along, columns))
            turns = _turns(cut.part, most, size)
        ahead = read_ahead and schedule.has_room_ahead(operand, axes, use.depth)
        uses.append(replace(use, along=along, turns=turns, ahead=ahead))
    return UsesAttr(tuple(uses))


def _turns(part: int, most: int, num_bytes: int) -> int:
    """In how many pieces cores read a resident operand side by side, to send in turn.

    Each piece has a handshake of its own; sending takes its time either way.
    """
    read = num_bytes / _READ_BYTES_PER_CYCLE
    choices = [number for number in range(1, most + 1) if part % number == 0]
    return min(choices, key=lambda turns: read / turns + turns * _HANDSHAKE)


def _masters(axes: Mapping[str, Axis], along: str, columns: int) -> int:
    """Cores of a line that may send in turn; of the first row, where all receive.

    Cores beside the banks are no such row: the first sends.
    """
    spans = {"x": 1, "y": 1, "xy": 1, "banks": 1}
    for axis in axes.values():
        if axis.over is not None:
            spans[axis.over] = max(spans[axis.over], axis.cores * axis.stride)
    if spans["banks"] > 1:
        return 1
    if along == "xy":
        return max(spans["x"], min(spans["xy"], columns))
    return spans[along]


def _gathered(program: ProgramOp, axes: tuple[str, ...]) -> bool:
    """A table whose rows an index picks: each core wants other rows."""
    has_index = any(use.index for use in program.uses.data)
    return has_index and axes[0] == NO_AXIS and len(axes) == 2
