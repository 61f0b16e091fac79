"""`form-stages`: cut the region of each program into loop nests that follow each other.

A contraction or reduction opens a stage; element-wise operations on its result with
the same axes are its finish. What another stage needs becomes a local, a block that
stays in L1, in the format that its readers want.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import BFloat16Type, ModuleOp
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass

from dialects import ttir
from dialects.formats import DataFormat
from dialects.grid import CausalMaskOp, PadMaskOp, ProgramOp, StageOp, YieldOp
from dialects.syntax import AxesAttr
from dialects.ttir.base import element_of
from passes.axis_classes import ValueAxes

FREE = (ttir.FullOp, ttir.ZerosOp, ttir.OnesOp, CausalMaskOp, PadMaskOp)
"""Operations without operands: made where they are used."""


@dataclass(frozen=True)
class FormStagesPass(ModulePass):
    """Cut the region of each program into stages."""

    name = "form-stages"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for program in list(op.walk()):
            if isinstance(program, ProgramOp):
                _form(program)


@dataclass
class _Stage:
    """A stage under construction. `axes` are those of its results."""

    kind: str
    axes: tuple[str, ...]
    reduced: tuple[str, ...] = ()
    ops: list[Operation] = field(default_factory=list)


def _form(program: ProgramOp) -> None:
    block = program.body.block
    if any(isinstance(op, StageOp) for op in block.ops):
        return
    axes = ValueAxes(program)
    stages: list[_Stage] = []
    home: dict[SSAValue, int] = {}
    for op in block.ops:
        if isinstance(op, (YieldOp, *FREE)):
            continue
        index = _place(op, axes, stages, home)
        stages[index].ops.append(op)
        home[op.results[0]] = index
    _wrap(program, stages, axes)


def _place(
    op: Operation, axes: ValueAxes, stages: list[_Stage], home: dict[SSAValue, int]
) -> int:
    """The number of the stage that an operation joins or opens."""
    own = axes.real(op.results[0])
    producers = [home[value] for value in op.operands if value in home]
    last = max(producers, default=-1)
    if isinstance(op, ttir.MatmulOp):
        inner = tuple(a for a in axes.real(op.a) if a not in own)
        top = len(stages) - 1
        joins = (
            top > last
            and stages[top].kind == "matmul"
            and (stages[top].axes, stages[top].reduced) == (own, inner)
        )
        if not joins:
            stages.append(_Stage("matmul", own, inner))
    elif isinstance(op, ttir.ReductionOp):
        inner = tuple(a for a in axes.real(op.input) if a not in own)
        stages.append(_Stage("reduce", own, inner))
        _pull_product(op, stages, home)
    elif last >= 0 and stages[last].axes == own and not _is_alone(stages[last]):
        if not _needed_again(op, last, home):
            return last
        stages.append(_Stage("elementwise", own))
    else:
        top = len(stages) - 1
        joins = top > last and stages[top].kind == "elementwise"
        if not (joins and stages[top].axes == own):
            stages.append(_Stage("elementwise", own))
    return len(stages) - 1


def _needed_again(op: Operation, stage: int, home: dict[SSAValue, int]) -> bool:
    """Whether the operation would overwrite in Dst what others need as well."""
    return any(
        home.get(value) == stage and any(use.operation is not op for use in value.uses)
        for value in op.operands
    )


def _is_alone(stage: _Stage) -> bool:
    return any(isinstance(op, ttir.EmbeddingOp) for op in stage.ops)


def _pull_product(
    op: ttir.ReductionOp, stages: list[_Stage], home: dict[SSAValue, int]
) -> None:
    """A product that is only summed is accumulated in Dst, not stored."""
    product = op.input.owner
    if not (
        isinstance(product, ttir.MultiplyOp)
        and isinstance(op, ttir.SumOp | ttir.MeanOp)
        and len(list(product.result.uses)) == 1
        and product.result in home
    ):
        return
    source = stages[home[product.result]]
    if source.kind != "elementwise" or any(
        v.owner in source.ops for v in product.operands
    ):
        return
    source.ops.remove(product)
    stages[-1].ops.append(product)
    home[product.result] = len(stages) - 1


def _wrap(program: ProgramOp, stages: list[_Stage], axes: ValueAxes) -> None:
    """Move the operations into stage operations, locals become their results."""
    block = program.body.block
    last = block.last_op
    assert isinstance(last, YieldOp)
    outputs = set(last.operands)
    for stage in (stage for stage in stages if stage.ops):
        members = set(stage.ops)
        leaving = [
            op.results[0]
            for op in stage.ops
            if any(use.operation not in members for use in op.results[0].uses)
        ]
        formats = [_format(value, value in outputs) for value in leaving]
        body = Block()
        wrapped = StageOp.create(
            result_types=[value.type for value in leaving],
            properties={
                "over": AxesAttr((*stage.axes, *stage.reduced)),
                "formats": AxesAttr(tuple(formats)),
            },
            regions=[Region(body)],
        )
        block.insert_op_before(wrapped, last)
        for value, result in zip(leaving, wrapped.results, strict=True):
            value.replace_uses_with_if(
                result, lambda use, inside=members: use.operation not in inside
            )
        for op in stage.ops:
            _adopt_free(op, body)
            op.detach()
            body.add_op(op)
        body.add_op(YieldOp(*leaving))
    for op in list(block.ops):
        if isinstance(op, FREE) and not op.results[0].uses:
            op.detach()
            op.erase()


def _adopt_free(op: Operation, body: Block) -> None:
    for number, value in enumerate(op.operands):
        owner = value.owner
        if isinstance(owner, FREE) and owner.parent is not body:
            copy = owner.clone()
            body.add_op(copy)
            op.operands[number] = copy.results[0]


def _format(value: SSAValue, is_output: bool) -> str:
    """Format of a value that leaves a stage.

    Outputs have the tensor's own. A local that a contraction reads is bf16, as the
    matrix unit takes it; others keep fp32, since they are sums, peaks and scores.
    """
    if is_output:
        narrow = isinstance(element_of(value), BFloat16Type)
        return DataFormat.BF16 if narrow else DataFormat.FP32
    readers = [use.operation for use in value.uses]
    contracted = any(isinstance(reader, ttir.MatmulOp) for reader in readers)
    return DataFormat.BF16 if contracted else DataFormat.FP32
