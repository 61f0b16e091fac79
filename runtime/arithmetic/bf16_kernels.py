"""A matrix product of bf16 operands with an fp32 result, on the CPU's dot-product unit.

Neither torch nor numpy has one on CPU. The inner block is written in LLVM's own terms
with the AVX512-BF16 instruction VDPBF16PS, which adds two products to each of sixteen
fp32 lanes; everything around it is compiled by numba. `fast_matmul` is the public face
and knows which CPUs have the instruction. Source of the layout: reference/emulator.md
section 1c.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from runtime.arithmetic.matrix_kernels import jit, u32
from runtime.arithmetic.strip_kernels import ALL_BITS, floats

BLOCK_ROWS = 6
"""Rows of in0 at a time: 24 accumulators, 4 vectors of in1 and some broadcasts fit."""

PANEL = 64
"""Columns of in1 at a time: four vectors of sixteen lanes."""

_TURNED = 16
"""Pairs of a row that are turned at a time: their lines stay in the nearest cache."""

_LANES = 16
_VECTORS = PANEL // _LANES

_WORD = ir.IntType(32)
_INDEX = ir.IntType(64)
_FLOATS = ir.VectorType(ir.FloatType(), _LANES)
_WORDS = ir.VectorType(_WORD, _LANES)


class _BFloat(ir.Type):
    """LLVM's bfloat, which llvmlite does not name."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash(_BFloat)


_PAIRS = ir.VectorType(_BFloat(), 2 * _LANES)


def _dot_product(module: ir.Module) -> ir.Function:
    name = "llvm.x86.avx512bf16.dpbf16ps.512"
    kind = ir.FunctionType(_FLOATS, [_FLOATS, _PAIRS, _PAIRS])
    return module.globals.get(name) or ir.Function(module, kind, name)


def _load(builder: Any, base: Any, index: Any) -> Any:
    """Sixteen words at `base[index]`, as pairs of bf16."""
    pointer = builder.bitcast(builder.gep(base, [index]), _WORDS.as_pointer())
    return builder.bitcast(builder.load(pointer, align=4), _PAIRS)


def _broadcast(builder: Any, base: Any, index: Any) -> Any:
    """The word at `base[index]` in all lanes, as pairs of bf16."""
    empty = ir.Constant(_WORDS, ir.Undefined)
    word = builder.load(builder.gep(base, [index]))
    first = builder.insert_element(empty, word, ir.Constant(_WORD, 0))
    spread = builder.shuffle_vector(first, empty, ir.Constant(_WORDS, [0] * _LANES))
    return builder.bitcast(spread, _PAIRS)


def _emit_block(
    builder: Any, rows: int, in0: Any, in1: Any, out: Any, pairs: Any
) -> None:
    """The loop over k: rows x 4 accumulators stay in registers, then go to `out`."""
    entry = builder.block
    loop, done = builder.append_basic_block(), builder.append_basic_block()
    builder.branch(loop)
    builder.position_at_end(loop)
    k = builder.phi(_INDEX)
    sums = [builder.phi(_FLOATS) for _ in range(rows * _VECTORS)]
    updated = _emit_step(builder, rows, in0, in1, k, sums)
    following = builder.add(k, ir.Constant(_INDEX, 1))
    builder.cbranch(builder.icmp_signed("<", following, pairs), loop, done)
    zero = ir.Constant(_FLOATS, [0.0] * _LANES)
    starts = [ir.Constant(_INDEX, 0), *[zero] * len(sums)]
    nexts = [following, *updated]
    for phi, start, following in zip([k, *sums], starts, nexts, strict=True):
        phi.add_incoming(start, entry)
        phi.add_incoming(following, loop)
    builder.position_at_end(done)
    for i, value in enumerate(updated):
        pointer = builder.gep(out, [ir.Constant(_INDEX, i * _LANES)])
        target = builder.bitcast(pointer, _FLOATS.as_pointer())
        builder.store(value, target, align=4)


