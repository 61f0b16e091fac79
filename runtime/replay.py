"""Replay: a launch as a flat list of calls on whole matrices.

`prepare` traces a launch and merges the trace. A prepared program is bound to the
sheets of its parameters: every operand gets its address, and what is left is a list of
calls without arguments. Bound once, it runs any number of times.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dialects.expr import Environment, Expr
from dialects.formats import DstMode, Fidelity
from runtime.bound import Bound, Sheet
from runtime.chains import FastRules
from runtime.fast_steps import (
    Item,
    PackLeft,
    PackRight,
    fast_calls,
    item_reads,
    item_writes,
    schedule,
    step_of,
)
from runtime.launch import Launch
from runtime.memory_plan import Interval, Workspace, plan
from runtime.merge import Merged, merge
from runtime.numerics import make_numerics
from runtime.plain_steps import Call, plain_call
from runtime.trace import trace_launch


@dataclass(frozen=True)
class NamedCall:
    """A call and the instructions that it stands for."""

    name: str
    call: Call


class BoundProgram:
    """A program on its sheets: call it to compute."""

    def __init__(self, calls: Sequence[NamedCall], bound: Bound):
        self.named = tuple(calls)
        self._calls = tuple(call.call for call in calls)
        self._bound = bound

    def __call__(self, scalars: Environment) -> None:
        """Compute; outputs are written into their sheets.

        `scalars` are the run-time scalars by name; they may differ from those of the
        launch where only fills and row writes depend on them.
        """
        self._bound.scalars = scalars
        for call in self._calls:
            call()


class Prepared:
    """A program ready to be bound to the sheets of its parameters."""

    def __init__(
        self, merged: Merged, numerics: str, rules: FastRules, scalars: Environment
    ):
        self.merged = merged
        self.scalars = scalars
        self.limits: dict[int, dict[Expr, int]] = {}
        self.rules = rules
        self.is_fast = numerics == "fast"
        self.numerics = make_numerics(numerics, rules.fidelity, rules.dst)
        self.unrounded = make_numerics(numerics, rules.fidelity, DstMode.FP32)
        self.items: list[Item] = list(merged.steps)
        if self.is_fast:
            self.items = schedule(merged, rules)
        self.offsets, self.words = plan(self._intervals())

    def __call__(self, parameters: Sequence[Sheet]) -> None:
        """Bind and run once, with the scalars of the launch."""
        self.bind(parameters)(self.scalars)

    def _intervals(self) -> Iterable[Interval]:
        """When what is computed is first written and last read."""
        given = set(range(self.merged.num_parameters)) | set(self.merged.constants)
        first: dict[object, int] = {}
        last: dict[object, int] = {}
        for at, item in enumerate(self.items):
            for key in item_writes(item):
                first.setdefault(key, at)
                last[key] = at
            for key in item_reads(item):
                last[key] = at
        return [
            Interval(key, self._size(key), first[key], last[key])
            for key in first
            if key not in given
        ]

    def _size(self, key: object) -> int:
        if isinstance(key, PackLeft | PackRight):
            return key.words
        assert isinstance(key, int)
        rows, columns = self.merged.shapes[key]
        return rows * columns

    def bind(
        self, parameters: Sequence[Sheet], workspace: Workspace | None = None
    ) -> BoundProgram:
        """Resolve all addresses. Sheets are contiguous and stay where they are."""
        block = (workspace or Workspace()).words(self.words)
        given, copies = self._apart(parameters)
        bound = self._bound(given, block)
        calls = [
            NamedCall(_name(item), call)
            for item in self.items
            for call in self._calls(item, bound)
        ]
        calls += [NamedCall("store", call) for call in copies]
        return BoundProgram(calls, bound)

    def _apart(self, parameters: Sequence[Sheet]) -> tuple[list[Sheet], list[Call]]:
        """Sheets of their own for outputs that another parameter reads as well."""
        given, copies = list(parameters), []
        for output in self.merged.outputs:
            target = given[output]
            shared = sum(sheet is target for sheet in parameters) > 1
            if shared and isinstance(target, np.ndarray):
                own = target.copy()
                given[output] = own
                copies.append(_copying(own, target))
        return given, copies

    def _bound(self, parameters: Sequence[Sheet], block: np.ndarray) -> Bound:
        others = dict(self.merged.constants)
        words: dict[object, np.ndarray] = {}
        for key, offset in self.offsets.items():
            part = block[offset : offset + self._size(key)]
            if isinstance(key, int):
                others[key] = part.view(np.float32).reshape(self.merged.shapes[key])
            else:
                words[key] = part
        return Bound(parameters, others, words, self.limits)

    def _calls(self, item: Item, bound: Bound) -> list[Call]:
        if self.is_fast:
            calls = fast_calls(item, bound, self.rules)
            if calls is not None:
                return calls
        return [plain_call(step_of(item), bound, self.numerics, self.unrounded)]


def prepare(
    launch: Launch,
    numerics: str = "fast",
    *,
    constants: frozenset[int] = frozenset(),
) -> Prepared:
    """Trace a launch and merge it. Raises `HazardError` for what cannot run.

    `numerics` is one of `runtime.numerics.NUMERICS`. Parameters in `constants` will be
    bound to `ConstantSheet`s.
    """
    dst = DstMode.FP32 if launch.facts.fp32_dst else DstMode.BF16
    rules = FastRules(Fidelity(launch.facts.fidelity), dst, constants)
    trace = trace_launch(launch, joins_l1_sums=numerics == "fast")
    merged = merge(trace)
    return Prepared(merged, numerics, rules, launch.scalars)


def _copying(source: np.ndarray, target: np.ndarray) -> Call:
    return lambda: np.copyto(target, source)


def _name(item: Item) -> str:
    if isinstance(item, PackLeft | PackRight):
        return "pack operand"
    return getattr(item, "name", None) or step_of(item).name
