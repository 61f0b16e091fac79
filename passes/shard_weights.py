"""`shard-weights`: each column of tiles of a weight lies whole in one DRAM bank.

Interleaved page by page, weights reach the cores over the links that lead out of the
DRAM columns, which are full at two thirds of what DRAM gives. A core that takes the
columns of the bank beside it uses links of its own, and reads many tiles at once. A
weight with few columns would leave banks idle: it stays interleaved.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from dialects.chip import load_chip
from dialects.expr import Name
from dialects.formats import TILE_EDGE
from dialects.grid import ProgramOp, UsesAttr
from dialects.grid_attributes import Use
from dialects.ttir.base import shape_of
from passes.schedule import streamed_weights

MOST_IMBALANCE = 1.4
"""Columns in the fullest bank over the mean up to which sharding pays: 266 B/cycle of
careful readers over 190 of interleaved ones (wormhole.md section 4.5)."""


@dataclass(frozen=True)
class ShardWeightsPass(ModulePass):
    """Mark the weights that are streamed by columns."""

    name = "shard-weights"

    chip: str = "n150"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        banks = load_chip(self.chip).num_dram_banks
        for program in op.walk():
            if isinstance(program, ProgramOp):
                _mark(program, banks)


def _mark(program: ProgramOp, banks: int) -> None:
    streamed = streamed_weights(program)
    uses = [
        replace(
            use,
            sharded=_sharded(use, source, banks) if argument in streamed else None,
        )
        for use, argument, source in zip(
            program.uses.data, program.body.block.args, program.inputs, strict=True
        )
    ]
    program.properties["uses"] = UsesAttr(tuple(uses))


def _sharded(use: Use, source: SSAValue, banks: int) -> str | None:
    fits = isinstance(use.map[1], Name) and is_balanced(shape_of(source), banks)
    return "columns" if fits else None


def is_balanced(shape: tuple[int, ...], banks: int) -> bool:
    """Whether the columns of a matrix fill all banks about equally."""
    columns = ceil(shape[-1] / TILE_EDGE)
    return len(shape) == 2 and ceil(columns / banks) * banks <= MOST_IMBALANCE * columns
