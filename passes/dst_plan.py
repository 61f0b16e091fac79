"""How a stage computes in Dst: accumulators first, then its element-wise finish.

One function answers both questions that depend on it: how many tiles of Dst a block
needs (`choose-grid` picks blocks by it) and which instructions run (the lowering emits
them). Registers are numbered in blocks; a block of `t` tiles multiplies them by `t`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod

from xdsl.dialects.builtin import Float32Type, FloatAttr, IntegerAttr
from xdsl.ir import Block, BlockArgument, Operation, SSAValue
from xdsl.utils.exceptions import PassFailedException

from dialects import ttir
from dialects.formats import DataFormat
from dialects.grid import (
    CausalMaskOp,
    CombineOp,
    EachUserOp,
    LoopOp,
    PadMaskOp,
    PositionMaskOp,
    StageOp,
    YieldOp,
)
from dialects.ttir.base import element_of, shape_of
from passes.patterns import single_user
from passes.region_views import REGION_VIEWS, stored

UNARY = {
    "ttir.exp": "exp",
    "ttir.reciprocal": "recip",
    "ttir.rsqrt": "rsqrt",
    "ttir.sqrt": "sqrt",
    "ttir.sigmoid": "sigmoid",
    "ttir.silu": "silu",
    "ttir.gelu": "gelu",
    "ttir.tanh": "tanh",
    "ttir.log": "log",
    "ttir.sin": "sin",
    "ttir.cos": "cos",
    "ttir.erf": "erf",
    "ttir.abs": "abs",
    "ttir.neg": "negative",
    "ttir.square": "square",
    "ttir.relu": "relu",
}
BINARY = {
    "ttir.add": "add",
    "ttir.subtract": "sub",
    "ttir.multiply": "mul",
    "ttir.div": "div",
    "ttir.maximum": "max",
    "ttir.minimum": "min",
    "ttir.pow": "pow",
}
_ON_MATRIX_UNIT = ("add", "sub", "mul")
_COMMUTATIVE = ("add", "mul", "max", "min")
SUPPORTED = {
    *UNARY,
    *BINARY,
    "ttir.typecast",
    "ttir.matmul",
    "ttir.sum",
    "ttir.mean",
    "ttir.max",
    "ttir.full",
    "ttir.embedding",
}
"""What a program's region may hold, by name. A power needs a number as exponent."""


@dataclass(frozen=True)
class Copy:
    """A block of a circular buffer into Dst, its columns turned by some tiles."""

    source: SSAValue
    broadcast: str | None
    target: int
    turned: int = 0


@dataclass(frozen=True)
class Matrix:
    """Element-wise on the matrix unit, both operands from circular buffers.

    The columns of the first may be turned; the result may be added to what Dst holds.
    """

    function: str
    lhs: SSAValue
    rhs: SSAValue
    broadcast: str | None
    target: int
    turned: int = 0
    accumulates: bool = False


@dataclass(frozen=True)
class Unary:
    """A vector-unit function in place, maybe with a scalar."""

    function: str
    target: int
    scalar: float | None = None


@dataclass(frozen=True)
class Vector:
    """A vector-unit function of two blocks of Dst, into the first."""

    function: str
    target: int
    other: int


Step = Copy | Matrix | Unary | Vector


@dataclass
class DstPlan:
    """What a stage does in Dst. `registers` is the most blocks alive at once."""

    accumulators: list[Operation] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    results: dict[SSAValue, int] = field(default_factory=dict)
    registers: int = 0


def added_in_l1(stage: StageOp) -> dict[SSAValue, SSAValue]:
    """What a stage only adds to a value that steps hand on: sum -> that value.

    The packer adds to what L1 holds, so that the sum need not come back into Dst.
    """
    last = stage.body.block.last_op
    assert isinstance(last, YieldOp)
    found: dict[SSAValue, SSAValue] = {}
    for value in last.operands:
        add = value.owner
        if not isinstance(add, ttir.AddOp) or add.parent is not stage.body.block:
            continue
        for own, carried in ((add.lhs, add.rhs), (add.rhs, add.lhs)):
            if _is_piece_sum(carried, stage) or (
                _is_carried_sum(carried, stage) and _is_contracted(own)
            ):
                found[value] = carried
    return found


def _is_carried_sum(value: SSAValue, stage: StageOp) -> bool:
    """Whether a value is an fp32 sum that a loop begins with zero, read here alone."""
    loop = stage.parent_op()
    return (
        isinstance(loop, LoopOp)
        and isinstance(value, BlockArgument)
        and value.owner is loop.body.block
        and loop.init.data[value.index] == 0.0
        and loop.formats.data[value.index] == DataFormat.FP32
        and value.has_one_use()
    )


