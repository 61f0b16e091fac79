"""Threads of the processors: each executes its micro-operations in order.

A step returns when the thread goes on, or -1 where it waits (`block`); whoever
provides what it waits for wakes it, and it looks again.
"""

from __future__ import annotations

from runtime.timing import tables as t
from runtime.timing.events import (
    new_packet,
    note_activity,
    push,
    resume,
    set_semaphore,
    wake,
)
from runtime.timing.network import leg
from runtime.timing.tables import inner


@inner
def block(s, thread, reason, now):
    """A thread waits; -1 says that it does."""
    s.threads[thread, t.T_REASON] = reason
    if s.waits[thread, t.C_SINCE] < 0:
        s.waits[thread, t.C_SINCE] = now
    return -1.0


@inner
def book_wait(s, thread, reason, now):
    """What a thread waited for is there: book the time."""
    since = s.waits[thread, t.C_SINCE]
    if since >= 0:
        s.waits[thread, t.C_WAITS + reason] += now - since
        s.cycles[s.threads[thread, t.T_PC], t.O_WAIT] = now - since
        s.waits[thread, t.C_SINCE] = -1.0


@inner
def step_buffer(s, thread, op, now):
    """A circular-buffer operation: `op` is code, buffer, pages."""
    core = s.threads[thread, t.T_CORE]
    buffer, pages = op[1], op[2]
    words = s.cores[core]
    received = t.K_WORDS + 3 * buffer
    held = words[received] - words[received + 1]
    if op[0] == t.WAIT and held < pages:
        return block(s, thread, buffer, now)
    if op[0] == t.RESERVE and words[received + 2] - held < pages:
        return block(s, thread, buffer, now)
    if op[0] == t.PUSH:
        words[received] += pages
        wake(s, core, buffer, now + s.cost[t.L_CB_WAKE])
    elif op[0] == t.POP:
        words[received + 1] += pages
        wake(s, core, buffer, now + s.cost[t.L_CB_WAKE])
    else:
        book_wait(s, thread, buffer, now)
    return now + s.cost[t.L_CB]


@inner
def step_transfer(s, thread, op, now, issue):
    """Issue transfers: code, first place, count, bytes on the wire, NoC, flags.

    A posted write is done for its processor when it has left. Reads have the number of
    their group instead of flags.
    """
    nodes = s.sizes.nodes
    noc, wire = op[4], op[3]
    here = s.cores[s.threads[thread, t.T_CORE], t.K_NODE]
    initiator = 2 * nodes + noc * nodes + here
    depart = now
    for i in range(op[1], op[1] + op[2]):
        place = s.places[i]
        bank = -1 if place < nodes else place - nodes
        node = place if bank < 0 else s.places[bank]
        request = leg(s, noc, here, node)
        if op[0] == t.READ:
            p = new_packet(s, t.RESPONSE, noc, node, here, wire, thread)
            s.packets[p, t.P_NIU], s.packets[p, t.P_FLAGS] = noc * nodes + node, op[5]
            request += s.cost[t.L_L1_ACCESS if bank < 0 else t.L_DRAM_READ]
            push(s, depart + request, t.READY | p << t.EVENT_BITS)
        else:
            p = new_packet(s, t.WRITTEN, noc, here, node, wire, thread)
            s.packets[p, t.P_NIU] = initiator
            back = leg(s, noc, node, here)
            back += s.cost[t.L_L1_ACCESS if bank < 0 else t.L_DRAM_WRITE]
            if bank < 0:
                back += wire * s.cost[t.L_WRITE_TAIL]
            s.times[p] = -request if op[5] & t.POSTED else back
            push(s, depart, t.READY | p << t.EVENT_BITS)
        s.packets[p, t.P_BANK] = bank
        depart += issue
    s.threads[thread, t.T_READS if op[0] == t.READ else t.T_WRITES] += op[2]
    if op[0] == t.READ and op[5] > 0:
        s.threads[thread, t.T_READS + op[5]] += op[2]
    return depart


