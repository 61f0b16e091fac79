"""What the walker of kernels asks about tiles; two engines answer."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from runtime import instructions as ins


class Recorder(Protocol):
    """What the walker asks about tiles. All arrays hold tile numbers."""

    def leaf(self, parameter: int, tiles: np.ndarray) -> np.ndarray:
        """Tiles of an operand as they stand in memory now."""
        ...

    def store(self, parameter: int, tiles: np.ndarray, values: np.ndarray) -> None:
        """Tiles of an operand get new values."""
        ...

    def store_rows(self, i: ins.WriteRows, values: np.ndarray) -> None:
        """One row of each tile goes to a row of an operand."""
        ...

    def dst_constant(self, i: ins.SfpuFill) -> np.ndarray:
        """Tiles of Dst that the vector unit fills."""
        ...

    def constant(self, i: ins.Fill, old: np.ndarray) -> np.ndarray:
        """Tiles filled by a processor."""
        ...

    def rows(self, i: ins.ReadRows, index: np.ndarray | None) -> np.ndarray:
        """Row-major pages, gathered."""
        ...

    def copy(self, i: ins.CopyTiles, values: np.ndarray) -> np.ndarray:
        """Tiles on their way to Dst, one row, column or element spread if asked."""
        ...

    def binary(
        self,
        i: ins.BinaryTiles,
        lhs: np.ndarray,
        rhs: np.ndarray,
        old: np.ndarray | None,
    ) -> np.ndarray:
        """Element-wise on the matrix unit; `lhs` and `rhs` are (targets, terms)."""
        ...

    def matmul(
        self,
        i: ins.MatmulBlock,
        lhs: np.ndarray,
        rhs: np.ndarray,
        old: np.ndarray,
    ) -> np.ndarray:
        """A block product added to `old`, which may be `ZERO`."""
        ...

    def reduce(
        self,
        i: ins.ReduceTiles,
        values: np.ndarray,
        scaler: int,
        old: np.ndarray,
    ) -> np.ndarray:
        """A reduction over the second dimension and inside the tiles."""
        ...

    def unary(self, i: ins.SfpuUnary, values: np.ndarray) -> np.ndarray:
        """A vector-unit function."""
        ...

    def sfpu_binary(
        self, i: ins.SfpuBinary, lhs: np.ndarray, rhs: np.ndarray
    ) -> np.ndarray:
        """A vector-unit function of two blocks."""
        ...

    def pack(
        self, i: ins.PackTiles, values: np.ndarray, old: np.ndarray | None
    ) -> np.ndarray:
        """Rounding to the circular buffer's format."""
        ...
