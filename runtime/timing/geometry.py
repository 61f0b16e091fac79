"""The NoC as graph: nodes, links, routes, multicast trees.

A node is a tile of the die, `y * columns + x` in NoC 0 coordinates. Both NoCs are
tori; NoC 0 goes right, then down, NoC 1 up, then left (wormhole.md section 4.1). A
link is named by the node it leaves: `(noc * nodes + node) * 2 + axis`, axis 0 for x.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from dialects.chip import Chip, Core, NocPoint

NUM_NOCS = 2

# Columns of a tree's table: link into the node, receiving core or -1, first child,
# next sibling, hops of the acknowledgement.
TREE_COLUMNS = 5


@dataclass(frozen=True, eq=False)
class Geometry:
    """Routes of a chip as flat tables, for the event loop."""

    columns: int
    rows: int
    route: np.ndarray
    """(noc, node, target) -> link to take, -1 on arrival."""
    link_end: np.ndarray
    """link -> node."""
    distance: np.ndarray
    """(noc, node, target) -> hops."""
    table: np.ndarray
    """All three behind each other, flat, as the event loop takes them."""
    dram_nodes: tuple[int, ...]
    worker_nodes: tuple[int, ...]
    grid_columns: int
    tensix_columns: tuple[int, ...]
    tensix_rows: tuple[int, ...]
    """Columns and rows of worker tiles; of the rows, those not fused off."""

    @property
    def num_nodes(self) -> int:
        """Tiles of the die."""
        return self.columns * self.rows

    def worker_node(self, core: Core) -> int:
        """The node of a logical core."""
        return self.worker_nodes[core.y * self.grid_columns + core.x]

    def node_at(self, point: NocPoint) -> int:
        """The node of a tile by its NoC 0 coordinates."""
        return point.noc_y * self.columns + point.noc_x

    def node_of(self, place: Core | NocPoint) -> int:
        """The node of a logical core, or of a tile."""
        if isinstance(place, NocPoint):
            return self.node_at(place)
        return self.worker_node(place)

    def workers_in(self, first: NocPoint, last: NocPoint) -> list[NocPoint]:
        """The worker tiles of a rectangle, all rows of the die counted."""
        return [
            NocPoint(x, y)
            for y in range(first.noc_y, last.noc_y + 1)
            for x in range(first.noc_x, last.noc_x + 1)
            if x in self.tensix_columns and y in self.tensix_rows
        ]

    def point(self, node: int) -> tuple[int, int]:
        """Column and row of a node."""
        return node % self.columns, node // self.columns

    def hops(self, noc: int, source: int, target: int) -> int:
        """Hops from one node to another."""
        return int(self.distance[noc, source, target])

    def span(self, nodes: Sequence[int]) -> int:
        """Hops across the rectangle around some nodes, gaps included."""
        xs, ys = zip(*map(self.point, nodes), strict=True)
        return max(xs) - min(xs) + max(ys) - min(ys)

    def tree(
        self, noc: int, source: int, receivers: dict[int, int]
    ) -> list[tuple[int, ...]]:
        """The rows of a multicast's tree; `receivers` maps nodes to core numbers.

        Node 0 is the source itself and has no link. The path first runs along the
        NoC's first axis, and from each column (or row) that holds receivers a branch
        runs along the other, round the torus where it must.
        """
        rows: list[list[int]] = [[-1, -1, -1, -1, 0]]
        major_end = self._trunk(noc, source, receivers)
        at, row = source, 0
        for step in range(major_end + 1):
            if step:
                at, row = self._grow(rows, noc, row, at, noc, source, receivers)
            self._branch(rows, noc, row, at, source, receivers)
        return [tuple(r) for r in rows]

    def _offset(self, noc: int, axis: int, source: int, target: int) -> int:
        """Steps along one axis, in the NoC's direction."""
        difference = self.point(target)[axis] - self.point(source)[axis]
        size = self.columns if axis == 0 else self.rows
        return (difference if noc == 0 else -difference) % size

    def _trunk(self, noc: int, source: int, receivers: dict[int, int]) -> int:
        """Steps along the first axis (x on NoC 0, y on NoC 1)."""
        return max(self._offset(noc, noc, source, node) for node in receivers)

    def _branch(
        self,
        rows: list[list[int]],
        noc: int,
        row: int,
        at: int,
        source: int,
        receivers: dict[int, int],
    ) -> None:
        column = self.point(at)[noc]
        reached = [
            self._offset(noc, 1 - noc, at, node)
            for node in receivers
            if self.point(node)[noc] == column
        ]
        for _ in range(max(reached, default=0)):
            at, row = self._grow(rows, noc, row, at, 1 - noc, source, receivers)

    def _grow(
        self,
        rows: list[list[int]],
        noc: int,
        parent: int,
        at: int,
        axis: int,
        source: int,
        receivers: dict[int, int],
    ) -> tuple[int, int]:
        """Add the node behind one link, as first child of `parent`."""
        link = (noc * self.num_nodes + at) * 2 + axis
        node = int(self.link_end[link])
        back = self.hops(noc, node, source)
        number = len(rows)
        rows.append([link, receivers.get(node, -1), -1, rows[parent][2], back])
        rows[parent][2] = number
        return node, number


@cache
def geometry_of(chip: Chip) -> Geometry:
    """The tables of a chip."""
    columns, num_rows = chip.noc_columns, chip.noc_rows
    nodes = columns * num_rows
    here = np.arange(nodes)
    x, y = here % columns, here // columns
    dx = (x[None, :] - x[:, None]) % columns
    dy = (y[None, :] - y[:, None]) % num_rows
    back_x, back_y = (-dx) % columns, (-dy) % num_rows
    first_link = here[:, None] * 2
    noc0 = np.where(dx > 0, first_link, np.where(dy > 0, first_link + 1, -1))
    noc1 = np.where(back_y > 0, first_link + 1, np.where(back_x > 0, first_link, -1))
    noc1 = np.where(noc1 >= 0, noc1 + nodes * 2, -1)
    link_end = np.empty((NUM_NOCS, nodes, 2), np.int64)
    for noc, step in enumerate((1, -1)):
        link_end[noc, :, 0] = y * columns + (x + step) % columns
        link_end[noc, :, 1] = (y + step) % num_rows * columns + x
    route = np.stack([noc0, noc1]).astype(np.int64)
    distance = np.stack([dx + dy, back_x + back_y]).astype(np.int64)
    return Geometry(
        columns=columns,
        rows=num_rows,
        route=route,
        link_end=link_end.reshape(-1),
        distance=distance,
        table=np.concatenate([a.reshape(-1) for a in (route, distance, link_end)]),
        dram_nodes=tuple(p.noc_y * columns + p.noc_x for p in chip.dram_endpoints),
        worker_nodes=tuple(
            chip.worker_rows[row] * columns + chip.worker_columns[column]
            for row in range(chip.grid.y)
            for column in range(chip.grid.x)
        ),
        grid_columns=chip.grid.x,
        tensix_columns=chip.worker_columns,
        tensix_rows=chip.worker_rows,
    )
