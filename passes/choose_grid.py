"""`choose-grid`: the cores of each axis, and the blocks, by a cost model.

Every way to share the parallel axes out (`grid_candidates.py`) has a first-order price
(`grid_prices.py`); what does not fit into L1 is out. Where the context can time a
program, the best few are timed (`grid_search.py`) and the fastest is taken.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import inf
from operator import itemgetter

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from dialects.chip import Chip, load_chip
from dialects.errors import CapacityError
from dialects.formats import DataFormat
from dialects.grid import ProgramOp, UsesAttr
from dialects.weight_formats import WeightFormats
from passes.context import ProgramTimer, note_decision, timer_of
from passes.contraction_loops import as_loop, discard
from passes.decisions import Candidate, Decision
from passes.grid_candidates import GridCandidates
from passes.grid_prices import GridPrices
from passes.grid_search import WORTH, GridSearch
from passes.l1_budget import operand_formats, usable_bytes
from passes.rewriting import describe_source
from passes.structure_key import structure_key

_LOGGED = 6
"""Candidates of a decision that are kept where none was timed."""


@dataclass(frozen=True)
class ChooseGridPass(ModulePass):
    """Choose cores and blocks of every program.

    `search` times candidates where the context can; `multicast` says that operands
    which a line of cores shares will be multicast; `loops` that contractions may become
    loops over blocks of their rows.
    """

    name = "choose-grid"

    chip: str = "n150"
    weights_format: str = "bf16"
    search: bool = True
    multicast: bool = True
    loops: bool = True

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        chip, formats = load_chip(self.chip), WeightFormats.parse(self.weights_format)
        timer = timer_of(ctx) if self.search else None
        known: dict[Hashable, tuple[Decision, UsesAttr, bool]] = {}
        for program in op.walk():
            if isinstance(program, ProgramOp):
                stored = operand_formats(program, formats)
                key = (structure_key(program), *stored)
                if key not in known:
                    known[key] = self._choose(program, chip, stored, timer)
                    note_decision(ctx, known[key][0])
                known[key][0].programs.append(program)
        for decision, uses, looped in known.values():
            for number, program in enumerate(decision.programs):
                if looped:
                    program = decision.programs[number] = _replace_by_loop(program)
                program.properties["axes"] = decision.chosen.attribute
                program.properties["uses"] = uses

    def _choose(
        self,
        program: ProgramOp,
        chip: Chip,
        stored: Sequence[DataFormat],
        timer: ProgramTimer | None,
    ) -> tuple[Decision, UsesAttr, bool]:
        """Decide for one program: as it is, or with its contraction as a loop."""
        found = []
        looped = as_loop(program) if self.loops else None
        for form in (program, looped):
            if form is None:
                continue
            prices = GridPrices(form, chip, stored, multicast=self.multicast)
            try:
                decision = _decide(prices, timer)
            except CapacityError:
                if form is program and looped is None:
                    raise
                continue
            uses = prices.uses(decision.chosen.axes)
            found.append((decision, uses, form is looped))
        if looped is not None:
            discard(looped)
        if not found:
            _decide(GridPrices(program, chip, stored), None)
        return min(found, key=lambda each: each[0].chosen.cost)


def _replace_by_loop(program: ProgramOp) -> ProgramOp:
    looped = as_loop(program)
    assert looped is not None
    looped.location = program.location
    Rewriter.replace_op(program, looped)
    return looped


def _decide(prices: GridPrices, timer: ProgramTimer | None) -> Decision:
    """Choose for one program. `CapacityError` where nothing fits."""
    ranked, fitting = _ranked(prices, worth=1.0 if timer is None else WORTH)
    cheapest = ranked[0]
    if len(ranked) == 1 or timer is None:
        why = "the only one that fits" if fitting == 1 else "the least price"
        return Decision(tuple(ranked[:_LOGGED]), fitting, why)
    gap = cheapest.price.launch
    if cheapest.price.total < 2 * gap:
        why = "the least price; a launch shorter than the gap before it is not timed"
        return Decision(tuple(ranked[:_LOGGED]), fitting, why)
    search = GridSearch(prices, ranked, timer=timer)
    timed = search.timed()
    if timed[0].cycles is None:
        refused = [c for c in ranked if c.attribute not in {t.attribute for t in timed}]
        return Decision((*refused[:1], *timed), fitting, "none of those timed can run")
    return Decision(tuple(timed), fitting, _why(timed, cheapest))


def _why(timed: list[Candidate], cheapest: Candidate) -> str:
    fastest = timed[0]
    same = next((c for c in timed if c.attribute == cheapest.attribute), None)
    counted = f"the fastest of {sum(c.cycles is not None for c in timed)} timed"
    if same is None or same.cycles is None or fastest.cycles is None or same is fastest:
        return counted
    saved = 1 - fastest.cycles / same.cycles
    return f"{counted}; the least price takes {saved:.1%} longer"


def _ranked(prices: GridPrices, *, worth: float) -> tuple[list[Candidate], int]:
    """Candidates up to `worth` times the least price, and how many fit in all.

    Crowded banks only add to a price and take long to find: candidates come in the
    order of their prices without, until those are too much.
    """
    chip = prices.chip
    bounds: list[tuple[float, int, Candidate]] = []
    limit, least = usable_bytes(chip), inf
    for axes in GridCandidates(prices.program, chip, prices.schedule):
        used = prices.l1_bytes(axes)
        least = min(least, used)
        if used <= limit:
            price = prices.price(axes, crowded=False)
            bounds.append((price.total, len(bounds), Candidate(axes, price)))
    if not bounds:
        raise _too_large(prices.program, chip, limit, int(least))
    best, found = inf, []
    for bound, number, candidate in sorted(bounds, key=itemgetter(0, 1)):
        if bound > worth * best:
            break
        price = prices.price(candidate.axes, crowded=True)
        best = min(best, price.total)
        found.append((price.total, number, Candidate(candidate.axes, price)))
    return [c for *_, c in sorted(found, key=itemgetter(0, 1))], len(bounds)


def _too_large(program: ProgramOp, chip: Chip, limit: int, least: int) -> CapacityError:
    return CapacityError(
        f"program '{program.sym_name.data}' fits into L1 on no grid of {chip.name}",
        limit=f"{limit} bytes a core",
        value=f"{least} bytes at least",
        advice="make its rows shorter, or its right sides weights, which are streamed",
        location=describe_source(program) or None,
    )
