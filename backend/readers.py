"""The reader (riscv1): loads what is streamed, and residents where it has the time."""

from __future__ import annotations

from xdsl.ir import Operation, SSAValue

from backend import build
from backend.build import Body
from backend.loops import on_first, steps_of
from backend.lowering_context import (
    COLUMN_OF_ONES,
    ONES,
    Lowering,
    embedding_of,
    nest,
    number,
)
from dialects import tensix_movement as movement
from dialects import ttir
from dialects.expr import Binary, Const, Expr, Name, add, multiply
from dialects.grid import StageOp
from dialects.syntax import LocalAttr
from passes.schedule_parts import Loop


def reader(low: Lowering, depth: int = 0) -> list[Operation]:
    """The reader from a depth of the outer loops inwards."""
    body = Body()
    if depth == 0 and low.reader_fills:
        body.extend(fill_scalers(low))
    if not low.writer_loads:
        for late in (False, True):
            body.extend(load_residents(low, depth, noc=None, late=late))
    body.extend(low.outer_loop(depth, lambda inner: reader(low, inner)))
    if depth == len(low.outer):
        for item in low.schedule.items:
            if isinstance(item, Loop):
                body.extend(steps_of(low, item, load_step(low, item)))
            elif isinstance(item, int) and item >= (low.first_weights or 0):
                ops = stream(low, item, low.schedule.stages[item], noc=None)
                body.extend(on_first(low, item, ops))
    return body.ops


def fill_scalers(low: Lowering) -> list[Operation]:
    """The tiles of ones that reductions multiply by."""
    body = Body()
    if ONES in low.buffers:
        body.fill(low.name(ONES), "row_scaler", 1.0)
    if COLUMN_OF_ONES in low.buffers:
        body.fill(low.name(COLUMN_OF_ONES), "column_scaler", 1.0)
    return body.ops


def load_step(
    low: Lowering, loop: Loop, *, noc: int | None = None, beside_weights: bool = False
) -> list[Operation]:
    """What one step of a loop reads: weights, or all that comes `beside_weights`.

    Where a loop brings no weights, the reader reads everything.
    """
    weights = low.schedule.weights_in(loop)
    values = [
        operand.value
        for operand in low.schedule.operands
        if operand.loop is loop and (operand.value in weights) != beside_weights
    ]
    if not weights:
        values = [o.value for o in low.schedule.operands if o.loop is loop]
        values = [] if beside_weights else values
    return [op for value in values for op in _load(low, value, noc)]


def load_residents(
    low: Lowering, depth: int, *, noc: int | None, late: bool
) -> list[Operation]:
    """Load the operands that stay, those that depend on the loops down to a depth.

    `late` chooses those that are first read behind what runs before the loops.
    """
    values = [value for value in low.residents(depth) if low.is_late(value) is late]
    return [op for value in values for op in _load(low, value, noc)]


def _load(low: Lowering, value: SSAValue, noc: int | None) -> list[Operation]:
    """Reserve, read (or take part in a multicast), push.

    `noc` is for what every core reads; a master reads on the NoC of its kernel.
    """
    name = low.name(value)
    noc = None if value in low.multicasts else noc
    body = Body()
    body.reserve(name)
    if low.uses[value].lent:
        body.push(name)
        return body.ops
    if low.uses[value].turns > 1:
        body.extend(_take_turns(low, value, noc))
        body.push(name)
        return body.ops
    cast = low.multicasts.get(value)
    read = Body()
    read.read(name, noc, ahead=low.ahead_axis(value))
    if low.uses[value].cleaned:
        read.clean(name)
    if cast is None:
        body.extend(read.ops)
    else:
        sent = cast.sym_name.data
        read.add(movement.SendOp, multicast=LocalAttr(sent))
        receive = Body()
        receive.add(movement.ReceiveOp, multicast=LocalAttr(sent))
        place = _distance(cast.along.data)
        body.extend([build.branch(Binary("==", place, Const(0)), read.ops)])
        body.extend([build.branch(Binary(">", place, Const(0)), receive.ops)])
    body.push(name)
    return body.ops


def _take_turns(low: Lowering, value: SSAValue, noc: int | None) -> list[Operation]:
    """Cores of a line read a piece each, then send theirs in turn to all others."""
    use, name = low.uses[value], low.name(value)
    operand = next(o for o in low.schedule.operands if o.value is value)
    piece, sent = low.piece_of(operand), low.multicasts[value].sym_name.data
    assert use.along is not None
    place = Name(use.along)
    if use.along == "xy":
        place = add(multiply(Name("y"), use.turns), Name("x"))
    read, exchange = Body(), Body()
    stated = None if noc is None else number(noc)
    read.add(movement.ReadOp, buffer=LocalAttr(name), noc=stated)
    sends, receives = Body(), Body()
    sends.add(movement.SendOp, multicast=LocalAttr(sent))
    exchange.extend([build.branch(Binary("==", place, piece.turn), sends.ops)])
    for where in ("<", ">"):
        receives = Body()
        receives.add(movement.ReceiveOp, multicast=LocalAttr(sent))
        exchange.extend([build.branch(Binary(where, place, piece.turn), receives.ops)])
    body = Body()
    own = build.branch(Binary("==", place, piece.turn), read.ops)
    body.extend([build.loop(piece.axis, [own], piece.size)])
    body.add(movement.ReadBarrierOp)
    body.extend([build.loop(piece.axis, exchange.ops, piece.size)])
    return body.ops


def _distance(along: str) -> Expr:
    """Zero on the master only, along the way that its multicast goes."""
    if along == "xy":
        return Binary("+", Name("x"), Name("y"))
    return Name(along)


def stream(
    low: Lowering, index: int, stage: StageOp, *, noc: int | None
) -> list[Operation]:
    """Load what a stage streams, block by block."""
    streamed = [o.value for o in low.schedule.operands if o.stage == index]
    if not streamed:
        return []
    embedding = embedding_of(stage)
    if embedding is not None:
        return _stream_rows(low, stage, embedding)
    weights = low.schedule.weights_of(index)
    load_weights = [op for w in weights for op in _load(low, w, noc)]
    others = [value for value in streamed if value not in weights]
    load_others = [op for v in others for op in _load(low, v, noc)]
    if weights and low.rows_inside(stage):
        *rows, column = low.own(stage)
        return nest([column], [*load_weights, *nest(rows, load_others)])
    inner = nest(low.reduced(stage), load_weights) if weights else []
    return nest(low.order(stage), [*inner, *load_others])


def _stream_rows(
    low: Lowering, stage: StageOp, op: ttir.EmbeddingOp
) -> list[Operation]:
    index, table = low.name(op.input), low.name(op.weight)
    *rows, column = low.own(stage)
    gather = Body()
    gather.reserve(table)
    gather.add(movement.ReadRowsOp, buffer=LocalAttr(table))
    gather.add(movement.ReadBarrierOp)
    gather.push(table)
    body = Body()
    body.reserve(index)
    body.read(index, None)
    body.push(index)
    body.wait(index)
    body.extend(nest([column], gather.ops))
    body.pop(index)
    return nest(rows, body.ops)
