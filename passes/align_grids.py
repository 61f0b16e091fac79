"""`align-grids`: tensors between programs stay in L1, cut as their programs are spread.

All tensors that equal programs make or read lie alike, so that equal layers stay
equal. Of the ways in which such a group may lie (page by page over all cores, or in
the parts of a program that makes or reads it) the cheapest is taken that fits beside
the circular buffers of all programs that run meanwhile; what fits in no way stays in
DRAM. A program whose parts are the shards works on them where they lie.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from networkx.utils import UnionFind
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, OpResult
from xdsl.passes import ModulePass

from dialects.allocation import bytes_per_unit, first_fit
from dialects.chip import Chip, load_chip
from dialects.grid import ProgramOp, UsesAttr, stored_format
from dialects.grid_attributes import Layout, Use
from dialects.program import Tensor
from dialects.ttir.base import shape_of
from dialects.weight_formats import WeightFormats
from passes.l1_budget import usable_bytes
from passes.partitions import Access, Demand, Demands, shards_of
from passes.structure_key import structure_key

# First-order prices in cycles, from the Wormhole fact sheet (section in brackets).
_PAGE_ISSUE = 38  # one interleaved page by one RISC [4.5]
_SHARD_ISSUE = 26  # one piece of a shard [4.3]
_NIU_BYTES_PER_CYCLE = 28.7  # in or out of one core, reading [4.3]

INTERLEAVED = Layout("l1")


@dataclass(frozen=True)
class AlignGridsPass(ModulePass):
    """Keep tensors between programs in L1."""

    name = "align-grids"

    chip: str = "n150"
    weights_format: str = "bf16"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        chip, formats = load_chip(self.chip), WeightFormats.parse(self.weights_format)
        for function in op.walk():
            if isinstance(function, FuncOp):
                _Aligner(function, chip, formats).run()


@dataclass(frozen=True)
class Between:
    """A tensor that one program makes and others read."""

    value: OpResult
    maker: Access
    readers: tuple[Access, ...]

    @property
    def accesses(self) -> tuple[Access, ...]:
        """All that touches it."""
        return (self.maker, *self.readers)

    @property
    def lifetime(self) -> tuple[int, int]:
        """The first and the last program that touches it."""
        return self.maker.program, max(access.program for access in self.accesses)

    def stored(self, layout: Layout) -> Tensor:
        """The buffer that would hold it."""
        shape = shape_of(self.value)
        matrix = shape if len(shape) > 1 else (1, *shape)
        return Tensor(
            stored_format(self.value),
            matrix,
            layout.memory,
            shards=layout.shards,
            shards_over=layout.over,
        )


class _Aligner:
    """Chooses the layouts of one function, group by group."""

    def __init__(self, function: FuncOp, chip: Chip, weights: WeightFormats):
        self.chip = chip
        block = function.body.block
        self.programs = [op for op in block.ops if isinstance(op, ProgramOp)]
        numbers: dict[Hashable, int] = {}
        self.equal = [
            numbers.setdefault(structure_key(program), number)
            for number, program in enumerate(self.programs)
        ]
        self.demands = {
            number: Demands(self.programs[number], chip, weights)
            for number in set(self.equal)
        }
        self.tensors = list(self._between(block.last_op))
        self.fixed = self._fixed()

    def run(self) -> None:
        """Choose and state all layouts."""
        layouts: dict[Between, Layout] = {}
        for group in self._groups():
            for layout in self._by_price(group):
                chosen = {**layouts, **dict.fromkeys(group, layout)}
                if self._fits(chosen):
                    layouts = chosen
                    break
        for tensor, layout in layouts.items():
            for access in tensor.accesses:
                self._state(access, layout, tensor)

    # -- what there is -------------------------------------------------------------

    def _between(self, last: Operation | None) -> Iterator[Between]:
        """Tensors that are neither results of the function nor caches."""
        returned = set(last.operands) if isinstance(last, ReturnOp) else set()
        place = {program: number for number, program in enumerate(self.programs)}
        for program, number in place.items():
            pairs = zip(program.outputs, program.makes.data, strict=True)
            for index, (value, use) in enumerate(pairs):
                if value in returned or use.inplace is not None:
                    continue
                readers = tuple(
                    Access(place[user.operation], user.index, makes=False)
                    for user in value.uses
                    if isinstance(user.operation, ProgramOp)
                )
                yield Between(value, Access(number, index, makes=True), readers)

    def _fixed(self) -> set[Access]:
        """Accesses of programs that do the same to what must lie in DRAM."""
        free = {access for tensor in self.tensors for access in tensor.accesses}
        every = {
            Access(number, index, makes)
            for number, program in enumerate(self.programs)
            for makes, values in ((True, program.outputs), (False, program.inputs))
            for index in range(len(values))
        }
        return {self._equal(access) for access in every - free}

    def _groups(self) -> list[list[Between]]:
        """Tensors that lie alike; those that are read most often come first."""
        union: UnionFind = UnionFind()
        for tensor in self.tensors:
            for access in tensor.accesses:
                union.union(tensor, self._equal(access))
        groups: dict[object, list[Between]] = {}
        for tensor in self.tensors:
            groups.setdefault(union[tensor], []).append(tensor)
        return sorted(groups.values(), key=self._reads, reverse=True)

    def _equal(self, access: Access) -> Access:
        """The same of the first program that is equal."""
        return access._replace(program=self.equal[access.program])

    def _reads(self, group: Sequence[Between]) -> float:
        """How often a tensor is read."""
        return sum(len(tensor.readers) for tensor in group) / len(group)

    def _demand(self, access: Access) -> Demand:
        return self.demands[self.equal[access.program]].of(access)

    # -- how it may lie --------------------------------------------------------------

    def _by_price(self, group: Sequence[Between]) -> list[Layout]:
        """Layouts of a group, the cheapest first; of equal ones the simplest."""
        counts = Counter(self._equal(a) for tensor in group for a in tensor.accesses)
        stored = {tensor.stored(INTERLEAVED) for tensor in group}
        if len(stored) > 1 or not self.fixed.isdisjoint(counts):
            return [INTERLEAVED]
        (tensor,) = stored
        found = [INTERLEAVED]
        for access in counts:
            parts = self._demand(access).parts
            if parts is not None:
                found += shards_of(parts, tensor.shape, self.chip)

        def price(layout: Layout) -> float:
            return sum(
                count * self._price(self._demand(access), tensor, layout)
                for access, count in counts.items()
            )

        return sorted(dict.fromkeys(found), key=price)

    def _price(self, demand: Demand, tensor: Tensor, layout: Layout) -> float:
        """Cycles on a core to read or write its part, or until the owners are done."""
        if demand.is_lent(layout, tensor.shape, self.chip):
            return 0.0
        page = tensor.data_format.tile_bytes
        owners = min(tensor.num_tiles, self.chip.num_cores)
        issue = _PAGE_ISSUE
        if layout.shards is not None:
            owners, issue = prod(layout.shards), _SHARD_ISSUE
        return max(
            demand.most_tiles * issue,
            demand.most_tiles * page / _NIU_BYTES_PER_CYCLE,
            demand.num_tiles * page / (owners * _NIU_BYTES_PER_CYCLE),
        )

    def _fits(self, layouts: Mapping[Between, Layout]) -> bool:
        """Whether these tensors fit beside the circular buffers of all programs.

        As in the netlist, a tensor takes the buffer of an earlier one of its kind.
        """
        kinds: dict[Tensor, list[tuple[int, int]]] = {}
        for tensor, layout in layouts.items():
            kinds.setdefault(tensor.stored(layout), []).append(tensor.lifetime)
        sizes: dict[str, int] = {}
        lives: dict[str, tuple[int, int]] = {}
        for tensor, spans in kinds.items():
            whole = min(first for first, _ in spans), max(last for _, last in spans)
            for _ in range(_most_at_once(spans)):
                name = str(len(sizes))
                sizes[name] = bytes_per_unit(tensor, self.chip)
                lives[name] = whole
        offsets = first_fit(sizes, lives)
        limit = usable_bytes(self.chip)
        for number, equal in enumerate(self.equal):
            alive = (n for n, (a, b) in lives.items() if a <= number <= b)
            top = max((offsets[name] + sizes[name] for name in alive), default=0)
            if self.demands[equal].circular_bytes + top > limit:
                return False
        return True

    def _state(self, access: Access, layout: Layout, tensor: Between) -> None:
        program = self.programs[access.program]
        shape = tensor.stored(layout).shape
        lent = self._demand(access).is_lent(layout, shape, self.chip)
        name = "makes" if access.makes else "uses"
        uses: list[Use] = list(program.properties[name].data)  # type: ignore[attr-defined]
        found = replace(uses[access.number], lent=lent)
        uses[access.number] = replace(found, layout=layout) if access.makes else found
        program.properties[name] = UsesAttr(tuple(uses))


def _most_at_once(spans: Sequence[tuple[int, int]]) -> int:
    """How many of some stretches there are at one point."""
    return max(sum(a <= first <= b for a, b in spans) for first, _ in spans)
