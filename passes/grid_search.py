"""The few placements of a program that are worth timing, timed.

First the cheapest of each kind (which axes are spread, and which way): first-order
prices compare kinds worst. Then what is near the fastest: other blocks on its cores,
other numbers of cores.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from math import inf, prod
from typing import TypeAlias

from dialects.errors import ForgeError
from dialects.grid import AxisListAttr, UsesAttr
from passes.context import ProgramTimer
from passes.decisions import Candidate
from passes.grid_prices import Axes, GridPrices
from passes.insert_multicast import multicast_uses

WORTH = 1.6
"""A candidate whose price is so many times the least is not timed: first-order prices
of what turned out the fastest were at most 1.4 times the least."""

_NEAR_ROOF = 1.1
"""So many times what DRAM takes for the weights alone is fast enough."""

_NEAR = 1.15
"""A neighbour's price over that of the fastest up to which it is timed, and how far the
fastest may be behind a rival of another form: prices of one kind compare well."""

_KINDS, _BLOCKS, _SPREADS = 3, 2, 2
"""Kinds that are timed; near the fastest, other blocks and other numbers of cores."""

_EVEN = 1.02
"""Up to so many times the cycles, a grid is as fast as another."""

_ROUNDS, _GAIN = 2, 0.98
"""How often the fastest so far gets neighbours; again only if one took less by this."""

Spread: TypeAlias = tuple[tuple[str, str | None, int, int], ...]


def spread_of(axes: Axes) -> Spread:
    """Which axes are spread, which way, over how many cores."""
    return tuple(
        (a.name, a.over, a.cores, a.stride) for a in axes.values() if a.cores > 1
    )


def kind_of(axes: Axes) -> tuple[tuple[str, str | None], ...]:
    """Which axes are spread, and which way."""
    return tuple((name, over) for name, over, _, _ in spread_of(axes))


class GridSearch:
    """Times candidates of one program, given in the order of their prices."""

    def __init__(
        self,
        prices: GridPrices,
        ranked: Sequence[Candidate],
        *,
        timer: ProgramTimer,
    ):
        self.program = program = prices.program
        self.prices = prices
        self.ranked = ranked
        self.timer = timer
        self._given: tuple[AxisListAttr, UsesAttr] = (program.axes, program.uses)
        self._timed: dict[AxisListAttr, Candidate] = {}

    def timed(self, rival: float = inf) -> list[Candidate]:
        """The candidates that were timed, the fastest sound one first.

        Where the first of them take far longer than a `rival`, there are no more; none
        at all where that is as fast as DRAM.
        """
        if rival <= _NEAR_ROOF * self.prices.roof:
            return []
        try:
            self._time(_firsts(self.ranked, kind_of, _KINDS))
            for _ in range(_ROUNDS):
                before = self._sorted()[0]
                if cycles_of(before) > _NEAR * rival:
                    break
                self._time(self._near(before))
                if cycles_of(self._sorted()[0]) > _GAIN * cycles_of(before):
                    break
            return self._soundest()
        finally:
            self._place(*self._given)

    def _near(self, best: Candidate) -> Iterable[Candidate]:
        """Neighbours of the fastest: other blocks, other numbers of cores."""
        spread, kind = spread_of(best.axes), kind_of(best.axes)
        limit = _NEAR * best.price.total
        fresh = [
            c
            for c in self.ranked
            if c.attribute not in self._timed and c.price.total <= limit
        ]
        blocks = [c for c in fresh if spread_of(c.axes) == spread]
        others = [
            c for c in fresh if kind_of(c.axes) == kind and spread_of(c.axes) != spread
        ]
        return [*blocks[:_BLOCKS], *_firsts(others, spread_of, _SPREADS)]

    def _time(self, candidates: Iterable[Candidate]) -> None:
        for candidate in candidates:
            axes = candidate.attribute
            if axes in self._timed or self._fast_enough():
                continue
            self._try(candidate)
            try:
                found = replace(candidate, cycles=self.timer.cycles(self.program))
            except ForgeError as error:
                found = replace(candidate, fault=str(error))
            self._timed[axes] = found

    def _fast_enough(self) -> bool:
        limit = _NEAR_ROOF * self.prices.roof
        return any(cycles_of(c) <= limit for c in self._timed.values())

    def _try(self, candidate: Candidate) -> None:
        """Place the program as a candidate says, with its multicasts."""
        self._place(*self._given)
        self._place(candidate.attribute, self.prices.uses(candidate.axes))
        if self.prices.multicast:
            uses = multicast_uses(
                self.program,
                self.prices.chip.grid.x,
                schedule=self.prices.schedule,
                read_ahead=self.prices.read_ahead,
            )
            self._place(candidate.attribute, uses)

    def _place(self, axes: AxisListAttr, uses: UsesAttr) -> None:
        self.program.properties["axes"] = axes
        self.program.properties["uses"] = uses

    def _sorted(self) -> list[Candidate]:
        return ordered(self._timed.values())

    def _soundest(self) -> list[Candidate]:
        """The fastest first that the checks of netlists let pass; refused ones last."""
        found, refused = self._sorted(), []
        while found and found[0].fault is None:
            self._try(found[0])
            faults = self.timer.faults(self.program)
            if not faults:
                break
            refused.append(replace(found.pop(0), cycles=None, fault=str(faults[0])))
        return [*found, *refused]


def cycles_of(candidate: Candidate) -> float:
    """The cycles of a candidate; without end where it was not timed."""
    return inf if candidate.cycles is None else candidate.cycles


def ordered(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Timed candidates, the fastest first.

    Of two with as many cores, and as fast, that along rows and columns of cores goes
    before a folded one: neighbours of the program are likelier to find their parts of
    its tensors where it leaves them.
    """
    found = sorted(candidates, key=cycles_of)
    first = spread_of(found[0].axes) if found else ()
    if _is_folded(first):
        for number, other in enumerate(found):
            spread = spread_of(other.axes)
            if cycles_of(other) > _EVEN * cycles_of(found[0]):
                break
            if _num_cores(spread) == _num_cores(first) and not _is_folded(spread):
                return [found.pop(number), *found]
    return found


def _num_cores(spread: Spread) -> int:
    return prod(cores for *_, cores, _ in spread)


def _is_folded(spread: Spread) -> bool:
    return any(over == "xy" for _, over, *_ in spread)


def _firsts(
    candidates: Iterable[Candidate], key: Callable[[Axes], Hashable], most: int
) -> list[Candidate]:
    """The first of each class, at most so many."""
    found: dict[Hashable, Candidate] = {}
    for candidate in candidates:
        found.setdefault(key(candidate.axes), candidate)
    return list(islice(found.values(), most))
