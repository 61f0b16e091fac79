"""The event loop: threads of all cores and packets of both NoCs in one order of time.

Everything here is compiled. A packet moves hop by hop: at each resource (NIU, link,
L1 read-out, DRAM channel) it waits until the resource is free, occupies it for its
bytes, and its head goes on at once. A NIU sends its packets in order and stops when
the packet `window` places ahead is still held up in the network. State lives in flat
tables whose columns are named below; all compiled code stands in this one file, since
the compiler's cache looks at no other.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

# Micro-operations: code and five arguments; cycles in a table of their own.
END, DELAY = 0, 1
RESERVE, PUSH, WAIT, POP = 2, 3, 4, 5
READ, READ_BARRIER, WRITE, WRITE_BARRIER, MULTICAST = 6, 7, 8, 9, 10
SEM_SET, SEM_WAIT, SEM_INC, SEM_MULTICAST = 11, 12, 13, 14
DST_ACQUIRE, DST_COMMIT, DST_WAIT, DST_RELEASE = 15, 16, 17, 18
SOURCE_UNPACK, SOURCE_MATH = 19, 20

_inner = njit(
    no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False, error_model="numpy"
)
"""Compiles a function that only compiled code calls."""

O_CYCLES, O_PARTS, O_BEGIN, O_END, CYCLE_COLUMNS = range(5)

# What an event does; its subject stands above EVENT_BITS, a tree node above that.
RUN, ARRIVE, READY, INJECT, HOP, BRANCH, LAND, DONE = range(8)
EVENT_BITS, SUBJECT_BITS = 3, 26

# Columns of a thread, and of its clock.
T_PC, T_CORE, T_REASON, T_READS, T_WRITES, T_ENDED = range(6)
C_SINCE, C_END, C_WAITS = 0, 1, 2

# Columns of a core. Behind them: received, acknowledged and capacity of each circular
# buffer, then the semaphores.
K_NODE, K_FIRST, K_STOP, K_DST_FREE, K_DST_READY, K_WORDS = range(6)

# Columns of a packet, and of its times.
P_KIND, P_NOC, P_NODE, P_TARGET, P_WIRE, P_THREAD, P_BANK, P_NIU, P_NEXT, P_SEQUENCE = (
    range(10)
)
P_TREE, P_LEFT, P_SEMAPHORE, P_VALUE, P_FLAGS, PACKET_COLUMNS = range(10, 16)
RESPONSE, WRITTEN, CAST, INCREMENT = range(4)
LINKED, COUNTED, FIRST = 1, 2, 4
F_TAIL, F_RETURN = 0, 1

# Columns of a NIU queue, and of a multicast tree node.
Q_HEAD, Q_TAIL, Q_PENDING, Q_SEQUENCE, Q_LINKED, QUEUE_COLUMNS = range(6)
N_LINK, N_CORE, N_CHILD, N_SIBLING, N_BACK = range(5)
N_NOC, N_SPAN, N_LEAVES = 0, 1, 4  # of the root
NO_RECEIVER, IDLE_RECEIVER = -1, -2  # instead of a core number
WINDOW_SLOTS = 8

# Columns of a resource; the last row stands for the launch, its time for the end.
R_FREE, R_BYTE_CYCLES, R_LOAD = range(3)

# Reasons to wait, behind the circular buffers and the semaphores.
BY_READS, BY_WRITES, BY_DST, BY_SOURCE, NUM_FIXED_REASONS = range(5)

HEAP, FREE_PACKET, FRESH_PACKET, EVENTS, TRANSFERS, LIVE, NUM_COUNTERS = range(7)


# The costs that the loop itself needs, see `costs.toml`.
(
    L_HOP,
    L_NIU,
    L_HEADER,
    L_L1_ACCESS,
    L_DRAM_READ,
    L_DRAM_WRITE,
    L_DRAM_WRITE_EXTRA,
    L_WRITE_TAIL,
    L_RESPONSE_WINDOW,
    L_WRITE_WINDOW,
    L_RESERVE,
    L_RESERVE_HOP,
    L_LINKED,
    L_CB,
    L_CB_WAKE,
    L_SEMAPHORE,
    L_SEMAPHORE_WAKE,
    L_BARRIER,
    L_BARRIER_WAKE,
    L_ATOMIC,
    L_DST,
    NUM_LATENCIES,
) = range(22)


class Sizes(NamedTuple):
    """Counts that the tables are laid out by."""

    nodes: int
    buffers: int
    semaphores: int


class State(NamedTuple):
    """All tables of a run."""

    sizes: Sizes
    cost: np.ndarray
    ops: np.ndarray
    cycles: np.ndarray
    places: np.ndarray
    trees: np.ndarray
    graph: np.ndarray
    threads: np.ndarray
    cores: np.ndarray
    waits: np.ndarray
    packets: np.ndarray
    times: np.ndarray
    niu: np.ndarray
    window: np.ndarray
    resources: np.ndarray
    heap: np.ndarray
    counters: np.ndarray


# -- events --------------------------------------------------------------------------


@_inner
def _push(s, time, what):
    """Add an event to the heap."""
    heap = s.heap
    i = s.counters[HEAP]
    s.counters[HEAP] = i + 1
    while i > 0:
        parent = (i - 1) >> 1
        if heap[parent, 0] <= time:
            break
        heap[i, 0], heap[i, 1] = heap[parent, 0], heap[parent, 1]
        i = parent
    heap[i, 0], heap[i, 1] = time, what


@_inner
def _drop_first(s):
    """Take the first event off the heap."""
    heap = s.heap
    n = s.counters[HEAP] - 1
    s.counters[HEAP] = n
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


@_inner
def _new_packet(s, kind, noc, node, target, wire, thread):
    """Take a packet from the pool."""
    p = s.counters[FREE_PACKET]
    if p >= 0:
        s.counters[FREE_PACKET] = s.packets[p, P_NEXT]
    else:
        p = s.counters[FRESH_PACKET]
        s.counters[FRESH_PACKET] = p + 1
    row = s.packets[p]
    row[P_KIND], row[P_NOC], row[P_NODE], row[P_TARGET] = kind, noc, node, target
    row[P_WIRE], row[P_THREAD], row[P_BANK], row[P_NEXT] = wire, thread, -1, -1
    s.counters[TRANSFERS] += 1
    return p


@_inner
def _free_packet(s, p):
    s.packets[p, P_NEXT] = s.counters[FREE_PACKET]
    s.counters[FREE_PACKET] = p


@_inner
def _note_activity(s, now):
    """The launch lasts at least until now."""
    end = s.resources.shape[0] - 1
    s.resources[end, R_FREE] = max(s.resources[end, R_FREE], now)


# -- the network ---------------------------------------------------------------------


@_inner
def _leg(s, noc, source, target):
    """Cycles of a flit from one node to another through an empty network."""
    nodes = s.sizes.nodes
    hops = s.graph[2 * nodes * nodes + (noc * nodes + source) * nodes + target]
    return 2 * s.cost[L_NIU] + s.cost[L_HOP] * hops


@_inner
def _occupy(s, resource, time, wire):
    """Wait for a resource, first come first served; return when the packet starts."""
    start = max(time, s.resources[resource, R_FREE])
    s.resources[resource, R_FREE] = start + wire * s.resources[resource, R_BYTE_CYCLES]
    s.resources[resource, R_LOAD] += wire
    return start


@_inner
def _hold(s, p, wait):
    """A packet is held up: so is its place in the window of its NIU."""
    niu, sequence = s.packets[p, P_NIU], s.packets[p, P_SEQUENCE]
    if s.niu[niu, Q_SEQUENCE] - sequence < WINDOW_SLOTS:
        s.window[niu, sequence % WINDOW_SLOTS] += wait


@_inner
def _arrive(s, p, now):
    """A read request arrives at its memory: fetch the data, hand them to the NIU."""
    nodes = s.sizes.nodes
    packet = s.packets[p]
    bank = packet[P_BANK]
    resource = 10 * nodes + packet[P_NODE] if bank < 0 else 11 * nodes + bank
    start = _occupy(s, resource, now, packet[P_WIRE])
    s.times[p, F_TAIL] = start + packet[P_WIRE] * s.resources[resource, R_BYTE_CYCLES]
    packet[P_NIU] = packet[P_NOC] * nodes + packet[P_NODE]
    _push(s, start, READY | p << EVENT_BITS)


@_inner
def _ready(s, p, now):
    """A packet joins the queue of its NIU."""
    niu = s.packets[p, P_NIU]
    queue = s.niu[niu]
    if queue[Q_HEAD] < 0:
        queue[Q_HEAD] = p
    else:
        s.packets[queue[Q_TAIL], P_NEXT] = p
    queue[Q_TAIL] = p
    if queue[Q_PENDING] == 0:
        queue[Q_PENDING] = 1
        _inject(s, niu, now)


@_inner
def _reservation(s, p):
    """Cycles until a multicast has its path: none of it if the last one kept it."""
    packet, queue = s.packets[p], s.niu[s.packets[p, P_NIU]]
    tree = packet[P_TREE]
    kept = queue[Q_LINKED] == tree and packet[P_FLAGS] & FIRST
    queue[Q_LINKED] = tree if packet[P_FLAGS] & LINKED else -1
    if kept:
        return s.cost[L_LINKED]
    return s.cost[L_RESERVE] + s.cost[L_RESERVE_HOP] * s.trees[tree, N_SPAN]


@_inner
def _inject(s, niu, now):
    """Send the first packet of a queue, if port and window allow; else come again."""
    nodes = s.sizes.nodes
    queue = s.niu[niu]
    port = 4 * nodes + niu
    allowed = s.resources[port, R_FREE]
    sequence = queue[Q_SEQUENCE]
    size = int(s.cost[L_RESPONSE_WINDOW if niu < 2 * nodes else L_WRITE_WINDOW])
    if sequence >= size:
        allowed = max(allowed, s.window[niu, (sequence - size) % WINDOW_SLOTS])
    if allowed > now:
        _push(s, allowed, INJECT | niu << EVENT_BITS)
        return
    p = queue[Q_HEAD]
    packet = s.packets[p]
    queue[Q_HEAD] = packet[P_NEXT]
    queue[Q_SEQUENCE] = sequence + 1
    packet[P_SEQUENCE] = sequence
    start = now
    if packet[P_KIND] == CAST:
        start += _reservation(s, p)
    start = _occupy(s, port, start, packet[P_WIRE])
    end = s.resources[port, R_FREE]
    s.window[niu, sequence % WINDOW_SLOTS] = end
    if packet[P_KIND] == CAST:
        s.times[p, F_TAIL] = 0.0
        _spread(s, p, packet[P_TREE], start + s.cost[L_NIU])
    else:
        s.times[p, F_TAIL] = max(s.times[p, F_TAIL], end) + s.cost[L_NIU]
        _push(s, start + s.cost[L_NIU], HOP | p << EVENT_BITS)
    if queue[Q_HEAD] >= 0:
        _push(s, end, INJECT | niu << EVENT_BITS)
    else:
        queue[Q_PENDING] = 0


@_inner
def _hop(s, p, now):
    """The head of a packet stands before its next link, or at its target."""
    nodes = s.sizes.nodes
    packet = s.packets[p]
    noc, node, wire = packet[P_NOC], packet[P_NODE], packet[P_WIRE]
    link = s.graph[(noc * nodes + node) * nodes + packet[P_TARGET]]
    if link < 0:
        _eject(s, p, now)
        return
    start = _occupy(s, link, now, wire)
    if start > now:
        _hold(s, p, start - now)
    tail = max(s.times[p, F_TAIL], s.resources[link, R_FREE])
    s.times[p, F_TAIL] = tail + s.cost[L_HOP]
    packet[P_NODE] = s.graph[4 * nodes * nodes + link]
    _push(s, start + s.cost[L_HOP], HOP | p << EVENT_BITS)


@_inner
def _eject(s, p, now):
    """A packet leaves the network; a written one goes to memory and is answered."""
    nodes = s.sizes.nodes
    packet = s.packets[p]
    resource = 8 * nodes + packet[P_NOC] * nodes + packet[P_NODE]
    start = _occupy(s, resource, now, packet[P_WIRE])
    tail = max(s.times[p, F_TAIL], s.resources[resource, R_FREE])
    written = packet[P_KIND] == WRITTEN
    if written and packet[P_BANK] >= 0:
        channel = 11 * nodes + packet[P_BANK]
        start = _occupy(s, channel, start, packet[P_WIRE])
        s.resources[channel, R_FREE] += packet[P_WIRE] * s.cost[L_DRAM_WRITE_EXTRA]
        tail = max(tail, s.resources[channel, R_FREE])
    if start > now:
        _hold(s, p, start - now)
    tail += s.cost[L_NIU]
    if written:
        tail += s.times[p, F_RETURN]
    _push(s, tail, DONE | p << EVENT_BITS)


@_inner
def _spread(s, p, node, time):
    """The head of a multicast goes on to all children of a tree node."""
    child = s.trees[node, N_CHILD]
    while child >= 0:
        subject = p | child << SUBJECT_BITS
        _push(s, time, BRANCH | subject << EVENT_BITS)
        child = s.trees[child, N_SIBLING]


@_inner
def _branch(s, p, node, now):
    """A multicast passes the link into a tree node, and leaves a copy there."""
    nodes = s.sizes.nodes
    wire = s.packets[p, P_WIRE]
    link = s.trees[node, N_LINK]
    start = _occupy(s, link, now, wire)
    if start > now:
        _hold(s, p, start - now)
    head = start + s.cost[L_HOP]
    _spread(s, p, node, head)
    if s.trees[node, N_CORE] != NO_RECEIVER:
        resource = 8 * nodes + s.packets[p, P_NOC] * nodes + s.graph[4 * nodes * nodes + link]
        _occupy(s, resource, head, wire)
        subject = p | node << SUBJECT_BITS
        landed = s.resources[resource, R_FREE] + s.cost[L_NIU]
        _push(s, landed, LAND | subject << EVENT_BITS)


@_inner
def _land(s, p, node, now):
    """A multicast has arrived at one core: raise its flag, send the acknowledgement."""
    packet = s.packets[p]
    core = s.trees[node, N_CORE]
    if packet[P_SEMAPHORE] >= 0 and core >= 0:
        _set_semaphore(s, core, packet[P_SEMAPHORE], packet[P_VALUE], now)
    answer = s.cost[L_L1_ACCESS] + packet[P_WIRE] * s.cost[L_WRITE_TAIL]
    answer += 2 * s.cost[L_NIU] + s.cost[L_HOP] * s.trees[node, N_BACK]
    s.times[p, F_TAIL] = max(s.times[p, F_TAIL], now + answer)
    packet[P_LEFT] -= 1
    if packet[P_LEFT] == 0:
        _push(s, s.times[p, F_TAIL], DONE | p << EVENT_BITS)


@_inner
def _done(s, p, now):
    """A transfer is complete as its issuer sees it."""
    packet = s.packets[p]
    thread, kind = packet[P_THREAD], packet[P_KIND]
    _note_activity(s, now)
    if kind == INCREMENT:
        core, number = packet[P_TARGET], packet[P_SEMAPHORE]
        word = K_WORDS + 3 * s.sizes.buffers + number
        value = s.cores[core, word] + packet[P_VALUE]
        _set_semaphore(s, core, number, value, now)
    elif kind != CAST or packet[P_FLAGS] & COUNTED:
        column = T_READS if kind == RESPONSE else T_WRITES
        reason = s.sizes.buffers + s.sizes.semaphores
        reason += BY_READS if kind == RESPONSE else BY_WRITES
        s.threads[thread, column] -= 1
        if s.threads[thread, column] == 0 and s.threads[thread, T_REASON] == reason:
            _resume(s, thread, now + s.cost[L_BARRIER_WAKE])
    _free_packet(s, p)


# -- threads -------------------------------------------------------------------------


@_inner
def _resume(s, thread, time):
    """A thread that waits looks again at `time`."""
    s.threads[thread, T_REASON] = -1
    _push(s, time, RUN | thread << EVENT_BITS)


@_inner
def _wake(s, core, reason, time):
    """All threads of a core that wait for one thing look again."""
    for thread in range(s.cores[core, K_FIRST], s.cores[core, K_STOP]):
        if s.threads[thread, T_REASON] == reason:
            _resume(s, thread, time)


@_inner
def _set_semaphore(s, core, number, value, now):
    s.cores[core, K_WORDS + 3 * s.sizes.buffers + number] = value
    _wake(s, core, s.sizes.buffers + number, now + s.cost[L_SEMAPHORE_WAKE])


@_inner
def _block(s, thread, reason, now):
    """A thread waits; -1 says that it does."""
    s.threads[thread, T_REASON] = reason
    if s.waits[thread, C_SINCE] < 0:
        s.waits[thread, C_SINCE] = now
    return -1.0


@_inner
def _pass(s, thread, reason, now):
    """What a thread waited for is there: book the time."""
    since = s.waits[thread, C_SINCE]
    if since >= 0:
        s.waits[thread, C_WAITS + reason] += now - since
        s.waits[thread, C_SINCE] = -1.0


@_inner
def _step_buffer(s, thread, op, now):
    """A circular-buffer operation: `op` is code, buffer, pages."""
    core = s.threads[thread, T_CORE]
    buffer, pages = op[1], op[2]
    words = s.cores[core]
    received = K_WORDS + 3 * buffer
    held = words[received] - words[received + 1]
    if op[0] == WAIT and held < pages:
        return _block(s, thread, buffer, now)
    if op[0] == RESERVE and words[received + 2] - held < pages:
        return _block(s, thread, buffer, now)
    if op[0] == PUSH:
        words[received] += pages
        _wake(s, core, buffer, now + s.cost[L_CB_WAKE])
    elif op[0] == POP:
        words[received + 1] += pages
        _wake(s, core, buffer, now + s.cost[L_CB_WAKE])
    else:
        _pass(s, thread, buffer, now)
    return now + s.cost[L_CB]


@_inner
def _step_transfer(s, thread, op, now, issue):
    """Issue transfers: `op` is code, first place, count, bytes on the wire, NoC."""
    nodes = s.sizes.nodes
    noc, wire = op[4], op[3]
    here = s.cores[s.threads[thread, T_CORE], K_NODE]
    initiator = 2 * nodes + noc * nodes + here
    depart = now
    for i in range(op[1], op[1] + op[2]):
        place = s.places[i]
        bank = -1 if place < nodes else place - nodes
        node = place if bank < 0 else s.places[bank]
        leg = _leg(s, noc, here, node)
        if op[0] == READ:
            depart = max(depart, s.resources[4 * nodes + initiator, R_FREE])
            p = _new_packet(s, RESPONSE, noc, node, here, wire, thread)
            leg += s.cost[L_L1_ACCESS if bank < 0 else L_DRAM_READ]
            _push(s, depart + leg, ARRIVE | p << EVENT_BITS)
        else:
            p = _new_packet(s, WRITTEN, noc, here, node, wire, thread)
            s.packets[p, P_NIU] = initiator
            back = _leg(s, noc, node, here)
            back += s.cost[L_L1_ACCESS if bank < 0 else L_DRAM_WRITE]
            s.times[p, F_TAIL] = depart
            if bank < 0:
                back += wire * s.cost[L_WRITE_TAIL]
            s.times[p, F_RETURN] = back
            _push(s, depart, READY | p << EVENT_BITS)
        s.packets[p, P_BANK] = bank
        depart += issue
    s.threads[thread, T_READS if op[0] == READ else T_WRITES] += op[2]
    return depart


@_inner
def _step_multicast(s, thread, op, now, issue):
    """Issue a multicast: `op` is code, tree, bytes (or semaphore), flags (or value).

    The last argument is the bytes of the largest packet; the processor is free again
    when the last packet is in the hands of the NIU.
    """
    nodes = s.sizes.nodes
    tree, largest = op[1], op[4]
    noc, left = s.trees[tree, N_NOC], s.trees[tree, N_LEAVES]
    here = s.cores[s.threads[thread, T_CORE], K_NODE]
    flag = op[0] == SEM_MULTICAST
    size = 4 if flag else op[2]
    flags = 0 if flag else op[3]
    initiator = 2 * nodes + noc * nodes + here
    first = FIRST
    while size > 0:
        part = min(size, largest)
        size -= part
        wire = int(part + s.cost[L_HEADER])
        p = _new_packet(s, CAST, noc, here, here, wire, thread)
        packet = s.packets[p]
        packet[P_NIU], packet[P_TREE], packet[P_LEFT] = initiator, tree, left
        packet[P_SEMAPHORE], packet[P_VALUE] = (op[2], op[3]) if flag else (-1, 0)
        packet[P_FLAGS] = first | (flags & COUNTED) | (0 if size else flags & LINKED)
        if flags & COUNTED:
            s.threads[thread, T_WRITES] += 1
        _push(s, now, READY | p << EVENT_BITS)
        first = 0
        now += issue
    return now


@_inner
def _step_barrier(s, thread, op, now):
    """Wait for reads or writes; the end of a stream waits for writes."""
    reads = op[0] == READ_BARRIER
    reason = s.sizes.buffers + s.sizes.semaphores + (BY_READS if reads else BY_WRITES)
    if s.threads[thread, T_READS if reads else T_WRITES] > 0:
        return _block(s, thread, reason, now)
    waited = s.waits[thread, C_SINCE] >= 0
    _pass(s, thread, reason, now)
    if op[0] == END:
        s.threads[thread, T_ENDED] = 1
        s.waits[thread, C_END] = now
        _note_activity(s, now)
        s.counters[LIVE] -= 1
        return -1.0
    return now if waited else now + s.cost[L_BARRIER]


@_inner
def _step_semaphore(s, thread, op, now, cycles):
    """Set, wait for or increment: `op` is code, semaphore, value, core, NoC."""
    core = s.threads[thread, T_CORE]
    reason = s.sizes.buffers + op[1]
    if op[0] == SEM_WAIT:
        if s.cores[core, K_WORDS + 3 * s.sizes.buffers + op[1]] != op[2]:
            return _block(s, thread, reason, now)
        _pass(s, thread, reason, now)
        return now + s.cost[L_SEMAPHORE]
    if op[0] == SEM_SET:
        _set_semaphore(s, core, op[1], op[2], now)
        return now + cycles
    here, there = s.cores[core, K_NODE], s.cores[op[3], K_NODE]
    p = _new_packet(s, INCREMENT, op[4], here, op[3], 0, thread)
    s.packets[p, P_SEMAPHORE], s.packets[p, P_VALUE] = op[1], op[2]
    arrival = now + cycles + _leg(s, op[4], here, there) + s.cost[L_ATOMIC]
    _push(s, arrival, DONE | p << EVENT_BITS)
    return now + cycles


@_inner
def _step_dst(s, thread, op, now):
    """The handshake of math and packer on the banks of Dst."""
    core = s.threads[thread, T_CORE]
    reason = s.sizes.buffers + s.sizes.semaphores + BY_DST
    after = now + s.cost[L_DST]
    if op[0] == DST_COMMIT:
        s.cores[core, K_DST_READY] += 1
        _wake(s, core, reason, after)
        return after
    if op[0] == DST_RELEASE:
        s.cores[core, K_DST_FREE] += 1
        _wake(s, core, reason, after)
        return after
    column = K_DST_FREE if op[0] == DST_ACQUIRE else K_DST_READY
    if s.cores[core, column] == 0:
        return _block(s, thread, reason, now)
    s.cores[core, column] -= 1
    _pass(s, thread, reason, now)
    return after


@_inner
def _step_source(s, thread, code, now):
    """Unpack fills the two banks of Src while math empties them.

    Whoever comes first waits for the other; then both ends are known. Until math
    comes, unpack may fill two banks; it can end one bank before math does.
    """
    partner = thread + 1 if code == SOURCE_UNPACK else thread - 1
    reason = s.sizes.buffers + s.sizes.semaphores + BY_SOURCE
    if s.threads[partner, T_REASON] != reason:
        return _block(s, thread, reason, now)
    theirs = s.waits[partner, C_SINCE]
    pc, their_pc = s.threads[thread, T_PC], s.threads[partner, T_PC]
    mine, other = s.cycles[pc, O_CYCLES], s.cycles[their_pc, O_CYCLES]
    banks = s.cycles[pc, O_PARTS]
    unpack, math = (mine, other) if code == SOURCE_UNPACK else (other, mine)
    ahead = now - theirs if code == SOURCE_MATH else 0.0
    ahead = min(ahead, min(unpack, 2 * unpack / banks))
    first = max(0.0, unpack / banks - ahead)
    math_end = now + max(first + math, unpack - ahead + math / banks)
    unpack_end = max(now + unpack - ahead, math_end - math / banks)
    ends = (unpack_end, math_end)
    my_end, their_end = ends if code == SOURCE_UNPACK else (math_end, unpack_end)
    s.waits[thread, C_WAITS + reason] += my_end - now - mine
    s.waits[partner, C_WAITS + reason] += their_end - theirs - other
    s.waits[partner, C_SINCE] = -1.0
    s.threads[partner, T_PC] = their_pc + 1
    s.cycles[their_pc, O_END] = their_end
    _resume(s, partner, their_end)
    return my_end


@_inner
def _step(s, thread, pc, now):
    """Execute one micro-operation; -1 where the thread stops."""
    op = s.ops[pc]
    code, cycles = op[0], s.cycles[pc, O_CYCLES]
    if code == DELAY:
        return now + cycles
    if code >= SOURCE_UNPACK:
        return _step_source(s, thread, code, now)
    if code >= DST_ACQUIRE:
        return _step_dst(s, thread, op, now)
    if code in (MULTICAST, SEM_MULTICAST):
        return _step_multicast(s, thread, op, now, cycles)
    if code >= SEM_SET:
        return _step_semaphore(s, thread, op, now, cycles)
    if code in (READ, WRITE):
        return _step_transfer(s, thread, op, now, cycles)
    if code >= RESERVE and code <= POP:
        return _step_buffer(s, thread, op, now)
    return _step_barrier(s, thread, op, now)


@_inner
def _run(s, thread, now):
    """Run a thread until it waits or another event comes first."""
    while True:
        pc = s.threads[thread, T_PC]
        if s.waits[thread, C_SINCE] < 0:
            s.cycles[pc, O_BEGIN] = now
        after = _step(s, thread, pc, now)
        if after < 0:
            return
        s.cycles[pc, O_END] = after
        s.threads[thread, T_PC] = pc + 1
        if s.counters[HEAP] > 0 and s.heap[0, 0] < after:
            _push(s, after, RUN | thread << EVENT_BITS)
            return
        now = after


@njit(cache=True, _nrt=False, error_model="numpy")
def run_events(s):
    """Run all events in order of time, until none is left."""
    mask = (1 << SUBJECT_BITS) - 1
    while s.counters[HEAP] > 0:
        now, what = s.heap[0, 0], int(s.heap[0, 1])
        _drop_first(s)
        s.counters[EVENTS] += 1
        event, subject = what & ((1 << EVENT_BITS) - 1), what >> EVENT_BITS
        p, node = subject & mask, subject >> SUBJECT_BITS
        if event == HOP:
            _hop(s, p, now)
        elif event == RUN:
            _run(s, p, now)
        elif event == ARRIVE:
            _arrive(s, p, now)
        elif event == READY:
            _ready(s, p, now)
        elif event == INJECT:
            _inject(s, p, now)
        elif event == DONE:
            _done(s, p, now)
        elif event == BRANCH:
            _branch(s, p, node, now)
        else:
            _land(s, p, node, now)
