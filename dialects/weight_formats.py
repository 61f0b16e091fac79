"""How the weights of matmuls are stored: one format, or one for each of some names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from dialects.errors import ForgeError
from dialects.formats import DataFormat

ALLOWED = (DataFormat.BF16, DataFormat.BFP8_B, DataFormat.BFP4_B)


@dataclass(frozen=True)
class WeightFormats:
    """A format for all weights, and rules for those whose names fit a pattern.

    A pattern, with `*` and `?` as in file names, fits a whole name or a part between
    dots: `mlp` fits `model.layers.0.mlp.up_proj.weight`. The last rule that fits
    counts.
    """

    default: DataFormat = DataFormat.BF16
    rules: tuple[tuple[str, DataFormat], ...] = ()

    @staticmethod
    def parse(text: str) -> WeightFormats:
        """Read `bfp8_b`, or `bfp8_b,mlp=bfp4_b`; `ForgeError` for anything else."""
        default, rules = DataFormat.BF16, []
        for number, entry in enumerate(text.split(",")):
            pattern, equals, name = entry.rpartition("=")
            if (
                name not in ALLOWED
                or (equals and not pattern)
                or (number and not equals)
            ):
                raise ForgeError(
                    f"weights format '{entry}' is not supported",
                    value=text,
                    advice=f"use one of {', '.join(ALLOWED)}, then rules for names if "
                    "some differ: bfp8_b,mlp=bfp4_b",
                )
            if equals:
                rules.append((pattern, DataFormat(name)))
            else:
                default = DataFormat(name)
        return WeightFormats(default, tuple(rules))

    def of(self, names: Iterable[str]) -> DataFormat:
        """The format of a weight made of parameters; the widest where they differ."""
        return max(map(self._of, names), key=lambda f: f.tile_bytes)

    def _of(self, name: str) -> DataFormat:
        parts = (name, *name.split("."))
        for pattern, data_format in reversed(self.rules):
            if any(fnmatchcase(part, pattern) for part in parts):
                return data_format
        return self.default
