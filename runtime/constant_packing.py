"""Right sides of products that never change, packed once in bf16, piece by piece."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from runtime.arithmetic import bf16_kernels
from runtime.arithmetic.fast_matmul import packed_shape
from runtime.sheets import ConstantSheet

if TYPE_CHECKING:
    from runtime.fast_steps import PackRight

PIECE_ROWS = 256
"""Rows of a sheet that are made, rounded and packed at a time."""


def pack_constant_in1(sheet: ConstantSheet, side: PackRight) -> np.ndarray | None:
    """A part of the sheet as the bf16 kernel reads it; None where it is not bf16."""
    place = side.place
    key = (place.row, place.column, side.depth, side.columns, side.turned, side.mask)
    return sheet.derived(key, lambda: _pack(sheet, side))


def _pack(sheet: ConstantSheet, side: PackRight) -> np.ndarray | None:
    shape = packed_shape(side.depth, side.columns)
    packed = sheet.store.words(prod(shape)).reshape(shape)
    if side.turned:
        lost = _pack_turned(sheet, side, packed)
    elif side.mask == bf16_kernels.ALL_BITS and _pack_pairs(sheet, side, packed):
        lost = 0
    else:
        lost = _pack_rows(sheet, side, packed)
    return None if lost else packed


def _pack_pairs(sheet: ConstantSheet, side: PackRight, packed: np.ndarray) -> bool:
    """Pack from bf16 datums whose rows are the columns that are wanted."""
    datums = sheet.turned_halves()
    if datums is None or side.place.row or side.place.column:
        return False
    rows, depth = datums.shape
    if depth != side.depth or side.columns > -(-rows // 32) * 32:
        return False
    bf16_kernels.pack_turned_pairs(
        datums.ctypes.data, datums.strides[0], rows, depth // 2, packed
    )
    return True


def _pack_rows(sheet: ConstantSheet, side: PackRight, packed: np.ndarray) -> int:
    lost, mask = 0, np.uint32(side.mask)
    source = sheet.open()
    for start in range(0, side.depth, PIECE_ROWS):
        stop = min(start + PIECE_ROWS, side.depth)
        rows = source(side.place.row + start, side.place.row + stop)
        address = rows.ctypes.data + 4 * side.place.column
        lost |= bf16_kernels.pack_in1(
            *(address, rows.strides[0], mask, start // 2, stop // 2, side.columns),
            packed,
        )
    return int(lost)


def _pack_turned(sheet: ConstantSheet, side: PackRight, packed: np.ndarray) -> int:
    rows = sheet.open()(side.place.row, side.place.row + side.columns)
    lost = bf16_kernels.pack_turned_in1(
        rows.ctypes.data + 4 * side.place.column,
        rows.strides[0],
        np.uint32(side.mask),
        side.columns,
        side.depth // 2,
        packed,
    )
    return int(lost)
