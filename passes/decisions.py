"""What `choose-grid` weighed, and why it chose as it did."""

from __future__ import annotations

from dataclasses import dataclass, field

from dialects.grid import AxisListAttr, ProgramOp
from passes.grid_prices import Axes, Price


@dataclass(frozen=True)
class Candidate:
    """A placement, its first-order price, and its cycles where it was timed.

    `fault` says why a placement that was to be timed cannot be.
    """

    axes: Axes
    price: Price
    cycles: float | None = None
    fault: str | None = None

    @property
    def cost(self) -> float:
        """Cycles where it was timed, else the price."""
        return self.price.total if self.cycles is None else self.cycles

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
