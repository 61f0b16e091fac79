"""`choose-fidelity`: how many phases the matrix unit takes for products with weights.

Weights in a block float have fewer bits than the phases of HiFi4 read; attention, norms
and everything else keep HiFi4.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from dialects.grid import ProgramOp
from dialects.syntax import WordAttr
from passes.schedule import streamed_weights


@dataclass(frozen=True)
class ChooseFidelityPass(ModulePass):
    """State the fidelity of programs that contract with weights."""

    name = "choose-fidelity"

    weights: str = "HiFi4"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for program in op.walk():
            if isinstance(program, ProgramOp) and streamed_weights(program):
                program.properties["fidelity"] = WordAttr(self.weights)
