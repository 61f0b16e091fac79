"""Which placements the search times, and which of them it takes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import nn

from dialects.axes import Axis
from dialects.chip import load_chip
from dialects.errors import ForgeError, NetlistError
from dialects.formats import DataFormat
from dialects.grid import AxisListAttr, ProgramOp, UsesAttr
from passes.choose_grid import Form
from passes.decisions import Candidate
from passes.grid_candidates import GridCandidates
from passes.grid_prices import GridPrices
from passes.grid_search import WORTH, GridSearch, kind_of
from tests.passes.test_choose_grid import placed, programs

Cost = Callable[[dict[str, Axis]], float]


class FakeTimer:
    """Costs by a function of the axes; what costs nothing cannot be timed."""

    def __init__(self, cost: Cost, *, refused: Cost = lambda axes: 0.0):
        self.cost = cost
        self.refused = refused
        self.asked: list[AxisListAttr] = []

    def cycles(self, program: ProgramOp) -> float:
        self.asked.append(program.axes)
        found = self.cost(program.axes.by_name())
        if not found:
            raise NetlistError("does not run")
        return found

    def faults(self, program: ProgramOp) -> list[ForgeError]:
        is_refused = self.refused(program.axes.by_name())
        return [NetlistError("does not fit")] if is_refused else []


@pytest.fixture(scope="module")
def prices() -> GridPrices:
    (program,) = programs(placed(nn.Linear(1024, 4096), (512, 1024)))
    formats = [DataFormat.BF16] * len(program.inputs)
    return GridPrices(program, load_chip("n150"), formats)


def timed(prices: GridPrices, timer: FakeTimer) -> list[Candidate]:
    form = Form(prices)
    ranked = form.ranked(WORTH * form.bounds[0].price.total)
    return GridSearch(prices, ranked, timer=timer).timed()


def cores(axes: dict[str, Axis]) -> float:
    return 1e6 + sum(axis.cores for axis in axes.values())


def fewer_by_far(axes: dict[str, Axis]) -> float:
    return 1e5 * sum(axis.cores for axis in axes.values())


def test_a_second_round_needs_a_gain(prices: GridPrices) -> None:
    few, many = FakeTimer(cores), FakeTimer(fewer_by_far)
    timed(prices, few)
    timed(prices, many)
    assert len(few.asked) < len(many.asked)


def test_a_rival_as_fast_as_dram_needs_no_other_form(prices: GridPrices) -> None:
    form, timer = Form(prices), FakeTimer(cores)
    search = GridSearch(prices, form.ranked(1e9), timer=timer)
    assert search.timed(prices.roof) == []
    assert not timer.asked


def test_no_price_is_below_its_floor(prices: GridPrices) -> None:
    for axes in GridCandidates(prices.program, prices.chip, prices.schedule):
        assert prices.floor(axes) <= prices.price(axes, crowded=False).total


def test_the_fastest_comes_first(prices: GridPrices) -> None:
    timer = FakeTimer(cores)
    found = timed(prices, timer)
    cycles = [c.cycles for c in found if c.cycles is not None]
    assert cycles == sorted(cycles)
    assert len(timer.asked) == len(set(timer.asked)) == len(found)


def test_several_kinds_are_timed(prices: GridPrices) -> None:
    assert len({kind_of(c.axes) for c in timed(prices, FakeTimer(cores))}) > 1


def test_the_program_is_left_as_it_was(prices: GridPrices) -> None:
    before = dict(prices.program.properties)
    timed(prices, FakeTimer(cores))
    assert prices.program.properties == before


def test_what_cannot_run_is_not_taken(prices: GridPrices) -> None:
    first = timed(prices, FakeTimer(cores))[0]

    def cost(axes: dict[str, Axis]) -> float:
        return 0.0 if axes == first.axes else cores(axes)

    found = timed(prices, FakeTimer(cost))
    assert found[0].axes != first.axes
    assert [c.fault for c in found if c.axes == first.axes] == ["does not run"]


def test_what_the_checks_refuse_is_not_taken(prices: GridPrices) -> None:
    first = timed(prices, FakeTimer(cores))[0]
    timer = FakeTimer(cores, refused=lambda axes: float(axes == first.axes))
    found = timed(prices, timer)
    assert found[0].axes != first.axes
    assert found[-1].axes == first.axes
    assert found[-1].cycles is None


def test_what_is_as_fast_as_dram_needs_no_rival(prices: GridPrices) -> None:
    timer = FakeTimer(lambda axes: prices.roof)
    timed(prices, timer)
    assert len(timer.asked) == 1


def test_the_roof_is_the_weights_out_of_all_channels(prices: GridPrices) -> None:
    assert prices.roof == pytest.approx(32 * 128 * 2048 / (12 * 22.35))
    (norm,) = programs(placed(nn.RMSNorm(64), (64, 64)))
    formats = [DataFormat.BF16] * len(norm.inputs)
    assert GridPrices(norm, load_chip("n150"), formats).roof == 0


def test_a_candidate_has_nothing_of_the_one_before(prices: GridPrices) -> None:
    seen: dict[AxisListAttr, list[UsesAttr]] = {}

    class Recorder(FakeTimer):
        def cycles(self, program: ProgramOp) -> float:
            seen.setdefault(program.axes, []).append(program.uses)
            return super().cycles(program)

    form = Form(prices)
    ranked = form.ranked(WORTH * form.bounds[0].price.total)[:2]
    for order in (ranked, ranked[::-1]):
        GridSearch(prices, order, timer=Recorder(fewer_by_far)).timed()
    twice = [uses for uses in seen.values() if len(uses) > 1]
    assert twice
    assert all(first == second for first, second in twice)
