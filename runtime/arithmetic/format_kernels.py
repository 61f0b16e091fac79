"""Compiled loops of the format conversions, on flat arrays of 32-bit patterns.

Each loop is plain data-parallel integer code, which LLVM turns into vector code as
long as the arrays are flat and contiguous. `formats` is the public face.
"""

import numba
import numpy as np

SIGN = np.uint32(0x8000_0000)
MAGNITUDE = np.uint32(0x7FFF_FFFF)
EXPONENT = np.uint32(0x7F80_0000)
"""The exponent field; as a number it is the pattern of infinity."""

MANTISSA = np.uint32(0x007F_FFFF)
TOP_HALF = np.uint32(0xFFFF_0000)
HIDDEN = np.uint32(0x0080_0000)
ZERO = np.uint32(0)
NOTHING, LEAST_NORMAL = np.float32(0), np.float32(2.0**-126)
NOT_A_NUMBER = np.array([0x7FC0_0000], np.uint32).view(np.float32)[0]

jit = numba.njit(cache=True, error_model="numpy", nogil=True)


@jit
def round_to_bf16(source, target):
    """Early conversion fp32 -> bf16: half away; NaN -> inf, then exponent 0 -> +0."""
    for i in range(source.size):
        bits = source[i]
        rounded = np.uint32((bits + np.uint32(0x8000)) & TOP_HALF)
        if (bits & MAGNITUDE) > EXPONENT:
            rounded = np.uint32((bits & SIGN) | EXPONENT)
        if (rounded & EXPONENT) == ZERO:
            rounded = ZERO
        target[i] = rounded


@jit
def round_to_bfp8_source(source, target):
    """Early conversion to the packer's 'bfp8' intermediate: six mantissa bits.

    The value is cut to bf16 first, then rounded half away (ARITHMETIC.md section 6).
    """
    for i in range(source.size):
        bits = source[i]
        rounded = np.uint32(((bits & TOP_HALF) + np.uint32(0x1_0000)) & 0xFFFE_0000)
        if (bits & MAGNITUDE) > EXPONENT:
            rounded = np.uint32((bits & SIGN) | EXPONENT)
        if (rounded & EXPONENT) == ZERO:
            rounded = ZERO
        target[i] = rounded


@jit
def clean_bf16(source, target):
    """bf16 datums through the packer: NaN -> inf, exponent 0 -> +0."""
    for i in range(source.size):
        bits = np.uint32(source[i] & TOP_HALF)
        if (bits & MAGNITUDE) > EXPONENT:
            bits = np.uint32((bits & SIGN) | EXPONENT)
        if (bits & EXPONENT) == ZERO:
            bits = ZERO
        target[i] = bits


@jit
def round_half_even_to_bf16(source, target):
    """Host conversion fp32 -> bf16: nearest even; NaN stays a NaN."""
    for i in range(source.size):
        bits = source[i]
        odd = np.uint32((bits >> np.uint32(16)) & np.uint32(1))
        rounded = np.uint32((bits + np.uint32(0x7FFF) + odd) & TOP_HALF)
        if (bits & MAGNITUDE) > EXPONENT:
            rounded = np.uint32((bits & TOP_HALF) | np.uint32(0x0040_0000))
        target[i] = rounded


@jit
def relu_on_bits(source, target, mode, threshold, compare_mask):
    """Packer ReLU on intermediate bits (ARITHMETIC.md section 6).

    Mode 1 zeroes negatives, mode 2 also what is not above `threshold`, mode 3
    clamps to it; only the bits of `compare_mask` take part in the comparison.
    """
    for i in range(source.size):
        bits = source[i]
        above = (bits & compare_mask) > threshold
        if mode == 2 and not above:
            bits = ZERO
        if mode == 3 and above:
            bits = threshold
        if (source[i] & SIGN) != ZERO:
            bits = ZERO
        target[i] = bits


