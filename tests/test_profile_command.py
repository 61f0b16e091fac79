"""`forge profile` as it is typed: what it prints, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import torch

import forge
from forge.cli import main
from tests.runtime.netlists import FOLDER
from tests.test_profile import SCHEMA

Capture = pytest.CaptureFixture[str]
PROGRAM = "linear_relu"


class Layer(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = torch.nn.Linear(128, 256, bias=False, dtype=torch.bfloat16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.up(x))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("profile") / "out"
    x = torch.zeros(64, 128, dtype=torch.bfloat16)
    forge.compile(Layer(), (x,)).save(path)
    return str(path)


def test_the_overview(folder: str, capsys: Capture) -> None:
    assert main(["profile", folder]) == 0
    shown = capsys.readouterr().out
    for word in (PROGRAM, "bound by", "FPU %", "DRAM %", "GHz: 1 launch", "--trace"):
        assert word in shown


def test_a_program_in_detail(folder: str, capsys: Capture) -> None:
    assert main(["profile", folder, "--program", PROGRAM]) == 0
    shown = capsys.readouterr().out
    for word in (
        f"@{PROGRAM}: ",
        "at the roofs:",
        "trisc.math",
        "DRAM bank 11",
        "NoC 0",
    ):
        assert word in shown


def test_a_core_in_detail(folder: str, capsys: Capture) -> None:
    assert main(["profile", folder, "--core", "1,1"]) == 0
    shown = capsys.readouterr().out
    assert "Core (1,1): cycles of one run" in shown
    assert "(0,0)" not in shown


def test_json_is_what_the_schema_says(folder: str, capsys: Capture) -> None:
    assert main(["profile", folder, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    assert [program["name"] for program in document["programs"]] == [PROGRAM]


def test_a_trace_beside_json(folder: str, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "trace.json"
    assert main(["profile", folder, "--json", "--trace", str(path)]) == 0
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    events = json.loads(path.read_text())["traceEvents"]
    (run,) = [event for event in events if event["name"] == PROGRAM]
    assert round(run["dur"] * 1000) == document["total"]["cycles"]
    assert "https://ui.perfetto.dev" in shown.err


def test_each_entry_by_itself(tmp_path: Path, capsys: Capture) -> None:
    text = (FOLDER / "update_rows.mlir").read_text()
    run = next(line for line in text.splitlines() if "run @" in line)
    entries = [f"entry @{name} {{\n{run}\n{run}\n}}" for name in ("prefill", "decode")]
    path = tmp_path / "netlist.mlir"
    path.write_text(text.replace(run, "\n".join(entries)))
    assert main(["profile", str(path), "--entry", "decode", "--json"]) == 0
    one = json.loads(capsys.readouterr().out)
    assert one["total"]["launches"] == 2
    assert main(["profile", str(path), "--json"]) == 0
    both = json.loads(capsys.readouterr().out)["entries"]
    assert both == {"prefill": one, "decode": one}
    assert main(["profile", str(path)]) == 0
    shown = capsys.readouterr().out
    assert shown.index("netlist.mlir @prefill") < shown.index("netlist.mlir @decode")
    trace = tmp_path / "trace.json"
    assert main(["profile", str(path), "--trace", str(trace)]) == 1
    assert "name one of prefill, decode" in capsys.readouterr().err
    assert not trace.exists()


@pytest.mark.parametrize("name", ["pos", "positions"])
def test_run_time_scalars_are_set_by_their_name_or_their_buffer(
    name: str, capsys: Capture
) -> None:
    netlist = str(FOLDER / "update_rows.mlir")
    assert main(["profile", netlist, "--set", f"{name}=95"]) == 0
    assert "update" in capsys.readouterr().out
    assert main(["profile", netlist, "--set", f"{name}=96"]) == 1
    assert "limit: 0 to 95" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "said", "code"),
    [
        ("--program nope", "there is no program 'nope'", 2),
        ("--core 9,0", "n150 has no core (9,0)", 2),
        ("--core 1", "'1' is not a core", 2),
        ("--trace x.json --layers 4", "there is no layer 4", 2),
        ("--trace x.json --layers a", "'a' is not a list of layers", 2),
        ("--layers 0", "--layers chooses what --trace writes", 2),
        ("--set pos=3", "the netlist has no run-time scalar pos", 2),
        ("--trace nowhere/x.json", "there is no folder nowhere", 2),
    ],
)
def test_what_is_refused(folder: str, line: str, said: str, code: int, capsys: Capture):
    assert main(["profile", folder, *line.split()]) == code
    shown = capsys.readouterr()
    assert said in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""
