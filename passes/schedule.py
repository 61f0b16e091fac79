"""The order of loops and the place of operands in a program, before any core is chosen.

Outer axes are looped around all stages. An operand is *resident* (loaded whole, at the
depth of the outer loops that it depends on) or *streamed* block by block inside the
one stage that reads it. `choose-grid` asks this for what must fit into L1, the
lowering emits it: both see the same plan.
"""

from __future__ import annotations

from functools import cached_property
from itertools import chain
from math import ceil, prod

from xdsl.ir import Block, BlockArgument, SSAValue

from dialects import ttir
from dialects.axes import Axis
from dialects.formats import DataFormat
from dialects.grid import (
    CombineOp,
    LoopOp,
    ProgramOp,
    RotateOp,
    StageOp,
    YieldOp,
)
from passes.axis_classes import ValueAxes
from passes.constants import is_constant
from passes.dst_plan import DstPlan, added_in_l1, plan_stage
from passes.schedule_parts import Carried, Combine, Local, Loop, Operand

MIN_DEPTH = 2
"""Blocks of a streamed operand: one is computed with while the next one comes."""

AHEAD_DEPTH = 3
"""Blocks that a master needs to read one while it sends another, and computes."""

_FEW_TILES = 8
"""Tiles of an operand that takes no room worth counting."""