def _emit_step(
    builder: Any, rows: int, in0: Any, in1: Any, k: Any, sums: list[Any]
) -> list[Any]:
    """One pair of k: every row times four vectors of columns, added to `sums`."""
    dot = _dot_product(builder.module)
    first0 = builder.mul(k, ir.Constant(_INDEX, rows))
    first1 = builder.mul(k, ir.Constant(_INDEX, PANEL))
    columns = [
        _load(builder, in1, builder.add(first1, ir.Constant(_INDEX, _LANES * v)))
        for v in range(_VECTORS)
    ]
    updated = []
    for row in range(rows):
        index = builder.add(first0, ir.Constant(_INDEX, row))
        value = _broadcast(builder, in0, index)
        own = sums[row * _VECTORS : (row + 1) * _VECTORS]
        pairs = zip(own, columns, strict=True)
        updated += [builder.call(dot, [total, value, c]) for total, c in pairs]
    return updated


def _block_of(rows: int) -> Callable[..., None]:
    """The product of `rows` rows and one panel, as a function for compiled code.

    It takes in0 [pairs, rows] and in1 [pairs, PANEL] (uint32 pairs of bf16, flat) and
    writes out [rows, PANEL] (float32, flat).
    """

    @intrinsic
    def block(typing_context, in0, in1, out, pairs):
        def codegen(context, builder, signature, args):
            data0, data1, data_out = (
                context.make_array(kind)(context, builder, value).data
                for kind, value in zip(signature.args[:3], args[:3], strict=True)
            )
            _emit_block(builder, rows, data0, data1, data_out, args[3])
            return context.get_dummy_value()

        return types.void(in0, in1, out, pairs), codegen

    return block


_rows_1, _rows_2, _rows_3 = _block_of(1), _block_of(2), _block_of(3)
_rows_4, _rows_5, _rows_6 = _block_of(4), _block_of(5), _block_of(6)

_TOP_HALF = u32(0xFFFF_0000)
_EXPONENT = u32(0x7F80_0000)


@jit
def _words(address, count):
    """The uint32 array of `count` elements at an address."""
    return floats(address, count).view(np.uint32)


@jit
def _cut(bits, mask):
    """The bits that the phases read; what has exponent 0 is then +0."""
    if mask == ALL_BITS:
        return bits
    kept = u32(bits & mask)
    return kept if (kept & _EXPONENT) != u32(0) else u32(0)


@jit
def count_rows(segments):
    """Rows in all segments [start, stop)."""
    total = 0
    for s in range(segments.shape[0]):
        total += segments[s, 1] - segments[s, 0]
    return total


@jit
def pack_in0(source, row_step, pairs, mask, segments, packed):
    """Pairs of bf16 of the rows of in0 in `segments`, in blocks of up to six rows.

    `source` is the address of row 0, `row_step` the bytes from row to row. A block
    that begins with the n-th packed row starts at `packed[n * pairs]`, as [pairs,
    rows]. Returns the bits that did not fit into bf16, or'ed together.
    """
    left = count_rows(segments)
    lost = u32(0)
    at, s = 0, 0
    row = segments[0, 0]
    while left > 0:
        count = min(left, BLOCK_ROWS)
        block = packed[at * pairs : (at + count) * pairs]
        for r in range(count):
            while row >= segments[s, 1]:
                s += 1
                row = segments[s, 0]
            bits = _words(source + row * row_step, 2 * pairs)
            row += 1
            for k in range(pairs):
                low, high = _cut(bits[2 * k], mask), _cut(bits[2 * k + 1], mask)
                lost |= u32(u32(low | high) & u32(0xFFFF))
                block[k * count + r] = u32(u32(low >> u32(16)) | u32(high & _TOP_HALF))
        left -= count
        at += count
    return lost


