"""The emulator: loads a netlist and its weights, computes and times its runs.

The netlist is all it knows. Buffers become sheets (float32 matrices of whole tiles),
each program is prepared once for the tensors it is bound to, and a run is a call of
the prepared program on sheets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dialects.errors import ForgeError, NetlistError
from dialects.expr import Environment
from dialects.formats import TILE_EDGE, DataFormat
from dialects.program import ProgramFacts
from dialects.tensix import NetlistOp
from runtime.constants import ConstantSource, round_upload
from runtime.machine import KEPT_LAUNCHES, BoundBuffer, Machine, Run
from runtime.memory_plan import Store, Workspace
from runtime.numerics import require_numerics
from runtime.recent import Recent
from runtime.replay import BoundProgram, Prepared, prepare
from runtime.sheets import ConstantSheet
from runtime.weights import WeightsFile


@dataclass
class _Standing:
    """What is known of a run line: its scalars' buffers, and what it was bound to last.

    `prepared` is shared with the runs that are alike.
    """

    facts: ProgramFacts
    scalar_buffers: tuple[str, ...]
    constants: frozenset[int]
    prepared: Recent[object, Prepared]
    bound: tuple[Prepared, BoundProgram] | None = None


@dataclass(frozen=True)
class _Scalars:
    """Run-time scalars as they are now, and what they mean for control."""

    values: Environment
    control: tuple[object, ...]


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
        self._standing: dict[Run, _Standing] = {}
        self._scalars: dict[object, _Scalars] = {}

    def prepare(self, *entries: str) -> None:
        """Trace and merge the programs of entries, of all by default; make weights."""
        programs = {
            run: self._program(run, self._now(run))
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
        self._scalars.clear()
        for run in self.machine.entry(entry):
            self._now(run)  # raises for what is outside

    def step(self, run: Run) -> None:
        """Execute one run on the buffers as they are."""
        program, scalars = self.bound(run)
        program(scalars)

    def bound(self, run: Run) -> tuple[BoundProgram, Environment]:
        """A run's program on its buffers, and its scalars as they are now."""
        standing = self._standing_of(run)
        if standing.bound is not None and not standing.scalar_buffers:
            return standing.bound[1], {}
        scalars = self._now(run)
        return self._bind(run, self._program(run, scalars)), scalars.values

    def _bind(self, run: Run, program: Prepared) -> BoundProgram:
        """The program on the run's buffers; a run keeps the one that it used last."""
        standing = self._standing_of(run)
        if standing.bound is None or standing.bound[0] is not program:
            bound = program.bind(self._sheets_of(run), self._workspace)
            standing.bound = (program, bound)
        return standing.bound[1]

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
        scalars = self._now(run)
        self._program(run, scalars).bind(bound, self._workspace)(scalars.values)
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

    def _program(self, run: Run, scalars: _Scalars) -> Prepared:
        standing = self._standing_of(run)
        return standing.prepared.get(
            scalars.control,
            lambda: prepare(
                self.machine.launch(run, scalars.values),
                self.numerics,
                constants=standing.constants,
            ),
        )

    def _now(self, run: Run) -> _Scalars:
        """The scalars of a run; runs of a program mostly read the same buffers."""
        standing = self._standing_of(run)
        key = (run.program, standing.scalar_buffers)
        if key not in self._scalars:
            values = self.machine.scalars(run, self.integers)
            control = standing.facts.control_key(values)
            self._scalars[key] = _Scalars(values, control)
        return self._scalars[key]

    def _standing_of(self, run: Run) -> _Standing:
        if run not in self._standing:
            facts = self.machine.programs[run.program]
            operands = [name for _, name in facts.parameters]
            read = [scalars.operand for scalars in facts.scalars.values()]
            buffers = [self.machine.buffers[name] for name in run.buffers]
            constants = frozenset(
                place for place, b in enumerate(buffers) if b.recipe is not None
            )
            alike = (run.program, self.machine.tensors(run), constants)
            self._standing[run] = _Standing(
                facts,
                tuple(run.buffers[operands.index(operand)] for operand in read),
                constants,
                self._prepared.setdefault(alike, Recent(KEPT_LAUNCHES)),
            )
        return self._standing[run]

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
