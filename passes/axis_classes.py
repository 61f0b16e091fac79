"""Which dimensions of the values in a program run along the same axis.

Element-wise operations tie the dimensions of their operands and result, contractions
and reductions tie them by their rules. Products of one value with matrices of one shape
(gate and up) run along the same axes, whether or not they meet. Dimensions of extent 1
are tied to nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from networkx.utils import UnionFind
from xdsl.ir import Block, Operation, SSAValue

from dialects import ttir
from dialects.grid import NO_AXIS, CombineOp, LoopOp, PositionMaskOp, ProgramOp, StageOp
from dialects.ttir.base import shape_of

Place = tuple[SSAValue, int]


class AxisClasses:
    """Classes of dimensions over all operations of a block, nested ones included."""

    def __init__(self, block: Block):
        self._union: UnionFind = UnionFind()
        self._products: dict[Hashable, SSAValue] = {}
        self.block = block
        for op in block.walk():
            self._tie(op)

    def of(self, value: SSAValue, dim: int) -> Place:
        """The representative of a dimension's class."""
        return self._union[(value, dim)]

    def same(self, left: Place, right: Place) -> None:
        """Tie two dimensions, unless one is of extent 1."""
        sizes = (shape_of(left[0])[left[1]], shape_of(right[0])[right[1]])
        if 1 not in sizes:
            self._union.union(left, right)

    def _tie(self, op: Operation) -> None:
        if isinstance(op, ttir.MatmulOp):
            self._tie_matmul(op)
        elif isinstance(op, ttir.ReductionOp):
            for dim in range(len(shape_of(op.input))):
                if dim not in op.axes:
                    self.same((op.input, dim), (op.result, dim))
        elif isinstance(op, StageOp):
            inner = op.body.block.last_op
            assert inner is not None
            self._tie_pairs(inner.operands, op.results)
        elif isinstance(op, LoopOp):
            self._tie_pairs(op.body.block.args, op.carried)
            self._tie_pairs(op.yielded, op.carried)
        elif isinstance(op, CombineOp):
            self._tie_pairs(op.body.block.args, (*op.combined, *op.combined))
            self._tie_pairs(
                () if op.each else op.values, () if op.each else op.combined
            )
            self._tie_pairs(op.yielded, op.combined)
        elif isinstance(op, PositionMaskOp):
            self.same((op.positions, 0), (op.result, 0))
        elif isinstance(op, ttir.EmbeddingOp):
            self._tie_gather(op)
        elif op.results and op.operands:
            self._tie_aligned([*op.operands, op.results[0]])

    def _tie_gather(self, op: ttir.EmbeddingOp) -> None:
        rank = len(shape_of(op.result))
        for dim in range(rank - 1):
            self.same((op.input, dim), (op.result, dim))
        self.same((op.weight, 1), (op.result, rank - 1))

    def _tie_pairs(
        self, values: Iterable[SSAValue], results: Iterable[SSAValue]
    ) -> None:
        for value, result in zip(values, results, strict=True):
            self._tie_aligned([value, result])

    def _tie_aligned(self, values: Iterable[SSAValue]) -> None:
        """Tie dimensions that numpy's broadcasting lays over each other."""
        *operands, result = values
        shape = shape_of(result)
        for operand in operands:
            own = shape_of(operand)
            offset = len(shape) - len(own)
            for dim, size in enumerate(own):
                if size != 1 and shape[dim + offset] != 1:
                    self._union.union((operand, dim), (result, dim + offset))

    def _tie_matmul(self, op: ttir.MatmulOp) -> None:
        rank_a, rank_b = len(shape_of(op.a)), len(shape_of(op.b))
        rank = len(shape_of(op.result))
        row, k_a = rank_a - 2, rank_a - 1
        k_b, column = rank_b - 2, rank_b - 1
        if op.transposes_a:
            row, k_a = k_a, row
        if op.transposes_b:
            k_b, column = column, k_b
        self.same((op.a, row), (op.result, rank - 2))
        self.same((op.b, column), (op.result, rank - 1))
        self.same((op.a, k_a), (op.b, k_b))
        for operand, own in ((op.a, rank_a), (op.b, rank_b)):
            for dim in range(own - 2):
                self.same((operand, dim), (op.result, dim + rank - own))
        turns = (bool(op.transposes_a), bool(op.transposes_b))
        alike = self._products.setdefault((op.a, shape_of(op.b), *turns), op.result)
        self._tie_aligned([alike, op.result])


def runs_twice_along_an_axis(classes: AxisClasses) -> bool:
    """Whether one axis would stand for two dimensions that must differ.

    `x + x @ w` ties the rows of w to its columns if x is one operand: its two uses
    then need an operand each.
    """

    def places(value: SSAValue) -> list[Place]:
        sizes = enumerate(shape_of(value))
        return [classes.of(value, dim) for dim, size in sizes if size != 1]

    ops = list(classes.block.walk())
    for value in {value for op in ops for value in (*op.operands, *op.results)}:
        found = places(value)
        if len(set(found)) < len(found):
            return True
    for op in ops:
        if isinstance(op, ttir.MatmulOp):
            a = shape_of(op.a)
            inner = classes.of(op.a, len(a) - (2 if op.transposes_a else 1))
            if inner in places(op.result):
                return True
    return False


class ValueAxes:
    """The axes of every value of a program, from the uses of its operands."""

    def __init__(self, program: ProgramOp):
        block = program.body.block
        self._classes = AxisClasses(block)
        self._names: dict[Place, str] = {}
        self._found: dict[SSAValue, tuple[str, ...]] = {}
        self._real: dict[SSAValue, tuple[str, ...]] = {}
        for argument, use in zip(block.args, program.uses.data, strict=True):
            self._name(argument, use.axes)
        last = block.last_op
        assert last is not None
        for value, use in zip(last.operands, program.makes.data, strict=True):
            self._name(value, use.axes)

    def _name(self, value: SSAValue, axes: tuple[str, ...]) -> None:
        for dim, axis in enumerate(axes):
            if axis != NO_AXIS:
                self._names[self._classes.of(value, dim)] = axis

    def of(self, value: SSAValue) -> tuple[str, ...]:
        """The axis of each dimension; `_` where the extent is 1."""
        if value not in self._found:
            self._found[value] = tuple(
                self._names.get(self._classes.of(value, dim), NO_AXIS)
                if size != 1
                else NO_AXIS
                for dim, size in enumerate(shape_of(value))
            )
        return self._found[value]

    def real(self, value: SSAValue) -> tuple[str, ...]:
        """The axes of a value, dimensions of extent 1 left out."""
        if value not in self._real:
            axes = self.of(value)
            self._real[value] = tuple(axis for axis in axes if axis != NO_AXIS)
        return self._real[value]
