"""Compiled loops of the matrix unit (FPU): products, groups of eight, accumulation.

Everything is integer arithmetic on patterns, written so that LLVM makes vector code of
it: columns are the innermost loop, one panel of `PANEL` columns at a time, products
are 16 bits wide, and every narrowing is spelled out. Sources: ARITHMETIC.md sections
2 to 4; the layout, reference/emulator.md section 4.

A *block* holds eight consecutive k of one operand as int16: eight exponents, eight
first parts, eight second parts, the parts signed. One of in1 has `PANEL` columns for
each of these 24 rows, one of in0 a single value.
"""

from collections.abc import Callable
from typing import cast

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

PANEL = 128
"""Columns of in1 that are multiplied at a time; 64 and 256 are slower."""

GROUP = 8
"""Products that the hardware aligns to a common exponent before summing."""

BLOCK_ROWS = 3 * GROUP

IN0_ZERO = -4000
IN1_ZERO = -2000
"""Exponents of a zero operand: no sum with another exponent becomes positive."""

_NO_EXPONENT = np.int16(-8000)

i16 = np.int16
i32 = np.int32
u32 = np.uint32

jit = numba.njit(cache=True, error_model="numpy", nogil=True)
inlined = numba.njit(error_model="numpy", nogil=True, inline="always")


@intrinsic
def _leading_zeros(typing_context, value):
    """Leading zero bits of a uint32; 32 for zero. LLVM vectorises it."""

    def codegen(context, builder, signature, args):
        word, flag = ir.IntType(32), ir.IntType(1)
        kind = ir.FunctionType(word, [word, flag])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.ctlz.i32")
        return builder.call(function, [args[0], ir.Constant(flag, 0)])

    return types.uint32(types.uint32), codegen


leading_zeros = cast(Callable[[object], int], _leading_zeros)


@inlined
def significand(bits):
    """Eleven significant bits of a tf32 pattern, hidden one included; 0 for zero."""
    man = i32(u32(u32(bits >> u32(13)) & u32(0x3FF)) | u32(0x400))
    return man if u32(bits & u32(0x7F80_0000)) != u32(0) else i32(0)


@inlined
def accumulate(dst, exponent0, sum0, exponent1, sum1, narrow):
    """One accumulation into Dst: ACCUMULATE of ARITHMETIC.md section 3.

    `dst` is a pattern, a term is `sum * 2^(exponent - 127 - 10)`; `narrow` is a 16-bit
    Dst. Terms are rounded half up in signed value, Dst and the result half away.
    """
    exponent_dst = i32(u32(dst >> u32(23)) & u32(255))
    top = max(exponent0, exponent1, exponent_dst, i32(0))
    # One bit below the 2^-23 grid is kept, so that (x + 1) >> 1 rounds.
    term0 = _aligned_term(sum0, exponent0, top)
    term1 = _aligned_term(sum1, exponent1, top)
    old = u32(u32(u32(dst << u32(1)) & u32(0xFF_FFFF)) | u32(0x100_0000))
    old = old if exponent_dst > 0 else u32(0)
    shift = u32(min(i32(top - exponent_dst), i32(31)) & i32(31))
    old = u32(u32(u32(old >> shift) + u32(1)) >> u32(1))
    if narrow:
        term0 = i32(i32(term0 + i32(0x1000)) & i32(-0x2000))
        term1 = i32(i32(term1 + i32(0x1000)) & i32(-0x2000))
        old = u32(u32(old + u32(0x1000)) & u32(0xFFFF_E000))
    sign_dst = i32(i32(dst) >> i32(31))
    total = i32(i32(term0 + term1) + i32(i32(i32(old) ^ sign_dst) - sign_dst))
    return _encode(total, top, narrow)


@inlined
def _aligned_term(total, exponent, top):
    """A group's sum on the 2^-23 grid of `top`; zero below exponent 1."""
    term = i32(i32(total) << i32(14)) if exponent > 0 else i32(0)
    shift = i32(min(i32(top - exponent), i32(31)) & i32(31))
    return i32(i32(i32(term >> shift) + i32(1)) >> i32(1))


