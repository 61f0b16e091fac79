"""Chains of element-wise operations, strip by strip, in one call.

A chain is a table of operations on rows of equal width. A strip of a row goes through
the whole chain while it lies in the nearest cache; what only the chain itself reads
stays in registers, which are strips too. Operands are raw addresses with a step for
each row and for each element of a row: a step of zero repeats a row or a register.

Each operation is a loop of its own over contiguous elements, which LLVM vectorises.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numba.np.numpy_support import carray

from runtime.arithmetic import format_kernels as formats
from runtime.arithmetic import function_kernels as functions
from runtime.arithmetic.matrix_kernels import jit

STRIP = 1024
"""Elements of a strip: eight registers fit the nearest cache."""

REGISTERS = 12

FIELDS = 12
"""Columns of a chain's table: operation, number (pattern of a float32), then address,
row step and element step (bytes) of the result and of both operands."""


class Op(IntEnum):
    """What a line of a chain does."""

    COPY = 0
    SPREAD = 1
    ADD = 2
    SUB = 3
    MUL = 4
    DIV = 5
    MAX = 6
    MIN = 7
    ADD_NUMBER = 10
    MUL_NUMBER = 11
    MAX_NUMBER = 12
    MIN_NUMBER = 13
    EXP = 20
    SIGMOID = 21
    SILU = 22
    RECIPROCAL = 23
    RSQRT = 24
    SQRT = 25
    ABS = 32
    NEGATIVE = 33
    SQUARE = 34
    RELU = 35
    ROUND_BF16 = 40
    CLEAN_BF16 = 41
    ROUND_BFP8_SOURCE = 42
    BLOCKS_7 = 43
    BLOCKS_3 = 44
    CUT_TF32 = 45
    CUT_BF16 = 46
    STORE_BF16 = 47


_FIRST_NUMBER, _FIRST_FUNCTION, _FIRST_FORMAT = (
    int(Op.ADD_NUMBER),
    int(Op.EXP),
    int(Op.ROUND_BF16),
)
TF32_MASK = np.uint32(0xFFFF_E000)
BF16_MASK = np.uint32(0xFFFF_0000)
ALL_BITS = np.uint32(0xFFFF_FFFF)


@intrinsic
def _pointer(typing_context, address):
    """An address as a pointer to float32."""

    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], ir.PointerType(ir.FloatType()))

    return types.CPointer(types.float32)(types.int64), codegen


_address = cast(Callable[[np.int64], Any], _pointer)


@jit
def floats(address, count):
    """The float32 array of `count` elements at an address."""
    return carray(_address(np.int64(address)), (count,))


@jit
def apply_binary(op, a, b, out):  # noqa: PLR0912 (a table of loops)
    """One operation on two strips."""
    if op == 2:
        for i in range(out.size):
            out[i] = functions.add(a[i], b[i])
    elif op == 3:
        for i in range(out.size):
            out[i] = functions.subtract(a[i], b[i])
    elif op == 4:
        for i in range(out.size):
            out[i] = functions.multiply(a[i], b[i])
    elif op == 5:
        for i in range(out.size):
            out[i] = functions.divide(a[i], b[i])
    elif op == 6:
        for i in range(out.size):
            out[i] = functions.maximum(a[i], b[i])
    elif op == 7:
        for i in range(out.size):
            out[i] = functions.minimum(a[i], b[i])


@jit
def apply_number(op, a, number, out):
    """One operation on a strip and a number."""
    if op == 10:
        for i in range(out.size):
            out[i] = functions.add(a[i], number)
    elif op == 11:
        for i in range(out.size):
            out[i] = functions.multiply(a[i], number)
    elif op == 12:
        for i in range(out.size):
            out[i] = functions.maximum(a[i], number)
    elif op == 13:
        for i in range(out.size):
            out[i] = functions.minimum(a[i], number)


@jit
def apply_function(op, a, out):  # noqa: PLR0912 (a table of loops)
    """One function of a strip."""
    if op == 20:
        for i in range(out.size):
            out[i] = functions.exp(a[i])
    elif op == 21:
        for i in range(out.size):
            out[i] = functions.sigmoid(a[i])
    elif op == 22:
        for i in range(out.size):
            out[i] = functions.silu(a[i])
    elif op == 23:
        for i in range(out.size):
            out[i] = functions.reciprocal(a[i])
    elif op == 24:
        for i in range(out.size):
            out[i] = functions.rsqrt(a[i])
    elif op == 25:
        for i in range(out.size):
            out[i] = functions.sqrt(a[i])
    elif op == 32:
        for i in range(out.size):
            out[i] = functions.absolute(a[i])
    elif op == 33:
        for i in range(out.size):
            out[i] = functions.negative(a[i])
    elif op == 34:
        for i in range(out.size):
            out[i] = functions.square(a[i])
    elif op == 35:
        for i in range(out.size):
            out[i] = functions.relu(a[i])


@jit
def _apply_format(op, a, out):
    """One conversion of a strip, on patterns."""
    source, target = a.view(np.uint32), out.view(np.uint32)
    if op == 40:
        formats.round_to_bf16(source, target)
    elif op == 41:
        formats.clean_bf16(source, target)
    elif op == 42:
        formats.round_to_bfp8_source(source, target)
    elif op == 43:
        _blocks(source, np.uint32(7), target)
    elif op == 44:
        _blocks(source, np.uint32(3), target)
    elif op == 45:
        formats.mask_and_flush(source, target, TF32_MASK)
    elif op == 46:
        formats.mask_and_flush(source, target, BF16_MASK)
    elif op == 47:
        formats.round_in_vector_unit(source, target)
        formats.store_from_vector_unit(target, target, BF16_MASK)


@jit
def _blocks(source, width, target):
    codes = np.empty(source.size, np.uint8)
    exponents = np.empty(source.size // 16, np.uint8)
    formats.device_blocks(source, width, codes, exponents)
    formats.block_patterns(codes, exponents, target)


@jit
def _apply(line, row, column, width):
    """One line of a chain on one strip."""
    op = line[0]
    out = floats(line[2] + row * line[3] + column * line[4], width)
    if op == 1:
        value = floats(line[5] + row * line[6], 1)[0]
        out[:] = value
        return
    a = floats(line[5] + row * line[6] + column * line[7], width)
    if op == 0:
        out[:] = a
    elif op < _FIRST_NUMBER:
        b = floats(line[8] + row * line[9] + column * line[10], width)
        apply_binary(op, a, b, out)
    elif op < _FIRST_FUNCTION:
        apply_number(op, a, np.uint32(line[1]).view(np.float32), out)
    elif op < _FIRST_FORMAT:
        apply_function(op, a, out)
    else:
        _apply_format(op, a, out)


@jit
def run_chain(lines, segments, columns, is_flat):
    """Run a chain on rows [start, stop) of each segment.

    `lines` int64 [n, FIELDS]. With `is_flat` the rows of every operand follow each
    other without gaps, and a segment is one long row.
    """
    for s in range(segments.shape[0]):
        first, last, width = segments[s, 0], segments[s, 1], columns
        if is_flat:
            width = (last - first) * columns
            last = first + 1
        for row in range(first, last):
            for column in range(0, width, STRIP):
                count = min(STRIP, width - column)
                for line in range(lines.shape[0]):
                    _apply(lines[line], row, column, count)


@jit
def _read_row(address, count, mask, buffer):
    """A row as the matrix unit reads it: `mask` keeps its bits, all ones keep all."""
    values = floats(address, count)
    if mask == ALL_BITS:
        return values
    formats.mask_and_flush(values.view(np.uint32), buffer.view(np.uint32), mask)
    return buffer


@jit
def sum_products(a, a_step, a_mask, b, b_step, b_mask, b_spread, terms, segments, out):
    """Sums over `terms` tiles side by side of products, element by element.

    `a` and `b` are addresses with steps for each row in bytes, `out` is that of rows
    of 32. With `b_spread` the first element of a row of `b` stands for all of it.
    """
    count = terms * 32
    a_row, b_row = np.empty(count, np.float32), np.empty(count, np.float32)
    for s in range(segments.shape[0]):
        for row in range(segments[s, 0], segments[s, 1]):
            left = _read_row(a + row * a_step, count, a_mask, a_row)
            right = b_row
            if b_spread:
                factor = _read_row(b + row * b_step, 1, b_mask, b_row[:1])[0]
                b_row[:] = factor
            else:
                right = _read_row(b + row * b_step, count, b_mask, b_row)
            total = floats(out + row * 128, 32)
            for j in range(32):
                total[j] = left[j] * right[j]
            for t in range(1, terms):
                part, other = left[t * 32 : t * 32 + 32], right[t * 32 : t * 32 + 32]
                for j in range(32):
                    total[j] += part[j] * other[j]


@jit
def reduce_rows(a, a_step, a_mask, terms, is_max, scaler, segments, out):
    """The sum (times `scaler`) or maximum of `terms` tiles side by side, row by row.

    The result is the first of the 32 elements of a row of `out`; the others are zero.
    """
    lanes = np.empty(32, np.float32)
    buffer = np.empty(terms * 32, np.float32)
    for s in range(segments.shape[0]):
        for row in range(segments[s, 0], segments[s, 1]):
            values = _read_row(a + row * a_step, terms * 32, a_mask, buffer)
            lanes[:] = values[:32]
            for t in range(1, terms):
                part = values[t * 32 : t * 32 + 32]
                if is_max:
                    for j in range(32):
                        lanes[j] = functions.maximum(lanes[j], part[j])
                else:
                    for j in range(32):
                        lanes[j] += part[j]
            result = lanes[0]
            for j in range(1, 32):
                if is_max:
                    result = functions.maximum(result, lanes[j])
                else:
                    result += lanes[j]
            total = floats(out + row * 128, 32)
            total[:] = np.float32(0)
            total[0] = result if is_max else np.float32(result * scaler)


@jit
def copy_runs(runs):
    """Copy runs of rows.

    A run is source, its row step, target, its row step (bytes), rows, floats, and
    whether the first float of a row stands for all of them.
    """
    for i in range(runs.shape[0]):
        run = runs[i]
        for row in range(run[4]):
            source = floats(run[0] + row * run[1], run[5])
            target = floats(run[2] + row * run[3], run[5])
            if run[6]:
                target[:] = source[0]
            else:
                target[:] = source


@jit
def small_product(
    a, a_step, a_mask, b, b_mask, columns, depth, segments, out, out_step
):
    """Rows of `a` times a contiguous `b` [depth, columns], plain fp32."""
    count = depth * columns
    right = _read_row(b, count, b_mask, np.empty(count, np.float32))
    buffer = np.empty(depth, np.float32)
    for s in range(segments.shape[0]):
        for row in range(segments[s, 0], segments[s, 1]):
            left = _read_row(a + row * a_step, depth, a_mask, buffer)
            total = floats(out + row * out_step, columns)
            total[:] = np.float32(0)
            for k in range(depth):
                factor = left[k]
                part = right[k * columns : (k + 1) * columns]
                for j in range(columns):
                    total[j] += factor * part[j]
