"""What `choose-grid` weighed, and why it chose as it did."""

from __future__ import annotations

from dataclasses import dataclass, field

from dialects.grid import AxisListAttr, ProgramOp
from passes.grid_prices import Axes, Price


@dataclass(frozen=True)
class Candidate:
    """A placement, its first-order price, and its cycles where it was timed.

    `form` is the way in which the program is written (`choose_grid.FORMS`), `fault` why
    a placement that was to be timed cannot be.
    """

    axes: Axes
    price: Price
    form: str = "stages"
    cycles: float | None = None
    fault: str | None = None

    def is_same(self, other: Candidate) -> bool:
        """Whether this is the same placement, timed or not."""
        return (self.axes, self.form) == (other.axes, other.form)

    @property
    def attribute(self) -> AxisListAttr:
        """The axes as a program states them."""
        return AxisListAttr(tuple(self.axes.values()))


@dataclass(frozen=True)
class Decision:
    """The placement of programs that are alike.

    `candidates` begin with the one chosen; there were `num_candidates` that fit.
    """

    candidates: tuple[Candidate, ...]
    num_candidates: int
    why: str
    programs: list[ProgramOp] = field(default_factory=list)

    @property
    def chosen(self) -> Candidate:
        """The placement that the programs have."""
        return self.candidates[0]
