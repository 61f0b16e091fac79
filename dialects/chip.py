"""The facts of a chip: grid, coordinates, memory. Data in `chips.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import NamedTuple

from dialects.errors import ForgeError


class Core(NamedTuple):
    """A worker core by its logical coordinates: column x, row y, from (0, 0)."""

    x: int
    y: int

    def __str__(self) -> str:
        return f"({self.x},{self.y})"


class NocPoint(NamedTuple):
    """A tile of the die by its NoC 0 coordinates (x right, y down)."""

    noc_x: int
    noc_y: int


@dataclass(frozen=True)
class Chip:
    """What compiler and emulator know of a chip; sources stand in `chips.toml`."""

    name: str
    description: str
    grid: Core
    clock_ghz: float
    noc_columns: int
    noc_rows: int
    worker_columns: tuple[int, ...]
    worker_rows: tuple[int, ...]
    dram_endpoints: tuple[NocPoint, ...]
    dispatch_tile: NocPoint
    dram_bank_bytes: int
    dram_alignment_bytes: int
    l1_bytes: int
    l1_reserved_bytes: int
    l1_alignment_bytes: int
    num_circular_buffers: int
    num_semaphores: int
    max_packet_bytes: int

    @property
    def num_cores(self) -> int:
        """Worker cores that a program may use."""
        return self.grid.x * self.grid.y

    @property
    def num_dram_banks(self) -> int:
        """DRAM banks, one for each channel."""
        return len(self.dram_endpoints)

    @property
    def l1_usable_bytes(self) -> int:
        """L1 that circular buffers and tensors share, in bytes per core."""
        return self.l1_bytes - self.l1_reserved_bytes

    @cached_property
    def bank_cores(self) -> tuple[Core, ...]:
        """Worker cores beside the DRAM banks: core p serves bank p mod banks.

        The first of each bank come first, then the second, and so on. Reads on NoC 0
        go right, then down: a bank's cores are those of one row behind its endpoint,
        up to the next column of DRAM. Where that row has no workers it is the next free
        row below, so that no two banks share a link (wormhole.md section 4.5). Where
        enough cores are left over, each bank gets the nearest of them last.
        """
        free = {end.noc_x: list(range(self.grid.y)) for end in self.dram_endpoints}
        banks = range(self.num_dram_banks)
        own = [b for b in banks if self.dram_endpoints[b].noc_y in self._used_rows]
        rows: dict[int, int] = {}
        for bank in (*own, *(b for b in banks if b not in own)):
            end = self.dram_endpoints[bank]
            rows[bank] = self._row_below(end, free[end.noc_x])
            free[end.noc_x].remove(rows[bank])
        lines = [self._columns_behind(end) for end in self.dram_endpoints]
        beside = [
            Core(lines[bank][place], rows[bank])
            for place in range(min(map(len, lines)))
            for bank in banks
        ]
        left = [core for core in self.cores if core not in beside]
        last: list[Core] = []
        for end in self.dram_endpoints if len(left) >= self.num_dram_banks else ():
            last.append(min(left, key=lambda core: self._hops_behind(end, core)))
            left.remove(last[-1])
        return (*beside, *last)

    @property
    def cores(self) -> tuple[Core, ...]:
        """All worker cores, row by row."""
        return tuple(Core(x, y) for y in range(self.grid.y) for x in range(self.grid.x))

    def _hops_behind(self, end: NocPoint, core: Core) -> int:
        """Hops from a DRAM tile to a core on NoC 0."""
        there = self.noc_point(core)
        right = (there.noc_x - end.noc_x) % self.noc_columns
        return right + (there.noc_y - end.noc_y) % self.noc_rows

    @property
    def _used_rows(self) -> tuple[int, ...]:
        """NoC rows of the logical grid."""
        return self.worker_rows[: self.grid.y]

    def _row_below(self, end: NocPoint, free: list[int]) -> int:
        """The first of some logical rows at or below a tile, round the torus."""
        return min(
            free, key=lambda row: (self.worker_rows[row] - end.noc_y) % self.noc_rows
        )

    def _columns_behind(self, end: NocPoint) -> list[int]:
        """Logical columns from a tile rightwards to the next column of DRAM."""
        others = {e.noc_x for e in self.dram_endpoints if e.noc_x > end.noc_x}
        stop = min(others, default=self.noc_columns)
        return [
            column
            for column, x in enumerate(self.worker_columns[: self.grid.x])
            if end.noc_x < x < stop
        ]

    def noc_point(self, core: Core) -> NocPoint:
        """Where a logical core lies on the die."""
        return NocPoint(self.worker_columns[core.x], self.worker_rows[core.y])

    def nearest_noc(self, source: Core, target: Core) -> int:
        """The NoC with the shorter way: 0 goes right and down, 1 left and up, both
        round the edges (wormhole.md section 4.1)."""
        here, there = self.noc_point(source), self.noc_point(target)
        right = (there.noc_x - here.noc_x) % self.noc_columns
        down = (there.noc_y - here.noc_y) % self.noc_rows
        left, up = -right % self.noc_columns, -down % self.noc_rows
        return int(left + up < right + down)

    def aligned(self, num_bytes: int) -> int:
        """Round a size in bytes up to the allocator's alignment."""
        unit = self.l1_alignment_bytes
        return -(-num_bytes // unit) * unit


@cache
def _table() -> dict:
    return tomllib.loads((resources.files("dialects") / "chips.toml").read_text())


def chip_names() -> tuple[str, ...]:
    """Names of all chips that forge knows."""
    return tuple(_table()["chips"])


@cache
def load_chip(name: str) -> Chip:
    """Return a chip by name; `ForgeError` lists the known ones."""
    table = _table()
    if name not in table["chips"]:
        raise ForgeError(
            f"chip '{name}' is not known",
            advice=f"use one of {', '.join(table['chips'])}",
        )
    facts = table["wormhole"] | table["chips"][name]
    harvested = facts.pop("harvested_rows")
    return Chip(
        name=name,
        grid=Core(*facts.pop("grid")),
        worker_columns=tuple(facts.pop("worker_columns")),
        worker_rows=tuple(r for r in facts.pop("worker_rows") if r not in harvested),
        dispatch_tile=NocPoint(*facts.pop("dispatch_tile")),
        dram_endpoints=tuple(NocPoint(*p) for p in facts.pop("dram_endpoints")),
        **facts,
    )
