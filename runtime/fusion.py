"""Fusion: element-wise steps on the same rows become one chain.

Values that only a chain reads stay in its registers. A step joins a chain when it has
the chain's shape and reads its results element by element in place; a step that needs a
finished result of a chain closes it first. Rounding points are steps themselves, so
that nothing changes but where values lie.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from runtime.liveness import Segments
from runtime.steps import Place, Step, Vector, reads


@dataclass
class Chain:
    """Element-wise steps in order; `kept` are the sheets that others read, too."""

    columns: int
    segments: Segments
    steps: list[Vector] = field(default_factory=list)
    kept: set[int] = field(default_factory=set)

    @property
    def outs(self) -> set[int]:
        """All sheets that the chain computes."""
        return {step.out for step in self.steps}

    def takes(self, step: Vector) -> bool:
        """Whether a step can go on in this chain."""
        if (step.columns, step.segments) != (self.columns, self.segments):
            return False
        outs = self.outs
        return all(
            place == Place(place.sheet, 0, 0)
            for place in step.operands
            if place.sheet in outs
        )

    @property
    def operands(self) -> tuple[Place, ...]:
        """What the chain reads from outside."""
        outs = self.outs
        return tuple(
            place
            for step in self.steps
            for place in step.operands
            if place.sheet not in outs
        )

    @property
    def name(self) -> str:
        """The names of all its steps."""
        return ", ".join(step.name for step in self.steps)


Fused: TypeAlias = "Step | Chain"


def fuse(
    steps: Sequence[Step],
    num_parameters: int,
    is_fusible: Callable[[Vector], bool] = lambda _: True,
) -> list[Fused]:
    """Form chains; sheets below `num_parameters` are kept whoever reads them."""
    fusing = _Fusing()
    for step in steps:
        if isinstance(step, Vector) and is_fusible(step):
            fusing.join(step)
        else:
            fusing.close(set(reads(step)), written=step.out)
            fusing.fused.append(step)
    for chain in list(fusing.open):
        fusing.close(chain.outs)
    _keep(fusing.fused, num_parameters)
    return fusing.fused


class _Fusing:
    """Finished steps and chains in order, and the chains that may still grow."""

    def __init__(self) -> None:
        self.fused: list[Fused] = []
        self.open: list[Chain] = []

    def join(self, step: Vector) -> None:
        """Let a step go on in the chain whose results it reads, or begin one."""
        needed = set(reads(step))
        takes = (c for c in self.open if c.outs & needed and c.takes(step))
        chain = next(takes, None)
        self.close(needed, spared=chain)
        if chain is None or chain not in self.open:
            chain = Chain(step.columns, step.segments)
            self.open.append(chain)
        chain.steps.append(step)

    def close(
        self, needed: set[int], *, spared: Chain | None = None, written: int = -1
    ) -> None:
        """Finish the chains that compute what is needed, or read what is written."""
        for chain in list(self.open):
            sources = {place.sheet for place in chain.operands}
            due = chain.outs & needed or written in sources
            if chain is not spared and chain in self.open and due:
                self.open.remove(chain)
                self.close(sources)
                self.fused.append(chain)


def _keep(fused: Sequence[Fused], num_parameters: int) -> None:
    """Find out which results of chains leave them."""
    outside: Counter[int] = Counter()
    for step in fused:
        if isinstance(step, Chain):
            outside.update({place.sheet for place in step.operands})
        else:
            outside.update(set(reads(step)))
    for step in fused:
        if isinstance(step, Chain):
            step.kept = {
                out for out in step.outs if out < num_parameters or outside[out]
            }
