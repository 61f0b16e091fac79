"""`form-programs`: which operations share a launch.

A program grows around a contraction, an attention or an embedding: the norm that only
feeds it moves in, and a second projection that it meets element by element; then the
element-wise operations that follow it. What is left becomes element-wise programs,
grown from their last operation backwards. Views stay outside: they become the maps of
operands.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import IntegerAttr, ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from dialects import ttir
from dialects.formats import TILE_EDGE
from dialects.grid import DecodeAttentionOp, PickRowsOp, RotateOp
from dialects.ttir.base import element_of, shape_of
from passes.constants import is_constant
from passes.head_growth import HeadGrowth, bring_before, is_by_heads
from passes.padding_facts import is_always_finite, is_partial
from passes.patterns import (
    elementwise_partner,
    is_elementwise,
    meeting_of,
    single_user,
)
from passes.program_builder import ProgramBuilder
from passes.square_sums import sum_apart
from passes.views import is_view

MAX_NORM_TILES = 192
"""Tiles of a row (K) up to which a norm is computed inside its consumer: the raw and
the normalised row must both stay in L1 as bf16 beside the weights' buffers."""

ALONE = "forge.alone"
"""Attribute of a norm that is not part of another program (`weigh_fusions.py`): by how
many launches it is computed, one or two."""

IN_TWO = 2
"""Launches of a norm of which one sums squares, and one scales (`square_sums.py`)."""

_HEAVY = (
    ttir.LinearOp,
    ttir.MatmulOp,
    ttir.ScaledDotProductAttentionOp,
    ttir.EmbeddingOp,
    DecodeAttentionOp,
    PickRowsOp,
    ttir.FillCacheOp,
    ttir.UpdateCacheOp,
)
_CREATION = (ttir.FullOp, ttir.ZerosOp, ttir.OnesOp)


@dataclass(frozen=True)
class FormProgramsPass(ModulePass):
    """Group operations into programs, one for each launch.

    `weighed` says that norms are marked first which are faster alone, where the context
    can time programs (`weigh_fusions.py`).
    """

    name = "form-programs"

    rms_norm_fusion: bool = True
    gate_up_fusion: bool = True
    swiglu_fusion: bool = True
    residual_fusion: bool = True
    epilogue_fusion: bool = True
    elementwise_fusion: bool = True
    rope_fusion: bool = True
    cache_fusion: bool = True
    square_sums: bool = True
    weighed: bool = True

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for norm in list(op.walk()):
            if self.square_sums and _is_in_two(norm):
                assert isinstance(norm, ttir.RMSNormOp)
                sum_apart(norm)
        for function in op.walk():
            if isinstance(function, FuncOp):
                _Former(function, self).run()


def _is_in_two(op: Operation) -> bool:
    launches = op.attributes.get(ALONE)
    return isinstance(launches, IntegerAttr) and launches.value.data == IN_TWO


