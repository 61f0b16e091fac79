"""The event loop itself, compiled on first use and kept for the next process."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import resources
from zlib import crc32

from numba import njit

from runtime.timing import events, network, sharing, tables, threads
from runtime.timing import tables as t
from runtime.timing.events import drop_first
from runtime.timing.network import done, land, ready, start
from runtime.timing.sharing import finish_flows, next_share, share
from runtime.timing.tables import COMPILER_OPTIONS, State
from runtime.timing.threads import run_thread


def run_events(state: State) -> None:
    """Run all events in order of time, until none is left, or to the next pause.

    After a pause another call goes on where this one stopped.
    """
    _compiled_loop()(state)


def _source_version() -> int:
    """A number that changes with any source of the compiled code.

    Compiled code is kept by the file that defines it and the values it encloses, so
    the loop encloses this: it covers what the loop calls in other files.
    """
    version = 0
    for module in (tables, events, network, sharing, threads):
        name = module.__name__.rpartition(".")[2] + ".py"
        source = resources.files(__package__ or "") / name
        version = crc32(source.read_bytes(), version)
    return version


@cache
def _compiled_loop() -> Callable[[State], None]:
    version = _source_version()

    @njit(cache=True, **COMPILER_OPTIONS)
    def run(s):
        s.counters[t.VERSION] = version
        mask = (1 << t.SUBJECT_BITS) - 1
        now = s.clock[t.CLOCK_NOW]
        while s.counters[t.FINISHED] < s.counters[t.PAUSE]:
            following = s.heap[0, 0] if s.counters[t.HEAP] > 0 else t.NEVER
            ending = s.clock[t.CLOCK_NEXT]
            due = next_share(s, now)
            if s.counters[t.CHANGED] and due < min(following, ending):
                now = due
                share(s, now)
                continue
            if ending <= following and ending < t.NEVER:
                now = ending
                finish_flows(s, now)
                continue
            if s.counters[t.HEAP] == 0:
                break
            now, what = s.heap[0, 0], int(s.heap[0, 1])
            drop_first(s)
            s.counters[t.EVENTS] += 1
            event, subject = what & ((1 << t.EVENT_BITS) - 1), what >> t.EVENT_BITS
            p, row = subject & mask, subject >> t.SUBJECT_BITS
            if event == t.RUN:
                run_thread(s, p, now)
            elif event == t.READY:
                ready(s, p, now)
            elif event == t.DONE:
                done(s, p, now)
            elif event == t.START:
                start(s, p, now)
            else:
                land(s, p, row, now)
        s.clock[t.CLOCK_NOW] = now

    return run
