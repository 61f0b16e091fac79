"""The meaning of a launch: every kernel of every core runs until it must wait.

Circular buffers hold *tile numbers*; what a number stands for is the recorder's
affair. The executor's recorder keeps real tiles and computes each instruction at
once; the trace's recorder only writes down what would be computed. Every wait, count
and hazard is checked here, once for both.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from dialects.chip import Core
from dialects.errors import HazardError
from dialects.netlist_text import line_of
from runtime import instructions as ins
from runtime.launch import Launch
from runtime.memory_order import MemoryOrder
from runtime.recorder import Recorder
from runtime.walk_compute import ComputeWalk
from runtime.walk_state import (
    EMPTY,
    IN_FLIGHT,
    CoreState,
    Thread,
    describe,
)


class Walker(ComputeWalk):
    """Runs a launch on a recorder. Raises `HazardError` at the first violation."""

    def __init__(self, launch: Launch, recorder: Recorder):
        super().__init__(launch, recorder)
        self.order = MemoryOrder(launch)

    def run(self) -> None:
        """Run all kernels to their ends; stop with a diagnosis if none can go on."""
        threads = deque(
            Thread(self.cores[core], stream)
            for core, streams in self.launch.streams.items()
            for stream in streams
        )
        idle = 0
        while threads:
            thread = threads.popleft()
            moved = self._advance(thread)
            if thread.done:
                self._check_end(thread)
                idle = 0
                continue
            threads.append(thread)
            idle = 0 if moved else idle + 1
            if idle >= len(threads):
                raise _stall(self.launch, list(threads))
        self._check_balance()

    def _advance(self, thread: Thread) -> bool:
        start = thread.at
        instructions = thread.stream.instructions
        while thread.at < len(instructions):
            instruction = instructions[thread.at]
            if not _HANDLERS[type(instruction)](self, thread, instruction):
                break
            thread.at += 1
        return thread.at > start

    def _check_end(self, thread: Thread) -> None:
        """A kernel ends when all it has started has ended."""
        instructions = thread.stream.instructions
        for pending, what in ((thread.reads, "reads"), (thread.writes, "writes")):
            if pending:
                kind = ins.Read if what == "reads" else ins.Write | ins.WriteRows
                last = next(i for i in reversed(instructions) if isinstance(i, kind))
                raise HazardError(
                    f"kernel {thread.stream.name} on core {thread.state.core} ends "
                    f"while its {what} are in flight",
                    advice=f"put noc_async_{what[:-1]}_barrier at its end",
                    location=describe(self.launch, last),
                )

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
                        location=line_of(
                            self.launch.facts.circular_buffers[facts.name].op
                        ),
                    )

    # -- circular buffers --------------------------------------------------------

    def _reserve(self, thread: Thread, i: ins.ReserveBack) -> bool:
        buffer = thread.state.buffers[i.cb]
        self._check_pages(thread, i.cb, i.pages, i.blocks)
        if len(buffer.pages) - (buffer.received - buffer.acked) < i.pages:
            return False
        buffer.reserved = i.pages
        return True

    def _push(self, thread: Thread, i: ins.PushBack) -> bool:
        buffer = thread.state.buffers[i.cb]
        if i.pages > buffer.reserved:
            raise self._fault(
                thread,
                f"%{self._name(i.cb)}: {i.pages} pages pushed, "
                f"{buffer.reserved} reserved",
                "reserve the block before pushing it",
            )
        if (buffer.pages[buffer.back(np.arange(i.pages))] == IN_FLIGHT).any():
            raise self._fault(
                thread,
                f"%{self._name(i.cb)}: a page is pushed that is still in flight",
                "put a barrier (or the wait for the flag) before the push",
            )
        buffer.received += i.pages
        buffer.reserved = 0
        return True

    def _wait(self, thread: Thread, i: ins.WaitFront) -> bool:
        buffer = thread.state.buffers[i.cb]
        self._check_pages(thread, i.cb, i.pages)
        if buffer.received - buffer.acked < i.pages:
            return False
        buffer.waited = i.pages
        return True

    def _pop(self, thread: Thread, i: ins.PopFront) -> bool:
        buffer = thread.state.buffers[i.cb]
        if i.pages > buffer.waited:
            raise self._fault(
                thread,
                f"%{self._name(i.cb)}: {i.pages} pages popped, "
                f"{buffer.waited} waited for",
                "wait for the block before popping it",
            )
        if any(cb == i.cb for cb, _ in thread.writes):
            raise self._fault(
                thread,
                f"%{self._name(i.cb)}: pages are popped while writes of them are in "
                "flight",
                "put noc_async_write_barrier before the pop",
            )
        position = buffer.front(np.arange(i.pages))
        buffer.left[position] = buffer.pages[position]
        buffer.pages[position] = EMPTY
        buffer.acked += i.pages
        buffer.waited = 0
        return True

    # -- transfers ---------------------------------------------------------------

    def _read(self, thread: Thread, i: ins.Read) -> bool:
        position = self._write_back(thread, i.cb, i.slots, IN_FLIGHT)
        self._check_order(thread, i, self.order.read, "written")
        values = self.recorder.leaf(i.parameter, i.tiles)
        thread.reads.append((i.cb, position, values, i.group))
        return True

    def _check_order(
        self,
        thread: Thread,
        i: ins.Read | ins.Write,
        touch: Callable[..., tuple[Core, int] | None],
        what: str,
    ) -> None:
        clash = touch(thread.state.core, i.parameter, i.tiles)
        if clash is not None:
            name = self.launch.facts.parameters[i.parameter][1]
            raise self._fault(
                thread,
                f"tile {clash[1]} of %{name} is {what} by core {clash[0]}, and nothing "
                "orders the two",
                "use a second buffer for the result, or order the cores by semaphores",
            )

    def _read_rows(self, thread: Thread, i: ins.ReadRows) -> bool:
        position = self._write_back(thread, i.cb, i.slots, IN_FLIGHT)
        index = None
        if i.index_cb is not None:
            index = self._front(thread, i.index_cb, np.arange(len(i.row_tiles)))
        values = self.recorder.rows(i, index)
        thread.reads.append((i.cb, position, values, ins.ALL_GROUPS))
        return True

    def _read_barrier(self, thread: Thread, i: ins.ReadBarrier) -> bool:
        others = []
        for read in thread.reads:
            cb, position, values, group = read
            if i.group in (ins.ALL_GROUPS, group):
                thread.state.buffers[cb].pages[position] = values
            else:
                others.append(read)
        thread.reads = others
        return True

    def _write(self, thread: Thread, i: ins.Write) -> bool:
        values = self._front(thread, i.cb, i.slots)
        self._check_order(thread, i, self.order.write, "read")
        self.recorder.store(i.parameter, i.tiles, values)
        thread.writes.append((i.cb, i.slots))
        return True

    def _write_rows(self, thread: Thread, i: ins.WriteRows) -> bool:
        values = self._front(thread, i.cb, i.slots)
        self.recorder.store_rows(i, values)
        thread.writes.append((i.cb, i.slots))
        return True

    def _read_scalars(self, thread: Thread, i: ins.ReadScalars) -> bool:
        return True

    def _write_barrier(self, thread: Thread, i: ins.WriteBarrier) -> bool:
        thread.writes.clear()
        return True

    def _fill(self, thread: Thread, i: ins.Fill) -> bool:
        buffer = thread.state.buffers[i.cb]
        old = buffer.pages[buffer.back(i.slots)]
        self._write_back(thread, i.cb, i.slots, self.recorder.constant(i, old))
        return True

    def _lend(self, thread: Thread, i: ins.LendTiles) -> bool:
        values = self.recorder.leaf(i.parameter, i.tiles)
        self._write_back(thread, i.cb, i.slots, values)
        return True

    def _keep(self, thread: Thread, i: ins.KeepTiles) -> bool:
        values = self._front(thread, i.cb, i.slots)
        self.recorder.store(i.parameter, i.tiles, values)
        return True

    # -- multicast and semaphores --------------------------------------------------

    def _multicast(self, thread: Thread, i: ins.MulticastWrite) -> bool:
        source = thread.state.buffers[i.cb]
        if i.shard is not None:
            slots = i.shard.slots
            values = self.recorder.leaf(i.shard.parameter, i.shard.tiles)
        else:
            slots = np.arange(i.pages) + i.first
            values = source.pages[source.back(slots)]
        if (values == IN_FLIGHT).any():
            raise self._fault(
                thread,
                f"%{self._name(i.cb)} is multicast while its reads are in flight",
                "put noc_async_read_barrier before the send",
            )
        for core in i.receivers:
            self._land(thread, i, self.cores[core], slots=slots, values=values)
        return True

    def _land(
        self,
        thread: Thread,
        i: ins.MulticastWrite,
        receiver: CoreState,
        *,
        slots: np.ndarray,
        values: np.ndarray,
    ) -> None:
        buffer = receiver.buffers[i.cb]
        sender = thread.state.buffers[i.cb]
        offset = sender.received % len(sender.pages)
        has_room = buffer.reserved >= i.first + i.pages
        if not has_room or offset != buffer.received % len(buffer.pages):
            raise self._fault(
                thread,
                f"multicast of %{self._name(i.cb)} hits core {receiver.core}, which "
                f"has {buffer.reserved} pages reserved at {buffer.received}",
                "receivers reserve the block before they say that there is room",
            )
        position = buffer.back(slots)
        if (buffer.pages[position] == IN_FLIGHT).any():
            raise self._fault(
                thread,
                f"multicast of %{self._name(i.cb)} hits core {receiver.core} before it "
                "has taken the last one",
                "wait until all receivers have room before each multicast",
            )
        buffer.pages[position] = IN_FLIGHT
        waiting = receiver.in_flight.setdefault(thread.state.core, [])
        waiting.append((i.cb, position, values))

    def _core_write(self, thread: Thread, i: ins.CoreWrite) -> bool:
        values = self._front(thread, i.cb, i.slots)
        receiver = self.cores.get(i.target)
        buffer = None if receiver is None else receiver.buffers[i.target_cb]
        if buffer is None or buffer.reserved != len(buffer.pages):
            raise self._fault(
                thread,
                f"%{self._name(i.target_cb)} of core {i.target} is written, which has "
                "not reserved all of it",
                "the first core reserves its slots before it collects",
            )
        assert receiver is not None
        position = buffer.back(i.target_slots)
        buffer.pages[position] = IN_FLIGHT
        waiting = receiver.in_flight.setdefault(thread.state.core, [])
        waiting.append((i.target_cb, position, values))
        thread.writes.append((i.cb, i.slots))
        return True

    def _semaphore_multicast(self, thread: Thread, i: ins.SemaphoreMulticast) -> bool:
        for core in i.receivers:
            receiver = self.cores[core]
            receiver.semaphores[i.semaphore] = i.value
            data = receiver.in_flight.pop(thread.state.core, [])
            receiver.landed.setdefault(i.semaphore, []).extend(data)
        return True

    def _semaphore_set(self, thread: Thread, i: ins.SemaphoreSet) -> bool:
        thread.state.semaphores[i.semaphore] = i.value
        return True

    def _semaphore_inc(self, thread: Thread, i: ins.SemaphoreInc) -> bool:
        if i.target not in self.cores:
            raise self._fault(
                thread,
                f"a semaphore of core {i.target} is raised, which does not take part",
                "use a core of the program's grid",
            )
        receiver = self.cores[i.target]
        receiver.semaphores[i.semaphore] += i.value
        data = receiver.in_flight.pop(thread.state.core, [])
        receiver.landed.setdefault(i.semaphore, []).extend(data)
        return True

    def _semaphore_wait(self, thread: Thread, i: ins.SemaphoreWait) -> bool:
        state = thread.state
        if state.semaphores[i.semaphore] != i.value:
            return False
        for cb, position, values in state.landed.pop(i.semaphore, ()):
            state.buffers[cb].pages[position] = values
        return True


def _stall(launch: Launch, threads: list[Thread]) -> HazardError:
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


def _wanted(launch: Launch, thread: Thread, i: ins.Instruction) -> str:
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
    ins.WriteRows: Walker._write_rows,
    ins.ReadScalars: Walker._read_scalars,
    ins.WriteBarrier: Walker._write_barrier,
    ins.Fill: Walker._fill,
    ins.LendTiles: Walker._lend,
    ins.KeepTiles: Walker._keep,
    ins.MulticastWrite: Walker._multicast,
    ins.CoreWrite: Walker._core_write,
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
    ins.SfpuFill: Walker._sfpu_fill,
    ins.SfpuBinary: Walker._sfpu_binary,
    ins.PackTiles: Walker._pack,
}
