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

BLOCK_ROWS = 6
"""Rows of in0 at a time: 24 accumulators, 4 vectors of in1 and some broadcasts fit."""

PANEL = 64
"""Columns of in1 at a time: four vectors of sixteen lanes."""

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


_six_rows = _block_of(BLOCK_ROWS)
_one_row = _block_of(1)


@jit
def pack_in0(bits, packed):
    """Pairs of bf16 of in0 [M, K] (patterns) in blocks of six rows, then single rows.

    A block that starts at row r starts at `packed[r * K / 2]`, as [K / 2, rows].
    Returns the bits that did not fit into bf16, or'ed together.
    """
    rows, pairs = bits.shape[0], bits.shape[1] // 2
    lost = u32(0)
    row = 0
    while row < rows:
        count = BLOCK_ROWS if row + BLOCK_ROWS <= rows else 1
        block = packed[row * pairs : (row + count) * pairs]
        for r in range(count):
            source = bits[row + r]
            for k in range(pairs):
                low, high = source[2 * k], source[2 * k + 1]
                lost |= u32(u32(low | high) & u32(0xFFFF))
                joined = u32(u32(low >> u32(16)) | u32(high & u32(0xFFFF_0000)))
                block[k * count + r] = joined
        row += count
    return lost


@jit
def pack_in1(bits, packed):
    """Pairs of bf16 of in1 [K, N] (patterns) as [panels, K / 2, PANEL]."""
    columns = bits.shape[1]
    for k in range(bits.shape[0] // 2):
        low, high = bits[2 * k], bits[2 * k + 1]
        for panel in range(packed.shape[0]):
            first = panel * PANEL
            target = packed[panel, k]
            for j in range(min(PANEL, columns - first)):
                left = u32(low[first + j] >> u32(16))
                target[j] = u32(left | u32(high[first + j] & u32(0xFFFF_0000)))


@jit
def multiply(in0, in1, out):
    """out [M, N] = in0 x in1, both packed; fp32 sums in order of k, two at a time."""
    rows, columns = out.shape
    pairs = in1.shape[1]
    block = np.empty(BLOCK_ROWS * PANEL, dtype=np.float32)
    for panel in range(in1.shape[0]):
        first = panel * PANEL
        width = min(PANEL, columns - first)
        panel_in1 = in1[panel].reshape(-1)
        row = 0
        while row < rows:
            count = BLOCK_ROWS if row + BLOCK_ROWS <= rows else 1
            block_in0 = in0[row * pairs : (row + count) * pairs]
            if count == BLOCK_ROWS:
                _six_rows(block_in0, panel_in1, block, numba.int64(pairs))
            else:
                _one_row(block_in0, panel_in1, block, numba.int64(pairs))
            for r in range(count):
                out[row + r, first : first + width] = block[
                    r * PANEL : r * PANEL + width
                ]
            row += count
