"""Conversions between values in Dst, values in L1 and operands of the matrix unit.

A value is a float32 whose *pattern* says what the datum is: bf16 occupies the top
half, a block-float datum its magnitude under the shared exponent. Patterns are moved,
never computed with, so NaNs, and the exponent 255 that is an ordinary binade to the
matrix unit, survive. Arrays may have any shape; the 16 datums that share an exponent
lie along the last axis, which is therefore a multiple of 16 for block floats.

Sources: shared/golden ARITHMETIC.md sections 1, 6 and 7; wormhole.md section 3.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from dialects.formats import (
    BLOCK_ELEMENTS,
    DataFormat,
    DstMode,
    Fidelity,
    UnsupportedFormatError,
)
from runtime.arithmetic import format_kernels as kernels

Values = NDArray[np.float32]

_TF32_MASK = np.uint32(0xFFFF_E000)
_BF16_MASK = np.uint32(0xFFFF_0000)
_ALL_BITS = np.uint32(0xFFFF_FFFF)
_RELU_FP32_MASK = np.uint32(0x7FFF_E000)


class ReluMode(IntEnum):
    """The packer's ReLU modes, numbered as in its configuration register."""

    OFF = 0
    ZERO = 1
    MIN_THRESHOLD = 2
    MAX_THRESHOLD = 3


@dataclass(frozen=True)
class Relu:
    """What the packer does to negative and to large values.

    `threshold` is a non-negative bf16 number; it is cut to bf16.
    """

    mode: ReluMode = ReluMode.OFF
    threshold: float = 0.0


NO_RELU = Relu()


def bits_of(values: Values) -> NDArray[np.uint32]:
    """The patterns of float32 values, flat and contiguous; a view where possible."""
    flat = np.ascontiguousarray(values, dtype=np.float32).reshape(-1)
    return flat.view(np.uint32)


def _prepare(values: Values, out: Values | None) -> tuple[Values, NDArray[np.uint32]]:
    """The result array and its flat patterns; `out` must be contiguous float32."""
    if out is None:
        out = np.empty(values.shape, dtype=np.float32)
    contiguous = out.flags.c_contiguous and out.dtype == np.float32
    if not contiguous or out.shape != values.shape:
        raise ValueError(
            f"out must be a contiguous float32 array of shape {values.shape}; "
            f"it is {out.dtype} of shape {out.shape}"
        )
    return out, out.reshape(-1).view(np.uint32)


def _magnitude_bits(fmt: DataFormat) -> int:
    """Bits of a block-float magnitude: 7 or 3."""
    return fmt.bits - 1


def _check_float(fmt: DataFormat, *, purpose: str) -> None:
    if fmt.is_integer:
        raise UnsupportedFormatError(
            f"{purpose} is arithmetic on floats",
            value=fmt,
            advice="move integer datums; they are not converted",
        )


def _check_blocks(values: Values, fmt: DataFormat) -> None:
    if fmt.is_block_float and values.shape[-1] % BLOCK_ELEMENTS:
        raise ValueError(
            f"{fmt} shares an exponent per {BLOCK_ELEMENTS} datums of a row; the last "
            f"axis of {values.shape} is not a multiple of {BLOCK_ELEMENTS}"
        )


def pack_source(fmt: DataFormat, dst: DstMode, *, precise: bool = False) -> DataFormat:
    """The packer's intermediate format that tt-metal selects for an L1 format.

    `precise` is `bfp8_pack_precise`: a block float is rounded once, not twice.
    """
    _check_float(fmt, purpose="pack")
    widest = DataFormat.FP32 if dst is DstMode.FP32 else DataFormat.BF16
    if fmt.is_block_float:
        return widest if precise else DataFormat.BFP8_B
    return widest if fmt is DataFormat.FP32 else DataFormat.BF16


def pack(
    values: Values,
    fmt: DataFormat,
    *,
    dst: DstMode = DstMode.FP32,
    precise: bool = False,
    source: DataFormat | None = None,
    relu: Relu = NO_RELU,
    out: Values | None = None,
) -> Values:
    """Values of Dst as the packer leaves them in L1 in format `fmt`.

    `values` are representable in `dst` (see `round_to_dst`). `source` overrides the
    intermediate format of `pack_source`. `out` may be `values`.
    """
    _check_blocks(values, fmt)
    source = source or pack_source(fmt, dst, precise=precise)
    out, target = _prepare(values, out)
    convert_early(bits_of(values), source, dst, relu=relu, target=target)
    if fmt.is_block_float:
        codes, exponents = _block_codes(target, fmt)
        kernels.block_patterns(codes, exponents, target)
    return out


def convert_early(
    bits: NDArray[np.uint32],
    source: DataFormat,
    dst: DstMode,
    *,
    relu: Relu,
    target: NDArray[np.uint32],
) -> None:
    """Dst patterns to the packer's intermediate format, ReLU included."""
    if source is DataFormat.FP32 and dst is DstMode.FP32:
        if target is not bits:
            target[...] = bits
    elif source is DataFormat.BFP8_B:
        kernels.round_to_bfp8_source(bits, target)
    elif source is DataFormat.BF16 and dst is DstMode.FP32:
        kernels.round_to_bf16(bits, target)
    elif source is DataFormat.BF16:
        kernels.clean_bf16(bits, target)
    else:
        raise UnsupportedFormatError(
            "the packer cannot read this Dst as this intermediate format",
            limit="bf16 and bfp8_b from both Dst modes, fp32 from a fp32 Dst",
            value=f"{source} from a {dst} Dst",
        )
    if relu.mode is not ReluMode.OFF:
        narrow = relu.mode is ReluMode.MAX_THRESHOLD and source is DataFormat.FP32
        mask = _RELU_FP32_MASK if narrow else np.uint32(0x7FFF_FFFF)
        threshold = np.float32(relu.threshold).view(np.uint32) & _BF16_MASK
        kernels.relu_on_bits(target, target, int(relu.mode), threshold, mask)


