"""Matrix products of bf16 operands with an fp32 result, on packed panels.

Neither torch nor numpy has one on CPU. in1 is packed once, in pairs of bf16; in0 as the
inner block wants it (`panel_blocks`), everything around which is compiled by numba.
`fast_matmul` is the public face and knows which CPUs can do what.
"""

import numba
import numpy as np

from runtime.arithmetic.matrix_kernels import jit, u32
from runtime.arithmetic.panel_blocks import BLOCK_ROWS, DOT, PANEL, WIDE, block_of
from runtime.arithmetic.strip_kernels import ALL_BITS, floats

_TURNED = 64
"""Pairs of a row that are turned at a time: four lines of it, which memory brings
together; those of a panel's rows and of their turned places fit the nearest cache."""

_dot_1, _dot_2, _dot_3 = block_of(DOT, 1), block_of(DOT, 2), block_of(DOT, 3)
_dot_4, _dot_5, _dot_6 = block_of(DOT, 4), block_of(DOT, 5), block_of(DOT, 6)
_wide_1, _wide_2, _wide_3 = block_of(WIDE, 1), block_of(WIDE, 2), block_of(WIDE, 3)
_wide_4, _wide_5, _wide_6 = block_of(WIDE, 4), block_of(WIDE, 5), block_of(WIDE, 6)

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
def _rows_in(segments):
    """The numbers of all rows in segments [start, stop)."""
    total = 0
    for s in range(segments.shape[0]):
        total += segments[s, 1] - segments[s, 0]
    rows = np.empty(total, np.int64)
    at = 0
    for s in range(segments.shape[0]):
        for row in range(segments[s, 0], segments[s, 1]):
            rows[at] = row
            at += 1
    return rows


@jit
def pack_in0(source, row_step, pairs, mask, segments, packed):
    """Pairs of bf16 of the rows of in0 in `segments`, in blocks of up to six rows.

    `source` is the address of row 0, `row_step` the bytes from row to row. A block
    that begins with the n-th packed row starts at `packed[n * pairs]`, as [pairs,
    rows]. Returns the bits that did not fit into bf16, or'ed together.
    """
    rows = _rows_in(segments)
    lost = u32(0)
    for at in range(0, rows.size, BLOCK_ROWS):
        count = min(rows.size - at, BLOCK_ROWS)
        block = packed[at * pairs : (at + count) * pairs]
        for r in range(count):
            bits = _words(source + rows[at + r] * row_step, 2 * pairs)
            for k in range(pairs):
                low, high = _cut(bits[2 * k], mask), _cut(bits[2 * k + 1], mask)
                lost |= u32(u32(low | high) & u32(0xFFFF))
                block[k * count + r] = u32(u32(low >> u32(16)) | u32(high & _TOP_HALF))
    return lost


@jit
def pack_wide_in0(source, row_step, pairs, mask, segments, packed):
    """As `pack_in0`, of fp32 values: a block is [pairs, 2, rows]. Nothing is lost."""
    rows = _rows_in(segments)
    depth = 2 * pairs
    for at in range(0, rows.size, BLOCK_ROWS):
        count = min(rows.size - at, BLOCK_ROWS)
        block = packed[at * depth : (at + count) * depth]
        for r in range(count):
            bits = _words(source + rows[at + r] * row_step, depth)
            for k in range(depth):
                block[k * count + r] = _cut(bits[k], mask)
    return u32(0)


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
def _dot_block(count, in0, in1, out, pairs):
    if count == 6:
        _dot_6(in0, in1, out, pairs)
    elif count == 5:
        _dot_5(in0, in1, out, pairs)
    elif count == 4:
        _dot_4(in0, in1, out, pairs)
    elif count == 3:
        _dot_3(in0, in1, out, pairs)
    elif count == 2:
        _dot_2(in0, in1, out, pairs)
    else:
        _dot_1(in0, in1, out, pairs)


@jit
def _wide_block(count, in0, in1, out, pairs):
    if count == 6:
        _wide_6(in0, in1, out, pairs)
    elif count == 5:
        _wide_5(in0, in1, out, pairs)
    elif count == 4:
        _wide_4(in0, in1, out, pairs)
    elif count == 3:
        _wide_3(in0, in1, out, pairs)
    elif count == 2:
        _wide_2(in0, in1, out, pairs)
    else:
        _wide_1(in0, in1, out, pairs)


@jit
def _put(block, rows, out, row_step, width):
    """The rows of a block go where they belong."""
    for r in range(rows.size):
        target = floats(out + rows[r] * row_step, width)
        target[:] = block[r * PANEL : r * PANEL + width]


@jit
def multiply(in0, in1, columns, segments, out, row_step):
    """in0 x in1, both packed, into the rows in `segments`; fp32 sums, two k at a time.

    `out` is the address of row 0, `row_step` the bytes from row to row. How many rows
    are multiplied at a time does not show in the result.
    """
    pairs = numba.int64(in1.shape[1])
    rows = _rows_in(segments)
    block = np.empty(BLOCK_ROWS * PANEL, dtype=np.float32)
    for panel in range(in1.shape[0]):
        first = panel * PANEL
        width = min(PANEL, columns - first)
        panel_in1 = in1[panel].reshape(-1)
        for at in range(0, rows.size, BLOCK_ROWS):
            own = rows[at : at + BLOCK_ROWS]
            block_in0 = in0[at * pairs : (at + own.size) * pairs]
            _dot_block(own.size, block_in0, panel_in1, block, pairs)
            _put(block, own, out + 4 * first, row_step, width)


@jit
def multiply_wide(in0, in1, columns, segments, out, row_step):
    """As `multiply`, of what `pack_wide_in0` made; one k at a time."""
    pairs = numba.int64(in1.shape[1])
    rows = _rows_in(segments)
    block = np.empty(BLOCK_ROWS * PANEL, dtype=np.float32)
    for panel in range(in1.shape[0]):
        first = panel * PANEL
        width = min(PANEL, columns - first)
        panel_in1 = in1[panel].reshape(-1)
        for at in range(0, rows.size, BLOCK_ROWS):
            own = rows[at : at + BLOCK_ROWS]
            block_in0 = in0[2 * at * pairs : 2 * (at + own.size) * pairs]
            _wide_block(own.size, block_in0, panel_in1, block, pairs)
            _put(block, own, out + 4 * first, row_step, width)


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