@jit
def _shared_exponents(block):
    """Largest exponent field of 16 patterns."""
    shared = ZERO
    for k in range(16):
        shared = max(shared, np.uint32((block[k] >> np.uint32(23)) & np.uint32(255)))
    return shared


@jit
def _device_magnitude(bits, shared):
    """Seven-bit magnitude of a bf16 pattern under a shared exponent, half away."""
    exponent = np.uint32((bits >> np.uint32(23)) & np.uint32(255))
    significand = np.uint32(((bits >> np.uint32(16)) & np.uint32(127)) | np.uint32(128))
    if exponent == ZERO:
        significand = ZERO
    shift = np.uint32(min(np.uint32(shared - exponent), np.uint32(9)))
    half = np.uint32(np.uint32(1) << shift)
    rounded = np.uint32((significand + half) >> np.uint32(shift + np.uint32(1)))
    return np.uint32(min(rounded, np.uint32(127)))


@jit
def _host_magnitude(bits, shared, width):
    """Magnitude of `width` bits by the host's rule: cut to 24 bits, nearest even."""
    exponent = np.uint32((bits >> np.uint32(23)) & np.uint32(255))
    shift = np.uint32(min(np.uint32(shared - exponent), np.uint32(31)))
    significand = np.uint32(((bits & MANTISSA) | HIDDEN) >> shift)
    if (bits & MAGNITUDE) == ZERO:
        significand = ZERO
    drop = np.uint32(np.uint32(24) - width)
    odd = np.uint32((significand >> drop) & np.uint32(1))
    half = np.uint32(np.uint32(1) << np.uint32(drop - np.uint32(1)))
    rounded = np.uint32((significand + half - np.uint32(1) + odd) >> drop)
    top = np.uint32((np.uint32(1) << width) - np.uint32(1))
    return np.uint32(np.uint32(min(rounded, top)) << np.uint32(np.uint32(7) - width))


@jit
def device_blocks(source, width, codes, exponents):
    """Block-float assembly of the packer, 16 datums a block.

    `codes` receives sign and magnitude, aligned to 8 bits (the magnitude of a
    narrower format has zero low bits); `width` is the magnitude's, 7 or 3.
    """
    keep = np.uint32(0x7F << (7 - width)) & np.uint32(127)
    for b in range(exponents.size):
        block = source[b * 16 : b * 16 + 16]
        out = codes[b * 16 : b * 16 + 16]
        shared = _shared_exponents(block)
        exponents[b] = np.uint8(shared)
        for k in range(16):
            magnitude = np.uint32(_device_magnitude(block[k], shared) & keep)
            sign = np.uint32((block[k] >> np.uint32(24)) & np.uint32(128))
            out[k] = np.uint8(magnitude | sign if magnitude else ZERO)


@jit
def host_blocks(source, width, codes, exponents):
    """As `device_blocks`, by the host tool's rule (wormhole.md section 3.5).

    Like the host tool it reads a denormal as if it had a hidden bit.
    """
    for b in range(exponents.size):
        block = source[b * 16 : b * 16 + 16]
        out = codes[b * 16 : b * 16 + 16]
        shared = _shared_exponents(block)
        exponents[b] = np.uint8(shared)
        for k in range(16):
            magnitude = _host_magnitude(block[k], shared, width)
            sign = np.uint32((block[k] >> np.uint32(24)) & np.uint32(128))
            out[k] = np.uint8(magnitude | sign if magnitude else ZERO)


@jit
def _block_scale(shared):
    """2^(shared - 133) as fp32, the value of a magnitude of one; denormal below 7."""
    if shared > 6:
        return np.uint32((shared - 6) << 23).view(np.float32)
    return np.uint32(1 << (shared + 16)).view(np.float32)


