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
from dialects.grid import (
    CausalMaskOp,
    CombineOp,
    LoopOp,
    PadMaskOp,
    PositionMaskOp,
    ProgramOp,
    StageOp,
    YieldOp,
)
from dialects.grid_attributes import Part, PartAttr
from dialects.syntax import AxesAttr
from dialects.ttir.base import element_of
from passes.axis_classes import ValueAxes
from passes.dst_plan import is_copied_out
from passes.region_views import REGION_VIEWS, part_of, stored

FREE = (
    ttir.FullOp,
    ttir.ZerosOp,
    ttir.OnesOp,
    CausalMaskOp,
    PositionMaskOp,
    PadMaskOp,
)
"""Operations that read no tiles: made where they are used."""


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
    """A stage under construction. `axes` are those of its results, `part` that of an
    axis for which it runs."""

    kind: str
    axes: tuple[str, ...]
    reduced: tuple[str, ...] = ()
    part: Part | None = None
    ops: list[Operation] = field(default_factory=list)


def _form(program: ProgramOp) -> None:
    block = program.body.block
    if not any(isinstance(op, StageOp) for op in block.walk()):
        form_block(block, ValueAxes(program), {})


def form_block(block: Block, axes: ValueAxes, formats: dict[SSAValue, str]) -> None:
    """Cut a region into stages; loops in it stay, and are cut themselves.

    `formats` are those in which values leave the region, where they are given.
    """
    stages: list[_Stage] = []
    home: dict[SSAValue, int] = {}
    for op in list(block.ops):
        if isinstance(op, (*FREE, *REGION_VIEWS)):
            continue
        if isinstance(op, LoopOp | CombineOp | YieldOp):
            _wrap(stages, op, formats)
            stages, home = [], {}
            if not isinstance(op, YieldOp):
                given = zip(op.yielded, op.formats.data, strict=True)
                form_block(op.body.block, axes, dict(given))
            continue
        index = _place(op, axes, stages, home)
        stages[index].ops.append(op)
        home[op.results[0]] = index
    for op in reversed(list(block.ops)):
        if isinstance(op, (*FREE, *REGION_VIEWS)) and not op.results[0].uses:
            op.detach()
            op.erase()


def _place(
    op: Operation, axes: ValueAxes, stages: list[_Stage], home: dict[SSAValue, int]
) -> int:
    """The number of the stage that an operation joins or opens."""
    own, part = axes.real(op.results[0]), part_of(op.results[0], axes.of)
    sources = [stored(value)[0] for value in op.operands]
    producers = [home[value] for value in sources if value in home]
    last = max(producers, default=-1)
    top = len(stages) - 1
    follows = top > last and (stages[top].axes, stages[top].part) == (own, part)
    if isinstance(op, ttir.MatmulOp):
        inner = tuple(a for a in axes.real(op.a) if a not in own)
        alike = follows and stages[top].kind == "matmul"
        if not (alike and stages[top].reduced == inner):
            stages.append(_Stage("matmul", own, inner, part))
    elif isinstance(op, ttir.ReductionOp):
        inner = tuple(a for a in axes.real(op.input) if a not in own)
        stages.append(_Stage("reduce", own, inner, part))
        _pull_product(op, stages, home)
    elif (
        last >= 0
        and (stages[last].axes, stages[last].part) == (own, part)
        and _takes_more(op, last, stages, home)
    ):
        return last
    elif not (follows and (stages[top].kind == "elementwise" or _meets(op, top, home))):
        stages.append(_Stage("elementwise", own, part=part))
    return len(stages) - 1


def _takes_more(
    op: Operation, stage: int, stages: list[_Stage], home: dict[SSAValue, int]
) -> bool:
    """Whether an operation may go on in Dst with what a stage made there."""
    seen = [value for value in op.operands if isinstance(value.owner, REGION_VIEWS)]
    from_l1 = any(home.get(stored(value)[0]) == stage for value in seen)
    alone = _is_alone(stages[stage])
    return not (from_l1 or alone or _needed_again(op, stage, home))


def _meets(op: Operation, stage: int, home: dict[SSAValue, int]) -> bool:
    """Whether the one user of an operation combines it with a result of the stage."""
    uses = list(op.results[0].uses)
    return len(uses) == 1 and any(
        home.get(value) == stage for value in uses[0].operation.operands
    )


def _needed_again(op: Operation, stage: int, home: dict[SSAValue, int]) -> bool:
    """Whether the operation would overwrite in Dst what others need as well."""
    if is_copied_out(op):
        return False
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


def _wrap(stages: list[_Stage], end: Operation, formats: dict[SSAValue, str]) -> None:
    """Move the operations into stage operations before `end`; what others use becomes
    their results."""
    block = end.parent
    assert block is not None
    outputs = set(end.operands) if isinstance(end, YieldOp) else set[SSAValue]()
    for stage in (stage for stage in stages if stage.ops):
        members = set(stage.ops)
        leaving = [
            op.results[0]
            for op in stage.ops
            if any(use.operation not in members for use in op.results[0].uses)
        ]
        stated = [
            formats.get(value) or _format(value, value in outputs) for value in leaving
        ]
        body = Block()
        wrapped = StageOp.create(
            result_types=[value.type for value in leaving],
            properties={
                "over": AxesAttr((*stage.axes, *stage.reduced)),
                **({} if stage.part is None else {"where": PartAttr(stage.part)}),
                "formats": AxesAttr(tuple(stated)),
            },
            regions=[Region(body)],
        )
        block.insert_op_before(wrapped, end)
        for value, result in zip(leaving, wrapped.results, strict=True):
            value.replace_uses_with_if(
                result, lambda use, inside=members: use.operation not in inside
            )
        adopted: dict[Operation, Operation] = {}
        for op in stage.ops:
            _adopt_free(op, body, adopted)
            op.detach()
            body.add_op(op)
        body.add_op(YieldOp(*leaving))


def _adopt_free(
    op: Operation, body: Block, adopted: dict[Operation, Operation]
) -> None:
    """Operations that read no tiles, or only say which, stand where they are used."""
    for number, value in enumerate(op.operands):
        owner = value.owner
        if not isinstance(owner, (*FREE, *REGION_VIEWS)) or owner.parent is body:
            continue
        if owner not in adopted or isinstance(owner, FREE):
            adopted[owner] = copy = owner.clone()
            _adopt_free(copy, body, adopted)
            body.add_op(copy)
        op.operands[number] = adopted[owner].results[0]


def _format(value: SSAValue, is_output: bool) -> str:
    """Format of a value that leaves a stage.

    Outputs have the tensor's own, and so have values of which heads or other tiles are
    read. A local that a contraction reads is bf16, as the
    matrix unit takes it; others keep fp32, since they are sums, peaks and scores.
    """
    readers = [use.operation for use in value.uses]
    if is_output or any(isinstance(reader, REGION_VIEWS) for reader in readers):
        narrow = isinstance(element_of(value), BFloat16Type)
        return DataFormat.BF16 if narrow else DataFormat.FP32
    contracted = any(isinstance(reader, ttir.MatmulOp) for reader in readers)
    return DataFormat.BF16 if contracted else DataFormat.FP32
