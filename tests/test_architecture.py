"""Imports point down: forge -> backend, passes, runtime -> dialects.

The emulator knows the netlist and nothing of the compiler.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

MAY_IMPORT = {
    "forge": {"backend", "passes", "runtime", "dialects"},
    "backend": {"passes", "dialects"},
    "passes": {"dialects"},
    "runtime": {"dialects"},
    "dialects": set(),
}
"""Package -> the other packages of ours it may import, late imports included."""

OURS = {*MAY_IMPORT, "tests", "benchmarks", "examples"}

STRANGERS_BELOW = {"transformers", "tokenizers", "onnx", "gguf", "typer"}
"""Third parties that only the front door may know."""


def imported_modules(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import, at the top or in a function."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield node.lineno, module
            case ast.Call(
                func=ast.Name(id="import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                yield node.lineno, module


def violations(package: str) -> Iterator[str]:
    forbidden = OURS - MAY_IMPORT[package] - {package}
    if package != "forge":
        forbidden = forbidden | STRANGERS_BELOW
    for path in sorted((ROOT / package).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for line, module in imported_modules(tree):
            if module.partition(".")[0] in forbidden:
                yield f"{path.relative_to(ROOT)}:{line} imports {module}"


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_down(package: str) -> None:
    assert list(violations(package)) == []


def test_late_and_dynamic_imports_are_seen() -> None:
    source = """
def late():
    import passes.fuse
    from backend import emit
    importlib.import_module("forge.cli")
"""
    names = [name for _, name in imported_modules(ast.parse(source))]
    assert names == ["passes.fuse", "backend", "forge.cli"]
