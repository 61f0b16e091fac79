"""Threads of micro-operations, as the event loop takes them, and their builder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dialects.chip import Chip, Core, NocPoint
from dialects.program import Tensor
from runtime.costs import CostTable
from runtime.timing import tables as t
from runtime.timing.geometry import Geometry, geometry_of
from runtime.timing.loop import run_events
from runtime.timing.thread_builder import Rows, ThreadBuilder

_END = Rows(np.array([[t.END, 0, 0, 0, 0, 0]]), np.zeros((1, 2)), np.array([-1]))

Place = int
"""Where a transfer goes: a node, or `num_nodes + bank` for a DRAM bank."""


class WorkloadBuilder:
    """Collects cores, threads and transfers; `State` tables come out of it.

    `capacities` are the pages of each circular buffer, `semaphores` initial values;
    both are the same on every core.
    """

    def __init__(
        self,
        chip: Chip,
        costs: CostTable,
        cores: Sequence[Core] | Sequence[NocPoint],
        *,
        capacities: Sequence[int] = (),
        semaphores: Sequence[int] = (),
        dst_banks: int = 2,
        recorded: bool = False,
    ):
        self.chip = chip
        self.costs = costs
        self.cores = tuple(cores)
        self.core_number = {core: i for i, core in enumerate(self.cores)}
        self.capacities = tuple(capacities)
        self.semaphores = tuple(semaphores)
        self.dst_banks = dst_banks
        self.recorded = recorded
        self.starts: list[int] = []
        self.geometry: Geometry = geometry_of(chip)
        self.threads: list[ThreadBuilder] = []
        self._places = [np.array(self.geometry.dram_nodes, np.int64)]
        self._num_places = len(self.geometry.dram_nodes)
        self._trees: dict[tuple[int, int, tuple[Core | NocPoint, ...]], int] = {}
        self._tree_rows: list[tuple[int, ...]] = []

    def thread(self, core: Core | NocPoint, start: float = 0.0) -> ThreadBuilder:
        """Begin a thread; those of one core must follow each other."""
        thread = ThreadBuilder(self, self.core_number[core], start)
        self.threads.append(thread)
        return thread

    def bank_place(self, bank: int) -> Place:
        """The place of a DRAM bank."""
        return self.geometry.num_nodes + bank

    def core_place(self, core: Core) -> Place:
        """The place of a core's L1."""
        return self.geometry.worker_node(core)

    def places(self, tensor: Tensor, pages: np.ndarray) -> np.ndarray:
        """The places of pages of a tensor."""
        numbers = pages
        if tensor.shards is not None:
            numbers = tensor.shard_owners(pages, self.chip.grid)
        if tensor.memory == "dram":
            banks = (numbers + tensor.first_bank) % self.chip.num_dram_banks
            return banks + self.bank_place(0)
        owners = np.array(self.geometry.worker_nodes, np.int64)
        return owners[(numbers + tensor.first_bank) % len(owners)]

    def add_places(self, places: np.ndarray) -> int:
        """Append the targets of transfers; the index of the first."""
        first = self._num_places
        self._places.append(places)
        self._num_places += len(places)
        return first

    def tree(self, noc: int, core: int, receivers: tuple[Core | NocPoint, ...]) -> int:
        """The number of a multicast tree, built once for equal paths."""
        key = (noc, core, receivers)
        if key not in self._trees:
            self._trees[key] = len(self._tree_rows)
            self._add_tree(noc, core, receivers)
        return self._trees[key]

    def _add_tree(
        self, noc: int, core: int, receivers: tuple[Core | NocPoint, ...]
    ) -> None:
        source = self.geometry.node_of(self.cores[core])
        nodes = {
            self.geometry.node_of(r): self.core_number.get(r, t.IDLE_RECEIVER)
            for r in receivers
        }
        span = self.geometry.span([*nodes])
        rows = self.geometry.tree(noc, source, nodes)
        reserve, linked = self._path_cycles(span, len(nodes), source in nodes)
        self._tree_rows.append((noc, len(rows), round(reserve), round(linked)))
        self._tree_rows += [(*row, 0) for row in rows]

    def _path_cycles(
        self, span: int, receivers: int, loopback: bool
    ) -> tuple[float, float]:
        """Cycles until a multicast has its path, and until a linked one goes on."""
        costs = self.costs
        if loopback:
            reserve = costs.loopback_reserve_cycles
            reserve += costs.loopback_reserve_cycles_per_hop * span
            linked = costs.loopback_linked_cycles_per_core * receivers
            return reserve, linked
        reserve = costs.multicast_reserve_cycles
        reserve += costs.multicast_reserve_cycles_per_hop * span
        return reserve, costs.multicast_linked_cycles

    # -- tables ----------------------------------------------------------------

    def state(self) -> t.State:
        """The tables of a run, with the first event of every thread."""
        g, costs = self.geometry, self.costs
        sizes = t.Sizes(g.num_nodes, len(self.capacities), len(self.semaphores))
        places = np.concatenate(self._places)
        ops, cycles, starts = self._operations()
        packets, flags = self._bounds(ops, starts)
        heap = packets + flags + len(self.threads) + 1
        flows, width = self._flow_bounds(packets)
        resources = self._resource_table()
        reasons = sizes.buffers + sizes.semaphores + t.NUM_FIXED_REASONS
        state = t.State(
            sizes=sizes,
            cost=_latencies(costs),
            ops=ops,
            cycles=cycles,
            places=places,
            trees=_table(self._tree_rows, t.TREE_COLUMNS),
            graph=g.table,
            threads=self._thread_table(starts),
            waits=self._wait_table(reasons),
            cores=self._core_table(),
            packets=np.empty((packets, t.PACKET_COLUMNS), np.int64),
            times=np.empty(packets),
            resources=resources,
            shares=self._share_table(len(resources)),
            routes=np.empty((flows, width), np.int64),
            amounts=np.zeros((flows, t.AMOUNT_COLUMNS)),
            chains=np.empty(flows * width, np.int64),
            clock=np.zeros(t.NUM_CLOCKS),
            heap=np.empty((heap, 2)),
            counters=np.zeros(t.NUM_COUNTERS, np.int64),
        )
        state.counters[t.FREE_PACKET] = -1
        state.counters[t.PAUSE] = np.iinfo(np.int64).max
        state.clock[t.CLOCK_NEXT] = t.NEVER
        state.counters[t.LIVE] = len(self.threads)
        self._first_events(state)
        return state

    def _operations(self) -> tuple[np.ndarray, np.ndarray, list[int]]:
        """Micro-operations and their cycles, and the first row of each thread.

        Threads that execute the same share rows, unless each is to be recorded.
        """
        operations: list[np.ndarray] = []
        cycles: list[np.ndarray] = []
        starts: list[int] = []
        known: dict[int, int] = {}
        end = 0
        for thread in self.threads:
            rows = thread.rows()
            key = len(starts) if self.recorded else id(rows)
            if key not in known:
                known[key] = end
                operations += [rows.operations, _END.operations]
                cycles += [rows.cycles, _END.cycles]
                end += len(rows.operations) + 1
            starts.append(known[key])
        table = np.zeros((end, t.CYCLE_COLUMNS))
        table[:, :2] = np.concatenate(cycles)
        self.starts = starts
        return np.concatenate(operations), table, starts

    def _bounds(self, ops: np.ndarray, starts: list[int]) -> tuple[int, int]:
        """How many packets and multicast flags can be under way at most."""
        first, threads = np.unique(starts, return_counts=True)
        times = np.repeat(threads, np.diff(np.append(first, len(ops))))
        code = ops[:, 0]
        transfers = np.where(np.isin(code, (t.READ, t.WRITE)), ops[:, 2], 0)
        single = int((times * (transfers + (code == t.SEM_INC))).sum())
        sent = np.isin(code, (t.MULTICAST, t.SEM_MULTICAST))
        casts, times = ops[sent], times[sent]
        sizes = np.where(casts[:, 0] == t.MULTICAST, casts[:, 2], 1)
        parts = -(-sizes // np.maximum(casts[:, 4], 1))
        roots = np.array([*self._trees.values(), len(self._tree_rows)])
        lengths = np.diff(roots)[np.searchsorted(roots, casts[:, 1])]
        flags = casts[:, 0] == t.SEM_MULTICAST
        return single + int((times * parts).sum()) + 1, int(
            (times * lengths)[flags].sum()
        )

    def _flow_bounds(self, packets: int) -> tuple[int, int]:
        """How many packets flow at once at most, and how much a row of one holds."""
        windows = self.costs.response_window_packets + self.costs.write_window_packets
        flows = min(packets, int(2 * self.geometry.num_nodes * windows))
        longest = max((row[t.N_ROWS] for row in self._tree_roots()), default=0)
        route = self.geometry.columns + self.geometry.rows
        return flows, t.F_FIRST + 4 + max(route, 2 * longest)

    def _tree_roots(self) -> list[tuple[int, ...]]:
        return [self._tree_rows[first] for first in self._trees.values()]

    def _thread_table(self, starts: list[int]) -> np.ndarray:
        table = np.zeros((len(self.threads), t.THREAD_COLUMNS), np.int64)
        table[:, t.T_PC] = starts
        table[:, t.T_CORE] = [thread.core for thread in self.threads]
        table[:, t.T_REASON] = -1
        return table

    def _core_table(self) -> np.ndarray:
        num_buffers = len(self.capacities)
        words = t.K_WORDS + 3 * num_buffers + len(self.semaphores)
        table = np.zeros((len(self.cores), words), np.int64)
        table[:, t.K_NODE] = [self.geometry.node_of(c) for c in self.cores]
        owners = [thread.core for thread in self.threads]
        for core in range(len(self.cores)):
            mine = [i for i, owner in enumerate(owners) if owner == core]
            if mine:
                table[core, t.K_FIRST], table[core, t.K_STOP] = mine[0], mine[-1] + 1
        table[:, t.K_DST_FREE] = self.dst_banks
        behind = t.K_WORDS + 3 * num_buffers
        table[:, t.K_WORDS + 2 : behind : 3] = self.capacities
        table[:, behind:] = self.semaphores
        return table

    def _share_table(self, resources: int) -> np.ndarray:
        nodes = self.geometry.num_nodes
        table = np.zeros((resources, t.SHARE_COLUMNS), np.int64)
        nius = table[t.NIUS * nodes : t.SINKS * nodes]
        nius[:, [t.Q_HEAD, t.Q_TAIL, t.Q_LINKED]] = -1
        return table

    def _wait_table(self, reasons: int) -> np.ndarray:
        table = np.zeros((len(self.threads), t.C_WAITS + reasons))
        table[:, : t.C_WAITS] = -1.0
        return table

    def _resource_table(self) -> np.ndarray:
        """Bytes a cycle of links, NIUs out and in, L1 read-outs and channels."""
        nodes, costs = self.geometry.num_nodes, self.costs
        rates = np.empty(t.CHANNELS * nodes + len(self.geometry.dram_nodes))
        rates[t.CHANNELS * nodes :] = costs.dram_read_bytes_per_cycle
        for first, stop, rate in (
            (t.LINKS, t.NIUS, costs.link_bytes_per_cycle),
            (t.NIUS, t.NIUS + 2, costs.responder_bytes_per_cycle),
            (t.NIUS + 2, t.SINKS, costs.initiator_bytes_per_cycle),
            (t.SINKS, t.L1S, costs.sink_bytes_per_cycle),
            (t.L1S, t.CHANNELS, costs.l1_read_bytes_per_cycle),
        ):
            rates[first * nodes : stop * nodes] = rate
        table = np.zeros((len(rates), t.RESOURCE_COLUMNS))
        table[:, t.R_RATE] = rates
        return table

    def _first_events(self, state: t.State) -> None:
        order = sorted(range(len(self.threads)), key=lambda i: self.threads[i].start)
        for place, thread in enumerate(order):
            state.heap[place, 0] = self.threads[thread].start
            state.heap[place, 1] = t.RUN | thread << t.EVENT_BITS
        state.counters[t.HEAP] = len(order)


def run_workload(builder: WorkloadBuilder) -> tuple[float, t.State]:
    """Run threads as they stand; cycles until the last end, and the tables."""
    state = builder.state()
    run_events(state)
    return float(state.clock[t.CLOCK_END]), state


def sample_workload(
    builder: WorkloadBuilder, *, transfers: int, whole: int = 0
) -> tuple[float, t.State]:
    """Run so many transfers, and go on at the pace of the second half of them.

    Whichever is slower then, transfers or unpacking: where buffers are deep, the one
    may be far ahead of the other. Cycles until the last end as `run_workload` has them
    where there are fewer transfers, or not more than the `whole`.
    """
    state = builder.state()
    total = len(state.packets) - 1
    if total <= whole:
        transfers = total + 1
    unpacking = _Unpacking(state)
    moments = []
    for limit in (transfers // 2, transfers):
        state.counters[t.PAUSE] = limit
        run_events(state)
        now, finished = state.clock[t.CLOCK_NOW], state.counters[t.FINISHED]
        moments.append((float(now), int(finished), unpacking.left(state)))
    if state.counters[t.FINISHED] < transfers:
        return float(state.clock[t.CLOCK_END]), state
    (begin, before, left_before), (end, after, left) = moments
    rest = (total - after) / (after - before)
    unpacked = float((left_before - left).mean()) if left.any() else 0.0
    if unpacked > 0:
        rest = max(rest, float(left.max() / unpacked))
    return end + (end - begin) * rest, state


class _Unpacking:
    """What unpackers have to do, in cycles of their own, waiting left out."""

    def __init__(self, state: t.State):
        codes, cycles = state.ops[:, 0], state.cycles[:, t.O_CYCLES]
        own = np.where(codes == t.SOURCE_UNPACK, cycles, 0.0)
        self._until = np.concatenate([[0.0], np.cumsum(own)])
        ends = np.flatnonzero(codes == t.END)
        first = state.threads[:, t.T_PC].copy()
        stop = ends[np.searchsorted(ends, first)]
        work = self._until[stop] - self._until[first]
        self._threads, self._stop = np.flatnonzero(work), stop[work > 0]

    def left(self, state: t.State) -> np.ndarray:
        """What is left of each thread that unpacks."""
        place = state.threads[self._threads, t.T_PC]
        return self._until[self._stop] - self._until[place]


_LATENCIES = {
    t.L_HOP: "hop_cycles",
    t.L_NIU: "niu_cycles",
    t.L_HEADER: "header_bytes",
    t.L_L1_ACCESS: "l1_access_cycles",
    t.L_DRAM_READ: "dram_read_cycles",
    t.L_DRAM_WRITE: "dram_write_cycles",
    t.L_WRITE_TAIL: "write_tail_cycles_per_byte",
    t.L_RESPONSE_WINDOW: "response_window_packets",
    t.L_WRITE_WINDOW: "write_window_packets",
    t.L_CB: "cb_operation_cycles",
    t.L_CB_WAKE: "cb_wake_cycles",
    t.L_SEMAPHORE: "semaphore_check_cycles",
    t.L_SEMAPHORE_WAKE: "semaphore_wake_cycles",
    t.L_BARRIER: "barrier_check_cycles",
    t.L_BARRIER_WAKE: "barrier_wake_cycles",
    t.L_ATOMIC: "atomic_cycles",
    t.L_BLOCKED_WRITES: "blocked_write_factor",
    t.L_BUSY_CAST: "multicast_busy_factor",
    t.L_DST: "dst_handshake_cycles",
}


def _latencies(costs: CostTable) -> np.ndarray:
    """The costs that the event loop takes."""
    table = np.zeros(t.NUM_LATENCIES)
    for column, name in _LATENCIES.items():
        table[column] = getattr(costs, name)
    table[t.L_DRAM_WRITE_FACTOR] = (
        costs.dram_read_bytes_per_cycle / costs.dram_write_bytes_per_cycle
    )
    table[t.L_TWO_PORTS] = 2.0**-costs.port_fairness
    table[t.L_THREE_PORTS] = 3.0**-costs.port_fairness
    return table


def _table(rows: Sequence[Sequence[int]], columns: int) -> np.ndarray:
    """Rows of integers as an array, maybe without any row."""
    return np.array(rows, np.int64).reshape(-1, columns)
