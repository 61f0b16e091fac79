"""`forge bench silicon`: errors of a folder, and folders that are wrong."""

import json
from pathlib import Path

import pytest

from forge.cli import main

Capture = pytest.CaptureFixture[str]

HEADER = "trace,measured_span_cycles,n_writes,n_fabric\n"


def event(name: str, timestamp: int, **more: object) -> dict[str, object]:
    """An event of processor NCRISC on tile 1-1."""
    return {
        "proc": "NCRISC",
        "noc": "NOC_0",
        "sx": 1,
        "sy": 1,
        "dx": -1,
        "dy": -1,
        "num_bytes": 0,
        "type": name,
        "timestamp": timestamp,
        **more,
    }


READ = {"dx": 2, "dy": 1, "num_bytes": 2048}
EVENTS = [
    event("READ", 1000, **READ),
    event("READ_BARRIER_START", 1100),
    event("READ_BARRIER_END", 1300),
]


def folder(tmp_path: Path, events: object, span: str = "300") -> Path:
    """A folder with one capture."""
    (tmp_path / "noc_traces").mkdir()
    (tmp_path / "noc_traces" / "one.json").write_text(json.dumps(events))
    line = f"noc_trace_json/one.json,{span},0,0\n"
    (tmp_path / "noc_traces.csv").write_text(HEADER + line)
    return tmp_path


def test_a_capture_is_predicted(tmp_path: Path, capsys: Capture) -> None:
    line = ["bench", "silicon", "--family", "noc_traces", "--json"]
    assert main([*line, "--csv", str(folder(tmp_path, EVENTS))]) == 0
    report = json.loads(capsys.readouterr().out)["families"]["noc_traces"]
    (row,) = report["rows"]
    assert row["row"] == "one"
    legs = 10 * 9 + 4 * 6
    by_hand = legs + 40 + 2080 / 28.7 + 40
    assert row["predicted"] == pytest.approx(by_hand, abs=0.1)
    assert report["error_percent"]["mean"] == abs(row["error_percent"])


def test_the_table_shows_errors_and_what_is_left_out(
    tmp_path: Path, capsys: Capture
) -> None:
    where = folder(tmp_path, EVENTS)
    with (where / "noc_traces.csv").open("a") as table:
        table.write("noc_trace_json/two.json,300,0,0\n")
    assert main(["bench", "silicon", "--csv", str(where)]) == 0
    shown = capsys.readouterr().out
    assert "noc_traces_self_timed" in shown
    assert "its events are not in the folder" in shown


@pytest.mark.parametrize(
    ("table", "hints"),
    [
        ("trace,n_writes\na,1\n", ["noc_traces.csv:1", "measured_span_cycles"]),
        (HEADER + "one.json,300\n", ["noc_traces.csv:2", "found: 2 values"]),
        (HEADER + "one.json,-3,0,0\n", ["noc_traces.csv:2", "'-3'", "not negative"]),
        (HEADER + "one.json,long,0,0\n", ["noc_traces.csv:2", "a number"]),
        (HEADER + "one.json,0,0,0\n", ["noc_traces.csv:2", "above zero"]),
        (HEADER + "one.json,nan,0,0\n", ["noc_traces.csv:2", "'nan'"]),
    ],
)
def test_a_wrong_table_names_the_row(
    table: str, hints: list[str], tmp_path: Path, capsys: Capture
) -> None:
    where = folder(tmp_path, EVENTS)
    (where / "noc_traces.csv").write_text(table)
    assert main(["bench", "silicon", "--csv", str(where)]) == 1
    error = capsys.readouterr().err
    assert all(hint in error for hint in hints)


@pytest.mark.parametrize(
    ("wrong", "hints"),
    [
        ({"num_bytes": -4}, ["event 1", "found: -4"]),
        ({"dx": 12}, ["event 1", "found: 12-1", "9-11"]),
        ({"sy": -1}, ["event 1", "found: 1--1"]),
        ({"proc": "TRISC"}, ["event 1", "BRISC or NCRISC"]),
        ({"noc": "NOC_7"}, ["event 1", "NOC_0 or NOC_1"]),
        ({"timestamp": "noon"}, ["event 1", "found: noon"]),
        ({"sx": 1.5}, ["event 1", "'sx'", "found: 1.5"]),
    ],
)
def test_a_wrong_event_is_named(
    wrong: dict[str, object], hints: list[str], tmp_path: Path, capsys: Capture
) -> None:
    events = [{**EVENTS[0], **wrong}, *EVENTS[1:]]
    assert main(["bench", "silicon", "--csv", str(folder(tmp_path, events))]) == 1
    error = capsys.readouterr().err
    assert all(hint in error for hint in hints)


def test_something_else_than_an_event_is_named(tmp_path: Path, capsys: Capture) -> None:
    where = folder(tmp_path, [*EVENTS, "and so on"])
    assert main(["bench", "silicon", "--csv", str(where)]) == 1
    assert "event 4" in capsys.readouterr().err


def test_a_table_that_is_no_text_is_named(tmp_path: Path, capsys: Capture) -> None:
    where = folder(tmp_path, EVENTS)
    (where / "noc_traces.csv").write_bytes(b"\xff\xfe\x00")
    assert main(["bench", "silicon", "--csv", str(where)]) == 1
    assert "noc_traces.csv" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("--family gems", "noc_traces_self_timed"),
        ("--without gravity", "contention"),
        ("--csv no/such/folder", "there is no folder"),
    ],
)
def test_wrong_usage_is_explained(line: str, hint: str, capsys: Capture) -> None:
    assert main(["bench", "silicon", *line.split()]) in (1, 2)
    assert hint in capsys.readouterr().err
