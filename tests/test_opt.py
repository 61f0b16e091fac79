"""`forge-opt` itself: its vocabulary, its exit codes, and what it leaves behind."""

from pathlib import Path

import pytest
from xdsl.ir import Attribute, Dialect

from forge.opt import main
from forge.universe import UNIVERSE

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("name", UNIVERSE.all_dialects)
def test_dialects_load_under_their_name(name: str) -> None:
    dialect = UNIVERSE.all_dialects[name]()
    assert isinstance(dialect, Dialect)
    assert dialect.name == name


def test_passes_load_under_their_name() -> None:
    loaded = {name: load().name for name, load in UNIVERSE.all_passes.items()}
    assert loaded == {name: name for name in loaded}


@pytest.mark.parametrize(
    ("line", "exit_code", "hint"),
    [
        ("-p no-such-pass", 2, "no-such-pass"),
        ("-p canonicalize{{", 2, "canonicalize{{"),
        ("--no-such-option", 2, "--no-such-option"),
        ("no/such/file.mlir", 1, "No such file"),
    ],
)
def test_wrong_usage(line: str, exit_code: int, hint: str, capsys: Capture) -> None:
    assert main(line.split()) == exit_code
    assert hint in capsys.readouterr().err


def test_verification_is_back_on_after_a_run_without(tmp_path: Path) -> None:
    before = Attribute.__post_init__
    path = tmp_path / "empty.mlir"
    path.write_text("builtin.module {}")
    assert main(["--disable-verify", str(path)]) == 0
    assert Attribute.__post_init__ is before
