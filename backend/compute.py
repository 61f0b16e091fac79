"""The compute kernel: waits for operands, runs the stages, frees what was used."""

from __future__ import annotations

from xdsl.ir import Operation, SSAValue

from backend.build import Body
from backend.compute_stages import compute_stage
from backend.lowering_context import COLUMN_OF_ONES, ONES, Lowering
from passes.schedule import masks_of


def compute(low: Lowering, depth: int = 0) -> list[Operation]:
    """The compute kernel from a depth of the outer loops inwards."""
    body = Body()
    held = [low.name(value) for value in low.residents(depth)]
    if depth == 0 and ONES in low.buffers:
        held.append(low.name(ONES))
    if depth == 0 and COLUMN_OF_ONES in low.buffers:
        held.append(low.name(COLUMN_OF_ONES))
    masks = []
    if depth == len(low.outer):
        masks = [
            low.name(mask.results[0])
            for stage in low.schedule.stages
            for mask in masks_of(stage)
        ]
    for name in (*held, *masks):
        body.wait(name)
    body.extend(low.outer_loop(depth, lambda inner: compute(low, inner)))
    if depth == len(low.outer):
        _compute_stages(low, body)
    for name in (*masks, *held):
        body.pop(name)
    return body.ops


def _compute_stages(low: Lowering, body: Body) -> None:
    last_readers = {
        local.value: _last_reader(low, local.value) for local in low.schedule.locals
    }
    for index, stage in enumerate(low.schedule.stages):
        made = [v for v in stage.results if v not in low.schedule.outputs]
        for value in made:
            body.reserve(low.name(value))
        body.extend(compute_stage(low, index))
        for value in made:
            body.push(low.name(value))
            body.wait(low.name(value))
        for value, last in last_readers.items():
            if last == index:
                body.pop(low.name(value))


def _last_reader(low: Lowering, value: SSAValue) -> int:
    return max(
        index
        for index, stage in enumerate(low.schedule.stages)
        if any(value in op.operands for op in stage.body.block.ops)
    )
