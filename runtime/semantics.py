"""What each compute instruction does to values, on stacks of 32x32 tiles.

`fast` numerics: rounds where the hardware rounds (at every pack, at every write to a
16-bit Dst) and contracts on the host's matrix library; the fidelity is obeyed by
cutting the operands to the bits that the phases read. All arrays are float32.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dialects.formats import DataFormat, DstMode, Fidelity
from runtime import instructions as ins
from runtime.arithmetic.formats import (
    fidelity_operands,
    store_from_sfpu,
    unpack_to_src,
)
from runtime.arithmetic.functions import FUNCTIONS, evaluate

TILE = 32
LOWEST = np.float32(-3.3895313892515355e38)
"""The lowest finite bf16: the identity of a maximum, and what a mask adds."""

BROADCAST_SOURCE = {
    "row": (slice(None), slice(0, 1), slice(None)),
    "col": (slice(None), slice(None), slice(0, 1)),
    "scalar": (slice(None), slice(0, 1), slice(0, 1)),
}
"""Which part of a tile a broadcast repeats."""

BINARY: dict[str, Callable[..., np.ndarray]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "max": np.maximum,
    "min": np.minimum,
}

_SCALAR: dict[str, Callable[..., np.ndarray]] = {
    "add_unary": np.add,
    "mul_unary": np.multiply,
    "max_unary": np.maximum,
    "min_unary": np.minimum,
    "pow_unary": np.power,
}


_ALIASES = {"recip": "reciprocal"}
_NAMED = {name: name for name in FUNCTIONS} | _ALIASES
"""Functions that are kernels of many instructions, by the name of the instruction."""
_SIMPLE: dict[str, Callable[..., np.ndarray]] = {
    "abs": np.abs,
    "negative": np.negative,
    "square": np.square,
}


def function_of(name: str) -> Callable[..., np.ndarray]:
    """The function of a unary vector-unit instruction, on float32 arrays."""
    if name in _SIMPLE:
        return _SIMPLE[name]
    if name == "relu":
        return lambda values: np.maximum(values, np.float32(0))
    return FUNCTIONS[_NAMED[name]]


def spread(tiles: np.ndarray, kind: str | None) -> np.ndarray:
    """Broadcast a row, a column or the first element over each tile."""
    if kind is None:
        return tiles
    return np.broadcast_to(tiles[BROADCAST_SOURCE[kind]], tiles.shape)


def sfpu(
    function: str,
    values: np.ndarray,
    scalar: float | None,
    dst: DstMode,
    *,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """A vector-unit function, stored by the vector unit's rule for the Dst mode."""
    with np.errstate(all="ignore"):
        if scalar is not None:
            result = _SCALAR[function](values, np.float32(scalar), out=out)
        elif dst is not DstMode.FP32 and function in _NAMED:
            return evaluate(_NAMED[function], values, dst=dst)
        else:
            result = function_of(function)(values)
    if dst is DstMode.FP32:
        return result
    return store_from_sfpu(result, dst, rounded=True, out=out)


def source_operand(
    values: np.ndarray, data_format: DataFormat, dst: DstMode
) -> np.ndarray:
    """Values of L1 as the matrix unit reads them: fp32 is cut to tf32 (or bf16)."""
    if data_format is not DataFormat.FP32:
        return values
    return unpack_to_src(np.ascontiguousarray(values), data_format, dst=dst)


def is_lossless_copy(
    data_format: DataFormat, broadcast: str | None, dst: DstMode
) -> bool:
    """Whether `copy_tiles` leaves values as they are.

    fp32 goes straight to a 32-bit Dst; a broadcast takes the way through SrcB.
    """
    narrow = broadcast is not None or dst is not DstMode.FP32
    return data_format is not DataFormat.FP32 or not narrow


def matmul(lhs: np.ndarray, rhs: np.ndarray, fidelity: Fidelity) -> np.ndarray:
    """`lhs @ rhs` on matrices, operands cut to what the fidelity reads."""
    cut_lhs, cut_rhs = fidelity_operands(lhs, rhs, fidelity)
    return np.matmul(cut_lhs, cut_rhs)


def reduce_tiles(
    kind: str, dim: str, tiles: np.ndarray, scaler: np.float32
) -> np.ndarray:
    """Reduce `tiles` (n, terms, 32, 32) to (n, 32, 32): one column, row or element."""
    axes = {"row": (1, 3), "col": (1, 2), "scalar": (1, 2, 3)}[dim]
    if kind == "max":
        reduced = tiles.max(axis=axes)
    else:
        reduced = tiles.sum(axis=axes, dtype=np.float32) * scaler
    out = np.zeros((tiles.shape[0], TILE, TILE), np.float32)
    if dim == "row":
        out[:, :, 0] = reduced
    elif dim == "col":
        out[:, 0, :] = reduced
    else:
        out[:, 0, 0] = reduced
    return out


def limit_tile(i: ins.Fill, column: int, limit: int) -> np.ndarray:
    """The tile at a place along an axis: `inside` below the limit, then `value`."""
    columns = np.arange(TILE) + column * TILE
    row = np.where(columns < limit, np.float32(i.inside), np.float32(i.value))
    return np.broadcast_to(row, (TILE, TILE))


def fill_tile(
    pattern: str,
    value: float,
    row: int,
    column: int,
    extent: tuple[int, int],
    old: np.ndarray | None = None,
    *,
    inside: float = 0.0,
) -> np.ndarray:
    """A tile as the data-movement processor fills it (see `tensix.fill`)."""
    number = np.float32(value)
    if pattern == "value":
        return np.full((TILE, TILE), number, np.float32)
    if pattern == "row_scaler":
        tile = np.zeros((TILE, TILE), np.float32)
        tile[::16] = number
        return tile
    if pattern == "column_scaler":
        tile = np.zeros((TILE, TILE), np.float32)
        tile[:, 0] = number
        return tile
    if pattern == "columns":
        real = extent[1] if row else TILE
        tile = np.full((TILE, TILE), inside, np.float32)
        tile[:, real:] = number
        return tile
    rows = (np.arange(TILE) + row * TILE)[:, None]
    columns = (np.arange(TILE) + column * TILE)[None, :]
    if pattern == "causal":
        return np.where(columns > rows, number, np.float32(0))
    assert old is not None
    outside = (rows >= extent[0]) | (columns >= extent[1])
    return np.where(outside, number, old)
