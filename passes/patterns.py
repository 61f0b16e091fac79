"""Questions about the graph that several passes ask."""

from __future__ import annotations

from xdsl.ir import Operation, SSAValue

from dialects import ttir
from dialects.ttir.base import shape_of


def is_elementwise(op: object) -> bool:
    """Whether an operation works on each element by itself."""
    kinds = (ttir.ArithmeticOp, ttir.UnaryOp, ttir.TypecastOp)
    return isinstance(op, kinds) and not isinstance(op, ttir.SoftmaxOp)


def single_user(value: SSAValue) -> Operation | None:
    """The one operation that uses a value, once; None where there are others."""
    uses = list(value.uses)
    return uses[0].operation if len(uses) == 1 else None


def _through_unary(value: SSAValue) -> tuple[object, list[Operation]]:
    """What a value comes from behind element-wise operations that only it uses, and
    those operations."""
    owner = value.owner
    passed: list[Operation] = []
    while _is_unary(owner) and single_user(value):
        assert isinstance(owner, Operation)
        passed.append(owner)
        value = owner.operands[0]
        owner = value.owner
    return owner, passed


def _is_unary(op: object) -> bool:
    return is_elementwise(op) and not isinstance(op, ttir.ArithmeticOp)


def elementwise_partner(op: ttir.LinearOp) -> ttir.LinearOp | None:
    """Another projection of the same tensor that meets this one element by element."""
    way = _way_to_meeting(op)
    return None if way is None else way[0]


def meeting_of(op: ttir.LinearOp) -> set[Operation]:
    """What lies between two projections of one tensor (gate, up) and where they meet
    element by element, that operation included; nothing for others."""
    way = _way_to_meeting(op)
    return set() if way is None else set(way[1])


def _way_to_meeting(
    op: ttir.LinearOp,
) -> tuple[ttir.LinearOp, list[Operation]] | None:
    """The projection that this one meets, and the operations on both ways there."""
    value: SSAValue = op.result
    user = single_user(value)
    passed: list[Operation] = []
    while _is_unary(user):
        assert user is not None
        passed.append(user)
        value = user.results[0]
        user = single_user(value)
    if not isinstance(user, ttir.ArithmeticOp):
        return None
    other = user.rhs if user.lhs is value else user.lhs
    partner, others = _through_unary(other)
    alike = (
        isinstance(partner, ttir.LinearOp)
        and partner is not op
        and partner.a == op.a
        and single_user(partner.result) is not None
        and shape_of(partner.result) == shape_of(op.result)
    )
    if not alike:
        return None
    assert isinstance(partner, ttir.LinearOp)
    return partner, [*passed, *others, user]
