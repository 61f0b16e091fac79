"""The time of a launch: translate, run the event loop, read its tables."""

from __future__ import annotations

import numpy as np

from dialects.chip import Chip, Core, load_chip
from dialects.errors import HazardError
from runtime.costs import CostTable, load_costs
from runtime.launch import Launch
from runtime.timing import tables as t
from runtime.timing.recording import moved_bytes, record
from runtime.timing.result import KernelTiming, LaunchTiming, Link, Load, Port
from runtime.timing.translate import ThreadLabel, Translation
from runtime.timing.workload import (
    WorkloadBuilder,
    run_workload,
    sample_workload,
)

FIXED_REASONS = ("read barrier", "write barrier", "dst", "src")
MAX_LISTED_WAITS = 8

LEAST_WAIT = 1e-6
"""Cycles; less is a rounding error of sums of cycles."""


def time_launch(
    launch: Launch, costs: CostTable | None = None, *, recorded: bool = False
) -> LaunchTiming:
    """Time a launch by running its instruction streams against the chip's model.

    With `recorded`, the result holds what every processor did, step by step. Raises
    `HazardError` where no core can go on, with who waits for what.
    """
    costs = costs or load_costs()
    translation = Translation(launch, costs, recorded=recorded)
    cycles, state = run_workload(translation.builder)
    if state.counters[t.LIVE]:
        raise _stall(translation, state)
    labels = translation.labels
    chip = launch.facts.chip
    reasons = _reasons(launch)
    return LaunchTiming(
        program=launch.facts.name,
        cycles=cycles,
        kernels=_kernels(translation, state),
        dram_read_bytes=translation.dram_bytes["read"],
        dram_written_bytes=translation.dram_bytes["written"],
        noc_bytes=translation.noc_bytes,
        channels=_channels(translation, state),
        links=_links(chip, state),
        ports=_ports(chip, state),
        fpu_busy_cycles=sum(label.fpu_cycles for label in labels),
        num_transfers=int(state.counters[t.TRANSFERS]),
        num_events=int(state.counters[t.EVENTS]),
        recording=record(translation, state, reasons) if recorded else None,
    )


def estimate_cycles(
    launch: Launch, costs: CostTable | None = None, *, transfers: int, whole: int = 0
) -> float:
    """Cycles of a launch, for comparing many: a long one is run in part only.

    Of a launch with more `transfers` only so many are run, unless the `whole` of it is
    no more than that; the rest is taken to go on at the pace of the later half of them.
    Raises as `time_launch`.
    """
    translation = Translation(launch, costs or load_costs())
    builder = translation.builder
    cycles, state = sample_workload(builder, transfers=transfers, whole=whole)
    if state.counters[t.LIVE] and state.counters[t.FINISHED] < transfers:
        raise _stall(translation, state)
    return cycles


def warm_up() -> None:
    """Have the event loop compiled, so that this and later processes find it so."""
    builder = WorkloadBuilder(load_chip("n150"), load_costs(), [Core(0, 0)])
    builder.thread(Core(0, 0))
    run_workload(builder)


def _reasons(launch: Launch) -> tuple[str, ...]:
    buffers = [f"cb {b.name}" for b in launch.circular_buffers]
    semaphores = [f"semaphore {name}" for name in launch.semaphore_names]
    return (*buffers, *semaphores, *FIXED_REASONS)


def _kernels(translation: Translation, state: t.State) -> tuple[KernelTiming, ...]:
    reasons = _reasons(translation.launch)
    moved = moved_bytes(translation, state).tolist()
    kernels = []
    for number, label in enumerate(translation.labels):
        begin = translation.builder.threads[number].start
        end = float(state.waits[number, t.C_END])
        waits = state.waits[number, t.C_WAITS :]
        waiting = {
            reasons[i]: float(waits[i]) for i in np.flatnonzero(waits > LEAST_WAIT)
        }
        busy = end - begin - float(waits.sum())
        kernels.append(
            KernelTiming(
                label.core,
                label.kernel,
                label.processor,
                begin,
                end,
                busy,
                waiting,
                label.fpu_cycles,
                *moved[number],
            )
        )
    return tuple(kernels)


