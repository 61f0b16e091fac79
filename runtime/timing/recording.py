"""What every processor did, step by step: read off the tables of the event loop.

The loop writes begin, end and waiting of each step into its tables anyway: a recording
costs nothing while the launch is timed, and nothing at all where none is asked for.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from xdsl.ir import Operation

from dialects.syntax import LocalAttr
from runtime.timing import tables as t
from runtime.timing.translate import Translation

NO_REASON = -1
AT_END = "end"
"""Label of the last step of every kernel, which waits for its writes."""


@dataclass(frozen=True, eq=False)
class Recording:
    """Begin, end and waiting of every step of every kernel, in cycles.

    The arrays have a row for each step, in program order. Those of
    `LaunchTiming.kernels[i]` are rows `first[i]` to `first[i + 1]`; one begins where
    the one before ends. Of a step, `wait` cycles at its beginning are waiting for
    `reasons[reason]` (-1: nothing); `labels[label]` is its instruction.
    """

    first: np.ndarray
    begin: np.ndarray
    end: np.ndarray
    wait: np.ndarray
    reason: np.ndarray
    label: np.ndarray
    reasons: tuple[str, ...]
    labels: tuple[str, ...]
    arrows: np.ndarray = field(repr=False)
    """(multicasts x receivers, 2): the step that signals, the one that waits for it."""


def record(
    translation: Translation, state: t.State, reasons: tuple[str, ...]
) -> Recording:
    """The recording of a launch that has run."""
    threads = translation.builder.threads
    lengths = [len(thread.rows().sites) + 1 for thread in threads]
    first = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    end = state.cycles[:, t.O_END].copy()
    end[first[1:] - 1] = state.waits[:, t.C_END]
    label, labels = _labels(translation)
    owner = np.repeat([thread.core for thread in threads], lengths)
    return Recording(
        first=first,
        begin=state.cycles[:, t.O_BEGIN].copy(),
        end=end,
        wait=state.cycles[:, t.O_WAIT].copy(),
        reason=_reasons(state),
        label=label,
        reasons=reasons,
        labels=labels,
        arrows=_arrows(state, owner),
    )


def moved_bytes(translation: Translation, state: t.State) -> np.ndarray:
    """(threads, 3): bytes read from DRAM, written to DRAM, and moved in all.

    Headers are left out; a multicast counts once, whatever the number of receivers.
    """
    ops, nodes = state.ops, state.sizes.nodes
    is_bank = np.concatenate([[0], np.cumsum(state.places >= nodes)])
    code = ops[:, 0]
    moves = np.isin(code, (t.READ, t.WRITE))
    places = np.where(moves[:, None], ops[:, 1:3], 0)
    size = np.where(moves, ops[:, 3] - int(translation.costs.header_bytes), 0)
    in_dram = size * (is_bank[places.sum(1)] - is_bank[places[:, 0]])
    in_all = size * places[:, 1] + np.where(code == t.MULTICAST, ops[:, 2], 0)
    table = np.stack([in_dram * (code == t.READ), in_dram * (code == t.WRITE), in_all])
    starts, which = np.unique(translation.builder.starts, return_inverse=True)
    return np.add.reduceat(table, starts, axis=1).T[which]


def _reasons(state: t.State) -> np.ndarray:
    """What each step may wait for, as the columns of `waits` are numbered."""
    code, subject = state.ops[:, 0], state.ops[:, 1]
    behind = state.sizes.buffers + state.sizes.semaphores
    reason = np.full(len(code), NO_REASON, np.int64)
    for codes, values in (
        ((t.RESERVE, t.WAIT), subject),
        ((t.SEM_WAIT,), state.sizes.buffers + subject),
        ((t.READ_BARRIER,), behind + t.BY_READS),
        ((t.WRITE_BARRIER, t.END), behind + t.BY_WRITES),
        ((t.DST_ACQUIRE, t.DST_WAIT), behind + t.BY_DST),
        ((t.SOURCE_UNPACK, t.SOURCE_MATH), behind + t.BY_SOURCE),
    ):
        reason = np.where(np.isin(code, codes), values, reason)
    return reason


def _labels(translation: Translation) -> tuple[np.ndarray, tuple[str, ...]]:
    """The instruction of each step, by number, and their texts."""
    numbers: dict[str, int] = {AT_END: 0}
    by_site = [
        numbers.setdefault(_label(op), len(numbers)) for op in translation.launch.sites
    ]
    of_site = np.array([*by_site, 0], np.int64)
    sites = [[*thread.rows().sites, -1] for thread in translation.builder.threads]
    return of_site[np.concatenate(sites)], tuple(numbers)


def _label(op: Operation) -> str:
    """An instruction in short: its name, and the first thing that it names."""
    named = [p.write() for p in op.properties.values() if isinstance(p, LocalAttr)]
    return " ".join([op.name.rpartition(".")[2], *named[:1]])


def _arrows(state: t.State, owner: np.ndarray) -> np.ndarray:
    """Each signal sent by multicast, with the step of each receiver that takes it.

    A receiver takes signals in the order in which they are sent.
    """
    ops = state.ops
    sent: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for row in _in_order(state, t.SEM_MULTICAST):
        _, tree, semaphore, value, *_ = ops[row].tolist()
        for core in _receivers(state.trees, tree):
            sent[core, semaphore, value].append(row)
    taken: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for row in _in_order(state, t.SEM_WAIT):
        _, semaphore, value, *_ = ops[row].tolist()
        taken[int(owner[row]), semaphore, value].append(row)
    pairs = [
        pair
        for key, rows in sent.items()
        for pair in zip(rows, taken[key], strict=False)
    ]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _in_order(state: t.State, code: int) -> list[int]:
    """The steps with one code, in the order of their begin."""
    rows = np.flatnonzero(state.ops[:, 0] == code)
    return rows[np.argsort(state.cycles[rows, t.O_BEGIN], kind="stable")].tolist()


def _receivers(trees: np.ndarray, root: int) -> list[int]:
    """Numbers of the cores that a multicast reaches, idle ones left out."""
    rows = trees[root + 1 : root + 1 + trees[root, t.N_ROWS], t.N_CORE]
    return rows[rows >= 0].tolist()
