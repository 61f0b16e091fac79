"""How the stream of one core differs from that of another that does the same."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from xdsl.ir import Operation

from dialects.chip import Core
from dialects.expr import Expr
from dialects.program import CircularBuffer
from dialects.tensix import KernelOp
from runtime import instructions as ins
from runtime.expand_shared import MULTICASTS, core_key, moved_buffer, moving_expressions
from runtime.launch import Corners, KernelStream, Move

if TYPE_CHECKING:
    from runtime.expander import Expander, Walk


class _Transfers(NamedTuple):
    """All tiles that the instructions of a site move, and where the walk began.

    `first` and `last` are the least and most row and column among them.
    """

    buffer: CircularBuffer
    entries: tuple[Expr, Expr]
    tiles: np.ndarray
    origin: tuple[int, int]
    first: tuple[int, int]
    last: tuple[int, int]


class _Cast(NamedTuple):
    """A multicast: who its master is, where it was when the walk began, and whereto."""

    master: tuple[Expr, Expr]
    origin: tuple[int, int]
    corners: frozenset[Corners]


class Moves:
    """From the stream of one core, which was walked, to those of others.

    `sites` are the operations of a kernel by number, `begin` is where its walk began.
    """

    def __init__(
        self,
        expander: Expander,
        sites: Mapping[int, Operation],
        begin: Walk,
        stream: Iterable[ins.Instruction],
    ):
        self.expander = expander
        self.begin = begin
        tiles: dict[int, list[np.ndarray]] = {}
        corners: dict[int, set[Corners]] = {}
        for instruction in stream:
            if isinstance(instruction, ins.MOVING_TILES):
                tiles.setdefault(instruction.site, []).append(instruction.tiles)
            elif isinstance(instruction, ins.CASTS):
                found = corners.setdefault(instruction.site, set())
                found.add((instruction.start, instruction.end))
        self._transfers = {
            site: self._transfers_of(sites[site], np.concatenate(found), begin)
            for site, found in tiles.items()
        }
        self._casts = {
            site: _Cast(
                master := expander.multicast(op.multicast).master,
                _origin(master, begin),
                frozenset(corners.get(site, ())),
            )
            for site, op in sites.items()
            if isinstance(op, MULTICASTS)
        }

    def to(self, walk: Walk) -> dict[int, Move] | None:
        """The moves to the core of a walk that has not begun, by site.

        None where the core's stream is not this one: it must be walked.
        """
        moves: dict[int, Move] = {}
        for site, cast in self._casts.items():
            move = self._recast(cast, walk)
            if move is None:
                return None
            moves[site] = move
        for site, transfers in self._transfers.items():
            shift = self._shift(transfers, walk)
            if shift is None:
                return None
            if shift:
                moves[site] = Move(tiles=shift)
        return moves

    def _recast(self, cast: _Cast, walk: Walk) -> Move | None:
        """A multicast as a core does it; None if another number of cores receives."""
        x, y = _origin(cast.master, walk)
        move = Move(across=x - cast.origin[0], down=y - cast.origin[1])
        receivers: dict[Corners, tuple[Core, ...]] = {}
        for start, end in cast.corners:
            corners = move.core(start), move.core(end)
            *_, receivers[corners] = self.expander.rectangle(walk, *corners)
            before = self.expander.rectangle(self.begin, start, end)
            if len(receivers[corners]) != len(before[-1]):
                return None
        return replace(move, receivers=receivers)

    def _transfers_of(
        self, op: Operation, tiles: np.ndarray, begin: Walk
    ) -> _Transfers:
        buffer = moved_buffer(self.expander.facts, op)
        assert buffer is not None
        assert buffer.operand is not None
        row, column = moving_expressions(self.expander.facts, op)
        tensor = self.expander.by_parameter[buffer.operand]
        rows, columns = np.divmod(tiles, tensor.tile_columns)
        return _Transfers(
            buffer,
            (row, column),
            tiles,
            _origin((row, column), begin),
            (int(rows.min()), int(columns.min())),
            (int(rows.max()), int(columns.max())),
        )

    def _shift(self, transfers: _Transfers, walk: Walk) -> int | None:
        """By how much tile numbers are higher; None where some lie outside."""
        buffer = transfers.buffer
        assert buffer.operand is not None
        tensor = self.expander.by_parameter[buffer.operand]
        row, column = _origin(transfers.entries, walk)
        down, right = row - transfers.origin[0], column - transfers.origin[1]
        shift = down * tensor.tile_columns + right
        if (
            transfers.first[0] + down < 0
            or transfers.first[1] + right < 0
            or transfers.last[0] + down >= tensor.tile_rows
            or transfers.last[1] + right >= tensor.tile_columns
        ):
            return None
        if buffer.over and not self.expander.owns(
            walk, tensor, transfers.tiles + shift
        ):
            return None
        return shift


def _origin(entries: tuple[Expr, Expr], walk: Walk) -> tuple[int, int]:
    row, column = (int(entry.evaluate(walk.env)) for entry in entries)
    return row, column


class SharedKernel:
    """A kernel, walked for one core of those that do the same, and moved for others."""

    def __init__(self, expander: Expander, op: KernelOp):
        self.expander = expander
        self.op = op
        self.noc = None if op.noc is None else op.noc.value
        first = len(expander.sites)
        self.steps = expander.block(op.body.block)
        self.sites = dict(enumerate(expander.sites[first:], first))
        self.key_of = core_key(expander.facts, op, expander.scalars)
        self.walked: dict[Hashable, tuple[Walk, KernelStream]] = {}
        self.moves: dict[Hashable, Moves] = {}

    def on(self, begin: Walk) -> KernelStream:
        """The stream of the core where a walk begins."""
        key = self.key_of(begin.core, begin.env, begin.ranges)
        if key not in self.walked:
            self.walked[key] = begin, self._walk(begin)
            return self.walked[key][1]
        first, stream = self.walked[key]
        if key not in self.moves:
            self.moves[key] = Moves(self.expander, self.sites, first, stream.shared)
        moves = self.moves[key].to(begin)
        if moves is None:
            return self._walk(begin)
        return replace(stream, moves=moves) if moves else stream

    def _walk(self, begin: Walk) -> KernelStream:
        walk = begin.again(self.noc or 0)
        self.steps(walk)
        name, processor = self.op.sym_name.data, self.op.processor.data
        return KernelStream(name, processor, self.noc, walk.out)
