"""Instructions of the vector unit (SFPU) on 32-bit lanes.

All functions take and return uint32 patterns of any shape; operands broadcast. Loads
and stores convert: a bf16 Dst datum is loaded as the top half of a lane, `store` is
`formats.store_from_sfpu`. Sources: ARITHMETIC.md section 7, and the golden file
sfpu_ops_raw32 for each instruction.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from dialects.formats import DataFormat, DstMode
from runtime.arithmetic import format_kernels, sfpu_kernels
from runtime.arithmetic.formats import quantize_host, store_from_sfpu

Lanes: TypeAlias = NDArray[np.uint32]
Operand: TypeAlias = "Lanes | int"

_SIGN = np.uint32(0x8000_0000)
_MAGNITUDE = np.uint32(0x7FFF_FFFF)
_EXPONENT = np.uint32(0x7F80_0000)
_MANTISSA = np.uint32(0x007F_FFFF)
_HIDDEN = np.uint32(0x0080_0000)
_BIAS = np.uint32(127)
_ONE = 0x3F80_0000


def _lanes(operand: Operand) -> Lanes:
    return np.asarray(operand, dtype=np.uint32)


def mad(a: Operand, b: Operand, c: Operand) -> Lanes:
    """SFPMAD: a * b + c as fp32, with the hardware's own rounding and NaNs."""
    lanes = np.broadcast_arrays(_lanes(a), _lanes(b), _lanes(c))
    flat_a, flat_b, flat_c = (np.ascontiguousarray(x).reshape(-1) for x in lanes)
    target = np.empty(flat_a.size, dtype=np.uint32)
    sfpu_kernels.mad_lanes(flat_a, flat_b, flat_c, target)
    return target.reshape(lanes[0].shape)


def mul(a: Operand, b: Operand) -> Lanes:
    """SFPMUL: a * b + 0."""
    return mad(a, b, 0)


def add(b: Operand, c: Operand) -> Lanes:
    """SFPADD: 1.0 * b + c."""
    return mad(_ONE, b, c)


def mul_immediate(immediate: int, x: Operand) -> Lanes:
    """SFPMULI: a bf16 immediate times x."""
    return mad(immediate << 16, x, 0)


def add_immediate(immediate: int, x: Operand) -> Lanes:
    """SFPADDI: immediate * 1.0 + x, the immediate a bf16 pattern."""
    return mad(immediate << 16, _ONE, x)


def store_fp32(lanes: Lanes) -> Lanes:
    """SFPSTORE to a 32-bit Dst: denormals become signed zero."""
    stored = store_from_sfpu(lanes.view(np.float32), DstMode.FP32)
    return stored.view(np.uint32)


def round_to_bf16(lanes: Lanes) -> Lanes:
    """SFP_STOCH_RND fp32 -> bf16, deterministic: half away; exponent 255 -> inf."""
    flat = np.ascontiguousarray(lanes).reshape(-1)
    target = np.empty(flat.size, dtype=np.uint32)
    format_kernels.round_in_vector_unit(flat, target)
    return target.reshape(lanes.shape)


def round_to_bf16_even(lanes: Lanes) -> Lanes:
    """Nearest-even rounding to bf16 in software, as the vendor's multiply kernel does.

    Found by comparison: `ttnn.multiply` is `mul`, then this, in every bit.
    """
    values = quantize_host(lanes.view(np.float32), DataFormat.BF16)
    return values.view(np.uint32)


def round_to_integer(lanes: Lanes, *, bits: int, signed: bool) -> Lanes:
    """SFP_STOCH_RND fp32 -> integer: half away, saturating, sign and magnitude.

    Unsigned variants drop the sign.
    """
    exponent = ((lanes & _EXPONENT) >> np.uint32(23)).astype(np.int64)
    significand = ((lanes & _MANTISSA) | _HIDDEN).astype(np.int64)
    scale = np.clip(exponent - 127 - 22, -40, 30)  # one fraction bit is kept
    kept = np.where(scale >= 0, significand << np.maximum(scale, 0), 0)
    kept = np.where(scale < 0, significand >> np.maximum(-scale, 0), kept)
    limit = (1 << (bits - signed)) - 1
    rounded = np.minimum((kept + 1) >> 1, limit).astype(np.uint32)
    rounded = np.where(exponent >= 126, rounded, np.uint32(0))
    if not signed:
        return rounded
    return np.where(rounded > 0, rounded | (lanes & _SIGN), rounded)


def negate(lanes: Lanes) -> Lanes:
    """SFPMOV with complement: the sign bit flipped."""
    return lanes ^ _SIGN


def abs_int(lanes: Lanes) -> Lanes:
    """SFPABS of a two's complement integer."""
    return np.abs(lanes.view(np.int32)).view(np.uint32)


def abs_float(lanes: Lanes) -> Lanes:
    """SFPABS of a float; a negative NaN is left as it is."""
    magnitude = lanes & _MAGNITUDE
    return np.where(magnitude > _EXPONENT, lanes, magnitude)


def exponent_field(lanes: Lanes, *, debias: bool) -> Lanes:
    """SFPEXEXP: the exponent field as an integer, less 127 if `debias`."""
    field = (lanes & _EXPONENT) >> np.uint32(23)
    return field - _BIAS if debias else field


def mantissa_field(lanes: Lanes, *, hidden: bool) -> Lanes:
    """SFPEXMAN: the mantissa field, with the hidden bit or without."""
    field = lanes & _MANTISSA
    return field | _HIDDEN if hidden else field


