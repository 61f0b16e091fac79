"""Matrix products of `fast` numerics: the phases' operand bits, then one fp32 product.

Differs from `matmul` only inside the contraction (design.md section 5). An in1 of bf16
numbers is packed and read as such where the CPU has AVX512: with its bf16 dot product
if it has one and in0 is bf16, too, else widened on the way. What is left is numpy's
fp32 product.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dialects.formats import Fidelity
from runtime.arithmetic import bf16_kernels
from runtime.arithmetic.formats import Values, fidelity_operands


@dataclass(frozen=True)
class PanelProduct:
    """A way to multiply in0 by packed panels: `words` of in0 for two k of a row.

    `pack_in0` returns the bits of in0 that were lost.
    """

    words: int
    pack_in0: Callable[..., Any]
    multiply: Callable[..., None]

    @property
    def is_dot(self) -> bool:
        """Whether in0 is bf16, too."""
        return self.words == 1


_DOT = PanelProduct(1, bf16_kernels.pack_in0, bf16_kernels.multiply)
_WIDE = PanelProduct(2, bf16_kernels.pack_wide_in0, bf16_kernels.multiply_wide)


@cache
def cpu_has(feature: str) -> bool:
    """Whether this CPU has an LLVM feature."""
    from llvmlite import binding

    return bool(binding.get_host_cpu_features().get(feature, False))


def panel_product(*, is_bf16: bool) -> PanelProduct | None:
    """How this CPU multiplies an in0 of bf16 numbers, or of any, by packed panels.

    VDPBF16PS and fp32 sums both want 512-bit vectors; None where there are none.
    """
    if is_bf16 and cpu_has("avx512bf16"):
        return _DOT
    return _WIDE if cpu_has("avx512f") else None


@dataclass(frozen=True)
class FastIn1:
    """A second operand ready for many products (weights), cut for one fidelity.

    `packed` [panels, K/2, 64] pairs of bf16, or None where the values need fp32.
    """

    values: Values | None
    packed: NDArray[np.uint32] | None
    shape: tuple[int, int]
    fidelity: Fidelity


def packed_shape(depth: int, columns: int) -> tuple[int, int, int]:
    """The shape of a packed in1 [depth, columns], in words."""
    panels = -(-columns // bf16_kernels.PANEL)
    return panels, depth // 2, bf16_kernels.PANEL


def in0_mask(fidelity: Fidelity) -> np.uint32:
    """The bits of in0 that the phases read."""
    return _mask(fidelity.significant_bits[1])


def in1_mask(fidelity: Fidelity) -> np.uint32:
    """The bits of in1 that the phases read."""
    return _mask(fidelity.significant_bits[0])


def _mask(significant_bits: int) -> np.uint32:
    if significant_bits >= 8:
        return bf16_kernels.ALL_BITS
    return np.uint32((0xFFFF_FFFF << (24 - significant_bits)) & 0xFFFF_FFFF)


def prepare_fast_in1(in1: Values, fidelity: Fidelity) -> FastIn1:
    """Lay out in1 [K, N] once; a bf16 operand then takes two bytes an element."""
    values = np.ascontiguousarray(in1)
    depth, columns = values.shape
    if panel_product(is_bf16=True) is not None and depth % 2 == 0:
        packed = np.empty(packed_shape(depth, columns), dtype=np.uint32)
        address, row_bytes = values.ctypes.data, 4 * columns
        mask = in1_mask(fidelity)
        lost = bf16_kernels.pack_in1(
            address, row_bytes, mask, 0, depth // 2, columns, packed
        )
        if lost == 0:
            return FastIn1(None, packed, (depth, columns), fidelity)
    _, cut = fidelity_operands(values[:0], values, fidelity)
    return FastIn1(np.ascontiguousarray(cut), None, (depth, columns), fidelity)


def fast_matmul(
    in0: Values, in1: Values | FastIn1, *, fidelity: Fidelity, out: Values | None = None
) -> Values:
    """in0 [M, K] x in1 [K, N] in fp32, operands cut to the bits the phases read.

    `out` is contiguous float32 [M, N]. The result is not yet rounded to Dst.
    """
    ready = in1 if isinstance(in1, FastIn1) else prepare_fast_in1(in1, fidelity)
    if ready.fidelity is not fidelity or in0.shape[1] != ready.shape[0]:
        raise ValueError(
            f"in0 {in0.shape} at {fidelity} does not fit in1 {ready.shape} prepared "
            f"for {ready.fidelity}"
        )
    values = np.ascontiguousarray(in0)
    if out is None:
        out = np.empty((len(values), ready.shape[1]), dtype=np.float32)
    if ready.values is None:
        if not _multiply(values, ready, out, is_bf16=True):
            _multiply(values, ready, out, is_bf16=False)
        return out
    cut, _ = fidelity_operands(values, values[:0], fidelity)
    return np.matmul(np.ascontiguousarray(cut), ready.values, out=out)


def _multiply(in0: Values, in1: FastIn1, out: Values, *, is_bf16: bool) -> bool:
    """Multiply by packed panels; False where in0 is not bf16 though it should be."""
    product = panel_product(is_bf16=is_bf16)
    assert product is not None
    assert in1.packed is not None
    rows, depth = in0.shape
    columns = in1.shape[1]
    packed = np.empty(product.words * in0.size // 2, dtype=np.uint32)
    every, mask = np.array([[0, rows]]), in0_mask(in1.fidelity)
    start = (in0.ctypes.data, 4 * depth, depth // 2)
    if product.pack_in0(*start, mask, every, packed):
        return False
    product.multiply(packed, in1.packed, columns, every, out.ctypes.data, 4 * columns)
    return True
