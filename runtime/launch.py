"""One launch of a program: its kernels on every core, with all numbers resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeAlias

from xdsl.ir import Operation

from dialects.chip import Core
from dialects.expr import Environment
from dialects.formats import DataFormat
from dialects.program import ProgramFacts, Tensor
from runtime import instructions as ins

Corners: TypeAlias = tuple[Core, Core]


@dataclass(frozen=True, slots=True)
class CircularBufferFacts:
    """What the engines know of a circular buffer, equal on all cores.

    `partners` are the numbers of those at the same place.
    """

    name: str
    capacity_pages: int
    block_pages: int
    data_format: DataFormat
    page_bytes: int
    partners: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Move:
    """What the instructions of a site do elsewhere than in the stream they come from.

    `tiles` are added to their tile numbers, `across` and `down` to the cores that they
    name; `receivers` are those of each multicast, by the moved corners.
    """

    tiles: int = 0
    across: int = 0
    down: int = 0
    receivers: Mapping[Corners, tuple[Core, ...]] = field(default_factory=dict)

    def core(self, core: Core) -> Core:
        """A core that the stream names, moved."""
        return Core(core.x + self.across, core.y + self.down)

    def of(self, instruction: ins.Instruction) -> ins.Instruction:
        """The instruction, moved."""
        if isinstance(instruction, ins.MOVING_TILES):
            return replace(instruction, tiles=instruction.tiles + self.tiles)
        if isinstance(instruction, ins.SemaphoreInc):
            return replace(instruction, target=self.core(instruction.target))
        if isinstance(instruction, ins.CASTS):
            start, end = self.core(instruction.start), self.core(instruction.end)
            found = self.receivers[start, end]
            return replace(instruction, start=start, end=end, receivers=found)
        return instruction


@dataclass(frozen=True)
class KernelStream:
    """A kernel of one core: its processor (`riscv0`, `riscv1`, `trisc`) and stream.

    Cores that do the same elsewhere have one list of `shared` instructions, which are
    those of the first of them; `moves` says by site how another's differ.
    """

    name: str
    processor: str
    noc: int | None
    shared: list[ins.Instruction]
    moves: Mapping[int, Move] = field(default_factory=dict)

    @cached_property
    def instructions(self) -> list[ins.Instruction]:
        """The instructions of this core."""
        if not self.moves:
            return self.shared
        moves = self.moves
        return [moves[i.site].of(i) if i.site in moves else i for i in self.shared]


@dataclass(frozen=True, slots=True)
class Launch:
    """A program with tensors bound to its parameters, expanded for all active cores.

    `circular_buffers` and `tensors` are indexed by the `cb` and `parameter` numbers of
    the instructions, `semaphores` holds initial values, `sites` the operations,
    `scalars` the run-time scalars for which bounds and guards were resolved.
    """

    facts: ProgramFacts
    tensors: tuple[Tensor, ...]
    circular_buffers: tuple[CircularBufferFacts, ...]
    semaphores: tuple[int, ...]
    semaphore_names: tuple[str, ...]
    streams: dict[Core, tuple[KernelStream, ...]]
    sites: list[Operation] = field(repr=False)
    scalars: Environment = field(default_factory=dict)
