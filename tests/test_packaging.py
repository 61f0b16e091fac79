"""The five packages have plain names: ours must win, and the wheel must hold them."""

import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest

from forge.errors import ForgeError
from forge.packages import PACKAGES, check_packages_are_ours

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("package", PACKAGES)
def test_package_is_ours(package: str) -> None:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin == str(ROOT / package / "__init__.py")


@pytest.mark.parametrize("package", PACKAGES)
def test_no_installed_distribution_has_a_package_of_that_name(package: str) -> None:
    owners = set(packages_distributions().get(package, ()))
    assert owners <= {"forge-wormhole"}


def write_stranger(folder: Path, package: str) -> None:
    (folder / package).mkdir()
    (folder / package / "__init__.py").write_text("STRANGER = True\n")


def run_python(code: str, path: list[Path]) -> str:
    """What a fresh interpreter prints whose path begins as given."""
    before = f"import sys; sys.path[:0] = {[str(p) for p in path]!r}\n"
    command = [sys.executable, "-c", before + code]
    result = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=60
    )
    return result.stdout.strip()


@pytest.mark.parametrize("package", ["runtime", "backend"])
def test_ours_wins_over_a_stranger_in_site_packages(
    package: str, tmp_path: Path
) -> None:
    write_stranger(tmp_path, package)
    code = f"import {package}; print(hasattr({package}, 'STRANGER'))"
    assert run_python(code, [ROOT, tmp_path]) == "False"
    assert run_python(code, [tmp_path, ROOT]) == "True", "the test must be able to fail"


def test_a_stranger_that_wins_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_stranger(tmp_path, "stranger")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("forge.packages.PACKAGES", ("forge", "stranger"))
    with pytest.raises(ForgeError, match="'stranger' is not the one of forge"):
        check_packages_are_ours()


def test_wheel_holds_the_five_packages() -> None:
    wheel = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == list(PACKAGES)


def test_lock_pins_every_dependency() -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(line.count("==") == 1 and "+" not in line for line in pins)
    locked = {line.partition("==")[0].lower() for line in pins}
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["huggingface"], *extras["dev"]]
    assert {requirement_name(text) for text in wanted} <= locked


def requirement_name(text: str) -> str:
    for separator in "[<>=":
        text = text.partition(separator)[0]
    return text.strip().lower()
