"""Element-wise work of the matrix unit: copies, sums, differences, products.

Operands are values as the source registers hold them (`formats.unpack_to_src`), `a` in
SrcA and `b` in SrcB; results are Dst values. Shapes are free, except that `broadcast`
works on tiles. Sources: ARITHMETIC.md sections 1, 3 and 4.
"""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from dialects.formats import DstMode, Fidelity
from runtime.arithmetic import format_kernels
from runtime.arithmetic.formats import Values, bits_of
from runtime.arithmetic.matmul import PHASE_EXPONENT_DROPS
from runtime.arithmetic.matrix_kernels import accumulate, i32, jit, significand, u32


class Broadcast(StrEnum):
    """Which datums of a `b` tile stand for all others."""

    NONE = "none"
    ROW = "row"
    COL = "col"
    SCALAR = "scalar"


def broadcast(tiles: Values, kind: Broadcast) -> Values:
    """Tiles [..., 32, 32] with row 0, column 0 or datum [0, 0] in every place."""
    if kind in (Broadcast.ROW, Broadcast.SCALAR):
        tiles = np.repeat(tiles[..., :1, :], tiles.shape[-2], axis=-2)
    if kind in (Broadcast.COL, Broadcast.SCALAR):
        tiles = np.repeat(tiles[..., :1], tiles.shape[-1], axis=-1)
    return tiles


@jit
def _add(a, b, dst, flip, narrow):
    """ELWADD (ELWSUB: `flip` is the sign bit): b is cut to a's 2^-10 grid first."""
    for i in range(a.size):
        large, small = a[i], u32(b[i] ^ flip)
        if u32(large << u32(1)) < u32(small << u32(1)):
            large, small = small, large
        exponent = i32(u32(large >> u32(23)) & u32(255))
        below = i32(exponent - i32(u32(small >> u32(23)) & u32(255)))
        shift = i32(min(below, i32(13)) & i32(15))
        addend = i32(i32(significand(small) << i32(1)) >> shift)
        addend = i32(i32(addend + i32(1)) >> i32(1)) if shift < 12 else i32(0)
        opposite = i32(u32(large ^ small)) < i32(0)
        total = i32(significand(large) + (-addend if opposite else addend))
        total = i32(-total) if i32(large) < i32(0) else total
        dst[i] = accumulate(dst[i], exponent, total, i32(0), i32(0), narrow)


@jit
def _multiply_phase(a, b, dst, phase, drop, narrow):
    """One phase of ELWMUL: Dst plus the product of a part of a and a part of b."""
    shift_a = i32(1) if phase & 1 else i32(6)
    shift_b = i32(0) if phase & 2 else i32(7)
    for i in range(a.size):
        exponent_a = i32(u32(a[i] >> u32(23)) & u32(255))
        exponent_b = i32(u32(b[i] >> u32(23)) & u32(255))
        zero = exponent_a == i32(0) or exponent_b == i32(0)
        exponent = i32(i32(exponent_a + exponent_b) - i32(i32(127) + drop))
        exponent = i32(0) if zero else max(exponent, i32(0))
        part_a = i32(i32(significand(a[i]) >> shift_a) & i32(31))
        part_b = i32(i32(i32(significand(b[i]) << i32(3)) >> shift_b) & i32(127))
        product = i32(part_a * part_b)
        product = i32(-product) if i32(u32(a[i] ^ b[i])) < i32(0) else product
        dst[i] = accumulate(dst[i], exponent, product, i32(0), i32(0), narrow)


def _start(shape: tuple[int, ...], initial: Values | None) -> NDArray[np.uint32]:
    """Flat Dst patterns to accumulate into: a copy of `initial`, or cleared."""
    if initial is None:
        return np.zeros(int(np.prod(shape)), dtype=np.uint32)
    return bits_of(np.broadcast_to(initial, shape)).copy()


def _combine(
    a: Values, b: Values, *, dst: DstMode, initial: Values | None, flip: int
) -> Values:
    a, b = np.broadcast_arrays(a, b)
    state = _start(a.shape, initial)
    _add(bits_of(a), bits_of(b), state, u32(flip), dst is DstMode.BF16)
    return state.view(np.float32).reshape(a.shape)


def add(a: Values, b: Values, *, dst: DstMode, initial: Values | None = None) -> Values:
    """Dst after ELWADD: initial + (a + b), where a + b is rounded twice."""
    return _combine(a, b, dst=dst, initial=initial, flip=0)


def subtract(
    a: Values, b: Values, *, dst: DstMode, initial: Values | None = None
) -> Values:
    """Dst after ELWSUB: initial + (a - b)."""
    return _combine(a, b, dst=dst, initial=initial, flip=0x8000_0000)


def multiply(
    a: Values,
    b: Values,
    *,
    fidelity: Fidelity,
    dst: DstMode,
    initial: Values | None = None,
) -> Values:
    """Dst after all phases of ELWMUL: initial + a * b.

    LoFi reads five significant bits of a and seven of b.
    """
    a, b = np.broadcast_arrays(a, b)
    state = _start(a.shape, initial)
    bits_a, bits_b = bits_of(a), bits_of(b)
    for phase, drop in enumerate(PHASE_EXPONENT_DROPS[: fidelity.phases]):
        _multiply_phase(bits_a, bits_b, state, phase, i32(drop), dst is DstMode.BF16)
    return state.view(np.float32).reshape(a.shape)


def copy_to_dst(a: Values, *, dst: DstMode) -> Values:
    """Datacopy of a source register: MOVA2D (16-bit Dst) or ELWADD with zero.

    The first keeps NaNs; the second makes an infinity of every datum of exponent 255.
    """
    if dst is DstMode.FP32:
        return add(a, np.zeros(1, dtype=np.float32), dst=dst)
    out = np.empty(a.shape, dtype=np.float32)
    mask = np.uint32(0xFFFF_FFFF)
    format_kernels.mask_and_flush(bits_of(a), out.reshape(-1).view(np.uint32), mask)
    return out
