"""How the compute kernel runs each kind of stage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xdsl.dialects.builtin import UnitAttr
from xdsl.ir import Operation, SSAValue

from backend import build
from backend.build import Body
from backend.loops import guarded
from backend.lowering_context import (
    COLUMN_OF_ONES,
    ONES,
    Lowering,
    embedding_of,
    fused_product,
    nest,
    reduces_leading,
    tiles_of,
)
from dialects import tensix_compute as compute
from dialects import ttir
from dialects.grid import StageOp
from dialects.syntax import AxesAttr, LocalAttr, WordAttr
from dialects.ttir.base import shape_of
from passes.dst_plan import Copy, DstPlan, Matrix, Step, Unary
from passes.schedule_parts import masks_of

_MATRIX_OPS = {
    "add": compute.AddTilesOp,
    "sub": compute.SubTilesOp,
    "mul": compute.MulTilesOp,
}


def compute_stage(low: Lowering, index: int) -> list[Operation]:
    """The loops and instructions of one stage."""
    stage, plan = low.schedule.stages[index], low.schedule.plans[index]
    if embedding_of(stage) is not None:
        return _rows(low, stage)
    if any(isinstance(op, ttir.MatmulOp) for op in plan.accumulators):
        return _matmul(low, index)
    if plan.accumulators:
        return _reduction(low, index)
    return _elementwise(low, index)


# -- one section of Dst ------------------------------------------------------------


def _section(
    low: Lowering,
    index: int,
    tiles: int,
    *,
    before: Sequence[Operation] = (),
    waits: Sequence[str] = (),
) -> list[Operation]:
    """Acquire, contract (`before`), finish, commit, pack, release."""
    stage, plan = low.schedule.stages[index], low.schedule.plans[index]
    body = Body()
    handed_on = _handed_on(low, stage)
    for name in handed_on:
        body.reserve(name)
    body.add(compute.AcquireOp)
    body.extend(before)
    for name in (*waits, *map(low.name, low.needed_behind(index))):
        body.wait(name)
    axes = low.real_axes(stage.results[0])
    for mask, steps in _by_mask(low, stage, plan.steps):
        inner = Body()
        for step in steps:
            _step(low, inner, step, tiles=tiles, axes=axes)
        body.extend(inner.ops if mask is None else guarded(low, mask, inner.ops))
    body.add(compute.CommitOp)
    body.add(compute.RegsWaitOp)
    _pack(low, body, index, tiles=tiles)
    body.add(compute.ReleaseOp)
    for name in handed_on:
        body.push(name)
    for name in waits:
        body.pop(name)
    return body.ops


def _handed_on(low: Lowering, stage: StageOp) -> list[str]:
    """The buffers of what the writer takes, a block for each section of Dst."""
    return [low.name(value) for value in stage.results if value in low.written]


def _by_mask(
    low: Lowering, stage: StageOp, steps: Sequence[Step]
) -> Iterator[tuple[Operation | None, list[Step]]]:
    """Steps in their order, those that apply a mask (copy it, add it) by themselves."""
    masks: dict[SSAValue, Operation] = {m.results[0]: m for m in masks_of(stage)}
    plain: list[Step] = []
    rest = list(steps)
    while rest:
        step = rest.pop(0)
        mask = masks.get(step.source) if isinstance(step, Copy) else None
        if mask is None:
            plain.append(step)
            continue
        yield None, plain
        plain = []
        yield mask, [step, rest.pop(0)]
    yield None, plain


def _pack(low: Lowering, body: Body, index: int, *, tiles: int) -> None:
    stage, plan = low.schedule.stages[index], low.schedule.plans[index]
    axes = low.real_axes(stage.results[0])
    inside = stage.body.block.last_op
    assert inside is not None
    for value, result in zip(inside.operands, stage.results, strict=True):
        for name, adds in _targets(low, index, result):
            body.add(
                compute.PackTilesOp,
                dst=build.dst(plan.results[value] * tiles),
                axes=axes,
                buffer=LocalAttr(name),
                l1_accumulate=UnitAttr() if adds else None,
            )


def _targets(low: Lowering, index: int, result: SSAValue) -> list[tuple[str, bool]]:
    """The buffers that a result is packed to, for readers and for the next step, and
    whether it is added to what they hold."""
    region = low.schedule.around(index)
    carried = () if region is None else region.carried
    names = [(low.name(result), False)] if result in low.buffers else []
    handed_on = [c for c in carried if c.yielded is result]
    return names + [(low.name(c.argument), c.added) for c in handed_on]


def _step(low: Lowering, body: Body, step: Step, *, tiles: int, axes: AxesAttr) -> None:
    target = build.dst(step.target * tiles)
    if isinstance(step, Copy):
        body.add(
            compute.CopyTilesOp,
            buffer=low.local(step.source),
            turned=build.count(step.turned),
            broadcast=build.word(step.broadcast),
            axes=axes,
            dst=target,
        )
    elif isinstance(step, Matrix):
        body.add(
            _MATRIX_OPS[step.function],
            lhs=low.local(step.lhs),
            turned=build.count(step.turned),
            rhs=low.local(step.rhs),
            broadcast=build.word(step.broadcast),
            axes=axes,
            dst=target,
            accumulate=UnitAttr() if step.accumulates else None,
        )
    elif isinstance(step, Unary):
        body.unary(step.function, step.target * tiles, axes, step.scalar)
    else:
        other = build.dst(step.other * tiles)
        body.add(compute.BINARY_OPS[step.function], lhs=target, rhs=other, axes=axes)


# -- element by element --------------------------------------------------------------


def _elementwise(low: Lowering, index: int) -> list[Operation]:
    stage = low.schedule.stages[index]
    steps = low.sub_blocks(index, low.schedule.plans[index])
    section = _section(low, index, tiles_of(steps))
    own = low.own(stage)
    names = low.streamed(index)
    if not names and not low.makes_output(stage):
        return nest(own, section, steps)
    finer = {a: s for a, s in steps.items() if s < low.axes[a].block}
    body = Body()
    for name in names:
        body.wait(name)
    body.extend(nest(list(finer), section, finer))
    for name in names:
        body.pop(name)
    return nest(own, body.ops)


# -- contractions ----------------------------------------------------------------------


def _matmul(low: Lowering, index: int) -> list[Operation]:
    stage, plan = low.schedule.stages[index], low.schedule.plans[index]
    steps = low.sub_blocks(index, plan)
    weights = low.schedule.weights_of(index)
    names = [low.name(weight) for weight in weights]
    column_kept = bool(weights) and low.rows_inside(stage)
    looped = _contract(low, stage, plan, steps)
    if names and not column_kept:
        waits = _between(names, looped)
        looped = nest(low.reduced(stage), waits)
    section = _section(
        low,
        index,
        tiles_of(steps),
        before=looped,
        waits=low.streamed(index, weights),
    )
    if not column_kept:
        blocks = None if low.makes_output(stage) else steps
        return nest(low.order(stage), section, blocks)
    *rows, column = low.own(stage)
    return nest([column], _between(names, nest(rows, section)))


def _between(names: Sequence[str], inner: Sequence[Operation]) -> list[Operation]:
    """Wait for blocks, use them, free them."""
    body = Body()
    for name in names:
        body.wait(name)
    body.extend(inner)
    for name in names:
        body.pop(name)
    return body.ops


def _contract(
    low: Lowering, stage: StageOp, plan: DstPlan, steps: dict[str, int]
) -> list[Operation]:
    """The contractions of a stage, one behind the other in Dst."""
    body = Body()
    for place, op in enumerate(plan.accumulators):
        assert isinstance(op, ttir.MatmulOp)
        body.add(
            compute.MatmulBlockOp,
            lhs=low.local(op.a),
            rhs=low.local(op.b),
            transpose=UnitAttr() if op.transposes_b else None,
            axes=low.real_axes(stage.results[0]),
            over=AxesAttr(low.reduced(stage)),
            dst=build.dst(place * tiles_of(steps)),
        )
    return body.ops


# -- reductions ------------------------------------------------------------------------


def _reduction(low: Lowering, index: int) -> list[Operation]:
    stage, plan = low.schedule.stages[index], low.schedule.plans[index]
    (op,) = plan.accumulators
    assert isinstance(op, ttir.ReductionOp)
    own = low.own(stage)
    if reduces_leading(op):
        section = _section(low, index, 1, before=[_sum_tiles(low, stage, op)])
        return nest(own, section, dict.fromkeys(own, 1))
    inner = AxesAttr(low.reduced(stage))
    axes = low.real_axes(stage.results[0])
    product = fused_product(op)
    body = Body()
    if product is None:
        source = low.name(op.input)
    else:
        source = low.name(f"sum{index}")
        _sum_products(low, body, product, source=source, axes=axes, over=inner)
        inner = AxesAttr(())
    reduce = _reduce(low, op, source=source, axes=axes, over=inner)
    body.extend(_section(low, index, 1, before=[reduce]))
    if product is not None:
        body.pop(source)
    return nest(own, body.ops, dict.fromkeys(own, 1))


def _reduce(
    low: Lowering, op: ttir.ReductionOp, *, source: str, axes: AxesAttr, over: AxesAttr
) -> Operation:
    """A reduction inside tiles: by the pooling unit, or a product with ones."""
    if low.sums_by_matmul(op):
        return compute.MatmulBlockOp.create(
            properties={
                "lhs": LocalAttr(source),
                "rhs": low.local(COLUMN_OF_ONES),
                "axes": axes,
                "over": over,
                "dst": build.dst(0),
            }
        )
    return compute.ReduceTilesOp.create(
        properties={
            "kind": WordAttr("max" if isinstance(op, ttir.MaxOp) else "sum"),
            "dim": WordAttr(_direction(op)),
            "buffer": LocalAttr(source),
            "scaler": low.local(ONES),
            "axes": axes,
            "over": over,
            "dst": build.dst(0),
        }
    )


def _sum_tiles(low: Lowering, stage: StageOp, op: ttir.ReductionOp) -> Operation:
    """Whole tiles summed in Dst: products of two operands, or of one and 1."""
    product = fused_product(op)
    return compute.MulTilesOp.create(
        properties={
            "lhs": low.local(op.input if product is None else product.lhs),
            "rhs": low.local(ONES if product is None else product.rhs),
            **({"broadcast": WordAttr("scalar")} if product is None else {}),
            "axes": low.real_axes(stage.results[0]),
            "over": AxesAttr(low.reduced(stage)),
            "dst": build.dst(0),
        }
    )


def _sum_products(
    low: Lowering,
    body: Body,
    product: ttir.MultiplyOp,
    *,
    source: str,
    axes: AxesAttr,
    over: AxesAttr,
) -> None:
    """Products summed over tiles in Dst; what is left is inside one tile."""
    operands = {"lhs": low.local(product.lhs), "rhs": low.local(product.rhs)}
    stated = {**operands, "axes": axes, "over": over, "dst": build.dst(0)}
    products = compute.MulTilesOp.create(properties=stated)
    body.pack_alone(source, products, axes)


def _direction(op: ttir.ReductionOp) -> str:
    rank = len(shape_of(op.input))
    return "row" if op.axes == (rank - 1,) else "col"


# -- gathers ---------------------------------------------------------------------------


def _rows(low: Lowering, stage: StageOp) -> list[Operation]:
    embedding = embedding_of(stage)
    assert embedding is not None
    table = low.name(embedding.weight)
    (result,) = stage.results
    axes = AxesAttr(low.own(stage))
    body = Body()
    body.wait(table)
    stated = {"buffer": LocalAttr(table), "axes": axes, "dst": build.dst(0)}
    tiles = compute.TilizeBlockOp.create(properties=stated)
    body.pack_alone(low.name(result), tiles, axes, wait=False)
    body.pop(table)
    return nest(low.own(stage), body.ops)
