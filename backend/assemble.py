"""From a module of placed programs to one netlist: buffers, programs, runs.

Programs that are the same up to what they are bound to are written once. A result
takes the buffer of an earlier one of the same kind that nobody reads any more, so
that equal layers bind equal buffers. Weight buffers of equal layers are one line.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod

from xdsl.dialects.builtin import (
    ModuleOp,
    StringAttr,
    UnitAttr,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, BlockArgument, Operation, Region, SSAValue

from backend.lower_program import lower_program
from dialects import tensix, ttir
from dialects.expr import Const, Name
from dialects.formats import TILE_EDGE, DataFormat
from dialects.grid import ProgramOp, stored_format
from dialects.grid_attributes import DRAM, Layout
from dialects.recipe import Call, Recipe, parameters_of
from dialects.syntax import (
    ExprAttr,
    GlobalAttr,
    GlobalsAttr,
    ShapeAttr,
    WordAttr,
)
from dialects.ttcore import KV_CACHE
from dialects.ttir.base import shape_of
from dialects.weight_formats import WeightFormats
from passes.constants import (
    argument_name,
    argument_property,
    is_constant,
    recipe_of,
)
from passes.rewriting import note_of
from passes.schedule import streamed_weights
from passes.structure_key import structure_key

DRAM_ALIGNMENT = 32
"""Bytes at which a row-major row must begin; other rows are stored in tiles."""

_INSTANCE = re.compile(r"(?<=\.)\d+(?=\.)")


@dataclass(frozen=True)
class _Buffer:
    """A buffer to be: what the netlist states about it."""

    name: str
    data_format: DataFormat
    shape: tuple[int, ...]
    row_major: bool = False
    role: str | None = None
    recipe: str | None = None
    last: int | None = None
    layout: Layout = DRAM

    def op(self) -> tensix.BufferOp:
        """The operation that declares it."""
        properties: dict[str, Attribute] = {
            "sym_name": GlobalAttr(self.name),
            "memory": WordAttr(self.layout.memory),
            "data_format": WordAttr(self.data_format),
            "shape": ShapeAttr(self.shape),
        }
        if self.last is not None:
            properties["last"] = ExprAttr(Const(self.last))
        if self.row_major:
            properties["row_major"] = UnitAttr()
        if self.layout.shards is not None:
            properties["shards"] = ShapeAttr(self.layout.shards)
        if self.layout.over is not None:
            properties["shards_over"] = WordAttr(self.layout.over)
        if self.role is not None:
            properties["role"] = WordAttr(self.role)
        if self.recipe is not None:
            properties["recipe"] = StringAttr(self.recipe)
        return tensix.BufferOp.create(properties=properties)


def assemble_netlist(
    module: ModuleOp,
    *,
    name: str,
    chip: str,
    weights_format: str = "bf16",
    host_steps: tuple[str, ...] = (),
) -> tensix.NetlistOp:
    """Lower all programs of a module's functions and put the netlist together.

    Several functions become entries that share programs, weights and caches.
    `host_steps` are what the host does with the inputs (first) and outputs (last) of
    a language model: its tokenizer and the choice of the next token.
    """
    functions = [op for op in module.ops if isinstance(op, FuncOp)]
    assembler = _Assembler(WeightFormats.parse(weights_format), host_steps)
    for function in functions:
        assembler.add(function, is_alone=len(functions) == 1)
    return assembler.netlist(name, chip)


def assemble_alone(
    program: ProgramOp, *, chip: str, weights_format: str = "bf16"
) -> tensix.NetlistOp:
    """A netlist of one program and its run, with buffers as a whole one has them."""
    assembler = _Assembler(WeightFormats.parse(weights_format), ())
    assembler.add_alone(program)
    return assembler.netlist("alone", chip)


@dataclass(frozen=True)
class _Placement:
    """Numbers of the operands that want their weights in a form of their own."""

    streamed: frozenset[int]
    """Right sides of contractions, in the weights format."""
    tables: frozenset[int]
    """Tables whose rows are gathered; they are stored row by row."""

    @classmethod
    def of(cls, program: ProgramOp) -> _Placement:
        streamed = streamed_weights(program)
        tables = {
            op.weight
            for op in program.body.block.walk()
            if isinstance(op, ttir.EmbeddingOp)
        }
        arguments = program.body.block.args
        return cls(
            frozenset(a.index for a in arguments if a in streamed),
            frozenset(a.index for a in arguments if a in tables),
        )


class _Assembler:
    """Walks the programs in order, giving buffers to values and names to programs."""

    def __init__(self, weight_formats: WeightFormats, host_steps: tuple[str, ...]):
        self.weight_formats = weight_formats
        self.host_steps = host_steps
        self.buffers: dict[SSAValue, _Buffer] = {}
        self.declared: list[_Buffer] = []
        self.caches: dict[str, _Buffer] = {}
        self.weights: dict[tuple[str, DataFormat, bool, Layout], _Buffer] = {}
        self.placements: dict[Hashable, _Placement] = {}
        self.programs: dict[Hashable, tensix.ProgramOp] = {}
        self.runs: list[Operation] = []
        self.entries: list[Operation] = []
        self.free: list[_Buffer] = []
        self.names: set[str] = set()
        self.outputs: dict[SSAValue, str] = {}

    def add(self, function: FuncOp, *, is_alone: bool) -> None:
        """Lower a function: its runs, and what they need."""
        block, first = function.body.block, len(self.declared)
        prefix = "" if is_alone else f"{function.sym_name.data}."
        self._name_outputs(block, prefix)
        for argument in block.args:
            if not is_constant(argument):
                self._input(argument, prefix)
        programs = [op for op in block.ops if isinstance(op, ProgramOp)]
        last_read = _last_reads(programs)
        for number, program in enumerate(programs):
            self._run(program)
            for value in dict.fromkeys(program.inputs):  # one may stand there twice
                if last_read[value] == number:
                    self._release(value)
        self.free.clear()  # of another entry nothing may live meanwhile
        self._add_host_steps(self.declared[first:])
        if not is_alone:
            properties = {"sym_name": GlobalAttr(function.sym_name.data)}
            self.entries.append(
                tensix.EntryOp.create(
                    properties=properties, regions=[Region(Block(self.runs))]
                )
            )
            self.runs = []

    def add_alone(self, program: ProgramOp) -> None:
        """Lower one program; what others would hand it lies in buffers of its own."""
        for value in program.inputs:
            if is_constant(value) or value in self.buffers:
                continue
            if isinstance(value, BlockArgument):
                self._input(value, "")
            else:
                shape, data_format = _matrix(shape_of(value)), stored_format(value)
                buffer = _Buffer(self._fresh("operand"), data_format, shape)
                self._declare(value, buffer)
        self._run(program)

    def _add_host_steps(self, own: Sequence[_Buffer]) -> None:
        if not self.host_steps:
            return
        first, last = self.host_steps
        self.runs.insert(0, _host(first, own, "input"))
        self.runs.append(_host(last, own, "output"))

    def netlist(self, name: str, chip: str) -> tensix.NetlistOp:
        """Build the netlist."""
        families = _families(list(self.weights.values()))
        caches = _families(list(self.caches.values()))
        body = Block(
            [
                *(buffer.op() for buffer in (*self.declared, *caches, *families)),
                *self.programs.values(),
                *self.entries,
                *self.runs,
            ]
        )
        return tensix.NetlistOp.create(
            properties={
                "sym_name": GlobalAttr(_legal(name)),
                "version": ExprAttr(Const(1)),
                "chip": StringAttr(chip),
            },
            regions=[Region(body)],
        )

    def _name_outputs(self, block: Block, prefix: str) -> None:
        last = block.last_op
        assert isinstance(last, ReturnOp)
        for number, value in enumerate(last.operands):
            several = len(last.operands) > 1
            name = f"output_{number}" if several else "output"
            self.outputs[value] = prefix + name

    # -- buffers -----------------------------------------------------------------

    def _fresh(self, wanted: str) -> str:
        name, number = _legal(wanted), 1
        while name in self.names:
            number += 1
            name = f"{_legal(wanted)}_{number}"
        self.names.add(name)
        return name

    def _declare(self, value: SSAValue, buffer: _Buffer) -> None:
        self.buffers[value] = buffer
        self.declared.append(buffer)

    def _input(self, argument: BlockArgument, prefix: str) -> None:
        data_format = stored_format(argument)
        if argument_property(argument, KV_CACHE) is not None:
            self._cache(argument, data_format)
            return
        name = self._fresh(prefix + argument_name(argument))
        shape = _matrix(shape_of(argument))
        if data_format.is_integer and shape[-1] == 1:
            shape = (1, prod(shape))
        row_bytes = shape[-1] * (data_format.element_bytes or 0)
        row_major = data_format.is_integer and row_bytes % DRAM_ALIGNMENT == 0
        if data_format.is_integer and shape[-2] > 1:
            shape = (*shape[:-1], 1, shape[-1])
        self._declare(argument, _Buffer(name, data_format, shape, row_major, "input"))

    def _cache(self, argument: BlockArgument, data_format: DataFormat) -> None:
        """A cache is one buffer, whichever entry reads or writes it."""
        name = argument_name(argument)
        if name not in self.caches:
            shape = _matrix(shape_of(argument))
            buffer = _Buffer(self._fresh(name), data_format, shape, role="cache")
            self.caches[name] = buffer
        self.buffers[argument] = self.caches[name]

    def _result(self, value: SSAValue, program: ProgramOp, layout: Layout) -> None:
        shape, data_format = _matrix(shape_of(value)), stored_format(value)
        if value in self.outputs:
            name = self._fresh(self.outputs[value])
            self._declare(value, _Buffer(name, data_format, shape, role="output"))
            return
        wanted = f"{program.sym_name.data}_out"
        fitting = [
            buffer
            for buffer in self.free
            if (buffer.shape, buffer.data_format, buffer.layout)
            == (shape, data_format, layout)
        ]
        if fitting:
            own = [buffer for buffer in fitting if buffer.name.startswith(wanted)]
            chosen = min(own or fitting, key=lambda buffer: buffer.name)
            self.free.remove(chosen)
            self.buffers[value] = chosen
            return
        name = self._fresh(wanted)
        self._declare(value, _Buffer(name, data_format, shape, layout=layout))

    def _release(self, value: SSAValue) -> None:
        buffer = self.buffers.get(value)
        if buffer is not None and buffer.role is None and buffer.recipe is None:
            self.free.insert(0, buffer)

    def _weight(
        self,
        value: SSAValue,
        wanted: DataFormat,
        *,
        row_major: bool,
        layout: Layout,
    ) -> _Buffer:
        recipe, shape = recipe_of(value), _matrix(shape_of(value))
        missing = -shape[-1] % (DRAM_ALIGNMENT // (wanted.element_bytes or 1))
        if row_major and missing:
            recipe = Call("pad", (recipe, 1.0, 0.0, float(missing)))
            shape = (*shape[:-1], shape[-1] + missing)
        key = (str(recipe), wanted, row_major, layout)
        if key not in self.weights:
            suffix = "_rows" if row_major else ""
            name = self._fresh(_weight_name(recipe) + suffix)
            self.weights[key] = _Buffer(
                name, wanted, shape, row_major, recipe=str(recipe), layout=layout
            )
        return self.weights[key]

    # -- programs and runs -----------------------------------------------------------

    def _run(self, program: ProgramOp) -> None:
        key = structure_key(program)
        if key not in self.placements:
            self.placements[key] = _Placement.of(program)
        placement = self.placements[key]
        bound = []
        for number, value in enumerate(program.inputs):
            if not is_constant(value):
                bound.append(self.buffers[value])
                continue
            own = stored_format(value)
            narrow = number in placement.streamed and own is DataFormat.BF16
            wanted = own
            if narrow:
                wanted = self.weight_formats.of(parameters_of(recipe_of(value)))
            bound.append(
                self._weight(
                    value,
                    wanted,
                    row_major=number in placement.tables,
                    layout=_weight_layout(program, number),
                )
            )
        for value, use in zip(program.outputs, program.makes.data, strict=True):
            if use.inplace is None:
                self._result(value, program, use.layout)
                bound.append(self.buffers[value])
            else:
                self.buffers[value] = self.buffers[program.inputs[use.inplace]]
        properties = {
            "program": GlobalAttr(self._program(program, key)),
            "buffers": GlobalsAttr(tuple(buffer.name for buffer in bound)),
        }
        self.runs.append(tensix.RunOp.create(properties=properties))

    def _program(self, program: ProgramOp, key: Hashable) -> str:
        if key not in self.programs:
            name = self._fresh(program.sym_name.data)
            source = note_of(program)
            self.programs[key] = lower_program(program, name, source)
        return self.programs[key].sym_name.data


def _weight_layout(program: ProgramOp, number: int) -> Layout:
    """How a weight lies in the DRAM banks."""
    use = program.uses.data[number]
    if use.sharded is None:
        return DRAM
    if use.sharded == "columns":
        columns = shape_of(program.inputs[number])[-1]
        return Layout("dram", (1, -(-columns // TILE_EDGE)))
    row = use.map[0]
    assert isinstance(row, Name)
    return Layout("dram", (program.axes.by_name()[row.name].cores, 1))


def _last_reads(programs: Sequence[ProgramOp]) -> dict[SSAValue, int]:
    return {
        value: number
        for number, program in enumerate(programs)
        for value in program.inputs
    }


def _matrix(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A buffer's shape has two dimensions at least."""
    return shape if len(shape) > 1 else (1, *(shape or (1,)))