def _is_piece_sum(value: SSAValue, stage: StageOp) -> bool:
    """Whether a value is the fp32 sum of pieces that cores gave each other."""
    combine = stage.parent_op()
    return (
        isinstance(combine, CombineOp)
        and combine.each is not None
        and isinstance(value, BlockArgument)
        and value.index < len(combine.values)
        and combine.formats.data[value.index] == DataFormat.FP32
        and value.has_one_use()
    )


def _is_contracted(value: SSAValue) -> bool:
    """Whether a value is a contraction's or a sum's result, before it is rounded."""
    while isinstance(value.owner, ttir.TypecastOp) and value.has_one_use():
        value = value.owner.input
    kinds = ttir.MatmulOp | ttir.SumOp
    return isinstance(value.owner, kinds) and value.has_one_use()


def plan_stage(stage: StageOp) -> DstPlan:
    """Plan a stage; `PassFailedException` where an operation has no instruction."""
    return _Planner(stage).plan


class _Planner:
    """Assigns registers in one pass over the stage's operations."""

    def __init__(self, stage: StageOp):
        self.plan = DstPlan()
        self.place: dict[SSAValue, int] = {}
        self.free: list[int] = []
        self.products: dict[SSAValue, Operation] = {}
        body = stage.body.block
        ops = [op for op in body.ops if not isinstance(op, YieldOp)]
        self.ops = set(ops)
        self.added = added_in_l1(stage)
        self.uses: dict[SSAValue, int] = {
            r: sum(1 for u in r.uses if u.operation.parent is body)
            for op in ops
            for r in op.results
        }
        fused = {op.input.owner for op in ops if isinstance(op, ttir.ReductionOp)}
        self.fused = {
            op for op in fused if isinstance(op, ttir.MultiplyOp) and op in ops
        }
        contractions = [
            op for op in ops if isinstance(op, ttir.MatmulOp | ttir.ReductionOp)
        ]
        for op in contractions:
            self.plan.accumulators.append(op)
            self.place[op.results[0]] = self._take()
        for op in ops:
            self._finish(op)
        last = body.last_op
        assert isinstance(last, YieldOp)
        for value in last.operands:
            self.plan.results[value] = self._register(value)

    def _finish(self, op: Operation) -> None:
        if isinstance(op, ttir.MeanOp):
            sizes = [shape_of(op.input)[axis] for axis in op.axes]
            register = self.place[op.result]
            self.plan.steps.append(Unary("mul_unary", register, 1.0 / prod(sizes)))
        elif op in self.plan.accumulators or op in self.fused or _is_source(op):
            return
        elif self._is_added(op):
            self.products[op.results[0]] = op
        elif op.results[0] in self.added:
            sums = (v for v in op.operands if v is not self.added[op.results[0]])
            self.place[op.results[0]] = self._consume(next(sums))
        elif isinstance(op, ttir.TypecastOp | EachUserOp):
            self._unary(op, None)
        elif op.name in UNARY:
            self._unary(op, UNARY[op.name])
        elif op.name in BINARY:
            self._binary(op, BINARY[op.name])
        elif not isinstance(op, ttir.EmbeddingOp):
            raise PassFailedException(f"{op.name} has no instruction on a Tensix core")

    # -- registers -------------------------------------------------------------------

    def _take(self) -> int:
        if self.free:
            return self.free.pop(0)
        self.plan.registers += 1
        return self.plan.registers - 1

    def _register(self, value: SSAValue, like: SSAValue | None = None) -> int:
        """The register that holds a value, loading it from its buffer if needed.

        It is repeated as it must be to have the shape of another value.
        """
        if value in self.place:
            return self.place[value]
        register = self._take()
        broadcast = None if like is None else broadcast_of(value, like)
        self.plan.steps.append(_copy(value, broadcast, register))
        return register

    def _consume(self, value: SSAValue, like: SSAValue | None = None) -> int:
        """A register holding the value that may be overwritten."""
        if value not in self.place:
            return self._register(value, like)
        self.uses[value] -= 1
        if self.uses[value] > 0:
            raise PassFailedException(
                f"a value of {value.owner} is needed again after it is overwritten in "
                "Dst; form-stages must make it a local"
            )
        return self.place[value]

    # -- operations ------------------------------------------------------------------

    def _is_added(self, op: Operation) -> bool:
        """Whether a product waits until the matrix unit can add it to its sum in Dst.

        Of two products that are added, the second one waits.
        """
        user = single_user(op.results[0])
        if not isinstance(user, ttir.AddOp) or user.parent is not op.parent:
            return False
        other = user.lhs if user.rhs is op.results[0] else user.rhs
        owner = other.owner
        made_here = owner in self.ops and not isinstance(owner, _SOURCES)
        is_first = user.lhs is op.results[0] and _is_direct_product(other.owner)
        return made_here and not is_first and _is_direct_product(op)

    def _accumulate(self, product: Operation, target: int) -> int:
        """Add the product of two buffers to what a register holds."""
        lhs, rhs = product.operands
        step = _matrix("mul", lhs, rhs, product.results[0], target)
        self.plan.steps.append(replace(step, accumulates=True))
        return target

    def _unary(self, op: Operation, function: str | None) -> None:
        operand = op.operands[0]
        keeps = is_copied_out(op)
        register = self._register(operand) if keeps else self._consume(operand)
        if function is not None:
            self.plan.steps.append(Unary(function, register))
        self.place[op.results[0]] = register

    def _binary(self, op: Operation, function: str) -> None:
        lhs, rhs = op.operands
        result = op.results[0]
        left, right = scalar_of(lhs), scalar_of(rhs)
        if right is not None:
            self.place[result] = self._with_scalar(function, lhs, right, result)
            return
        if left is not None:
            self.place[result] = self._scalar_first(function, left, rhs, result)
            return
        for value, other in ((rhs, lhs), (lhs, rhs)):
            if value in self.products:
                product, target = self.products[value], self._consume(other)
                self.place[result] = self._accumulate(product, target)
                return
        if lhs not in self.place and rhs not in self.place:
            self.place[result] = self._from_buffers(function, lhs, rhs, result)
            return
        if lhs in self.place and rhs in self.place:
            self.place[result] = self._from_dst(function, lhs, rhs)
            return
        self.place[result] = self._mixed(function, lhs, rhs, result)

    def _with_scalar(
        self, function: str, value: SSAValue, number: float, result: SSAValue
    ) -> int:
        register = self._consume(value, result)
        name, scalar = {
            "add": ("add_unary", number),
            "sub": ("add_unary", -number),
            "mul": ("mul_unary", number),
            "div": ("mul_unary", 1.0 / number if number else float("inf")),
            "max": ("max_unary", number),
            "min": ("min_unary", number),
            "pow": ("pow_unary", number),
        }[function]
        self.plan.steps.append(Unary(name, register, scalar))
        return register

    def _scalar_first(
        self, function: str, number: float, value: SSAValue, result: SSAValue
    ) -> int:
        turn = {"sub": "negative", "div": "recip"}.get(function)
        if turn is None:
            return self._with_scalar(function, value, number, result)
        register = self._consume(value, result)
        self.plan.steps.append(Unary(turn, register))
        name = "add_unary" if function == "sub" else "mul_unary"
        self.plan.steps.append(Unary(name, register, number))
        return register

    def _from_buffers(
        self, function: str, lhs: SSAValue, rhs: SSAValue, result: SSAValue
    ) -> int:
        lhs, rhs = _plain_first(function, lhs, rhs, result)
        register = self._take()
        if _is_direct(function, lhs, rhs, result):
            self.plan.steps.append(_matrix(function, lhs, rhs, result, register))
            return register
        self.plan.steps.append(_copy(lhs, broadcast_of(lhs, result), register))
        return self._add_operand(function, register, rhs, result)

    def _add_operand(
        self, function: str, register: int, rhs: SSAValue, result: SSAValue
    ) -> int:
        other = self._take()
        self.plan.steps.append(_copy(rhs, broadcast_of(rhs, result), other))
        self.plan.steps.append(Vector(function, register, other))
        self.free.insert(0, other)
        return register

    def _from_dst(self, function: str, lhs: SSAValue, rhs: SSAValue) -> int:
        if self.uses[lhs] > 1 and function in _COMMUTATIVE:
            lhs, rhs = rhs, lhs
        if rhs is lhs:
            self.uses[lhs] -= 1
            register = self._consume(lhs)
            self.plan.steps.append(Vector(function, register, register))
            return register
        register = self._consume(lhs)
        other = self.place[rhs]
        self.plan.steps.append(Vector(function, register, other))
        self.uses[rhs] -= 1
        if not self.uses[rhs]:
            self.free.insert(0, other)
        return register

    def _mixed(
        self, function: str, lhs: SSAValue, rhs: SSAValue, result: SSAValue
    ) -> int:
        if lhs in self.place:
            register = self._consume(lhs)
            return self._add_operand(function, register, rhs, result)
        if function in _COMMUTATIVE:
            register = self._consume(rhs)
            return self._add_operand(function, register, lhs, result)
        register = self._take()
        self.plan.steps.append(_copy(lhs, broadcast_of(lhs, result), register))
        other = self._consume(rhs)
        self.plan.steps.append(Vector(function, register, other))
        self.free.insert(0, other)
        return register


