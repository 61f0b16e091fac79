"""What a family says about each row of a folder, and what it is given to say it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from forge.silicon.tables import Row, read_table
from runtime.costs import CostTable


@dataclass(frozen=True)
class Measured:
    """A row with a measured value, and what the model says; both in `unit`.

    `more` holds further columns of the JSON report, and of the list of worst rows.
    """

    row: str
    measured: float
    predicted: float
    unit: str
    more: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def error(self) -> float:
        """Relative error, a fraction: positive where the prediction is too large."""
        return self.predicted / self.measured - 1


@dataclass(frozen=True)
class Bounded:
    """A row that only says within which limits silicon lies; right or wrong."""

    row: str
    low: float | None
    high: float | None
    predicted: float
    unit: str

    @property
    def is_right(self) -> bool:
        """Whether the prediction lies within the limits."""
        above = self.low is None or self.predicted >= self.low
        return above and (self.high is None or self.predicted <= self.high)


@dataclass(frozen=True)
class LeftOut:
    """A row that the model has no say on, and why."""

    row: str
    reason: str


Outcome = Measured | Bounded | LeftOut


@dataclass(frozen=True)
class Bench:
    """What a family works with: a folder of measurements and a cost table.

    `folder` is None where the figures that come with forge are meant.
    """

    folder: Path | None
    costs: CostTable

    def rows(
        self, name: str, columns: Sequence[str], *, or_own: bool = False
    ) -> list[Row]:
        """Rows of the folder's CSV file `name`; none where there is no such file.

        With `or_own`, forge's own table stands in for one that is not there. Raises
        `ForgeError` where one of `columns` is missing.
        """
        rows = read_table(self.folder, name, columns)
        return rows or (read_table(None, name, columns) if or_own else [])


@dataclass(frozen=True)
class Family:
    """A kind of measurement: where its rows stand, and how they are predicted.

    `target` says what accuracy is asked for, in words, for the report.
    """

    name: str
    about: str
    run: Callable[[Bench], Iterator[Outcome]]
    target: str = ""
