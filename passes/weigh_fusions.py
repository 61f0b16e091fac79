"""Fusions that lose time are found, and marked, before programs form.

Inside its consumer a norm is computed by every core that has the row; where rows are
many and cores too, that may take longer than another launch, or than two. A projection
by heads saves launches, but its weights come to fewer cores, and not from the banks
beside them. All ways are placed and timed on copies of the module, and each goes the
fastest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import inf

from xdsl.dialects.builtin import BoolAttr, IntegerAttr, ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Operation
from xdsl.passes import ModulePass

from dialects import ttir
from dialects.grid import ProgramOp
from passes.choose_grid import ChooseGridPass
from passes.context import CompileContext
from passes.decisions import Decision
from passes.form_programs import ALONE, IN_TWO, FormProgramsPass
from passes.rewriting import flat_locations
from passes.split_heads import BY_HEADS, projections_by_heads
from passes.square_sums import num_parts

NORMS = (ttir.RMSNormOp, ttir.LayerNormOp)

_KEPT_IN_L1 = 1_000
"""Cycles of a launch that `align-grids`, which comes later, saves: 650 to 2,400 for
each in the attention of Qwen2.5-0.5B and Qwen3-0.6B."""

Sources = frozenset[Attribute]


@dataclass(frozen=True)
class _Cost:
    """A placed program: where it comes from, its cycles, the gap before it included."""

    sources: Sources
    cycles: float


def weigh_fusions(
    ctx: CompileContext, module: ModuleOp, steps: Sequence[ModulePass]
) -> None:
    """Mark the norms that are to stay alone, and those of them that are faster in two
    launches; `steps` form programs and place them."""
    form, *rest = steps
    place = rest[-1]
    assert isinstance(form, FormProgramsPass)
    assert isinstance(place, ChooseGridPass)
    norms = any(isinstance(op, NORMS) for op in module.walk())
    if not (form.weighed and place.search and norms):
        return
    separate = [replace(form, rms_norm_fusion=False), *rest]
    apart = _costs(ctx, module, separate)
    fused = _costs(ctx, module, steps) if form.rms_norm_fusion else apart
    in_two = _costs(ctx, module, separate, mark=_mark_long) if form.square_sums else {}
    for function in (op for op in module.ops if isinstance(op, FuncOp)):
        name = function.sym_name.data
        ways = _Ways(fused[name], apart[name], in_two.get(name, ()))
        for norm in function.walk():
            launches = ways.launches(_sources(norm)) if isinstance(norm, NORMS) else 0
            if launches:
                norm.attributes[ALONE] = IntegerAttr(launches, 64)


def _mark_long(module: ModuleOp) -> None:
    """Mark all norms that may be computed by two launches."""
    for op in module.walk():
        if num_parts(op) > 1:
            op.attributes[ALONE] = IntegerAttr(IN_TWO, 64)


@dataclass(frozen=True)
class _Ways:
    """Programs of a function with norms inside others, alone, and in two launches."""

    fused: Sequence[_Cost]
    apart: Sequence[_Cost]
    in_two: Sequence[_Cost]

    def launches(self, own: Sources) -> int:
        """How many launches a norm takes that is to stay alone; 0 where it is not."""
        whole = _cycles_alone(own, self.apart)
        halves = _cycles_alone(own, self.in_two)
        saved = max(0.0, whole - halves) if own and halves < inf else 0.0
        declined = _is_faster(own, self.apart, self.fused, saved)
        if not declined and _cycles_alone(own, self.fused) == inf:
            return 0
        if saved > 0.0:
            return IN_TWO
        return 1 if declined else 0


def _cycles_alone(own: Sources, costs: Sequence[_Cost]) -> float:
    """Cycles of the programs that do only what an operation does; endless where one
    does more."""
    met = [cost for cost in costs if cost.sources & own]
    if not met or any(cost.sources - own for cost in met):
        return inf
    return sum(cost.cycles for cost in met)


def weigh_heads(
    ctx: CompileContext, module: ModuleOp, steps: Sequence[ModulePass]
) -> None:
    """Mark which projections go by heads; `steps` split them, form programs and place
    them."""
    split, form, *rest = steps
    place = rest[-1]
    assert isinstance(form, FormProgramsPass)
    assert isinstance(place, ChooseGridPass)
    found = {
        function.sym_name.data: projections_by_heads(function)
        for function in module.ops
        if isinstance(function, FuncOp)
    }
    if not (any(found.values()) and form.weighed and place.search):
        return
    forms = [form]
    if form.rms_norm_fusion:
        forms.append(replace(form, rms_norm_fusion=False))
    costs = []
    for by_heads in (True, False):
        for linear in chain.from_iterable(found.values()):
            linear.attributes[BY_HEADS] = BoolAttr.from_bool(by_heads)
        costs += [_costs(ctx, module, [split, way, *rest]) for way in forms]
    for name, linears in found.items():
        for linear in linears:
            cycles = _same_work(_sources(linear), [cost[name] for cost in costs])
            by_heads = min(cycles[: len(forms)]) < min(cycles[len(forms) :])
            linear.attributes[BY_HEADS] = BoolAttr.from_bool(by_heads)


def _same_work(own: Sources, ways: Sequence[Sequence[_Cost]]) -> list[float]:
    """Cycles of the programs that do some work, or work that is fused with it in any of
    the ways. Between two launches, what stays in L1 takes less than what was timed."""
    reached: Sources = frozenset()
    while own != reached:
        reached = own
        met = [c.sources for way in ways for c in way if c.sources & own]
        own = own.union(*met)
    found = [[cost.cycles for cost in way if cost.sources & own] for way in ways]
    return [sum(cycles) - _KEPT_IN_L1 * len(cycles) for cycles in found]


def _costs(
    ctx: CompileContext,
    module: ModuleOp,
    steps: Sequence[ModulePass],
    *,
    mark: Callable[[ModuleOp], None] | None = None,
) -> dict[str, list[_Cost]]:
    """The programs of each function of a copy, which `mark` may mark, formed and placed
    by some steps."""
    trial, copy = ctx.clone(), module.clone()
    trial.decisions = []
    if mark is not None:
        mark(copy)
    for step in steps:
        step.apply(trial, copy)
    costs: dict[str, list[_Cost]] = {}
    for op in copy.ops:
        if isinstance(op, FuncOp):
            costs[op.sym_name.data] = list(_of_function(op, trial.decisions))
    return costs


def _of_function(function: FuncOp, decisions: Sequence[Decision]) -> Iterator[_Cost]:
    chosen = {p: decision.chosen for decision in decisions for p in decision.programs}
    for op in function.walk():
        if isinstance(op, ProgramOp):
            found = chosen[op]
            gap = found.price.launch
            cycles = found.price.total if found.cycles is None else found.cycles + gap
            yield _Cost(_sources(op), cycles)


def _sources(op: Operation) -> Sources:
    return frozenset(flat_locations(op.location))


def _is_faster(
    own: Sources, apart: Sequence[_Cost], fused: Sequence[_Cost], saved: float
) -> bool:
    """Whether launches that do what one with the norm inside does take less time, if
    `saved` cycles less than it did apart."""
    inside = [cost for cost in fused if own and own < cost.sources]
    if len(inside) != 1:
        return False
    parts = [cost for cost in apart if cost.sources <= inside[0].sources]
    covered = frozenset().union(*(part.sources for part in parts))
    if covered != inside[0].sources:
        return False
    return sum(part.cycles for part in parts) - saved < inside[0].cycles
