"""The slow executor: one coroutine a kernel, real tiles, each instruction at once.

Obvious rather than fast: it judges the replay on small programs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dialects.formats import DstMode, Fidelity
from runtime import instructions as ins
from runtime.arithmetic.formats import pack, round_to_dst
from runtime.arithmetic.l1_accumulation import accumulate_l1
from runtime.launch import Launch
from runtime.semantics import (
    BINARY,
    TILE,
    fill_tile,
    is_lossless_copy,
    limit_tile,
    matmul,
    reduce_tiles,
    sfpu,
    source_operand,
    spread,
)
from runtime.walk_state import ZERO
from runtime.walker import Walker


def execute(launch: Launch, memory: Sequence[np.ndarray]) -> None:
    """Run a launch on `memory`, one (rows, columns) float32 array for each parameter.

    Arrays are padded to whole tiles; outputs are written in place.
    """
    Walker(launch, _Tiles(launch, memory)).run()


class _Tiles:
    """A recorder that keeps real tiles; a tile number is an index into `values`."""

    def __init__(self, launch: Launch, memory: Sequence[np.ndarray]):
        self.launch = launch
        self.memory = memory
        self.values: list[np.ndarray] = []
        self.dst = DstMode.FP32 if launch.facts.fp32_dst else DstMode.BF16
        self.fidelity = Fidelity(launch.facts.fidelity)

    def _add(self, tiles: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
        first = len(self.values)
        self.values.extend(np.array(tile, np.float32) for tile in tiles)
        return np.arange(first, len(self.values))

    def _get(self, numbers: np.ndarray) -> np.ndarray:
        flat = [self.values[n] for n in numbers.reshape(-1)]
        return np.stack(flat).reshape(*numbers.shape, TILE, TILE)

    def _old(self, numbers: np.ndarray) -> np.ndarray:
        zero = np.zeros((TILE, TILE), np.float32)
        return np.stack([zero if n == ZERO else self.values[n] for n in numbers])

    def _place(self, parameter: int, tile: int) -> np.ndarray:
        columns = self.launch.tensors[parameter].tile_columns
        row, column = divmod(int(tile), columns)
        sheet = self.memory[parameter]
        return sheet[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]

    def leaf(self, parameter: int, tiles: np.ndarray) -> np.ndarray:
        return self._add([self._place(parameter, tile) for tile in tiles])

    def store(self, parameter: int, tiles: np.ndarray, values: np.ndarray) -> None:
        for tile, value in zip(tiles, self._get(values), strict=True):
            self._place(parameter, tile)[:] = value

    def store_rows(self, i: ins.WriteRows, values: np.ndarray) -> None:
        scalars = self.launch.scalars
        row = int(i.row.evaluate(scalars)) % TILE
        below, inside = divmod(int(i.target.evaluate(scalars)), TILE)
        width = self.launch.tensors[i.parameter].tile_columns
        for tile, value in zip(i.tiles, self._get(values), strict=True):
            self._place(i.parameter, int(tile) + below * width)[inside] = value[row]

    def dst_constant(self, i: ins.SfpuFill) -> np.ndarray:
        tile = np.full((TILE, TILE), i.value, np.float32)
        return self._add(self._to_dst(np.repeat(tile[None], i.count, axis=0)))

    def constant(self, i: ins.Fill, old: np.ndarray) -> np.ndarray:
        if i.limit is not None:
            limit = int(i.limit.evaluate(self.launch.scalars))
            return self._add([limit_tile(i, int(c), limit) for c in i.columns])
        return self._add(
            [
                fill_tile(
                    i.pattern,
                    i.value,
                    int(row),
                    int(column),
                    i.extent,
                    self.values[before] if before >= 0 else None,
                    inside=i.inside,
                )
                for row, column, before in zip(i.rows, i.columns, old, strict=True)
            ]
        )

    def rows(self, i: ins.ReadRows, index: np.ndarray | None) -> np.ndarray:
        sheet = self.memory[i.parameter]
        pages = []
        for block, row_tile in enumerate(i.row_tiles):
            if index is None:
                rows = np.arange(TILE) + int(row_tile) * TILE
            else:
                rows = self.values[index[block]][0].astype(np.int64)
            pages += [
                sheet[rows, int(c) * TILE : (int(c) + 1) * TILE] for c in i.columns
            ]
        return self._add(pages).reshape(i.slots.shape)

    def _source(self, numbers: np.ndarray, cb: int) -> np.ndarray:
        """Tiles of a circular buffer as the matrix unit reads them."""
        data_format = self.launch.circular_buffers[cb].data_format
        return source_operand(self._get(numbers), data_format, self.dst)

    def copy(self, i: ins.CopyTiles, values: np.ndarray) -> np.ndarray:
        data_format = self.launch.circular_buffers[i.cb].data_format
        if is_lossless_copy(data_format, i.broadcast, self.dst):
            return self._add(spread(self._get(values), i.broadcast))
        return self._add(spread(self._source(values, i.cb), i.broadcast))

    def binary(
        self,
        i: ins.BinaryTiles,
        lhs: np.ndarray,
        rhs: np.ndarray,
        old: np.ndarray | None,
    ) -> np.ndarray:
        total = None if old is None else self._old(old)
        for term in range(lhs.shape[1]):
            right = spread(self._source(rhs[:, term], i.rhs_cb), i.broadcast)
            left = self._source(lhs[:, term], i.lhs_cb)
            result = BINARY[i.kind](left, right)
            total = result if total is None else total + result
        assert total is not None
        return self._add(self._to_dst(total))

    def _to_dst(self, values: np.ndarray) -> np.ndarray:
        if self.dst is DstMode.FP32:
            return values
        return round_to_dst(values, self.dst)

    def matmul(
        self, i: ins.MatmulBlock, lhs: np.ndarray, rhs: np.ndarray, old: np.ndarray
    ) -> np.ndarray:
        out = self._old(old)
        left, right = self._source(lhs, i.lhs_cb), self._source(rhs, i.rhs_cb)
        columns = rhs.shape[1]
        for row in range(lhs.shape[0]):
            for column in range(columns):
                for k in range(lhs.shape[1]):
                    a, b = left[row, k], right[k, column]
                    b = b.T if i.transpose else b
                    out[row * columns + column] += matmul(a, b, self.fidelity)
        return self._add(self._to_dst(out))

    def reduce(
        self, i: ins.ReduceTiles, values: np.ndarray, scaler: int, old: np.ndarray
    ) -> np.ndarray:
        factor = self.values[scaler][0, 0]
        result = reduce_tiles(i.kind, i.dim, self._source(values, i.cb), factor)
        if (old == ZERO).all():
            return self._add(self._to_dst(result))
        merge = np.maximum if i.kind == "max" else np.add
        return self._add(self._to_dst(merge(result, self._old(old))))

    def unary(self, i: ins.SfpuUnary, values: np.ndarray) -> np.ndarray:
        return self._add(sfpu(i.function, self._get(values), i.scalar, self.dst))

    def sfpu_binary(
        self, i: ins.SfpuBinary, lhs: np.ndarray, rhs: np.ndarray
    ) -> np.ndarray:
        result = BINARY[i.function](self._get(lhs), self._get(rhs))
        return self._add(self._to_dst(result))

    def pack(
        self, i: ins.PackTiles, values: np.ndarray, old: np.ndarray | None
    ) -> np.ndarray:
        tiles = self._get(values)
        if i.relu:
            tiles = np.maximum(tiles, 0)
        data_format = self.launch.circular_buffers[i.cb].data_format
        packed = pack(tiles, data_format, dst=self.dst)
        if old is not None and old.min() >= 0:
            packed = accumulate_l1(self._get(old), packed, data_format)
        return self._add(packed)