@jit
def block_patterns(codes, exponents, target):
    """Patterns of aligned codes: code magnitude * 2^(exponent - 133).

    A block whose exponent is 255 yields patterns of that binade, not infinities; a
    sign without magnitude (no packer makes it) yields the pattern of -0.
    """
    for b in range(exponents.size):
        code = codes[b * 16 : b * 16 + 16]
        out = target[b * 16 : b * 16 + 16]
        shared = np.int32(exponents[b])
        scale = _block_scale(min(shared, np.int32(254)))
        bump = HIDDEN if shared == 255 else ZERO
        for k in range(16):
            value = np.float32(np.float32(code[k] & np.uint8(127)) * scale)
            bits = value.view(np.uint32)
            bits = np.uint32(bits + bump if bits else ZERO)
            out[k] = np.uint32(bits | (np.uint32(code[k] & np.uint8(128)) << 24))


@jit
def read_block_patterns(source, target):
    """What the unpacker makes of block-float patterns (ARITHMETIC.md section 1).

    It normalises by leading zeros and lets the exponent wrap below zero; a sign
    without magnitude becomes -inf. Exponent 0 is left as +0, as every unit reads it.
    """
    for i in range(source.size):
        bits = source[i]
        target[i] = bits
        if (bits & EXPONENT) == ZERO:
            target[i] = _wrapped(bits)


@jit
def _wrapped(bits):
    """Unpacked pattern of a block-float datum whose exponent is not positive."""
    magnitude = np.uint32(bits & MANTISSA)
    if bits == SIGN:
        return np.uint32(0xFF80_0000)
    exponent = np.int32(1)
    while magnitude != ZERO and magnitude < HIDDEN:
        magnitude = np.uint32(magnitude << np.uint32(1))
        exponent -= np.int32(1)
    if magnitude == ZERO or exponent == 0:
        return ZERO
    field = np.uint32((exponent & np.int32(255)) << np.int32(23))
    return np.uint32((bits & SIGN) | field | (magnitude & MANTISSA))


@jit
def mask_and_flush(source, target, mask):
    """Keep the bits of `mask`; datums with exponent 0 become +0."""
    for i in range(source.size):
        bits = np.uint32(source[i] & mask)
        target[i] = bits if (bits & EXPONENT) != ZERO else ZERO


@jit
def store_from_vector_unit(source, target, mask):
    """SFPSTORE: denormals become signed zero, then the bits of `mask` remain."""
    for i in range(source.size):
        bits = source[i]
        kept = np.uint32(bits & mask)
        target[i] = kept if (bits & EXPONENT) != ZERO else np.uint32(bits & SIGN)


@jit
def round_in_vector_unit(source, target):
    """Deterministic SFP_STOCH_RND to bf16: half away; exponent 0 -> +0, 255 -> inf."""
    for i in range(source.size):
        bits = source[i]
        rounded = np.uint32((bits + np.uint32(0x8000)) & TOP_HALF)
        if (bits & EXPONENT) == EXPONENT:
            rounded = np.uint32((bits & SIGN) | EXPONENT)
        if (bits & EXPONENT) == ZERO:
            rounded = ZERO
        target[i] = rounded


@jit
def widen_bf16(source, target):
    """bf16 datums (16 bits) to patterns: append 16 zero bits."""
    for i in range(source.size):
        target[i] = np.uint32(np.uint32(source[i]) << np.uint32(16))


@jit
def narrow_bf16(source, target):
    """Top halves of patterns."""
    for i in range(source.size):
        target[i] = np.uint16(source[i] >> np.uint32(16))


@jit
def add_flushed(old, new, total):
    """Sums of float32, nearest even: denormals count as zero, one pattern of NaN."""
    for i in range(old.size):
        left, right = old[i], new[i]
        if abs(left) < LEAST_NORMAL:
            left = np.copysign(NOTHING, left)
        if abs(right) < LEAST_NORMAL:
            right = np.copysign(NOTHING, right)
        result = left + right
        if abs(result) < LEAST_NORMAL:
            result = np.copysign(NOTHING, result)
        total[i] = result if result == result else NOT_A_NUMBER
