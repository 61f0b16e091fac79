"""The emulator: loads a netlist and its weights, computes and times its runs.

The netlist is all it knows. Buffers become sheets (float32 matrices of whole tiles),
each program is prepared once for the tensors it is bound to, and a run is a call of
the prepared program on sheets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from dialects.bindings import MAIN
from dialects.chip import Chip, load_chip
from dialects.errors import ForgeError, NetlistError
from dialects.expr import Environment, Value
from dialects.formats import TILE_EDGE, DataFormat
from dialects.netlist_text import line_of
from dialects.program import ProgramFacts, Tensor, tensor_of
from dialects.recipe import parse_recipe, substitute
from dialects.tensix import BufferOp, EntryOp, NetlistOp, ProgramOp, RunOp
from runtime.constants import ConstantSource, round_upload
from runtime.expand import expand_program
from runtime.launch import Launch
from runtime.memory_plan import Store, Workspace
from runtime.numerics import require_numerics
from runtime.recent import Recent
from runtime.replay import BoundProgram, Prepared, prepare
from runtime.sheets import ConstantSheet
from runtime.weights import WeightsFile

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


class Emulator:
    """Computes what comes out of a netlist.

    `numerics` is `fast`, `exact` (bit for bit) or `reference` (plain float32, weights
    and inputs unrounded).
    """

    def __init__(
        self,
        netlist: NetlistOp,
        parameters: Mapping[str, np.ndarray],
        *,
        numerics: str = "fast",
    ):
        self.machine = Machine(netlist)
        self.parameters = parameters
        self.numerics = require_numerics(numerics)
        self.sheets: dict[str, np.ndarray | ConstantSheet] = {}
        self.integers: dict[str, np.ndarray] = {}
        self._prepared: dict[object, Recent[object, Prepared]] = {}
        self._workspace = Workspace()
        self._store = Store()
        self._bound: dict[Run, tuple[Prepared, BoundProgram]] = {}

    def prepare(self, *entries: str) -> None:
        """Trace and merge the programs of entries, of all by default; make weights."""
        programs = {
            run: self._program(run, self.machine.scalars(run))
            for entry in entries or self.machine.entries
            for run in self.machine.entry(entry)
        }
        self._workspace.words(max(program.words for program in programs.values()))
        for run, program in programs.items():
            self._bind(run, program)
            if self.numerics != "fast":
                sheets = self._sheets_of(run)
                _ = [s.array for s in sheets if isinstance(s, ConstantSheet)]
            if isinstance(self.parameters, WeightsFile):
                self.parameters.forget()

    def run(
        self, inputs: Mapping[str, np.ndarray], entry: str | None = None
    ) -> dict[str, np.ndarray]:
        """Compute an entry's outputs, by buffer name, in the shapes of their buffers.

        Caches keep what was written to them. Without a name it is the only entry.
        """
        self.upload(inputs, entry)
        for run in self.machine.entry(entry):
            self.step(run)
        return {
            buffer.name: self.read(buffer.name)
            for buffer in self.machine.outputs(entry)
        }

    def upload(
        self, inputs: Mapping[str, np.ndarray], entry: str | None = None
    ) -> None:
        """Write the inputs, by buffer name. Raises `ForgeError` if one is missing."""
        for buffer in self.machine.inputs(entry):
            if buffer.name not in inputs:
                raise ForgeError(f"input @{buffer.name} is missing")
            self._write(buffer, inputs[buffer.name])
            if buffer.tensor.data_format.is_integer:
                self.integers[buffer.name] = np.asarray(inputs[buffer.name], np.int64)
        for run in self.machine.entry(entry):
            if self.machine.programs[run.program].scalars:
                self.machine.scalars(run, self.integers)  # raises for what is outside

    def step(self, run: Run) -> None:
        """Execute one run on the buffers as they are."""
        program, scalars = self.bound(run)
        program(scalars)

    def bound(self, run: Run) -> tuple[BoundProgram, Environment]:
        """A run's program on its buffers, and its scalars as they are now."""
        found = self._bound.get(run)
        if found is not None and not self.machine.programs[run.program].scalars:
            return found[1], {}
        scalars = self.machine.scalars(run, self.integers)
        return self._bind(run, self._program(run, scalars)), scalars

    def _bind(self, run: Run, program: Prepared) -> BoundProgram:
        """The program on the run's buffers; a run keeps the one that it used last."""
        found = self._bound.get(run)
        if found is None or found[0] is not program:
            bound = program.bind(self._sheets_of(run), self._workspace)
            found = self._bound[run] = (program, bound)
        return found[1]

    def spoil_workspace(self) -> None:
        """Fill what programs compute in with no numbers: none may read them."""
        self._workspace.words(0)[:] = 0x7FC0_0000

    def _sheets_of(self, run: Run) -> list[np.ndarray | ConstantSheet]:
        return [self._sheet(name) for name in run.buffers]

    def activations(self, run: Run) -> dict[str, np.ndarray]:
        """Copies of the sheets of a run that are not weights."""
        return {
            name: self.sheet(name).copy()
            for name in run.buffers
            if self.machine.buffers[name].recipe is None
        }

    def run_on(
        self, run: Run, activations: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Execute one run on other activations, rounded to their buffers' formats."""
        sheets = {}
        for name, values in activations.items():
            sheets[name] = values.copy()
            self._round(sheets[name], self.machine.buffers[name].tensor.data_format)
        bound = [
            sheets[name] if name in sheets else self._sheet(name)
            for name in run.buffers
        ]
        scalars = self.machine.scalars(run, self.integers)
        self._program(run, scalars).bind(bound, self._workspace)(scalars)
        return sheets

    def read(self, name: str) -> np.ndarray:
        """The values of a buffer, in its shape, without padding."""
        return self.crop(name, self.sheet(name))

    def sheet(self, name: str) -> np.ndarray:
        """The values of a buffer as a matrix of whole tiles, padding included."""
        return self._sheet(name)[:]

    def crop(self, name: str, sheet: np.ndarray) -> np.ndarray:
        """A sheet in the shape of a buffer, without padding."""
        *leading, rows, columns = self.machine.buffers[name].tensor.shape
        stacked = sheet.reshape(-1, _padded(rows), sheet.shape[1])
        return stacked[:, :rows, :columns].reshape(*leading, rows, columns).copy()

    def _program(self, run: Run, scalars: Environment) -> Prepared:
        constants = frozenset(
            place
            for place, name in enumerate(run.buffers)
            if self.machine.buffers[name].recipe is not None
        )
        control = self.machine.programs[run.program].control_key(scalars)
        key = (run.program, self.machine.tensors(run), constants)
        known = self._prepared.setdefault(key, Recent(KEPT_LAUNCHES))
        return known.get(
            control,
            lambda: prepare(
                self.machine.launch(run, scalars), self.numerics, constants=constants
            ),
        )

    def _sheet(self, name: str) -> np.ndarray | ConstantSheet:
        if name not in self.sheets:
            buffer = self.machine.buffers[name]
            tensor = buffer.tensor
            shape = (tensor.tile_rows * TILE_EDGE, tensor.tile_columns * TILE_EDGE)
            self.sheets[name] = (
                np.zeros(shape, np.float32)
                if buffer.recipe is None
                else ConstantSheet(self._constant(buffer), shape, self._store)
            )
        return self.sheets[name]

    def _constant(self, buffer: BoundBuffer) -> ConstantSource:
        assert buffer.recipe is not None
        rounds = self.numerics != "reference"
        return ConstantSource(
            buffer.name, buffer.tensor, buffer.recipe, self.parameters, rounds=rounds
        )

    def _write(self, buffer: BoundBuffer, values: np.ndarray) -> None:
        sheet = self._sheet(buffer.name)
        assert isinstance(sheet, np.ndarray)
        self._fill(sheet, buffer, values)

    def _fill(self, sheet: np.ndarray, buffer: BoundBuffer, values: np.ndarray) -> None:
        """Upload values to a sheet, rounded to the buffer's format."""
        *leading, rows, columns = buffer.tensor.shape
        count = int(np.prod(leading, dtype=np.int64))
        fits = values.size == count * rows * columns
        if buffer.recipe is not None:  # a turned matrix has as many elements
            fits = _long_sides(values.shape) == _long_sides(buffer.tensor.shape)
        if not fits:
            source = f"`{buffer.recipe}`" if buffer.recipe else "the input"
            raise NetlistError(
                f"@{buffer.name} has another shape than what is written to it",
                limit=_show_shape(buffer.tensor.shape),
                value=f"{_show_shape(values.shape)} from {source}",
                advice="state the shape that comes, or change where it comes from",
                location=buffer.location,
            )
        stacked = sheet.reshape(count, _padded(rows), sheet.shape[1])
        stacked[:, :rows, :columns] = values.reshape(count, rows, columns)
        self._round(sheet, buffer.tensor.data_format)

    def _round(self, sheet: np.ndarray, data_format: DataFormat) -> None:
        """Round a sheet in place as the host does at upload."""
        if self.numerics != "reference":
            round_upload(sheet, data_format)


def _long_sides(shape: tuple[int, ...]) -> list[int]:
    return [size for size in shape if size != 1]


def _show_shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _padded(rows: int) -> int:
    return -(-rows // TILE_EDGE) * TILE_EDGE
