"""Resolved instructions: what one kernel of one core does, every number known.

The expander (`runtime.expand`) turns the text of a kernel into a sequence of these;
the executor, the trace and the time engine read the same sequence. Slots are page
offsets from the front (consumer) or the write pointer (producer) of a circular buffer.
`site` is the place in the program's text, an index into `Expansion.sites`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from dialects.chip import Core
from dialects.expr import Expr

ALL_GROUPS = 0
"""The group of reads that only a barrier for all of them waits for."""

Slots: TypeAlias = np.ndarray
"""Page offsets, int64."""


@dataclass(slots=True)
class Instruction:
    """Base: where in the text it comes from."""

    site: int


@dataclass(slots=True)
class ReserveBack(Instruction):
    """Wait until `pages` are free in circular buffer `cb`; `blocks` equal blocks."""

    cb: int
    pages: int
    blocks: int = 1


@dataclass(slots=True)
class PushBack(Instruction):
    """Hand `pages` to the consumer."""

    cb: int
    pages: int


@dataclass(slots=True)
class WaitFront(Instruction):
    """Wait until `pages` are there."""

    cb: int
    pages: int


@dataclass(slots=True)
class PopFront(Instruction):
    """Free `pages`."""

    cb: int
    pages: int


@dataclass(slots=True)
class Read(Instruction):
    """Start reading `tiles` of operand `parameter` (row-major tile numbers) into slots.

    One NoC transaction for each tile, of the operand's tile size in bytes. A barrier
    may wait for the transactions of one `group` alone.
    """

    cb: int
    slots: Slots
    parameter: int
    tiles: np.ndarray
    noc: int
    group: int = ALL_GROUPS


@dataclass(slots=True)
class ReadRows(Instruction):
    """Start reading rows of a row-major operand into row-major pages.

    Slots form a (row blocks, tile columns) matrix. Row `r` of row block `i` is element
    `32 * i + r` of the index buffer `index_cb` where that is not None, else row
    `32 * row_tiles[i] + r`. One transaction for each of the 32 rows of a block, of
    `len(columns) * 32` elements from tile column `columns[0]`.
    """

    cb: int
    slots: Slots
    parameter: int
    index_cb: int | None
    row_tiles: np.ndarray
    columns: np.ndarray
    noc: int


@dataclass(slots=True)
class ReadBarrier(Instruction):
    """Wait for all reads of this kernel, or for those of a group."""

    group: int = ALL_GROUPS


@dataclass(slots=True)
class Write(Instruction):
    """Start writing slots to `tiles` of an operand, one transaction for each."""

    cb: int
    slots: Slots
    parameter: int
    tiles: np.ndarray
    noc: int


@dataclass(slots=True)
class WriteRows(Instruction):
    """Start writing row `row` of each slot's tile into an operand.

    It goes to row `target`, counted from the tile's in `tiles`; both are expressions
    over run-time scalars. Two transactions for each tile: a face row is one piece.
    """

    cb: int
    slots: Slots
    parameter: int
    tiles: np.ndarray
    row: Expr
    target: Expr
    noc: int


@dataclass(slots=True)
class ReadScalars(Instruction):
    """Read the run-time scalars that lie in an operand, and wait for them."""

    parameter: int
    noc: int


@dataclass(slots=True)
class WriteBarrier(Instruction):
    """Wait until all writes of this kernel are acknowledged."""


@dataclass(slots=True)
class Fill(Instruction):
    """The processor writes a pattern into slots (see `tensix.fill`).

    `rows` and `columns` are the tile coordinates of each slot: for `causal` of the
    query and key tile, for `pad` in the operand; `extent` its true rows and columns.
    For `columns`, `rows` is 1 in the last tile of the axis and `extent` holds how many
    columns of it are real; those, and all other tiles, get `inside`. Where `limit` is
    given instead, `columns` are the tiles' places along the axis, and columns below
    the limit get `inside`.
    """

    cb: int
    slots: Slots
    pattern: str
    value: float
    rows: np.ndarray
    columns: np.ndarray
    extent: tuple[int, int]
    inside: float = 0.0
    limit: Expr | None = None


@dataclass(slots=True)
class LendTiles(Instruction):
    """Pages of a circular buffer over a shard hold `tiles` of the operand, in place."""

    cb: int
    slots: Slots
    parameter: int
    tiles: np.ndarray


@dataclass(slots=True)
class KeepTiles(Instruction):
    """What pages of a circular buffer over a shard hold are now the operand's tiles."""

    cb: int
    slots: Slots
    parameter: int
    tiles: np.ndarray


@dataclass(frozen=True, slots=True)
class ShardSource:
    """Tiles in the sender's own shard that a multicast puts into slots."""

    parameter: int
    tiles: np.ndarray
    slots: Slots


