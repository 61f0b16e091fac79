"""Equal layers: to try what passes make of a module, a few of them are enough.

Programs are formed out of neighbours: what becomes of one layer becomes of all that are
equal to it and have equal ones before and behind. A layer is what repeats itself in the
order of a function's operations.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import BlockArgument, Operation, SSAValue
from xdsl.rewriter import Rewriter

from dialects.weight_formats import WeightFormats
from passes.constants import argument_name, is_constant

_KEPT = 3
"""Layers that stay: the first and the last, which have other neighbours, and one."""


@dataclass(frozen=True)
class Repetition:
    """Operations that repeat themselves: `length` of them from number `first` on.

    Those up to number `stop` are equal to the ones `length` before them.
    """

    first: int
    length: int
    stop: int

    @property
    def times(self) -> int:
        """How often they are there as a whole."""
        return (self.stop - self.first) // self.length


class ShortCopy:
    """A copy of a module with three of the equal layers of each function."""

    def __init__(self, module: ModuleOp, weights_format: str):
        self.module = module.clone()
        pairs = zip(module.walk(), self.module.walk(), strict=True)
        self._copies: dict[Operation, Operation] = dict(pairs)
        formats = WeightFormats.parse(weights_format)
        for function in module.ops:
            if isinstance(function, FuncOp):
                self._shorten(list(function.body.block.ops), formats)

    def hand_back(self, name: str) -> None:
        """Give the module's operations the attribute, where their copies have it."""
        for op, copy in self._copies.items():
            if name in copy.attributes:
                op.attributes[name] = copy.attributes[name]

    def _shorten(self, ops: Sequence[Operation], formats: WeightFormats) -> None:
        found = find_repetition(ops, formats)
        if found is None or found.times <= _KEPT:
            return
        shift = (found.times - _KEPT) * found.length
        begin = found.first + (_KEPT - 1) * found.length
        numbers = _numbers(ops)
        links: list[tuple[Operation, int, SSAValue]] = []
        for later, op in enumerate(ops[begin + shift :], begin + shift):
            for place, value in enumerate(op.operands):
                number = numbers.get(value, -1)
                if begin <= number < begin + shift:
                    if later >= found.stop or number - shift < found.first:
                        return  # it needs a layer that would not be there
                    result = ops[number].results.index(value)
                    earlier = self._copies[ops[number - shift]].results[result]
                    links.append((self._copies[op], place, earlier))
        for copy, place, value in links:
            copy.operands[place] = value
        for number in reversed(range(begin, begin + shift)):
            Rewriter.erase_op(self._copies[ops[number]])
            place = (number - found.first) % found.length
            kept = ops[found.first + found.length + place]
            self._copies[ops[number]] = self._copies[kept]


def find_repetition(
    ops: Sequence[Operation], formats: WeightFormats
) -> Repetition | None:
    """The longest run of operations of a block that repeats itself at once."""
    known: dict[Hashable, int] = {}
    keys = [known.setdefault(_key(op, formats), len(known)) for op in ops]
    codes, numbers = np.array(keys), _numbers(ops)
    best: Repetition | None = None
    for length in range(1, len(ops) // 2 + 1):
        same = codes[length:] == codes[:-length]
        first, stop = _longest_run(same)
        if stop - first < length or (best and stop - first <= best.stop - best.first):
            continue
        linked = [
            _is_moved(ops[i], ops[i + length], length, numbers)
            for i in range(first, stop)
        ]
        begin, end = _longest_run(np.array(linked))
        if end - begin >= length and (
            best is None or end - begin + length > best.stop - best.first
        ):
            best = Repetition(first + begin, length, first + end + length)
    return best


def _longest_run(flags: np.ndarray) -> tuple[int, int]:
    """Begin and end of the longest run of flags that are set."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    begins, ends = edges[::2], edges[1::2]
    if not len(begins):
        return 0, 0
    longest = int(np.argmax(ends - begins))
    return int(begins[longest]), int(ends[longest])


def _key(op: Operation, formats: WeightFormats) -> Hashable:
    """What an operation does, but for where its operands come from."""
    if op.regions:
        return op
    operands = tuple(
        (value.type, _argument_key(value, formats)) for value in op.operands
    )
    results = tuple(result.type for result in op.results)
    stated = frozenset(op.properties.items()), frozenset(op.attributes.items())
    return op.name, operands, results, stated


def _argument_key(value: SSAValue, formats: WeightFormats) -> Hashable:
    if not isinstance(value, BlockArgument):
        return None
    return formats.of([argument_name(value)]) if is_constant(value) else "input"


def _is_moved(
    op: Operation, later: Operation, length: int, numbers: dict[SSAValue, int]
) -> bool:
    """Whether an operation reads what an equal one reads `length` before it: the same,
    another argument, or what was made as much earlier."""
    for value, other in zip(op.operands, later.operands, strict=True):
        if value is other or isinstance(value, BlockArgument):
            continue
        if numbers[value] + length != numbers.get(other):
            return False
    return True


def _numbers(ops: Sequence[Operation]) -> dict[SSAValue, int]:
    """The number of the operation that makes each value."""
    return {result: number for number, op in enumerate(ops) for result in op.results}
