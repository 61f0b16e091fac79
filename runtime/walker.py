"""The meaning of a launch: every kernel of every core runs until it must wait.

Circular buffers hold *tile numbers*; what a number stands for is the recorder's
affair. The executor's recorder keeps real tiles and computes each instruction at
once; the trace's recorder only writes down what would be computed. Every wait, count
and hazard is checked here, once for both.

A page goes through states: empty, in flight (an asynchronous transfer whose barrier
or flag has not come), and filled. Using one that is not filled is an error, as is
writing one that was not reserved.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from dialects.chip import Core
from dialects.errors import HazardError
from runtime import instructions as ins
from runtime.launch import KernelStream, Launch

EMPTY = -1
IN_FLIGHT = -2
ZERO = -3
"""A Dst tile after `tile_regs_acquire`."""

DST_TILES = 16
"""Places in Dst that the walker keeps; the mode allows 4 to 16 of them."""


class Recorder(Protocol):
    """What the walker asks about tiles. All arrays hold tile numbers."""

    def leaf(self, parameter: int, tiles: np.ndarray) -> np.ndarray:
        """Tiles of an operand as they stand in memory now."""
        ...

    def store(self, parameter: int, tiles: np.ndarray, values: np.ndarray) -> None:
        """Tiles of an operand get new values."""
        ...

    def constant(self, instruction: ins.Fill, old: np.ndarray) -> np.ndarray:
        """Tiles filled by a processor."""
        ...

    def rows(
        self, instruction: ins.ReadRows, index: np.ndarray | None
    ) -> np.ndarray:
        """Row-major pages, gathered."""
        ...

    def broadcast(self, site: int, values: np.ndarray, kind: str) -> np.ndarray:
        """Tiles with one row, column or element spread over all."""
        ...

    def binary(
        self,
        instruction: ins.BinaryTiles,
        lhs: np.ndarray,
        rhs: np.ndarray,
        old: np.ndarray | None,
    ) -> np.ndarray:
        """Element-wise on the matrix unit; `lhs` and `rhs` are (targets, terms)."""
        ...

    def matmul(
        self,
        instruction: ins.MatmulBlock,
        lhs: np.ndarray,
        rhs: np.ndarray,
        old: np.ndarray,
    ) -> np.ndarray:
        """A block product added to `old`, which may be `ZERO`."""
        ...

    def reduce(
        self,
        instruction: ins.ReduceTiles,
        values: np.ndarray,
        scaler: int,
        old: np.ndarray,
    ) -> np.ndarray:
        """A reduction over the second dimension and inside the tiles."""
        ...

    def unary(self, instruction: ins.SfpuUnary, values: np.ndarray) -> np.ndarray:
        """A vector-unit function."""
        ...

    def sfpu_binary(
        self, instruction: ins.SfpuBinary, lhs: np.ndarray, rhs: np.ndarray
    ) -> np.ndarray:
        """A vector-unit function of two blocks."""
        ...

    def pack(
        self, instruction: ins.PackTiles, values: np.ndarray, old: np.ndarray | None
    ) -> np.ndarray:
        """Rounding to the circular buffer's format."""
        ...


@dataclass(slots=True)
class _Buffer:
    """A circular buffer on one core."""

    pages: np.ndarray
    received: int = 0
    acked: int = 0
    reserved: int = 0
    waited: int = 0

    def back(self, slots: np.ndarray) -> np.ndarray:
        """Positions of slots behind the write pointer."""
        return (slots + self.received) % len(self.pages)

    def front(self, slots: np.ndarray) -> np.ndarray:
        """Positions of slots behind the read pointer."""
        return (slots + self.acked) % len(self.pages)


@dataclass(slots=True)
class _CoreState:
    """L1 and Dst of one core."""

    core: Core
    buffers: list[_Buffer]
    semaphores: list[int]
    dst: np.ndarray
    dst_state: str = "free"
    in_flight: dict[Core, list[tuple[int, np.ndarray, np.ndarray]]] = field(
        default_factory=dict
    )
    landed: dict[int, list[tuple[int, np.ndarray, np.ndarray]]] = field(
        default_factory=dict
    )


