"""How kernels are read: the walk of one kernel on one core, and the names it may use.

Each operation of a kernel becomes a small function once per program; walking those
for a core, with its coordinates and ranges in an environment, yields the core's
instructions. An axis `k` stands in the environment as its current `Range`; `k`,
`k.start`, `k.size`, `k.stop` may stand in expressions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from xdsl.ir import Block, Operation

from dialects.axes import Range
from dialects.chip import Core
from dialects.errors import NetlistError
from dialects.expr import Const, Environment, Expr, Value, substitute
from dialects.netlist_text import line_of
from dialects.program import CircularBuffer, Multicast, ProgramFacts, Tensor
from dialects.syntax import LocalAttr
from dialects.tensix import ForOp, IfOp
from runtime import instructions as ins
from runtime.expand_moves import SharedKernel
from runtime.launch import CircularBufferFacts, KernelStream, Launch
from runtime.tile_maps import TileMap

Step: TypeAlias = "Callable[[Walk], None]"
Builder: TypeAlias = "Callable[[Expander, Any, int], Step]"
"""Makes the step of an operation (the second argument) at a site (the third)."""


@dataclass
class Walk:
    """Where a kernel of one core stands: ranges, block bases, output so far."""

    core: Core
    env: dict[str, Value]
    ranges: dict[str, Range]
    noc: int
    out: list[ins.Instruction] = field(default_factory=list)
    bases: dict[str, tuple[int, ...]] = field(default_factory=dict)
    coming: dict[str, Range | None] = field(default_factory=dict)
    """The next step of each loop around; None in its last."""
    ahead: dict[str, tuple[tuple[int, ...], int]] = field(default_factory=dict)
    """Of buffers that are read ahead: where the block that comes last begins, and the
    group of its reads."""
    awaited: dict[str, int] = field(default_factory=dict)
    """The group of reads of the current block of each."""

    def again(self, noc: int) -> Walk:
        """A walk from the same place, as if nothing had been done."""
        return Walk(self.core, dict(self.env), dict(self.ranges), noc)

    def enter(self, axis: str, current: Range) -> None:
        """Make a range the current one of its axis."""
        self.ranges[axis] = current
        self.env[axis] = self.env[f"{axis}.start"] = current.start
        self.env[f"{axis}.size"] = current.size
        self.env[f"{axis}.stop"] = current.start + current.size


class Expander:
    """Builds the steps of each kernel once and walks them for each core."""

    def __init__(
        self,
        facts: ProgramFacts,
        tensors: Sequence[Tensor],
        builders: Mapping[type, Builder],
        scalars: Environment,
    ):
        self.scalars = scalars
        if len(tensors) != len(facts.parameters):
            raise NetlistError(
                f"program @{facts.name} has {len(facts.parameters)} parameters, "
                f"the run binds {len(tensors)} buffers"
            )
        self.facts = facts
        self.builders = {ForOp: Expander._for, IfOp: Expander._if, **builders}
        self.tensors = tuple(tensors)
        self.parameter_index = {
            name: index for index, (_, name) in enumerate(facts.parameters)
        }
        self.by_parameter = {
            name: tensors[index] for name, index in self.parameter_index.items()
        }
        self.sites: list[Operation] = []
        self._slots: dict[object, np.ndarray] = {}
        self._maps: dict[str, TileMap | None] = {}
        self._shared_out = any(axis.of for axis in facts.axes.values())
        self.semaphores = dict(facts.semaphores)
        for name in facts.multicasts:
            self.semaphores[f"{name}.ready"] = 0
            self.semaphores[f"{name}.valid"] = 0
        for name in facts.gathers:
            self.semaphores[f"{name}.ready"] = 0
            self.semaphores[f"{name}.arrived"] = 0
        self.semaphore_index = {name: i for i, name in enumerate(self.semaphores)}
        self._rectangles: dict[tuple[Core, Core, Core | None], tuple[Core, ...]] = {}

    def launch(self, cores: Sequence[Core]) -> Launch:
        """Expand all kernels on some of the active cores."""
        kernels = [SharedKernel(self, op) for op in self.facts.kernels]
        streams: dict[Core, tuple[KernelStream, ...]] = {}
        for core in cores:
            begin = self._begin(core)
            streams[core] = tuple(kernel.on(begin) for kernel in kernels)
        return Launch(
            self.facts,
            self.tensors,
            tuple(map(self._buffer_facts, self.facts.circular_buffers.values())),
            tuple(self.semaphores.values()),
            tuple(self.semaphores),
            streams,
            self.sites,
            self.scalars,
        )

    def _begin(self, core: Core) -> Walk:
        """A walk on a core that has not begun."""
        env = {**self.scalars, **self.facts.index_on(core), "x": core.x, "y": core.y}
        walk = Walk(core, env, {}, 0)
        for axis, current in self.facts.ranges_on(core).items():
            walk.enter(axis, current)
        return walk

    def _buffer_facts(self, buffer: CircularBuffer) -> CircularBufferFacts:
        data_format = self.facts.format_of(buffer, self.by_parameter)
        return CircularBufferFacts(
            buffer.name,
            buffer.capacity,
            buffer.block_pages,
            data_format,
            data_format.tile_bytes,
            tuple(
                other.index
                for other in self.facts.circular_buffers.values()
                if other.shares == buffer.name or buffer.shares == other.name
            ),
        )

    # -- control flow ----------------------------------------------------------

    def block(self, block: Block) -> Step:
        """The step of all operations of a block, one after the other."""
        ops = list(block.ops)
        steps = [self._build(op) for op in ops]

        def run(walk: Walk) -> None:
            place = 0
            try:
                for place, step in enumerate(steps):  # noqa: B007
                    step(walk)
            except (NetlistError, KeyError) as error:
                raise self._located(error, ops[place]) from None

        return run

    def _build(self, op: Operation) -> Step:
        builder = self.builders.get(type(op))
        if builder is None:
            raise NetlistError(
                f"'{op.name}' does not belong into a kernel", location=line_of(op)
            )
        self.sites.append(op)
        try:
            return builder(self, op, len(self.sites) - 1)
        except (NetlistError, KeyError) as error:
            raise self._located(error, op) from None

    def _located(self, error: NetlistError | KeyError, op: Operation) -> NetlistError:
        """The error with the line of the innermost operation it came from."""
        if isinstance(error, KeyError):
            error = NetlistError(
                f"{error.args[0]!r} is not known in @{self.facts.name}",
                advice=f"axes are {', '.join(self.facts.axes)}; coordinates x and y",
            )
        error.location = error.location or line_of(op)
        return error

    def _for(self, op: ForOp, site: int) -> Step:
        axis = self._axis(op.axis.data)
        by = self.facts.axes[axis].block if op.by is None else op.by.value
        limit = None if op.to is None else op.to.data
        body = self.block(op.body.block)

        def run(walk: Walk) -> None:
            outer = walk.ranges[axis]
            to = None if limit is None else int(limit.evaluate(walk.env))
            around = walk.coming.get(axis)
            steps = list(outer.steps(by, to))
            for step, coming in zip(steps, [*steps[1:], None], strict=True):
                walk.coming[axis] = coming
                walk.enter(axis, step)
                body(walk)
            walk.coming[axis] = around
            walk.enter(axis, outer)

        return run

    def _if(self, op: IfOp, site: int) -> Step:
        condition = op.condition.data
        body = self.block(op.then.block)

        def run(walk: Walk) -> None:
            if condition.evaluate(walk.env):
                body(walk)

        return run

    # -- names and blocks ------------------------------------------------------

    def _axis(self, name: str) -> str:
        if name not in self.facts.axes:
            raise NetlistError(
                f"'{name}' is not an axis of @{self.facts.name}",
                advice=f"axes are {', '.join(self.facts.axes)}",
            )
        return name

    def buffer(self, attr: LocalAttr) -> CircularBuffer:
        """Look up a circular buffer; `NetlistError` lists those there are."""
        found = self.facts.circular_buffers.get(attr.data)
        if found is None:
            raise NetlistError(
                f"{attr} is not a circular buffer of @{self.facts.name}",
                advice=f"there are {', '.join(self.facts.circular_buffers)}",
            )
        return found

    def slots(
        self,
        walk: Walk,
        buffer: CircularBuffer,
        axes: Sequence[str],
        *,
        turned: int = 0,
    ) -> np.ndarray:
        """Page offsets in a buffer's block over the current ranges of `axes`.

        The result has one dimension for each of `axes`; axes that the buffer does
        not have repeat its tiles; of an axis that one of `axes` is `of`, it takes
        that one's share. Its other axes stand at their current start.
        `turned` counts the tiles by which its last axis is rotated.
        """
        bases = walk.bases.get(buffer.name)
        if bases is None:
            raise NetlistError(
                f"%{buffer.name} is used before it is reserved or waited for"
            )
        places = []
        named: Sequence[str] = buffer.axes
        if self._shared_out:
            shares = {self.facts.axes[axis].of: axis for axis in axes}
            named = [shares.get(axis, axis) for axis in buffer.axes]
        for axis, base, bound in zip(named, bases, buffer.bounds, strict=True):
            current = walk.ranges[axis]
            offset = current.place - base
            if offset < 0 or offset + current.size > bound:
                raise NetlistError(
                    f"%{buffer.name} holds {bound} tiles of axis {axis} from {base}, "
                    f"but {current.place} to {current.place + current.size} are used",
                    advice=f"write `{axis}.part` in its block or step with `for`",
                )
            places.append((offset, current.size))
        shape = tuple(walk.ranges[axis].size for axis in axes)
        if turned:
            self._require_whole(buffer)
        key = (buffer.name, tuple(axes), shape, tuple(places), turned)
        if key not in self._slots:
            self._slots[key] = _slots(
                buffer, named, axes, shape=shape, places=places, turned=turned
            )
        return self._slots[key]

    def _require_whole(self, buffer: CircularBuffer) -> None:
        """What is rotated out at one end of an axis must come in at the other."""
        extent = self.facts.axes[buffer.axes[-1]].extent if buffer.axes else 0
        if not buffer.axes or buffer.bounds[-1] != extent:
            raise NetlistError(
                f"%{buffer.name} is turned, but does not hold all of its last axis",
                limit=f"{extent} tiles",
                value=f"{buffer.bounds[-1] if buffer.axes else 0} tiles",
                advice="write `.part` in its block, and do not spread that axis",
            )

    def rebase(self, walk: Walk, buffer: CircularBuffer) -> None:
        """A new block begins: its bases are the current starts of its axes, or of the
        core's part of those that it holds whole (`k.part`)."""
        parts = self.facts.ranges_on(walk.core)
        walk.bases[buffer.name] = tuple(
            (parts if whole else walk.ranges)[axis].place
            for axis, whole in zip(buffer.axes, buffer.whole, strict=True)
        )

    def tiles(self, walk: Walk, buffer: CircularBuffer) -> np.ndarray:
        """Row-major tile numbers of the operand for the current block, flattened."""
        assert buffer.operand is not None
        tensor = self.by_parameter[buffer.operand]
        tile_map = self._tile_map(buffer, tensor)
        found = None if tile_map is None else tile_map.tiles(walk.env, walk.ranges)
        return self._tiles(walk, buffer, tensor) if found is None else found

    def _tile_map(self, buffer: CircularBuffer, tensor: Tensor) -> TileMap | None:
        if buffer.name not in self._maps:
            extent = (tensor.tile_rows, tensor.tile_columns)
            self._maps[buffer.name] = TileMap.of(buffer.axes, buffer.map[-2:], extent)
        return self._maps[buffer.name]

    def _tiles(self, walk: Walk, buffer: CircularBuffer, tensor: Tensor) -> np.ndarray:
        """As `tiles`, for any map; `NetlistError` where it leaves the operand."""
        rows, columns = (self.index(walk, buffer, entry) for entry in buffer.map[-2:])
        rows, columns = np.broadcast_arrays(rows, columns)
        if rows.size and (
            rows.min() < 0
            or columns.min() < 0
            or rows.max() >= tensor.tile_rows
            or columns.max() >= tensor.tile_columns
        ):
            raise NetlistError(
                f"%{buffer.name} reaches tile ({rows.max()}, {columns.max()}) of "
                f"%{buffer.operand}",
                limit=f"{tensor.tile_rows}x{tensor.tile_columns} tiles",
                advice="an axis extent or the index map does not fit the buffer",
            )
        return (rows * tensor.tile_columns + columns).reshape(-1)

    def index(
        self, walk: Walk, buffer: CircularBuffer, entry: str | Expr
    ) -> np.ndarray:
        """Evaluate one entry of a map over the block of current ranges."""
        if isinstance(entry, str):
            raise NetlistError(f"%{entry} stands in a map that reads tiles, not rows")
        shape = [walk.ranges[axis].size for axis in buffer.axes]
        env = dict(walk.env)
        for place, axis in enumerate(buffer.axes):
            view = [1] * len(shape)
            view[place] = shape[place]
            current = walk.ranges[axis]
            env[axis] = current.tiles.reshape(view)
        try:
            value = entry.evaluate(env)
        except KeyError as error:
            raise NetlistError(
                f"{error.args[0]!r} in the map of %{buffer.name} is not an axis, "
                "a coordinate or a scalar"
            ) from None
        return np.broadcast_to(np.asarray(value), shape)

    def deferred(self, walk: Walk, expr: Expr) -> Expr:
        """An expression with all names resolved but run-time scalars."""
        known: dict[str, Expr] = {
            name: Const(value)
            for name in expr.names()
            if isinstance(value := walk.env.get(name), int) and name not in self.scalars
        }
        return substitute(expr, known)

    def operand(self, buffer: CircularBuffer) -> int:
        """The parameter number of a buffer's operand."""
        if buffer.operand not in self.parameter_index:
            raise NetlistError(
                f"%{buffer.name} is `of %{buffer.operand}`, which is not a parameter "
                f"of @{self.facts.name}"
            )
        return self.parameter_index[buffer.operand]

    def shard_tiles(self, walk: Walk, buffer: CircularBuffer) -> np.ndarray:
        """As `tiles`; they must lie in the shard of the core that walks."""
        tiles = self.tiles(walk, buffer)
        assert buffer.operand is not None
        if not self.owns(walk, self.by_parameter[buffer.operand], tiles):
            raise NetlistError(
                f"core {walk.core} uses tiles of %{buffer.operand} in place, but they "
                "lie elsewhere",
                limit="its own shard",
                advice="cut the buffer into `shards` as the axes are spread over cores",
            )
        return tiles

    def owns(self, walk: Walk, tensor: Tensor, tiles: np.ndarray) -> bool:
        """Whether tiles lie in the shard of the core that walks."""
        grid = self.facts.chip.grid
        own = walk.core.y * grid.x + walk.core.x
        if tensor.shards is None:
            return False
        return bool((tensor.shard_owners(tiles, grid) == own).all())

    def rectangle(
        self, walk: Walk, start: Core, end: Core, *, loopback: bool = False
    ) -> tuple[Core, Core, tuple[Core, ...]]:
        """A rectangle with the active cores in it, the sender left out or not."""
        key = (start, end, None if loopback else walk.core)
        if key not in self._rectangles:
            self._rectangles[key] = tuple(
                core
                for core in self.facts.cores
                if start.x <= core.x <= end.x and start.y <= core.y <= end.y
                if loopback or core != walk.core
            )
        return start, end, self._rectangles[key]

    def multicast(self, attr: LocalAttr) -> Multicast:
        """Look up a multicast."""
        found = self.facts.multicasts.get(attr.data)
        if found is None:
            raise NetlistError(f"{attr} is not a multicast of @{self.facts.name}")
        return found

    def semaphore(self, name: str) -> int:
        """The number of a semaphore."""
        if name not in self.semaphore_index:
            raise NetlistError(f"%{name} is not a semaphore of @{self.facts.name}")
        return self.semaphore_index[name]


def _slots(
    buffer: CircularBuffer,
    named: Sequence[str],
    axes: Sequence[str],
    *,
    shape: tuple[int, ...],
    places: Sequence[tuple[int, int]],
    turned: int,
) -> np.ndarray:
    """Page offsets over `axes`, for (offset, size) in the block along each of its axes,
    `named` as they are in `axes`."""
    total = np.zeros(shape, np.int64)
    last = len(named) - 1
    for number, (axis, stride, bound, (offset, size)) in enumerate(
        zip(named, buffer.strides, buffer.bounds, places, strict=True)
    ):
        steps = np.arange(size if axis in axes else 1) + offset
        if number == last and turned:
            steps = (steps + turned) % bound
        view = [1] * len(shape)
        if axis in axes:
            view[list(axes).index(axis)] = size
        total += (steps * stride).reshape(view)
    total.flags.writeable = False
    return total
