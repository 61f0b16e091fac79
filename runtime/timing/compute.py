"""What compute instructions cost unpack, math and pack, in cycles.

Formulas of the accuracy study (timing.md section 3) and the fact sheet (wormhole.md
sections 2.5 to 2.11); the constants stand in `costs.toml`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dialects.formats import EXPONENT_SECTION_BYTES, DataFormat
from runtime import instructions as ins
from runtime.costs import CostTable
from runtime.launch import CircularBufferFacts


@dataclass(frozen=True)
class SourceWork:
    """Work of unpack and math on one instruction, joined by the banks of Src.

    `parts` counts the bank fills, `fpu_cycles` what the matrix unit itself computes.
    """

    unpack_cycles: float
    math_cycles: float
    parts: int
    fpu_cycles: float


class ComputeCosts:
    """Costs of compute instructions, given formats and fidelity of a program.

    `busy_l1`: the NoC writes to L1 meanwhile, which slows the unpacker of SrcA.
    """

    def __init__(
        self,
        costs: CostTable,
        buffers: Sequence[CircularBufferFacts],
        phases: int,
        *,
        busy_l1: bool = True,
    ):
        self.costs = costs
        self.phases = phases
        srca = costs.unpack_bytes_per_cycle
        if busy_l1:
            srca = costs.unpack_busy_srca_bytes_per_cycle
        sizes = [_mantissa_bytes(b.data_format) for b in buffers]
        self._srca = [size / srca for size in sizes]
        self._srcb = [size / costs.unpack_bytes_per_cycle for size in sizes]
        self._pack = [
            b.data_format.tile_bytes / costs.pack_bytes_per_cycle for b in buffers
        ]

    def copy(self, op: ins.CopyTiles) -> SourceWork:
        """Datacopy: one operand through SrcA."""
        return self._tiles(op.slots.size, self._srca[op.cb], self._element_wise(1))

    def tilize(self, op: ins.TilizeBlock) -> SourceWork:
        """Datacopy of rows that do not lie together."""
        unpack = self._srca[op.cb] + self.costs.tilize_tile_cycles
        return self._tiles(op.slots.size, unpack, self._element_wise(1))

    def binary(self, op: ins.BinaryTiles) -> SourceWork:
        """Element-wise on the matrix unit; products take every phase."""
        unpack = self._srca[op.lhs_cb] + self._srcb[op.rhs_cb]
        math = self._element_wise(self.phases if op.kind == "mul" else 1)
        return self._tiles(op.lhs_slots.size, unpack, math)

    def reduce(self, op: ins.ReduceTiles) -> SourceWork:
        """Pooling; a column of values (`row`) costs less than a row of them."""
        costs = self.costs
        math = {"row": costs.reduce_row_cycles, "col": costs.reduce_col_cycles}.get(
            op.dim, costs.reduce_row_cycles + costs.reduce_col_cycles
        )
        if op.kind == "sum":
            math += costs.reduce_phase_cycles * (self.phases - 1)
        unpack = self._srca[op.cb] + self._srcb[op.scaler_cb]
        return self._tiles(op.slots.size, unpack, math)

    def matmul(self, op: ins.MatmulBlock) -> SourceWork:
        """Block of rows x columns over k: one operand stays while the other streams.

        in0 goes to SrcB, in1 to SrcA. A call covers one step of k, or one tile where
        nothing stays; its processor needs some cycles to issue it.
        """
        costs = self.costs
        (rows, depth), columns = op.lhs_slots.shape, op.rhs_slots.shape[1]
        tiles = rows * columns
        in0, in1 = self._srcb[op.lhs_cb], self._srca[op.rhs_cb]
        switches = min(rows, columns) if op.keeps_tiles else tiles
        kept, streamed = (in0, in1) if columns >= rows else (in1, in0)
        unpack = switches * kept + tiles * streamed
        calls = 1 if op.keeps_tiles else tiles
        unpack = max(unpack, calls * costs.unpack_call_cycles)
        math = tiles * costs.matmul_phase_cycles * self.phases
        math += switches * costs.matmul_switch_cycles
        return SourceWork(
            depth * unpack + costs.matmul_block_cycles,
            depth * math + costs.matmul_block_cycles,
            max(1, depth * tiles),
            depth * tiles * 16.0 * self.phases,
        )

    def vector(self, function: str, count: int) -> float:
        """The vector unit on `count` tiles of Dst."""
        return self.costs.sfpu[function] * count

    def pack(self, op: ins.PackTiles) -> float:
        """The packer, at half its rate when it adds to what is there."""
        factor = self.costs.l1_accumulate_factor if op.l1_accumulate else 1.0
        return op.slots.size * self._pack[op.cb] * factor

    def _element_wise(self, phases: int) -> float:
        return self.costs.eltwise_tile_cycles * phases

    def _tiles(self, count: int, unpack: float, math: float) -> SourceWork:
        overhead = self.costs.tile_overhead_cycles
        return SourceWork(
            count * (unpack + overhead),
            count * (math + overhead),
            max(1, count),
            count * math,
        )


def _mantissa_bytes(data_format: DataFormat) -> int:
    """Bytes of a tile less the exponents, which have a port of their own."""
    exponents = EXPONENT_SECTION_BYTES if data_format.is_block_float else 0
    return data_format.tile_bytes - exponents
