"""Parameters out of a safetensors file, memory-mapped, as float32 or integers.

The library's own reader wants torch for bf16; a file's layout is a JSON header and
flat data (the format's published description), read here without copying.
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dialects.errors import ForgeError
from runtime.arithmetic.formats import bf16_to_float32

_DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": np.uint16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}


@dataclass(frozen=True)
class _Entry:
    """Where a tensor lies in the file, counted from the end of the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class WeightsFile(Mapping[str, np.ndarray]):
    """Parameters by name. A value is made float32 (or stays integer) when asked for.

    Raises `ForgeError` where the file is cut short or is not a safetensors file.
    """

    def __init__(self, path: Path):
        self.path = path
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > size - 8:
                raise self._damaged(f"its header wants {length} bytes of {size}")
            try:
                header = json.loads(file.read(length))
                self.metadata: dict[str, str] = header.pop("__metadata__", {})
                self._entries = {name: _entry(e) for name, e in header.items()}
            except (ValueError, LookupError, TypeError, AttributeError):
                raise self._damaged("its header is not one of safetensors") from None
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._start = 8 + length
        end = max((entry.end for entry in self._entries.values()), default=0)
        if self._start + end > size:
            raise self._damaged(
                f"{self._start + end} bytes are announced, {size} there"
            )

    def _damaged(self, why: str) -> ForgeError:
        return ForgeError(
            f"weights file {self.path} is damaged: {why}",
            advice="compile again, or copy the file once more",
        )

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a parameter."""
        return self._entries[name].shape

    def halves(self, name: str) -> np.ndarray | None:
        """A bf16 parameter as it is stored (uint16), else None."""
        return self._raw(name) if self._entries[name].dtype == "BF16" else None

    def forget(self) -> None:
        """Let go of the pages that were read; they are read again when needed."""
        if hasattr(self._map, "madvise"):
            self._map.madvise(mmap.MADV_DONTNEED)

    def _raw(self, name: str) -> np.ndarray:
        entry = self._entries[name]
        dtype = np.dtype(_DTYPES[entry.dtype])
        count = (entry.end - entry.begin) // dtype.itemsize
        raw = np.frombuffer(self._map, dtype, count, self._start + entry.begin)
        return raw.reshape(entry.shape)

    def __getitem__(self, name: str) -> np.ndarray:
        raw = self._raw(name)
        if self._entries[name].dtype == "BF16":
            return bf16_to_float32(raw).reshape(raw.shape)
        return raw.astype(np.float32) if raw.dtype.kind == "f" else raw

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def _entry(fields: dict[str, Any]) -> _Entry:
    """One entry of the header; a `ValueError` where it contradicts itself."""
    begin, end = fields["data_offsets"]
    entry = _Entry(fields["dtype"], tuple(fields["shape"]), begin, end)
    itemsize = np.dtype(_DTYPES[entry.dtype]).itemsize
    if begin < 0 or end - begin != math.prod(entry.shape) * itemsize:
        raise ValueError("shape and offsets of a tensor do not agree")
    return entry
