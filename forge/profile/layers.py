"""Which layer of the model each run of a netlist belongs to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dialects.tensix import BufferOp
from runtime.machine import Machine, Run


def layers_of(machine: Machine, runs: Sequence[Run]) -> tuple[int | None, ...]:
    """The layer of every one of some runs, None for those outside layers.

    A run that binds an instance of a family (`@layers.$.wqkv`) is of the layer with its
    number. One that binds a weight that no other run binds is outside layers. Any
    other is of the layer of the run before it.
    """
    numbers = _family_numbers(machine)
    uses = Counter(name for run in runs for name in set(run.buffers))
    layers: list[int | None] = []
    for run in runs:
        own = [numbers[name] for name in run.buffers if name in numbers]
        if own:
            layers.append(max(own))
        elif any(_is_own_weight(machine, name, uses) for name in run.buffers):
            layers.append(None)
        else:
            layers.append(layers[-1] if layers else None)
    return tuple(layers)


def _family_numbers(machine: Machine) -> dict[str, int]:
    """The number of every buffer that is one of a family."""
    return {
        op.sym_name.data.replace("$", str(number)): number
        for op in machine.netlist.body.block.ops
        if isinstance(op, BufferOp) and op.last is not None
        for number in range(op.last.value + 1)
    }


def _is_own_weight(machine: Machine, name: str, uses: Counter[str]) -> bool:
    return machine.buffers[name].recipe is not None and uses[name] == 1
