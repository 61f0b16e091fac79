"""What one core does in a program, with every number resolved.

The instructions are those that the engines execute. Loops are unrolled; where the same
lines of the text come round again, they are shown once with a count, and what differs
between the rounds as its first and last value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from dialects.allocation import allocate_circular_buffers, bound_by_name
from dialects.chip import Core
from dialects.netlist_notes import show_bytes
from dialects.netlist_summary import ProgramSummary
from dialects.tensix_movement import MulticastWriteOp, SemaphoreIncOp
from forge.inspect_netlist import Inspected
from runtime import instructions as ins
from runtime.expand import expand_program
from runtime.launch import KernelStream, Launch

LONGEST_ROUND = 256
"""Instructions in the longest round that is looked for."""


class CoreView:
    """A program on one core."""

    def __init__(self, shown: Inspected, program: ProgramSummary, core: Core):
        shown.require_core(core, program)
        run = shown.first_run(program)
        self.program = program
        self.core = core
        self.chip = shown.chip
        self.tensors = bound_by_name(program.facts, shown.summary.bindings.tensors(run))
        needs_all = any(
            isinstance(op, MulticastWriteOp | SemaphoreIncOp)
            for op in program.facts.walk()
        )
        self.launch: Launch = expand_program(
            program.facts,
            tuple(self.tensors.values()),
            cores=None if needs_all else [core],
        )
        self.streams = self.launch.streams[core]

    def as_data(self) -> dict[str, Any]:
        """The view as JSON: ranges, circular buffers, partners, kernels."""
        return {
            "program": self.program.name,
            "core": [self.core.x, self.core.y],
            "noc_0": list(self.chip.noc_point(self.core)),
            "ranges": {
                axis: [r.start, r.start + r.size]
                for axis, r in self.program.facts.ranges_on(self.core).items()
            },
            "circular_buffers": self._circular_buffers(),
            "hears": list(self._hears()),
            "tells": list(self._tells()),
            "kernels": {
                f"{s.name} on {s.processor}": list(self.kernel_lines(s))
                for s in self.streams
            },
        }

    def text(self) -> str:
        """The view for a reader."""
        data = self.as_data()
        x, y = data["noc_0"]
        lines = [
            f"@{self.program.name} on core {self.core} (NoC 0: x {x}, y {y})",
            "",
            "ranges (in tiles)",
        ]
        axes = self.program.facts.axes
        for axis, (start, stop) in data["ranges"].items():
            lines.append(f"  {axis} {start}..{stop - 1} of {axes[axis].extent}")
        lines += ["", "circular buffers"]
        for row in data["circular_buffers"]:
            lines.append(
                f"  {row['address']}  %{row['name']:<12} {row['pages']:>5} pages "
                f"{row['format']:<7} {show_bytes(row['bytes']):>12}{row['of']}"
            )
        for title in ("hears", "tells"):
            lines += ["", title, *(f"  {line}" for line in data[title] or ["nobody"])]
        for name, instructions in data["kernels"].items():
            lines += ["", name, *(f"  {line}" for line in instructions)]
        return "\n".join(lines)

    def _circular_buffers(self) -> list[dict[str, Any]]:
        facts = self.program.facts
        places = allocate_circular_buffers(facts, self.tensors, self.chip)
        rows = []
        for name, buffer in facts.circular_buffers.items():
            address, num_bytes = places[name]
            of = "" if buffer.operand is None else f"  of %{buffer.operand}"
            rows.append(
                {
                    "name": name,
                    "address": f"0x{address:06x}",
                    "bytes": num_bytes,
                    "pages": buffer.capacity,
                    "block_pages": buffer.block_pages,
                    "format": facts.format_of(buffer, self.tensors).value,
                    "of": of,
                }
            )
        return rows

    # -- partners ------------------------------------------------------------------

    def _of_core(self, core: Core, kind: type) -> Iterator[Any]:
        for stream in self.launch.streams.get(core, ()):
            yield from (i for i in stream.instructions if isinstance(i, kind))

    def _semaphore(self, number: int) -> str:
        return f"%{self.launch.semaphore_names[number]}"

    def _tells(self) -> Iterator[str]:
        seen: set[str] = set()
        for i in self._of_core(self.core, ins.MulticastWrite):
            name = self.launch.circular_buffers[i.cb].name
            seen.add(f"{_rectangle(i)}: pages of %{name}, multicast on noc {i.noc}")
        for i in self._of_core(self.core, ins.CoreWrite):
            name = self.launch.circular_buffers[i.target_cb].name
            pages = len(i.slots)
            seen.add(f"{i.target}: {pages} pages of %{name}, written on noc {i.noc}")
        for i in self._of_core(self.core, ins.SemaphoreInc):
            seen.add(f"{i.target}: {self._semaphore(i.semaphore)} + {i.value}")
        yield from sorted(seen)

    def _hears(self) -> Iterator[str]:
        seen: set[str] = set()
        for i in self._of_core(self.core, ins.SemaphoreInc):
            name, _, signal = self.launch.semaphore_names[i.semaphore].partition(".")
            cast = self.program.facts.multicasts.get(name)
            if signal == "ready" and cast is not None:
                seen.add(f"{i.target}: pages of %{cast.buffer} by multicast %{name}")
        for i in self._of_core(self.core, ins.MulticastWrite):
            seen |= {f"{core}: that it has room" for core in i.receivers}
        for core in self.launch.streams:
            if core != self.core:
                seen |= set(self._heard_from(core))
        yield from sorted(seen)

    def _heard_from(self, core: Core) -> Iterator[str]:
        for i in self._of_core(core, ins.MulticastWrite):
            if self.core in i.receivers:
                name = self.launch.circular_buffers[i.cb].name
                yield f"{core}: pages of %{name} by multicast"
        for i in self._of_core(core, ins.CoreWrite):
            if i.target == self.core:
                name = self.launch.circular_buffers[i.target_cb].name
                yield f"{core}: pages of %{name}"
        for i in self._of_core(core, ins.SemaphoreInc):
            if i.target == self.core:
                yield f"{core}: {self._semaphore(i.semaphore)} + {i.value}"

    # -- instructions ----------------------------------------------------------------

    def kernel_lines(self, stream: KernelStream) -> Iterator[str]:
        """The instructions of a kernel, rounds folded, indented by rounds."""
        columns = [[i] for i in stream.instructions]
        yield from self._fold(columns, "")

    def _fold(
        self, columns: Sequence[list[ins.Instruction]], indent: str
    ) -> Iterator[str]:
        keys = [(c[0].site, type(c[0])) for c in columns]
        at = 0
        while at < len(columns):
            length, times = _round(keys, at)
            if times < 2:
                yield indent + self._line(columns[at])
                at += 1
                continue
            rounds = [
                columns[at + r * length : at + (r + 1) * length] for r in range(times)
            ]
            merged = [
                [i for column in place for i in column]
                for place in zip(*rounds, strict=True)
            ]
            if length == 1:
                yield f"{indent}{times} times: {self._line(merged[0])}"
            else:
                yield f"{indent}{times} times:"
                yield from self._fold(merged, indent + "  ")
            at += length * times

    def _line(self, column: Sequence[ins.Instruction]) -> str:
        first, last = self._words(column[0]), self._words(column[-1])
        return " ".join(map(_from_to, first, last))

    def _words(self, i: ins.Instruction) -> list[str]:
        name = self.launch.sites[i.site].name.removeprefix("tensix.")
        describe = _WORDS.get(type(i))
        if describe is None:
            return [name]
        return describe(self, name, i)

    def cb(self, number: int) -> str:
        """The name of a circular buffer."""
        return f"%{self.launch.circular_buffers[number].name}"

    def tiles(self, parameter: int, tiles: np.ndarray) -> str:
        """Tiles of an operand: `%w[0..5, 12..15]` where they fill a rectangle."""
        name = self.program.facts.parameters[parameter][1]
        width = self.launch.tensors[parameter].tile_columns
        rows, columns = np.unique(tiles // width), np.unique(tiles % width)
        if len(rows) * len(columns) != len(tiles):
            return f"%{name}[{_runs(tiles)}]"
        return f"%{name}[{_runs(rows)}, {_runs(columns)}]"


def _from_to(first: str, last: str) -> str:
    """A word that is equal in all rounds, or its first and last value."""
    if first == last:
        return first
    return f"{first.removesuffix(',')} ... {last}"


def _rectangle(i: ins.MulticastWrite | ins.SemaphoreMulticast) -> str:
    return f"{i.start} to {i.end}, {len(i.receivers)} cores"


def _round(keys: Sequence[object], at: int) -> tuple[int, int]:
    """Length and count of the round that begins at a place; shortest first."""
    longest = min(LONGEST_ROUND, (len(keys) - at) // 2)
    for length in range(1, longest + 1):
        if keys[at + length] != keys[at]:
            continue
        times = 1
        pattern = keys[at : at + length]
        while keys[at + times * length : at + (times + 1) * length] == pattern:
            times += 1
        if times > 1:
            return length, times
    return 1, 1


def _runs(numbers: np.ndarray) -> str:
    """`0..5`, `0..1,8..9`, or `12 from 0` where there are many runs."""
    flat = np.sort(numbers.reshape(-1))
    parts = np.split(flat, np.nonzero(np.diff(flat) != 1)[0] + 1)
    if len(parts) > 4:
        return f"{len(flat)} from {flat[0]} to {flat[-1]}"
    shown = (str(p[0]) if len(p) == 1 else f"{p[0]}..{p[-1]}" for p in parts)
    return ",".join(shown)


def _dst(first: int, count: int) -> str:
    return f"dst[{first}]" if count == 1 else f"dst[{first}..{first + count - 1}]"


def _slots(view: CoreView, cb: int, slots: np.ndarray) -> str:
    return f"{view.cb(cb)}[{_runs(np.unique(slots))}]"


def _pages(view: CoreView, name: str, i: Any) -> list[str]:
    return [name, f"{view.cb(i.cb)},", str(i.pages)]


def _read(view: CoreView, name: str, i: Any) -> list[str]:
    return [name, view.cb(i.cb), "<-", view.tiles(i.parameter, i.tiles), f"noc {i.noc}"]


def _write(view: CoreView, name: str, i: Any) -> list[str]:
    return [name, view.cb(i.cb), "->", view.tiles(i.parameter, i.tiles), f"noc {i.noc}"]


def _read_rows(view: CoreView, name: str, i: ins.ReadRows) -> list[str]:
    parameter = view.program.facts.parameters[i.parameter][1]
    rows = _runs(i.row_tiles) if i.index_cb is None else view.cb(i.index_cb)
    source = f"%{parameter}[{rows}, {_runs(i.columns)}]"
    return [name, view.cb(i.cb), "<-", source, f"noc {i.noc}"]


def _write_rows(view: CoreView, name: str, i: ins.WriteRows) -> list[str]:
    target = view.tiles(i.parameter, i.tiles)
    rows = f"row {i.row} to {i.target} of"
    return [name, view.cb(i.cb), "->", rows, target, f"noc {i.noc}"]


def _read_scalars(view: CoreView, name: str, i: ins.ReadScalars) -> list[str]:
    return [name, f"%{view.program.facts.parameters[i.parameter][1]}"]


def _core_write(view: CoreView, name: str, i: ins.CoreWrite) -> list[str]:
    own, slots = (
        f"{view.cb(cb)}[{places.min()}..{places.max()}]"
        for cb, places in ((i.cb, i.slots), (i.target_cb, i.target_slots))
    )
    return ["noc_async_write_core", own, "->", slots, f"at {i.target}"]


def _sfpu_fill(view: CoreView, name: str, i: ins.SfpuFill) -> list[str]:
    return [name, f"{_dst(i.dst, i.count)},", f"{i.value:g}"]


def _fill(view: CoreView, name: str, i: ins.Fill) -> list[str]:
    return [name, _slots(view, i.cb, i.slots), i.pattern, f"{i.value:g}"]


def _multicast(view: CoreView, name: str, i: ins.MulticastWrite) -> list[str]:
    return ["noc_async_write_multicast", view.cb(i.cb), "to", _rectangle(i)]


def _semaphore_multicast(view: CoreView, name: str, i: Any) -> list[str]:
    what = view._semaphore(i.semaphore)
    return ["noc_semaphore_set_multicast", what, f"= {i.value} on", _rectangle(i)]


def _semaphore_inc(view: CoreView, name: str, i: ins.SemaphoreInc) -> list[str]:
    what = view._semaphore(i.semaphore)
    return ["noc_semaphore_inc", what, f"+ {i.value} at", str(i.target)]


def _semaphore(verb: str) -> Callable[[CoreView, str, Any], list[str]]:
    def words(view: CoreView, name: str, i: Any) -> list[str]:
        return [verb, view._semaphore(i.semaphore), "=", str(i.value)]

    return words


def _copy(view: CoreView, name: str, i: Any) -> list[str]:
    how = getattr(i, "broadcast", None)
    middle = ["bcast", how] if how else []
    source = _slots(view, i.cb, i.slots)
    return [name, source, *middle, "->", _dst(i.dst, i.slots.size)]


def _binary(view: CoreView, name: str, i: ins.BinaryTiles) -> list[str]:
    left = _slots(view, i.lhs_cb, i.lhs_slots)
    right = _slots(view, i.rhs_cb, i.rhs_slots)
    how = ["bcast", i.broadcast] if i.broadcast else []
    return [name, f"{left},", right, *how, "->", f"dst[{_runs(np.unique(i.targets))}]"]


def _matmul(view: CoreView, name: str, i: ins.MatmulBlock) -> list[str]:
    rows, inner = i.lhs_slots.shape
    columns = i.rhs_slots.shape[1]
    left = _slots(view, i.lhs_cb, i.lhs_slots)
    right = _slots(view, i.rhs_cb, i.rhs_slots)
    shape = f"({rows}x{inner} by {inner}x{columns})"
    return [name, f"{left},", right, shape, "->", _dst(i.dst, rows * columns)]


def _reduce(view: CoreView, name: str, i: ins.ReduceTiles) -> list[str]:
    source = _slots(view, i.cb, i.slots)
    return [name, i.kind, i.dim, source, "->", _dst(i.dst, i.slots.shape[0])]


def _unary(view: CoreView, name: str, i: ins.SfpuUnary) -> list[str]:
    if i.scalar is None:
        return [name, _dst(i.dst, i.count)]
    return [name, f"{_dst(i.dst, i.count)},", f"{i.scalar:g}"]


def _sfpu_binary(view: CoreView, name: str, i: ins.SfpuBinary) -> list[str]:
    return [name, f"{_dst(i.lhs, i.count)},", _dst(i.rhs, i.count)]


def _pack(view: CoreView, name: str, i: ins.PackTiles) -> list[str]:
    target = _slots(view, i.cb, i.slots)
    flags = ["relu"] * i.relu + ["l1_accumulate"] * i.l1_accumulate
    return [name, _dst(i.dst, i.slots.size), "->", target, *flags]


_WORDS: dict[type, Callable[[CoreView, str, Any], list[str]]] = {
    ins.ReserveBack: _pages,
    ins.PushBack: _pages,
    ins.WaitFront: _pages,
    ins.PopFront: _pages,
    ins.Read: _read,
    ins.Write: _write,
    ins.ReadRows: _read_rows,
    ins.WriteRows: _write_rows,
    ins.ReadScalars: _read_scalars,
    ins.CoreWrite: _core_write,
    ins.Fill: _fill,
    ins.MulticastWrite: _multicast,
    ins.SemaphoreMulticast: _semaphore_multicast,
    ins.SemaphoreInc: _semaphore_inc,
    ins.SemaphoreSet: _semaphore("noc_semaphore_set"),
    ins.SemaphoreWait: _semaphore("noc_semaphore_wait"),
    ins.CopyTiles: _copy,
    ins.TilizeBlock: _copy,
    ins.BinaryTiles: _binary,
    ins.MatmulBlock: _matmul,
    ins.ReduceTiles: _reduce,
    ins.SfpuUnary: _unary,
    ins.SfpuFill: _sfpu_fill,
    ins.SfpuBinary: _sfpu_binary,
    ins.PackTiles: _pack,
}