def _host(step: str, buffers: Sequence[_Buffer], role: str) -> tensix.HostOp:
    names = tuple(buffer.name for buffer in buffers if buffer.role == role)
    properties = {"step": StringAttr(step), "buffers": GlobalsAttr(names)}
    return tensix.HostOp.create(properties=properties)


def _legal(name: str) -> str:
    """A name that may stand behind `@`: letters, digits, `_`, `.` and `$`."""
    cleaned = re.sub(r"[^A-Za-z0-9_.$]", "_", name)
    return cleaned if cleaned[:1].isalpha() or cleaned[:1] == "_" else f"_{cleaned}"


def _weight_name(recipe: Recipe) -> str:
    """`a.b.q_proj` for one parameter, `a.b.q_proj_k_proj` for several of a module."""
    first, *others = (name.removesuffix(".weight") for name in parameters_of(recipe))
    return "_".join([first, *(name.rpartition(".")[2] for name in others)])


def _families(buffers: Iterable[_Buffer]) -> list[_Buffer]:
    """Fold buffers that differ in one instance number, 0 to n, into one line."""
    groups: dict[object, list[_Buffer]] = {}
    for buffer in buffers:
        recipe = None if buffer.recipe is None else _pattern(buffer.recipe)
        pattern = (_pattern(buffer.name), recipe)
        stated = (buffer.data_format, buffer.shape, buffer.row_major, buffer.layout)
        key = (*pattern, *stated)
        groups.setdefault(key, []).append(buffer)
    folded = []
    for key, members in groups.items():
        numbers = sorted(int(_numbers(b.name)[0]) for b in members if _numbers(b.name))
        if len(members) > 1 and numbers == list(range(len(members))):
            name, recipe = key[0], key[1]  # type: ignore[index]
            last = len(members) - 1
            folded.append(replace(members[0], name=name, recipe=recipe, last=last))
        else:
            folded += members
    return folded


def _numbers(text: str) -> list[str]:
    return _INSTANCE.findall(text)


def _pattern(text: str) -> str:
    """The text with its first instance number, wherever it stands, as `$`."""
    numbers = _numbers(text)
    if not numbers:
        return text
    first = re.escape(numbers[0])
    return re.sub(rf"(?<=\.){first}(?=\.)", "$", text)
