"""How the L1 of a core is shared out: tensors between programs, circular buffers.

What makes a program's blocks (`choose-grid`) may take all that is usable; what only
makes its buffers deeper stops at a share, and `align-grids` keeps tensors in what the
programs that run while they live leave.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import SSAValue

from dialects.chip import Chip
from dialects.formats import DataFormat
from dialects.grid import ProgramOp, stored_format
from dialects.recipe import parameters_of
from dialects.weight_formats import WeightFormats
from passes.constants import is_constant, recipe_of
from passes.schedule import Schedule

_USABLE = 0.9
"""The rest is for what is not counted here: masks, scalers, gaps between tensors."""
_TENSORS = 0.3
"""On 64 cores 27 MB: the activations of a layer of 4096 columns and 384 rows."""


def circular_buffer_limit(chip: Chip) -> int:
    """Bytes on a core up to which circular buffers may grow for depth alone."""
    return int((_USABLE - _TENSORS) * chip.l1_usable_bytes)


def usable_bytes(chip: Chip) -> int:
    """Bytes on a core for circular buffers and tensors together."""
    return int(_USABLE * chip.l1_usable_bytes)


def operand_formats(program: ProgramOp, weights: WeightFormats) -> list[DataFormat]:
    """How operands are stored: in the weights format what may be narrowed to it."""
    return [_stored(value, weights) for value in program.inputs]


def _stored(value: SSAValue, weights: WeightFormats) -> DataFormat:
    own = stored_format(value)
    if not is_constant(value) or own is not DataFormat.BF16:
        return own
    return weights.of(parameters_of(recipe_of(value)))


def tile_bytes_of(
    program: ProgramOp, schedule: Schedule, narrowed: Sequence[DataFormat]
) -> dict[SSAValue, int]:
    """Bytes of a tile of each operand and result.

    `narrowed` are the `operand_formats`, which count for streamed weights alone.
    """
    arguments: list[SSAValue] = list(program.body.block.args)
    sizes = {
        argument: (wanted if argument in schedule.streamed else stored_format(value))
        for argument, value, wanted in zip(
            arguments, program.inputs, narrowed, strict=True
        )
    }
    made = zip(schedule.outputs, program.outputs, strict=True)
    sizes |= {inner: stored_format(value) for inner, value in made}
    return {value: found.tile_bytes for value, found in sizes.items()}
