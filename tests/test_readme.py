"""What the README shows of the three levels is what the compiler writes."""

import re
from pathlib import Path

import pytest
import torch

import forge

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
PICTURE = README.partition("## Three levels")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PICTURE, re.DOTALL)


def words(text: str) -> str:
    """The text with single blanks, its remarks to the reader taken out."""
    return " ".join(re.sub(r" {2,}// .*", "", text).split())


def assert_shows(picture: str, real: str) -> None:
    """Every part between `...` stands in the real text, in this order."""
    at, text = 0, words(real)
    for part in filter(None, map(str.strip, words(picture).split("..."))):
        found = text.find(part, at)
        assert found >= 0, f"the README shows what is not written:\n{part}"
        at = found + len(part)


def test_three_levels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, what, where, how = (text for _, text in BLOCKS)
    names = {"torch": torch, "forge": forge}
    exec(compile(code, "layer.py", "exec"), names)
    *_, simplified = sorted(tmp_path.glob("ir/*-simplify.mlir"))
    (placed,) = tmp_path.glob("ir/*-insert-multicast.mlir")
    assert_shows(what, simplified.read_text())
    assert_shows(where, placed.read_text())
    assert_shows(how, names["compiled"].netlist_text())


def test_a_picture_that_is_not_true_is_found() -> None:
    assert_shows("a b ... d", "a\n  b // c\n c d")
    with pytest.raises(AssertionError, match="not written"):
        assert_shows("a ... c b", "a b c")
