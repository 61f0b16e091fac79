"""The circular buffers and multicasts of a program."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from xdsl.dialects.builtin import UnitAttr
from xdsl.ir import Attribute, SSAValue

from backend.lowering_context import (
    COLUMN_OF_ONES,
    ONES,
    BufferKey,
    Lowering,
    embedding_of,
    fused_product,
    number,
    reduces_leading,
)
from dialects import tensix, ttir
from dialects.axes import Axis
from dialects.expr import Const, Expr, Name
from dialects.grid import NO_AXIS, Use
from dialects.syntax import (
    AxesAttr,
    LocalAttr,
    LocalsAttr,
    MapAttr,
    PointAttr,
    WordAttr,
)
from passes.partitions import page_order
from passes.schedule import MIN_DEPTH
from passes.schedule_parts import Combine, Operand, masks_of

PARTIAL = "p"
"""Axis that counts the cores whose partial results are combined."""

_MASTERS: dict[str, tuple[Expr, Expr]] = {
    "x": (Const(0), Name("y")),
    "y": (Name("x"), Const(0)),
    "xy": (Const(0), Const(0)),
}
"""The core that reads and sends, by the way its multicast goes."""


def declare_buffers(low: Lowering) -> None:
    """Declare all circular buffers and multicasts, in the order that is printed."""
    for operand in low.schedule.operands:
        _declare_operand(low, operand)
    _declare_carried(low)
    for count, local in enumerate(low.schedule.locals):
        entries = _whole(low, local.axes)
        data_format = WordAttr(local.data_format)
        _declare(low, local.value, f"cb_t{count}", entries, data_format=data_format)
    for index in range(len(low.schedule.stages)):
        _declare_helpers(low, index)
    _declare_outputs(low)


def _declare(
    low: Lowering,
    key: BufferKey,
    name: str,
    entries: Iterable[str],
    **properties: Attribute,
) -> None:
    low.buffers[key] = tensix.CircularBufferOp.create(
        properties={
            "sym_name": LocalAttr(name),
            "block": AxesAttr(tuple(entries)),
            **properties,
        }
    )


def _whole(low: Lowering, axes: Iterable[str]) -> list[str]:
    """Block entries of what stays: outer axes step by step, others a core's part."""
    stepped = low.schedule.stepped
    return [axis if axis in stepped else f"{axis}.part" for axis in axes]


def _declare_carried(low: Lowering) -> None:
    """Blocks for each value that steps hand on."""
    values = [carried for loop in low.schedule.loops for carried in loop.carried]
    for count, carried in enumerate(values):
        name = f"cb_c{count}"
        entries = _whole(low, carried.axes)
        kind = WordAttr(carried.data_format)
        properties: dict[str, Attribute] = {"data_format": kind}
        if carried.depth > 1:
            properties["depth"] = number(carried.depth)
        _declare(low, carried.argument, name, entries, **properties)
        low.buffers[carried.result] = low.buffers[carried.argument]
    for combine in low.schedule.combines:
        _declare_combine(low, combine)


def _declare_combine(low: Lowering, combine: Combine) -> None:
    """What the first core combines stays where the loop left it, and the sum of each
    core's pieces has a place of its own; others' results have slots."""
    before, cores = combine.loop.carried, low.axes[combine.loop.axis].cores
    if not combine.each:
        for carried, old in zip(combine.carried, before, strict=True):
            low.buffers[carried.argument] = low.buffers[old.argument]
            low.buffers[carried.result] = low.buffers[old.argument]
        if cores == 1:
            return
    slots = cores if combine.each else cores - 1
    low.axes[PARTIAL] = Axis(PARTIAL, slots, None, 1, 1, 1, 1)
    sources, targets = [], []
    for count, (other, carried, old) in enumerate(
        zip(combine.others, combine.carried, before, strict=True)
    ):
        entries, kind = _whole(low, carried.axes), WordAttr(carried.data_format)
        if combine.each:
            sources.append(low.name(old.argument))
            _declare(low, carried.argument, f"cb_own{count}", entries, data_format=kind)
            low.buffers[carried.result] = low.buffers[carried.argument]
        else:
            sources.append(f"cb_s{count}")
            _declare(low, (other, "own"), sources[-1], entries, data_format=kind)
        targets.append(f"cb_p{count}")
        pieces = [f"{PARTIAL}.part", *entries]
        _declare(low, other, targets[-1], pieces, data_format=kind)
    properties: dict[str, Attribute] = {
        "sym_name": LocalAttr("partials"),
        "sources": LocalsAttr(tuple(sources)),
        "targets": LocalsAttr(tuple(targets)),
        "along": WordAttr(combine.loop.axis),
        **({"each": UnitAttr()} if combine.each else {"noc": number(1)}),
    }
    low.gathers[combine.op] = tensix.GatherOp.create(properties=properties)


def _declare_operand(low: Lowering, operand: Operand) -> None:
    value, use = operand.value, low.uses[operand.value]
    parameter = low.parameters[value]
    entries = _operand_entries(low, operand)
    if operand.lent:
        _declare_lent(low, value, parameter, use, axes=operand.axes)
        return
    index = _index_of(low, value)
    row: str | Expr = use.map[0] if index is None else f"cb_{index}"
    properties: dict[str, Attribute] = {
        "operand": LocalAttr(parameter),
        "map": MapAttr((row, use.map[1])),
    }
    if index is not None:
        properties["rows"] = UnitAttr()
    depth = 1 if operand.resident else use.depth or MIN_DEPTH
    if depth > 1:
        properties["depth"] = number(depth)
    _declare(low, value, f"cb_{parameter}", entries, **properties)
    if use.along is not None:
        _declare_multicast(low, operand, parameter, use)


