"""Streams that cores share take as long as those that each core walks by itself."""

from dataclasses import replace

import numpy as np
import pytest

from dialects.bindings import Bindings
from dialects.chip import load_chip
from dialects.formats import DataFormat
from dialects.program import ProgramFacts, Tensor
from dialects.tensix import RunOp
from runtime.expand import expand_program
from runtime.launch import KernelStream, Launch, Move
from runtime.timing import time_launch
from runtime.timing.page_table import Pages, PageTable
from tests.runtime.netlists import NAMES, load


def unshared(launch: Launch) -> Launch:
    """The launch with a list of instructions for every kernel of every core."""
    streams = {
        core: tuple(
            KernelStream(s.name, s.processor, s.noc, list(s.instructions)) for s in own
        )
        for core, own in launch.streams.items()
    }
    return replace(launch, streams=streams)


@pytest.mark.parametrize("name", NAMES)
def test_shared_streams_take_as_long_as_walked_ones(name: str) -> None:
    bindings, chip = Bindings(load(name)), load_chip("n150")
    for run in bindings.runs:
        assert isinstance(run, RunOp)
        facts = ProgramFacts(bindings.programs[run.program.data], chip)
        launch = expand_program(facts, bindings.tensors(run))
        assert time_launch(launch) == time_launch(unshared(launch))


PACKET = 8192
SHARDED = Tensor(DataFormat.BF16, (128, 128), shards=(1, 4))
PLAIN = Tensor(DataFormat.BF16, (128, 128))


def pages(tensor: Tensor, numbers: list[int], *, size: int = 2048) -> Pages:
    found = np.array(numbers)
    return Pages(0, 7, tensor, found, size, np.arange(len(found)))


def table(transfers: list[Pages], *shifts: int) -> PageTable:
    moves = [{7: Move(tiles=shift)} for shift in shifts]
    return PageTable(transfers, moves, lambda tensor, numbers: numbers % 12)


def test_pages_lie_where_moves_put_them() -> None:
    found = table([pages(PLAIN, [0, 1]), pages(PLAIN, [5])], 0, 8)
    assert found.places.tolist() == [[0, 1, 5], [8, 9, 1]]
    ((cores, packets),) = found.packets(PACKET)
    assert cores.tolist() == [0, 1]
    assert packets.transfer.tolist() == [0, 1]
    assert packets.count.tolist() == [2, 1]
    assert packets.size.tolist() == [2048, 2048]
    assert packets.pages.tolist() == [0, 1, 2]


def test_pages_together_in_a_shard_are_one_transaction() -> None:
    """Columns of shards are one tile wide: 0, 4, 8, 12 lie together, then 1, 5."""
    ((_, packets),) = table([pages(SHARDED, [0, 4, 8, 12, 1, 5])], 0).packets(PACKET)
    assert packets.count.tolist() == [1, 1]
    assert packets.size.tolist() == [PACKET, 2 * 2048]
    assert packets.pages.tolist() == [0, 4]


def test_cores_whose_pages_lie_together_otherwise_send_other_packets() -> None:
    wide = Tensor(DataFormat.BF16, (32, 128), shards=(1, 2))
    found = list(table([pages(wide, [0, 1])], 0, 1, 2).packets(PACKET))
    assert [cores.tolist() for cores, _ in found] == [[0, 2], [1]]
    assert [packets.count.tolist() for _, packets in found] == [[1], [1, 1]]


def test_large_pages_go_in_packets_of_the_largest_size_first() -> None:
    ((_, packets),) = table([pages(PLAIN, [3, 4], size=2 * PACKET + 32)], 0).packets(
        PACKET
    )
    assert packets.count.tolist() == [4, 2]
    assert packets.size.tolist() == [PACKET, 32]
    assert packets.pages.tolist() == [0, 0, 1, 1, 0, 1]
