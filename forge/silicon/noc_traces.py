"""NoC captures of a chip: READs and barriers with a timestamp on each.

`noc_traces.csv` names the captures and how long each lasted; the events stand in
`noc_traces/*.json` beside it, as tt-npe publishes them. They run in two ways: with
every READ issued when it was, and self-timed, where only program order, sizes and
barriers are taken and the cost table says how long an instrumented kernel takes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dialects.chip import NocPoint, load_chip
from forge.errors import ForgeError
from forge.silicon.outcome import Bench, LeftOut, Measured, Outcome
from forge.silicon.tables import Row
from runtime.costs import CostTable
from runtime.timing.geometry import geometry_of
from runtime.timing.transfer_list import (
    Operation,
    Processor,
    ProcessorList,
    time_transfers,
)

COLUMNS = ("trace", "measured_span_cycles", "n_writes", "n_fabric")
PROCESSORS = {"BRISC": "riscv0", "NCRISC": "riscv1"}
NOCS = ("NOC_0", "NOC_1")
EVENT_KEYS = ("proc", "sx", "sy", "timestamp")
WHOLE_NUMBERS = ("sx", "sy", "dx", "dy", "num_bytes")


@dataclass(frozen=True)
class Event:
    """One event of a capture; `cycle` counts from the capture's first event."""

    kind: str
    cycle: float
    noc: int
    target: NocPoint
    num_bytes: int


Capture = dict[Processor, list[Event]]
Builder = Callable[[CostTable, Capture], list[ProcessorList]]


def run_measured(bench: Bench) -> Iterator[Outcome]:
    """Spans of the captures with the measured issue times."""
    yield from _run(bench, with_issue_times)


def run_self_timed(bench: Bench) -> Iterator[Outcome]:
    """Spans of the captures from program order, sizes and barriers alone."""
    yield from _run(bench, self_timed)


def _run(bench: Bench, build: Builder) -> Iterator[Outcome]:
    for row in bench.rows("noc_traces.csv", COLUMNS):
        name = Path(row["trace"]).stem
        path = _find(bench.folder, row["trace"])
        if row.integer("n_fabric", may_be_zero=True):
            yield LeftOut(name, "several chips: Ethernet is not modelled")
        elif path is None:
            yield LeftOut(name, "its events are not in the folder")
        elif row.integer("n_writes", may_be_zero=True):
            yield LeftOut(name, "captures of writes have no known form")
        else:
            yield _outcome(bench, row, name, read_capture(path), build)


def _outcome(
    bench: Bench, row: Row, name: str, capture: Capture, build: Builder
) -> Outcome:
    costs = replace(
        bench.costs,
        barrier_wake_cycles=bench.costs.traced_barrier_wake_cycles,
        barrier_check_cycles=bench.costs.traced_barrier_check_cycles,
    )
    timing = time_transfers(build(costs, capture), load_chip("n150"), costs)
    return Measured(name, row.number("measured_span_cycles"), timing.cycles, "cycles")


def _find(folder: Path | None, trace: str) -> Path | None:
    """The events of a capture: `noc_traces/NAME.json`, folders joined by `__`."""
    if folder is None:
        return None
    inside = trace.removeprefix("noc_trace_json/").replace("/", "__")
    for name in (inside, Path(trace).name):
        path = folder / "noc_traces" / name
        if path.is_file():
            return path
    return None


def read_capture(path: Path) -> Capture:
    """The events of each processor, in order.

    Raises `ForgeError` for a file that is not such a list, and for unknown tiles.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ForgeError(
            f"the capture is not JSON: {error}",
            location=str(path),
            advice="use the files of tt-npe's noc_trace_json as they are",
        ) from error
    if not isinstance(raw, list) or not raw:
        raise _malformed(path, 0, "a list of events", type(raw).__name__)
    kept = []
    for number, event in enumerate(raw):
        if not isinstance(event, dict):
            raise _malformed(path, number, "an object", type(event).__name__)
        if not _is_profiler(event):
            _check(path, number, event)
            kept.append(event)
    events: Capture = {}
    first = min((float(event["timestamp"]) for event in kept), default=0.0)
    for event in kept:
        point = NocPoint(event["sx"], event["sy"])
        who = Processor(point, PROCESSORS[event["proc"]])
        events.setdefault(who, []).append(_event(event, first))
    for each in events.values():
        each.sort(key=lambda event: event.cycle)
    return events


def _is_profiler(event: dict[str, Any]) -> bool:
    """Whether this is the profiler's own work, which is on no processor."""
    return str(event.get("zone", "")).startswith("PROFILER")


def _event(event: dict[str, Any], first: float) -> Event:
    return Event(
        kind=event.get("type", f"zone_{event.get('zone_phase', '')}"),
        cycle=event["timestamp"] - first,
        noc=int(str(event.get("noc", "NOC_0"))[-1]),
        target=NocPoint(event.get("dx", -1), event.get("dy", -1)),
        num_bytes=event.get("num_bytes", 0),
    )


