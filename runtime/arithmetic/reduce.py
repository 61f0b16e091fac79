"""Reductions of one tile: sum, average and maximum over rows, columns or all of it.

Operands are values as source registers hold them. Results are Dst tiles as the packer's
edge masks let them through: row 0, column 0 or datum [0, 0], zero elsewhere. Source:
ARITHMETIC.md section 5.
"""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from dialects.formats import FACE_EDGE, DstMode, Fidelity
from runtime.arithmetic.eltwise import add
from runtime.arithmetic.formats import Values, bits_of, truncate_fidelity
from runtime.arithmetic.matmul import pool
from runtime.arithmetic.tiles import to_faces

_BF16_BITS = 8
_TF32_BITS = 11


class ReduceKind(StrEnum):
    """What is computed; an average is a sum whose scaler is the reciprocal count."""

    SUM = "sum"
    AVG = "avg"
    MAX = "max"


class ReduceDim(StrEnum):
    """What the result is: a column (of row sums), a row, or a single datum."""

    ROW = "row"
    COL = "col"
    SCALAR = "scalar"


def _columns_of(tiles: Values) -> Values:
    """Tiles [N, 32, 32] side by side, [32, N * 32]."""
    return np.swapaxes(tiles, 0, 1).reshape(tiles.shape[1], -1)


def _faces_stacked(tiles: Values) -> Values:
    """Tiles [N, 32, 32], their four faces below each other, [64, N * 16]."""
    faces = to_faces(tiles).reshape(-1, 4 * FACE_EDGE, FACE_EDGE)
    return np.swapaxes(faces, 0, 1).reshape(4 * FACE_EDGE, -1)


def _through_srcb(row: Values) -> Values:
    """A Dst row moved to SrcB: cut to bf16 in both Dst modes."""
    return truncate_fidelity(row, _BF16_BITS)


def _pool_sum(
    data: Values, scaler: float, *, fidelity: Fidelity, dst: DstMode
) -> Values:
    """Row [N] of scaled column sums of [K, N], face after face."""
    scalers = np.full((1, data.shape[0]), scaler, dtype=np.float32)
    return pool(scalers, data, fidelity=fidelity, dst=dst)[0]


def _pool_max(data: Values, *, dst: DstMode) -> Values:
    """Row [N] of column maxima of [K, N] in sign-magnitude order (GMPOOL).

    Dst is read back as tf32 (bf16) by the next face, which changes nothing that
    came from a source register.
    """
    bits = bits_of(data).reshape(data.shape)
    flushed = np.where(bits & np.uint32(0x7F80_0000), bits, np.uint32(0))
    largest = np.max(_order_key(flushed), axis=0)
    row = _order_key_inverse(largest).view(np.float32)
    kept = _BF16_BITS if dst is DstMode.BF16 else _TF32_BITS
    return truncate_fidelity(row, kept)


def _order_key(bits: NDArray[np.uint32]) -> NDArray[np.int32]:
    """Signed integers that sort as sign-magnitude patterns do, -0 below +0."""
    signed = bits.view(np.int32)
    return np.where(signed < 0, signed ^ np.int32(0x7FFF_FFFF), signed)


def _order_key_inverse(key: NDArray[np.int32]) -> NDArray[np.uint32]:
    return _order_key(key.view(np.uint32)).view(np.uint32)


def reduce_tile(
    tiles: Values,
    kind: ReduceKind,
    dim: ReduceDim,
    *,
    scaler: float,
    dst: DstMode,
    fidelity: Fidelity = Fidelity.HIFI4,
) -> Values:
    """Dst tiles [N, 32, 32] of tiles [N, 32, 32], each reduced by itself.

    `scaler` is the bf16 number in the scaler tile: one for sums and maxima, the
    reciprocal count for averages; a scalar sum or average applies it twice.
    """

    def pooled(data: Values) -> Values:
        if kind is ReduceKind.MAX:
            return _pool_max(data, dst=dst)
        return _pool_sum(data, scaler, fidelity=fidelity, dst=dst)

    out = np.zeros(tiles.shape, dtype=np.float32)
    count = tiles.shape[0]
    zero = np.zeros(1, dtype=np.float32)
    if dim is ReduceDim.COL:
        out[:, 0, :] = pooled(_columns_of(tiles)).reshape(count, -1)
    elif dim is ReduceDim.ROW:
        row = pooled(_columns_of(np.swapaxes(tiles, -2, -1)))
        moved = add(zero, _through_srcb(row), dst=dst)
        out[:, :, 0] = moved.reshape(count, -1)
    else:
        row = _through_srcb(pooled(_faces_stacked(tiles)))
        column = np.ascontiguousarray(row.reshape(count, FACE_EDGE).T)
        out[:, 0, 0] = pooled(column)
    return out
