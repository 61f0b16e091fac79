"""Derived facts, printed as comments on the line before what they belong to.

The header gets the totals, a buffer its tiles and bytes, a program its cores, L1 and
traffic, a multicast its rectangle, bytes and semaphores. Nothing here is parsed back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from xdsl.ir import Operation

from dialects.allocation import page_bytes
from dialects.chip import Chip
from dialects.netlist_summary import NetlistSummary, ProgramSummary, instances_of
from dialects.program import Gather, Multicast, tensor_of
from dialects.tensix import BufferOp, NetlistOp, RunOp


def notes(
    netlist: NetlistOp, chip: Chip, cycles: Mapping[str, float] | None = None
) -> dict[Operation, list[str]]:
    """Comments for the operations of a netlist; `cycles` of one run of each program."""
    summary = NetlistSummary(netlist, chip)
    found: dict[Operation, list[str]] = {netlist: list(header_notes(summary, cycles))}
    for op in netlist.body.block.ops:
        if isinstance(op, BufferOp):
            found[op] = [buffer_note(op)]
    for program in summary.programs.values():
        own = None if cycles is None else cycles.get(program.name)
        found |= program_notes(program, own)
    return found


def program_notes(
    program: ProgramSummary, cycles: float | None
) -> dict[Operation, list[str]]:
    """Comments for one program and its multicasts."""
    found: dict[Operation, list[str]] = {
        program.facts.op: [_program_note(program, cycles)]
    }
    for cast in program.facts.multicasts.values():
        found[cast.op] = [_multicast_note(program, cast)]
    for gather in program.facts.gathers.values():
        found[gather.op] = [_gather_note(program, gather)]
    return found


def header_notes(
    summary: NetlistSummary, cycles: Mapping[str, float] | None
) -> Iterator[str]:
    """The totals of a netlist, line by line."""
    chip, (peak, fullest) = summary.chip, summary.l1_peak
    steps = summary.num_host_steps
    yield (
        f"{_count(len(summary.programs), 'program')}, "
        f"{_count(len(summary.bindings.runs) - steps, 'run')}, "
        f"{_count(steps, 'host step')}; "
        f"up to {summary.most_cores} of {chip.num_cores} cores"
    )
    caches = summary.cache_bytes
    yield (
        f"L1 peak {show_bytes(peak)} of {show_bytes(chip.l1_usable_bytes)} on a core"
        + (f" (@{fullest})" if fullest else "")
        + f"; DRAM {show_bytes(summary.weight_bytes)} of weights, "
        + (f"{show_bytes(caches)} of caches, " if caches else "")
        + f"{show_bytes(summary.scratch_bytes)} of scratch"
    )
    if cycles:
        yield from _predictions(summary, cycles)


def _predictions(summary: NetlistSummary, cycles: Mapping[str, float]) -> Iterator[str]:
    """The cycles of all programs, one line for each entry."""
    entries, clock_ghz = summary.bindings.entries, summary.chip.clock_ghz
    for name, runs in entries.items():
        programs = [run.program.data for run in runs if isinstance(run, RunOp)]
        total = sum(cycles.get(program, 0) for program in programs)
        milliseconds = total / clock_ghz / 1e6
        what = "predicted" if len(entries) == 1 else f"entry @{name}: predicted"
        yield (
            f"{what} {round(total):,} cycles in programs, {milliseconds:.3g} ms at "
            f"{clock_ghz:.2f} GHz"
        )


def buffer_note(op: BufferOp) -> str:
    """`2x18 tiles, 72 KiB`, for one buffer or each of a family."""
    tensor = tensor_of(op)
    number = instances_of(op)
    each = f"{number} of " if number > 1 else ""
    layout = f"{tensor.tile_rows}x{tensor.tile_columns} tiles"
    if tensor.row_major:
        layout = f"{tensor.num_bytes // page_bytes(tensor):,} rows"
    return f"{each}{layout}, {show_bytes(tensor.num_bytes)}"


def _program_note(program: ProgramSummary, cycles: float | None) -> str:
    parts = [f"{program.grid.x}x{program.grid.y} cores"]
    if program.num_cores != program.grid.x * program.grid.y:
        parts = [f"{program.num_cores} cores in {program.grid.x}x{program.grid.y}"]
    parts.append(_count(program.runs, "run"))
    if program.l1_bytes is not None:
        parts.append(f"L1 {show_bytes(program.l1_bytes)}")
    if program.read_bytes is not None:
        parts.append(f"DRAM {show_bytes(program.read_bytes)} read")
    if program.written_bytes is not None:
        parts.append(f"{show_bytes(program.written_bytes)} written")
    if cycles is not None:
        parts.append(f"{round(cycles):,} cycles")
    return ", ".join(parts)


def _multicast_note(program: ProgramSummary, cast: Multicast) -> str:
    """`to (0,0) .. (7,0), 18 tiles, 36 KiB`; the master is stated, the semaphores are
    always `%name.ready` and `%name.valid`."""
    facts = program.facts
    last_x, last_y = facts.grid.x - 1, facts.grid.y - 1
    x, y = map(str, cast.master)
    corners = {
        "x": f"(0,{y}) .. ({last_x},{y})",
        "y": f"({x},0) .. ({x},{last_y})",
        "xy": f"(0,0) .. ({last_x},{last_y})",
    }
    buffer = facts.circular_buffers[cast.buffer]
    pages = facts.sent_pages(cast)
    size = f"{pages} tiles"
    if program.tensors is not None:
        data_format = facts.format_of(buffer, dict(program.tensors))
        size += f", {show_bytes(pages * data_format.tile_bytes)}"
    return f"to {corners[cast.along]}, {size}"


def _gather_note(program: ProgramSummary, gather: Gather) -> str:
    """`7 cores, 6 tiles each`; its semaphores are `%name.ready`, `%name.arrived`."""
    facts = program.facts
    pages = sum(facts.circular_buffers[s].block_pages for s, _ in gather.pairs)
    cores = _count(facts.axes[gather.axis].cores - 1, "core")
    if gather.each:
        pages = sum(facts.piece_pages(t) for _, t in gather.pairs)
        cores = _count(facts.axes[gather.axis].cores, "core")
    return f"{cores}, {pages} tiles each"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def show_bytes(num_bytes: int) -> str:
    """`72 KiB`, `1.2 MiB`; small numbers in bytes."""
    if num_bytes < 10 * 1024:
        whole = num_bytes % 1024 == 0 and num_bytes > 0
        return f"{num_bytes // 1024} KiB" if whole else f"{num_bytes:,} bytes"
    if num_bytes < 10 * 1024**2:
        return f"{num_bytes / 1024:,.0f} KiB"
    return f"{num_bytes / 1024**2:,.1f} MiB"