def _plain_first(
    function: str, lhs: SSAValue, rhs: SSAValue, result: SSAValue
) -> tuple[SSAValue, SSAValue]:
    """The operands, one that is repeated as the second where they may change places.

    So is one whose own columns are turned as the first.
    """
    repeated = broadcast_of(lhs, result) is not None
    turned = bool(stored(rhs)[1]) and broadcast_of(rhs, result) is None
    changes = function in _COMMUTATIVE and (repeated or turned)
    return (rhs, lhs) if changes else (lhs, rhs)


def _is_direct(function: str, lhs: SSAValue, rhs: SSAValue, result: SSAValue) -> bool:
    """Whether the matrix unit can take both operands from their buffers."""
    plain = broadcast_of(lhs, result) is None and not stored(rhs)[1]
    cut = _is_wide(lhs) or (_is_wide(rhs) and broadcast_of(rhs, result) is None)
    return function in _ON_MATRIX_UNIT and plain and not cut


def _is_direct_product(op: Operation | Block) -> bool:
    """Whether an operation is a product that the matrix unit makes of two buffers."""
    if not isinstance(op, ttir.MultiplyOp):
        return False
    if any(_is_computed(v, op) or scalar_of(v) is not None for v in op.operands):
        return False
    lhs, rhs = _plain_first("mul", op.lhs, op.rhs, op.result)
    return _is_direct("mul", lhs, rhs, op.result)


