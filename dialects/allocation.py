"""The one allocation rule: addresses follow from names, layouts and the order of runs.

Circular buffers of a program lie from the bottom of L1, in the order of their lines,
at the same address on all cores; L1 tensors from the top. DRAM buffers are spread page
by page over all banks and have the same address in each. Weights and caches stay; a
scratch buffer lives from the first run that binds it to the last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from dialects.bindings import Bindings
from dialects.chip import Chip
from dialects.program import ProgramFacts, Tensor
from dialects.tensix import NetlistOp, RunOp


@dataclass(frozen=True)
class Place:
    """Where a buffer lies: address and bytes in every bank (DRAM) or core (L1).

    `first` and `last` are the numbers of the runs between which it lives.
    """

    memory: str
    address: int
    num_bytes: int
    first: int
    last: int

    def lives_at(self, run: int) -> bool:
        """Whether the buffer holds something during a run."""
        return self.first <= run <= self.last


@dataclass(frozen=True)
class Region:
    """A stretch of a core's L1: a circular buffer or a part of a tensor."""

    name: str
    kind: str
    address: int
    num_bytes: int


def circular_buffer_bytes(
    facts: ProgramFacts, tensors: Mapping[str, Tensor]
) -> dict[str, int]:
    """Bytes of each circular buffer, with tensors bound to the parameters by name.

    One that lies over a shard or shares its place takes none of its own.
    """
    return {
        name: 0
        if buffer.over or buffer.shares is not None
        else buffer.capacity * facts.format_of(buffer, dict(tensors)).tile_bytes
        for name, buffer in facts.circular_buffers.items()
    }


def bound_by_name(facts: ProgramFacts, tensors: Sequence[Tensor]) -> dict[str, Tensor]:
    """The tensors of a run under the names of the program's parameters."""
    names = [name for _, name in facts.parameters]
    return dict(zip(names, tensors, strict=True))


def allocate_circular_buffers(
    facts: ProgramFacts, tensors: Mapping[str, Tensor], chip: Chip
) -> dict[str, tuple[int, int]]:
    """Address and bytes of each circular buffer, bottom-up in text order."""
    places, address = {}, chip.l1_reserved_bytes
    for name, num_bytes in circular_buffer_bytes(facts, tensors).items():
        places[name] = (address, num_bytes)
        address += chip.aligned(num_bytes)
    for name, buffer in facts.circular_buffers.items():
        if buffer.shares is not None:
            places[name] = places[buffer.shares]
    return places


def page_bytes(tensor: Tensor) -> int:
    """Bytes of what lies in one bank in one piece: a tile, or a row of elements."""
    if tensor.row_major:
        return tensor.shape[-1] * (tensor.data_format.element_bytes or 0)
    return tensor.data_format.tile_bytes


def bytes_per_unit(tensor: Tensor, chip: Chip) -> int:
    """Bytes in the fullest bank (DRAM) or core (L1), aligned."""
    if tensor.shards is not None:
        rows, columns = tensor.shard_tiles
        shard_bytes = chip.aligned(rows * columns * page_bytes(tensor))
        in_dram = tensor.memory == "dram"
        return shard_bytes * (
            -(-prod(tensor.shards) // chip.num_dram_banks) if in_dram else 1
        )
    units = chip.num_dram_banks if tensor.memory == "dram" else chip.num_cores
    page = chip.aligned(page_bytes(tensor))
    num_pages = tensor.num_tiles
    if tensor.row_major:
        num_pages = -(-tensor.num_bytes // page_bytes(tensor))
    return -(-num_pages // units) * page


def lifetimes(bindings: Bindings) -> dict[str, tuple[int, int]]:
    """First and last run of every buffer that holds something at some time."""
    end = max(len(bindings.runs) - 1, 0)
    bound: dict[str, tuple[int, int]] = {}
    for number, run in enumerate(bindings.runs):
        for name in run.buffers.data:
            bound[name] = (bound.get(name, (number, number))[0], number)
    lives = {}
    for name, buffer in bindings.buffers.items():
        first, last = bound.get(name, (0, end))
        if buffer.recipe is not None or buffer.role == "cache":
            lives[name] = (0, end)
        elif buffer.role is not None or name in bound:
            lives[name] = (
                0 if buffer.role == "input" else first,
                end if buffer.role == "output" else last,
            )
    return lives


def allocate_buffers(netlist: NetlistOp, chip: Chip) -> dict[str, Place]:
    """The place of every buffer that is bound or persists."""
    bindings = Bindings(netlist)
    lives = lifetimes(bindings)
    live = [b for b in bindings.buffers.values() if b.name in lives]
    places = {}
    for memory in ("dram", "l1"):
        own = [b for b in live if b.tensor.memory == memory]
        sizes = {b.name: bytes_per_unit(b.tensor, chip) for b in own}
        offsets = first_fit(sizes, lives)
        for buffer in own:
            num_bytes = sizes[buffer.name]
            offset = offsets[buffer.name]
            address = offset if memory == "dram" else chip.l1_bytes - offset - num_bytes
            places[buffer.name] = Place(memory, address, num_bytes, *lives[buffer.name])
    return places


def first_fit(
    sizes: Mapping[str, int], lives: Mapping[str, tuple[int, int]]
) -> dict[str, int]:
    """Offsets such that buffers that live at one time do not overlap.

    `sizes` are bytes, `lives` the first and last run of each. What lives longest goes
    first, so that weights lie in one piece at the bottom.
    """
    order = sorted(sizes, key=lambda name: lives[name][0] - lives[name][1])
    whole = (0, max((last for _, last in lives.values()), default=0))
    taken: list[tuple[int, int, int, int]] = []
    offsets, bottom = {}, 0
    for name in order:
        num_bytes, (first, last) = sizes[name], lives[name]
        if (first, last) == whole:
            offsets[name], bottom = bottom, bottom + num_bytes
            continue
        offset = _gap(taken, first, last, num_bytes, bottom)
        taken.append((offset, offset + num_bytes, first, last))
        offsets[name] = offset
    return offsets


def _gap(
    taken: Sequence[tuple[int, int, int, int]],
    first: int,
    last: int,
    num_bytes: int,
    start: int,
) -> int:
    """The lowest offset from `start` at which nothing else lives meanwhile."""
    clashing = sorted(
        (begin, end)
        for begin, end, from_run, to_run in taken
        if from_run <= last and first <= to_run
    )
    for begin, end in clashing:
        if start + num_bytes <= begin:
            break
        start = max(start, end)
    return start


def l1_map(
    run: RunOp,
    facts: ProgramFacts,
    *,
    bindings: Bindings,
    places: Mapping[str, Place],
    chip: Chip,
) -> list[Region]:
    """What lies in the L1 of a core during a run, by address."""
    tensors = bound_by_name(facts, bindings.tensors(run))
    regions = [
        Region(f"%{name}", "circular buffer", address, num_bytes)
        for name, (address, num_bytes) in allocate_circular_buffers(
            facts, tensors, chip
        ).items()
    ]
    return sorted(
        [*regions, *l1_tensors(run, bindings, places)], key=lambda r: r.address
    )


def l1_tensors(
    run: RunOp, bindings: Bindings, places: Mapping[str, Place]
) -> list[Region]:
    """The parts of L1 tensors that lie on every core during a run."""
    number = next(n for n, other in enumerate(bindings.runs) if other is run)
    return [
        Region(f"@{name}", "tensor", place.address, place.num_bytes)
        for name, place in places.items()
        if place.memory == "l1" and place.lives_at(number)
    ]
