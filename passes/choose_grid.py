"""`choose-grid`: the cores of each axis, and the blocks, by a cost model.

Every way to share the parallel axes out (`grid_candidates.py`) has a first-order price
(`grid_prices.py`); what does not fit into L1 is out. Where the context can time a
program, the best few are timed (`grid_search.py`) and the fastest is taken.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from math import inf
from operator import itemgetter

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from dialects.chip import Chip, load_chip
from dialects.errors import CapacityError
from dialects.grid import ProgramOp, UsesAttr
from dialects.weight_formats import WeightFormats
from passes.context import CompileContext, ProgramTimer, note_decision, timer_of
from passes.contraction_loops import as_loop, as_split_loop, discard
from passes.decisions import Candidate, Decision
from passes.grid_candidates import GridCandidates
from passes.grid_prices import Axes, GridPrices
from passes.grid_search import WORTH, GridSearch, cycles_of, ordered
from passes.head_groups import in_groups
from passes.l1_budget import operand_formats, usable_bytes
from passes.rewriting import describe_source
from passes.row_parts import in_parts
from passes.structure_key import structure_key

FORMS = {
    "loop": as_loop,
    "split": as_split_loop,
    "parts": in_parts,
    "groups": in_groups,
}
"""Other ways to write a program, by name: a function that returns one, detached, or
None. As it comes it is "stages"."""

_LOGGED = 6
"""Candidates of a decision that are kept where none was timed."""


@dataclass(frozen=True)
class ChooseGridPass(ModulePass):
    """Choose cores and blocks of every program.

    `search` times candidates where the context can; `multicast` says that operands
    which a line of cores shares will be multicast, `read_ahead` that masters read a
    block while they send one; `loops` that contractions may become loops over blocks of
    their rows, `split` that cores may share those out, with `banks` each beside the
    DRAM bank in which its rows lie; `parts` that cores may share a row out that they
    all sum over, `groups` that heads may be shared out by groups that read the same
    keys.
    """

    name = "choose-grid"

    chip: str = "n150"
    weights_format: str = "bf16"
    search: bool = True
    multicast: bool = True
    read_ahead: bool = True
    loops: bool = True
    split: bool = True
    banks: bool = True
    parts: bool = True
    groups: bool = True

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        chip, formats = load_chip(self.chip), WeightFormats.parse(self.weights_format)
        timer = timer_of(ctx) if self.search else None
        found: dict[Hashable, tuple[Decision, UsesAttr]] = {}
        known = ctx.known_decisions if isinstance(ctx, CompileContext) else {}
        for program in op.walk():
            if isinstance(program, ProgramOp):
                stored = operand_formats(program, formats)
                key = (self, structure_key(program), *stored)
                if key not in known:
                    known[key] = self._choose(program, chip, formats, timer)
                if key not in found:
                    decision, uses = known[key]
                    found[key] = replace(decision, programs=[]), uses
                    note_decision(ctx, found[key][0])
                found[key][0].programs.append(program)
        for decision, uses in found.values():
            for number, program in enumerate(decision.programs):
                program = decision.programs[number] = _as(decision.chosen.form, program)
                program.properties["axes"] = decision.chosen.attribute
                program.properties["uses"] = uses

    def _choose(
        self,
        program: ProgramOp,
        chip: Chip,
        formats: WeightFormats,
        timer: ProgramTimer | None,
    ) -> tuple[Decision, UsesAttr]:
        """Decide for one program: as it comes, or written another way."""
        allowed = {"loop": self.loops, "split": self.loops and self.split}
        allowed |= {"parts": self.parts, "groups": self.groups}
        written = {n: form(program) for n, form in FORMS.items() if allowed[n]}
        others = {name: form for name, form in written.items() if form is not None}
        forms = {
            name: Form(
                GridPrices(
                    form,
                    chip,
                    operand_formats(form, formats),
                    multicast=self.multicast,
                    read_ahead=self.read_ahead,
                ),
                name=name,
                shards_rows=self.banks,
            )
            for name, form in {"stages": program, **others}.items()
        }
        try:
            decision = _decide(list(forms.values()), timer)
            chosen = forms[decision.chosen.form]
            return decision, chosen.prices.uses(decision.chosen.axes)
        finally:
            for form in others.values():
                discard(form)


class Form:
    """A way to write a program: its prices, and what fits in the order of them."""

    def __init__(
        self, prices: GridPrices, *, name: str = "stages", shards_rows: bool = True
    ):
        self.prices = prices
        limit = usable_bytes(prices.chip)
        candidates = GridCandidates(
            prices.program, prices.chip, prices.schedule, shards_rows=shards_rows
        )
        grids = list(candidates)
        sizes = [prices.l1_bytes(axes) for axes in grids]
        self.least_bytes = min(sizes, default=sys.maxsize)
        fitting = [a for a, size in zip(grids, sizes, strict=True) if size <= limit]
        self.num_fitting = len(fitting)
        self.bounds = _bounds(prices, fitting, form=name)

    def ranked(self, limit: float) -> list[Candidate]:
        """Candidates up to a price, crowded banks counted.

        Those only add to a price and take long to find: candidates come in the order
        of their prices without.
        """
        best, found = inf, []
        for number, candidate in enumerate(self.bounds):
            if candidate.price.total > min(limit, WORTH * best):
                break
            price = self.prices.price(candidate.axes, crowded=True)
            best = min(best, price.total)
            found.append((price.total, number, replace(candidate, price=price)))
        return [c for *_, c in sorted(found, key=itemgetter(0, 1))]


def _as(form: str, program: ProgramOp) -> ProgramOp:
    """The program, replaced by the form that was chosen."""
    if form not in FORMS:
        return program
    written = FORMS[form](program)
    assert written is not None
    written.location = program.location
    Rewriter.replace_op(program, written)
    return written


def _decide(forms: Sequence[Form], timer: ProgramTimer | None) -> Decision:
    """Choose for one program. `CapacityError` where nothing fits."""
    fitting = sum(form.num_fitting for form in forms)
    if not fitting:
        raise _too_large(forms[0].prices, min(form.least_bytes for form in forms))
    least = min(form.bounds[0].price.total for form in forms if form.bounds)
    ranked = {form: form.ranked(WORTH * least) for form in forms}
    cheapest = sorted((c for cs in ranked.values() for c in cs), key=_total)
    if len(cheapest) == 1 or timer is None:
        why = "the only one that fits" if fitting == 1 else "the least price"
        return Decision(tuple(cheapest[:_LOGGED]), fitting, why)
    # Prices of one form compare best: what is not timed is left as it comes.
    as_it_comes = [c for c in cheapest if c.form == "stages"] or cheapest
    if as_it_comes[0].price.total < 2 * as_it_comes[0].price.launch:
        cheapest = as_it_comes
        why = "the least price; a launch shorter than the gap before it is not timed"
        return Decision(tuple(cheapest[:_LOGGED]), fitting, why)
    timed: list[Candidate] = []
    for form, candidates in ranked.items():
        if candidates:
            rival = min(map(cycles_of, timed), default=inf)
            timed += GridSearch(form.prices, candidates, timer=timer).timed(rival)
    timed = ordered(timed)
    if timed[0].cycles is None:
        rest = [c for c in cheapest if not any(c.is_same(t) for t in timed)]
        why = "the least price of those not refused"
        return Decision((*rest[:1], *timed), fitting, why)
    return Decision(tuple(timed), fitting, _why(timed, cheapest[0]))


def _why(timed: list[Candidate], cheapest: Candidate) -> str:
    fastest = timed[0].cycles
    counted = f"the fastest of {sum(c.cycles is not None for c in timed)} timed"
    same = next((c.cycles for c in timed if c.is_same(cheapest)), None)
    if same is None or fastest is None or same == fastest:
        return counted
    return f"{counted}; the least price takes {same / fastest - 1:.1%} longer"


def _total(candidate: Candidate) -> float:
    return candidate.price.total


def _bounds(prices: GridPrices, grids: Sequence[Axes], *, form: str) -> list[Candidate]:
    """Candidates for these grids, cheapest first; those far above it are left out."""
    floors = [prices.floor(axes) for axes in grids]
    found: list[tuple[int, Candidate]] = []
    least = inf
    for number in sorted(range(len(grids)), key=floors.__getitem__):
        if floors[number] > WORTH * least:
            break
        price = prices.price(grids[number], crowded=False)
        least = min(least, price.total)
        found.append((number, Candidate(grids[number], price, form=form)))
    found.sort(key=itemgetter(0))  # of equal prices the first grid counts
    return sorted((candidate for _, candidate in found), key=_total)


def _too_large(prices: GridPrices, least: int) -> CapacityError:
    program, chip = prices.program, prices.chip
    return CapacityError(
        f"program '{program.sym_name.data}' fits into L1 on no grid of {chip.name}",
        limit=f"{usable_bytes(chip)} bytes a core",
        value=f"{least} bytes at least",
        advice="make its rows shorter, or its right sides weights, which are streamed",
        location=describe_source(program) or None,
    )
