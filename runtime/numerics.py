"""The two levels of faithfulness, behind one set of questions.

`Fast` rounds where the hardware rounds and contracts on the host's matrix library.
`Exact` does what the matrix unit does, fidelity phases included, bit for bit; only the
functions of the vector unit are mathematical in both. All operands are float32
matrices of whole tiles; results are written to `out`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from dialects.errors import ForgeError
from dialects.formats import DataFormat, DstMode, Fidelity
from runtime.arithmetic import eltwise, matmul, reduce, sfpu
from runtime.arithmetic.fast_matmul import FastIn1, fast_matmul, prepare_fast_in1
from runtime.arithmetic.formats import fidelity_operands, pack, round_to_dst
from runtime.semantics import BINARY, TILE, reduce_tiles, source_operand
from runtime.semantics import sfpu as vector_function

NUMERICS = ("fast", "exact", "reference")
"""`fast` and `exact` are the chip's; `reference` is plain float32, their judge."""


class Numerics(Protocol):
    """What a replay asks when it computes."""

    pack_constant: Callable[[np.ndarray], Any] | None
    """What to keep of a constant right side for `matmul`; None for its values."""

    def matmul(self, lhs: np.ndarray, rhs: Any, out: np.ndarray) -> None:
        """`lhs` (M, K) times `rhs` (K, N), K tile by tile in the order of the text."""
        ...

    def binary(
        self, kind: str, lhs: np.ndarray, rhs: np.ndarray, out: np.ndarray
    ) -> None:
        """Element-wise on the matrix unit: add, sub or mul."""
        ...

    def mul_sum(
        self, lhs: np.ndarray, rhs: np.ndarray, terms: int, out: np.ndarray
    ) -> None:
        """Sum of products of `terms` tiles side by side, element by element."""
        ...

    def reduce(
        self,
        kind: str,
        dim: str,
        values: np.ndarray,
        terms: int,
        scaler: float,
        out: np.ndarray,
    ) -> None:
        """Reduce `terms` tiles side by side into one tile."""
        ...

    def vector_binary(
        self, function: str, lhs: np.ndarray, rhs: np.ndarray, out: np.ndarray
    ) -> None:
        """Element-wise on the vector unit."""
        ...

    def vector_unary(
        self, function: str, values: np.ndarray, scalar: float | None, out: np.ndarray
    ) -> None:
        """A function of the vector unit, maybe with a scalar."""
        ...

    def pack(
        self, values: np.ndarray, data_format: DataFormat, relu: bool, out: np.ndarray
    ) -> None:
        """Round to the format of a circular buffer."""
        ...

    def cut(self, values: np.ndarray) -> np.ndarray:
        """fp32 values as the matrix unit reads them."""
        ...


class Fast:
    """Rounds where the hardware rounds; the host's matrix product in between.

    A 16-bit Dst is rounded once, when a result is complete: its growing error inside a
    contraction is modelled by `Exact` only. Blocks of k whose sums pass through L1 in
    fp32 are one contraction (`trace_launch`): only the order of fp32 sums differs
    (reference/emulator.md section 2).
    """

    def __init__(self, fidelity: Fidelity, dst: DstMode):
        self.fidelity = fidelity
        self.dst = dst
        self.pack_constant: Callable[[np.ndarray], Any] | None = self._pack_constant

    def _pack_constant(self, values: np.ndarray) -> FastIn1:
        return prepare_fast_in1(np.ascontiguousarray(values), self.fidelity)

    def _round(self, out: np.ndarray) -> None:
        if self.dst is not DstMode.FP32:
            out[:] = round_to_dst(out, self.dst)

    def matmul(self, lhs: np.ndarray, rhs: Any, out: np.ndarray) -> None:
        if isinstance(rhs, FastIn1):
            fast_matmul(lhs, rhs, fidelity=self.fidelity, out=out)
        else:
            left, right = fidelity_operands(lhs, rhs, self.fidelity)
            np.matmul(left, right, out=out)
        self._round(out)

    def binary(
        self, kind: str, lhs: np.ndarray, rhs: np.ndarray, out: np.ndarray
    ) -> None:
        BINARY[kind](lhs, rhs, out=out)
        self._round(out)

    def mul_sum(
        self, lhs: np.ndarray, rhs: np.ndarray, terms: int, out: np.ndarray
    ) -> None:
        product = np.ascontiguousarray(lhs * rhs)
        product.reshape(-1, terms, TILE).sum(axis=1, out=out)
        self._round(out)

    def reduce(
        self,
        kind: str,
        dim: str,
        values: np.ndarray,
        terms: int,
        scaler: float,
        out: np.ndarray,
    ) -> None:
        if dim != "row":
            tiles = _stacked(values, terms)
            result = reduce_tiles(kind, dim, tiles, np.float32(scaler))
            out[:] = result.reshape(out.shape)
        elif kind == "max":
            values.max(axis=1, out=out[:, 0])
        else:
            np.multiply(values.sum(axis=1), np.float32(scaler), out=out[:, 0])
        self._round(out)

    def vector_binary(
        self, function: str, lhs: np.ndarray, rhs: np.ndarray, out: np.ndarray
    ) -> None:
        BINARY[function](lhs, rhs, out=out)
        self._round(out)

    def vector_unary(
        self, function: str, values: np.ndarray, scalar: float | None, out: np.ndarray
    ) -> None:
        result = vector_function(function, values, scalar, self.dst, out=out)
        if result is not out:
            out[:] = result

    def pack(
        self, values: np.ndarray, data_format: DataFormat, relu: bool, out: np.ndarray
    ) -> None:
        if relu:
            values = np.maximum(values, 0)
        pack(values, data_format, dst=self.dst, out=out)

    def cut(self, values: np.ndarray) -> np.ndarray:
        return source_operand(values, DataFormat.FP32, self.dst)


