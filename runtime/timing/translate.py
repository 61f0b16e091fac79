"""From a launch to the threads of micro-operations that the event loop runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from dialects.chip import Core
from dialects.expr import Environment
from dialects.formats import FACE_EDGE, TILE_EDGE, TILE_ELEMENTS, Fidelity
from dialects.program import Tensor
from runtime import instructions as ins
from runtime.costs import CostTable
from runtime.launch import KernelStream, Launch
from runtime.timing import tables as t
from runtime.timing.compute import ComputeCosts, SourceWork
from runtime.timing.patterns import Pattern
from runtime.timing.thread_builder import ThreadBuilder
from runtime.timing.workload import WorkloadBuilder

COMPUTE_THREADS = ("unpack", "math", "pack")
_SHARD_ISSUE = {"read": "read", "written": "write"}

# An odd multiplier spreads rows whose numbers only run time knows over the banks.
_SPREAD = 2654435761

FACES_ACROSS = TILE_EDGE // FACE_EDGE


@dataclass
class ThreadLabel:
    """Which core, kernel and processor a thread belongs to."""

    core: Core
    kernel: str
    processor: str
    fpu_cycles: float = 0.0


class Translation:
    """A launch as workload, with a label for each of its threads."""

    def __init__(self, launch: Launch, costs: CostTable, *, recorded: bool = False):
        facts = launch.facts
        self.launch = launch
        self.costs = costs
        self.labels: list[ThreadLabel] = []
        self.dram_bytes = {"read": 0, "written": 0}
        self.noc_bytes = 0
        self.builder = WorkloadBuilder(
            facts.chip,
            costs,
            tuple(launch.streams),
            capacities=[b.capacity_pages for b in launch.circular_buffers],
            semaphores=launch.semaphores,
            dst_banks=1 if facts.full_sync else 2,
            recorded=recorded,
        )
        phases = Fidelity(facts.fidelity).phases
        busy = any(
            isinstance(i, ins.Read | ins.ReadRows | ins.MulticastWrite)
            for streams in launch.streams.values()
            for stream in streams
            for i in stream.shared
        )
        self.compute = ComputeCosts(
            costs, launch.circular_buffers, phases, busy_l1=busy
        )
        self.computes = any(
            stream.processor == "trisc" and bool(stream.shared)
            for streams in launch.streams.values()
            for stream in streams
        )
        for group in self._groups().values():
            self._add_group(group)

    def _groups(self) -> dict[int, list[_Member]]:
        """Threads and labels of all streams, those with one stream together."""
        groups: dict[int, list[_Member]] = {}
        for core, streams in self.launch.streams.items():
            for stream in streams:
                start = getattr(self.costs, f"{stream.processor}_start_cycles")
                names = [stream.processor]
                if stream.processor == "trisc":
                    names = [f"trisc.{name}" for name in COMPUTE_THREADS]
                threads = [self.builder.thread(core, start) for _ in names]
                labels = [ThreadLabel(core, stream.name, name) for name in names]
                self.labels += labels
                group = groups.setdefault(id(stream.shared), [])
                group.append(_Member(stream, threads, labels[-2:][0]))
        return groups

    def _add_group(self, group: list[_Member]) -> None:
        """Translate a stream once, and place it for all that have it."""
        first = group[0]
        patterns = [Pattern(self.builder, t.core, t.start) for t in first.threads]
        writer = _Writer(self, patterns, first.label)
        for instruction in first.stream.shared:
            for pattern in patterns:
                pattern.site = instruction.site
            _TRANSLATORS[type(instruction)](writer, instruction)
        for number, pattern in enumerate(patterns):
            pattern.place([(m.threads[number], m.stream.moves) for m in group])
        for member in group:
            member.label.fpu_cycles = first.label.fpu_cycles
        self.noc_bytes += writer.noc_bytes * len(group)
        for direction, num_bytes in writer.dram_bytes.items():
            self.dram_bytes[direction] += num_bytes * len(group)


class _Member(NamedTuple):
    """A stream of a core, its threads, and the label of the one that computes."""

    stream: KernelStream
    threads: list[ThreadBuilder]
    label: ThreadLabel


class _Writer:
    """Translates the instructions of one stream; `threads` is one, or three."""

    def __init__(
        self, translation: Translation, threads: list[Pattern], label: ThreadLabel
    ):
        self.translation = translation
        self.costs = translation.costs
        self.launch = translation.launch
        self.compute = translation.compute
        self.label = label
        self.dram_bytes = {"read": 0, "written": 0}
        self.noc_bytes = 0
        self.consumer = threads[0]
        self.producer = threads[-1]
        self.risc = threads[0]
        self.unpack, self.math, self.pack = (threads * 3)[:3]

    def _count(self, tensor: Tensor, num_bytes: int, direction: str) -> None:
        """Book the bytes of a transfer."""
        self.noc_bytes += num_bytes
        if tensor.memory == "dram":
            self.dram_bytes[direction] += num_bytes

    # -- circular buffers --------------------------------------------------------

    def reserve(self, op: ins.ReserveBack) -> None:
        self.producer.add(t.RESERVE, op.cb, op.pages)

    def push(self, op: ins.PushBack) -> None:
        self.producer.add(t.PUSH, op.cb, op.pages)

    def wait(self, op: ins.WaitFront) -> None:
        self.consumer.add(t.WAIT, op.cb, op.pages)

    def pop(self, op: ins.PopFront) -> None:
        self.consumer.add(t.POP, op.cb, op.pages)

    # -- data movement -------------------------------------------------------------

    def read(self, op: ins.Read) -> None:
        self._transfer(op, t.READ, self.costs.paged_read_issue_cycles, "read")

    def write(self, op: ins.Write) -> None:
        self._transfer(op, t.WRITE, self.costs.paged_write_issue_cycles, "written")

    def _transfer(
        self, op: ins.Read | ins.Write, code: int, issue: float, direction: str
    ) -> None:
        tensor = self.launch.tensors[op.parameter]
        size = tensor.data_format.tile_bytes
        self._count(tensor, size * len(op.tiles), direction)
        if tensor.shards is not None:
            issue = getattr(self.costs, f"{_SHARD_ISSUE[direction]}_issue_cycles")
        else:
            further_rows = int((np.diff(op.tiles) != 1).sum())
            issue += self.costs.block_row_issue_cycles * further_rows / len(op.tiles)
        self.risc.transfer_pages(
            code,
            tensor,
            op.tiles,
            num_bytes=size,
            noc=op.noc,
            issue_cycles=issue,
            flags=op.group if isinstance(op, ins.Read) else 0,
            slots=op.slots,
        )

    def write_rows(self, op: ins.WriteRows) -> None:
        """A face row is one piece; the tile below is in the next bank."""
        tensor = self.launch.tensors[op.parameter]
        below = int(op.target.evaluate(self.launch.scalars)) // TILE_EDGE
        tiles = np.repeat(op.tiles + below * tensor.tile_columns, FACES_ACROSS)
        size = FACE_EDGE * (tensor.data_format.element_bytes or 1)
        self._count(tensor, size * len(tiles), "written")
        issue = self.costs.paged_write_issue_cycles
        self.risc.transfer_pages(
            t.WRITE, tensor, tiles, num_bytes=size, noc=op.noc, issue_cycles=issue
        )

    def read_scalars(self, op: ins.ReadScalars) -> None:
        """A read and its barrier; compute processors wait as long for the words."""
        tensor = self.launch.tensors[op.parameter]
        if self.risc is not self.pack:
            delay = self.costs.dram_read_cycles + self.costs.paged_read_issue_cycles
            for thread in (self.unpack, self.math, self.pack):
                thread.add(t.DELAY, cycles=delay)
            return
        first = np.zeros(1, np.int64)
        size = tensor.shape[-1] * (tensor.data_format.element_bytes or 4)
        self._count(tensor, size, "read")
        issue = self.costs.paged_read_issue_cycles
        self.risc.transfer_pages(
            t.READ, tensor, first, num_bytes=size, noc=op.noc, issue_cycles=issue
        )
        self.risc.add(t.READ_BARRIER)

    def read_rows(self, op: ins.ReadRows) -> None:
        tensor = self.launch.tensors[op.parameter]
        element = tensor.data_format.element_bytes or 1
        size = len(op.columns) * TILE_EDGE * element
        rows = (op.row_tiles[:, None] * TILE_EDGE + np.arange(TILE_EDGE)).reshape(-1)
        issue = self.costs.paged_read_issue_cycles
        if op.index_cb is not None:
            rows = rows * _SPREAD >> 8
            issue += self.costs.l1_load_cycles
        self._count(tensor, size * len(rows), "read")
        self.risc.transfer_pages(
            t.READ, tensor, rows, num_bytes=size, noc=op.noc, issue_cycles=issue
        )

    def read_barrier(self, op: ins.ReadBarrier) -> None:
        self.risc.add(t.READ_BARRIER, op.group)

    def write_barrier(self, _: ins.WriteBarrier) -> None:
        self.risc.add(t.WRITE_BARRIER)

    def fill(self, op: ins.Fill) -> None:
        """Tiles of one number are copied piece by piece, the rest is stored by word.

        Zeros come from a block of them in L1; of another number, the first piece is
        stored, and copied from there.
        """
        tile_bytes = self.launch.circular_buffers[op.cb].data_format.tile_bytes
        piece_bytes = int(self.costs.zeros_bytes)
        filled = _filled(op, self.launch.scalars)
        words = -(-tile_bytes * filled.elements // (4 * TILE_ELEMENTS))
        if filled.constant_tiles:
            words += min(piece_bytes, tile_bytes) // 4
        copies = filled.zero_tiles + filled.constant_tiles
        copies *= -(-tile_bytes // piece_bytes)
        cycles = words * self.costs.store_word_cycles
        if copies:
            cycles += copies * self.costs.read_issue_cycles
            cycles += self.costs.l1_access_cycles + 4 * self.costs.niu_cycles
            cycles += self.costs.barrier_wake_cycles
        self.risc.add(t.DELAY, cycles=cycles)

    def in_place(self, _: ins.LendTiles | ins.KeepTiles) -> None:
        """Nothing moves."""

    def multicast(self, op: ins.MulticastWrite) -> None:
        size = op.pages * self.launch.circular_buffers[op.cb].page_bytes
        if op.receivers:
            self.noc_bytes += size
            self.risc.multicast(
                op.receivers,
                num_bytes=size,
                noc=op.noc,
                linked=op.linked,
                busy=self.translation.computes,
            )
            self.risc.note_cast(op)

    def core_write(self, op: ins.CoreWrite) -> None:
        """Pages that lie together on both sides are one write."""
        page_bytes = self.launch.circular_buffers[op.cb].page_bytes
        place = self.translation.builder.core_place(op.target)
        self.noc_bytes += len(op.slots) * page_bytes
        issue = self.costs.write_issue_cycles
        ends = (np.diff(op.slots) != 1) | (np.diff(op.target_slots) != 1)
        for together in np.split(op.slots, np.flatnonzero(ends) + 1):
            self.risc.transfer(
                t.WRITE,
                np.array([place], np.int64),
                num_bytes=len(together) * page_bytes,
                noc=op.noc,
                issue_cycles=issue,
            )

    # -- semaphores ------------------------------------------------------------------

    def semaphore_set(self, op: ins.SemaphoreSet) -> None:
        cost = self.costs.store_word_cycles
        self.risc.add(t.SEM_SET, op.semaphore, op.value, cycles=cost)

    def semaphore_wait(self, op: ins.SemaphoreWait) -> None:
        self.risc.add(t.SEM_WAIT, op.semaphore, op.value)

    def semaphore_inc(self, op: ins.SemaphoreInc) -> None:
        target = self.translation.builder.core_number[op.target]
        cost = self.costs.atomic_issue_cycles
        self.risc.add(t.SEM_INC, op.semaphore, op.value, target, op.noc, cycles=cost)
        self.risc.note_signal(op)

    def semaphore_multicast(self, op: ins.SemaphoreMulticast) -> None:
        if op.receivers:
            self.risc.multicast_semaphore(op.receivers, op.semaphore, op.value, op.noc)
            self.risc.note_cast(op)

    # -- compute ---------------------------------------------------------------------

    def acquire(self, _: ins.RegsAcquire) -> None:
        self.math.add(t.DST_ACQUIRE)

    def commit(self, _: ins.RegsCommit) -> None:
        self.math.add(t.DST_COMMIT)

    def regs_wait(self, _: ins.RegsWait) -> None:
        self.pack.add(t.DST_WAIT)

    def release(self, _: ins.RegsRelease) -> None:
        self.pack.add(t.DST_RELEASE)

    def _source(self, work: SourceWork) -> None:
        parts = float(work.parts)
        self.unpack.add(t.SOURCE_UNPACK, cycles=work.unpack_cycles, parts=parts)
        self.math.add(t.SOURCE_MATH, cycles=work.math_cycles, parts=parts)
        self.label.fpu_cycles += work.fpu_cycles

    def copy(self, op: ins.CopyTiles) -> None:
        self._source(self.compute.copy(op))

    def tilize(self, op: ins.TilizeBlock) -> None:
        self._source(self.compute.tilize(op))

    def binary(self, op: ins.BinaryTiles) -> None:
        self._source(self.compute.binary(op))

    def matmul(self, op: ins.MatmulBlock) -> None:
        self._source(self.compute.matmul(op))

    def reduce(self, op: ins.ReduceTiles) -> None:
        self._source(self.compute.reduce(op))

    def vector(self, op: ins.SfpuUnary | ins.SfpuBinary) -> None:
        self.math.add(t.DELAY, cycles=self.compute.vector(op.function, op.count))

    def vector_fill(self, op: ins.SfpuFill) -> None:
        self.math.add(t.DELAY, cycles=self.compute.vector("fill", op.count))

    def pack_tiles(self, op: ins.PackTiles) -> None:
        self.pack.add(t.DELAY, cycles=self.compute.pack(op))


class _Filled(NamedTuple):
    """Tiles that are zero, those of another number, and elements of others that are
    stored one by one."""

    zero_tiles: int = 0
    constant_tiles: int = 0
    elements: int = 0


def _filled(op: ins.Fill, scalars: Environment) -> _Filled:
    tiles = op.slots.size
    match op.pattern:
        case "pad":
            return _Filled(elements=_elements_outside(op))
        case "row_scaler":
            return _Filled(tiles, elements=4 * FACE_EDGE * tiles)
        case "column_scaler":
            return _Filled(tiles, elements=TILE_EDGE * tiles)
        case "causal":
            masked = int((op.columns > op.rows).sum())
            half = TILE_EDGE * (TILE_EDGE - 1) // 2
            diagonal = int((op.columns == op.rows).sum())
            found = _Filled(tiles - masked, masked, diagonal * half)
        case "columns" if op.inside == 0:
            behind = _columns_behind(op, scalars)
            constant = int((behind == TILE_EDGE).sum())
            partly = int(behind.sum()) - constant * TILE_EDGE
            found = _Filled(tiles - constant, constant, partly * TILE_EDGE)
        case "value":
            found = _Filled(tiles) if op.value == 0 else _Filled(0, tiles)
        case _:
            found = _Filled(elements=tiles * TILE_ELEMENTS)
    return found


def _columns_behind(op: ins.Fill, scalars: Environment) -> np.ndarray:
    """How many columns of each tile lie behind the edge of a mask."""
    if op.limit is None:
        return np.where(op.rows.reshape(-1) > 0, TILE_EDGE - op.extent[1], 0)
    limit = int(op.limit.evaluate(scalars))
    seen = np.clip(limit - op.columns.reshape(-1) * TILE_EDGE, 0, TILE_EDGE)
    return TILE_EDGE - seen


def _elements_outside(op: ins.Fill) -> int:
    """Elements of the tiles that lie behind the operand's true extent."""
    height, width = op.extent
    inside_rows = np.clip(height - op.rows.reshape(-1) * TILE_EDGE, 0, TILE_EDGE)
    inside_columns = np.clip(width - op.columns.reshape(-1) * TILE_EDGE, 0, TILE_EDGE)
    inside = inside_rows * inside_columns
    return int(TILE_ELEMENTS * inside.size - inside.sum())


