"""How a stage computes in Dst: accumulators first, then its element-wise finish.

One function answers both questions that depend on it: how many tiles of Dst a block
needs (`choose-grid` picks blocks by it) and which instructions run (the lowering emits
them). Registers are numbered in blocks; a block of `t` tiles multiplies them by `t`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from xdsl.dialects.builtin import Float32Type, FloatAttr, IntegerAttr
from xdsl.ir import Block, BlockArgument, Operation, SSAValue
from xdsl.utils.exceptions import PassFailedException

from dialects import ttir
from dialects.formats import DataFormat
from dialects.grid import (
    CausalMaskOp,
    EachUserOp,
    LoopOp,
    PadMaskOp,
    PositionMaskOp,
    StageOp,
    YieldOp,
)
from dialects.ttir.base import element_of, shape_of

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
    """A block of a circular buffer into Dst."""

    source: SSAValue
    broadcast: str | None
    target: int


@dataclass(frozen=True)
class Matrix:
    """Element-wise on the matrix unit, both operands from circular buffers."""

    function: str
    lhs: SSAValue
    rhs: SSAValue
    broadcast: str | None
    target: int


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
            if _is_carried_sum(carried, stage) and _is_contracted(own):
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
        body = stage.body.block
        ops = [op for op in body.ops if not isinstance(op, YieldOp)]
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
        self.plan.steps.append(Copy(value, broadcast, register))
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

    def _unary(self, op: Operation, function: str | None) -> None:
        register = self._consume(op.operands[0])
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
        if broadcast_of(lhs, result) is not None and function in _COMMUTATIVE:
            lhs, rhs = rhs, lhs
        plain = broadcast_of(lhs, result) is None
        cut = _is_wide(lhs) or (_is_wide(rhs) and broadcast_of(rhs, result) is None)
        direct = function in _ON_MATRIX_UNIT and plain and not cut
        register = self._take()
        if direct:
            broadcast = broadcast_of(rhs, result)
            self.plan.steps.append(Matrix(function, lhs, rhs, broadcast, register))
            return register
        self.plan.steps.append(Copy(lhs, broadcast_of(lhs, result), register))
        return self._add_operand(function, register, rhs, result)

    def _add_operand(
        self, function: str, register: int, rhs: SSAValue, result: SSAValue
    ) -> int:
        other = self._take()
        self.plan.steps.append(Copy(rhs, broadcast_of(rhs, result), other))
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
        self.plan.steps.append(Copy(lhs, broadcast_of(lhs, result), register))
        other = self._consume(rhs)
        self.plan.steps.append(Vector(function, register, other))
        self.free.insert(0, other)
        return register


def _is_source(op: Operation) -> bool:
    return isinstance(op, ttir.FullOp | CausalMaskOp | PositionMaskOp | PadMaskOp)


def _is_wide(value: SSAValue) -> bool:
    """Whether a float32 tensor lies in L1: the matrix unit would cut it to tf32.

    A plain copy to Dst loses nothing; the vector unit then computes in fp32.
    """
    stored = isinstance(value.owner, StageOp | Block)
    return stored and isinstance(element_of(value), Float32Type)


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
