"""A contraction with weights as a loop over blocks of what it sums over.

As stages, a core holds its rows whole while the columns of the weights pass by. As a
loop, a block of the rows and of the weights comes at a time, and each step adds to sums
that stay in L1: long rows fit, computing begins with the first block, and whatever else
is summed along the rows (the squares of a norm) is summed on the way. Cores may share
the steps out: then each of few columns of weights is read by several cores, a part by
each, and they exchange pieces of their sums.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod

from xdsl.dialects.builtin import Float32Type, TensorType, f32
from xdsl.ir import Block, Operation, Region, SSAValue

from dialects import ttir
from dialects.expr import Expr, Name, substitute
from dialects.formats import DataFormat
from dialects.grid import CombineOp, LoopOp, PadMaskOp, ProgramOp, StageOp, YieldOp
from dialects.grid_attributes import NO_AXIS, AxisListAttr, Use, UsesAttr
from dialects.ttir.base import element_of, shape_of
from passes.axis_classes import ValueAxes
from passes.form_stages import FREE, form_block
from passes.region_views import REGION_VIEWS
from passes.schedule import is_weight


def as_loop(program: ProgramOp) -> ProgramOp | None:
    """The program with its contraction as a loop, detached; None where it cannot be.

    What is summed must not depend on other sums along the same axis; stages that run
    for some heads of a projection stay as they are.
    """
    return _as_loop(program, splits=False)


def as_split_loop(program: ProgramOp) -> ProgramOp | None:
    """As `as_loop`, for cores that share the loop's steps out (split k).

    Each of them then gets a piece of all their sums, and goes on with that.
    """
    return _as_loop(program, splits=True)


def _as_loop(program: ProgramOp, *, splits: bool) -> ProgramOp | None:
    stages = program.body.block.ops
    if any(isinstance(op, LoopOp | CombineOp) or takes_part(op) for op in stages):
        return None
    copy = program.clone()
    block = copy.body.block
    formats = inline_stages(block)
    axes = ValueAxes(copy)
    found = _Contraction.of(copy, axes)
    if found is None:
        discard(copy)
        return None
    loop = found.write(block)
    if splits and not _share_sums(copy, loop):
        discard(copy)
        return None
    form_block(block, ValueAxes(copy), formats)
    return copy


def _share_sums(program: ProgramOp, loop: LoopOp) -> bool:
    """Let every core go on with a piece of the sums: what stands behind the loop runs
    along axes of its own, shares of those of the sums.

    False where an operand is read on both sides, or rows are written one by one.
    """
    block, axes = program.body.block, ValueAxes(program)
    own = dict.fromkeys(axis for value in loop.carried for axis in axes.real(value))
    behind = [op for op in block.ops if op is not loop and not isinstance(op, FREE)]
    read = {value for op in behind for value in op.operands}
    read_inside = {value for op in loop.walk() for value in op.operands}
    leading = {a for v in loop.carried for a in axes.of(v)[:-2] if a != NO_AXIS}
    rows = any(use.row is not None for use in program.makes.data)
    if leading or rows or not own or read & read_inside & set(block.args):
        return False
    shares = {axis: _fresh(f"{axis}1", program) for axis in own}
    block.insert_op_after(combine := _sum_of_pieces(loop), loop)
    for value, total in zip(loop.carried, combine.combined, strict=True):
        value.replace_uses_with_if(total, lambda use: use.operation is not combine)
    uses = [
        _renamed(use, shares) if argument in read else use
        for argument, use in zip(block.args, program.uses.data, strict=True)
    ]
    program.properties["uses"] = UsesAttr(tuple(uses))
    made = tuple(_renamed(use, shares) for use in program.makes.data)
    program.properties["makes"] = UsesAttr(made)
    given = program.axes.by_name()
    further = [
        replace(given[axis], name=share, of=axis, whole=given[axis].part)
        for axis, share in shares.items()
    ]
    program.properties["axes"] = AxisListAttr((*program.axes.data, *further))
    return True


def _sum_of_pieces(loop: LoopOp) -> CombineOp:
    types = [value.type for value in loop.carried]
    body = Block(arg_types=[*types, *types])
    sums = []
    for own, other in zip(
        body.args[: len(types)], body.args[len(types) :], strict=True
    ):
        total = ttir.AddOp(own, other)
        total.location = loop.location
        body.add_op(total)
        sums.append(total.result)
    body.add_op(YieldOp(*sums))
    formats = [DataFormat(word) for word in loop.formats.data]
    return CombineOp(loop.carried, formats, Region(body), each=True)


def _renamed(use: Use, names: Mapping[str, str]) -> Use:
    """A use along other axes."""
    others: dict[str, Expr] = {old: Name(new) for old, new in names.items()}
    row, column = (substitute(entry, others) for entry in use.map)
    axes = tuple(names.get(axis, axis) for axis in use.axes)
    return replace(use, axes=axes, map=(row, column))


def _fresh(name: str, program: ProgramOp) -> str:
    while name in program.axes.by_name():
        name += "1"
    return name


def takes_part(op: Operation) -> bool:
    """Whether a stage runs for some heads only, or reads tiles by a view in it."""
    return isinstance(op, StageOp) and (
        op.where is not None
        or any(isinstance(inner, REGION_VIEWS) for inner in op.body.block.ops)
    )


def discard(program: ProgramOp) -> None:
    """Drop a detached program and what it refers to."""
    program.erase()


def inline_stages(block: Block) -> dict[SSAValue, str]:
    """Take the operations out of their stages; the formats in which values leave."""
    last = block.last_op
    assert isinstance(last, YieldOp)
    formats: dict[SSAValue, str] = {}
    for stage in [op for op in block.ops if isinstance(op, StageOp)]:
        inner = stage.body.block
        end = inner.last_op
        assert end is not None
        for result, value, word in zip(
            stage.results, list(end.operands), stage.formats.data, strict=True
        ):
            if result in last.operands:
                formats[value] = word
            result.replace_all_uses_with(value)
        end.detach()
        end.erase()
        for op in list(inner.ops):
            op.detach()
            block.insert_op_before(op, stage)
        stage.detach()
        stage.erase()
    return formats


@dataclass
class _Contraction:
    """What goes into the loop: `inside` in its order, of which `sums` are carried."""

    weight: SSAValue
    dim: int
    inside: list[Operation]
    sums: list[Operation]
    mapping: dict[SSAValue, SSAValue] = field(default_factory=dict)

    @classmethod
    def of(cls, program: ProgramOp, axes: ValueAxes) -> _Contraction | None:
        """Find it: all contractions with weights sum over one axis."""
        block = program.body.block
        contractions = [
            op
            for op in block.ops
            if isinstance(op, ttir.MatmulOp) and is_weight(program, op.b)
        ]
        if not contractions:
            return None
        first = contractions[0]
        dim = len(shape_of(first.b)) - (1 if first.transposes_b else 2)
        axis = axes.of(first.b)[dim]
        inside = [op for op in block.ops if _goes_along(op, axis, axes)]
        sums = [op for op in inside if axis not in axes.of(op.results[0])]
        found = cls(first.b, dim, inside, sums)
        sound = all(op in sums for op in contractions) and found._is_sound()
        return found if sound else None

    def _is_sound(self) -> bool:
        """Sums are of products, and nothing inside waits for what is outside."""
        outside = {id(op) for op in self.sums}
        kinds = (ttir.MatmulOp, ttir.SumOp, ttir.MeanOp)
        members = {id(op) for op in self.inside}
        return all(isinstance(op, kinds) for op in self.sums) and all(
            not isinstance(op, PadMaskOp)
            and all(
                _is_given(value)
                or (id(value.owner) in members and id(value.owner) not in outside)
                for value in op.operands
            )
            for op in self.inside
        )

    def write(self, block: Block) -> LoopOp:
        """Move the operations into a loop in front of all others."""
        types = [TensorType(f32, shape_of(op.results[0])) for op in self.sums]
        body = Block(arg_types=types)
        totals = dict(zip(map(id, self.sums), body.args, strict=True))
        added: list[SSAValue] = []
        for op in self.inside:
            value = self._copy(op, body)
            if id(op) in totals:
                wide = _cast(body, value, f32)
                total = ttir.AddOp(wide, totals[id(op)])
                total.location = op.location
                body.add_op(total)
                added.append(total.result)
        body.add_op(YieldOp(*added))
        loop = LoopOp(
            self.weight,
            self.dim,
            init=(0.0,) * len(types),
            formats=(DataFormat.FP32,) * len(types),
            types=types,
            body=Region(body),
        )
        block.insert_op_before(loop, self.inside[0])
        self._hand_out(loop)
        return loop

    def _copy(self, op: Operation, body: Block) -> SSAValue:
        """An operation inside the loop; a mean is summed there."""
        for operand in op.operands:
            if isinstance(operand.owner, FREE) and operand not in self.mapping:
                free = operand.owner.clone()
                body.add_op(free)
                self.mapping[operand] = free.results[0]
        if isinstance(op, ttir.MeanOp):
            value = self.mapping.get(op.input, op.input)
            copy: Operation = ttir.SumOp(
                value, list(op.axes), keep_dim=op.keeps_dimensions
            )
        else:
            copy = op.clone(dict(self.mapping))
        copy.location = op.location
        body.add_op(copy)
        self.mapping[op.results[0]] = copy.results[0]
        return copy.results[0]

    def _hand_out(self, loop: LoopOp) -> None:
        """What stood for a sum is now what the loop carried."""
        block = loop.parent
        assert block is not None
        for op, total in zip(self.sums, loop.carried, strict=True):
            value: SSAValue = total
            if isinstance(op, ttir.MeanOp):
                count = prod(shape_of(op.input)[axis] for axis in op.axes)
                ones = [1] * len(shape_of(total))
                factor = ttir.FullOp(ones, 1.0 / count, f32)
                mean = ttir.MultiplyOp(total, factor.result)
                mean.location = op.location
                block.insert_ops_before([factor, mean], self.inside[0])
                value = mean.result
            element = element_of(op.results[0])
            if not isinstance(element, Float32Type):
                cast = ttir.TypecastOp(value, element)
                cast.location = op.location
                block.insert_op_before(cast, self.inside[0])
                value = cast.result
            op.results[0].replace_all_uses_with(value)
        for op in reversed(self.inside):
            op.detach()
            op.erase()


def _cast(body: Block, value: SSAValue, element: Float32Type) -> SSAValue:
    if isinstance(element_of(value), Float32Type):
        return value
    cast = ttir.TypecastOp(value, element)
    body.add_op(cast)
    return cast.result


def _is_given(value: SSAValue) -> bool:
    """Whether a value is an operand of the program, or needs nothing."""
    return isinstance(value.owner, (Block, *FREE))


def _goes_along(op: Operation, axis: str, axes: ValueAxes) -> bool:
    return not isinstance(op, (YieldOp, *FREE)) and any(
        axis in axes.of(value) for value in op.operands
    )
