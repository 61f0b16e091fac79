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


def _through_unary(value: SSAValue) -> SSAValue:
    """Follow a value back through element-wise operations with this use only."""
    owner = value.owner
    while _is_unary(owner) and single_user(value):
        assert isinstance(owner, Operation)
        value = owner.operands[0]
        owner = value.owner
    return value


def _is_unary(op: object) -> bool:
    return is_elementwise(op) and not isinstance(op, ttir.ArithmeticOp)


def elementwise_partner(op: ttir.LinearOp) -> ttir.LinearOp | None:
    """Another projection of the same tensor that meets this one element by element."""
    value: SSAValue = op.result
    user = single_user(value)
    while _is_unary(user):
        assert user is not None
        value = user.results[0]
        user = single_user(value)
    if not isinstance(user, ttir.ArithmeticOp):
        return None
    other = user.rhs if user.lhs is value else user.lhs
    partner = _through_unary(other).owner
    alike = (
        isinstance(partner, ttir.LinearOp)
        and partner is not op
        and partner.a == op.a
        and single_user(partner.result) is not None
        and shape_of(partner.result) == shape_of(op.result)
    )
    return partner if alike else None  # pyright: ignore[reportReturnType]
