"""A netlist read into tables: its buffers, programs and runs, and their launches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from dialects.bindings import MAIN
from dialects.chip import Chip, load_chip
from dialects.errors import ForgeError, NetlistError
from dialects.expr import Environment, Value
from dialects.netlist_text import line_of
from dialects.program import ProgramFacts, Tensor, tensor_of
from dialects.recipe import parse_recipe, substitute
from dialects.tensix import BufferOp, EntryOp, NetlistOp, ProgramOp, RunOp
from runtime.expand import expand_program
from runtime.launch import Launch
from runtime.recent import Recent

KEPT_LAUNCHES = 4
"""Launches of one program that are kept where run-time scalars tell them apart."""

Scalars: TypeAlias = Mapping[str, np.ndarray]
"""Whole numbers by the name of the buffer that holds them."""


@dataclass(frozen=True)
class BoundBuffer:
    """A buffer of the netlist, one instance of a family resolved."""

    name: str
    tensor: Tensor
    role: str | None
    recipe: str | None
    instance: int
    location: str | None = None


@dataclass(frozen=True)
class Run:
    """A run line: the program and the buffers bound to its parameters."""

    program: str
    buffers: tuple[str, ...]


class Machine:
    """A netlist read into tables: buffers, programs, runs, and launches on demand."""

    def __init__(self, netlist: NetlistOp):
        self.netlist = netlist
        self.chip: Chip = load_chip(netlist.chip.data)
        self.buffers: dict[str, BoundBuffer] = {}
        self.programs: dict[str, ProgramFacts] = {}
        self.entries: dict[str, list[Run]] = {}
        self._launches: dict[object, Recent[object, Launch]] = {}
        for op in netlist.body.block.ops:
            if isinstance(op, BufferOp):
                self._add_buffer(op)
            elif isinstance(op, ProgramOp):
                self.programs[op.sym_name.data] = ProgramFacts(op, self.chip)
            elif isinstance(op, RunOp):
                self._add_run(op, MAIN)
            elif isinstance(op, EntryOp):
                self.entries.setdefault(op.sym_name.data, [])
                for run in op.body.block.ops:
                    if isinstance(run, RunOp):
                        self._add_run(run, op.sym_name.data)

    @property
    def runs(self) -> list[Run]:
        """The runs of all entries, in the order of the text."""
        return [run for runs in self.entries.values() for run in runs]

    def entry(self, name: str | None) -> list[Run]:
        """The runs of an entry, of the only one by default.

        Raises `NetlistError` for a name that there is not, or where none is given and
        there are several.
        """
        if name is None and len(self.entries) == 1:
            return next(iter(self.entries.values()))
        if name is None or name not in self.entries:
            raise NetlistError(
                "the netlist has several entries"
                if name is None
                else f"the netlist has no entry '{name}'",
                advice=f"name one of {', '.join(self.entries)}",
            )
        return self.entries[name]

    def inputs(self, entry: str | None = None) -> list[BoundBuffer]:
        """The buffers that the host writes before it starts an entry."""
        return self._bound_with_role(entry, "input")

    def outputs(self, entry: str | None = None) -> list[BoundBuffer]:
        """The buffers that the host reads after an entry."""
        return self._bound_with_role(entry, "output")

    def _bound_with_role(self, entry: str | None, role: str) -> list[BoundBuffer]:
        bound = {name for run in self.entry(entry) for name in run.buffers}
        return [b for b in self.buffers_with_role(role) if b.name in bound]

    def _add_buffer(self, op: BufferOp) -> None:
        count = 1 if op.last is None else op.last.value + 1
        recipe = None if op.recipe is None else parse_recipe(op.recipe.data)
        role = None if op.role is None else op.role.data
        for instance in range(count):
            name = op.sym_name.data.replace("$", str(instance))
            own = None if recipe is None else str(substitute(recipe, instance))
            self.buffers[name] = BoundBuffer(
                name, tensor_of(op), role, own, instance, line_of(op)
            )

    def _add_run(self, op: RunOp, entry: str) -> None:
        name = op.program.data
        if name not in self.programs:
            raise NetlistError(
                f"@{name} is run, but there is no such program",
                advice=f"there are {', '.join(self.programs)}",
            )
        for buffer in op.buffers.data:
            if buffer not in self.buffers:
                raise NetlistError(
                    f"@{buffer} is bound by a run of @{name}, but not declared",
                    advice="declare the buffer, or bind one that there is",
                )
        self.entries.setdefault(entry, []).append(Run(name, op.buffers.data))

    def tensors(self, run: Run) -> tuple[Tensor, ...]:
        """The tensors that a run binds, in the order of the parameters."""
        return tuple(self.buffers[name].tensor for name in run.buffers)

    def scalars(self, run: Run, values: Scalars | None = None) -> Environment:
        """The run-time scalars of a run's program by name.

        `values` gives the elements of buffers; where it does not, scalars are at the
        upper ends of their ranges. Raises `ForgeError` for a value outside.
        """
        facts = self.programs[run.program]
        found: dict[str, Value] = dict(facts.scalar_ends()[-1])
        operands = [name for _, name in facts.parameters]
        for scalars in facts.scalars.values():
            buffer = run.buffers[operands.index(scalars.operand)]
            if values is None or buffer not in values:
                continue
            given = values[buffer]
            if (
                given.size
                and not scalars.low <= given.min() <= given.max() <= scalars.high
            ):
                raise ForgeError(
                    f"@{buffer} holds a value outside of its range",
                    limit=f"{scalars.low} to {scalars.high}",
                    value=f"{given.min()} to {given.max()}",
                )
            found[scalars.name] = given.reshape(-1)
        return found

    def launch(self, run: Run, scalars: Environment | None = None) -> Launch:
        """The expanded program of a run; runs alike share one."""
        facts = self.programs[run.program]
        given = self.scalars(run) if scalars is None else scalars
        tensors = self.tensors(run)
        known = self._launches.setdefault((run.program, tensors), Recent(KEPT_LAUNCHES))
        return known.get(
            facts.control_key(given),
            lambda: expand_program(facts, tensors, scalars=given),
        )

    def buffers_with_role(self, role: str) -> list[BoundBuffer]:
        """Buffers by role, in the order of their lines."""
        return [b for b in self.buffers.values() if b.role == role]
