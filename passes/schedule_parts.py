"""What a schedule consists of: operands, values that stay or are handed on, loops."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.ir import Operation, SSAValue

from dialects.formats import DataFormat
from dialects.grid import (
    CausalMaskOp,
    CombineOp,
    LoopOp,
    PadMaskOp,
    PositionMaskOp,
    StageOp,
)


@dataclass(frozen=True)
class Operand:
    """A program's operand in a circular buffer.

    `stage` is the one that streams it, `loop` the one whose steps bring it block by
    block; an operand with neither is resident. One that is `lent` lies in the core's
    own shard from begin to end.
    """

    value: SSAValue
    axes: tuple[str, ...]
    resident: bool
    depth: int
    stage: int | None
    loop: Loop | None = None
    lent: bool = False


@dataclass(frozen=True)
class Carried:
    """A value that the steps of a loop hand on: in the region, and as its result."""

    argument: SSAValue
    yielded: SSAValue
    result: SSAValue
    axes: tuple[str, ...]
    data_format: DataFormat
    init: float
    added: bool = False
    """Whether each step adds to it in place, in L1."""

    @property
    def depth(self) -> int:
        """Blocks of its circular buffer: old and new one, or one for both."""
        return 1 if self.added else 2


@dataclass(frozen=True, eq=False)
class Loop:
    """A loop over blocks of an axis, with the numbers of its first and last stage."""

    op: LoopOp
    axis: str
    first: int
    last: int
    carried: tuple[Carried, ...]

    def holds(self, stage: int) -> bool:
        """Whether a stage runs in each step."""
        return self.first <= stage <= self.last

    @property
    def is_whole(self) -> bool:
        """Whether all cores take all its steps: no mask says where it ends."""
        return not any(
            masks_of(op) for op in self.op.body.block.ops if isinstance(op, StageOp)
        )


@dataclass(frozen=True, eq=False)
class Combine:
    """Stages that make one of what two cores carried out of a loop.

    `others` are the region's arguments for the other core; `carried` those for this
    one, and what becomes of them. With `each`, every core combines a piece of its own,
    taking in those of all cores.
    """

    op: CombineOp
    loop: Loop
    first: int
    last: int
    carried: tuple[Carried, ...]
    others: tuple[SSAValue, ...]
    each: bool = False

    def holds(self, stage: int) -> bool:
        """Whether a stage runs for each other core."""
        return self.first <= stage <= self.last


@dataclass(frozen=True)
class Local:
    """A value that one stage leaves in L1 for later ones."""

    value: SSAValue
    axes: tuple[str, ...]
    data_format: DataFormat
    depth: int


def masks_of(stage: StageOp) -> list[Operation]:
    """The masks that a stage adds or multiplies: made by a processor, not read."""
    return [
        op
        for op in stage.body.block.ops
        if isinstance(op, CausalMaskOp | PositionMaskOp | PadMaskOp)
    ]
