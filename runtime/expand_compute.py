"""Compute of a kernel, from operations to resolved instructions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from xdsl.dialects.builtin import UnitAttr
from xdsl.ir import Operation

from dialects import tensix_compute as compute
from dialects.syntax import ExprAttr
from runtime import instructions as ins
from runtime.expander import Builder, Expander, Step, Walk


def _word(attr: object) -> str | None:
    return None if attr is None else attr.data  # type: ignore[union-attr]


def _number(attr: ExprAttr | None) -> int:
    return 0 if attr is None else attr.value


def _copy(expander: Expander, op: compute.CopyTilesOp, site: int) -> Step:
    buffer = expander.buffer(op.buffer)
    broadcast, dst, axes = _word(op.broadcast), op.dst.data, op.axes.data
    turned = _number(op.turned)

    def run(walk: Walk) -> None:
        slots = expander.slots(walk, buffer, axes, turned=turned).reshape(-1)
        if slots.size:
            walk.out.append(ins.CopyTiles(site, buffer.index, slots, broadcast, dst))

    return run


def _tilize(expander: Expander, op: compute.TilizeBlockOp, site: int) -> Step:
    buffer = expander.buffer(op.buffer)

    def run(walk: Walk) -> None:
        slots = expander.slots(walk, buffer, op.axes.data)
        if slots.size:
            walk.out.append(ins.TilizeBlock(site, buffer.index, slots, op.dst.data))

    return run


def _binary(kind: str) -> Callable[..., Step]:
    def build(expander: Expander, op: compute._BinaryTilesOp, site: int) -> Step:
        lhs, rhs = expander.buffer(op.lhs), expander.buffer(op.rhs)
        over: tuple[str, ...] = ()
        if isinstance(op, compute.MulTilesOp) and op.over is not None:
            over = op.over.data
        kept, axes = op.axes.data, (*op.axes.data, *over)
        broadcast = _word(op.broadcast)
        accumulate = isinstance(op.accumulate, UnitAttr) or bool(over)
        turned = _number(op.turned)

        def run(walk: Walk) -> None:
            left = expander.slots(walk, lhs, axes, turned=turned)
            if not left.size:
                return
            right = expander.slots(walk, rhs, axes)
            sizes = [walk.ranges[a].size for a in kept]
            targets = np.arange(np.prod(sizes, dtype=np.int64)) + op.dst.data
            view = targets.reshape([*sizes, *[1] * len(over)])
            walk.out.append(
                ins.BinaryTiles(
                    site,
                    kind,
                    lhs.index,
                    left.reshape(-1),
                    rhs.index,
                    right.reshape(-1),
                    broadcast,
                    np.broadcast_to(view, left.shape).reshape(-1),
                    accumulate,
                )
            )

        return run

    return build


def _matmul(expander: Expander, op: compute.MatmulOp, site: int) -> Step:
    lhs, rhs = expander.buffer(op.lhs), expander.buffer(op.rhs)
    over = op.over.data
    rows = tuple(a for a in op.axes.data if a in lhs.axes)
    columns = tuple(a for a in op.axes.data if a not in rows)

    def run(walk: Walk) -> None:
        left = expander.slots(walk, lhs, (*rows, *over))
        right = expander.slots(walk, rhs, (*over, *columns))
        if not left.size or not right.size:
            return
        inner = _count(walk, over)
        walk.out.append(
            ins.MatmulBlock(
                site,
                lhs.index,
                left.reshape(-1, inner),
                rhs.index,
                right.reshape(inner, -1),
                op.transpose is not None,
                op.dst.data,
                keeps_tiles=isinstance(op, compute.MatmulBlockOp),
            )
        )

    return run


def _reduce(expander: Expander, op: compute.ReduceTilesOp, site: int) -> Step:
    buffer, scaler = expander.buffer(op.buffer), expander.buffer(op.scaler)

    def run(walk: Walk) -> None:
        slots = expander.slots(walk, buffer, (*op.axes.data, *op.over.data))
        if not slots.size:
            return
        over = [walk.ranges[a].size for a in op.over.data]
        walk.out.append(
            ins.ReduceTiles(
                site,
                op.kind.data,
                op.dim.data,
                buffer.index,
                slots.reshape(-1, int(np.prod(over, dtype=np.int64))),
                scaler.index,
                0,
                op.dst.data,
            )
        )

    return run


def _pack(expander: Expander, op: compute.PackTilesOp, site: int) -> Step:
    buffer = expander.buffer(op.buffer)

    def run(walk: Walk) -> None:
        slots = expander.slots(walk, buffer, op.axes.data).reshape(-1)
        if slots.size:
            walk.out.append(
                ins.PackTiles(
                    site,
                    op.dst.data,
                    buffer.index,
                    slots,
                    op.relu is not None,
                    op.l1_accumulate is not None,
                )
            )

    return run


def _count(walk: Walk, axes: Sequence[str]) -> int:
    return math.prod(walk.ranges[a].size for a in axes)


def _unary(function: str) -> Callable[..., Step]:
    def build(expander: Expander, op: Operation, site: int) -> Step:
        assert isinstance(op, compute.SfpuUnaryOp | compute.SfpuScalarOp)
        scalar = op.scalar.data if isinstance(op, compute.SfpuScalarOp) else None

        def run(walk: Walk) -> None:
            count = _count(walk, op.axes.data)
            if count:
                walk.out.append(
                    ins.SfpuUnary(site, function, op.dst.data, count, scalar)
                )

        return run

    return build


def _fill(expander: Expander, op: compute.FillTileOp, site: int) -> Step:
    def run(walk: Walk) -> None:
        count = _count(walk, op.axes.data)
        if count:
            walk.out.append(ins.SfpuFill(site, op.dst.data, count, op.scalar.data))

    return run


def _dst_binary(function: str) -> Callable[..., Step]:
    def build(expander: Expander, op: compute.SfpuBinaryOp, site: int) -> Step:
        def run(walk: Walk) -> None:
            count = _count(walk, op.axes.data)
            if count:
                walk.out.append(
                    ins.SfpuBinary(site, function, op.lhs.data, op.rhs.data, count)
                )

        return run

    return build


def _bare(kind: type) -> Builder:
    def build(expander: Expander, op: Operation, site: int) -> Step:
        return lambda walk: walk.out.append(kind(site))

    return build


COMPUTE: dict[type, Builder] = {
    compute.AcquireOp: _bare(ins.RegsAcquire),
    compute.CommitOp: _bare(ins.RegsCommit),
    compute.RegsWaitOp: _bare(ins.RegsWait),
    compute.ReleaseOp: _bare(ins.RegsRelease),
    compute.CopyTilesOp: _copy,
    compute.AddTilesOp: _binary("add"),
    compute.SubTilesOp: _binary("sub"),
    compute.MulTilesOp: _binary("mul"),
    compute.MatmulBlockOp: _matmul,
    compute.MatmulTilesOp: _matmul,
    compute.ReduceTilesOp: _reduce,
    compute.TilizeBlockOp: _tilize,
    compute.PackTilesOp: _pack,
    compute.FillTileOp: _fill,
    **{op: _unary(name) for name, op in compute.UNARY_OPS.items()},
    **{op: _unary(name) for name, op in compute.SCALAR_OPS.items()},
    **{op: _dst_binary(name) for name, op in compute.BINARY_OPS.items()},
}
