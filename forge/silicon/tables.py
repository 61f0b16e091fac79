"""Tables of measurements: CSV files, each value checked where it is read."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from forge.errors import ForgeError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


@dataclass(frozen=True)
class Row:
    """A row of a table, with the place it stands for errors."""

    values: Mapping[str, str]
    place: str

    def __getitem__(self, column: str) -> str:
        return self.values[column]

    def get(self, column: str) -> str:
        """A value, empty where the table has no such column or says `unknown`."""
        value = self.values.get(column, "")
        return "" if value == "unknown" else value

    def number(self, column: str, *, may_be_zero: bool = False) -> float:
        """A value as a number above zero, or from zero on."""
        try:
            value = float(self.values[column])
        except ValueError:
            raise self.error(column, "a number") from None
        if not 0 <= value < float("inf"):
            raise self.error(column, "a number that is not negative")
        if value == 0 and not may_be_zero:
            raise self.error(column, "a number above zero")
        return value

    def integer(self, column: str, *, may_be_zero: bool = False) -> int:
        """A value as a whole number above zero, or from zero on."""
        value = self.number(column, may_be_zero=may_be_zero)
        if value != int(value):
            raise self.error(column, "a whole number")
        return int(value)

    def error(self, column: str, limit: str) -> ForgeError:
        """The error that a value is not what it must be."""
        return ForgeError(
            f"column '{column}' holds a value without meaning",
            location=self.place,
            limit=limit,
            value=repr(self.values.get(column, "")),
            advice="correct the value, or leave the row out",
        )


def read_table(folder: Path | None, name: str, columns: Sequence[str]) -> list[Row]:
    """All rows of a CSV file; none where the folder has no such file.

    Raises `ForgeError` for missing columns and for rows of another length.
    """
    source = (data_folder() if folder is None else folder) / name
    if not source.is_file():
        return []
    label = name if folder is None else str(source)
    try:
        text = source.read_text(encoding="utf-8")
    except ValueError as error:
        raise ForgeError(
            f"the table is not text in UTF-8: {error}",
            location=label,
            advice="write it as a CSV file, values apart by commas",
        ) from None
    lines = csv.reader(StringIO(text, newline=""))
    header = next(lines, [])
    missing = [column for column in columns if column not in header]
    if missing:
        raise ForgeError(
            f"the table lacks the column{'s' * (len(missing) > 1)} "
            f"{', '.join(missing)}",
            location=f"{label}:1",
            value=", ".join(header) or "an empty file",
            advice="see docs/timing.md for the columns of each file",
        )
    return [
        _row(header, values, f"{label}:{lines.line_num}") for values in lines if values
    ]


def _row(header: Sequence[str], values: Sequence[str], place: str) -> Row:
    if len(values) != len(header):
        raise ForgeError(
            "a row has another number of values than the table has columns",
            location=place,
            limit=f"{len(header)} values",
            value=f"{len(values)} values",
            advice="put values that hold a comma in quotation marks",
        )
    return Row(dict(zip(header, values, strict=True)), place)


def data_folder() -> Traversable:
    """The figures that come with forge."""
    return resources.files("forge") / "silicon" / "data"
