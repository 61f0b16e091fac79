"""What moves into a projection that is computed head by head.

Norms and rotations inside a head, element-wise operations, and writes of its rows into
a cache. Whatever they read besides is there before the projection, and is the same for
all heads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from xdsl.ir import Block, Operation, SSAValue

from dialects import ttir
from dialects.grid import RotateOp
from dialects.ttir.base import shape_of
from passes.constants import is_constant
from passes.patterns import is_elementwise, single_user
from passes.region_views import leading_cut
from passes.views import is_view

MAX_ROW_WRITES = 8
"""Users of a decode step up to which the core that made a head writes its rows into
the caches. It issues them one after the other, two face rows of each tile; a program of
its own shares them out over all cores. In a layer of Qwen3-0.6B that wins 6,400 cycles
at 8 users, and loses 9,000 at 16."""


def is_by_heads(op: Operation) -> bool:
    """Whether an operation is a projection as `split-heads` leaves it."""
    if not (isinstance(op, ttir.MatmulOp) and is_constant(op.b)):
        return False
    a, b = shape_of(op.a), shape_of(op.b)
    return len(a) == 3 and len(b) == 4 and a[0] == b[0] == 1


@dataclass
class HeadGrowth:
    """Finds the members behind one projection. `is_before` says what is there early.

    `epilogue`, `rope` and `cache` say whether element-wise operations, norms and
    rotations, and cache writes may move in.
    """

    group: list[Operation]
    root: Operation
    is_before: Callable[[SSAValue], bool]
    epilogue: bool
    rope: bool
    cache: bool
    inside: set[Operation] = field(default_factory=set)

    def members(self, behind: Iterable[Operation]) -> list[Operation]:
        """The operations that move in, in their order."""
        self.inside = {self.root}
        found: list[Operation] = []
        for op in behind:
            if self._joins(op):
                found.append(op)
                self.inside.add(op)
        while (op := self._useless(found)) is not None:
            found.remove(op)
            self.inside.discard(op)
        return found

    def first_head_of(self, op: Operation) -> int:
        """The first of the heads that a member is about; -1 where it is about all."""
        cut = leading_cut(op)
        if cut is not None:
            assert isinstance(op, ttir.SliceStaticOp)
            return op.runs[cut].start
        owners = [value.owner for value in op.operands]
        inside = [owner for owner in owners if owner in self.inside]
        found = [self.first_head_of(o) for o in inside if isinstance(o, Operation)]
        return max(found, default=-1)

    def _joins(self, op: Operation) -> bool:
        values = [value for value in op.operands if value.owner in self.inside]
        others = [value for value in op.operands if value.owner not in self.inside]
        if not (values and op.results and all(map(self._is_there, others))):
            return False
        if isinstance(op, ttir.CacheWriteOp):
            return self.cache and values == [op.input] and _writes_few_rows(op)
        if leading_cut(op) is not None:
            return values[0] is self._whole
        if isinstance(op, ttir.RMSNormOp | RotateOp):
            return self.rope and values == [op.input]
        allowed = self.epilogue if self._is_plain(op) else self.rope
        return (
            allowed
            and is_elementwise(op)
            and all(shape_of(v) == shape_of(op.results[0]) for v in values)
            and (self._is_plain(op) or all(map(_is_same_for_heads, others)))
        )

    @property
    def _whole(self) -> SSAValue:
        """All heads: the projection, or what is computed with all of it."""
        value = self.root.results[0]
        while len(uses := list(value.uses)) == 1 and uses[0].operation in self.inside:
            if not is_elementwise(uses[0].operation):
                break
            value = uses[0].operation.results[0]
        return value

    def _is_plain(self, op: Operation) -> bool:
        """Whether an operation is on all heads, as a bias is."""
        return shape_of(op.results[0]) == shape_of(self.root.results[0])

    def _is_there(self, value: SSAValue) -> bool:
        """Whether a value, or what it is a view of, is there before the projection."""
        owner = value.owner
        if isinstance(owner, Block) or self.is_before(value):
            return True
        seen = is_view(owner) or isinstance(owner, ttir.FullOp) or is_constant(value)
        return seen and all(map(self._is_there, owner.operands))

    def _useless(self, found: list[Operation]) -> Operation | None:
        """A member with which nothing is won, or that cannot stay.

        Heads that are only cut out win nothing. What is needed outside as well as
        inside leaves the program from where its readers would look for it: only a cache
        write may read it too. Views are copied on their way out.
        """
        if found and all(leading_cut(op) is not None for op in found):
            return found[-1]
        for op in (self.root, *found):
            users = {use.operation for use in op.results[0].uses}
            if not users - self.inside:
                continue
            if isinstance(op, RotateOp):
                return op
            readers = users & self.inside
            bound = [r for r in readers if not isinstance(r, ttir.CacheWriteOp)]
            if bound and leading_cut(op) is None:
                return bound[0]
        return None


def _is_same_for_heads(value: SSAValue) -> bool:
    shape = shape_of(value)
    return len(shape) < 3 or shape[-3] == 1


def _writes_few_rows(op: ttir.CacheWriteOp) -> bool:
    if single_user(op.cache) is None:
        return False
    if isinstance(op, ttir.UpdateCacheOp):
        return shape_of(op.input)[2] <= MAX_ROW_WRITES
    return True


def bring_before(
    value: SSAValue, place: Operation, position: Mapping[Operation, int]
) -> None:
    """Move the views that make a value out of an early one before a place."""
    owner = value.owner
    if isinstance(owner, Block) or position.get(owner, -1) < position[place]:
        return
    for operand in owner.operands:
        bring_before(operand, place, position)
    block = place.parent
    assert block is not None
    if owner.parent is block and _is_behind(owner, place):
        owner.detach()
        block.insert_op_before(owner, place)


def _is_behind(op: Operation, place: Operation) -> bool:
    found = op.prev_op
    while found is not None and found is not place:
        found = found.prev_op
    return found is place
