"""Packets on the NoCs as flows: each has a rate, which changes when others come or go.

A packet of a read, write or multicast waits in the queue of the NIU that sends it; the
first few of the queue flow at once (`response_window_packets`). A flow loads every
resource on its way: NIU out, links, NIU in, L1 read-out, DRAM channel. `sharing` says
at which rate it flows; here is what happens before the first and after the last byte.
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
def ready(s, p, now):
    """A packet joins the queue of its NIU."""
    niu = s.packets[p, t.P_NIU]
    queue = s.shares[t.NIUS * s.sizes.nodes + niu]
    if queue[t.Q_HEAD] < 0:
        queue[t.Q_HEAD] = p
    else:
        s.packets[queue[t.Q_TAIL], t.P_NEXT] = p
    queue[t.Q_TAIL] = p
    send_next(s, niu, now)


@inner
def send_next(s, niu, now):
    """Let the first packets of a queue flow, as many as its window allows.

    A multicast goes alone: a NIU that holds a path begins nothing else on that NoC
    (wormhole.md section 4.2).
    """
    queue = s.shares[t.NIUS * s.sizes.nodes + niu]
    responds = niu < 2 * s.sizes.nodes
    window = s.cost[t.L_RESPONSE_WINDOW if responds else t.L_WRITE_WINDOW]
    while queue[t.Q_HEAD] >= 0 and queue[t.Q_ACTIVE] < window:
        p = queue[t.Q_HEAD]
        is_cast = s.packets[p, t.P_KIND] == t.CAST
        if is_cast and queue[t.Q_ACTIVE] > 0:
            return
        queue[t.Q_HEAD] = s.packets[p, t.P_NEXT]
        queue[t.Q_ACTIVE] += t.ALONE if is_cast else 1
        if is_cast:
            push(s, now + reservation(s, p), t.START | p << t.EVENT_BITS)
        else:
            start(s, p, now)


@inner
def reservation(s, p):
    """Cycles until a multicast has its path: few if the packet before kept it."""
    packet = s.packets[p]
    queue = s.shares[t.NIUS * s.sizes.nodes + packet[t.P_NIU]]
    tree = packet[t.P_TREE]
    kept = queue[t.Q_LINKED] == tree
    queue[t.Q_LINKED] = tree if packet[t.P_FLAGS] & t.LINKED else -1
    return float(s.trees[tree, t.N_LINKED if kept else t.N_RESERVE])


@inner
def start(s, p, now):
    """A packet begins to flow: put down what it loads."""
    slot = s.counters[t.FLOWS]
    s.counters[t.FLOWS] = slot + 1
    s.routes[slot, t.F_PACKET] = p
    packet = s.packets[p]
    s.amounts[slot, t.A_LEFT] = packet[t.P_WIRE]
    s.amounts[slot, t.A_RATE] = 0.0
    s.amounts[slot, t.A_BEGIN] = now
    if packet[t.P_KIND] == t.CAST:
        if packet[t.P_FLAGS] & t.BUSY:
            s.amounts[slot, t.A_LEFT] *= s.cost[t.L_BUSY_CAST]
        load_tree(s, slot, p)
    else:
        load_route(s, slot, p)
    for i in range(t.F_FIRST, s.routes[slot, t.F_END]):
        resource = s.routes[slot, i]
        s.resources[resource, t.R_LOAD] += packet[t.P_WIRE]
        s.shares[resource, t.S_COUNT] += 1
    count_ports(s, slot, 1)
    s.counters[t.CHANGED] = 1


@inner
def add_resource(s, slot, resource):
    """Append to what a flow loads."""
    end = s.routes[slot, t.F_END]
    s.routes[slot, end] = resource
    s.routes[slot, t.F_END] = end + 1


@inner
def load_route(s, slot, p):
    """The links of a route, in order, then memory and both NIUs."""
    nodes = s.sizes.nodes
    packet = s.packets[p]
    noc, node, target = packet[t.P_NOC], packet[t.P_NODE], packet[t.P_TARGET]
    s.routes[slot, t.F_END] = t.F_FIRST
    link = s.graph[(noc * nodes + node) * nodes + target]
    while link >= 0:
        add_resource(s, slot, link)
        link = s.graph[(noc * nodes + link_end(s, link)) * nodes + target]
    s.routes[slot, t.F_LINKS] = s.routes[slot, t.F_END] - t.F_FIRST
    add_resource(s, slot, t.NIUS * nodes + packet[t.P_NIU])
    add_resource(s, slot, t.SINKS * nodes + noc * nodes + target)
    bank = packet[t.P_BANK]
    if bank >= 0:
        add_resource(s, slot, t.CHANNELS * nodes + bank)
        if packet[t.P_KIND] == t.WRITTEN:
            s.amounts[slot, t.A_LEFT] *= s.cost[t.L_DRAM_WRITE_FACTOR]
    if bank < 0 or packet[t.P_KIND] == t.WRITTEN:
        add_resource(s, slot, t.L1S * nodes + node)


@inner
def load_tree(s, slot, p):
    """The links of a multicast's tree, the NIUs of its receivers, and its own."""
    nodes = s.sizes.nodes
    packet = s.packets[p]
    root = packet[t.P_TREE]
    s.routes[slot, t.F_END] = t.F_FIRST
    s.routes[slot, t.F_LINKS] = 0
    add_resource(s, slot, t.NIUS * nodes + packet[t.P_NIU])
    add_resource(s, slot, t.L1S * nodes + packet[t.P_NODE])
    for row in range(root + 1, root + 1 + s.trees[root, t.N_ROWS]):
        if s.trees[row, t.N_LINK] >= 0:
            add_resource(s, slot, s.trees[row, t.N_LINK])
        if s.trees[row, t.N_CORE] != t.NO_RECEIVER:
            sink = t.SINKS * nodes + packet[t.P_NOC] * nodes + s.trees[row, t.N_NODE]
            add_resource(s, slot, sink)


