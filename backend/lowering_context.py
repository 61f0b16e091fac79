"""What the lowering of one program shares: its schedule, names and loop helpers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TypeAlias

from xdsl.ir import Operation, SSAValue

from backend import build
from dialects import tensix, ttir
from dialects.axes import Axis
from dialects.expr import Binary, Const, Expr, Name, floordiv, modulo
from dialects.grid import NO_AXIS, ProgramOp, StageOp, Use
from dialects.syntax import AxesAttr, ExprAttr, LocalAttr
from passes.constants import is_constant
from passes.dst_plan import DstPlan, capacity
from passes.region_views import stored
from passes.schedule import Schedule
from passes.schedule_parts import Operand

ONES = "one"
"""Key of the scaler tile of reductions."""

UNIT_AXES = ("row", "column")
"""Axes of extent 1 that a gather has where its result is one row, or one column."""

COLUMN_OF_ONES = "ones"
"""Key of the tile that sums rows when it is multiplied by."""


BufferKey: TypeAlias = "SSAValue | str | tuple[SSAValue, str]"
"""What a circular buffer is for: a value, a helper, a copy of a value."""


@dataclass(frozen=True)
class Piece:
    """Part of a block that one core reads and sends: `size` tiles of an axis, all of
    the axes behind it. `turn` counts the pieces of a block."""

    axis: str
    size: int
    entries: tuple[str, ...]
    turn: Expr


@dataclass
class Lowering:
    """One program being lowered. Declarations fill `buffers` and `multicasts`."""

    program: ProgramOp
    schedule: Schedule
    axes: dict[str, Axis]
    uses: dict[SSAValue, Use]
    parameters: dict[SSAValue, str]
    capacity: int
    buffers: dict[BufferKey, tensix.CircularBufferOp] = field(default_factory=dict)
    multicasts: dict[SSAValue, tensix.MulticastOp] = field(default_factory=dict)
    gathers: dict[Operation, tensix.GatherOp] = field(default_factory=dict)

    @classmethod
    def of(cls, program: ProgramOp) -> Lowering:
        """Begin the lowering of a program."""
        arguments = program.body.block.args
        schedule = Schedule(program)
        names = _parameter_names(program)
        unit = {
            axis: Axis(axis, 1, None, 1, 1, 1, 1)
            for axis in _gathered_axes(schedule)
            if axis in UNIT_AXES
        }
        return cls(
            program,
            schedule,
            {**unit, **program.axes.by_name()},
            dict(zip(arguments, program.uses.data, strict=True)),
            _parameters(program, schedule, list(names)),
            capacity(fp32_dst=program.dst.data == "fp32", full_sync=False),
        )

    def stage_of(self, op: Operation) -> int:
        """The number of the stage in which an operation stands."""
        return next(
            number
            for number, stage in enumerate(self.schedule.stages)
            if op.parent is stage.body.block
        )

    # -- questions -----------------------------------------------------------------

    @property
    def outer(self) -> tuple[str, ...]:
        """Axes looped around all stages."""
        return self.schedule.outer

    @property
    def has_scalars(self) -> bool:
        """Whether run-time scalars decide what a step does."""
        return any(use.scalars is not None for use in self.uses.values())

    @property
    def streams_weights(self) -> bool:
        """Whether the reader is busy with weights."""
        looped = any(self.schedule.weights_in(loop) for loop in self.schedule.loops)
        return looped or self.first_weights is not None

    @property
    def writer_loads(self) -> bool:
        """Whether the writer loads residents, as the reader is busy with what streams.

        Not where outer loops go on: residents of the next step would come behind the
        results of this one.
        """
        streams = any(not operand.resident for operand in self.schedule.operands)
        one_step = all(self.axes[a].share <= self.axes[a].block for a in self.outer)
        return self.streams_weights or (streams and one_step)

    @property
    def reader_fills(self) -> bool:
        """Whether the reader fills scalers: what it streams may wait for that."""
        return self.writer_loads and not self.streams_weights

    def multicast_noc(self, value: SSAValue) -> int:
        """The NoC on which masters send an operand.

        Weights are read on NoC 0, which DRAM answers faster when many ask, and what
        masters read beside them on NoC 1; they send on the NoC that they read on. Where
        the steps of a loop bring both, and those of weights read and send at once, it
        is the other one. What is there before the weights pass by is sooner there if
        these leave its NoC alone.
        """
        if not self.streams_weights:
            return 0
        streamed = self.schedule.streamed
        looped = [o for o in self.schedule.operands if o.loop is not None]
        crossed = any(o.value in streamed and self.ahead_axis(o.value) for o in looped)
        return int((value in streamed) == crossed)

    def ahead_axis(self, value: SSAValue) -> str | None:
        """The axis along which a master reads its next block while it sends one."""
        if not self.uses[value].ahead:
            return None
        operand = next(o for o in self.schedule.operands if o.value is value)
        return self.schedule.ahead_axis(operand, self.axes)

    @property
    def first_weights(self) -> int | None:
        """The first stage that streams weights, if any does."""
        numbers = range(len(self.schedule.stages))
        return next((n for n in numbers if self.schedule.weights_of(n)), None)

    def name(self, key: BufferKey) -> str:
        """The name of a circular buffer; a view in the region is of what it shows."""
        if isinstance(key, SSAValue):
            key, _ = stored(key)
        return self.buffers[key].sym_name.data

    def local(self, key: BufferKey) -> LocalAttr:
        """A reference to a circular buffer."""
        return LocalAttr(self.name(key))

    def real_axes(self, value: SSAValue) -> AxesAttr:
        """The axes of a value, as an instruction states them."""
        return AxesAttr(self.schedule.axes.real(value))

    def sums_by_matmul(self, op: ttir.ReductionOp) -> bool:
        """Whether a sum along rows is a product with a column of ones.

        The pooling unit hands its result on as truncated bf16; a product keeps it in
        a 32-bit Dst. It reads all bits of the data at HiFi3 and HiFi4 only.
        """
        along_rows = op.axes == (len(ttir.shape_of(op.input)) - 1,)
        whole_bits = self.program.fidelity.data in ("HiFi3", "HiFi4")
        return along_rows and whole_bits and not isinstance(op, ttir.MaxOp)

    def result_axes(self, value: SSAValue) -> tuple[str, ...]:
        """The axes of a result's blocks."""
        gathered = _gathered_axes(self.schedule)
        return (*self.outer, *gathered) if gathered else self.schedule.axes.real(value)

    def own(self, stage: StageOp) -> tuple[str, ...]:
        """Axes of a stage's results that are not looped outside."""
        if embedding_of(stage) is not None:
            return _gathered_axes(self.schedule)
        axes = self.schedule.axes.real(stage.results[0])
        return tuple(axis for axis in axes if axis not in self.outer)

    def reduced(self, stage: StageOp) -> tuple[str, ...]:
        """Axes that a stage sums over."""
        own = self.schedule.axes.real(stage.results[0])
        return tuple(axis for axis in stage.over.data if axis not in own)

    def rows_inside(self, stage: StageOp) -> bool:
        """Whether a core has more rows than a block: they pass by under the weights."""
        return self.schedule.rows_inside(stage, self.axes)

    def order(self, stage: StageOp) -> tuple[str, ...]:
        """The loops of a stage, from the outside."""
        own = self.own(stage)
        number = self.schedule.stages.index(stage)
        if self.rows_inside(stage) and self.schedule.weights_of(number):
            return (own[-1], *own[:-1])
        return own

    def guard(self, number: int) -> Expr | None:
        """Whether a stage runs in the current step, where it is not in all."""
        where = self.schedule.stages[number].where
        if where is None:
            return None
        axis, part = Name(where.data.axis), where.data
        bounds: list[Expr] = []
        if part.first > 0:
            bounds.append(Binary(">=", axis, Const(part.first)))
        spread = self.axes[part.axis]
        # The last core may have fewer steps: those it lacks stand behind the extent.
        if part.stop < spread.extent or spread.extent % spread.part:
            bounds.append(Binary("<", axis, Const(part.stop)))
        return bounds[0] if len(bounds) == 1 else Binary("and", bounds[0], bounds[1])

    @property
    def lent_outputs(self) -> list[str]:
        """Names of the buffers over the shards of results."""
        lent = self.schedule.lent_outputs
        return [self.name(value) for value in self.schedule.outputs if value in lent]

    @property
    def written(self) -> list[SSAValue]:
        """Results that are written block by block."""
        lent = self.schedule.lent_outputs
        return [value for value in self.schedule.outputs if value not in lent]

    def makes_output(self, stage: StageOp) -> bool:
        """Whether a stage yields a result of the program."""
        return any(value in self.schedule.outputs for value in stage.results)

    def streamed(self, number: int, but: Sequence[SSAValue] = ()) -> list[str]:
        """Names of the buffers that a stage streams."""
        return [
            self.name(operand.value)
            for operand in self.schedule.operands
            if operand.stage == number and operand.value not in but
        ]

    def residents(self, depth: int) -> list[SSAValue]:
        """Operands loaded whole at a depth of the outer loops, in the order in which
        they are first read."""
        found = [
            operand
            for operand in self.schedule.operands
            if operand.resident and self._depth(operand) == depth
        ]
        found.sort(key=lambda operand: self.schedule.first_reader(operand.value))
        return [operand.value for operand in found]

    def _depth(self, operand: Operand) -> int:
        """The depth of an operand, loops of one step left out."""
        if self.schedule.stays_whole(operand, self.axes):
            return 0
        depth = operand.depth
        while depth and not self.has_steps(self.outer[depth - 1]):
            depth -= 1
        return depth

    def has_steps(self, axis: str) -> bool:
        """Whether a core takes more than one step along an outer axis."""
        return self.axes[axis].part > 1

    def is_late(self, value: SSAValue) -> bool:
        """Whether a resident is first read behind what is computed first."""
        resident = any(
            operand.value is value and operand.resident and not operand.lent
            for operand in self.schedule.operands
        )
        return resident and self.schedule.first_reader(value) > 0

    def needed_behind(self, number: int) -> list[SSAValue]:
        """Late operands that a stage reads only behind its contraction: it begins
        without them."""
        stage, plan = self.schedule.stages[number], self.schedule.plans[number]
        if not plan.accumulators or self.schedule.around(number) is not None:
            return []
        contracted = {
            value
            for op in stage.body.block.ops
            if isinstance(op, ttir.MatmulOp | ttir.ReductionOp)
            for value in (*op.operands, *_factors(op))
        }
        return [
            operand.value
            for operand in self.schedule.operands
            if operand.value not in contracted
            and self.schedule.reads(number, operand.value)
            and self.is_late(operand.value)
        ]

    def sub_blocks(self, number: int, plan: DstPlan) -> dict[str, int]:
        """How far each axis of a stage goes in one Dst section."""
        stage = self.schedule.stages[number]
        own = self.own(stage)
        streams = bool(self.schedule.weights_of(number))
        if (self.makes_output(stage) or streams) and plan.accumulators:
            return {axis: self.axes[axis].block for axis in own}
        room = max(1, self.capacity // max(plan.registers, 1))
        blocked = self.makes_output(stage) or bool(self.streamed(number))
        steps = {}
        for axis in reversed(own):
            in_blocks = blocked or axis in self.schedule.stepped
            size = self.axes[axis].block if in_blocks else self.axes[axis].part
            steps[axis] = min(room, size)
            room = max(1, room // steps[axis])
        return steps

    def piece_of(self, operand: Operand) -> Piece:
        """How the block of an operand is cut that cores send in turn."""
        cut = self.schedule.cut_axis(operand, self.axes)
        assert cut is not None
        turns = self.uses[operand.value].turns
        size = cut.part // turns
        place = operand.axes.index(cut.name)
        stepped = self.schedule.stepped
        entries = [axis if axis in stepped else f"{axis}.part" for axis in operand.axes]
        entries[place] = f"{cut.name}.{size}"
        start = floordiv(Name(f"{cut.name}.start"), size)
        spread = cut.cores > 1
        return Piece(
            cut.name, size, tuple(entries), modulo(start, turns) if spread else start
        )

    # -- loops ---------------------------------------------------------------------

    def outer_loop(
        self, depth: int, inner: Callable[[int], list[Operation]]
    ) -> list[Operation]:
        """The next loop around all stages; nothing where there is none, or no body.

        Where no core takes more than one step, its part is the step.
        """
        if depth == len(self.outer):
            return []
        body, axis = inner(depth + 1), self.axes[self.outer[depth]]
        if not body or not self.has_steps(axis.name):
            return body
        if self.has_scalars and axis.extent % axis.part:
            # The last core has fewer steps; there is no element for those it lacks.
            has_step = Binary(">", Name(f"{axis.name}.size"), Const(0))
            body = [build.branch(has_step, body)]
        return [build.loop(axis.name, body, None)]


def nest(
    axes: Sequence[str], inner: list[Operation], steps: dict[str, int] | None = None
) -> list[Operation]:
    """Loops over axes around a body; nothing around nothing."""
    for axis in reversed(axes):
        if not inner:
            return []
        by = None if steps is None else steps.get(axis)
        inner = [build.loop(axis, inner, by)]
    return inner


def number(value: int) -> ExprAttr:
    """A whole number as an attribute."""
    return ExprAttr(Const(value))


def tiles_of(steps: dict[str, int]) -> int:
    """Tiles of a block with these steps."""
    return prod(steps.values())


def embedding_of(stage: StageOp) -> ttir.EmbeddingOp | None:
    """The gather that a stage is, if it is one."""
    for op in stage.body.block.ops:
        if isinstance(op, ttir.EmbeddingOp):
            return op
    return None


def fused_product(op: ttir.ReductionOp) -> ttir.MultiplyOp | None:
    """The product that a sum accumulates in Dst, where the stage holds it."""
    owner = op.input.owner
    if isinstance(owner, ttir.MultiplyOp) and owner.parent is op.parent:
        return owner
    return None


def _factors(op: Operation) -> tuple[SSAValue, ...]:
    product = fused_product(op) if isinstance(op, ttir.ReductionOp) else None
    return () if product is None else (product.lhs, product.rhs)


def reduces_leading(op: ttir.ReductionOp) -> bool:
    """Whether a reduction runs over whole tiles, not inside them."""
    return op.axes[0] < len(ttir.shape_of(op.input)) - 2


def _gathered_axes(schedule: Schedule) -> tuple[str, ...]:
    """Row and column axis of a gather's result, which has both, whatever its shape."""
    stage = schedule.stages[0]
    if embedding_of(stage) is None:
        return ()
    row, column = ("_", "_", *schedule.axes.of(stage.results[0]))[-2:]
    unit_row, unit_column = UNIT_AXES
    return (
        unit_row if row == NO_AXIS else row,
        unit_column if column == NO_AXIS else column,
    )


def _parameters(
    program: ProgramOp, schedule: Schedule, names: list[str]
) -> dict[SSAValue, str]:
    """The parameter of each operand and result; one written in place is one."""
    arguments = program.body.block.args
    found: dict[SSAValue, str] = dict(zip(arguments, names, strict=False))
    for place, (value, use) in enumerate(
        zip(schedule.outputs, program.makes.data, strict=True)
    ):
        own = len(arguments) + place if use.inplace is None else use.inplace
        found[value] = names[own]
    return found


def _parameter_names(program: ProgramOp) -> Iterable[str]:
    """By role: x for activations, w for matrices, g for vectors, y for results."""
    counts: dict[str, int] = {}
    letters = [
        _special_name(program, number, use) or _letter(value)
        for number, (value, use) in enumerate(
            zip(program.inputs, program.uses.data, strict=True)
        )
    ]
    for letter in (*letters, *("y" for _ in program.outputs)):
        count = counts.get(letter, 0)
        counts[letter] = count + 1
        yield f"{letter}{count}" if count else letter


def _special_name(program: ProgramOp, number: int, use: Use) -> str | None:
    if use.index:
        return "ids"
    if use.scalars is not None:
        return "scalars"
    inplace = any(made.inplace == number for made in program.makes.data)
    return "cache" if inplace else None


def _letter(value: SSAValue) -> str:
    if not is_constant(value):
        return "x"
    return "g" if len(ttir.shape_of(value)) == 1 else "w"