def _block_codes(
    bits: NDArray[np.uint32], fmt: DataFormat
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Aligned codes and shared exponents that the packer assembles."""
    codes = np.empty(bits.size, dtype=np.uint8)
    exponents = np.empty(bits.size // BLOCK_ELEMENTS, dtype=np.uint8)
    width = np.uint32(_magnitude_bits(fmt))
    kernels.device_blocks(bits, width, codes, exponents)
    return codes, exponents


def quantize_host(
    values: Values, fmt: DataFormat, *, out: Values | None = None
) -> Values:
    """Values as the host tool stores them in `fmt`: nearest even everywhere."""
    _check_float(fmt, purpose="quantize_host")
    _check_blocks(values, fmt)
    out, target = _prepare(values, out)
    bits = bits_of(values)
    if fmt is DataFormat.FP32:
        target[...] = bits
    elif fmt is DataFormat.BF16:
        kernels.round_half_even_to_bf16(bits, target)
    else:
        codes = np.empty(bits.size, dtype=np.uint8)
        exponents = np.empty(bits.size // BLOCK_ELEMENTS, dtype=np.uint8)
        width = np.uint32(_magnitude_bits(fmt))
        kernels.host_blocks(bits, width, codes, exponents)
        kernels.block_patterns(codes, exponents, target)
    return out


def unpack_to_src(
    values: Values,
    fmt: DataFormat,
    *,
    dst: DstMode = DstMode.FP32,
    out: Values | None = None,
) -> Values:
    """Values of L1 as a source register of the matrix unit holds them.

    fp32 is truncated to tf32 (32-bit Dst) or bf16; bf16 is exact; a block float is
    normalised, with the exponent wrapping below zero. Every unit behind a source
    register reads exponent 0 as +0, so such datums are +0 here.
    """
    _check_float(fmt, purpose="unpack_to_src")
    out, target = _prepare(values, out)
    bits = bits_of(values)
    if fmt.is_block_float:
        kernels.read_block_patterns(bits, target)
        return out
    wide = fmt is DataFormat.FP32 and dst is DstMode.FP32
    kernels.mask_and_flush(bits, target, _TF32_MASK if wide else _BF16_MASK)
    return out


def truncate_fidelity(
    values: Values, significant_bits: int, *, out: Values | None = None
) -> Values:
    """The leading `significant_bits` (hidden bit included) of every value."""
    out, target = _prepare(values, out)
    mask = np.uint32((0xFFFF_FFFF << (24 - significant_bits)) & 0xFFFF_FFFF)
    kernels.mask_and_flush(bits_of(values), target, mask)
    return out


def fidelity_operands(
    in0: Values, in1: Values, fidelity: Fidelity
) -> tuple[Values, Values]:
    """Matmul operands cut to the bits that the phases of `fidelity` read.

    One fp32 product of them stands for the phases in `fast` numerics. Operands
    that lose nothing in bf16 are returned as they are.
    """
    in1_bits, in0_bits = fidelity.significant_bits
    if in0_bits < 8:
        in0 = truncate_fidelity(in0, in0_bits)
    if in1_bits < 8:
        in1 = truncate_fidelity(in1, in1_bits)
    return in0, in1


def round_to_dst(values: Values, dst: DstMode, *, out: Values | None = None) -> Values:
    """fp32 results of the matrix unit as Dst holds them: half away to bf16."""
    out, target = _prepare(values, out)
    if dst is DstMode.BF16:
        kernels.round_to_bf16(bits_of(values), target)
    else:
        kernels.mask_and_flush(bits_of(values), target, _ALL_BITS)
    return out


def store_from_sfpu(
    values: Values,
    dst: DstMode,
    *,
    rounded: bool = False,
    out: Values | None = None,
) -> Values:
    """fp32 lanes of the vector unit as SFPSTORE leaves them in Dst.

    bf16 Dst truncates; `rounded` is a kernel that rounds half away before it.
    """
    out, target = _prepare(values, out)
    bits = bits_of(values)
    if rounded and dst is DstMode.BF16:
        kernels.round_in_vector_unit(bits, target)
        bits = target
    mask = _BF16_MASK if dst is DstMode.BF16 else _ALL_BITS
    kernels.store_from_vector_unit(bits, target, mask)
    return out


def bf16_to_float32(datums: NDArray[np.uint16], *, out: Values | None = None) -> Values:
    """Raw bf16 datums (uint16) as float32 values, any shape."""
    if out is None:
        out = np.empty(datums.shape, dtype=np.float32)
    flat = np.ascontiguousarray(datums).reshape(-1)
    kernels.widen_bf16(flat, out.reshape(-1).view(np.uint32))
    return out


def float32_to_bf16(
    values: Values, *, out: NDArray[np.uint16] | None = None
) -> NDArray[np.uint16]:
    """Raw bf16 datums of values that are representable (others are truncated)."""
    if out is None:
        out = np.empty(values.shape, dtype=np.uint16)
    kernels.narrow_bf16(bits_of(values), out.reshape(-1))
    return out
