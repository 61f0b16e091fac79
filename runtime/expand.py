"""From the text of a program to the instruction streams of its cores.

The one reader of kernels: `runtime.expander` walks them, the tables of
`runtime.expand_movement` and `runtime.expand_compute` say what each operation becomes.
"""

from __future__ import annotations

from collections.abc import Sequence

from dialects.chip import Core
from dialects.expr import Environment
from dialects.program import ProgramFacts, Tensor
from runtime.expand_compute import COMPUTE
from runtime.expand_movement import MOVEMENT
from runtime.expander import Expander
from runtime.launch import Launch


def expand_program(
    facts: ProgramFacts,
    tensors: Sequence[Tensor],
    *,
    cores: Sequence[Core] | None = None,
    scalars: Environment | None = None,
) -> Launch:
    """Expand a program, bound to tensors, for all its active cores or some of them.

    `scalars` are the values of run-time scalars by name, arrays of whole numbers; they
    are at the upper ends of their ranges where none are given. Raises `NetlistError`
    with the line where a name, a map or a block makes no sense.
    """
    wanted = facts.cores if cores is None else cores
    given = facts.scalar_ends()[-1] if scalars is None else scalars
    builders = {**MOVEMENT, **COMPUTE}
    return Expander(facts, tensors, builders, given).launch(wanted)
