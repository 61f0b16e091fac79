"""Matrix products as the matrix unit computes them, bit for bit.

Operands are float32 values as the source registers hold them: bf16, tf32, or a block
float after `formats.unpack_to_src`. in0 goes to SrcB, in1 to SrcA. Sources:
ARITHMETIC.md sections 2 and 3, wormhole.md section 2.12.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dialects.formats import TILE_EDGE, DstMode, Fidelity
from runtime.arithmetic import matrix_kernels as kernels
from runtime.arithmetic.formats import Values

PHASE_EXPONENT_DROPS = (0, 5, 7, 12)
"""How much smaller than the first phase's the exponents of each phase are."""

_MATMUL_SLICES = 2
_POOL_SLICES = 1


@dataclass(frozen=True)
class PreparedIn1:
    """A second operand in the kernel's layout: six bytes an element, reusable.

    `blocks` [panels, K/8, 24 * PANEL]; `shape` is the operand's own (K, N).
    """

    blocks: NDArray[np.int16]
    shape: tuple[int, int]


def prepare_in1(in1: Values) -> PreparedIn1:
    """Lay out in1 [K, N] once for many products (weights)."""
    depth, columns = in1.shape
    panels = -(-columns // kernels.PANEL)
    width = kernels.GROUP * kernels.PANEL
    blocks = np.zeros((panels, depth // kernels.GROUP, 3 * width), dtype=np.int16)
    blocks[..., :width] = kernels.IN1_ZERO
    kernels.block_in1(np.ascontiguousarray(in1).view(np.uint32), blocks)
    return PreparedIn1(blocks, (depth, columns))


def _prepare_in0(in0: Values) -> NDArray[np.int16]:
    rows, depth = in0.shape
    shape = (rows, depth // kernels.GROUP, kernels.BLOCK_ROWS)
    blocks = np.empty(shape, dtype=np.int16)
    kernels.block_in0(np.ascontiguousarray(in0).view(np.uint32), blocks)
    return blocks


def _to_panels(dst: Values | None, rows: int, columns: int) -> NDArray[np.uint32]:
    """Dst [M, N] as patterns [panels, M, PANEL]; zeros where there is none."""
    panels = -(-columns // kernels.PANEL)
    state = np.zeros((panels, rows, kernels.PANEL), dtype=np.uint32)
    if dst is not None:
        padded = np.zeros((rows, panels * kernels.PANEL), dtype=np.float32)
        padded[:, :columns] = dst
        split = padded.view(np.uint32).reshape(rows, panels, kernels.PANEL)
        state[...] = np.swapaxes(split, 0, 1)
    return state


def _multiply(
    in0: Values,
    in1: Values | PreparedIn1,
    *,
    fidelity: Fidelity,
    dst: DstMode,
    initial: Values | None,
    slices: int,
) -> Values:
    prepared = in1 if isinstance(in1, PreparedIn1) else prepare_in1(in1)
    rows, (depth, columns) = in0.shape[0], prepared.shape
    step = slices * 2 * kernels.GROUP
    if in0.shape[1] != depth or depth % step:
        raise ValueError(
            f"in0 {in0.shape} and in1 {prepared.shape} must share a depth that is a "
            f"multiple of {step}"
        )
    state = _to_panels(initial, rows, columns)
    phases = PHASE_EXPONENT_DROPS[: fidelity.phases]
    narrow = dst is DstMode.BF16
    blocks = _prepare_in0(in0)
    kernels.multiply_panels(blocks, prepared.blocks, state, phases, slices, narrow)
    joined = np.swapaxes(state, 0, 1).reshape(rows, -1)[:, :columns]
    return np.ascontiguousarray(joined).view(np.float32)


def matmul(
    in0: Values,
    in1: Values | PreparedIn1,
    *,
    fidelity: Fidelity,
    dst: DstMode,
    initial: Values | None = None,
) -> Values:
    """Dst [M, N] after in0 [M, K] x in1 [K, N], K a multiple of 32.

    Dst is never released between the K tiles, as within one `tile_regs_acquire`; it
    starts as `initial` [M, N], or cleared. The order is `matmul_block`'s: tile by
    tile, in a tile phase by phase, in a phase the two halves of k.
    """
    return _multiply(
        in0, in1, fidelity=fidelity, dst=dst, initial=initial, slices=_MATMUL_SLICES
    )


def pool(
    scaler: Values,
    data: Values,
    *,
    fidelity: Fidelity,
    dst: DstMode,
    initial: Values | None = None,
) -> Values:
    """Dst [M, N] after GAPOOL of data [K, N] under scaler [M, K], K a multiple of 16.

    As `matmul`, but all phases of a face (16 k) run before the next face.
    """
    return _multiply(
        scaler, data, fidelity=fidelity, dst=dst, initial=initial, slices=_POOL_SLICES
    )


def matmul_tiles(
    in0: Values,
    in1: Values,
    *,
    fidelity: Fidelity,
    dst: DstMode,
    initial: Values | None = None,
) -> Values:
    """Dst tiles [M, N, 32, 32] of in0 [M, K, 32, 32] x in1 [K, N, 32, 32]."""
    rows = tiles_to_matrix(in0)
    columns = tiles_to_matrix(in1)
    start = None if initial is None else tiles_to_matrix(initial)
    result = matmul(rows, columns, fidelity=fidelity, dst=dst, initial=start)
    return matrix_to_tiles(result)


def tiles_to_matrix(tiles: Values) -> Values:
    """[R, C, 32, 32] as [R * 32, C * 32]."""
    rows, columns = tiles.shape[:2]
    swapped = np.swapaxes(tiles, 1, 2)
    return swapped.reshape(rows * TILE_EDGE, columns * TILE_EDGE)


def matrix_to_tiles(matrix: Values) -> Values:
    """[R * 32, C * 32] as [R, C, 32, 32]."""
    rows, columns = (edge // TILE_EDGE for edge in matrix.shape)
    split = matrix.reshape(rows, TILE_EDGE, columns, TILE_EDGE)
    return np.ascontiguousarray(np.swapaxes(split, 1, 2))
