"""The writer (riscv0): writes results, fills masks and scalers.

Where the reader streams weights, the writer loads the resident operands too.
"""

from __future__ import annotations

from xdsl.ir import Operation

from backend.build import Body
from backend.lowering_context import COLUMN_OF_ONES, ONES, Lowering, nest
from backend.readers import load_residents
from dialects import tensix_movement as movement
from dialects.grid import CausalMaskOp, PadMaskOp, StageOp
from dialects.syntax import LocalAttr
from passes.insert_padding import MASKED
from passes.schedule import masks_of


def writer(low: Lowering, depth: int = 0) -> list[Operation]:
    """The writer from a depth of the outer loops inwards."""
    body = Body()
    if depth == 0 and ONES in low.buffers:
        body.fill(low.name(ONES), "row_scaler", 1.0)
    if depth == 0 and COLUMN_OF_ONES in low.buffers:
        body.fill(low.name(COLUMN_OF_ONES), "column_scaler", 1.0)
    if low.streams_weights:
        body.extend(load_residents(low, depth, noc=0))
    body.extend(low.outer_loop(depth, lambda inner: writer(low, inner)))
    if depth == len(low.outer):
        for stage in low.schedule.stages:
            _fill_masks(low, stage, body)
        for stage in low.schedule.stages:
            body.extend(_write(low, stage))
    return body.ops


def _fill_masks(low: Lowering, stage: StageOp, body: Body) -> None:
    for mask in masks_of(stage):
        name = low.name(mask.results[0])
        if isinstance(mask, CausalMaskOp):
            body.fill(name, "causal", MASKED)
        else:
            assert isinstance(mask, PadMaskOp)
            body.fill_edge(name, mask)


def _write(low: Lowering, stage: StageOp) -> list[Operation]:
    inner = Body()
    for value in stage.results:
        if value in low.schedule.outputs:
            name = low.name(value)
            inner.wait(name)
            inner.add(movement.WriteOp, buffer=LocalAttr(name))
            inner.add(movement.WriteBarrierOp)
            inner.pop(name)
    return nest(low.order(stage), inner.ops)