class Schedule:
    """Loop order, operands, locals and Dst plans of one program with stages."""

    def __init__(self, program: ProgramOp):
        self.program = program
        self.axes = ValueAxes(program)
        block = program.body.block
        self.stages = [op for op in block.walk() if isinstance(op, StageOp)]
        self.loops = [self._loop(op) for op in block.ops if isinstance(op, LoopOp)]
        self.combines = [
            self._combine(op) for op in block.ops if isinstance(op, CombineOp)
        ]
        self.plans: list[DstPlan] = [plan_stage(stage) for stage in self.stages]
        last = block.last_op
        assert isinstance(last, YieldOp)
        self.outputs = tuple(last.operands)
        self._weights = [_streamed_by(program, stage) for stage in self.stages]
        self.streamed = frozenset(chain.from_iterable(self._weights))
        """Operands that contractions stream as their right sides."""
        self.outer = self._outer_axes()
        self.operands = [
            self._operand(argument)
            for argument, use in zip(block.args, program.uses.data, strict=True)
            if use.scalars is None and self.is_read(argument)
        ]
        self.locals = [
            Local(r, self.axes.real(r), DataFormat(f), len(self.outer))
            for stage in self.stages
            for r, f in zip(stage.results, stage.formats.data, strict=True)
            if r not in self.outputs and self.is_read(r)
        ]

    def _inside(self, block: Block) -> list[int]:
        """The numbers of the stages in a region."""
        return [self.stages.index(s) for s in block.ops if isinstance(s, StageOp)]

    def _combine(self, op: CombineOp) -> Combine:
        inside = self._inside(op.body.block)
        (loop,) = (lp for lp in self.loops if lp.op is op.values[0].owner)
        own = op.body.block.args[: len(op.values)]
        each = op.each is not None
        carried = tuple(
            Carried(
                argument,
                yielded,
                result,
                self.axes.real(result),
                before.data_format,
                0.0,
                added=each,
            )
            for argument, yielded, result, before in zip(
                own, op.yielded, op.combined, loop.carried, strict=True
            )
        )
        others = tuple(op.body.block.args[len(own) :])
        return Combine(op, loop, inside[0], inside[-1], carried, others, each)

    def _loop(self, op: LoopOp) -> Loop:
        inside = self._inside(op.body.block)
        axis = self.axes.of(op.along)[op.dim.value.data]
        added = [
            value
            for stage in op.body.block.ops
            if isinstance(stage, StageOp)
            for value in added_in_l1(stage).values()
        ]
        carried = tuple(
            Carried(
                argument,
                yielded,
                result,
                self.axes.real(result),
                kind,
                init,
                argument in added,
            )
            for argument, yielded, result, kind, init in zip(
                op.body.block.args,
                op.yielded,
                op.carried,
                map(DataFormat, op.formats.data),
                op.init.data,
                strict=True,
            )
        )
        return Loop(op, axis, inside[0], inside[-1], carried)

    def loop_of(self, stage: int) -> Loop | None:
        """The loop in whose steps a stage runs."""
        return next((loop for loop in self.loops if loop.holds(stage)), None)

    def around(self, stage: int) -> Loop | Combine | None:
        """The loop, or what combines its results, in which a stage runs."""
        regions = (*self.loops, *self.combines)
        return next((region for region in regions if region.holds(stage)), None)

    def combine_of(self, loop: Loop) -> Combine | None:
        """What combines the results of a loop."""
        return next((c for c in self.combines if c.loop is loop), None)

    @cached_property
    def items(self) -> list[Loop | Combine | int]:
        """Loops, what combines their results, and the numbers of the stages outside of
        them, in their order."""
        found: list[Loop | Combine | int] = []
        for number in range(len(self.stages)):
            region = self.around(number)
            if region is None:
                found.append(number)
            elif region.first == number:
                found.append(region)
        return found

    def is_read(self, value: SSAValue) -> bool:
        """Whether a stage reads a value from its circular buffer."""
        return any(_reads(stage, value) for stage in self.stages)

    def reads(self, stage: int, value: SSAValue) -> bool:
        """Whether a stage, by its number, reads a value from its circular buffer."""
        return _reads(self.stages[stage], value)

    def reads_in(self, item: Loop | Combine | int, value: SSAValue) -> bool:
        """Whether a stage, or one of a loop, reads a value."""
        if isinstance(item, int):
            return self.reads(item, value)
        return any(self.reads(n, value) for n in range(item.first, item.last + 1))

    def first_reader(self, value: SSAValue) -> int:
        """The place in the order of `items` of the first that reads a value."""
        places = range(len(self.items))
        return next(n for n in places if self.reads_in(self.items[n], value))

    @property
    def stepped(self) -> tuple[str, ...]:
        """Axes of which one block is there at a time, around the stages: all outer
        ones, and those of loops."""
        return (*self.outer, *(loop.axis for loop in self.loops))

    # -- loops -------------------------------------------------------------------

    @property
    def parallel(self) -> tuple[str, ...]:
        """Axes that cores may share out: all results have them, none is reduced."""
        first, *rest = map(self._axes_around, self.outputs)
        bound = {
            axis
            for stage in self.stages
            for axis in stage.over.data
            if axis not in self.axes.real(stage.results[0])
        }
        bound |= self._turned_axes()
        return tuple(
            axis
            for axis in first
            if axis not in bound and all(axis in other for other in rest)
        )

    def _axes_around(self, output: SSAValue) -> tuple[str, ...]:
        """Axes of an output, with that of which its stage takes a part."""
        real, owner = self.axes.real(output), output.owner
        where = owner.where if isinstance(owner, StageOp) else None
        if where is None or where.data.axis in real:
            return real
        return (where.data.axis, *real)

    def is_blocked(self, stage: StageOp) -> bool:
        """Whether what a stage makes or streams passes by in blocks of its axes."""
        number = self.stages.index(stage)
        makes = any(value in self.outputs for value in stage.results)
        return makes or bool(self._weights[number])

    @property
    def row_axes(self) -> frozenset[str]:
        """Axes that say which row of a tile is written: one step at a time."""
        rows = [use.row for use in self.program.makes.data if use.row is not None]
        names = frozenset[str]().union(*(row.names() for row, _ in rows))
        return names & {axis.name for axis in self.program.axes.data}

    def _turned_axes(self) -> set[str]:
        """Axes along which columns are turned: a core has all of them."""
        return {
            self.axes.of(op.result)[-1]
            for stage in self.stages
            for op in stage.body.block.ops
            if isinstance(op, RotateOp)
        }

    @property
    def num_before(self) -> int:
        """How many stages run once, before the outer loops, on which they do not
        depend."""
        around = set(self.outer)
        for number, stage in enumerate(self.stages if around else ()):
            where = set() if stage.where is None else {stage.where.data.axis}
            if around & (where | set(stage.over.data)) or self.around(number):
                return number if self.streamed else 0
        return 0

    def _outer_axes(self) -> tuple[str, ...]:
        value = self.outputs[0]
        axes = self.axes.of(value)
        lead = [a for a in self._axes_around(value) if a not in axes[-2:]]
        leading = [a for a in lead if a in self.parallel]
        row = axes[-2] if len(axes) > 1 else None
        if len(self.stages) > 1 and not self.streamed and row in self.parallel:
            leading.append(row)
        return tuple(leading)

    @cached_property
    def lent_outputs(self) -> frozenset[SSAValue]:
        """Results that are left in the core's own shard."""
        made = zip(self.outputs, self.program.makes.data, strict=True)
        return frozenset(value for value, use in made if use.lent)

    # -- operands ------------------------------------------------------------------

    def _operand(self, argument: BlockArgument) -> Operand:
        axes = self.axes.real(argument)
        if self.program.uses.data[argument.index].lent:
            return Operand(
                argument, axes, resident=True, depth=0, stage=None, lent=True
            )
        readers = [i for i, stage in enumerate(self.stages) if _reads(stage, argument)]
        depth = max(
            (place + 1 for place, axis in enumerate(self.outer) if axis in axes),
            default=0,
        )
        for loop in self.loops:
            if loop.axis in axes and all(map(loop.holds, readers)):
                return Operand(argument, axes, False, depth, None, loop)
        streamed = len(readers) == 1 and self._streams(argument, readers[0], axes)
        return Operand(
            argument, axes, not streamed, depth, readers[0] if streamed else None
        )

    def _streams(
        self, argument: BlockArgument, index: int, axes: tuple[str, ...]
    ) -> bool:
        stage = self.stages[index]
        if _is_table_or_index(stage, argument):
            return True
        if index < self.num_before or stage.where is not None:
            return False  # it is there before the heads, beside the first weights
        for op in stage.body.block.ops:
            if isinstance(op, ttir.MatmulOp) and argument in (op.a, op.b):
                return argument is op.b and is_weight(self.program, argument)
            if isinstance(op, ttir.ReductionOp) and argument in _reduced(op):
                return False
        own = [a for a in self.axes.real(_result(stage)) if a not in self.outer]
        return set(own) <= set(axes)

    def cut_axis(self, operand: Operand, axes: dict[str, Axis]) -> Axis | None:
        """The axis along which the block of a resident operand is cut into pieces
        that lie together."""
        for place, name in enumerate(operand.axes):
            if self._resident(axes[name]) == 1:
                continue
            behind = [axes[other] for other in operand.axes[place + 1 :]]
            whole = all(axis.extent % axis.part == 0 for axis in behind)
            return axes[name] if whole and name not in self.stepped else None
        return None

    def weights_of(self, index: int) -> list[SSAValue]:
        """Operands that a stage streams, outside of loops, as right sides."""
        looped = {operand.value for operand in self.operands if operand.loop}
        return [value for value in self._weights[index] if value not in looped]

    def weights_in(self, loop: Loop) -> list[SSAValue]:
        """Weights that the steps of a loop bring."""
        return [
            operand.value
            for operand in self.operands
            if operand.loop is loop and operand.value in self.streamed
        ]

    def l1_bytes(self, axes: dict[str, Axis], tile_bytes: dict[SSAValue, int]) -> int:
        """L1 that circular buffers of this program take, streamed ones double."""
        total = 0
        for operand in (o for o in self.operands if not o.lent):
            depth = 1 if operand.resident else MIN_DEPTH
            total += depth * tile_bytes[operand.value] * self.block_tiles(operand, axes)
        for local in self.locals:
            size = local.data_format.tile_bytes
            total += size * prod(self._resident(axes[a]) for a in local.axes)
        for carried in (c for loop in self.loops for c in loop.carried):
            size = carried.data_format.tile_bytes
            size *= carried.depth
            total += size * prod(self._resident(axes[a]) for a in carried.axes)
        for combine in self.combines:
            slots = axes[combine.loop.axis].cores
            slots += int(combine.each)
            for carried in combine.carried:
                size = carried.data_format.tile_bytes * (slots if slots > 1 else 0)
                total += size * prod(self._resident(axes[a]) for a in carried.axes)
        for value in self.outputs:
            if value in self.lent_outputs:
                continue
            size = tile_bytes[value]
            total += 2 * size * prod(axes[a].block for a in self.axes.real(value))
        return total

    def num_blocks(self, operand: Operand, axes: dict[str, Axis]) -> int:
        """Blocks of an operand that come to the busiest core."""
        tiles = prod(axes[a].share for a in operand.axes)
        return ceil(tiles / self.block_tiles(operand, axes))

    def ahead_axis(self, operand: Operand, axes: dict[str, Axis]) -> str | None:
        """The axis along which blocks of an operand follow each other: that of its
        loop, or the last of those in whose nest weights pass by."""
        if operand.loop is not None:
            return operand.loop.axis
        if operand.stage is None or operand.value not in self.streamed:
            return None
        stage = self.stages[operand.stage]
        column = self.axes.real(stage.results[0])[-1]
        inner = [column] if self.keeps_column(operand, axes) else stage.over.data
        stepped = [a for a in self.outer if axes[a].part > 1]
        stepped += [
            a for a in inner if a not in self.outer and axes[a].part > axes[a].block
        ]
        return stepped[-1] if stepped and stepped[-1] in operand.axes else None

    def has_room_ahead(
        self, operand: Operand, axes: dict[str, Axis], depth: int | None
    ) -> bool:
        """Whether masters can read an operand's next block while they send one: one
        comes after the other, and there is room for both beside the one that is
        computed with."""
        if self.ahead_axis(operand, axes) is None:
            return False
        blocks = self.num_blocks(operand, axes)
        return blocks > 1 and (depth or MIN_DEPTH) >= min(AHEAD_DEPTH, blocks)

    def depths(
        self,
        axes: dict[str, Axis],
        tile_bytes: dict[SSAValue, int],
        *,
        l1_bytes: int,
        read_ahead: bool = True,
    ) -> dict[SSAValue, int]:
        """Blocks that the buffers of streamed weights hold, as far as L1 reaches, and,
        where masters may `read_ahead`, those of what comes beside them.

        What is there early hides what a core does before its first contraction, and
        that DRAM is slow to answer.
        """
        weights = [o for o in self.operands if o.value in self.streamed]
        beside = [o for o in self.operands if o.loop and o not in weights]
        if not weights or not read_ahead:
            beside = []
        sizes = {
            o: tile_bytes[o.value] * self.block_tiles(o, axes)
            for o in (*weights, *beside)
        }
        free = l1_bytes - self.l1_bytes(axes, tile_bytes)
        found = {}
        for group, most in ((beside, AHEAD_DEPTH), (weights, None)):
            total = sum(sizes[o] for o in group)
            further = max(0, free // total) if total else 0
            if most is not None:
                further = min(further, most - MIN_DEPTH)
            free -= further * total
            for o in group:
                found[o.value] = min(MIN_DEPTH + further, self.num_blocks(o, axes))
        return {value: max(1, depth) for value, depth in found.items()}

    def block_tiles(self, operand: Operand, axes: dict[str, Axis]) -> int:
        """Tiles that are loaded at a time, in one block of the circular buffer."""
        return prod(self.block_sizes(operand, axes))

    def block_sizes(self, operand: Operand, axes: dict[str, Axis]) -> list[int]:
        """Tiles of such a block along each axis of an operand."""
        if self.stays_whole(operand, axes):
            return [axes[a].part for a in operand.axes]
        if operand.resident or operand.loop is not None:
            return [self._resident(axes[a]) for a in operand.axes]
        kept = self.keeps_column(operand, axes)
        made = self.axes.real(self.outputs[0])
        return [
            axes[a].part if kept and a not in made else axes[a].block
            for a in operand.axes
        ]

    def stays_whole(self, operand: Operand, axes: dict[str, Axis]) -> bool:
        """Whether few tiles are loaded at once for all steps of the outer loops, though
        each step reads others: loaded step by step, they would wait for what each of
        them writes. What is computed with first comes as it is needed."""
        steps = prod(axes[a].part for a in operand.axes if a in self.outer)
        few = prod(axes[a].part for a in operand.axes) <= _FEW_TILES
        return (
            operand.resident
            and not operand.lent
            and steps > 1
            and few
            and self.first_reader(operand.value) > 0
        )

    def keeps_column(self, operand: Operand, axes: dict[str, Axis]) -> bool:
        """Whether weights of a column block stay while the rows of a core pass by."""
        if operand.stage is None or operand.value not in self.weights_of(operand.stage):
            return False
        return self.rows_inside(self.stages[operand.stage], axes)

    def rows_inside(self, stage: StageOp, axes: dict[str, Axis]) -> bool:
        """Whether a core has more rows than a block."""
        real = self.axes.real(stage.results[0])
        own = [axis for axis in real if axis not in self.outer]
        return len(own) > 1 and axes[own[0]].part > axes[own[0]].block

    def _resident(self, axis: Axis) -> int:
        if axis.name in self.outer:
            return 1
        return axis.block if axis.name in self.stepped else axis.part


def streamed_weights(program: ProgramOp) -> frozenset[SSAValue]:
    """Operands that contractions stream as their right sides."""
    stages = [op for op in program.body.block.walk() if isinstance(op, StageOp)]
    return frozenset(chain.from_iterable(_streamed_by(program, s) for s in stages))


def _streamed_by(program: ProgramOp, stage: StageOp) -> list[SSAValue]:
    return [
        op.b
        for op in stage.body.block.ops
        if isinstance(op, ttir.MatmulOp) and is_weight(program, op.b)
    ]


def is_weight(program: ProgramOp, value: SSAValue) -> bool:
    """Whether a value in a program's region is a parameter of the model."""
    return (
        isinstance(value, BlockArgument)
        and value.owner is program.body.block
        and is_constant(program.inputs[value.index])
    )


def _reads(stage: StageOp, value: SSAValue) -> bool:
    return any(value in op.operands for op in stage.body.block.ops)


def _reduced(op: ttir.ReductionOp) -> tuple[SSAValue, ...]:
    """What a reduction reads: its operand, or the factors of a fused product."""
    owner = op.input.owner
    if isinstance(owner, ttir.MultiplyOp) and owner.parent is op.parent:
        return (owner.lhs, owner.rhs)
    return (op.input,)


def _result(stage: StageOp) -> SSAValue:
    return stage.results[0]


def _is_table_or_index(stage: StageOp, value: SSAValue) -> bool:
    return any(
        isinstance(op, ttir.EmbeddingOp) and value in op.operands
        for op in stage.body.block.ops
    )
