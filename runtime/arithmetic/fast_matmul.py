"""Matrix products of `fast` numerics: the phases' operand bits, then one fp32 product.

Differs from `matmul` only inside the contraction (design.md section 5). bf16 operands
use the CPU's bf16 dot product where it has one; others numpy's fp32 product.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from dialects.formats import Fidelity
from runtime.arithmetic import bf16_kernels
from runtime.arithmetic.formats import Values, fidelity_operands


@cache
def has_bf16_dot_product() -> bool:
    """Whether this CPU has VDPBF16PS on 512-bit vectors."""
    from llvmlite import binding

    return bool(binding.get_host_cpu_features().get("avx512bf16", False))


@dataclass(frozen=True)
class FastIn1:
    """A second operand ready for many products (weights), cut for one fidelity.

    `packed` [panels, K/2, 64] pairs of bf16, or None where the values need fp32.
    """

    values: Values | None
    packed: NDArray[np.uint32] | None
    shape: tuple[int, int]
    fidelity: Fidelity


def is_bf16(values: Values) -> bool:
    """Whether every value is a bf16 number."""
    return not np.any(np.ascontiguousarray(values).view(np.uint32) & np.uint32(0xFFFF))


def prepare_fast_in1(in1: Values, fidelity: Fidelity) -> FastIn1:
    """Lay out in1 [K, N] once; a bf16 operand then takes two bytes an element."""
    _, cut = fidelity_operands(in1[:0], in1, fidelity)
    cut = np.ascontiguousarray(cut)
    depth, columns = cut.shape
    if not (has_bf16_dot_product() and depth % 2 == 0 and is_bf16(cut)):
        return FastIn1(cut, None, (depth, columns), fidelity)
    panels = -(-columns // bf16_kernels.PANEL)
    packed = np.zeros((panels, depth // 2, bf16_kernels.PANEL), dtype=np.uint32)
    bf16_kernels.pack_in1(cut.view(np.uint32), packed)
    return FastIn1(None, packed, (depth, columns), fidelity)


def _unpacked(in1: FastIn1) -> Values:
    """The values of in1 [K, N] again, for an in0 that is not bf16."""
    if in1.values is not None:
        return in1.values
    assert in1.packed is not None
    pairs = np.stack([in1.packed << np.uint32(16), in1.packed & np.uint32(0xFFFF0000)])
    rows = pairs.transpose(2, 0, 1, 3).reshape(in1.shape[0], -1)
    return np.ascontiguousarray(rows[:, : in1.shape[1]]).view(np.float32)


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
    cut, _ = fidelity_operands(in0, in0[:0], fidelity)
    cut = np.ascontiguousarray(cut)
    if out is None:
        out = np.empty((in0.shape[0], ready.shape[1]), dtype=np.float32)
    if ready.packed is not None:
        packed = np.empty(cut.size // 2, dtype=np.uint32)
        if bf16_kernels.pack_in0(cut.view(np.uint32), packed) == 0:
            bf16_kernels.multiply(packed, ready.packed, out)
            return out
    return np.matmul(cut, _unpacked(ready), out=out)