def _is_computed(value: SSAValue, reader: Operation) -> bool:
    """Whether a value is one of the stage's own, not in a buffer."""
    owner = stored(value)[0].owner
    return isinstance(owner, Operation) and owner.parent is reader.parent


def _matrix(
    function: str, lhs: SSAValue, rhs: SSAValue, result: SSAValue, register: int
) -> Matrix:
    lhs, rhs = _plain_first(function, lhs, rhs, result)
    (source, turned), broadcast = stored(lhs), broadcast_of(rhs, result)
    return Matrix(function, source, stored(rhs)[0], broadcast, register, turned)


def _copy(value: SSAValue, broadcast: str | None, register: int) -> Copy:
    source, turned = stored(value)
    return Copy(source, broadcast, register, turned)


def is_copied_out(op: Operation) -> bool:
    """Whether an operation hands a value on as it is, and others only store it too."""
    kept = isinstance(op, ttir.TypecastOp | EachUserOp)
    uses = [*op.operands[0].uses, *op.results[0].uses] if kept else []
    readers = {use.operation for use in uses} - {op}
    return kept and all(isinstance(reader, YieldOp) for reader in readers)


_SOURCES = (ttir.FullOp, CausalMaskOp, PositionMaskOp, PadMaskOp, *REGION_VIEWS)
"""Operations that compute nothing in Dst."""


def _is_source(op: Operation) -> bool:
    return isinstance(op, _SOURCES)


def _is_wide(value: SSAValue) -> bool:
    """Whether a float32 tensor lies in L1: the matrix unit would cut it to tf32.

    A plain copy to Dst loses nothing; the vector unit then computes in fp32.
    """
    in_l1 = isinstance(stored(value)[0].owner, StageOp | Block)
    return in_l1 and isinstance(element_of(value), Float32Type)


def scalar_of(value: SSAValue) -> float | None:
    """The number, where a value is one constant everywhere."""
    owner = value.owner
    if isinstance(owner, ttir.FullOp):
        number = owner.fill_value
        assert isinstance(number, FloatAttr | IntegerAttr)
        return float(number.value.data)
    return None


def broadcast_of(operand: SSAValue, result: SSAValue) -> str | None:
    """How an operand's tiles repeat inside the result's: row, col, scalar or not."""
    own, full = (1, 1, *shape_of(operand)), (1, 1, *shape_of(result))
    column = own[-1] == 1 and full[-1] != 1
    row = own[-2] == 1 and full[-2] != 1
    if column and row:
        return "scalar"
    return "col" if column else "row" if row else None


def capacity(*, fp32_dst: bool, full_sync: bool) -> int:
    """Tiles of Dst that a compute kernel has (wormhole.md section 2.3)."""
    return (4 if fp32_dst else 8) * (2 if full_sync else 1)