def add_to_exponent(lanes: Lanes, amount: int) -> Lanes:
    """SFPDIVP2, add: the exponent field plus `amount`, modulo 256; 255 stays."""
    field = exponent_field(lanes, debias=False)
    moved = set_exponent(lanes, field + np.uint32(amount & 255))
    return np.where(field == 255, lanes, moved)


def set_exponent(lanes: Lanes, field: Operand) -> Lanes:
    """SFPSETEXP (and SFPDIVP2, set): the exponent field replaced, modulo 256."""
    shifted = (_lanes(field) & np.uint32(255)) << np.uint32(23)
    return (lanes & ~_EXPONENT) | shifted


def set_mantissa(lanes: Lanes, source: Operand) -> Lanes:
    """SFPSETMAN: the mantissa field replaced by that of `source`."""
    return (lanes & ~_MANTISSA) | (_lanes(source) & _MANTISSA)


def set_sign(lanes: Lanes, source: Operand) -> Lanes:
    """SFPSETSGN: the sign bit replaced by that of `source`."""
    return (lanes & _MAGNITUDE) | (_lanes(source) & _SIGN)


def cast_int_to_fp32(lanes: Lanes) -> Lanes:
    """SFPCAST: sign-magnitude integer to fp32, nearest even; keeps -0."""
    magnitude = (lanes & _MAGNITUDE).astype(np.float64).astype(np.float32)
    return magnitude.view(np.uint32) | (lanes & _SIGN)


def integer_add(a: Lanes, b: Operand) -> Lanes:
    """SFPIADD: two's complement sum."""
    return a + _lanes(b)


def integer_subtract(a: Lanes, b: Operand) -> Lanes:
    """SFPIADD with complement: two's complement a - b."""
    return a - _lanes(b)


def shift(lanes: Lanes, amount: int) -> Lanes:
    """SFPSHFT: left if positive, else logical right."""
    if amount >= 0:
        return lanes << np.uint32(amount)
    return lanes >> np.uint32(-amount)


def leading_zeros(lanes: Lanes) -> Lanes:
    """SFPLZ: leading zero bits, 32 for zero."""
    _, exponent = np.frexp(lanes.astype(np.float64))
    return (32 - exponent).astype(np.uint32)


def swap(a: Lanes, b: Lanes) -> tuple[Lanes, Lanes]:
    """SFPSWAP: (smaller, larger) in sign-magnitude order, -0 below +0."""
    signed_a, signed_b = a.view(np.int32), b.view(np.int32)
    key_a = np.where(signed_a < 0, signed_a ^ _MAGNITUDE.view(np.int32), signed_a)
    key_b = np.where(signed_b < 0, signed_b ^ _MAGNITUDE.view(np.int32), signed_b)
    first = key_a <= key_b
    return np.where(first, a, b), np.where(first, b, a)


def select_negative(condition: Lanes, taken: Operand, other: Operand) -> Lanes:
    """A predicated move: `taken` where the sign bit of `condition` is set."""
    negative = (condition & _SIGN) != 0
    return np.where(negative, _lanes(taken), _lanes(other))


def relu(lanes: Lanes) -> Lanes:
    """Zero where the sign bit is set."""
    return select_negative(lanes, 0, lanes)


def _decode_lut_byte(code: Lanes) -> Lanes:
    """SFPLUT coefficient s1 e3 m4: (-1)^s * 1.m * 2^-e; 0xFF is zero."""
    sign = (code & np.uint32(0x80)) << np.uint32(24)
    exponent = (_BIAS - ((code >> np.uint32(4)) & np.uint32(7))) << np.uint32(23)
    mantissa = (code & np.uint32(15)) << np.uint32(19)
    return np.where(code == 255, np.uint32(0), sign | exponent | mantissa)


def _decode_lut_half(codes: list[int]) -> Lanes:
    """SFPLUTFP32 coefficient: fp16 whose exponent 31 stands for exponent 0."""
    code = np.array(codes, dtype=np.uint32)
    sign = (code & np.uint32(0x8000)) << np.uint32(16)
    field = (code >> np.uint32(10)) & np.uint32(31)
    exponent = np.where(field == 31, np.uint32(0), field + np.uint32(112))
    mantissa = (code & np.uint32(0x3FF)) << np.uint32(13)
    return sign | (exponent << np.uint32(23)) | mantissa


def lut(x: Lanes, registers: tuple[int, int, int]) -> Lanes:
    """SFPLUT, retaining the sign: slope * |x| + offset, three pieces at 1 and 2.

    Bits 15:8 of a register are the slope's code, bits 7:0 the offset's.
    """
    magnitude = x & _MAGNITUDE
    piece = (magnitude >= _ONE).astype(int) + (magnitude >= 0x4000_0000)
    words = np.asarray(registers, dtype=np.uint32)
    slopes = _decode_lut_byte((words >> np.uint32(8)) & np.uint32(255))
    offsets = _decode_lut_byte(words & np.uint32(255))
    return set_sign(mad(slopes[piece], magnitude, offsets[piece]), x)


_LUT_FP32_BREAKS = np.array([0.5, 1.0, 1.5, 2.0, 3.0], dtype=np.float32)


def lut_fp32(x: Lanes, slopes: list[int], offsets: list[int]) -> Lanes:
    """SFPLUTFP32 with six pieces of |x|, fp16 coefficients; the sign is not kept."""
    magnitude = x & _MAGNITUDE
    breaks = _LUT_FP32_BREAKS.view(np.uint32)
    piece = np.searchsorted(breaks, magnitude, side="right")
    slope, offset = _decode_lut_half(slopes), _decode_lut_half(offsets)
    return mad(slope[piece], magnitude, offset[piece])