@inner
def step_multicast(s, thread, op, now, issue):
    """Issue a multicast: `op` is code, tree, bytes (or semaphore), flags (or value).

    The last argument is the bytes of the largest packet. The processor hands over one
    packet after the other, each when the one before has left. A linked call is linked
    in all its packets: its path is reserved once.
    """
    nodes = s.sizes.nodes
    tree, largest = op[1], op[4]
    noc = s.trees[tree, t.N_NOC]
    here = s.cores[s.threads[thread, t.T_CORE], t.K_NODE]
    flag = op[0] == t.SEM_MULTICAST
    size = 4 if flag else op[2]
    flags = 0 if flag else op[3]
    initiator = 2 * nodes + noc * nodes + here
    rate = 1.0 / s.resources[t.NIUS * nodes + initiator, t.R_RATE]
    if flags & t.BUSY:
        rate *= s.cost[t.L_BUSY_CAST]
    between = s.trees[tree, t.N_RESERVE]
    while size > 0:
        part = min(size, largest)
        size -= part
        wire = int(part + s.cost[t.L_HEADER])
        p = new_packet(s, t.CAST, noc, here, here, wire, thread)
        packet = s.packets[p]
        packet[t.P_NIU], packet[t.P_TREE] = initiator, tree
        packet[t.P_SEMAPHORE], packet[t.P_VALUE] = (op[2], op[3]) if flag else (-1, 0)
        packet[t.P_FLAGS] = flags
        if flags & t.COUNTED:
            s.threads[thread, t.T_WRITES] += 1
        push(s, now, t.READY | p << t.EVENT_BITS)
        if size > 0:
            now += between + wire * rate
        if flags & t.LINKED:
            between = s.trees[tree, t.N_LINKED]
    return now + issue


@inner
def step_barrier(s, thread, op, now):
    """Wait for reads, of a group or all, or writes; a stream's end waits for writes."""
    reads = op[0] == t.READ_BARRIER
    reason = (
        s.sizes.buffers + s.sizes.semaphores + (t.BY_READS if reads else t.BY_WRITES)
    )
    if s.threads[thread, t.T_READS + op[1] if reads else t.T_WRITES] > 0:
        return block(s, thread, reason, now)
    waited = s.waits[thread, t.C_SINCE] >= 0
    book_wait(s, thread, reason, now)
    if op[0] == t.END:
        s.threads[thread, t.T_ENDED] = 1
        s.waits[thread, t.C_END] = now
        note_activity(s, now)
        s.counters[t.LIVE] -= 1
        return -1.0
    return now if waited else now + s.cost[t.L_BARRIER]


@inner
def step_semaphore(s, thread, op, now, cycles):
    """Set, wait for or increment: `op` is code, semaphore, value, core, NoC."""
    core = s.threads[thread, t.T_CORE]
    reason = s.sizes.buffers + op[1]
    if op[0] == t.SEM_WAIT:
        if s.cores[core, t.K_WORDS + 3 * s.sizes.buffers + op[1]] != op[2]:
            return block(s, thread, reason, now)
        book_wait(s, thread, reason, now)
        return now + s.cost[t.L_SEMAPHORE]
    if op[0] == t.SEM_SET:
        set_semaphore(s, core, op[1], op[2], now)
        return now + cycles
    here, there = s.cores[core, t.K_NODE], s.cores[op[3], t.K_NODE]
    p = new_packet(s, t.INCREMENT, op[4], here, op[3], 0, thread)
    s.packets[p, t.P_SEMAPHORE], s.packets[p, t.P_VALUE] = op[1], op[2]
    arrival = now + cycles + leg(s, op[4], here, there) + s.cost[t.L_ATOMIC]
    push(s, arrival, t.DONE | p << t.EVENT_BITS)
    return now + cycles