@dataclass(slots=True)
class _Thread:
    """A kernel on a core, and where it stands."""

    state: _CoreState
    stream: KernelStream
    at: int = 0
    reads: list[tuple[int, np.ndarray, np.ndarray]] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Whether all instructions have run."""
        return self.at >= len(self.stream.instructions)


class Walker:
    """Runs a launch on a recorder. Raises `HazardError` at the first violation."""

    def __init__(self, launch: Launch, recorder: Recorder):
        self.launch = launch
        self.recorder = recorder
        self.cores = {core: self._new_core(core) for core in launch.streams}
        self.capacity = _dst_capacity(launch)

    def _new_core(self, core: Core) -> _CoreState:
        buffers = [
            _Buffer(np.full(facts.capacity_pages, EMPTY, np.int64))
            for facts in self.launch.circular_buffers
        ]
        dst = np.full(DST_TILES, EMPTY, np.int64)
        return _CoreState(core, buffers, list(self.launch.semaphores), dst)

    def run(self) -> None:
        """Run all kernels to their ends; stop with a diagnosis if none can go on."""
        threads = deque(
            _Thread(self.cores[core], stream)
            for core, streams in self.launch.streams.items()
            for stream in streams
        )
        idle = 0
        while threads:
            thread = threads.popleft()
            moved = self._advance(thread)
            if not thread.done:
                threads.append(thread)
            idle = 0 if moved else idle + 1
            if threads and idle >= len(threads):
                raise _stall(self.launch, list(threads))
        self._check_balance()

    def _advance(self, thread: _Thread) -> bool:
        start = thread.at
        instructions = thread.stream.instructions
        while thread.at < len(instructions):
            instruction = instructions[thread.at]
            if not _HANDLERS[type(instruction)](self, thread, instruction):
                break
            thread.at += 1
        return thread.at > start

    def _check_balance(self) -> None:
        for core, state in self.cores.items():
            for facts, buffer in zip(
                self.launch.circular_buffers, state.buffers, strict=True
            ):
                if buffer.received != buffer.acked:
                    raise HazardError(
                        f"%{facts.name} on core {core} still holds "
                        f"{buffer.received - buffer.acked} pages at the program's end",
                        advice="a push has no matching pop",
                        location=f"program @{self.launch.facts.name}",
                    )

    def _fault(self, thread: _Thread, message: str, advice: str) -> HazardError:
        where = describe(self.launch, thread.stream.instructions[thread.at])
        return HazardError(
            f"{message} (core {thread.state.core}, kernel {thread.stream.name})",
            advice=advice,
            location=where,
        )

    # -- circular buffers --------------------------------------------------------

    def _reserve(self, thread: _Thread, i: ins.ReserveBack) -> bool:
        buffer = thread.state.buffers[i.cb]
        self._check_pages(thread, i.cb, i.pages)
        if len(buffer.pages) - (buffer.received - buffer.acked) < i.pages:
            return False
        buffer.reserved = i.pages
        return True

    def _push(self, thread: _Thread, i: ins.PushBack) -> bool:
        buffer = thread.state.buffers[i.cb]
        if i.pages > buffer.reserved:
            raise self._fault(
                thread,
                f"%{self._name(i.cb)}: {i.pages} pages pushed, "
                f"{buffer.reserved} reserved",
                "reserve the block before pushing it",
            )
        buffer.received += i.pages
        buffer.reserved = 0
        return True

    def _wait(self, thread: _Thread, i: ins.WaitFront) -> bool:
        buffer = thread.state.buffers[i.cb]
        self._check_pages(thread, i.cb, i.pages)
        if buffer.received - buffer.acked < i.pages:
            return False
        buffer.waited = i.pages
        return True

    def _pop(self, thread: _Thread, i: ins.PopFront) -> bool:
        buffer = thread.state.buffers[i.cb]
        if i.pages > buffer.waited:
            raise self._fault(
                thread,
                f"%{self._name(i.cb)}: {i.pages} pages popped, "
                f"{buffer.waited} waited for",
                "wait for the block before popping it",
            )
        buffer.pages[buffer.front(np.arange(i.pages))] = EMPTY
        buffer.acked += i.pages
        buffer.waited = 0
        return True

    def _check_pages(self, thread: _Thread, cb: int, pages: int) -> None:
        capacity = len(thread.state.buffers[cb].pages)
        if pages > capacity or capacity % pages:
            raise self._fault(
                thread,
                f"%{self._name(cb)} holds {capacity} pages, not a multiple of {pages}",
                "a block must not straddle the end: make the capacity a multiple",
            )

    def _name(self, cb: int) -> str:
        return self.launch.circular_buffers[cb].name

    def _write_back(
        self, thread: _Thread, cb: int, slots: np.ndarray, values: np.ndarray | int
    ) -> np.ndarray:
        buffer = thread.state.buffers[cb]
        if slots.size and int(slots.max()) >= buffer.reserved:
            raise self._fault(
                thread,
                f"%{self._name(cb)}: page {int(slots.max())} written, "
                f"{buffer.reserved} reserved",
                "reserve the block before writing it",
            )
        position = buffer.back(slots)
        buffer.pages[position] = values
        return position

    def _front(self, thread: _Thread, cb: int, slots: np.ndarray) -> np.ndarray:
        buffer = thread.state.buffers[cb]
        if slots.size and int(slots.max()) >= buffer.waited:
            raise self._fault(
                thread,
                f"%{self._name(cb)}: page {int(slots.max())} used, "
                f"{buffer.waited} waited for",
                "wait for the block before using it",
            )
        values = buffer.pages[buffer.front(slots)]
        if values.size and int(values.min()) < 0:
            state = "in flight" if (values == IN_FLIGHT).any() else "empty"
            raise self._fault(
                thread,
                f"%{self._name(cb)}: a page is used that is still {state}",
                "put a barrier (or the wait for the flag) before the push, and fill "
                "every page that is used",
            )
        return values

    # -- transfers ---------------------------------------------------------------

    def _read(self, thread: _Thread, i: ins.Read) -> bool:
        position = self._write_back(thread, i.cb, i.slots, IN_FLIGHT)
        values = self.recorder.leaf(i.parameter, i.tiles)
        thread.reads.append((i.cb, position, values))
        return True

    def _read_rows(self, thread: _Thread, i: ins.ReadRows) -> bool:
        position = self._write_back(thread, i.cb, i.slots, IN_FLIGHT)
        index = None
        if i.index_cb is not None:
            index = self._front(thread, i.index_cb, np.arange(len(i.row_tiles)))
        values = self.recorder.rows(i, index)
        thread.reads.append((i.cb, position, values))
        return True

    def _read_barrier(self, thread: _Thread, i: ins.ReadBarrier) -> bool:
        for cb, position, values in thread.reads:
            thread.state.buffers[cb].pages[position] = values
        thread.reads.clear()
        return True

    def _write(self, thread: _Thread, i: ins.Write) -> bool:
        values = self._front(thread, i.cb, i.slots)
        self.recorder.store(i.parameter, i.tiles, values)
        return True

    def _write_barrier(self, thread: _Thread, i: ins.WriteBarrier) -> bool:
        return True

    def _fill(self, thread: _Thread, i: ins.Fill) -> bool:
        buffer = thread.state.buffers[i.cb]
        old = buffer.pages[buffer.back(i.slots)]
        self._write_back(thread, i.cb, i.slots, self.recorder.constant(i, old))
        return True

    # -- multicast and semaphores --------------------------------------------------

    def _multicast(self, thread: _Thread, i: ins.MulticastWrite) -> bool:
        source = thread.state.buffers[i.cb]
        slots = np.arange(i.pages)
        values = source.pages[source.back(slots)]
        if (values == IN_FLIGHT).any():
            raise self._fault(
                thread,
                f"%{self._name(i.cb)} is multicast while its reads are in flight",
                "put noc_async_read_barrier before the send",
            )
        for core in i.receivers:
            self._land(thread, i, self.cores[core], values)
        return True

    def _land(
        self,
        thread: _Thread,
        i: ins.MulticastWrite,
        receiver: _CoreState,
        values: np.ndarray,
    ) -> None:
        buffer = receiver.buffers[i.cb]
        sender = thread.state.buffers[i.cb]
        offset = sender.received % len(sender.pages)
        if buffer.reserved < i.pages or offset != buffer.received % len(buffer.pages):
            raise self._fault(
                thread,
                f"multicast of %{self._name(i.cb)} hits core {receiver.core}, which "
                f"has {buffer.reserved} pages reserved at {buffer.received}",
                "receivers reserve the block before they say that there is room",
            )
        position = buffer.back(np.arange(i.pages))
        buffer.pages[position] = IN_FLIGHT
        waiting = receiver.in_flight.setdefault(thread.state.core, [])
        waiting.append((i.cb, position, values))

    def _semaphore_multicast(
        self, thread: _Thread, i: ins.SemaphoreMulticast
    ) -> bool:
        for core in i.receivers:
            receiver = self.cores[core]
            receiver.semaphores[i.semaphore] = i.value
            data = receiver.in_flight.pop(thread.state.core, [])
            receiver.landed.setdefault(i.semaphore, []).extend(data)
        return True

    def _semaphore_set(self, thread: _Thread, i: ins.SemaphoreSet) -> bool:
        thread.state.semaphores[i.semaphore] = i.value
        return True

    def _semaphore_inc(self, thread: _Thread, i: ins.SemaphoreInc) -> bool:
        if i.target not in self.cores:
            raise self._fault(
                thread,
                f"a semaphore of core {i.target} is raised, which does not take part",
                "use a core of the program's grid",
            )
        self.cores[i.target].semaphores[i.semaphore] += i.value
        return True

    def _semaphore_wait(self, thread: _Thread, i: ins.SemaphoreWait) -> bool:
        state = thread.state
        if state.semaphores[i.semaphore] != i.value:
            return False
        for cb, position, values in state.landed.pop(i.semaphore, ()):
            state.buffers[cb].pages[position] = values
        return True

    # -- compute -------------------------------------------------------------------

    def _dst_step(expected: str, following: str) -> Callable[..., bool]:  # noqa: N805  # pyright: ignore[reportGeneralTypeIssues]
        def step(self: Walker, thread: _Thread, i: ins.Instruction) -> bool:
            state = thread.state
            if state.dst_state != expected:
                raise self._fault(
                    thread,
                    f"Dst is {state.dst_state}, but must be {expected} here",
                    "the order is acquire, commit, wait, release",
                )
            state.dst_state = following
            if following == "acquired":
                state.dst[:] = ZERO
            if following == "free":
                state.dst[:] = EMPTY
            return True

        return step

    _acquire = _dst_step("free", "acquired")
    _commit = _dst_step("acquired", "committed")
    _regs_wait = _dst_step("committed", "packing")
    _release = _dst_step("packing", "free")

    def _dst(
        self, thread: _Thread, first: int, count: int, state: str = "acquired"
    ) -> slice:
        if first + count > self.capacity:
            raise self._fault(
                thread,
                f"Dst tiles {first} to {first + count - 1} are used",
                f"this mode has {self.capacity}: use smaller blocks, full_sync or "
                "dst bf16",
            )
        if thread.state.dst_state != state:
            raise self._fault(
                thread,
                f"Dst is {thread.state.dst_state}, but must be {state} here",
                "the order is acquire, commit, wait, release",
            )
        return slice(first, first + count)

    def _operands(self, thread: _Thread, place: slice) -> np.ndarray:
        values = thread.state.dst[place]
        if values.size and int(values.min()) < 0:
            raise self._fault(
                thread,
                f"Dst tile {place.start + int(values.argmin())} is read, but nothing "
                "was written there",
                "every Dst tile that is used must be computed in the same section",
            )
        return values.copy()

    def _copy(self, thread: _Thread, i: ins.CopyTiles) -> bool:
        place = self._dst(thread, i.dst, i.slots.size)
        values = self._front(thread, i.cb, i.slots)
        if i.broadcast is not None:
            values = self.recorder.broadcast(i.site, values, i.broadcast)
        thread.state.dst[place] = values
        return True

    def _tilize(self, thread: _Thread, i: ins.TilizeBlock) -> bool:
        place = self._dst(thread, i.dst, i.slots.size)
        thread.state.dst[place] = self._front(thread, i.cb, i.slots.reshape(-1))
        return True

    def _binary(self, thread: _Thread, i: ins.BinaryTiles) -> bool:
        first, last = int(i.targets.min()), int(i.targets.max())
        place = self._dst(thread, first, last - first + 1)
        count = last - first + 1
        order = np.argsort(i.targets, kind="stable")
        lhs = self._front(thread, i.lhs_cb, i.lhs_slots)[order].reshape(count, -1)
        rhs = self._front(thread, i.rhs_cb, i.rhs_slots)[order].reshape(count, -1)
        old = thread.state.dst[place].copy() if i.accumulate else None
        thread.state.dst[place] = self.recorder.binary(i, lhs, rhs, old)
        return True

    def _matmul(self, thread: _Thread, i: ins.MatmulBlock) -> bool:
        rows, columns = i.lhs_slots.shape[0], i.rhs_slots.shape[1]
        place = self._dst(thread, i.dst, rows * columns)
        lhs = self._front(thread, i.lhs_cb, i.lhs_slots)
        rhs = self._front(thread, i.rhs_cb, i.rhs_slots)
        old = thread.state.dst[place].copy()
        thread.state.dst[place] = self.recorder.matmul(i, lhs, rhs, old)
        return True

    def _reduce(self, thread: _Thread, i: ins.ReduceTiles) -> bool:
        place = self._dst(thread, i.dst, i.slots.shape[0])
        values = self._front(thread, i.cb, i.slots)
        scaler = int(
            self._front(thread, i.scaler_cb, np.array([i.scaler_slot], np.int64))[0]
        )
        old = thread.state.dst[place].copy()
        thread.state.dst[place] = self.recorder.reduce(i, values, scaler, old)
        return True

    def _unary(self, thread: _Thread, i: ins.SfpuUnary) -> bool:
        place = self._dst(thread, i.dst, i.count)
        values = self._operands(thread, place)
        thread.state.dst[place] = self.recorder.unary(i, values)
        return True

    def _sfpu_binary(self, thread: _Thread, i: ins.SfpuBinary) -> bool:
        place = self._dst(thread, i.lhs, i.count)
        lhs = self._operands(thread, place)
        rhs = self._operands(thread, self._dst(thread, i.rhs, i.count))
        thread.state.dst[place] = self.recorder.sfpu_binary(i, lhs, rhs)
        return True

    def _pack(self, thread: _Thread, i: ins.PackTiles) -> bool:
        place = self._dst(thread, i.dst, i.slots.size, "packing")
        values = self._operands(thread, place)
        old = None
        if i.l1_accumulate:
            buffer = thread.state.buffers[i.cb]
            old = buffer.pages[buffer.back(i.slots)]
        packed = self.recorder.pack(i, values, old)
        self._write_back(thread, i.cb, i.slots, packed)
        return True


def _dst_capacity(launch: Launch) -> int:
    """Tiles of Dst that a kernel sees (wormhole.md section 2.3)."""
    facts = launch.facts
    return (4 if facts.fp32_dst else 8) * (2 if facts.full_sync else 1)


def describe(launch: Launch, instruction: ins.Instruction) -> str:
    """Where an instruction stands: the program and the text of its line."""
    op = launch.sites[instruction.site]
    names = [str(p) for p in op.properties.values()]
    name = op.name.removeprefix("tensix.")
    return f"program @{launch.facts.name}: `{name} {' '.join(names)}`"


def _stall(launch: Launch, threads: list[_Thread]) -> HazardError:
    """Say who waits for what."""
    lines = []
    for thread in threads[:6]:
        waiting = thread.stream.instructions[thread.at]
        lines.append(
            f"core {thread.state.core} {thread.stream.name} waits: "
            f"{_wanted(launch, thread, waiting)}"
        )
    more = f" (+{len(threads) - 6} more)" if len(threads) > 6 else ""
    return HazardError(
        f"program @{launch.facts.name} hangs: no kernel can go on",
        value="; ".join(lines) + more,
        advice="a wait has no matching push or signal, or two wait for each other",
        location=describe(launch, threads[0].stream.instructions[threads[0].at]),
    )


def _wanted(launch: Launch, thread: _Thread, i: ins.Instruction) -> str:
    state = thread.state
    if isinstance(i, ins.ReserveBack | ins.WaitFront):
        buffer = state.buffers[i.cb]
        filled = buffer.received - buffer.acked
        free = len(buffer.pages) - filled
        have = f"{free} free" if isinstance(i, ins.ReserveBack) else f"{filled} filled"
        return f"{i.pages} pages of %{launch.circular_buffers[i.cb].name}, {have}"
    if isinstance(i, ins.SemaphoreWait):
        name = launch.semaphore_names[i.semaphore]
        return f"semaphore %{name} = {i.value}, is {state.semaphores[i.semaphore]}"
    return type(i).__name__


_HANDLERS: dict[type, Callable[..., bool]] = {
    ins.ReserveBack: Walker._reserve,
    ins.PushBack: Walker._push,
    ins.WaitFront: Walker._wait,
    ins.PopFront: Walker._pop,
    ins.Read: Walker._read,
    ins.ReadRows: Walker._read_rows,
    ins.ReadBarrier: Walker._read_barrier,
    ins.Write: Walker._write,
    ins.WriteBarrier: Walker._write_barrier,
    ins.Fill: Walker._fill,
    ins.MulticastWrite: Walker._multicast,
    ins.SemaphoreSet: Walker._semaphore_set,
    ins.SemaphoreWait: Walker._semaphore_wait,
    ins.SemaphoreInc: Walker._semaphore_inc,
    ins.SemaphoreMulticast: Walker._semaphore_multicast,
    ins.RegsAcquire: Walker._acquire,
    ins.RegsCommit: Walker._commit,
    ins.RegsWait: Walker._regs_wait,
    ins.RegsRelease: Walker._release,
    ins.CopyTiles: Walker._copy,
    ins.TilizeBlock: Walker._tilize,
    ins.BinaryTiles: Walker._binary,
    ins.MatmulBlock: Walker._matmul,
    ins.ReduceTiles: Walker._reduce,
    ins.SfpuUnary: Walker._unary,
    ins.SfpuBinary: Walker._sfpu_binary,
    ins.PackTiles: Walker._pack,
}
