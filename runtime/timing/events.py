"""The heap of events, the pool of packets, and the waking of threads."""

from __future__ import annotations

from runtime.timing import tables as t
from runtime.timing.tables import inner


@inner
def push(s, time, what):
    """Add an event to the heap."""
    heap = s.heap
    i = s.counters[t.HEAP]
    s.counters[t.HEAP] = i + 1
    while i > 0:
        parent = (i - 1) >> 1
        if heap[parent, 0] <= time:
            break
        heap[i, 0], heap[i, 1] = heap[parent, 0], heap[parent, 1]
        i = parent
    heap[i, 0], heap[i, 1] = time, what


@inner
def drop_first(s):
    """Take the first event off the heap."""
    heap = s.heap
    n = s.counters[t.HEAP] - 1
    s.counters[t.HEAP] = n
    time, what = heap[n, 0], heap[n, 1]
    i = 0
    child = 1
    while child < n:
        if child + 1 < n and heap[child + 1, 0] < heap[child, 0]:
            child += 1
        if heap[child, 0] >= time:
            break
        heap[i, 0], heap[i, 1] = heap[child, 0], heap[child, 1]
        i = child
        child = 2 * i + 1
    heap[i, 0], heap[i, 1] = time, what


@inner
def new_packet(s, kind, noc, node, target, wire, thread):
    """Take a packet from the pool."""
    p = s.counters[t.FREE_PACKET]
    if p >= 0:
        s.counters[t.FREE_PACKET] = s.packets[p, t.P_NEXT]
    else:
        p = s.counters[t.FRESH_PACKET]
        s.counters[t.FRESH_PACKET] = p + 1
    row = s.packets[p]
    row[t.P_KIND], row[t.P_NOC] = kind, noc
    row[t.P_NODE], row[t.P_TARGET] = node, target
    row[t.P_WIRE], row[t.P_THREAD] = wire, thread
    row[t.P_BANK], row[t.P_NEXT] = -1, -1
    s.counters[t.TRANSFERS] += 1
    return p


@inner
def free_packet(s, p):
    """Give a packet back to the pool."""
    s.packets[p, t.P_NEXT] = s.counters[t.FREE_PACKET]
    s.counters[t.FREE_PACKET] = p
    s.counters[t.FINISHED] += 1


@inner
def note_activity(s, now):
    """The launch lasts at least until now."""
    s.clock[t.CLOCK_END] = max(s.clock[t.CLOCK_END], now)


@inner
def resume(s, thread, time):
    """A thread that waits looks again at `time`."""
    s.threads[thread, t.T_REASON] = -1
    push(s, time, t.RUN | thread << t.EVENT_BITS)


@inner
def wake(s, core, reason, time):
    """All threads of a core that wait for one thing look again."""
    for thread in range(s.cores[core, t.K_FIRST], s.cores[core, t.K_STOP]):
        if s.threads[thread, t.T_REASON] == reason:
            resume(s, thread, time)


@inner
def set_semaphore(s, core, number, value, now):
    """Write a semaphore; who waits for it looks again."""
    s.cores[core, t.K_WORDS + 3 * s.sizes.buffers + number] = value
    wake(s, core, s.sizes.buffers + number, now + s.cost[t.L_SEMAPHORE_WAKE])
