"""Where a program comes from: which operations of which modules, and their lines.

`model.layers.0: rms_norm(input_layernorm), linear(self_attn.{q,k,v}_proj), add at
qwen3.py:60-63,244-246,249` names every operation that was fused into a program and the
module that asked for it, seen from the module that all have in common. An operation
without a module belongs to that one itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

_OPERATION = re.compile(r"(\w+)(?:\(([^()]*)\))?(?:, |$)")
_BRACES = re.compile(r"(.*)\{(.*)\}(.*)")
_OUTSIDE_BRACES = re.compile(r", (?![^{]*\})")
_SELF = "."


@dataclass(frozen=True)
class Provenance:
    """Operations with the paths of their modules, each once and in their order, and
    the lines of the files that they come from."""

    operations: tuple[tuple[str, tuple[str, ...]], ...]
    lines: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(
        cls, operations: Iterable[tuple[str, str]], lines: Iterable[tuple[str, int]]
    ) -> Provenance:
        """Gather operations and module paths, those of one kind together."""
        found: dict[str, dict[str, None]] = {}
        for kind, path in operations:
            found.setdefault(kind, {})[path] = None
        grouped = tuple((kind, tuple(paths)) for kind, paths in found.items())
        return cls(grouped, tuple(sorted(set(lines))))

    @classmethod
    def read(cls, text: str) -> Provenance:
        """Read what `str` wrote; of any other text nothing is known."""
        named, _, places = text.partition(" at ")
        root, colon, rest = named.rpartition(": ")
        rest = rest if colon else named
        found = list(_OPERATION.finditer(rest))
        if not found or sum(len(match[0]) for match in found) != len(rest):
            return cls(())
        return cls(
            tuple((m[1], tuple(_expanded(m[2] or _SELF, root))) for m in found),
            tuple(_lines(places)),
        )

    @property
    def modules(self) -> tuple[str, ...]:
        """All module paths, each once."""
        return tuple(dict.fromkeys(p for _, paths in self.operations for p in paths))

    @property
    def places(self) -> list[str]:
        """Files with their lines, `qwen3.py:60-63,258`, a file at a time."""
        return [
            f"{file}:{','.join(_ranges([line for _, line in group]))}"
            for file, group in groupby(self.lines, lambda place: place[0])
        ]

    def __str__(self) -> str:
        root = _common(self.modules)
        shown = [
            kind if paths == (root,) else f"{kind}({_folded(paths, root)})"
            for kind, paths in self.operations
        ]
        named = f"{root}: {', '.join(shown)}" if root else ", ".join(shown)
        return f"{named} at {', '.join(self.places)}" if self.lines else named


def _common(paths: Sequence[str]) -> str:
    """The module that all paths go through."""
    parts = [path.split(".") for path in paths]
    shared = []
    for steps in zip(*parts, strict=False):
        if len(set(steps)) > 1:
            break
        shared.append(steps[0])
    return ".".join(shared)


def _folded(paths: Sequence[str], root: str) -> str:
    """Paths seen from a module, neighbours of one parent folded into braces."""
    inner = [path.removeprefix(root).removeprefix(".") or _SELF for path in paths]
    groups = groupby(inner, lambda path: path.rpartition(".")[0])
    return ", ".join(_fold(parent, list(members)) for parent, members in groups)


def _fold(parent: str, paths: list[str]) -> str:
    dot = f"{parent}." if parent else ""
    names = [path.removeprefix(dot) for path in paths]
    if len(names) == 1 or _SELF in paths:
        return ", ".join(paths)
    ends = {name.rpartition("_")[2] for name in names if "_" in name}
    end = f"_{ends.pop()}" if len(ends) == 1 else ""
    if not all(name.endswith(end) for name in names):
        end = ""
    return f"{dot}{{{','.join(name.removesuffix(end) for name in names)}}}{end}"


def _expanded(text: str, root: str) -> Iterator[str]:
    for part in _OUTSIDE_BRACES.split(text):
        braces = _BRACES.fullmatch(part)
        if braces is None:
            inner = [part]
        else:
            inner = [f"{braces[1]}{name}{braces[3]}" for name in braces[2].split(",")]
        for path in inner:
            yield ".".join(filter(None, (root, "" if path == _SELF else path)))


def _ranges(lines: Sequence[int]) -> Iterator[str]:
    """`60-63` and `258` for lines in ascending order."""
    numbered = enumerate(lines)
    for _, run in groupby(numbered, lambda pair: pair[1] - pair[0]):
        first, *others = (line for _, line in run)
        yield f"{first}-{others[-1]}" if others else str(first)


def _lines(places: str) -> Iterator[tuple[str, int]]:
    for place in filter(None, places.split(", ")):
        file, _, ranges = place.rpartition(":")
        for run in ranges.split(","):
            first, _, last = run.partition("-")
            for line in range(int(first), int(last or first) + 1):
                yield file, line
