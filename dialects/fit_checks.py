"""What a run must fulfil: operands that the maps reach, and room in L1 and DRAM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod

from xdsl.ir import Operation

from dialects.allocation import (
    Place,
    allocate_buffers,
    bound_by_name,
    circular_buffer_bytes,
    l1_tensors,
    page_bytes,
)
from dialects.bindings import Bindings
from dialects.chip import Chip
from dialects.errors import CapacityError, ForgeError
from dialects.expr import Expr
from dialects.formats import DataFormat
from dialects.kernel_counts import PAGE_OPS, TRANSFER_OPS
from dialects.netlist_text import line_of
from dialects.program import CircularBuffer, ProgramFacts, Tensor, tensor_of
from dialects.program_checks import fault
from dialects.syntax import LocalAttr
from dialects.tensix import IfOp, RunOp
from dialects.tensix_movement import WriteRowsOp

KIB = 1024
MANY_PLACES = 100_000
"""With more places than these, a map is evaluated at the corners only."""


def check_maps(
    runs: Sequence[RunOp], facts: Mapping[str, ProgramFacts], bindings: Bindings
) -> Iterator[ForgeError]:
    """Every map stays inside the buffers that runs bind."""
    seen: set[tuple[str, tuple[Tensor, ...]]] = set()
    for run in runs:
        own = facts[run.program.data]
        key = (run.program.data, bindings.tensors(run))
        if key in seen:
            continue
        seen.add(key)
        tensors = bound_by_name(own, key[1])
        names = dict(zip(tensors, run.buffers.data, strict=True))
        yield from _integer_arithmetic(own, tensors)
        for buffer in own.circular_buffers.values():
            yield from _sharing(own, buffer, tensors)
            if buffer.operand is None:
                continue
            bound = names[buffer.operand]
            tensor = tensors[buffer.operand]
            yield from _layout(run, buffer, bound, tensor)
            yield from _row_writes(own, buffer, bound, tensor)
            if not _is_guarded(own, buffer):
                yield from _reach(own, buffer, bound, tensor, run)


def _sharing(
    facts: ProgramFacts, buffer: CircularBuffer, tensors: Mapping[str, Tensor]
) -> Iterator[ForgeError]:
    """Two buffers at one place have equally many pages of one size."""
    if buffer.shares is None:
        return
    other = facts.circular_buffers[buffer.shares]
    sizes = [
        f"{b.capacity} pages of {facts.format_of(b, dict(tensors)).value}"
        for b in (buffer, other)
    ]
    if sizes[0] != sizes[1] or other.shares is not None:
        yield fault(
            buffer.op,
            f"%{buffer.name} cannot lie at the place of %{other.name}",
            limit=f"{sizes[1]}, and a place of its own",
            value=sizes[0],
            advice="make block, depth and format of the two equal",
        )


def _layout(
    run: RunOp, buffer: CircularBuffer, bound: str, tensor: Tensor
) -> Iterator[ForgeError]:
    if buffer.over and (tensor.shards is None or tensor.memory == "dram"):
        yield fault(
            buffer.op,
            f"%{buffer.name} lies over @{bound}, which is not cut into shards in L1",
            advice=f"write `l1` and `shards` at @{bound}, or `of` instead of `over`",
        )
    if buffer.rows == tensor.row_major or tensor.data_format.is_integer:
        return
    has, wants = ("rows", "tiles") if tensor.row_major else ("tiles", "rows")
    yield fault(
        run,
        f"@{bound} lies in {has}, but %{buffer.name} moves {wants} of it",
        limit=f"{line_of(buffer.op)}",
        advice=f"write or remove `row_major` at @{bound}, or `rows` at %{buffer.name}",
    )


def _integer_arithmetic(
    facts: ProgramFacts, tensors: dict[str, Tensor]
) -> Iterator[ForgeError]:
    """Compute kernels work on floats; integer arithmetic is not modelled."""
    floats = ", ".join(f for f in DataFormat if f.is_float)
    for kernel in facts.kernels:
        if kernel.processor.data != "trisc":
            continue
        for op in kernel.body.block.walk():
            if type(op) in PAGE_OPS:
                continue
            for name in _buffers_of(op):
                found = facts.format_of(facts.circular_buffers[name], tensors)
                if found.is_integer:
                    yield fault(
                        op,
                        f"%{name} holds integers, on which forge does not compute: "
                        "the integer matrix unit is not modelled",
                        limit=floats,
                        value=str(found),
                        advice="use a float format (bfp8_b has as many bits as int8)",
                    )


def _buffers_of(op: Operation) -> list[str]:
    """The circular buffers that an instruction names."""
    return [a.data for a in op.properties.values() if isinstance(a, LocalAttr)]


def _row_writes(
    facts: ProgramFacts, buffer: CircularBuffer, bound: str, tensor: Tensor
) -> Iterator[ForgeError]:
    """Rows of a block float share exponents with nobody's rows, but lie in one byte
    each beside the codes: a tile of them is written whole."""
    if not tensor.data_format.is_block_float:
        return
    for op in facts.walk():
        if isinstance(op, WriteRowsOp) and op.buffer.data == buffer.name:
            yield fault(
                op,
                f"rows are written to @{bound}, whose exponents lie elsewhere",
                limit="fp32 or bf16",
                value=tensor.data_format,
                advice=f"declare @{bound} as bf16, or write whole tiles",
            )


def _is_guarded(facts: ProgramFacts, buffer: CircularBuffer) -> bool:
    """Whether transfers stand under conditions on axes, which narrow their ranges."""
    return any(
        _condition_names(op) - {"x", "y"}
        for op in facts.walk()
        if type(op) in TRANSFER_OPS
        and op.properties["buffer"] == LocalAttr(buffer.name)
    )


def _condition_names(op: Operation) -> frozenset[str]:
    names, parent = frozenset[str](), op.parent_op()
    while parent is not None:
        if isinstance(parent, IfOp):
            names |= parent.condition.data.names()
        parent = parent.parent_op()
    return names


def _reach(
    facts: ProgramFacts,
    buffer: CircularBuffer,
    bound: str,
    tensor: Tensor,
    run: RunOp,
) -> Iterator[ForgeError]:
    limits = (tensor.tile_rows, tensor.tile_columns)
    for what, entry, limit in zip(
        ("row", "column"), buffer.map[-2:], limits, strict=True
    ):
        reach = None if isinstance(entry, str) else _extremes(facts, entry)
        if reach is not None and (reach[0] < 0 or reach[1] >= limit):
            wrong = reach[0] if reach[0] < 0 else reach[1]
            yield fault(
                buffer.op,
                f"the map of %{buffer.name} reaches tile {what} {wrong} of @{bound}, "
                f"which {line_of(run)} binds to %{buffer.operand}",
                limit=f"0 to {limit - 1} ({'x'.join(map(str, tensor.shape))} elements)",
                value=f"{what} `{entry}` runs from {reach[0]} to {reach[1]}",
                advice="make the axis extent, the map and the buffer's shape agree",
            )


def _extremes(facts: ProgramFacts, entry: Expr) -> tuple[int, int] | None:
    """Least and greatest value over axes and cores; None where it needs ranges."""
    names = sorted(entry.names())
    if any("." in name for name in names):
        return None
    extents = {name: range(axis.extent) for name, axis in facts.axes.items()}
    extents |= {"x": range(facts.grid.x), "y": range(facts.grid.y)}
    extents |= {s.name: range(s.low, s.high + 1) for s in facts.scalars.values()}
    ranges = [extents[name] for name in names]
    if prod(map(len, ranges)) > MANY_PLACES:
        ranges = [(r[0], r[-1]) for r in ranges]
    values = [
        int(entry.evaluate(dict(zip(names, place, strict=True))))
        for place in product(*ranges)
    ]
    return min(values), max(values)


def check_fit(
    runs: Sequence[RunOp],
    facts: Mapping[str, ProgramFacts],
    bindings: Bindings,
    chip: Chip,
) -> Iterator[ForgeError]:
    """Buffers are aligned, and fit into DRAM and, with circular buffers, into L1."""
    yield from _alignment(bindings, chip)
    yield from _shards(bindings, chip)
    places = allocate_buffers(bindings.netlist, chip)
    yield from _dram(bindings, places, chip)
    blamed: set[str] = set()
    for run in runs:
        name = run.program.data
        if name in blamed:
            continue
        found = _l1(run, facts[name], bindings, places)
        if found is not None:
            blamed.add(name)
            yield found


def _alignment(bindings: Bindings, chip: Chip) -> Iterator[ForgeError]:
    for op in bindings.buffer_ops:
        tensor, unit = tensor_of(op), chip.dram_alignment_bytes
        if tensor.row_major and page_bytes(tensor) % unit:
            yield fault(
                op,
                f"a row of {op.sym_name} does not end on the alignment of DRAM",
                limit=f"a multiple of {unit} bytes",
                value=f"{page_bytes(tensor)} bytes",
                advice="pad the rows, or store the buffer tiled",
            )


def _shards(bindings: Bindings, chip: Chip) -> Iterator[ForgeError]:
    for op in bindings.buffer_ops:
        tensor = tensor_of(op)
        if tensor.memory == "dram":
            continue
        rows, columns = tensor.shards or (1, 1)
        fits = rows <= chip.grid.y and columns <= chip.grid.x
        limit = f"{chip.grid.y}x{chip.grid.x} on {chip.name}"
        if tensor.shards_over is not None:
            fits = rows * columns <= chip.num_cores
            limit = f"{chip.num_cores} in all on {chip.name}"
        if not fits:
            yield fault(
                op,
                f"{op.sym_name} is cut into more shards than there are cores",
                limit=limit,
                value=f"{rows}x{columns}",
                advice="cut it into fewer rows and columns of shards",
            )


def _dram(
    bindings: Bindings, places: Mapping[str, Place], chip: Chip
) -> Iterator[ForgeError]:
    own = {n: p for n, p in places.items() if p.memory == "dram"}
    top = max((p.address + p.num_bytes for p in own.values()), default=0)
    if top > chip.dram_bank_bytes:
        largest = max(own, key=lambda name: own[name].num_bytes)
        yield fault(
            bindings.buffers[largest].op,
            "the buffers do not fit into DRAM",
            limit=f"{chip.dram_bank_bytes >> 20} MiB in each of "
            f"{chip.num_dram_banks} banks",
            value=f"{-(-top >> 20)} MiB in the fullest bank",
            advice="store weights as bfp8_b or bfp4_b; the largest buffer is "
            f"@{largest}",
            kind=CapacityError,
        )


def _l1(
    run: RunOp,
    facts: ProgramFacts,
    bindings: Bindings,
    places: Mapping[str, Place],
) -> ForgeError | None:
    chip = facts.chip
    sizes = circular_buffer_bytes(facts, bound_by_name(facts, bindings.tensors(run)))
    circular = sum(map(chip.aligned, sizes.values()))
    bottom = min(
        (r.address for r in l1_tensors(run, bindings, places)), default=chip.l1_bytes
    )
    tensors = chip.l1_bytes - bottom
    if circular + tensors <= chip.l1_usable_bytes:
        return None
    largest = sorted(sizes, key=lambda name: -sizes[name])[:3]
    shown = ", ".join(f"%{name} {_kib(sizes[name])}" for name in largest)
    return fault(
        facts.op,
        f"program @{facts.name} does not fit into L1 where {line_of(run)} runs it",
        limit=f"{_kib(chip.l1_usable_bytes)} on each core",
        value=f"{_kib(circular)} of circular buffers (largest: {shown}) and "
        f"{_kib(tensors)} of L1 tensors",
        advice="make blocks or depths smaller, or spread the axes over more cores",
        kind=CapacityError,
    )


def _kib(num_bytes: int) -> str:
    return f"{-(-num_bytes // KIB):,} KiB"