_TRANSLATORS: dict[type[ins.Instruction], Callable[[_Writer, Any], None]] = {
    ins.ReserveBack: _Writer.reserve,
    ins.PushBack: _Writer.push,
    ins.WaitFront: _Writer.wait,
    ins.PopFront: _Writer.pop,
    ins.Read: _Writer.read,
    ins.ReadRows: _Writer.read_rows,
    ins.ReadBarrier: _Writer.read_barrier,
    ins.Write: _Writer.write,
    ins.WriteRows: _Writer.write_rows,
    ins.ReadScalars: _Writer.read_scalars,
    ins.WriteBarrier: _Writer.write_barrier,
    ins.Fill: _Writer.fill,
    ins.LendTiles: _Writer.in_place,
    ins.KeepTiles: _Writer.in_place,
    ins.MulticastWrite: _Writer.multicast,
    ins.CoreWrite: _Writer.core_write,
    ins.SemaphoreSet: _Writer.semaphore_set,
    ins.SemaphoreWait: _Writer.semaphore_wait,
    ins.SemaphoreInc: _Writer.semaphore_inc,
    ins.SemaphoreMulticast: _Writer.semaphore_multicast,
    ins.RegsAcquire: _Writer.acquire,
    ins.RegsCommit: _Writer.commit,
    ins.RegsWait: _Writer.regs_wait,
    ins.RegsRelease: _Writer.release,
    ins.CopyTiles: _Writer.copy,
    ins.TilizeBlock: _Writer.tilize,
    ins.BinaryTiles: _Writer.binary,
    ins.MatmulBlock: _Writer.matmul,
    ins.ReduceTiles: _Writer.reduce,
    ins.SfpuUnary: _Writer.vector,
    ins.SfpuFill: _Writer.vector_fill,
    ins.SfpuBinary: _Writer.vector,
    ins.PackTiles: _Writer.pack_tiles,
}
