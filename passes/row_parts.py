"""A reduction along an axis of the results, so that cores may share that axis out.

A norm sums along its rows before it scales them: as one axis, that stays on the core
that has the row. In parts, the operand comes twice: whole for the sum, which each core
of a row computes for itself, and as the core's part for what is made of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from xdsl.ir import Block, BlockArgument, Operation, SSAValue

from dialects import ttir
from dialects.expr import Name, substitute
from dialects.grid import (
    AxisListAttr,
    CombineOp,
    LoopOp,
    ProgramOp,
    Use,
    UsesAttr,
    YieldOp,
)
from passes.axis_classes import ValueAxes
from passes.contraction_loops import discard, inline_stages, takes_part
from passes.form_stages import FREE, form_block

_NAMES = "krs"
"""Letters for the axis of the reduction, the first that is free."""


def in_parts(program: ProgramOp) -> ProgramOp | None:
    """The program with its reductions along an axis of their own, detached.

    None where no reduction runs along an axis of the results, or a contraction, a loop
    or heads that run for themselves are in the way.
    """
    stages = program.body.block.ops
    if any(isinstance(op, LoopOp | CombineOp) or takes_part(op) for op in stages):
        return None
    copy = program.clone()
    formats = inline_stages(copy.body.block)
    found = _Reductions.of(copy)
    if found is None:
        discard(copy)
        return None
    parted = found.write()
    form_block(parted.body.block, ValueAxes(parted), formats)
    return parted


@dataclass
class _Reductions:
    """Reductions along `axis`, and what they are made from, in the block's order."""

    program: ProgramOp
    axes: ValueAxes
    axis: str
    reductions: list[Operation]
    sources: list[Operation]

    @classmethod
    def of(cls, program: ProgramOp) -> _Reductions | None:
        """Find them: along one axis that all results have."""
        block = program.body.block
        if any(isinstance(op, ttir.MatmulOp | ttir.EmbeddingOp) for op in block.ops):
            return None
        axes = ValueAxes(program)
        last = block.last_op
        assert isinstance(last, YieldOp)
        made = set.intersection(*(set(axes.real(value)) for value in last.operands))
        reductions = [op for op in block.ops if isinstance(op, ttir.ReductionOp)]
        along = {axes.of(op.input)[dim] for op in reductions for dim in op.axes}
        if len(along) != 1 or not along <= made:
            return None
        (axis,) = along
        sources = _behind(reductions, axis, axes)
        return cls(program, axes, axis, list(reductions), sources)

    def write(self) -> ProgramOp:
        """A program whose reductions read operands of their own."""
        block = self.program.body.block
        own = _free_name(self.program)
        mapping: dict[SSAValue, SSAValue] = {}
        inputs, uses = list(self.program.inputs), list(self.program.uses.data)
        for argument in list(block.args):
            if self.axis in self.axes.of(argument) and self._is_summed(argument):
                use = uses[argument.index]
                named = {self.axis: Name(own)}
                row, column = (substitute(entry, named) for entry in use.map)
                renamed = tuple(own if a == self.axis else a for a in use.axes)
                uses.append(replace(use, axes=renamed, map=(row, column)))
                inputs.append(self.program.inputs[argument.index])
                mapping[argument] = block.insert_arg(argument.type, len(block.args))
        for op in self.sources:
            twin = op.clone(mapping)
            twin.location = op.location
            block.insert_op_before(twin, op)
            mapping |= dict(zip(op.results, twin.results, strict=True))
        for op in self.reductions:
            for number, value in enumerate(op.operands):
                op.operands[number] = mapping.get(value, value)
        for op in reversed(self.sources):
            if not any(result.uses for result in op.results):
                op.detach()
                op.erase()
        return self._with(block, inputs, uses, own)

    def _is_summed(self, argument: BlockArgument) -> bool:
        readers = {use.operation for use in argument.uses}
        return bool(readers & {*self.sources, *self.reductions})

    def _with(
        self, block: Block, inputs: list[SSAValue], uses: list[Use], own: str
    ) -> ProgramOp:
        """The program with further operands, and the axis of the reductions."""
        program = self.program
        (axis,) = (a for a in program.axes.data if a.name == self.axis)
        region = program.detach_region(program.body)
        parted = ProgramOp.create(
            operands=inputs,
            result_types=[result.type for result in program.outputs],
            properties={
                **program.properties,
                "axes": AxisListAttr((*program.axes.data, replace(axis, name=own))),
                "uses": UsesAttr(tuple(uses)),
            },
            attributes=program.attributes,
            regions=[region],
        )
        parted.location = program.location
        discard(program)
        return parted


def _behind(
    reductions: list[ttir.ReductionOp], axis: str, axes: ValueAxes
) -> list[Operation]:
    """Operations from whose results along the axis the reductions are made."""
    found: set[Operation] = set()
    waiting = [op.input for op in reductions]
    while waiting:
        owner = waiting.pop().owner
        if not isinstance(owner, Operation) or owner in found:
            continue
        if not isinstance(owner, FREE) and axis in axes.of(owner.results[0]):
            found.add(owner)
            waiting += owner.operands
    block = reductions[0].parent
    assert block is not None
    return [op for op in block.ops if op in found]


def _free_name(program: ProgramOp) -> str:
    taken = {axis.name for axis in program.axes.data}
    return next(name for name in _NAMES if name not in taken)
