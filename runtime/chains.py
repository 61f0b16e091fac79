"""Chains of element-wise steps, written as lines for `strip_kernels.run_chain`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dialects.formats import DataFormat, DstMode, Fidelity
from runtime.arithmetic import strip_kernels
from runtime.arithmetic.formats import pack_source
from runtime.arithmetic.strip_kernels import ALL_BITS, BF16_MASK, TF32_MASK, Op
from runtime.bound import Address, Bound, table_of
from runtime.fusion import Chain
from runtime.liveness import Segments
from runtime.steps import Place, Vector


@dataclass(frozen=True)
class FastRules:
    """How a program's fidelity and Dst round, and which parameters never change."""

    fidelity: Fidelity
    dst: DstMode
    constants: frozenset[int]

    def read_mask(self, is_cut: bool) -> np.uint32:
        """The bits that a source register keeps of fp32 values."""
        if not is_cut:
            return ALL_BITS
        return TF32_MASK if self.dst is DstMode.FP32 else BF16_MASK


_BINARY = {
    "add": Op.ADD,
    "sub": Op.SUB,
    "mul": Op.MUL,
    "div": Op.DIV,
    "max": Op.MAX,
    "min": Op.MIN,
}
_NUMBER = {
    "add_unary": Op.ADD_NUMBER,
    "mul_unary": Op.MUL_NUMBER,
    "max_unary": Op.MAX_NUMBER,
    "min_unary": Op.MIN_NUMBER,
}
_FUNCTION = {
    "exp": Op.EXP,
    "sigmoid": Op.SIGMOID,
    "silu": Op.SILU,
    "recip": Op.RECIPROCAL,
    "reciprocal": Op.RECIPROCAL,
    "rsqrt": Op.RSQRT,
    "sqrt": Op.SQRT,
    "abs": Op.ABS,
    "negative": Op.NEGATIVE,
    "square": Op.SQUARE,
    "relu": Op.RELU,
}
_BLOCKS = {DataFormat.BFP8_B: Op.BLOCKS_7, DataFormat.BFP4_B: Op.BLOCKS_3}


def is_fusible(step: Vector) -> bool:
    """Whether a step has a compiled form."""
    if step.kind == "unary":
        return step.detail[0] in _FUNCTION or step.detail[0] in _NUMBER
    return True


def _stages(step: Vector, rules: FastRules) -> Iterator[tuple[Op, float]]:
    """The operations of a step after its operands are read; the first takes all."""
    wide = rules.dst is DstMode.FP32
    if step.kind == "unary":
        function, scalar = step.detail
        yield (
            (_NUMBER[function], scalar)
            if scalar is not None
            else (
                _FUNCTION[function],
                0.0,
            )
        )
        if not wide:
            yield Op.STORE_BF16, 0.0
    elif step.kind == "pack":
        yield from _packing(step.detail[0], step.detail[1], rules.dst)
    elif step.kind != "copy":
        yield _BINARY[step.detail[0]], 0.0
        if not wide:
            yield Op.ROUND_BF16, 0.0


def _packing(
    data_format: DataFormat, relu: bool, dst: DstMode
) -> Iterator[tuple[Op, float]]:
    if relu:
        yield Op.RELU, 0.0
    source = pack_source(data_format, dst)
    if source is DataFormat.BFP8_B:
        yield Op.ROUND_BFP8_SOURCE, 0.0
        yield _BLOCKS[data_format], 0.0
    elif source is DataFormat.BF16:
        yield (Op.ROUND_BF16 if dst is DstMode.FP32 else Op.CLEAN_BF16), 0.0


def _cuts(step: Vector) -> Sequence[bool]:
    """Which operands are cut when the matrix unit reads them."""
    if step.kind == "copy":
        return (step.detail[1],)
    if step.kind == "binary":
        return step.detail[2:4]
    return (False,) * len(step.operands)


