"""Reductions of tiles: sum, average and maximum over rows, columns or all of it.

Operands are values as source registers hold them. Results are Dst tiles as the packer's
edge masks let them through: row 0, column 0 or datum [0, 0], zero elsewhere. Source:
ARITHMETIC.md section 5.
"""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from dialects.formats import FACE_EDGE, TILE_EDGE, DstMode, Fidelity
from runtime.arithmetic.eltwise import add
from runtime.arithmetic.formats import Values, bits_of, truncate_fidelity
from runtime.arithmetic.matmul import matmul, pool
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
    """Tiles [N, T, 32, 32]: T below each other, N side by side, [T * 32, N * 32]."""
    return tiles.transpose(1, 2, 0, 3).reshape(-1, tiles.shape[0] * TILE_EDGE)


def _rows_of(tiles: Values) -> Values:
    """Tiles [N, T, 32, 32], each transposed, as `_columns_of`."""
    return _columns_of(np.swapaxes(tiles, -2, -1))


def _faces_of(tiles: Values) -> Values:
    """Faces of tiles [N, T, 32, 32] below each other, [T * 64, N * 16]."""
    faces = to_faces(tiles).reshape(tiles.shape[0], -1, FACE_EDGE)
    return np.swapaxes(faces, 0, 1).reshape(faces.shape[1], -1)


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


def reduce_tiles(
    tiles: Values,
    kind: ReduceKind,
    dim: ReduceDim,
    *,
    scaler: float,
    dst: DstMode,
    fidelity: Fidelity = Fidelity.HIFI4,
) -> Values:
    """Dst tiles [N, 32, 32], each the reduction of T tiles of [N, T, 32, 32].

    `scaler` is the bf16 number in the scaler tile: one for sums and maxima, the
    reciprocal count for averages; a scalar sum or average applies it twice. For T > 1
    all tiles are pooled into one Dst row before it is moved: an assumption, since the
    sources describe one tile.
    """

    def pooled(data: Values) -> Values:
        if kind is ReduceKind.MAX:
            return _pool_max(data, dst=dst)
        return _pool_sum(data, scaler, fidelity=fidelity, dst=dst)

    count = tiles.shape[0]
    out = np.zeros((count, TILE_EDGE, TILE_EDGE), dtype=np.float32)
    if dim is ReduceDim.COL:
        out[:, 0, :] = pooled(_columns_of(tiles)).reshape(count, -1)
    elif dim is ReduceDim.ROW:
        row = _through_srcb(pooled(_rows_of(tiles)))
        moved = add(np.zeros(1, dtype=np.float32), row, dst=dst)
        out[:, :, 0] = moved.reshape(count, -1)
    else:
        row = _through_srcb(pooled(_faces_of(tiles)))
        column = np.ascontiguousarray(row.reshape(count, FACE_EDGE).T)
        out[:, 0, 0] = pooled(column)
    return out


def sum_rows_by_matmul(
    rows: Values, *, scaler: float, fidelity: Fidelity, dst: DstMode
) -> Values:
    """Dst column [M] of scaled sums of rows [M, K], K a multiple of 32.

    Vendor kernels of today sum rows of many tiles as a product with a tile whose first
    column is the scaler. Found by comparison: `ttnn.sum` and `ttnn.mean` are this at
    HiFi4 with a 32-bit Dst, in every bit.
    """
    column = np.full((rows.shape[1], 1), scaler, dtype=np.float32)
    return matmul(rows, column, fidelity=fidelity, dst=dst)[:, 0]
