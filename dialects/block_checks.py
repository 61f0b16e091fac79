"""Whether the blocks of instructions have room in circular buffers and in Dst.

Going through a kernel, each axis has a bound: a core's part at first, one block inside
`for`. An instruction uses at most so many tiles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod

from xdsl.ir import Block, Operation

from dialects import tensix_compute as compute
from dialects import tensix_movement as movement
from dialects.errors import CapacityError, ForgeError
from dialects.formats import DstMode
from dialects.kernel_counts import PAGE_OPS
from dialects.program import ProgramFacts
from dialects.program_checks import fault
from dialects.syntax import AxesAttr, DstAttr, LocalAttr
from dialects.tensix import ForOp


def check_blocks(facts: ProgramFacts) -> Iterator[ForgeError]:
    """Faults of instructions that use more tiles than there are."""
    bounds = {axis.name: axis.part for axis in facts.axes.values()}
    for kernel in facts.kernels:
        yield from _walk_bounds(facts, kernel.body.block, bounds)


def _walk_bounds(
    facts: ProgramFacts, block: Block, bounds: Mapping[str, int]
) -> Iterator[ForgeError]:
    """Go through a block knowing how many tiles of each axis are current at most."""
    for op in block.ops:
        inner = bounds
        if isinstance(op, ForOp):
            axis = op.axis.data
            by = facts.axes[axis].block if op.by is None else op.by.value
            inner = {**bounds, axis: min(by, bounds[axis])}
        for region in op.regions:
            yield from _walk_bounds(facts, region.block, inner)
        yield from _block_faults(facts, op, bounds)
        yield from _dst_faults(facts, op, bounds)
        yield from _axis_faults(facts, op, bounds)
        if isinstance(op, movement.FillOp):
            yield from _fill_faults(facts, op)


def _block_faults(
    facts: ProgramFacts, op: Operation, bounds: Mapping[str, int]
) -> Iterator[ForgeError]:
    if type(op) in PAGE_OPS:
        return
    names = {
        attr.data
        for key, attr in op.properties.items()
        if isinstance(attr, LocalAttr)
        and key not in ("multicast", "semaphore", "gather")
    }
    for name in sorted(names):
        buffer = facts.circular_buffers[name]
        for axis, bound in zip(buffer.axes, buffer.bounds, strict=True):
            if bounds[axis] > bound and axis not in _shared_out(facts, op):
                yield fault(
                    op,
                    f"%{name} holds {bound} tiles of axis {axis}, but {bounds[axis]} "
                    "are used here",
                    limit=bound,
                    value=bounds[axis],
                    advice=f"write `{axis}.part` in its block, or put `for {axis}` "
                    "around this line",
                )


def _shared_out(facts: ProgramFacts, op: Operation) -> set[str | None]:
    """Axes of which an instruction names a share."""
    axes = op.properties.get("axes")
    named = axes.data if isinstance(axes, AxesAttr) else ()
    return {facts.axes[axis].of for axis in named}


def dst_capacity(facts: ProgramFacts) -> int:
    """Tiles of Dst that a kernel sees (wormhole.md section 2.4)."""
    mode = DstMode.FP32 if facts.fp32_dst else DstMode.BF16
    return mode.full_sync_tiles if facts.full_sync else mode.half_sync_tiles


def _dst_faults(
    facts: ProgramFacts, op: Operation, bounds: Mapping[str, int]
) -> Iterator[ForgeError]:
    axes = op.properties.get("axes")
    if not isinstance(axes, AxesAttr) or op.name == "tensix.cb":
        return
    count = prod(bounds[axis] for axis in axes.data)
    firsts = [a.data for a in op.properties.values() if isinstance(a, DstAttr)]
    capacity = dst_capacity(facts)
    if firsts and max(firsts) + count > capacity:
        first = max(firsts)
        yield fault(
            op,
            f"Dst tiles {first} to {first + count - 1} are used",
            limit=f"{capacity} tiles with dst {facts.op.dst}"
            + (" full_sync" if facts.full_sync else ""),
            value=first + count,
            advice="make the blocks of its axes smaller, or use full_sync or dst bf16",
            kind=CapacityError,
        )
    if isinstance(op, compute.SfpuBinaryOp):
        low, high = sorted(firsts)
        if 0 < high - low < count:
            yield fault(
                op,
                f"dst[{low}] and dst[{high}] overlap: each has {count} tiles",
                advice=f"put the second at dst[{low + count}] or behind",
            )


def _axis_faults(
    facts: ProgramFacts, op: Operation, bounds: Mapping[str, int]
) -> Iterator[ForgeError]:
    """Axes that a buffer must have, where more than one tile of them is current.

    A buffer without any axis is one tile that serves everywhere (a scaler).
    """
    for name, axes in _needed_axes(facts, op):
        if not facts.circular_buffers[name].axes:
            continue
        own = set(facts.circular_buffers[name].axes)
        missing = {a for a in axes if a not in own and facts.axes[a].of not in own}
        for axis in sorted(axis for axis in missing if bounds[axis] > 1):
            yield fault(
                op,
                f"%{name} has no axis {axis}, over which {bounds[axis]} tiles are used",
                advice=f"add {axis} to its block, or leave it out here",
            )


def _needed_axes(
    facts: ProgramFacts, op: Operation
) -> list[tuple[str, tuple[str, ...]]]:
    if isinstance(op, compute.MatmulOp):
        rows = facts.circular_buffers[op.lhs.data].axes
        columns = tuple(axis for axis in op.axes.data if axis not in rows)
        right = (*op.over.data, *columns)
        return [(op.lhs.data, op.over.data), (op.rhs.data, right)]
    if isinstance(op, compute.ReduceTilesOp):
        return [(op.buffer.data, op.over.data)]
    if isinstance(op, compute.PackTilesOp):
        return [(op.buffer.data, op.axes.data)]
    return []


def _fill_faults(facts: ProgramFacts, op: movement.FillOp) -> Iterator[ForgeError]:
    """What a pattern needs to know of its buffer."""
    buffer, pattern = facts.circular_buffers[op.buffer.data], op.pattern.data
    if pattern == "pad" and buffer.operand is None:
        yield fault(
            op,
            f"{op.buffer} is padded, but is `of` no parameter whose extent would count",
            advice=f"write `of %parameter[...]` behind cb {op.buffer}",
        )
    needed = {"causal": 2, "columns": 1}.get(pattern, 0)
    if len(buffer.axes) < needed:
        yield fault(
            op,
            f"the pattern {pattern} needs {needed} axes in the block of {op.buffer}",
            value=str(buffer.op.block),
            advice="write [row, column] axes behind the buffer's name",
        )