def _loads(state: t.State, first: int, stop: int) -> list[tuple[int, Load]]:
    """The resources of a range that carried any, by their number in it."""
    rows = state.resources[first:stop]
    return [
        (
            int(i),
            Load(
                int(rows[i, t.R_LOAD]),
                float(rows[i, t.R_LOAD] / rows[i, t.R_RATE]),
            ),
        )
        for i in np.flatnonzero(rows[:, t.R_LOAD])
    ]


def _channels(translation: Translation, state: t.State) -> tuple[Load, ...]:
    """The load of every DRAM channel."""
    first = t.CHANNELS * state.sizes.nodes
    loads = dict(_loads(state, first, len(state.resources)))
    num_banks = translation.launch.facts.chip.num_dram_banks
    return tuple(loads.get(bank, Load(0, 0.0)) for bank in range(num_banks))


def _links(chip: Chip, state: t.State) -> dict[Link, Load]:
    """The load of every link that carried any."""
    nodes, links = state.sizes.nodes, {}
    for number, load in _loads(state, t.LINKS * nodes, t.NIUS * nodes):
        tile, axis = divmod(number, 2)
        noc, node = divmod(tile, nodes)
        row, column = divmod(node, chip.noc_columns)
        direction = (("right", "down"), ("left", "up"))[noc][axis]
        links[Link(noc, column, row, direction)] = load
    return links


_PORTS = (
    ("read responder", 0),
    ("read responder", 1),
    ("initiator", 0),
    ("initiator", 1),
    ("sink", 0),
    ("sink", 1),
    ("L1 read-out", None),
)
"""The ports of a node, in the order of the table of resources."""


def _ports(chip: Chip, state: t.State) -> dict[Port, Load]:
    """The load of every port that carried any."""
    nodes, ports = state.sizes.nodes, {}
    for number, load in _loads(state, t.NIUS * nodes, t.CHANNELS * nodes):
        place, node = divmod(number, nodes)
        row, column = divmod(node, chip.noc_columns)
        ports[Port(*_PORTS[place], column, row)] = load
    return ports


def _stall(translation: Translation, state: t.State) -> HazardError:
    """Who waits for what, where nothing can happen any more."""
    launch = translation.launch
    stuck = np.flatnonzero(state.threads[:, t.T_ENDED] == 0)
    lines = [
        _wait_of(launch, translation.labels[i], state, int(i))
        for i in stuck[:MAX_LISTED_WAITS]
    ]
    more = len(stuck) - MAX_LISTED_WAITS
    if more > 0:
        lines.append(f"and {more} more")
    return HazardError(
        f"program @{launch.facts.name} cannot go on: "
        f"{len(stuck)} processors wait and nothing is under way",
        value="; ".join(lines),
        advice="a push, pop or signal is missing, or comes in the wrong order",
    )


def _wait_of(launch: Launch, label: ThreadLabel, state: t.State, thread: int) -> str:
    reason = _reasons(launch)[state.threads[thread, t.T_REASON]]
    _, subject, amount, *_ = state.ops[state.threads[thread, t.T_PC]]
    code = state.ops[state.threads[thread, t.T_PC], 0]
    words = state.cores[state.threads[thread, t.T_CORE], t.K_WORDS :]
    who = f"{label.kernel} ({label.processor}) on {label.core}"
    if code in (t.WAIT, t.RESERVE):
        received, acknowledged, capacity = words[3 * subject : 3 * subject + 3]
        held = received - acknowledged
        there = held if code == t.WAIT else capacity - held
        what = "pages" if code == t.WAIT else "free pages"
        return f"{who} waits for {amount} {what} of {reason}, {there} are there"
    if code == t.SEM_WAIT:
        value = words[3 * len(launch.circular_buffers) + subject]
        return f"{who} waits for {reason} to be {amount}, it is {value}"
    return f"{who} waits for {reason}"