def _declare_lent(
    low: Lowering, value: SSAValue, parameter: str, use: Use, *, axes: Sequence[str]
) -> None:
    """A buffer over the shard: the core's whole part, in the order it lies in."""
    low.buffers[value] = tensix.CircularBufferOp.create(
        properties={
            "sym_name": LocalAttr(f"cb_{parameter}"),
            "block": AxesAttr(
                tuple(f"{axis}.part" for axis in page_order(use.map, axes))
            ),
            "shard": LocalAttr(parameter),
            "shard_map": MapAttr(use.map),
        }
    )


def _operand_entries(low: Lowering, operand: Operand) -> Iterable[str]:
    if _index_of(low, operand.value) is not None:
        return low.own(low.schedule.stages[0])
    if low.uses[operand.value].index:
        return [axis for axis in operand.axes if axis not in low.outer]
    if low.schedule.stays_whole(operand, low.axes):
        return [f"{axis}.part" for axis in operand.axes]
    if operand.resident or operand.loop is not None:
        entries = _whole(low, operand.axes)
        # Columns of sharded weights lie tile behind tile: so may their pages.
        columns = low.uses[operand.value].sharded == "columns"
        return entries[::-1] if columns else entries
    if not low.schedule.keeps_column(operand, low.axes):
        return operand.axes
    made = low.schedule.axes.real(low.schedule.outputs[0])
    return [axis if axis in made else f"{axis}.part" for axis in operand.axes]


def _index_of(low: Lowering, value: SSAValue) -> str | None:
    """The parameter of the index, where a value is a table that is gathered."""
    embedding = embedding_of(low.schedule.stages[0])
    if embedding is None or embedding.weight is not value:
        return None
    return low.parameters[embedding.input]


def _declare_multicast(
    low: Lowering, operand: Operand, parameter: str, use: Use
) -> None:
    assert use.along is not None
    noc = low.multicast_noc(operand.value)
    properties: dict[str, Attribute] = {
        "sym_name": LocalAttr(f"mc_{parameter}"),
        "buffer": LocalAttr(f"cb_{parameter}"),
        "along": WordAttr(use.along),
        "master": PointAttr(_MASTERS[use.along]),
        "noc": number(noc),
        "linked": UnitAttr(),
    }
    if use.turns > 1:
        cut = low.piece_of(operand)
        x, y = _MASTERS[use.along]
        master = (x, cut.turn) if use.along == "y" else (cut.turn, y)
        properties["master"] = PointAttr(master)
        properties["pieces"] = AxesAttr(cut.entries)
    low.multicasts[operand.value] = tensix.MulticastOp.create(properties=properties)


def _declare_helpers(low: Lowering, index: int) -> None:
    """The scaler of reductions, sums on their way, and masks of one stage."""
    stage = low.schedule.stages[index]
    bf16, fp32 = WordAttr("bf16"), WordAttr("fp32")
    reductions = [o for o in stage.body.block.ops if isinstance(o, ttir.ReductionOp)]
    for op in reductions:
        key, name = (
            (COLUMN_OF_ONES, "cb_ones") if low.sums_by_matmul(op) else (ONES, "cb_one")
        )
        if key not in low.buffers:
            _declare(low, key, name, (), data_format=bf16)
    if any(fused_product(op) and not reduces_leading(op) for op in reductions):
        entries = low.schedule.axes.real(stage.results[0])
        _declare(low, f"sum{index}", f"cb_s{index}", entries, data_format=fp32)
    first = sum(len(masks_of(earlier)) for earlier in low.schedule.stages[:index])
    for count, mask in enumerate(masks_of(stage)):
        result = mask.results[0]
        axes = [a for a in low.schedule.axes.of(result)[-2:] if a != NO_AXIS]
        entries = _whole(low, axes)
        _declare(low, result, f"cb_mask{first + count}", entries, data_format=bf16)


def declare_scalars(low: Lowering) -> list[tensix.ScalarsOp]:
    """The run-time scalars of a program; operands that share them agree in range."""
    found: dict[str, tensix.ScalarsOp] = {}
    for value, use in low.uses.items():
        if use.scalars is None:
            continue
        name, greatest = use.scalars
        found[name] = tensix.ScalarsOp.create(
            properties={
                "sym_name": WordAttr(name),
                "operand": LocalAttr(low.parameters[value]),
                "low": number(0),
                "high": number(greatest),
            }
        )
    return list(found.values())


def _declare_outputs(low: Lowering) -> None:
    made: tuple[Use, ...] = low.program.makes.data
    for value, use in zip(low.schedule.outputs, made, strict=True):
        parameter = low.parameters[value]
        if use.lent:
            axes = low.result_axes(value)
            _declare_lent(low, value, parameter, use, axes=axes)
            continue
        _declare(
            low,
            value,
            f"cb_{parameter}",
            low.result_axes(value),
            operand=LocalAttr(parameter),
            map=MapAttr(use.map),
            depth=number(2),
        )
