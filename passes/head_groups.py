"""An axis of heads as two, groups and their members, so that sharing shows.

Queries of a group read the same keys. Along one axis of heads the map of the keys is
`h floordiv 7`, and each core seems to want keys of its own; with an axis of groups they
run along that alone. What the cores of a group want, one of them may read and send, and
a core with several heads of a group reads their keys once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Operation, SSAValue
from xdsl.rewriter import Rewriter

from dialects import ttir
from dialects.axes import Axis
from dialects.expr import Binary, Const, Expr, Name, add, floordiv, multiply, substitute
from dialects.grid import (
    NO_AXIS,
    AxisListAttr,
    CausalMaskOp,
    PadMaskOp,
    ProgramOp,
    StageOp,
    Use,
    UsesAttr,
    YieldOp,
)
from dialects.syntax import AxesAttr
from dialects.ttir.base import element_of, i32_array, shape_of
from passes.axis_classes import ValueAxes

_NAMES = "gbcd"
"""Letters for the axis of groups, the first that is free."""

_FOLLOWING = (
    YieldOp,
    ttir.MatmulOp,
    ttir.UnaryOp,
    ttir.BinaryOp,
    ttir.TypecastOp,
    CausalMaskOp,
    PadMaskOp,
)
"""Operations that do the same when a leading dimension of theirs becomes two."""


def in_groups(program: ProgramOp) -> ProgramOp | None:
    """The program with an axis in groups and members, detached.

    None where no operand's map divides an axis evenly, or something in the program
    asks for the axis as it is. Loops do: masks bound their steps, and the cores of a
    group do not take the same keys.
    """
    groups = _Groups.of(program)
    if groups is None:
        return None
    copy = program.clone()
    copy.location = program.location
    groups.write(copy)
    return copy


def _divisions(expr: Expr) -> Iterator[tuple[str, int]]:
    """The names that an expression divides, and by what."""
    if not isinstance(expr, Binary):
        return
    left, right = expr.left, expr.right
    if expr.operator == "floordiv" and isinstance(left, Name):
        if isinstance(right, Const):
            yield left.name, right.value
        return
    yield from _divisions(left)
    yield from _divisions(right)


@dataclass(frozen=True)
class _Groups:
    """The `axis` to be split, into `count` groups along `group` of `members` each.

    Of a value that has it, `behind` dimensions stand behind the one along it.
    """

    axis: str
    group: str
    count: int
    members: int
    behind: int

    @classmethod
    def of(cls, program: ProgramOp) -> _Groups | None:
        """Find what an operand's map divides, where that can be split."""
        uses = program.uses.data
        divided = {d for use in uses for entry in use.map for d in _divisions(entry)}
        if len(divided) != 1:
            return None
        ((name, members),) = divided
        named = program.axes.by_name()
        split = named.get(name)
        if split is None or split.extent % members or members == split.extent:
            return None
        axes = ValueAxes(program)
        found = [axes.of(value) for value in _values(program)]
        behind = {len(own) - 1 - own.index(name) for own in found if name in own}
        if len(behind) != 1:
            return None
        group = next(letter for letter in _NAMES if letter not in named)
        groups = cls(name, group, split.extent // members, members, *behind)
        return groups if groups._is_sound(program, axes) else None

    def _is_sound(self, program: ProgramOp, axes: ValueAxes) -> bool:
        """Whether all goes on as it is with two axes in the place of one."""
        block, uses = program.body.block, program.uses.data
        shared = [a for a in block.args if self._is_shared(uses[a.index])]
        found = {
            axes.of(v)[self._dim(v)] for v in _values(program) if self._dim(v) >= 0
        }
        return (
            self.behind > 1  # neither rows nor columns of tiles
            and found <= {self.axis, NO_AXIS}
            and all(map(self._follows, block.walk()))
            and all(map(_is_only_a_right_side, shared))
        )

    def _follows(self, op: Operation) -> bool:
        """Whether an operation does the same when the axis becomes two."""
        if isinstance(op, ttir.FullOp):
            return shape_of(op.result)[max(0, self._dim(op.result))] == 1
        if isinstance(op, ttir.ReductionOp):
            return self._dim(op.input) not in op.axes
        if isinstance(op, StageOp):
            return op.where is None
        return isinstance(op, _FOLLOWING)

    def _dim(self, value: SSAValue) -> int:
        """The dimension of a value that becomes two; below zero where there is none."""
        return len(shape_of(value)) - 1 - self.behind

    def _is_shared(self, use: Use) -> bool:
        """Whether an operand is the same for all members of a group."""
        row, column = map(self._by_group, use.map)
        return self.axis in use.axes and self.axis not in row.names() | column.names()

    def _by_group(self, expr: Expr) -> Expr:
        """An expression that names the group instead of computing it."""
        if expr == floordiv(Name(self.axis), self.members):
            return Name(self.group)
        if not isinstance(expr, Binary):
            return expr
        left, right = self._by_group(expr.left), self._by_group(expr.right)
        return Binary(expr.operator, left, right)

    # -- writing -------------------------------------------------------------------

    def write(self, program: ProgramOp) -> None:
        """Split the axis in a program that was found sound."""
        axes, uses = ValueAxes(program), program.uses.data
        block = program.body.block
        shared = [a for a in block.args if self._is_shared(uses[a.index])]
        shapes = {v: self._shape(v, axes.of(v), v in shared) for v in _values(program)}
        for op in block.walk():
            if isinstance(op, ttir.ReductionOp):
                dims = [dim + (dim > self._dim(op.input)) for dim in op.axes]
                op.properties["dim_arg"] = i32_array(dims)
            elif isinstance(op, StageOp):
                over = (
                    (self.group, a) if a == self.axis else (a,) for a in op.over.data
                )
                op.properties["over"] = AxesAttr(tuple(chain.from_iterable(over)))
        for value, shape in shapes.items():
            type_ = TensorType(element_of(value), shape)
            Rewriter.replace_value_with_new_type(value, type_)
        axes_ = chain.from_iterable(map(self._axes, program.axes.data))
        program.properties["axes"] = AxisListAttr(tuple(axes_))
        program.properties["uses"] = UsesAttr(tuple(map(self._use, uses)))
        made = tuple(map(self._use, program.makes.data))
        program.properties["makes"] = UsesAttr(made)

    def _shape(
        self, value: SSAValue, axes: Sequence[str], shared: bool
    ) -> tuple[int, ...]:
        """The shape of a value with two dimensions in the place of one."""
        shape, dim = shape_of(value), self._dim(value)
        if dim < 0:
            return shape
        two = (1, 1)
        if axes[dim] == self.axis:
            two = (self.count, 1 if shared else self.members)
        return (*shape[:dim], *two, *shape[dim + 1 :])

    def _axes(self, axis: Axis) -> tuple[Axis, ...]:
        """The axes that an axis becomes."""
        if axis.name != self.axis:
            return (axis,)
        groups = replace(axis, name=self.group, extent=self.count, block=self.count)
        return groups, replace(axis, extent=self.members, block=self.members)

    def _use(self, use: Use) -> Use:
        """How an operand or a result is used with the two axes."""
        whole = add(multiply(Name(self.group), self.members), Name(self.axis))

        def both(pair: tuple[Expr, Expr]) -> tuple[Expr, Expr]:
            first, second = map(self._by_group, pair)
            named = {self.axis: whole}
            return substitute(first, named), substitute(second, named)

        axes, dim = use.axes, len(use.axes) - 1 - self.behind
        if dim >= 0:
            two = (NO_AXIS, NO_AXIS)
            if axes[dim] == self.axis:
                two = (self.group, NO_AXIS if self._is_shared(use) else self.axis)
            axes = (*axes[:dim], *two, *axes[dim + 1 :])
        row = None if use.row is None else both(use.row)
        return replace(use, axes=axes, map=both(use.map), row=row)


def _values(program: ProgramOp) -> list[SSAValue]:
    """All values in a program's region but numbers, which lie along no axis."""
    block = program.body.block
    ops = (op for op in block.walk() if not isinstance(op, ttir.FullOp))
    return [*block.args, *chain.from_iterable(op.results for op in ops)]


def _is_only_a_right_side(value: SSAValue) -> bool:
    """Whether products are all that reads an operand: nothing is made of it alone."""
    return all(
        isinstance(use.operation, ttir.MatmulOp) and use.index == 1
        for use in value.uses
    )
