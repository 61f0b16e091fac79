"""The tables of the event loop: what their columns are called.

The loop is compiled, so its state is flat arrays: a row for each thread, core, packet,
queue and resource. All times and durations are cycles. This file also holds the
options of all compiled code, which is spread over `events`, `network` and `threads`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

COMPILER_OPTIONS: dict[str, Any] = {
    "_nrt": False,
    "error_model": "numpy",
    "no_rewrites": True,
}
"""Nothing is allocated, and no division checks for zero."""

_INNER_OPTIONS = {
    **COMPILER_OPTIONS,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}

inner = njit(**_INNER_OPTIONS)
"""Compiles a function that only compiled code calls."""

# Micro-operations: code and five arguments; cycles stand in a table of their own.
DELAY, RESERVE, PUSH, WAIT, POP = range(5)
READ, WRITE, MULTICAST, SEM_MULTICAST = range(5, 9)
SEM_SET, SEM_WAIT, SEM_INC = range(9, 12)
DST_ACQUIRE, DST_COMMIT, DST_WAIT, DST_RELEASE = range(12, 16)
SOURCE_UNPACK, SOURCE_MATH = 16, 17
READ_BARRIER, WRITE_BARRIER, END, UNTIL = range(18, 22)
O_CYCLES, O_PARTS, O_BEGIN, O_END, O_WAIT, CYCLE_COLUMNS = range(6)

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
P_KIND, P_NOC, P_NODE, P_TARGET, P_WIRE, P_THREAD, P_BANK = range(7)
P_NIU, P_NEXT, P_SEQUENCE = range(7, 10)
P_TREE, P_LEFT, P_SEMAPHORE, P_VALUE, P_FLAGS, PACKET_COLUMNS = range(10, 16)
RESPONSE, WRITTEN, CAST, INCREMENT = range(4)
LINKED, COUNTED = 1, 2
F_TAIL, F_RETURN = 0, 1

# Columns of a NIU queue, and of a multicast tree node.
Q_HEAD, Q_TAIL, Q_PENDING, Q_SEQUENCE, Q_LINKED, QUEUE_COLUMNS = range(6)
N_LINK, N_CORE, N_CHILD, N_SIBLING, N_BACK = range(5)
N_NOC, N_SPAN, N_SELF, N_LEAVES = 0, 1, 3, 4  # of the root
NO_RECEIVER, IDLE_RECEIVER = -1, -2  # instead of a core number
WINDOW_SLOTS = 8
LEAST_WAIT = 1.0  # cycles; less is the rounding of back-to-back packets

# First resource of each kind, as a multiple of the number of nodes: links, NIUs (two
# responders, two initiators), sinks, L1 read-outs, DRAM channels.
LINKS, NIUS, SINKS, L1S, CHANNELS = 0, 4, 8, 10, 11

# Columns of a resource; the last row stands for the launch, its time for the end.
R_FREE, R_BYTE_CYCLES, R_LOAD = range(3)

# Reasons to wait, behind the circular buffers and the semaphores.
BY_READS, BY_WRITES, BY_DST, BY_SOURCE, NUM_FIXED_REASONS = range(5)

HEAP, FREE_PACKET, FRESH_PACKET, EVENTS, TRANSFERS = range(5)
LIVE, VERSION, NUM_COUNTERS = range(5, 8)

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
    L_BLOCKED_WRITE,
    NUM_LATENCIES,
) = range(23)


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