class _Registers:
    """Strips that chains compute in; they follow each other without their values."""

    STEP = 4 * (strip_kernels.STRIP + 16)

    def __init__(self) -> None:
        self.block = np.zeros(0, np.uint8)

    def addresses(self, count: int) -> list[Address]:
        """The first `count` registers."""
        if len(self.block) < count * self.STEP + 64:
            self.block = np.zeros(2 * count * self.STEP + 64, np.uint8)
        first = -(-self.block.ctypes.data // 64) * 64
        return [Address(first + i * self.STEP, 0, 0) for i in range(count)]


def _line(op: Op, number: float, out: Address, a: Address, b: Address) -> list[int]:
    bits = int(np.float32(number).view(np.uint32))
    fields = [f for at in (out, a, b) for f in (at.first, at.row_step, at.step)]
    return [int(op), bits, *fields, 0]


class _ChainWriter:
    """Writes the lines of a chain; values are registers until they are kept."""

    def __init__(self, chain: Chain, bound: Bound, rules: FastRules):
        self.chain, self.bound, self.rules = chain, bound, rules
        self.last_use = {
            place.sheet: at
            for at, step in enumerate(chain.steps)
            for place in step.operands
        }
        self.where: dict[int, int | Address] = {}
        self.free: list[int] = []
        self.count = 0
        self.lines: list[tuple[Op, float, int | Address, int | Address, int | Address]]
        self.lines = []
        self.is_flat = True

    def register(self) -> int:
        """A register that holds nothing needed."""
        if self.free:
            return self.free.pop()
        self.count += 1
        return self.count - 1

    def write(self) -> None:
        """All lines."""
        for at, step in enumerate(self.chain.steps):
            self._write_step(step)
            for place in step.operands:
                held = self.where.get(place.sheet)
                if isinstance(held, int) and self.last_use[place.sheet] == at:
                    self.free.append(held)
                    del self.where[place.sheet]

    def _write_step(self, step: Vector) -> None:
        scratch: list[int] = []
        values = [
            self._operand(place, is_cut, scratch)
            for place, is_cut in zip(step.operands, _cuts(step), strict=True)
        ]
        stages = list(_stages(step, self.rules)) or [(Op.COPY, 0.0)]
        for at, (op, number) in enumerate(stages):
            is_last = at == len(stages) - 1
            out = self._target(step.out) if is_last else self.register()
            a, b = values[0], values[-1]
            self.lines.append((op, number, out, a, b))
            if isinstance(out, int) and not is_last:
                scratch.append(out)
            values = [out]
        self.free += scratch

    def _target(self, sheet: int) -> int | Address:
        if sheet in self.chain.kept:
            self.where[sheet] = self._address(Place(sheet, 0, 0))
        else:
            self.where[sheet] = self.register()
        return self.where[sheet]

    def _address(self, place: Place) -> Address:
        at = self.bound.address(place)
        contiguous = at.row_step == 4 * self.chain.columns and not at.is_spread
        self.is_flat &= contiguous or place.broadcast == "scalar"
        return at

    def _operand(self, place: Place, is_cut: bool, scratch: list[int]) -> int | Address:
        """Where an operand is read: spread and cut into a register if need be."""
        found = self.where.get(place.sheet)
        value = self._address(place) if found is None else found
        if isinstance(value, Address) and value.is_spread:
            value = self._into_register(Op.SPREAD, value, scratch)
        if is_cut:
            wide = self.rules.dst is DstMode.FP32
            op = Op.CUT_TF32 if wide else Op.CUT_BF16
            value = self._into_register(op, value, scratch)
        return value

    def _into_register(self, op: Op, value: int | Address, scratch: list[int]) -> int:
        out = self.register()
        self.lines.append((op, 0.0, out, value, value))
        scratch.append(out)
        return out


_REGISTERS = _Registers()


def chain_call(chain: Chain, bound: Bound, rules: FastRules) -> Callable[[], None]:
    """A chain as one call."""
    writer = _ChainWriter(chain, bound, rules)
    writer.write()
    registers = _REGISTERS.addresses(writer.count)

    def at(value: int | Address) -> Address:
        return registers[value] if isinstance(value, int) else value

    lines = np.array(
        [
            _line(op, number, at(out), at(a), at(b))
            for op, number, out, a, b in writer.lines
        ],
        np.int64,
    )
    # The registers stay where they are as long as the call lives.
    block = _REGISTERS.block
    segments = table_of(chain.segments)

    def call(block: np.ndarray = block) -> None:
        strip_kernels.run_chain(lines, segments, chain.columns, writer.is_flat)

    return call


def rounding_call(
    place: Place, columns: int, segments: Segments, bound: Bound
) -> Callable[[], None]:
    """Rounding in place to a 16-bit Dst, half away."""
    at = bound.address(place)
    lines = np.array([_line(Op.ROUND_BF16, 0, at, at, at)], np.int64)
    rows = table_of(segments)
    return lambda: strip_kernels.run_chain(lines, rows, columns, False)
