"""The NoC as graph: nodes, links, routes, multicast trees.

A node is a tile of the die, `y * columns + x` in NoC 0 coordinates. Both NoCs are
tori; NoC 0 goes right, then down, NoC 1 up, then left (wormhole.md section 4.1). A
link is named by the node it leaves: `(noc * nodes + node) * 2 + axis`, axis 0 for x.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from dialects.chip import Chip, Core, NocPoint

NUM_NOCS = 2


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
    dispatch_node: int
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

    def launch_hops(self, places: Iterable[Core] | Iterable[NocPoint]) -> list[int]:
        """Hops that the go signal takes to each core more than to the first.

        It is a multicast on NoC 1 from the dispatch tile.
        """
        nodes = [self.node_of(place) for place in places]
        hops = [self.hops(1, self.dispatch_node, node) for node in nodes]
        return [each - min(hops) for each in hops]

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
        """The rows of a multicast's tree: link, receiving core or -1, node behind it.

        The path first runs along the NoC's first axis, and from each column (or row)
        that holds receivers a branch runs along the other, round the torus where it
        must. A source that receives its own data has a row without a link.
        """
        rows = []
        if source in receivers:
            rows.append((-1, receivers[source], source))
        trunk = self._path(noc, noc, source, list(receivers))
        for at in (source, *(node for _, node in trunk)):
            column = self.point(at)[noc]
            reached = [node for node in receivers if self.point(node)[noc] == column]
            branch = self._path(noc, 1 - noc, at, reached)
            rows += [(link, receivers.get(node, -1), node) for link, node in branch]
        links = [(link, receivers.get(node, -1), node) for link, node in trunk]
        return links + rows

    def _path(
        self, noc: int, axis: int, source: int, targets: Sequence[int]
    ) -> list[tuple[int, int]]:
        """Links along one axis as far as some targets lie, and the nodes behind."""
        size = self.columns if axis == 0 else self.rows
        here = self.point(source)[axis]
        sign = 1 if noc == 0 else -1
        steps = [sign * (self.point(node)[axis] - here) % size for node in targets]
        path, at = [], source
        for _ in range(max(steps, default=0)):
            link = (noc * self.num_nodes + at) * 2 + axis
            at = int(self.link_end[link])
            path.append((link, at))
        return path


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
        dispatch_node=chip.dispatch_tile.noc_y * columns + chip.dispatch_tile.noc_x,
        worker_nodes=tuple(
            chip.worker_rows[row] * columns + chip.worker_columns[column]
            for row in range(chip.grid.y)
            for column in range(chip.grid.x)
        ),
        grid_columns=chip.grid.x,
        tensix_columns=chip.worker_columns,
        tensix_rows=chip.worker_rows,
    )
