"""L1 accumulation of the packer (`packer_l1_acc`): what was there plus what is packed.

Unlike everything else in the packer it rounds to nearest even. Source: ARITHMETIC.md
section 6.
"""

import numpy as np
from numpy.typing import NDArray

from dialects.formats import DataFormat, UnsupportedFormatError
from runtime.arithmetic.format_kernels import add_flushed
from runtime.arithmetic.formats import Values

_EXPONENT = np.uint32(0x7F80_0000)
_SIGN = np.uint32(0x8000_0000)
_NAN = np.uint32(0x7FC0_0000)

_DOUBLE_BIAS = 1023
_BF16_DROPPED = 45
"""Mantissa bits that a double has and a bf16 has not."""


def accumulate_l1(old: Values, packed: Values, fmt: DataFormat) -> Values:
    """The values of L1 after packing `packed` onto `old`, both of format `fmt`."""
    if fmt is DataFormat.FP32:
        return _add_fp32(np.ascontiguousarray(old), np.ascontiguousarray(packed))
    if fmt is not DataFormat.BF16:
        raise UnsupportedFormatError(
            "the packer accumulates in L1 in fp32 and bf16 only",
            value=fmt,
            advice="accumulate in fp32 and convert in the last pass",
        )
    old_bits = _flush(np.ascontiguousarray(old).view(np.uint32))
    new_bits = _flush(np.ascontiguousarray(packed).view(np.uint32))
    return _add_bf16(old_bits, new_bits).view(np.float32)


def _flush(bits: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Denormals become signed zero."""
    return np.where(bits & _EXPONENT, bits, bits & _SIGN)


def _add_fp32(old: Values, new: Values) -> Values:
    """IEEE sum, nearest even; one NaN pattern; denormals are zero."""
    total = np.empty_like(old)
    add_flushed(old.reshape(-1), new.reshape(-1), total.reshape(-1))
    return total


def _as_double(bits: NDArray[np.uint32]) -> NDArray[np.float64]:
    """The number of a pattern whose exponent 255 is an ordinary binade."""
    sign = np.where(bits & _SIGN, -1.0, 1.0)
    exponent = ((bits & _EXPONENT) >> np.uint32(23)).astype(np.int32)
    significand = (bits & np.uint32(0x7F_FFFF)) | np.uint32(0x80_0000)
    number = np.ldexp(significand.astype(np.float64), exponent - 150)
    return np.where(exponent > 0, sign * number, sign * 0.0)


def _add_bf16(old: NDArray[np.uint32], new: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Exact sum, rounded once to nearest even, by way of the bits of a double.

    The double sum loses only what lies 45 bits below a bf16 datum, which decides no
    tie. A NaN counts as the number its pattern is; an infinity swallows it.
    """
    sums = (_as_double(old) + _as_double(new)).view(np.uint64)
    odd = (sums >> np.uint64(_BF16_DROPPED)) & np.uint64(1)
    half = np.uint64((1 << (_BF16_DROPPED - 1)) - 1)
    rounded = (sums + half + odd) >> np.uint64(_BF16_DROPPED)
    exponent = ((rounded >> np.uint64(7)) & np.uint64(0x7FF)).astype(np.int64)
    exponent += 127 - _DOUBLE_BIAS
    sign = (sums >> np.uint64(32)).astype(np.uint32) & _SIGN
    mantissa = (rounded & np.uint64(127)).astype(np.uint32) << np.uint32(16)
    field = np.clip(exponent, 0, 255).astype(np.uint32) << np.uint32(23)
    result = sign | np.where(exponent > 0, field | mantissa, np.uint32(0))
    result = np.where(exponent >= 255, sign | _EXPONENT, result)
    return _settle_infinities(result, old, new)


def _settle_infinities(
    result: NDArray[np.uint32], old: NDArray[np.uint32], new: NDArray[np.uint32]
) -> NDArray[np.uint32]:
    """Sums with an infinite operand: that infinity, or NaN if they cancel."""
    old_infinite = (old & ~_SIGN) == _EXPONENT
    new_infinite = (new & ~_SIGN) == _EXPONENT
    result = np.where(old_infinite, old, result)
    result = np.where(new_infinite, new, result)
    return np.where(old_infinite & new_infinite & (old != new), _NAN, result)
