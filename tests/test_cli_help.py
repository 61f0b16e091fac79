"""The command line: instant, helpful, and clear when it is used wrongly."""

import subprocess
import sys

import pytest

import forge
from forge.cli import main
from forge.errors import ForgeError, UsageError

HEAVY = ("torch", "numpy", "numba", "transformers", "xdsl", "onnx", "networkx")
COMMANDS = ("compile", "run", "chat", "check", "inspect", "profile", "bench", "demo")

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("code", ["import forge", "import forge.cli"])
def test_nothing_heavy_is_imported(code: str) -> None:
    listing = f"{code}, sys; print(*(name for name in {HEAVY} if name in sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", listing],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert result.stdout.split() == []


def test_public_names_are_loaded_when_used() -> None:
    assert forge.ForgeError is ForgeError
    assert {"compile", "load", "CompiledModel", "ForgeError"} <= set(dir(forge))
    with pytest.raises(AttributeError, match="no attribute 'frob'"):
        _ = forge.frob


def test_help_names_every_command(capsys: Capture) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {command} " in shown for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command: str, capsys: Capture) -> None:
    assert main([command, "--help"]) == 0
    assert f"Usage: forge {command}" in capsys.readouterr().out


def test_version(capsys: Capture) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"forge {forge.__version__}\n"


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("inspect out --core 9", "'9' is not a core"),
        ("inspect out --core 1,b", "'1,b' is not a core"),
        ("inspect out --l1 -1,2", "'-1,2' is not a core"),
        ("profile out --set pos", "'pos' is not an assignment"),
        ("compile model", "Missing option '--output'"),
        ("compile model -o out --weights-format int8", "bfp8_b"),
        ("inspct out", "No such command 'inspct'"),
    ],
)
def test_wrong_usage_is_explained(line: str, hint: str, capsys: Capture) -> None:
    assert main(line.split()) == 2
    shown = capsys.readouterr()
    assert hint in shown.err
    assert shown.out == ""


@pytest.mark.parametrize(
    "line",
    [
        "compile model -o out --seq-len 0",
        "check model --seq-len -3",
        "run out --prompt hello --max-new-tokens 0",
    ],
)
def test_a_number_without_meaning_is_an_error(line: str, capsys: Capture) -> None:
    assert main(line.split()) == 1
    error = capsys.readouterr().err
    assert "limit: at least 1" in error
    assert "Traceback" not in error


def test_errors_say_what_where_and_what_to_do() -> None:
    error = ForgeError(
        "the circular buffers do not fit in L1",
        limit="1,395,424 bytes",
        value="1,500,000 bytes",
        advice="lower the depth of %b",
        location="netlist.mlir:41",
    )
    assert str(error).splitlines() == [
        "the circular buffers do not fit in L1",
        "  where: netlist.mlir:41",
        "  limit: 1,395,424 bytes",
        "  found: 1,500,000 bytes",
        "  to do: lower the depth of %b",
    ]


def test_usage_errors_have_their_own_exit_code(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise UsageError("not like this", advice="like that")

    monkeypatch.setattr("forge.commands.check.run_check", refuse)
    assert main(["check", "model"]) == 2
    assert capsys.readouterr().err == "error: not like this\n  to do: like that\n"