@jit
def pack_in1(source, row_step, mask, first_pair, last_pair, columns, packed):
    """Pairs of bf16 of rows 2 * first_pair to 2 * last_pair of in1 [K, columns].

    `packed` is [panels, K / 2, PANEL], `source` the address of the first of the rows.
    Returns the bits that did not fit into bf16.
    """
    lost = u32(0)
    for k in range(first_pair, last_pair):
        start = source + 2 * (k - first_pair) * row_step
        low, high = _words(start, columns), _words(start + row_step, columns)
        for panel in range(packed.shape[0]):
            first = panel * PANEL
            target = packed[panel, k]
            width = min(PANEL, columns - first)
            lows, highs = low[first : first + width], high[first : first + width]
            for j in range(width):
                a, b = _cut(lows[j], mask), _cut(highs[j], mask)
                lost |= u32(u32(a | b) & u32(0xFFFF))
                target[j] = u32(u32(a >> u32(16)) | u32(b & _TOP_HALF))
            target[width:] = u32(0)
    return lost


@jit
def pack_turned_in1(source, row_step, mask, rows, pairs, packed):
    """As `pack_in1`, of the transpose of [rows, 2 * pairs] at the address `source`."""
    lost = u32(0)
    for panel in range(packed.shape[0]):
        target = packed[panel].reshape(-1)
        for j in range(PANEL):
            row = panel * PANEL + j
            if row >= rows:
                for k in range(pairs):
                    target[k * PANEL + j] = u32(0)
                continue
            bits = _words(source + row * row_step, 2 * pairs)
            for k in range(pairs):
                a, b = _cut(bits[2 * k], mask), _cut(bits[2 * k + 1], mask)
                lost |= u32(u32(a | b) & u32(0xFFFF))
                target[k * PANEL + j] = u32(u32(a >> u32(16)) | u32(b & _TOP_HALF))
    return lost


@jit
def _multiply_block(count, in0, in1, out, pairs):
    if count == 6:
        _rows_6(in0, in1, out, pairs)
    elif count == 5:
        _rows_5(in0, in1, out, pairs)
    elif count == 4:
        _rows_4(in0, in1, out, pairs)
    elif count == 3:
        _rows_3(in0, in1, out, pairs)
    elif count == 2:
        _rows_2(in0, in1, out, pairs)
    else:
        _rows_1(in0, in1, out, pairs)


@jit
def multiply(in0, in1, columns, segments, out, row_step):
    """in0 x in1, both packed, into the rows in `segments`; fp32 sums, two k at a time.

    `out` is the address of row 0, `row_step` the bytes from row to row. How many rows
    are multiplied at a time does not show in the result.
    """
    pairs = in1.shape[1]
    total = count_rows(segments)
    block = np.empty(BLOCK_ROWS * PANEL, dtype=np.float32)
    for panel in range(in1.shape[0]):
        first = panel * PANEL
        width = min(PANEL, columns - first)
        panel_in1 = in1[panel].reshape(-1)
        at, s = 0, 0
        row = segments[0, 0]
        while at < total:
            count = min(BLOCK_ROWS, total - at)
            block_in0 = in0[at * pairs : (at + count) * pairs]
            _multiply_block(count, block_in0, panel_in1, block, numba.int64(pairs))
            for r in range(count):
                while row >= segments[s, 1]:
                    s += 1
                    row = segments[s, 0]
                target = floats(out + row * row_step + 4 * first, width)
                target[:] = block[r * PANEL : r * PANEL + width]
                row += 1
            at += count


@jit
def pack_turned_pairs(source, row_step, rows, pairs, packed):
    """As `pack_turned_in1`, of bf16 datums that lie in pairs already."""
    for panel in range(packed.shape[0]):
        target = packed[panel]
        first = panel * PANEL
        count = min(PANEL, rows - first)
        for start in range(0, pairs, _TURNED):
            stop = min(start + _TURNED, pairs)
            for j in range(count):
                words = _words(source + (first + j) * row_step + 4 * start, _TURNED)
                for k in range(start, stop):
                    target[k, j] = words[k - start]
            target[start:stop, count:] = u32(0)
