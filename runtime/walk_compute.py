"""Compute instructions while a launch is walked: Dst, its sections and its tiles."""

from __future__ import annotations

import numpy as np

from runtime import instructions as ins
from runtime.walk_state import EMPTY, ZERO, Thread, WalkState


class ComputeWalk(WalkState):
    """Executes compute instructions; each returns whether it could go on."""

    def _section(self, thread: Thread, expected: str, following: str) -> bool:
        state = thread.state
        if state.dst_state != expected:
            raise self._fault(
                thread,
                f"Dst is {state.dst_state}, but must be {expected} here",
                "the order is acquire, commit, wait, release",
            )
        state.dst_state = following
        return True

    def _acquire(self, thread: Thread, i: ins.RegsAcquire) -> bool:
        self._section(thread, "free", "acquired")
        thread.state.dst[:] = ZERO
        return True

    def _commit(self, thread: Thread, i: ins.RegsCommit) -> bool:
        return self._section(thread, "acquired", "committed")

    def _regs_wait(self, thread: Thread, i: ins.RegsWait) -> bool:
        return self._section(thread, "committed", "packing")

    def _release(self, thread: Thread, i: ins.RegsRelease) -> bool:
        self._section(thread, "packing", "free")
        thread.state.dst[:] = EMPTY
        return True

    def _dst(
        self, thread: Thread, first: int, count: int, state: str = "acquired"
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

    def _operands(self, thread: Thread, place: slice) -> np.ndarray:
        values = thread.state.dst[place]
        if values.size and int(values.min()) < 0:
            raise self._fault(
                thread,
                f"Dst tile {place.start + int(values.argmin())} is read, but nothing "
                "was written there",
                "every Dst tile that is used must be computed in the same section",
            )
        return values.copy()

    def _copy(self, thread: Thread, i: ins.CopyTiles) -> bool:
        place = self._dst(thread, i.dst, i.slots.size)
        values = self._front(thread, i.cb, i.slots)
        thread.state.dst[place] = self.recorder.copy(i, values)
        return True

    def _tilize(self, thread: Thread, i: ins.TilizeBlock) -> bool:
        place = self._dst(thread, i.dst, i.slots.size)
        thread.state.dst[place] = self._front(thread, i.cb, i.slots.reshape(-1))
        return True

    def _binary(self, thread: Thread, i: ins.BinaryTiles) -> bool:
        first, last = int(i.targets.min()), int(i.targets.max())
        place = self._dst(thread, first, last - first + 1)
        count = last - first + 1
        order = np.argsort(i.targets, kind="stable")
        lhs = self._front(thread, i.lhs_cb, i.lhs_slots)[order].reshape(count, -1)
        rhs = self._front(thread, i.rhs_cb, i.rhs_slots)[order].reshape(count, -1)
        old = thread.state.dst[place].copy() if i.accumulate else None
        thread.state.dst[place] = self.recorder.binary(i, lhs, rhs, old)
        return True

    def _matmul(self, thread: Thread, i: ins.MatmulBlock) -> bool:
        rows, columns = i.lhs_slots.shape[0], i.rhs_slots.shape[1]
        place = self._dst(thread, i.dst, rows * columns)
        lhs = self._front(thread, i.lhs_cb, i.lhs_slots)
        rhs = self._front(thread, i.rhs_cb, i.rhs_slots)
        old = thread.state.dst[place].copy()
        thread.state.dst[place] = self.recorder.matmul(i, lhs, rhs, old)
        return True

    def _reduce(self, thread: Thread, i: ins.ReduceTiles) -> bool:
        place = self._dst(thread, i.dst, i.slots.shape[0])
        values = self._front(thread, i.cb, i.slots)
        scaler = int(
            self._front(thread, i.scaler_cb, np.array([i.scaler_slot], np.int64))[0]
        )
        old = thread.state.dst[place].copy()
        thread.state.dst[place] = self.recorder.reduce(i, values, scaler, old)
        return True

    def _unary(self, thread: Thread, i: ins.SfpuUnary) -> bool:
        place = self._dst(thread, i.dst, i.count)
        values = self._operands(thread, place)
        thread.state.dst[place] = self.recorder.unary(i, values)
        return True

    def _sfpu_fill(self, thread: Thread, i: ins.SfpuFill) -> bool:
        place = self._dst(thread, i.dst, i.count)
        thread.state.dst[place] = self.recorder.dst_constant(i)
        return True

    def _sfpu_binary(self, thread: Thread, i: ins.SfpuBinary) -> bool:
        place = self._dst(thread, i.lhs, i.count)
        lhs = self._operands(thread, place)
        rhs = self._operands(thread, self._dst(thread, i.rhs, i.count))
        thread.state.dst[place] = self.recorder.sfpu_binary(i, lhs, rhs)
        return True

    def _pack(self, thread: Thread, i: ins.PackTiles) -> bool:
        place = self._dst(thread, i.dst, i.slots.size, "packing")
        values = self._operands(thread, place)
        old = None
        if i.l1_accumulate:
            buffer = thread.state.buffers[i.cb]
            position = buffer.back(i.slots)
            old = buffer.pages[position]
            old = np.where(old == EMPTY, buffer.left[position], old)
        packed = self.recorder.pack(i, values, old)
        self._write_back(thread, i.cb, i.slots, packed)
        return True
