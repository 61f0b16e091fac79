"""Compiled multiply-add of the vector unit, on 32-bit patterns.

Source: ARITHMETIC.md section 7; wormhole.md section 2.10. Significands carry three
extra bits (guard, round, sticky), so that one is at 2^26.
"""

import numpy as np

from runtime.arithmetic.matrix_kernels import i32, inlined, jit, leading_zeros, u32

_EXTRA_BITS = 3
_SIGN = u32(0x8000_0000)
_INFINITY = u32(0x7F80_0000)
_NAN = u32(0x7F80_0001)


@inlined
def _exponent(bits):
    return i32(u32(bits >> u32(23)) & u32(255))


@inlined
def _significand(bits):
    """24 significant bits with the hidden one; 0 for exponent 0."""
    man = u32(u32(bits & u32(0x7F_FFFF)) | u32(0x80_0000))
    return man if _exponent(bits) > 0 else u32(0)


@inlined
def _shifted(man, amount):
    """man >> amount; what is lost is kept as a sticky bit 0 if anything survives."""
    shift = np.uint64(min(amount, 63))
    kept = np.uint64(np.uint64(man) >> shift)
    lost = np.uint64(kept << shift) != np.uint64(man)
    return np.uint64(kept | np.uint64(1)) if kept and lost else kept


@jit
def _invalid(a, b, c, product_exponent):
    """The pattern that a not-a-number result is built on, or 0 if it is a number."""
    product_sign = u32(u32(a ^ b) & _SIGN)
    nan_a = u32(a & ~_SIGN) > _INFINITY
    nan_b = u32(b & ~_SIGN) > _INFINITY
    nan_c = u32(c & ~_SIGN) > _INFINITY
    infinite_a, infinite_b = _exponent(a) == 255, _exponent(b) == 255
    zero_times_infinity = (infinite_a and _exponent(b) == 0) or (
        infinite_b and _exponent(a) == 0
    )
    infinite_product = infinite_a or infinite_b or product_exponent >= 255
    opposite = u32(c & ~_SIGN) == _INFINITY and u32(c & _SIGN) != product_sign
    if nan_a or nan_b or zero_times_infinity or (infinite_product and opposite):
        return u32(product_sign | _NAN)
    return u32(u32(c & _SIGN) | _NAN) if nan_c else u32(0)


@jit
def _sum(product, product_sign, exponent, addend, addend_sign, invalid):
    """Round and encode the sum of two aligned significands (27 or 28 bits each).

    An invalid operation has its pattern or'ed with the bits that come out here.
    """
    sign = product_sign if product >= addend else addend_sign
    total = product + addend
    if product_sign != addend_sign:
        total = product - addend if product >= addend else addend - product
    if total == 0:
        return invalid
    up = i32(5) - i32(leading_zeros(u32(total)))
    exponent += up
    if exponent >= 255:
        return invalid if invalid else u32(sign | _INFINITY)
    if exponent < 0:
        return invalid
    if up > 0:
        total = (total >> np.uint64(up)) | (total & np.uint64(1))
    else:
        total = total << np.uint64(-up)
    value = u32(u32(exponent) << u32(23)) + u32(u32(total >> 3) & u32(0x7F_FFFF))
    half_even = u32(u32(total) & u32(7)) + u32(u32(value) & u32(1))
    value = u32(value + (1 if half_even > 4 else 0))
    if value < u32(0x80_0000):
        return invalid
    return u32(value | (invalid if invalid else sign))


@jit
def mad(a, b, c):
    """One lane of SFPMAD, a * b + c: one rounding, but neither fused nor IEEE."""
    product_sign, addend_sign = u32(u32(a ^ b) & _SIGN), u32(c & _SIGN)
    wide = np.uint64(_significand(a)) * np.uint64(_significand(b))
    product = (wide >> np.uint64(20)) | np.uint64((wide & np.uint64(0xF_FFFF)) != 0)
    exponent = _exponent(a) + _exponent(b) - i32(127)
    addend = np.uint64(_significand(c)) << np.uint64(_EXTRA_BITS)
    addend_exponent = _exponent(c)
    invalid = _invalid(a, b, c, exponent)
    if not invalid:
        if addend_exponent == 255:
            return c
        if exponent >= 255 or _exponent(a) == 255 or _exponent(b) == 255:
            return u32(product_sign | _INFINITY)
    exponent = min(exponent, i32(255))
    if product == 0 or exponent < 0:
        if not invalid:
            return c if addend else u32(0)
        product, exponent = np.uint64(0), i32(0)
    top = max(exponent, addend_exponent)
    product = _shifted(product, top - exponent)
    addend = _shifted(addend, top - addend_exponent)
    return _sum(product, product_sign, top, addend, addend_sign, invalid)


@jit
def mad_lanes(a, b, c, target):
    """`mad` for flat arrays."""
    for i in range(a.size):
        target[i] = mad(a[i], b[i], c[i])