@inner
def step_dst(s, thread, op, now):
    """The handshake of math and packer on the banks of Dst."""
    core = s.threads[thread, t.T_CORE]
    reason = s.sizes.buffers + s.sizes.semaphores + t.BY_DST
    after = now + s.cost[t.L_DST]
    if op[0] == t.DST_COMMIT:
        s.cores[core, t.K_DST_READY] += 1
        wake(s, core, reason, after)
        return after
    if op[0] == t.DST_RELEASE:
        s.cores[core, t.K_DST_FREE] += 1
        wake(s, core, reason, after)
        return after
    column = t.K_DST_FREE if op[0] == t.DST_ACQUIRE else t.K_DST_READY
    if s.cores[core, column] == 0:
        return block(s, thread, reason, now)
    s.cores[core, column] -= 1
    book_wait(s, thread, reason, now)
    return after


@inner
def step_source(s, thread, code, now):
    """Unpack fills the two banks of Src while math empties them.

    Whoever comes first waits for the other; then both ends are known. Until math
    comes, unpack may fill two banks; it can end one bank before math does.
    """
    partner = thread + 1 if code == t.SOURCE_UNPACK else thread - 1
    reason = s.sizes.buffers + s.sizes.semaphores + t.BY_SOURCE
    if s.threads[partner, t.T_REASON] != reason:
        return block(s, thread, reason, now)
    theirs = s.waits[partner, t.C_SINCE]
    pc, their_pc = s.threads[thread, t.T_PC], s.threads[partner, t.T_PC]
    mine, other = s.cycles[pc, t.O_CYCLES], s.cycles[their_pc, t.O_CYCLES]
    banks = s.cycles[pc, t.O_PARTS]
    unpack, math = (mine, other) if code == t.SOURCE_UNPACK else (other, mine)
    ahead = now - theirs if code == t.SOURCE_MATH else 0.0
    ahead = min(ahead, unpack * min(1.0, 2.0 / banks))
    first = max(0.0, unpack / banks - ahead)
    math_end = now + max(first + math, unpack - ahead + math / banks)
    unpack_end = max(now + unpack - ahead, math_end - math / banks)
    ends = (unpack_end, math_end)
    my_end, their_end = ends if code == t.SOURCE_UNPACK else (math_end, unpack_end)
    my_wait, their_wait = my_end - now - mine, their_end - theirs - other
    s.waits[thread, t.C_WAITS + reason] += my_wait
    s.waits[partner, t.C_WAITS + reason] += their_wait
    s.cycles[pc, t.O_WAIT], s.cycles[their_pc, t.O_WAIT] = my_wait, their_wait
    s.waits[partner, t.C_SINCE] = -1.0
    s.threads[partner, t.T_PC] = their_pc + 1
    s.cycles[their_pc, t.O_END] = their_end
    resume(s, partner, their_end)
    return my_end


@inner
def step(s, thread, pc, now):
    """Execute one micro-operation; -1 where the thread stops."""
    op = s.ops[pc]
    code, cycles = op[0], s.cycles[pc, t.O_CYCLES]
    if code == t.DELAY:
        after = now + cycles
    elif code == t.UNTIL:
        after = max(now, cycles)
    elif code <= t.POP:
        after = step_buffer(s, thread, op, now)
    elif code <= t.WRITE:
        after = step_transfer(s, thread, op, now, cycles)
    elif code <= t.SEM_MULTICAST:
        after = step_multicast(s, thread, op, now, cycles)
    elif code <= t.SEM_INC:
        after = step_semaphore(s, thread, op, now, cycles)
    elif code <= t.DST_RELEASE:
        after = step_dst(s, thread, op, now)
    elif code <= t.SOURCE_MATH:
        after = step_source(s, thread, code, now)
    else:
        after = step_barrier(s, thread, op, now)
    return after


@inner
def run_thread(s, thread, now):
    """Run a thread until it waits or another event comes first."""
    while True:
        pc = s.threads[thread, t.T_PC]
        if s.waits[thread, t.C_SINCE] < 0:
            s.cycles[pc, t.O_BEGIN] = now
        after = step(s, thread, pc, now)
        if after < 0:
            return
        s.cycles[pc, t.O_END] = after
        s.threads[thread, t.T_PC] = pc + 1
        if s.counters[t.HEAP] > 0 and s.heap[0, 0] < after:
            push(s, after, t.RUN | thread << t.EVENT_BITS)
            return
        now = after