@inner
def count_ports(s, slot, change):
    """A flow uses input ports of its links, or no longer does.

    An input of a link is the link before it, along the same axis or the other, or the
    NIU of its node.
    """
    before = -1
    is_write = s.packets[s.routes[slot, t.F_PACKET], t.P_KIND] == t.WRITTEN
    writes = change if is_write else 0
    for i in range(t.F_FIRST, t.F_FIRST + s.routes[slot, t.F_LINKS]):
        link = s.routes[slot, i]
        port = t.S_LOCAL
        if before >= 0:
            port = t.S_SAME_AXIS if (before ^ link) & 1 == 0 else t.S_OTHER_AXIS
        s.shares[link, port] += change
        s.shares[link, t.S_WRITES] += writes
        before = link


@inner
def finish(s, slot, now):
    """The last byte of a flow has left its NIU: take its load away."""
    p = s.routes[slot, t.F_PACKET]
    s.clock[t.CLOCK_FREED] += s.amounts[slot, t.A_RATE]
    for i in range(t.F_FIRST, s.routes[slot, t.F_END]):
        s.shares[s.routes[slot, i], t.S_COUNT] -= 1
    count_ports(s, slot, -1)
    last = s.counters[t.FLOWS] - 1
    s.counters[t.FLOWS] = last
    if slot != last:
        for column in range(t.AMOUNT_COLUMNS):
            s.amounts[slot, column] = s.amounts[last, column]
        for i in range(s.routes[last, t.F_END]):
            s.routes[slot, i] = s.routes[last, i]
    s.counters[t.CHANGED] = 1
    deliver(s, p, now)
    niu = s.packets[p, t.P_NIU]
    ended = t.ALONE if s.packets[p, t.P_KIND] == t.CAST else 1
    s.shares[t.NIUS * s.sizes.nodes + niu, t.Q_ACTIVE] -= ended
    send_next(s, niu, now)


@inner
def deliver(s, p, now):
    """From the last byte on its way until the issuer knows."""
    packet = s.packets[p]
    if packet[t.P_KIND] == t.CAST:
        deliver_cast(s, p, now)
        return
    arrival = now + leg(s, packet[t.P_NOC], packet[t.P_NODE], packet[t.P_TARGET])
    if packet[t.P_KIND] == t.WRITTEN:
        arrival += s.times[p]
    push(s, arrival, t.DONE | p << t.EVENT_BITS)


@inner
def deliver_cast(s, p, now):
    """A multicast reaches its receivers: flags are raised, acknowledgements return."""
    packet = s.packets[p]
    root, noc, source = packet[t.P_TREE], packet[t.P_NOC], packet[t.P_NODE]
    answer = s.cost[t.L_L1_ACCESS] + packet[t.P_WIRE] * s.cost[t.L_WRITE_TAIL]
    last = 0.0
    for row in range(root + 1, root + 1 + s.trees[root, t.N_ROWS]):
        core = s.trees[row, t.N_CORE]
        if core == t.NO_RECEIVER:
            continue
        node = s.trees[row, t.N_NODE]
        landed = now + leg(s, noc, source, node)
        last = max(last, landed + answer + leg(s, noc, node, source))
        if packet[t.P_SEMAPHORE] >= 0 and core >= 0:
            subject = p | row << t.SUBJECT_BITS
            push(s, landed, t.LAND | subject << t.EVENT_BITS)
    push(s, last, t.DONE | p << t.EVENT_BITS)


@inner
def land(s, p, row, now):
    """A multicast flag has arrived at one core."""
    packet = s.packets[p]
    core = s.trees[row, t.N_CORE]
    set_semaphore(s, core, packet[t.P_SEMAPHORE], packet[t.P_VALUE], now)


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
        left = s.threads[thread, column]
        if kind == t.RESPONSE and packet[t.P_FLAGS] > 0:
            s.threads[thread, column + packet[t.P_FLAGS]] -= 1
            left = s.threads[thread, column + packet[t.P_FLAGS]]
        if left == 0 and s.threads[thread, t.T_REASON] == reason:
            resume(s, thread, now + s.cost[t.L_BARRIER_WAKE])
    free_packet(s, p)
