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

    def constant(self, instruction: ins.Fill, old: np.ndarray) -> np.ndarray:
        """Tiles filled by a processor."""
        ...

    def rows(self, instruction: ins.ReadRows, index: np.ndarray | None) -> np.ndarray:
        """Row-major pages, gathered."""
        ...

    def broadcast(self, site: int, values: np.ndarray, kind: str) -> np.ndarray:
        """Tiles with one row, column or element spread over all."""
        ...

    def binary(
        self,
        instruction: ins.BinaryTiles,
        lhs: np.ndarray,
        rhs: np.ndarray,
        old: np.ndarray | None,
    ) -> np.ndarray:
        """Element-wise on the matrix unit; `lhs` and `rhs` are (targets, terms)."""
        ...

    def matmul(
        self,
        instruction: ins.MatmulBlock,
        lhs: np.ndarray,
        rhs: np.ndarray,
        old: np.ndarray,
    ) -> np.ndarray:
        """A block product added to `old`, which may be `ZERO`."""
        ...

    def reduce(
        self,
        instruction: ins.ReduceTiles,
        values: np.ndarray,
        scaler: int,
        old: np.ndarray,
    ) -> np.ndarray:
        """A reduction over the second dimension and inside the tiles."""
        ...

    def unary(self, instruction: ins.SfpuUnary, values: np.ndarray) -> np.ndarray:
        """A vector-unit function."""
        ...

    def sfpu_binary(
        self, instruction: ins.SfpuBinary, lhs: np.ndarray, rhs: np.ndarray
    ) -> np.ndarray:
        """A vector-unit function of two blocks."""
        ...

    def pack(
        self, instruction: ins.PackTiles, values: np.ndarray, old: np.ndarray | None
    ) -> np.ndarray:
        """Rounding to the circular buffer's format."""
        ...
