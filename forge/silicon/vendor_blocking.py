"""How the vendor's library cuts a matmul: as its benchmark states, or by itself.

Sources, all tt-metal: `tests/ttnn/unit_tests/benchmarks/test_benchmark.py` (the table
of the tuned rows, its sub-blocks) and `ttnn/cpp/ttnn/operations/matmul/device/
matmul_op.cpp` of 2025 (`create_simple_matmul_program_config`, from which a matmul
without a configuration gets one).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dialects.chip import Core, load_chip
from dialects.formats import DataFormat
from forge.silicon.vendor_matmul import TILE, Blocking

# Sub-blocks in the order in which they are tried, rows x columns.
SUBBLOCKS = (
    (4, 2), (2, 4), (8, 1), (1, 8), (7, 1), (1, 7), (3, 2), (2, 3), (6, 1), (1, 6),
    (5, 1), (1, 5), (2, 2), (4, 1), (1, 4), (3, 1), (1, 3), (2, 1), (1, 2), (1, 1),
)  # fmt: skip

Shape = tuple[int, int, int]
Cut = tuple[int, int, int]
"""Divisor of the K tiles of a shard, output blocks along rows and along columns."""

# m, k, n of one core of a grid -> cut; the shapes of the benchmark's lists whose cut
# is not (1, 1, 1).
_SPLIT: Mapping[DataFormat, Mapping[Shape, Cut]] = {
    DataFormat.BF16: {
        (256, 384, 384): (2, 1, 1),
        (384, 384, 384): (4, 1, 1),
        (384, 384, 512): (2, 1, 1),
        (384, 512, 512): (2, 1, 1),
        (512, 512, 512): (1, 2, 2),
        (1024, 1024, 1024): (2, 4, 4),
        (2048, 2048, 2048): (4, 8, 8),
    },
    DataFormat.BFP8_B: {
        (384, 384, 384): (2, 1, 1),
        (384, 384, 512): (2, 1, 1),
        (384, 512, 512): (2, 1, 1),
        (512, 512, 512): (1, 2, 2),
        (1024, 1024, 1024): (2, 4, 4),
        (2048, 2048, 2048): (4, 8, 8),
    },
    DataFormat.BFP4_B: {
        (384, 512, 512): (2, 1, 1),
        (512, 512, 512): (2, 1, 1),
        (1024, 1024, 1024): (2, 2, 2),
        (2048, 2048, 2048): (4, 4, 4),
    },
}


def first_subblock(block: tuple[int, int], *, one_row: bool = False) -> tuple[int, int]:
    """The first sub-block of the list that divides a block; `one_row`: 1 x w only."""
    for rows, columns in SUBBLOCKS:
        fits = block[0] % rows == 0 and block[1] % columns == 0
        if fits and (rows == 1 or not one_row):
            return rows, columns
    return 1, 1


def tuned_blocking(
    shape: Shape, grid: Core, data_format: DataFormat, *, out_sharded: bool
) -> Blocking:
    """The cut of the tuned benchmark; shapes that it does not list are not split."""
    m, k, n = shape
    own = (m // grid.y, k // grid.x, n // grid.x)
    divisor, rows, columns = _SPLIT.get(data_format, {}).get(own, (1, 1, 1))
    part = (own[0] // TILE, own[2] // TILE)
    block = (part[0] // rows, part[1] // columns)
    subblock = first_subblock(block, one_row=out_sharded)
    return Blocking("2d", grid, part, block, subblock, own[1] // TILE // divisor)


def automatic_blocking(shape: Shape, grid: Core, data_format: DataFormat) -> Blocking:
    """The cut that the library finds for interleaved operands in DRAM.

    Narrow outputs (a dimension of at most 16 tiles, or a ratio above 8) take the 1D
    kernel, all others the 2D kernel.
    """
    rows, depth, columns = (size // TILE for size in shape)
    wide = columns > 8 * rows
    one_row_of_blocks = rows <= _LARGEST_BLOCK < columns
    if wide or one_row_of_blocks:
        part = (rows, -(-columns // (grid.x * grid.y)))
        k_block = 2 if depth % 2 == 0 else 1
        block, k_block = _fitting(part, k_block, data_format, shrink_k=False)
        return Blocking("1d", grid, part, block, first_subblock(block), k_block)
    part = (-(-rows // grid.y), -(-columns // grid.x))
    k_block = depth // grid.x if depth % grid.x == 0 else 1
    block, k_block = _fitting(part, k_block, data_format, shrink_k=True)
    return Blocking("2d", grid, part, block, first_subblock(block), k_block)


_LARGEST_BLOCK = 16
"""Tiles of the square block that the library first tries (`get_per_core_factor`)."""


def _fitting(
    part: tuple[int, int], k_block: int, data_format: DataFormat, *, shrink_k: bool
) -> tuple[tuple[int, int], int]:
    """The largest, then squarest output block whose circular buffers fit into L1."""
    room = load_chip("n150").l1_usable_bytes
    by_area = {
        rows * columns: (rows, columns)
        for rows, columns in sorted(_blocks(part), key=lambda b: -max(b) / min(b))
    }
    for depth in _divisors(k_block) if shrink_k else (k_block,):
        for area in sorted(by_area, reverse=True):
            block = by_area[area]
            if _buffer_bytes(block, depth, data_format) < room:
                return block, depth
    return (1, 1), 1


def _blocks(part: tuple[int, int]) -> Iterator[tuple[int, int]]:
    for rows in _divisors(part[0]):
        for columns in _divisors(part[1]):
            yield rows, columns


def _divisors(number: int) -> list[int]:
    """Divisors, the largest first."""
    return [d for d in range(number, 0, -1) if number % d == 0]


def _buffer_bytes(block: tuple[int, int], depth: int, data_format: DataFormat) -> int:
    """What the library estimates: inputs twice, output, partial sums in bf16."""
    tile = data_format.tile_bytes
    inputs = 2 * depth * (block[0] + block[1]) * tile
    partials = max(tile, DataFormat.BF16.tile_bytes)
    return inputs + block[0] * block[1] * (tile + partials)