@inlined
def _encode(total, exponent, narrow):
    """Pattern of `total * 2^(exponent - 127 - 23)`, half away to Dst's width."""
    sign = i32(total >> i32(31))
    magnitude = u32(i32(i32(total ^ sign) - sign))
    zeros = i32(leading_zeros(magnitude))
    lifted = u32(magnitude << u32(zeros & i32(31)))  # leading one at bit 31
    if narrow:
        carry = u32(u32(lifted >> u32(23)) & u32(1))
        significand = u32(u32(u32(lifted >> u32(24)) + carry) << u32(16))
    else:
        carry = u32(u32(lifted >> u32(7)) & u32(1))
        significand = u32(u32(lifted >> u32(8)) + carry)
    # The hidden bit, and a carry out of it, add to the exponent field. An offset of 32
    # keeps the word positive; the largest field, 383 + 7 + 2 + 32, still fits.
    field = u32(i32(exponent + i32(7 + 32)) - zeros)
    word = min(u32(u32(field << u32(23)) + significand), u32(287 << 23))
    value = u32(word - u32(32 << 23)) if word >= u32(33 << 23) else u32(0)
    if not narrow:  # the hardware mistakes a sum of exactly -1 (the "-1 quirk")
        quirk = u32(u32(min(i32(exponent + i32(4)), i32(255))) << u32(23))
        value = quirk if total == i32(-1) else value
    signed = u32(value | u32(u32(sign) & u32(0x8000_0000)))
    return signed if value != u32(0) and total != i32(0) else u32(0)


@jit
def _multiply_group(in0, in1, out, phases):
    """Sums of eight products for one row of in0 and `PANEL` columns of in1.

    `out` receives the group's exponent, then one sum per phase. A product is shifted
    to the group's exponent with half-away rounding, here in signed form: half a unit,
    less one where the product is negative.
    """
    for j in range(PANEL):
        top = _NO_EXPONENT
        for k in range(GROUP):
            top = max(top, i16(in0[k] + in1[k * PANEL + j]))
        sum0, sum1, sum2, sum3 = i16(0), i16(0), i16(0), i16(0)
        for k in range(GROUP):
            exponent = i16(in0[k] + in1[k * PANEL + j])
            high0, low0 = in0[8 + k], in0[16 + k]
            high1, low1 = in1[(8 + k) * PANEL + j], in1[(16 + k) * PANEL + j]
            shift = i16(i16(min(i16(top - exponent), i16(13))) & i16(15))
            product = i16(high0 * high1)
            half = i16(i16(i16(1) << shift) >> i16(1))
            bias = i16(max(i16(half + i16(product >> i16(15))), i16(0)))
            sum0 = i16(sum0 + i16(i16(product + bias) >> shift))
            if len(phases) > 1:
                sum1 = i16(sum1 + i16(i16(i16(high0 * low1) + bias) >> shift))
            if len(phases) > 2:
                sum2 = i16(sum2 + i16(i16(i16(low0 * high1) + bias) >> shift))
            if len(phases) > 3:
                sum3 = i16(sum3 + i16(i16(i16(low0 * low1) + bias) >> shift))
        out[j] = top
        out[PANEL + j] = sum0
        out[2 * PANEL + j] = sum1
        out[3 * PANEL + j] = sum2
        out[4 * PANEL + j] = sum3


@jit
def _accumulate_narrow(dst, group0, group1, phase, drop):
    """One MVMUL for `PANEL` columns: both groups of a phase into a 16-bit Dst."""
    sums0 = group0[(1 + phase) * PANEL : (2 + phase) * PANEL]
    sums1 = group1[(1 + phase) * PANEL : (2 + phase) * PANEL]
    for j in range(PANEL):
        exponent0 = i32(i32(group0[j]) - drop)
        exponent1 = i32(i32(group1[j]) - drop)
        sum0, sum1 = i32(sums0[j]), i32(sums1[j])
        dst[j] = accumulate(dst[j], exponent0, sum0, exponent1, sum1, True)


