"""`sink-row-scale`: a factor of each row moves behind the contraction of that row.

`(x * s) @ w` is `(x @ w) * s` where `s` is one number for each row: the scale of a
norm. The contraction need not wait until the scale is known, and the factor is applied
to the columns of a core, which are fewer than those of the row.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from dialects import ttir
from dialects.grid import ProgramOp
from dialects.ttir.base import shape_of
from passes.rewriting import producer


@dataclass(frozen=True)
class SinkRowScalePass(ModulePass):
    """Move factors of rows behind contractions."""

    name = "sink-row-scale"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for program in op.walk():
            if isinstance(program, ProgramOp):
                _sink_in(program.body.block)


def _sink_in(block: Block) -> None:
    """Sink the factor of each left side that only contractions over its row read."""
    for a in {op.a: None for op in block.ops if isinstance(op, ttir.MatmulOp)}:
        readers = [use.operation for use in a.uses]
        factors = _factors(a)
        scales = [factor for factor in factors if shape_of(factor)[-1] == 1]
        rest = [factor for factor in factors if factor not in scales]
        if scales and rest and all(_contracts_rows(reader, a) for reader in readers):
            _sink(a, scales, rest)


def _factors(value: SSAValue) -> list[SSAValue]:
    """What a value is the product of; products that others read too are one factor."""
    product = producer(value, ttir.MultiplyOp)
    if product is None:
        return [value]
    found: list[SSAValue] = []
    for operand in product.operands:
        alone = operand.has_one_use()
        found += _factors(operand) if alone else [operand]
    return found


def _contracts_rows(reader: object, a: SSAValue) -> bool:
    return (
        isinstance(reader, ttir.MatmulOp)
        and reader.a is a
        and reader.b is not a
        and not reader.transposes_a
    )


def _sink(a: SSAValue, scales: list[SSAValue], rest: list[SSAValue]) -> None:
    old = producer(a, ttir.MultiplyOp)
    assert old is not None
    unscaled = rest[0]
    for factor in rest[1:]:
        unscaled = _product(unscaled, factor, InsertPoint.before(old), like=old)
    for reader in [use.operation for use in a.uses]:
        assert isinstance(reader, ttir.MatmulOp)
        reader.operands[0] = unscaled
        place = InsertPoint.after(reader)
        scaled = reader.result
        for scale in scales:
            product = ttir.MultiplyOp(scaled, scale)
            product.location = old.location
            Rewriter.insert_op(product, place)
            place = InsertPoint.after(product)
            scaled.replace_uses_with_if(
                product.result, lambda use, own=product: use.operation is not own
            )
            scaled = product.result
    _erase_unused(old)


def _product(
    lhs: SSAValue, rhs: SSAValue, place: InsertPoint, *, like: ttir.MultiplyOp
) -> SSAValue:
    product = ttir.MultiplyOp(lhs, rhs)
    product.location = like.location
    Rewriter.insert_op(product, place)
    return product.result


def _erase_unused(op: ttir.MultiplyOp) -> None:
    """Erase a product that nobody reads any more, and those that only it read."""
    if op.result.uses:
        return
    operands = list(op.operands)
    Rewriter.erase_op(op)
    for operand in operands:
        inner = producer(operand, ttir.MultiplyOp)
        if inner is not None:
            _erase_unused(inner)
