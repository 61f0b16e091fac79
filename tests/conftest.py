"""What all tests share: golden files, and `.mlir` files that carry their own checks."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from tests.lit import LitFile, has_run_lines

GOLDEN = Path(__file__).parent / "golden"

# How long a test takes is never what is tested: machines are busy, numba compiles.
settings.register_profile("forge", deadline=None)
settings.load_profile("forge")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="rewrite the golden files with what the tests produce now",
    )
    parser.addoption(
        "--golden-dir",
        metavar="DIR",
        help="check the arithmetic against the golden vectors of this folder",
    )


def pytest_collect_file(
    file_path: Path, parent: pytest.Collector
) -> pytest.Collector | None:
    if file_path.suffix == ".mlir" and has_run_lines(file_path):
        return LitFile.from_parent(parent, path=file_path)
    return None


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Compares a text with the file kept for this test.

    `golden(text)` uses `tests/golden/<file>.<test>.txt`; a test with several texts
    gives each a `name`.
    """

    def compare(text: str, *, name: str = "", suffix: str = ".txt") -> None:
        parts = [request.path.stem, request.node.name, *([name] if name else [])]
        stem = re.sub(r"[^\w.=-]+", "_", ".".join(parts)).strip("_")
        path = GOLDEN / f"{stem}{suffix}"
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        if not path.exists():
            pytest.fail(f"no {path.name} yet: run pytest --update-golden and read it")
        assert text == path.read_text(encoding="utf-8"), (
            f"{path.name} differs: if the change is meant, pytest --update-golden"
        )

    return compare
