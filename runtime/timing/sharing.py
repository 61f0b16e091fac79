"""Which rate each flow has: weighted max-min shares of all resources.

A flow gets the same share, times its weight, as every other flow of the resource that
holds it up most. The weight says that routers serve their input ports in turn, not
flows: a flow that joins at a port of its own gets more than one of many behind another
port (`port_fairness`).
"""

from __future__ import annotations

from runtime.timing import tables as t
from runtime.timing.network import finish
from runtime.timing.tables import inner


@inner
def advance(s, now):
    """Let all flows go on at their rates until now."""
    passed = now - s.clock[t.CLOCK_LAST]
    s.clock[t.CLOCK_LAST] = now
    for slot in range(s.counters[t.FLOWS]):
        s.amounts[slot, t.A_LEFT] -= passed * s.amounts[slot, t.A_RATE]


@inner
def finish_flows(s, now):
    """End all flows whose last byte leaves now."""
    advance(s, now)
    slot = s.counters[t.FLOWS] - 1
    while slot >= 0:
        rate = s.amounts[slot, t.A_RATE]
        if rate > 0 and s.amounts[slot, t.A_LEFT] <= t.SAME_TIME * rate:
            finish(s, slot, now)
        slot -= 1
    first_end(s, now)


@inner
def first_end(s, now):
    """Find out which flow ends first."""
    first = t.NEVER
    for slot in range(s.counters[t.FLOWS]):
        rate = s.amounts[slot, t.A_RATE]
        if rate > 0:
            first = min(first, max(s.amounts[slot, t.A_LEFT], 0.0) / rate)
    s.clock[t.CLOCK_NEXT] = now + first


@inner
def next_share(s, now):
    """When rates are shared out anew: now, if what ended freed much of them.

    Among many flows the coming and going of one changes little, and those that begin
    meanwhile catch up.
    """
    if s.clock[t.CLOCK_FREED] > s.clock[t.CLOCK_FREE_LIMIT]:
        return now
    return max(now, s.clock[t.CLOCK_DUE])


@inner
def weight(s, slot):
    """How much of a share a flow gets: less for each busy port it competes with.

    Up to the most loaded link of its route, each link divides by its busy input ports.
    """
    most, at = 0, 0
    for i in range(t.F_FIRST, t.F_FIRST + s.routes[slot, t.F_LINKS]):
        count = s.shares[s.routes[slot, i], t.S_COUNT]
        if count > most:
            most, at = count, i
    value = 1.0
    for i in range(t.F_FIRST, at + 1):
        row = s.shares[s.routes[slot, i]]
        ports = (
            (row[t.S_SAME_AXIS] > 0) + (row[t.S_OTHER_AXIS] > 0) + (row[t.S_LOCAL] > 0)
        )
        if ports == 2:
            value *= s.cost[t.L_TWO_PORTS]
        elif ports == 3:
            value *= s.cost[t.L_THREE_PORTS]
    return value


@inner
def gather(s):
    """Collect the resources that flows share, with the flows of each."""
    touched = 0
    width = s.routes.shape[1]
    for slot in range(s.counters[t.FLOWS]):
        own = weight(s, slot)
        s.amounts[slot, t.A_WEIGHT] = own
        s.amounts[slot, t.A_RATE] = -1.0
        for i in range(t.F_FIRST, s.routes[slot, t.F_END]):
            resource = s.routes[slot, i]
            row = s.shares[resource]
            if resource < t.NIUS * s.sizes.nodes and row[t.S_COUNT] == 1:
                continue
            if row[t.S_OPEN] == 0:
                s.shares[touched, t.S_TOUCHED] = resource
                touched += 1
                rate = s.resources[resource, t.R_RATE]
                turning = row[t.S_SAME_AXIS] > 0 and row[t.S_OTHER_AXIS] > 0
                if row[t.S_WRITES] > 0 and turning:
                    rate *= s.cost[t.L_BLOCKED_WRITES]
                s.resources[resource, t.R_LEFT] = rate
                s.resources[resource, t.R_WEIGHT] = 0.0
                row[t.S_FIRST] = -1
            row[t.S_OPEN] += 1
            s.resources[resource, t.R_WEIGHT] += own
            s.chains[slot * width + i] = row[t.S_FIRST]
            row[t.S_FIRST] = slot * width + i
    return touched


@inner
def fix(s, slot, rate):
    """A flow has its rate: take it from all resources that it loads."""
    s.amounts[slot, t.A_RATE] = rate
    own = s.amounts[slot, t.A_WEIGHT]
    for i in range(t.F_FIRST, s.routes[slot, t.F_END]):
        resource = s.routes[slot, i]
        if s.shares[resource, t.S_OPEN] > 0:
            s.shares[resource, t.S_OPEN] -= 1
            s.resources[resource, t.R_LEFT] -= rate
            s.resources[resource, t.R_WEIGHT] -= own


@inner
def fill(s, touched):
    """Raise all shares together until a resource is full; go on with the others."""
    width = s.routes.shape[1]
    while touched > 0:
        least = t.UNLIMITED
        kept = 0
        for i in range(touched):
            resource = s.shares[i, t.S_TOUCHED]
            if s.shares[resource, t.S_OPEN] > 0:
                s.shares[kept, t.S_TOUCHED] = resource
                kept += 1
                row = s.resources[resource]
                row[t.R_SHARE] = max(row[t.R_LEFT], 0.0) / row[t.R_WEIGHT]
                least = min(least, row[t.R_SHARE])
        touched = kept
        limit = least * t.SAME_SHARE
        for i in range(touched):
            resource = s.shares[i, t.S_TOUCHED]
            own = s.resources[resource, t.R_SHARE]
            if own > limit:
                continue
            entry = s.shares[resource, t.S_FIRST]
            while entry >= 0:
                slot = entry // width
                if s.amounts[slot, t.A_RATE] < 0:
                    fix(s, slot, own * s.amounts[slot, t.A_WEIGHT])
                entry = s.chains[entry]


@inner
def share(s, now):
    """Give all flows new rates; those that began since the last time catch up."""
    advance(s, now)
    fill(s, gather(s))
    total, ends = 0.0, 0.0
    count = s.counters[t.FLOWS]
    for slot in range(count):
        row = s.amounts[slot]
        total += row[t.A_RATE]
        ends += row[t.A_RATE] / s.packets[s.routes[slot, t.F_PACKET], t.P_WIRE]
        if row[t.A_BEGIN] < now:
            row[t.A_LEFT] -= (now - row[t.A_BEGIN]) * row[t.A_RATE]
        row[t.A_BEGIN] = t.NEVER
    first_end(s, now)
    s.clock[t.CLOCK_DUE] = now + (t.PATIENCE * count / ends if count > 0 else 0.0)
    s.clock[t.CLOCK_FREED] = 0.0
    s.clock[t.CLOCK_FREE_LIMIT] = t.PATIENCE * total
    s.counters[t.CHANGED] = 0
