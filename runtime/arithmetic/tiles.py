"""Raw bytes of tiles in L1 and DRAM, and block floats as codes and exponents.

Layouts: golden README.md "Common conventions"; wormhole.md section 3.2.
"""

import numpy as np
from numpy.typing import NDArray

from dialects.formats import (
    BLOCK_ELEMENTS,
    EXPONENT_SECTION_BYTES,
    FACE_EDGE,
    TILE_EDGE,
    DataFormat,
    DstMode,
)
from runtime.arithmetic import format_kernels as kernels
from runtime.arithmetic.formats import (
    NO_RELU,
    Relu,
    Values,
    bf16_to_float32,
    bits_of,
    convert_early,
    float32_to_bf16,
    pack_source,
)

Bytes = NDArray[np.uint8]

_BLOCKS_PER_ROW = TILE_EDGE // BLOCK_ELEMENTS

_INTEGER_DTYPES = {
    DataFormat.INT32: np.int32,
    DataFormat.UINT32: np.uint32,
    DataFormat.UINT16: np.uint16,
    DataFormat.UINT8: np.uint8,
}


def to_faces(tiles: NDArray) -> NDArray:
    """Tiles [..., 32, 32] as datums in face order, [..., 1024]."""
    lead = tiles.shape[:-2]
    split = tiles.reshape(*lead, 2, FACE_EDGE, 2, FACE_EDGE)
    return np.swapaxes(split, -3, -2).reshape(*lead, -1)


def from_faces(datums: NDArray) -> NDArray:
    """Datums in face order [..., 1024] as tiles [..., 32, 32]."""
    lead = datums.shape[:-1]
    split = datums.reshape(*lead, 2, 2, FACE_EDGE, FACE_EDGE)
    return np.swapaxes(split, -3, -2).reshape(*lead, TILE_EDGE, TILE_EDGE)


def _exponents_to_faces(exponents: Bytes) -> Bytes:
    """Shared exponents [..., 32, 2] in face order, [..., 64]."""
    lead = exponents.shape[:-2]
    split = exponents.reshape(*lead, 2, FACE_EDGE, _BLOCKS_PER_ROW)
    return np.swapaxes(split, -2, -1).reshape(*lead, EXPONENT_SECTION_BYTES)


def _exponents_from_faces(section: Bytes) -> Bytes:
    """Exponent bytes in face order [..., 64] as [..., 32, 2]."""
    lead = section.shape[:-1]
    split = section.reshape(*lead, 2, _BLOCKS_PER_ROW, FACE_EDGE)
    return np.swapaxes(split, -2, -1).reshape(*lead, TILE_EDGE, _BLOCKS_PER_ROW)


def _codes_of(
    bits: NDArray[np.uint32], shape: tuple[int, ...], fmt: DataFormat
) -> tuple[Bytes, Bytes]:
    """Codes of the format's width and exponents; the last axis is cut in blocks."""
    aligned = np.empty(bits.size, dtype=np.uint8)
    exponents = np.empty(bits.size // BLOCK_ELEMENTS, dtype=np.uint8)
    kernels.device_blocks(bits, np.uint32(fmt.bits - 1), aligned, exponents)
    codes = aligned >> np.uint8(8 - fmt.bits)
    blocks = (*shape[:-1], shape[-1] // BLOCK_ELEMENTS)
    return codes.reshape(shape), exponents.reshape(blocks)


def pack_codes(
    values: Values,
    fmt: DataFormat,
    *,
    dst: DstMode = DstMode.FP32,
    precise: bool = False,
    source: DataFormat | None = None,
    relu: Relu = NO_RELU,
) -> tuple[Bytes, Bytes]:
    """As `formats.pack`: codes [..., C] and exponents [..., C/16] of a block float."""
    source = source or pack_source(fmt, dst, precise=precise)
    bits = np.empty(values.size, dtype=np.uint32)
    convert_early(bits_of(values), source, dst, relu=relu, target=bits)
    return _codes_of(bits, values.shape, fmt)


def codes_to_values(codes: Bytes, exponents: Bytes, fmt: DataFormat) -> Values:
    """Values of codes [..., C] under exponents [..., C/16]."""
    out = np.empty(codes.shape, dtype=np.float32)
    aligned = np.ascontiguousarray(codes << np.uint8(8 - fmt.bits)).reshape(-1)
    flat = np.ascontiguousarray(exponents).reshape(-1)
    kernels.block_patterns(aligned, flat, out.reshape(-1).view(np.uint32))
    return out


def codes_to_numbers(codes: Bytes, exponents: Bytes, fmt: DataFormat) -> Values:
    """What a host reads: as `codes_to_values`, but from 2^128 on it is infinity."""
    values = codes_to_values(codes, exponents, fmt)
    infinite = np.copysign(np.float32(np.inf), values)
    exceeds = (values.view(np.uint32) & np.uint32(0x7F80_0000)) == 0x7F80_0000
    return np.where(exceeds, infinite, values)


def join_blocks(codes: Bytes, exponents: Bytes, fmt: DataFormat) -> Bytes:
    """Bytes [..., tile_bytes] of codes [..., 32, 32] and exponents [..., 32, 2]."""
    data = to_faces(codes)
    if fmt is DataFormat.BFP4_B:  # low nibble first
        data = data[..., 0::2] | (data[..., 1::2] << np.uint8(4))
    return np.concatenate([_exponents_to_faces(exponents), data], axis=-1)


def split_blocks(raw: Bytes, fmt: DataFormat) -> tuple[Bytes, Bytes]:
    """Codes [..., 32, 32] and exponents [..., 32, 2] of bytes [..., tile_bytes]."""
    exponents = _exponents_from_faces(raw[..., :EXPONENT_SECTION_BYTES])
    data = raw[..., EXPONENT_SECTION_BYTES:]
    if fmt is DataFormat.BFP4_B:
        nibbles = np.stack([data & np.uint8(15), data >> np.uint8(4)], axis=-1)
        data = nibbles.reshape(*data.shape[:-1], -1)
    return from_faces(data), exponents


def encode_tiles(values: NDArray, fmt: DataFormat) -> Bytes:
    """Bytes [..., tile_bytes] of values [..., 32, 32] that `fmt` represents.

    Integer formats take integer arrays, the others float32.
    """
    if fmt.is_block_float:
        codes, exponents = _codes_of(bits_of(values), values.shape, fmt)
        return join_blocks(codes, exponents, fmt)
    if fmt is DataFormat.BF16:
        values = float32_to_bf16(values)
    elif fmt.is_integer:
        values = values.astype(_INTEGER_DTYPES[fmt])
    datums = np.ascontiguousarray(to_faces(values))
    return datums.view(np.uint8)


def decode_tiles(raw: Bytes, fmt: DataFormat) -> NDArray:
    """Values [..., 32, 32] of bytes [..., tile_bytes]; see `formats` on patterns."""
    raw = np.ascontiguousarray(raw)
    if fmt.is_block_float:
        codes, exponents = split_blocks(raw, fmt)
        return codes_to_values(codes, exponents, fmt)
    if fmt is DataFormat.BF16:
        return bf16_to_float32(from_faces(raw.view(np.uint16)))
    dtype = np.float32 if fmt is DataFormat.FP32 else _INTEGER_DTYPES[fmt]
    return np.ascontiguousarray(from_faces(raw.view(dtype)))