class _Former:
    """Groups the operations of one function and builds their programs."""

    def __init__(self, function: FuncOp, options: FormProgramsPass):
        self.options = options
        self.copies = _copy_returned(function.body.block)
        self.ops = list(function.body.block.ops)
        self.position = {op: i for i, op in enumerate(self.ops)}
        self.taken: set[Operation] = set()
        self.run_of: dict[Operation, int] = {}

    def run(self) -> None:
        """Form all programs; views that nobody uses any more go."""
        groups: list[tuple[Operation, list[Operation]]] = []
        for op in self.ops:
            if isinstance(op, _HEAVY) and op not in self.taken:
                groups.append((op, self._grow_heavy(op)))
        for op in reversed(self.ops):
            if op not in self.taken and self._computes(op):
                groups.append((op, self._grow_back(op)))
        groups.sort(key=lambda group: self.position[group[0]])
        for place, members in groups:
            members.sort(key=lambda op: (self.run_of.get(op, -1), self.position[op]))
            ProgramBuilder(members).build(InsertPoint.before(place))
        for op in reversed(self.ops):
            if (
                op.parent is not None
                and not isinstance(op, ReturnOp)
                and not any(result.uses for result in op.results)
            ):
                Rewriter.erase_op(op)

    def _computes(self, op: Operation) -> bool:
        return not (
            is_view(op)
            or isinstance(op, (ReturnOp, *_CREATION))
            or (all(map(is_constant, op.results)) and op not in self.copies)
        )

    def _take(self, group: list[Operation], op: Operation) -> None:
        group.append(op)
        self.taken.add(op)

    def _grow_heavy(self, root: Operation) -> list[Operation]:
        group: list[Operation] = []
        self._take(group, root)
        if isinstance(root, ttir.LinearOp):
            partner = elementwise_partner(root) if self.options.gate_up_fusion else None
            if partner is not None and partner not in self.taken:
                self._take(group, partner)
        if isinstance(root, ttir.LinearOp) or is_by_heads(root):
            norm = root.operands[0].owner
            if self.options.rms_norm_fusion and self._feeds_only(norm, group):
                assert isinstance(norm, Operation)
                self._take(group, norm)
        if is_by_heads(root):
            self._grow_heads(group, root)
        elif not isinstance(root, ttir.EmbeddingOp):
            self._grow_forward(group, root)
        return group

    def _grow_heads(self, group: list[Operation], root: Operation) -> None:
        """What follows a projection by heads, as long as heads stay by themselves."""
        growth = HeadGrowth(
            group,
            root,
            lambda value: self._before(value, root),
            epilogue=self.options.epilogue_fusion,
            rope=self.options.rope_fusion,
            cache=self.options.cache_fusion,
        )
        behind = self.ops[self.position[root] + 1 :]
        for op in growth.members(op for op in behind if op not in self.taken):
            self._take(group, op)
            self.run_of[op] = growth.first_head_of(op)
            for operand in op.operands:
                if operand.owner not in group:
                    bring_before(operand, root, self.position)

    def _feeds_only(self, norm: object, group: list[Operation]) -> bool:
        return (
            isinstance(norm, ttir.RMSNormOp | ttir.LayerNormOp)
            and norm not in self.taken
            and ALONE not in norm.attributes
            and all(use.operation in group for use in norm.result.uses)
            and shape_of(norm.input)[-1] <= MAX_NORM_TILES * TILE_EDGE
        )

    def _grow_forward(self, group: list[Operation], root: Operation) -> None:
        shape = shape_of(root.results[0])
        grown = True
        while grown:
            grown = False
            for member in list(group):
                user = self._only_user(member, group)
                if user is not None and self._joins(user, group, root, shape):
                    self._take(group, user)
                    grown = True

    def _only_user(self, member: Operation, group: list[Operation]) -> Operation | None:
        user = single_user(member.results[0])
        return None if user in group else user

    def _joins(
        self,
        user: Operation,
        group: list[Operation],
        root: Operation,
        shape: tuple[int, ...],
    ) -> bool:
        if not is_elementwise(user) or user in self.taken:
            return False
        if not self._may_follow(user, group, root):
            return False
        return shape_of(user.results[0]) == shape and all(
            operand.owner in group or self._before(operand, root)
            for operand in user.operands
        )

    def _may_follow(
        self, user: Operation, group: list[Operation], root: Operation
    ) -> bool:
        """Whether what owns the joining of an operation to a contraction is on."""
        if isinstance(root, ttir.LinearOp) and user in meeting_of(root):
            return self.options.swiglu_fusion
        if isinstance(user, ttir.AddOp) and any(
            operand.owner not in group and _is_stream(operand, user)
            for operand in user.operands
        ):
            return self.options.residual_fusion
        return self.options.epilogue_fusion

    def _before(self, value: SSAValue, root: Operation) -> bool:
        owner = value.owner
        return isinstance(owner, Block) or self.position[owner] < self.position[root]

    def _grow_back(self, root: Operation) -> list[Operation]:
        group: list[Operation] = []
        self._take(group, root)
        if not self.options.elementwise_fusion:
            return group
        shape = shape_of(root.results[0])
        # A sum over columns must find numbers in the padding.
        careful = not is_elementwise(root) and is_partial(root.results[0], -1)
        queue = [root]
        while queue:
            for operand in queue.pop().operands:
                owner = operand.owner
                joins = (
                    isinstance(owner, Operation)
                    and (is_elementwise(owner) or self._is_in_rotation(owner))
                    and (is_always_finite(owner) or not careful)
                    and owner not in self.taken
                    and (self._computes(owner) or isinstance(owner, RotateOp))
                    and shape_of(owner.results[0]) == shape
                    and all(use.operation in group for use in owner.results[0].uses)
                )
                if joins:
                    assert isinstance(owner, Operation)
                    self._take(group, owner)
                    queue.append(owner)
        return group

    def _is_in_rotation(self, owner: Operation) -> bool:
        """Whether an operation is a norm whose columns are turned, or the turning."""
        norm = owner.operands[0].owner if isinstance(owner, RotateOp) else owner
        return (
            self.options.rope_fusion
            and isinstance(norm, ttir.RMSNormOp | ttir.LayerNormOp)
            and any(isinstance(u.operation, RotateOp) for u in norm.results[0].uses)
        )


def _is_stream(value: SSAValue, user: Operation) -> bool:
    """Whether a value is data of the user's shape, not a bias or another constant."""
    return not is_constant(value) and shape_of(value) == shape_of(user.results[0])


def _copy_returned(block: Block) -> set[Operation]:
    """Each result of a function is one that a program computes, and no other has."""
    last = block.last_op
    copies: set[Operation] = set()
    if not isinstance(last, ReturnOp):
        return copies
    seen: set[SSAValue] = set()
    for number, value in enumerate(last.operands):
        owner = value.owner
        computed = isinstance(owner, Operation) and not is_view(owner)
        if not computed or is_constant(value) or value in seen:
            copy = ttir.TypecastOp(value, element_of(value))
            copy.location = (
                owner.location if isinstance(owner, Operation) else last.location
            )
            Rewriter.insert_op(copy, InsertPoint.before(last))
            last.operands[number] = copy.result
            copies.add(copy)
        seen.add(last.operands[number])
    return copies