def _check(path: Path, number: int, event: dict[str, Any]) -> None:
    """One event has what is needed, and names tiles and sizes that exist."""
    chip = load_chip("n150")
    _check_types(path, number, event)
    points = [("sx", "sy")]
    if event.get("type") == "READ":
        points.append(("dx", "dy"))
        if event.get("num_bytes", -1) <= 0:
            raise _malformed(
                path, number, "more than 0 bytes", str(event.get("num_bytes"))
            )
    for x, y in points:
        column, line = event.get(x, -1), event.get(y, -1)
        if not (0 <= column < chip.noc_columns and 0 <= line < chip.noc_rows):
            raise _malformed(
                path,
                number,
                f"tiles from 0-0 to {chip.noc_columns - 1}-{chip.noc_rows - 1}",
                f"{column}-{line}",
            )


def _check_types(path: Path, number: int, event: dict[str, Any]) -> None:
    """What is needed is there, and is a number or a name that we know."""
    for key in EVENT_KEYS:
        if key not in event:
            raise _malformed(path, number, f"the key '{key}'", ", ".join(event))
    if not isinstance(event["timestamp"], int | float):
        raise _malformed(path, number, "a number of cycles", str(event["timestamp"]))
    for key in WHOLE_NUMBERS:
        if not isinstance(event.get(key, 0), int):
            raise _malformed(path, number, f"a number as '{key}'", str(event[key]))
    for key, names in (("proc", tuple(PROCESSORS)), ("noc", NOCS)):
        if event.get(key, names[0]) not in names:
            raise _malformed(path, number, " or ".join(names), str(event[key]))


def _malformed(path: Path, number: int, limit: str, value: str) -> ForgeError:
    return ForgeError(
        "an event of the capture has no meaning",
        location=f"{path}, event {number + 1}",
        limit=limit,
        value=value,
        advice="use the files of tt-npe's noc_trace_json as they are",
    )


def with_issue_times(_: CostTable, capture: Capture) -> list[ProcessorList]:
    """Every READ at its time; only the last barrier is waited for."""
    lists = []
    for who, events in capture.items():
        reads = [_read(event, issue=event.cycle) for event in events if _is_read(event)]
        barrier = events[-1].kind == "READ_BARRIER_END"
        end = [Operation("read_barrier")] if barrier else []
        lists.append(ProcessorList(who, reads + end, events[0].cycle))
    return lists


def self_timed(costs: CostTable, capture: Capture) -> list[ProcessorList]:
    """Reads and barriers in order, spaced as instrumented kernels are."""
    points = sorted({who.point for who in capture})
    hops = dict(
        zip(points, geometry_of(load_chip("n150")).launch_hops(points), strict=True)
    )
    lists = []
    for who, events in capture.items():
        begin = costs.hop_cycles * hops[who.point]
        if who.name == "riscv1":
            other = capture.get(who._replace(name="riscv0"), ())
            both = any(not event.kind.startswith("zone") for event in other)
            begin += (
                costs.riscv1_after_work_cycles if both else costs.riscv1_begin_cycles
            )
        lists.append(ProcessorList(who, _operations(costs, who, events), begin))
    return lists


def _operations(
    costs: CostTable, who: Processor, events: list[Event]
) -> list[Operation]:
    operations: list[Operation] = []
    before: Event | None = None
    for event in events:
        if not (_is_read(event) or event.kind == "READ_BARRIER_START"):
            continue
        gap = _gap(costs, who, before, event)
        operations.append(Operation("delay", cycles=gap))
        if _is_read(event):
            operations.append(_read(event))
        else:
            operations.append(Operation("read_barrier"))
        before = event
    return operations


def _gap(costs: CostTable, who: Processor, before: Event | None, event: Event) -> float:
    """Cycles between two operations of an instrumented kernel."""
    if before is None:
        if _bank(event.target) is not None:
            return costs.traced_bank_start_cycles
        return getattr(costs, f"{who.name}_start_cycles")
    if not _is_read(event):
        of_bank = _bank(before.target) is not None
        return (
            costs.traced_bank_barrier_cycles if of_bank else costs.traced_barrier_cycles
        )
    if not _is_read(before):
        return costs.traced_after_barrier_cycles
    if _bank(event.target) is not None:
        return costs.traced_bank_read_cycles
    same = event.target == before.target
    return costs.traced_read_cycles if same else costs.traced_other_read_cycles


def _is_read(event: Event) -> bool:
    return event.kind == "READ"


def _bank(point: NocPoint) -> int | None:
    endpoints = load_chip("n150").dram_endpoints
    return endpoints.index(point) if point in endpoints else None


def _read(
    event: Event, *, issue: float | None = None, cycles: float = 0.0
) -> Operation:
    bank = _bank(event.target)
    return Operation(
        "read",
        noc=event.noc,
        target=event.target,
        bank=bank,
        num_bytes=event.num_bytes,
        issue=issue,
        cycles=cycles,
    )