class Reference(Fast):
    """Plain float32: nothing is rounded, whatever formats and fidelity say."""

    def __init__(self, fidelity: Fidelity, dst: DstMode):
        super().__init__(Fidelity.HIFI4, DstMode.FP32)
        self.pack_constant = None

    def matmul(self, lhs: np.ndarray, rhs: Any, out: np.ndarray) -> None:
        np.matmul(lhs, rhs, out=out)

    def pack(
        self, values: np.ndarray, data_format: DataFormat, relu: bool, out: np.ndarray
    ) -> None:
        np.maximum(values, 0, out=out) if relu else np.copyto(out, values)

    def cut(self, values: np.ndarray) -> np.ndarray:
        return values


class Exact(Fast):
    """The matrix unit's own arithmetic, and the vector unit's multiply and add."""

    def __init__(self, fidelity: Fidelity, dst: DstMode):
        super().__init__(fidelity, dst)
        self.pack_constant = None

    def matmul(self, lhs: np.ndarray, rhs: Any, out: np.ndarray) -> None:
        out[:] = matmul.matmul(
            np.ascontiguousarray(lhs),
            np.ascontiguousarray(rhs),
            fidelity=self.fidelity,
            dst=self.dst,
        )

    def binary(
        self, kind: str, lhs: np.ndarray, rhs: np.ndarray, out: np.ndarray
    ) -> None:
        left, right = _full(lhs, rhs, out.shape)
        if kind == "mul":
            result = eltwise.multiply(left, right, fidelity=self.fidelity, dst=self.dst)
        else:
            function = eltwise.add if kind == "add" else eltwise.subtract
            result = function(left, right, dst=self.dst)
        out[:] = result

    def mul_sum(
        self, lhs: np.ndarray, rhs: np.ndarray, terms: int, out: np.ndarray
    ) -> None:
        shape = (len(out), terms, TILE)
        left, right = _full(lhs, rhs, (shape[0], terms * TILE))
        left, right = left.reshape(shape), right.reshape(shape)
        total = None
        for term in range(terms):
            total = eltwise.multiply(
                np.ascontiguousarray(left[:, term]),
                np.ascontiguousarray(right[:, term]),
                fidelity=self.fidelity,
                dst=self.dst,
                initial=total,
            )
        out[:] = total

    def reduce(
        self,
        kind: str,
        dim: str,
        values: np.ndarray,
        terms: int,
        scaler: float,
        out: np.ndarray,
    ) -> None:
        result = reduce.reduce_tiles(
            np.ascontiguousarray(_stacked(values, terms)),
            reduce.ReduceKind(kind),
            reduce.ReduceDim(dim),
            scaler=scaler,
            dst=self.dst,
            fidelity=self.fidelity,
        )
        out[:] = result.reshape(out.shape)

    def vector_binary(
        self, function: str, lhs: np.ndarray, rhs: np.ndarray, out: np.ndarray
    ) -> None:
        lanes = _LANES.get(function)
        if lanes is None or self.dst is not DstMode.FP32:
            super().vector_binary(function, lhs, rhs, out)
            return
        left, right = _full(lhs, rhs, out.shape)
        result = lanes(_bits(left), _bits(right))
        out[:] = np.asarray(result).view(np.float32).reshape(out.shape)


_LANES: dict[str, Callable[..., np.ndarray]] = {
    "add": sfpu.add,
    "mul": sfpu.mul,
    "sub": lambda lhs, rhs: sfpu.add(lhs, sfpu.negate(rhs)),
}


def require_numerics(name: str) -> str:
    """Return the name; `ForgeError` lists the numerics that there are."""
    if name not in NUMERICS:
        raise ForgeError(
            f"numerics '{name}' are not known", advice=f"use {' or '.join(NUMERICS)}"
        )
    return name


def make_numerics(name: str, fidelity: Fidelity, dst: DstMode) -> Numerics:
    """The numerics called `name`. Raises `ForgeError` for an unknown one."""
    require_numerics(name)
    kinds = {"fast": Fast, "exact": Exact, "reference": Reference}
    return kinds[name](fidelity, dst)


def _stacked(values: np.ndarray, terms: int) -> np.ndarray:
    """Tiles side by side as (rows of tiles, terms, 32, 32)."""
    count = values.shape[0] // TILE
    return values.reshape(count, TILE, terms, TILE).swapaxes(1, 2)


def _full(
    lhs: np.ndarray, rhs: np.ndarray, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.ascontiguousarray(np.broadcast_to(lhs, shape)),
        np.ascontiguousarray(np.broadcast_to(rhs, shape)),
    )


def _bits(values: np.ndarray) -> np.ndarray:
    return values.view(np.uint32)
