"""Recordings: what every processor did, against the totals of the same launch."""

import numpy as np
import pytest

from dialects.chip import Core
from runtime.costs import load_costs
from runtime.launch import Launch
from runtime.timing import KernelTiming, LaunchTiming, Recording, time_launch
from runtime.timing.recording import AT_END
from tests.runtime.timing.programs import matmul


@pytest.fixture(scope="module")
def launch() -> Launch:
    return matmul(8, 8, 8, rows=4, columns=4, multicast=True)


@pytest.fixture(scope="module")
def timing(launch: Launch) -> LaunchTiming:
    return time_launch(launch, recorded=True)


def recording_of(timing: LaunchTiming) -> Recording:
    assert timing.recording is not None
    return timing.recording


def rows_of(recording: Recording, kernel: int) -> slice:
    return slice(recording.first[kernel], recording.first[kernel + 1])


def test_nothing_is_recorded_unless_asked_for(launch: Launch, timing: LaunchTiming):
    alone = time_launch(launch)
    assert alone.recording is None
    assert alone == timing


def test_the_steps_are_the_instructions_and_an_end(launch: Launch):
    timing = time_launch(launch, recorded=True)
    recording = recording_of(timing)
    reader = rows_of(recording, 0)
    stream = launch.streams[Core(0, 0)][0].instructions
    assert reader.stop - reader.start == len(stream) + 1
    labels = [recording.labels[i] for i in recording.label[reader]]
    assert labels[:2] == ["cb_reserve_back %w", "noc_async_read %w"]
    assert labels[-1] == AT_END


def test_steps_follow_each_other_without_a_gap(timing: LaunchTiming):
    recording = recording_of(timing)
    for number, kernel in enumerate(timing.kernels):
        rows = rows_of(recording, number)
        begin, end = recording.begin[rows], recording.end[rows]
        assert begin[0] == kernel.begin
        assert end[-1] == kernel.end
        assert end[:-1] == pytest.approx(begin[1:])
        assert np.all(recording.wait[rows] <= end - begin + 1e-6)


def test_the_waiting_of_steps_adds_up_to_that_of_their_kernel(timing: LaunchTiming):
    recording = recording_of(timing)
    for number, kernel in enumerate(timing.kernels):
        rows = rows_of(recording, number)
        found = dict.fromkeys(kernel.waiting, 0.0)
        for reason, wait in zip(
            recording.reason[rows], recording.wait[rows], strict=True
        ):
            if wait > 1e-6:
                found[recording.reasons[reason]] += wait
        assert found == pytest.approx(dict(kernel.waiting))


def test_an_arrow_ends_where_the_signal_it_carries_is_taken(timing: LaunchTiming):
    recording = recording_of(timing)
    sent, taken = recording.arrows.T
    assert {recording.labels[i] for i in recording.label[sent]} == {
        "send %row",
        "send %col",
    }
    assert {recording.labels[i] for i in recording.label[taken]} == {
        "receive %row",
        "receive %col",
    }
    # 4 rows and 4 columns of cores, 8 blocks each, to 3 receivers
    assert len(recording.arrows) == 2 * 4 * 8 * 3
    assert np.all(recording.end[taken] > recording.begin[sent])
    assert len(set(taken.tolist())) == len(taken)
    waited = recording.wait[taken] > 0
    arrival = (recording.begin + recording.wait)[taken]
    assert np.all((arrival > recording.begin[sent])[waited])


def total(kernels: tuple[KernelTiming, ...], name: str) -> int:
    return sum(getattr(kernel, name) for kernel in kernels)


def test_bytes_of_kernels_add_up_to_those_of_the_launch(timing: LaunchTiming):
    for name in ("dram_read_bytes", "dram_written_bytes", "noc_bytes"):
        assert total(timing.kernels, name) == getattr(timing, name) > 0


def test_loads_are_bytes_at_the_rate_of_their_resource(timing: LaunchTiming):
    costs = load_costs()
    for loads, rate in (
        (timing.channels, costs.dram_read_bytes_per_cycle),
        (timing.links.values(), costs.link_bytes_per_cycle),
    ):
        for load in loads:
            assert load.num_bytes == pytest.approx(load.busy_cycles * rate)
            assert 0 <= load.busy_cycles <= timing.cycles


def test_every_byte_read_or_sent_passes_a_sink(timing: LaunchTiming):
    sinks = [load for port, load in timing.ports.items() if port.kind == "sink"]
    assert sum(load.num_bytes for load in sinks) > timing.noc_bytes
