"""A netlist's lines as tables: buffers by name, programs, and runs in their order.

A family `@layers.$.w last 29` is 30 buffers, `@layers.0.w` to `@layers.29.w`. What
does not resolve is left out here; `dialects.checks` names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from dialects.program import Tensor, tensor_of
from dialects.tensix import BufferOp, EntryOp, HostOp, NetlistOp, ProgramOp, RunOp

AnyRun: TypeAlias = "RunOp | HostOp"

MAIN = "main"
"""The entry of runs that stand outside of any."""


@dataclass(frozen=True)
class BufferInstance:
    """One buffer; `number` is its place in a family, 0 where it stands alone."""

    name: str
    number: int
    tensor: Tensor
    op: BufferOp

    @property
    def role(self) -> str | None:
        """Input, output, cache, or None."""
        return None if self.op.role is None else self.op.role.data

    @property
    def recipe(self) -> str | None:
        """How a weight is made, or None."""
        return None if self.op.recipe is None else self.op.recipe.data


class Bindings:
    """Buffers (families spread out), programs and runs of a netlist.

    `entries` holds the runs of each entry, `runs` all of them in the order of the text.
    """

    def __init__(self, netlist: NetlistOp):
        self.netlist = netlist
        self.buffer_ops: list[BufferOp] = []
        self.buffers: dict[str, BufferInstance] = {}
        self.programs: dict[str, ProgramOp] = {}
        self.runs: list[AnyRun] = []
        self.entries: dict[str, list[AnyRun]] = {}
        for op in netlist.body.block.ops:
            if isinstance(op, BufferOp):
                self._add_buffer(op)
            elif isinstance(op, ProgramOp):
                self.programs.setdefault(op.sym_name.data, op)
            elif isinstance(op, RunOp | HostOp):
                self._add_run(op, MAIN)
            elif isinstance(op, EntryOp):
                self._add_entry(op)

    def _add_entry(self, op: EntryOp) -> None:
        self.entries.setdefault(op.sym_name.data, [])
        for run in op.body.block.ops:
            if isinstance(run, RunOp | HostOp):
                self._add_run(run, op.sym_name.data)

    def _add_run(self, op: AnyRun, entry: str) -> None:
        self.runs.append(op)
        self.entries.setdefault(entry, []).append(op)

    def _add_buffer(self, op: BufferOp) -> None:
        self.buffer_ops.append(op)
        tensor = tensor_of(op)
        for name, number in instance_names(op):
            self.buffers.setdefault(name, BufferInstance(name, number, tensor, op))

    def runs_of(self, program: str) -> list[RunOp]:
        """The runs of one program, in their order."""
        return [
            run
            for run in self.runs
            if isinstance(run, RunOp) and run.program.data == program
        ]

    def tensors(self, run: RunOp) -> tuple[Tensor, ...]:
        """What a run binds, in the order of the parameters."""
        return tuple(self.buffers[name].tensor for name in run.buffers.data)


def instance_names(op: BufferOp) -> list[tuple[str, int]]:
    """Names and numbers of all buffers that a line declares."""
    if op.last is None:
        return [(op.sym_name.data, 0)]
    return [
        (op.sym_name.data.replace("$", str(number)), number)
        for number in range(op.last.value + 1)
    ]
