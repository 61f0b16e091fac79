"""Packets on the NoCs: one event for each hop, in one order of time.

At each resource (NIU, link, L1 read-out, DRAM channel) a packet waits until it is free
and occupies it for its bytes, while the head goes on at once. A NIU sends in order, and
stops when the packet `window` places ahead is still held up in the network. Writes
share one virtual channel: one that had to wait keeps others from its link for longer.
"""

from __future__ import annotations

from runtime.timing import tables as t
from runtime.timing.events import (
    free_packet,
    note_activity,
    push,
    resume,
    set_semaphore,
)
from runtime.timing.tables import inner


@inner
def leg(s, noc, source, target):
    """Cycles of a flit from one node to another through an empty network."""
    nodes = s.sizes.nodes
    hops = s.graph[2 * nodes * nodes + (noc * nodes + source) * nodes + target]
    return 2 * s.cost[t.L_NIU] + s.cost[t.L_HOP] * hops


@inner
def link_end(s, link):
    """The node that a link leads to."""
    nodes = s.sizes.nodes
    return s.graph[4 * nodes * nodes + link]


@inner
def occupy(s, resource, time, wire):
    """Wait for a resource, first come first served; return when the packet starts."""
    row = s.resources[resource]
    start = max(time, row[t.R_FREE])
    row[t.R_FREE] = start + wire * row[t.R_BYTE_CYCLES]
    row[t.R_LOAD] += wire
    return start


@inner
def hold(s, p, wait):
    """A packet is held up: so is its place in the window of its NIU."""
    niu, sequence = s.packets[p, t.P_NIU], s.packets[p, t.P_SEQUENCE]
    if s.niu[niu, t.Q_SEQUENCE] - sequence < t.WINDOW_SLOTS:
        s.window[niu, sequence % t.WINDOW_SLOTS] += wait


@inner
def arrive(s, p, now):
    """A read request arrives at its memory: fetch the data, hand them to the NIU."""
    nodes = s.sizes.nodes
    packet = s.packets[p]
    bank = packet[t.P_BANK]
    resource = t.L1S * nodes + packet[t.P_NODE]
    if bank >= 0:
        resource = t.CHANNELS * nodes + bank
    start = occupy(s, resource, now, packet[t.P_WIRE])
    s.times[p, t.F_TAIL] = s.resources[resource, t.R_FREE]
    packet[t.P_NIU] = packet[t.P_NOC] * nodes + packet[t.P_NODE]
    push(s, start, t.READY | p << t.EVENT_BITS)


@inner
def ready(s, p, now):
    """A packet joins the queue of its NIU."""
    niu = s.packets[p, t.P_NIU]
    queue = s.niu[niu]
    if queue[t.Q_HEAD] < 0:
        queue[t.Q_HEAD] = p
    else:
        s.packets[queue[t.Q_TAIL], t.P_NEXT] = p
    queue[t.Q_TAIL] = p
    if queue[t.Q_PENDING] == 0:
        queue[t.Q_PENDING] = 1
        inject(s, niu, now)


@inner
def reservation(s, p):
    """Cycles until a multicast has its path: few if the packet before kept it."""
    packet, queue = s.packets[p], s.niu[s.packets[p, t.P_NIU]]
    tree = packet[t.P_TREE]
    kept = queue[t.Q_LINKED] == tree
    queue[t.Q_LINKED] = tree if packet[t.P_FLAGS] & t.LINKED else -1
    if kept:
        return s.cost[t.L_LINKED]
    return s.cost[t.L_RESERVE] + s.cost[t.L_RESERVE_HOP] * s.trees[tree, t.N_SPAN]


@inner
def inject(s, niu, now):
    """Send the first packet of a queue, if port and window allow; else come again."""
    nodes = s.sizes.nodes
    queue = s.niu[niu]
    port = t.NIUS * nodes + niu
    allowed = s.resources[port, t.R_FREE]
    sequence = queue[t.Q_SEQUENCE]
    size = int(s.cost[t.L_RESPONSE_WINDOW if niu < 2 * nodes else t.L_WRITE_WINDOW])
    if sequence >= size:
        allowed = max(allowed, s.window[niu, (sequence - size) % t.WINDOW_SLOTS])
    if allowed > now:
        push(s, allowed, t.INJECT | niu << t.EVENT_BITS)
        return
    p = queue[t.Q_HEAD]
    packet = s.packets[p]
    queue[t.Q_HEAD] = packet[t.P_NEXT]
    queue[t.Q_SEQUENCE] = sequence + 1
    packet[t.P_SEQUENCE] = sequence
    start = now
    if packet[t.P_KIND] == t.CAST:
        start += reservation(s, p)
    start = occupy(s, port, start, packet[t.P_WIRE])
    end = s.resources[port, t.R_FREE]
    s.window[niu, sequence % t.WINDOW_SLOTS] = end
    if packet[t.P_KIND] == t.CAST:
        s.times[p, t.F_TAIL] = 0.0
        spread(s, p, packet[t.P_TREE], start + s.cost[t.L_NIU])
        if s.trees[packet[t.P_TREE], t.N_SELF] != t.NO_RECEIVER:
            subject = p | packet[t.P_TREE] << t.SUBJECT_BITS
            landed = end + 2 * s.cost[t.L_NIU]
            push(s, landed, t.LAND | subject << t.EVENT_BITS)
    else:
        s.times[p, t.F_TAIL] = max(s.times[p, t.F_TAIL], end) + s.cost[t.L_NIU]
        push(s, start + s.cost[t.L_NIU], t.HOP | p << t.EVENT_BITS)
    if queue[t.Q_HEAD] >= 0:
        push(s, end, t.INJECT | niu << t.EVENT_BITS)
    else:
        queue[t.Q_PENDING] = 0


