"""The emulator: loads a netlist and its weights, computes and times its runs.

The netlist is all it knows. Buffers become sheets (float32 matrices of whole tiles),
each program is prepared once for the tensors it is bound to, and a run is a call of
the prepared program on sheets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from dialects.chip import Chip, load_chip
from dialects.errors import ForgeError, NetlistError
from dialects.formats import TILE_EDGE, DataFormat
from dialects.program import ProgramFacts, Tensor, tensor_of
from dialects.recipe import evaluate, parse_recipe, substitute
from dialects.tensix import BufferOp, NetlistOp, ProgramOp, RunOp
from runtime.arithmetic.formats import quantize_host
from runtime.expand import expand_program
from runtime.launch import Launch
from runtime.numerics import require_numerics
from runtime.replay import Prepared, prepare
from runtime.sheets import ConstantSheet


@dataclass(frozen=True)
class BoundBuffer:
    """A buffer of the netlist, one instance of a family resolved."""

    name: str
    tensor: Tensor
    role: str | None
    recipe: str | None
    instance: int


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
        self.runs: list[Run] = []
        self._launches: dict[tuple[str, tuple[Tensor, ...]], Launch] = {}
        for op in netlist.body.block.ops:
            if isinstance(op, BufferOp):
                self._add_buffer(op)
            elif isinstance(op, ProgramOp):
                self.programs[op.sym_name.data] = ProgramFacts(op, self.chip)
            elif isinstance(op, RunOp):
                self._add_run(op)

    def _add_buffer(self, op: BufferOp) -> None:
        count = 1 if op.last is None else op.last.value + 1
        recipe = None if op.recipe is None else parse_recipe(op.recipe.data)
        role = None if op.role is None else op.role.data
        for instance in range(count):
            name = op.sym_name.data.replace("$", str(instance))
            own = None if recipe is None else str(substitute(recipe, instance))
            self.buffers[name] = BoundBuffer(name, tensor_of(op), role, own, instance)

    def _add_run(self, op: RunOp) -> None:
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
        self.runs.append(Run(name, op.buffers.data))

    def tensors(self, run: Run) -> tuple[Tensor, ...]:
        """The tensors that a run binds, in the order of the parameters."""
        return tuple(self.buffers[name].tensor for name in run.buffers)

    def launch(self, run: Run) -> Launch:
        """The expanded program of a run; runs alike share one."""
        key = (run.program, self.tensors(run))
        if key not in self._launches:
            facts = self.programs[run.program]
            self._launches[key] = expand_program(facts, key[1])
        return self._launches[key]

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
        self._prepared: dict[object, Prepared] = {}

    def prepare(self) -> None:
        """Trace and merge every program, make all weights. Done at most once."""
        for run in self.machine.runs:
            bound = self._bound(run)
            self._program(run).warm(bound)
            if self.numerics != "fast":
                _ = [s.array for s in bound if isinstance(s, ConstantSheet)]

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Compute all outputs, by buffer name, in the shapes of their buffers."""
        self.upload(inputs)
        for run in self.machine.runs:
            self.step(run)
        return {
            buffer.name: self.read(buffer.name)
            for buffer in self.machine.buffers_with_role("output")
        }

    def upload(self, inputs: Mapping[str, np.ndarray]) -> None:
        """Write the inputs, by buffer name. Raises `ForgeError` if one is missing."""
        for buffer in self.machine.buffers_with_role("input"):
            if buffer.name not in inputs:
                raise ForgeError(f"input @{buffer.name} is missing")
            self._write(buffer, inputs[buffer.name])

    def step(self, run: Run) -> None:
        """Execute one run on the buffers as they are."""
        self._program(run)(self._bound(run))

    def _bound(self, run: Run) -> list[np.ndarray | ConstantSheet]:
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
        self._program(run)(bound)
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

    def _program(self, run: Run) -> Prepared:
        constants = frozenset(
            place
            for place, name in enumerate(run.buffers)
            if self.machine.buffers[name].recipe is not None
        )
        key = (run.program, self.machine.tensors(run), constants)
        if key not in self._prepared:
            launch = self.machine.launch(run)
            self._prepared[key] = prepare(launch, self.numerics, constants=constants)
        return self._prepared[key]

    def _sheet(self, name: str) -> np.ndarray | ConstantSheet:
        if name not in self.sheets:
            buffer = self.machine.buffers[name]
            tensor = buffer.tensor
            shape = (tensor.tile_rows * TILE_EDGE, tensor.tile_columns * TILE_EDGE)
            self.sheets[name] = (
                np.zeros(shape, np.float32)
                if buffer.recipe is None
                else ConstantSheet(partial(self._constant, buffer, shape), shape)
            )
        return self.sheets[name]

    def _constant(self, buffer: BoundBuffer, shape: tuple[int, int]) -> np.ndarray:
        sheet = np.zeros(shape, np.float32)
        self._fill(sheet, buffer, self._weight(buffer))
        return sheet

    def _weight(self, buffer: BoundBuffer) -> np.ndarray:
        assert buffer.recipe is not None
        try:
            return evaluate(parse_recipe(buffer.recipe), self.parameters)
        except KeyError as error:
            raise ForgeError(
                f"parameter {error.args[0]!r} of buffer @{buffer.name} is not in the "
                "weights file",
                advice="compile again with weights",
            ) from None

    def _write(self, buffer: BoundBuffer, values: np.ndarray) -> None:
        sheet = self._sheet(buffer.name)
        assert isinstance(sheet, np.ndarray)
        self._fill(sheet, buffer, values)

    def _fill(self, sheet: np.ndarray, buffer: BoundBuffer, values: np.ndarray) -> None:
        """Upload values to a sheet, rounded to the buffer's format."""
        *leading, rows, columns = buffer.tensor.shape
        count = int(np.prod(leading, dtype=np.int64))
        if values.size != count * rows * columns:
            raise ForgeError(
                f"buffer @{buffer.name} takes {buffer.tensor.shape}, not {values.shape}"
            )
        stacked = sheet.reshape(count, _padded(rows), sheet.shape[1])
        stacked[:, :rows, :columns] = values.reshape(count, rows, columns)
        self._round(sheet, buffer.tensor.data_format)

    def _round(self, sheet: np.ndarray, data_format: DataFormat) -> None:
        """Round a sheet in place as the host does at upload."""
        rounds = data_format is not DataFormat.FP32 and data_format.is_float
        if rounds and self.numerics != "reference":
            quantize_host(sheet, data_format, out=sheet)


def _padded(rows: int) -> int:
    return -(-rows // TILE_EDGE) * TILE_EDGE
