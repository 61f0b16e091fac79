"""The tables of the event loop: what their columns are called.

The loop is compiled, so its state is flat arrays: a row for each thread, core, packet,
queue and resource. All times and durations are cycles. This file also holds the
options of all compiled code, which is spread over `events`, `network` and `threads`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from dialects.read_ahead import TRANSACTION_IDS

COMPILER_OPTIONS: dict[str, Any] = {
    "_nrt": False,
    "error_model": "numpy",
    "no_rewrites": True,
    "nogil": True,
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
RUN, READY, START, LAND, DONE = range(5)
EVENT_BITS, SUBJECT_BITS = 3, 26

# Columns of a thread, and of its clock.
T_PC, T_CORE, T_REASON, T_WRITES, T_ENDED = range(5)
T_READS = 5  # all, then those of each transaction id but the first
THREAD_COLUMNS = T_READS + TRANSACTION_IDS
C_SINCE, C_END, C_WAITS = 0, 1, 2

# Columns of a core. Behind them: received, acknowledged and capacity of each circular
# buffer, then the semaphores.
K_NODE, K_FIRST, K_STOP, K_DST_FREE, K_DST_READY, K_WORDS = range(6)

# Columns of a packet; its time is what a write's acknowledgement takes.
P_KIND, P_NOC, P_NODE, P_TARGET, P_WIRE, P_THREAD, P_BANK = range(7)
P_NIU, P_NEXT, P_TREE, P_SEMAPHORE, P_VALUE, P_FLAGS, PACKET_COLUMNS = range(7, 14)
RESPONSE, WRITTEN, CAST, INCREMENT = range(4)
LINKED, COUNTED, BUSY = 1, 2, 4
POSTED = 1  # of a write: nobody answers

# Columns of a multicast tree node.
N_LINK, N_CORE, N_NODE, TREE_COLUMNS = 0, 1, 2, 4
N_NOC, N_ROWS, N_RESERVE, N_LINKED = range(4)  # of the root; the last two in cycles
NO_RECEIVER, IDLE_RECEIVER = -1, -2  # instead of a core number

# First resource of each kind, as a multiple of the number of nodes: links, NIUs (two
# responders, two initiators), sinks, L1 read-outs, DRAM channels.
LINKS, NIUS, SINKS, L1S, CHANNELS = 0, 4, 8, 10, 11

# Columns of a resource: bytes a cycle, bytes so far, and while rates are shared out
# what is left, the weight of the flows without a rate, and their share.
R_RATE, R_LOAD, R_LEFT, R_WEIGHT, R_SHARE, RESOURCE_COLUMNS = range(6)

# Its whole numbers: flows, those without a rate yet, the first in the list of its
# flows; and by row, the resources in use. Of a link the flows of each input port and
# those of writes; of a NIU out its queue, what flows of it, the path that it holds.
S_COUNT, S_OPEN, S_FIRST, S_TOUCHED = range(4)
S_SAME_AXIS, S_OTHER_AXIS, S_LOCAL, S_WRITES = range(4, 8)
Q_HEAD, Q_TAIL, Q_ACTIVE, Q_LINKED = range(4, 8)
SHARE_COLUMNS = 8

# Columns of a flow's route: where it ends, how many links it begins with, its packet,
# then the resources.
F_END, F_LINKS, F_PACKET, F_FIRST = range(4)

# Columns of a flow; the moments that the loop remembers.
A_LEFT, A_RATE, A_WEIGHT, A_BEGIN, AMOUNT_COLUMNS = range(5)
CLOCK_LAST, CLOCK_NEXT, CLOCK_DUE, CLOCK_FREED, CLOCK_FREE_LIMIT = range(5)
CLOCK_END, CLOCK_NOW, NUM_CLOCKS = range(5, 8)

ALONE = 64
"""Packets that a multicast counts for in the window of its NIU."""

NEVER = 1e300
UNLIMITED = 1e30
SAME_TIME = 1e-6
"""Cycles between two ends that count as one."""
PATIENCE = 0.1
"""Part of all rates that may be free, and of a packet's time, until rates change."""
SAME_SHARE = 1.02

# Reasons to wait, behind the circular buffers and the semaphores.
BY_READS, BY_WRITES, BY_DST, BY_SOURCE, NUM_FIXED_REASONS = range(5)

HEAP, FREE_PACKET, FRESH_PACKET, EVENTS, TRANSFERS = range(5)
LIVE, VERSION, FLOWS, CHANGED, FINISHED, PAUSE, NUM_COUNTERS = range(5, 12)
"""What the loop counts; it pauses when `PAUSE` transfers are finished."""

# The costs that the loop itself needs, see `costs.toml`.
(
    L_HOP,
    L_NIU,
    L_HEADER,
    L_L1_ACCESS,
    L_DRAM_READ,
    L_DRAM_WRITE,
    L_DRAM_WRITE_FACTOR,
    L_WRITE_TAIL,
    L_RESPONSE_WINDOW,
    L_WRITE_WINDOW,
    L_CB,
    L_CB_WAKE,
    L_SEMAPHORE,
    L_SEMAPHORE_WAKE,
    L_BARRIER,
    L_BARRIER_WAKE,
    L_ATOMIC,
    L_DST,
    L_TWO_PORTS,
    L_BLOCKED_WRITES,
    L_THREE_PORTS,
    L_BUSY_CAST,
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
    resources: np.ndarray
    shares: np.ndarray
    routes: np.ndarray
    amounts: np.ndarray
    chains: np.ndarray
    clock: np.ndarray
    heap: np.ndarray
    counters: np.ndarray