@jit
def _accumulate_wide(dst, group0, group1, phase, drop):
    """One MVMUL for `PANEL` columns: both groups of a phase into a 32-bit Dst."""
    sums0 = group0[(1 + phase) * PANEL : (2 + phase) * PANEL]
    sums1 = group1[(1 + phase) * PANEL : (2 + phase) * PANEL]
    for j in range(PANEL):
        exponent0 = i32(i32(group0[j]) - drop)
        exponent1 = i32(i32(group1[j]) - drop)
        sum0, sum1 = i32(sums0[j]), i32(sums1[j])
        dst[j] = accumulate(dst[j], exponent0, sum0, exponent1, sum1, False)


@jit
def multiply_panels(in0, in1, dst, phases, slices, narrow):
    """Dst += in0 x in1 in the hardware's order, for all panels and rows.

    in0 [M, K/8, 24] and in1 [panels, K/8, 24 * PANEL] int16 blocks; dst [panels, M,
    PANEL] patterns. `phases` holds the exponent drop of each phase and is specialised
    on its length. All phases run over `slices` times 16 k before the next ones: 2 for
    matmul (a tile), 1 for pooling (a face).
    """
    groups = 2 * slices
    out = np.empty((groups, 5 * PANEL), dtype=np.int16)
    for panel in range(in1.shape[0]):
        for row in range(in0.shape[0]):
            state = dst[panel, row]
            for step in range(in0.shape[1] // groups):
                for g in range(groups):
                    block = step * groups + g
                    _multiply_group(in0[row, block], in1[panel, block], out[g], phases)
                for phase in range(len(phases)):
                    drop = i32(phases[phase])
                    for s in range(slices):
                        group0, group1 = out[2 * s], out[2 * s + 1]
                        if narrow:
                            _accumulate_narrow(state, group0, group1, phase, drop)
                        else:
                            _accumulate_wide(state, group0, group1, phase, drop)


@jit
def block_in0(bits, blocks):
    """Blocks [M, K/8, 24] of SrcB operands [M, K] (patterns): parts of 7 and 4 bits."""
    for row in range(bits.shape[0]):
        for k in range(bits.shape[1]):
            pattern = bits[row, k]
            block = blocks[row, k // GROUP]
            exponent = i32(u32(pattern >> u32(23)) & u32(255))
            sign = i32(pattern) >> i32(31)
            man = significand(pattern)
            lane = k % GROUP
            block[lane] = i16(exponent - 127 if exponent else IN0_ZERO)
            block[GROUP + lane] = i16(((man >> 4) ^ sign) - sign)
            block[2 * GROUP + lane] = i16((((man & 15) << 3) ^ sign) - sign)


@jit
def block_in1(bits, blocks):
    """Blocks [panels, K/8, 24 * PANEL] of SrcA operands [K, N]: parts of 5 bits each.

    Columns beyond N must have been filled with zero operands before.
    """
    columns = bits.shape[1]
    for k in range(bits.shape[0]):
        lane = (k % GROUP) * PANEL
        for panel in range(blocks.shape[0]):
            block = blocks[panel, k // GROUP]
            first = panel * PANEL
            for j in range(min(PANEL, columns - first)):
                pattern = bits[k, first + j]
                exponent = i32(u32(pattern >> u32(23)) & u32(255))
                sign = i32(pattern) >> i32(31)
                man = significand(pattern)
                block[lane + j] = i16(exponent if exponent else IN1_ZERO)
                high = GROUP * PANEL + lane + j
                block[high] = i16(((man >> 6) ^ sign) - sign)
                block[high + GROUP * PANEL] = i16((((man >> 1) & 31) ^ sign) - sign)