@dataclass(slots=True)
class MulticastWrite(Instruction):
    """Multicast `pages` of the reserved block to `receivers`, at the same address.

    They begin with page `first` of the block. `start` and `end` are the corners of the
    rectangle (inclusive, logical); the sender is left out, unless it sends tiles of its
    `shard`. Posted: no barrier belongs to it.
    """

    cb: int
    pages: int
    start: Core
    end: Core
    receivers: tuple[Core, ...]
    noc: int
    linked: bool
    shard: ShardSource | None = None
    first: int = 0


@dataclass(slots=True)
class CoreWrite(Instruction):
    """Write pages at the front of `cb` to places of `target_cb` on a core.

    The target has reserved all of its buffer; the data count as landed when a
    semaphore that this core raises there behind them is seen.
    """

    cb: int
    slots: np.ndarray
    target_cb: int
    target_slots: np.ndarray
    target: Core
    noc: int


@dataclass(slots=True)
class SemaphoreSet(Instruction):
    """Write a semaphore of this core."""

    semaphore: int
    value: int


@dataclass(slots=True)
class SemaphoreWait(Instruction):
    """Wait until a semaphore of this core holds `value`."""

    semaphore: int
    value: int


@dataclass(slots=True)
class SemaphoreInc(Instruction):
    """Add `value` to a semaphore of core `target` (remote atomic, posted)."""

    semaphore: int
    target: Core
    value: int
    noc: int


@dataclass(slots=True)
class SemaphoreMulticast(Instruction):
    """Write `value` to a semaphore of all receivers, behind the data of this sender."""

    semaphore: int
    value: int
    start: Core
    end: Core
    receivers: tuple[Core, ...]
    noc: int


@dataclass(slots=True)
class RegsAcquire(Instruction):
    """Math waits for a free half of Dst; its tiles become zero."""


@dataclass(slots=True)
class RegsCommit(Instruction):
    """Math hands the half to the packer."""


@dataclass(slots=True)
class RegsWait(Instruction):
    """The packer waits for the half."""


@dataclass(slots=True)
class RegsRelease(Instruction):
    """The packer gives the half back."""


@dataclass(slots=True)
class CopyTiles(Instruction):
    """Dst[dst + i] = tile at slots[i], broadcast if asked."""

    cb: int
    slots: Slots
    broadcast: str | None
    dst: int


@dataclass(slots=True)
class TilizeBlock(Instruction):
    """Dst[dst + i] = tile made of rows; slots is (row blocks, tile columns)."""

    cb: int
    slots: Slots
    dst: int


@dataclass(slots=True)
class BinaryTiles(Instruction):
    """Dst[targets[i]] (+)= lhs[i] op rhs[i]; kind is add, sub or mul.

    With `accumulate` a target that occurs several times sums (mul only).
    """

    kind: str
    lhs_cb: int
    lhs_slots: Slots
    rhs_cb: int
    rhs_slots: Slots
    broadcast: str | None
    targets: np.ndarray
    accumulate: bool


@dataclass(slots=True)
class MatmulBlock(Instruction):
    """Dst[dst + r * C + c] += sum over k of lhs[r, k] x rhs[k, c] (tiles).

    `keeps_tiles`: a tile of one operand stays in Src for a row or column of tiles.
    """

    lhs_cb: int
    lhs_slots: Slots
    rhs_cb: int
    rhs_slots: Slots
    transpose: bool
    dst: int
    keeps_tiles: bool = True


@dataclass(slots=True)
class ReduceTiles(Instruction):
    """Dst[dst + r] = reduction of Dst[dst + r] and tiles slots[r, :]."""

    kind: str
    dim: str
    cb: int
    slots: Slots
    scaler_cb: int
    scaler_slot: int
    dst: int


@dataclass(slots=True)
class SfpuUnary(Instruction):
    """Dst[dst + i] = function(Dst[dst + i]), i < count; maybe with a scalar."""

    function: str
    dst: int
    count: int
    scalar: float | None


@dataclass(slots=True)
class SfpuFill(Instruction):
    """Dst[dst + i] = value everywhere, i < count."""

    dst: int
    count: int
    value: float


@dataclass(slots=True)
class SfpuBinary(Instruction):
    """Dst[lhs + i] = function(Dst[lhs + i], Dst[rhs + i]), i < count."""

    function: str
    lhs: int
    rhs: int
    count: int


@dataclass(slots=True)
class PackTiles(Instruction):
    """Slots[i] = round(Dst[dst + i]) to the buffer's format."""

    dst: int
    cb: int
    slots: Slots
    relu: bool
    l1_accumulate: bool


MOVING_TILES = (Read, Write, WriteRows, LendTiles, KeepTiles)
"""Instructions that name tiles of an operand."""

CASTS = (MulticastWrite, SemaphoreMulticast)
"""Instructions that go to all cores of a rectangle."""
