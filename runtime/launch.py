"""One launch of a program: its kernels on every core, with all numbers resolved."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.ir import Operation

from dialects.chip import Core
from dialects.expr import Environment
from dialects.formats import DataFormat
from dialects.program import ProgramFacts, Tensor
from runtime.instructions import Instruction


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
class KernelStream:
    """A kernel of one core: its processor (`riscv0`, `riscv1`, `trisc`) and stream."""

    name: str
    processor: str
    noc: int | None
    instructions: list[Instruction]


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
