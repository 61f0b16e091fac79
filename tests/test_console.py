"""What the commands show: steps, tables, numbers."""

import json

import pytest

from forge.console import format_cell, format_seconds, show_table, step

Capture = pytest.CaptureFixture[str]
ROWS = [["norm_qkv", 12345, 0.5], ["[lm_head]", 7, None]]


def test_table_for_a_person(capsys: Capture) -> None:
    show_table("Programs", ["program", "cycles", "share"], ROWS)
    shown = capsys.readouterr().out
    assert "Programs" in shown
    assert "12,345" in shown
    assert "[lm_head]" in shown, "names are not markup"


def test_table_as_json(capsys: Capture) -> None:
    show_table("Programs", ["program", "cycles", "share"], ROWS, json=True)
    assert json.loads(capsys.readouterr().out) == [
        {"program": "norm_qkv", "cycles": 12345, "share": 0.5},
        {"program": "[lm_head]", "cycles": 7, "share": None},
    ]


def test_step_is_a_plain_line_without_a_terminal(capsys: Capture) -> None:
    with step("compiling"):
        pass
    shown = capsys.readouterr()
    assert shown.err == "compiling  0.0 s\n"
    assert shown.out == ""


def test_a_long_step_says_that_it_has_begun(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forge.console.ANNOUNCE_AFTER_SECONDS", 0.0)
    with step("compiling") as current:
        current.update("layer 3 of 30")
        import time

        time.sleep(0.2)
    assert capsys.readouterr().err.startswith("compiling")


def test_a_failed_step_is_not_reported_as_done(capsys: Capture) -> None:
    with pytest.raises(ValueError, match="no"), step("compiling"):
        raise ValueError("no")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "yes"),
        (1234567, "1,234,567"),
        (0.5, "0.5"),
        (0.998765, "0.9988"),
        (0.9999854, "0.999985"),
        (3e6, "3,000,000"),
    ],
)
def test_cells(value: object, text: str) -> None:
    assert format_cell(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (59.0, "59.0 s"), (125.0, "2 min 05 s")]
)
def test_seconds(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text