@inner
def hop(s, p, now):
    """The head of a packet stands before its next link, or at its target."""
    nodes = s.sizes.nodes
    packet = s.packets[p]
    noc, node, wire = packet[t.P_NOC], packet[t.P_NODE], packet[t.P_WIRE]
    link = s.graph[(noc * nodes + node) * nodes + packet[t.P_TARGET]]
    if link < 0:
        eject(s, p, now)
        return
    start = occupy(s, link, now, wire)
    if start > now + t.LEAST_WAIT:
        hold(s, p, start - now)
        if packet[t.P_KIND] == t.WRITTEN:
            occupied = wire * s.resources[link, t.R_BYTE_CYCLES]
            s.resources[link, t.R_FREE] += occupied * s.cost[t.L_BLOCKED_WRITE]
    tail = max(s.times[p, t.F_TAIL], s.resources[link, t.R_FREE])
    s.times[p, t.F_TAIL] = tail + s.cost[t.L_HOP]
    packet[t.P_NODE] = link_end(s, link)
    push(s, start + s.cost[t.L_HOP], t.HOP | p << t.EVENT_BITS)


@inner
def eject(s, p, now):
    """A packet leaves the network; a written one goes to memory and is answered."""
    nodes = s.sizes.nodes
    packet = s.packets[p]
    resource = t.SINKS * nodes + packet[t.P_NOC] * nodes + packet[t.P_NODE]
    start = occupy(s, resource, now, packet[t.P_WIRE])
    tail = max(s.times[p, t.F_TAIL], s.resources[resource, t.R_FREE])
    written = packet[t.P_KIND] == t.WRITTEN
    if written and packet[t.P_BANK] >= 0:
        channel = t.CHANNELS * nodes + packet[t.P_BANK]
        start = occupy(s, channel, start, packet[t.P_WIRE])
        slower = packet[t.P_WIRE] * s.cost[t.L_DRAM_WRITE_EXTRA]
        s.resources[channel, t.R_FREE] += slower
        tail = max(tail, s.resources[channel, t.R_FREE])
    if start > now + t.LEAST_WAIT:
        hold(s, p, start - now)
    tail += s.cost[t.L_NIU]
    if written:
        tail += s.times[p, t.F_RETURN]
    push(s, tail, t.DONE | p << t.EVENT_BITS)


@inner
def spread(s, p, node, time):
    """The head of a multicast goes on to all children of a tree node."""
    child = s.trees[node, t.N_CHILD]
    while child >= 0:
        subject = p | child << t.SUBJECT_BITS
        push(s, time, t.BRANCH | subject << t.EVENT_BITS)
        child = s.trees[child, t.N_SIBLING]


@inner
def branch(s, p, node, now):
    """A multicast passes the link into a tree node, and leaves a copy there."""
    nodes = s.sizes.nodes
    wire = s.packets[p, t.P_WIRE]
    link = s.trees[node, t.N_LINK]
    start = occupy(s, link, now, wire)
    if start > now + t.LEAST_WAIT:
        hold(s, p, start - now)
    head = start + s.cost[t.L_HOP]
    spread(s, p, node, head)
    if s.trees[node, t.N_CORE] != t.NO_RECEIVER:
        resource = t.SINKS * nodes + s.packets[p, t.P_NOC] * nodes
        resource += link_end(s, link)
        occupy(s, resource, head, wire)
        subject = p | node << t.SUBJECT_BITS
        landed = s.resources[resource, t.R_FREE] + s.cost[t.L_NIU]
        push(s, landed, t.LAND | subject << t.EVENT_BITS)


@inner
def land(s, p, node, now):
    """A multicast has arrived at one core: raise its flag, send the acknowledgement."""
    packet = s.packets[p]
    itself = node == packet[t.P_TREE]
    core = s.trees[node, t.N_SELF if itself else t.N_CORE]
    if packet[t.P_SEMAPHORE] >= 0 and core >= 0:
        set_semaphore(s, core, packet[t.P_SEMAPHORE], packet[t.P_VALUE], now)
    answer = s.cost[t.L_L1_ACCESS] + packet[t.P_WIRE] * s.cost[t.L_WRITE_TAIL]
    answer += 2 * s.cost[t.L_NIU]
    if not itself:
        answer += s.cost[t.L_HOP] * s.trees[node, t.N_BACK]
    s.times[p, t.F_TAIL] = max(s.times[p, t.F_TAIL], now + answer)
    packet[t.P_LEFT] -= 1
    if packet[t.P_LEFT] == 0:
        push(s, s.times[p, t.F_TAIL], t.DONE | p << t.EVENT_BITS)


@inner
def done(s, p, now):
    """A transfer is complete as its issuer sees it."""
    packet = s.packets[p]
    thread, kind = packet[t.P_THREAD], packet[t.P_KIND]
    note_activity(s, now)
    if kind == t.INCREMENT:
        core, number = packet[t.P_TARGET], packet[t.P_SEMAPHORE]
        word = t.K_WORDS + 3 * s.sizes.buffers + number
        value = s.cores[core, word] + packet[t.P_VALUE]
        set_semaphore(s, core, number, value, now)
    elif kind != t.CAST or packet[t.P_FLAGS] & t.COUNTED:
        column = t.T_READS if kind == t.RESPONSE else t.T_WRITES
        reason = s.sizes.buffers + s.sizes.semaphores
        reason += t.BY_READS if kind == t.RESPONSE else t.BY_WRITES
        s.threads[thread, column] -= 1
        if s.threads[thread, column] == 0 and s.threads[thread, t.T_REASON] == reason:
            resume(s, thread, now + s.cost[t.L_BARRIER_WAKE])
    free_packet(s, p)
