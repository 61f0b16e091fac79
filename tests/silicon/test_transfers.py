"""Transfer lists: what an engineer would try, and files that are wrong."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dialects.chip import NocPoint
from forge.cli import main
from forge.errors import ForgeError
from forge.silicon.transfer_file import read_transfers
from runtime.costs import load_costs, without_effects
from runtime.timing.transfer_list import (
    Operation,
    Processor,
    ProcessorList,
    time_transfers,
)

COSTS = load_costs()
HERE = NocPoint(1, 1)
ROW = [NocPoint(x, 1) for x in (2, 3, 4, 6, 7, 8, 9)]
COLUMN = [NocPoint(1, y) for y in (1, 2, 3, 4, 5, 7, 8, 9)]
READ, WRITE = Operation("read_barrier"), Operation("write_barrier")


def cycles(*operations: Operation, costs=COSTS, point: NocPoint = HERE) -> float:
    """Cycles of one processor alone."""
    return time_transfers(
        [ProcessorList(Processor(point), operations)], costs=costs
    ).cycles


def test_a_multicast_beats_reads_of_the_same_tile_by_all():
    """Eight cores that read a tile of a ninth, against one call of that core."""
    source = NocPoint(2, 1)
    one = Operation("read", target=source, num_bytes=2048)
    readers = [ProcessorList(Processor(p), [one, READ]) for p in COLUMN]
    shared = Operation("multicast", target=COLUMN[0], end=COLUMN[-1], num_bytes=2048)
    sender = [ProcessorList(Processor(source), [shared, WRITE])]
    assert time_transfers(sender).cycles < time_transfers(readers).cycles


@pytest.mark.parametrize("kind", ["read", "write"])
def test_a_longer_way_costs_its_hops(kind):
    """A round trip goes round the torus: 10 hops along a row, 12 along a column."""

    def one(x: int, y: int) -> float:
        transfer = Operation(kind, target=NocPoint(x, y), num_bytes=64)
        return cycles(transfer, Operation(f"{kind}_barrier"))

    assert one(2, 1) == pytest.approx(one(9, 1))
    hop = COSTS.hop_cycles
    assert one(1, 5) - one(2, 1) == pytest.approx(2 * hop)
    assert one(3, 5) - one(1, 5) == pytest.approx(10 * hop)


def test_a_posted_write_is_not_waited_for_until_it_is_there():
    one = Operation("write", target=ROW[0], num_bytes=8192)
    waited, posted = (
        cycles(replace(one, kind=kind), WRITE) for kind in ("write", "posted_write")
    )
    sent = (8192 + 32) / COSTS.initiator_bytes_per_cycle
    assert posted == pytest.approx(sent + COSTS.barrier_wake_cycles)
    assert waited > posted + 10 * COSTS.hop_cycles


def test_an_atomic_takes_a_round_trip():
    trip = cycles(Operation("atomic", target=ROW[0]), WRITE)
    small = cycles(Operation("write", target=ROW[0], num_bytes=32), WRITE)
    assert 10 * COSTS.hop_cycles < trip <= small


def test_twice_the_channel_halves_the_time_of_a_stream():
    stream = Operation("read", bank=1, num_bytes=8192, count=256)
    wide = replace(
        COSTS,
        dram_read_bytes_per_cycle=2 * COSTS.dram_read_bytes_per_cycle,
        link_bytes_per_cycle=90,
        responder_bytes_per_cycle=90,
        sink_bytes_per_cycle=90,
    )
    ratio = cycles(stream, READ) / cycles(stream, READ, costs=wide)
    assert ratio == pytest.approx(2, rel=0.02)


def test_two_streams_over_one_link_take_twice_as_long():
    """From neighbours in a row to one column: they share every link down."""
    first = ProcessorList(
        Processor(NocPoint(1, 1)),
        [Operation("write", target=NocPoint(3, 5), num_bytes=8192, count=64), WRITE],
    )
    second = ProcessorList(
        Processor(NocPoint(2, 1)),
        [Operation("write", target=NocPoint(3, 8), num_bytes=8192, count=64), WRITE],
    )
    alone = time_transfers([first]).cycles
    both = time_transfers([first, second])
    assert both.cycles == pytest.approx(2 * alone, rel=0.05)
    free = without_effects(COSTS, ["contention"])
    assert time_transfers([first, second], costs=free).cycles < 1.05 * alone


def test_an_issue_time_holds_whatever_came_before():
    read = Operation("read", target=ROW[0], num_bytes=8192)
    late = replace(read, issue=5000.0)
    assert cycles(read, READ, late, READ) == pytest.approx(5000 + cycles(read, READ))
    soon = replace(read, issue=100.0)
    assert cycles(read, READ, soon, READ) < 2 * cycles(read, READ)


def test_the_engine_conserves_bytes():
    lists = [
        ProcessorList(
            Processor(point),
            [Operation("read", bank=b, num_bytes=3000, count=7) for b in range(12)],
        )
        for point in ROW
    ]
    timing = time_transfers(lists)
    assert timing.channel_bytes == (len(ROW) * 7 * 3032,) * 12


CSV = """x,y,processor,operation,to_x,to_y,bank,bytes,count
1,1,riscv1,read,,,3,2048,4
1,1,riscv1,read_barrier,,,,,
2,1,riscv0,write,4,5,,512,
2,1,riscv0,write_barrier,,,,,
"""


def test_a_file_is_what_its_rows_say(tmp_path: Path):
    path = tmp_path / "list.csv"
    path.write_text(CSV)
    first, second = read_transfers(path)
    assert first.processor == Processor(HERE, "riscv1")
    assert first.operations == [
        Operation("read", bank=3, num_bytes=2048, count=4),
        READ,
    ]
    assert second.operations[0].target == NocPoint(4, 5)


def test_csv_and_json_are_the_same(tmp_path: Path, capsys):
    keys, *lines = [line.split(",") for line in CSV.splitlines()]
    entries = [{k: v for k, v in zip(keys, line, strict=True) if v} for line in lines]
    (tmp_path / "list.csv").write_text(CSV)
    (tmp_path / "list.json").write_text(json.dumps(entries))
    shown = []
    for name in ("list.csv", "list.json"):
        assert main(["bench", "transfers", str(tmp_path / name), "--json"]) == 0
        shown.append(json.loads(capsys.readouterr().out))
    assert shown[0] == shown[1]
    assert shown[0]["transfers"] == 5
    assert shown[0]["processors"][0]["done at cycle"] == round(shown[0]["cycles"])


@pytest.mark.parametrize(
    ("line", "hints"),
    [
        ("1,1,riscv1,read,,,3,-5,4", ["list.csv:2", "'bytes'", "'-5'"]),
        ("1,1,riscv1,read,,,12,64,4", ["list.csv:2", "'bank'", "0 to 11"]),
        ("1,1,riscv1,read,10,1,,64,4", ["list.csv:2", "'to_x'", "0 to 9"]),
        ("1,1,riscv1,read,,,,64,4", ["list.csv:2", "'to_x'"]),
        ("5,1,riscv1,read,,,3,64,4", ["list.csv:2", "'x'", "a worker tile"]),
        ("1,6,riscv1,read,,,3,64,4", ["list.csv:2", "'y'", "a worker tile"]),
        ("1,1,riscv2,read,,,3,64,4", ["list.csv:2", "riscv0, riscv1"]),
        ("1,1,riscv1,fetch,,,3,64,4", ["list.csv:2", "read, write"]),
        ("1,1,riscv1,read,,,3,64,0", ["list.csv:2", "'count'", "above zero"]),
        ("1,1,riscv1,read,,,3,6.5,1", ["list.csv:2", "a whole number"]),
        ("1,1,riscv1,read,,,3,64", ["list.csv:2", "8 values"]),
        ("1,1,riscv1,atomic,,,3,,", ["list.csv:2", "'bank'", "worker tiles"]),
    ],
)
def test_a_wrong_row_is_named(line: str, hints: list[str], tmp_path: Path):
    path = tmp_path / "list.csv"
    path.write_text(CSV.splitlines()[0] + "\n" + line + "\n")
    with pytest.raises(ForgeError) as error:
        read_transfers(path)
    assert all(hint in str(error.value) for hint in hints), error.value


def test_a_wrong_file_is_named(tmp_path: Path, capsys):
    path = tmp_path / "list.csv"
    path.write_text("x,y,operation\n1,1,read\n")
    assert main(["bench", "transfers", str(path)]) == 1
    assert "lacks the column processor" in capsys.readouterr().err
    (tmp_path / "list.json").write_text('{"x": 1}')
    assert main(["bench", "transfers", str(tmp_path / "list.json")]) == 1
    assert "no list of objects" in capsys.readouterr().err
    assert main(["bench", "transfers", str(tmp_path / "none.csv")]) == 1
    assert "no such file" in capsys.readouterr().err
