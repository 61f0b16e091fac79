"""The trace of a launch: what would be computed, written down over tile numbers.

Running the kernels once on this recorder yields records, each an instruction at one
*site* of the text with the numbers of its operand and result tiles. Instructions that
add to the same Dst tiles without anyone reading them in between are one accumulation:
their K lists are joined, which is the rule under which a K loop is one contraction.
Where fp32 sums may be taken in another order, a sum that goes through L1 in fp32
between its blocks (reloaded, or added up by the packer) is joined as well.
Records of one site that do not depend on each other share a *level* and are merged
later (`runtime.merge`), whatever core and round they come from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dialects.errors import HazardError, NetlistError
from dialects.formats import DataFormat, DstMode
from dialects.netlist_text import line_of
from runtime import instructions as ins
from runtime.launch import Launch
from runtime.semantics import fill_tile, is_lossless_copy
from runtime.walk_state import ZERO
from runtime.walker import Walker

UNROUNDED = "unrounded"
"""Marks a partial sum that is added to Dst before anything is rounded."""


@dataclass
class Group:
    """Records of one site and level: alike, independent, and therefore one batch.

    `operands` are lists of equally long arrays, one entry a record, `outputs` the
    result numbers; `detail` is what is equal for all (function, format, fidelity).
    """

    kind: str
    level: int
    site: int
    detail: tuple[Any, ...]
    operands: list[list[np.ndarray]] = field(default_factory=list)
    outputs: list[np.ndarray] = field(default_factory=list)


@dataclass
class _Accumulation:
    """An open sum: terms are joined until someone reads it.

    A sum in Dst takes terms in place. One that is kept in L1 stays what it is: what
    goes on from it is another sum.
    """

    kind: str
    site: int
    detail: tuple[Any, ...]
    outputs: np.ndarray
    terms: list[tuple[np.ndarray, ...]]
    is_kept: bool = False


@dataclass
class Trace:
    """All groups in an order that respects dependence, and the final stores.

    Tile numbers below `num_leaves` are tiles of the parameters as they were before:
    `leaf_base[p] + tile`. `constants` maps numbers to tiles that a processor filled.
    `stores[p]` gives for each tile of parameter p the number of its last value.
    `limits` maps numbers to tiles that run-time scalars decide (and their places along
    the axis), `row_stores` lists rows of tiles that go where run-time scalars say.
    """

    launch: Launch
    groups: list[Group]
    leaf_base: list[int]
    num_leaves: int
    num_tiles: int
    constants: dict[int, np.ndarray]
    stores: dict[int, np.ndarray]
    limits: dict[int, tuple[ins.Fill, int]]
    row_stores: list[tuple[ins.WriteRows, np.ndarray]]


def trace_launch(launch: Launch, *, joins_l1_sums: bool = False) -> Trace:
    """Run the kernels over tile numbers. Raises `HazardError` like the executor.

    With `joins_l1_sums` fp32 sums in L1 are one contraction with those in Dst.
    """
    recorder = _Recorder(launch, joins_l1_sums=joins_l1_sums)
    Walker(launch, recorder).run()
    return recorder.finish()


class _Recorder:
    """The walker's recorder that only writes down."""

    def __init__(self, launch: Launch, *, joins_l1_sums: bool):
        self.launch = launch
        self.dst = DstMode.FP32 if launch.facts.fp32_dst else DstMode.BF16
        self.joins_l1_sums = joins_l1_sums and self.dst is DstMode.FP32
        self.groups: dict[tuple[Any, ...], Group] = {}
        self.leaf_base: list[int] = []
        total = 0
        for tensor in launch.tensors:
            self.leaf_base.append(total)
            total += tensor.num_tiles
        self.num_leaves = total
        self.current = [
            np.arange(tensor.num_tiles) + base
            for tensor, base in zip(launch.tensors, self.leaf_base, strict=True)
        ]
        self.stored: set[int] = set()
        self.levels = np.zeros(max(2 * total, 1024), np.int32)
        self.is_open = np.zeros(len(self.levels), np.bool_)
        self.count = total
        self.constants: dict[int, np.ndarray] = {}
        self.constant_numbers: dict[tuple[Any, ...], int] = {}
        self.open: dict[int, _Accumulation] = {}
        self.limits: dict[int, tuple[ins.Fill, int]] = {}
        self.row_stores: list[tuple[ins.WriteRows, np.ndarray]] = []

    def finish(self) -> Trace:
        """Close the open sums that are stored, and order the groups."""
        for parameter in self.stored:
            self._close(self.current[parameter])
        for _, numbers in self.row_stores:
            self._close(numbers)
        groups = sorted(self.groups.values(), key=lambda g: g.level)
        stores = {parameter: self.current[parameter] for parameter in self.stored}
        return Trace(
            self.launch,
            groups,
            self.leaf_base,
            self.num_leaves,
            self.count,
            self.constants,
            stores,
            self.limits,
            self.row_stores,
        )

    # -- numbers and groups ----------------------------------------------------

    def _new(self, count: int) -> np.ndarray:
        numbers = np.arange(self.count, self.count + count)
        self.count += count
        if self.count > len(self.levels):
            grown = 2 * self.count - len(self.levels)
            self.levels = np.pad(self.levels, (0, grown))
            self.is_open = np.pad(self.is_open, (0, grown))
        return numbers

    def _record(
        self,
        kind: str,
        site: int,
        detail: tuple[Any, ...],
        operands: list[np.ndarray],
        count: int,
        outputs: np.ndarray | None = None,
        *,
        numbers: int | None = None,
    ) -> np.ndarray:
        """Append to the group of its site and level; `numbers` operands are tiles."""
        tiles = operands if numbers is None else operands[:numbers]
        for operand in tiles:
            self._close(operand)
        level = 1 + max(int(self.levels[o].max()) for o in tiles if o.size)
        shapes = tuple(o.shape[1:] for o in operands)
        key = (kind, site, level, detail, shapes)
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(kind, level, site, detail)
        if outputs is None:
            outputs = self._new(count)
        self.levels[outputs] = level
        group.operands.append(operands)
        group.outputs.append(outputs)
        return outputs

    def _accumulate(
        self,
        kind: str,
        site: int,
        detail: tuple[Any, ...],
        terms: tuple[np.ndarray, ...],
        count: int,
        old: np.ndarray | None,
    ) -> np.ndarray:
        if old is None or (old == ZERO).all():
            return self._open(kind, site, detail, [terms], count)
        found = self.open.get(int(old[0]))
        if found is None or not self._goes_on(found, kind, detail, old):
            return self._add_to(kind, site, detail, terms, count, old)
        if found.is_kept:
            return self._open(kind, site, detail, [*found.terms, terms], count)
        found.terms.append(terms)
        return old

    def _open(
        self,
        kind: str,
        site: int,
        detail: tuple[Any, ...],
        terms: list[tuple[np.ndarray, ...]],
        count: int,
    ) -> np.ndarray:
        """A sum that may take more terms."""
        outputs = self._new(count)
        opened = _Accumulation(kind, site, detail, outputs, terms)
        for number in outputs.tolist():
            self.open[number] = opened
        self.is_open[outputs] = True
        return outputs

    def _goes_on(
        self, sum_: _Accumulation, kind: str, detail: tuple[Any, ...], old: np.ndarray
    ) -> bool:
        """Whether terms may join an open sum; a 16-bit Dst rounds after each."""
        return (
            self.dst is DstMode.FP32
            and sum_.kind == kind
            and sum_.detail == detail
            and np.array_equal(sum_.outputs, old)
        )

    def _add_to(
        self,
        kind: str,
        site: int,
        detail: tuple[Any, ...],
        terms: tuple[np.ndarray, ...],
        count: int,
        old: np.ndarray,
    ) -> np.ndarray:
        """A sum that goes on from something else: compute it, then add and round."""
        self._close(old)
        fresh = self._accumulate(kind, site, (*detail, UNROUNDED), terms, count, None)
        self._close(fresh)
        merge = "max" if "max" in detail else "add"
        return self._record("sfpu_binary", site, (merge,), [old, fresh], count)

    def _close(self, numbers: np.ndarray) -> None:
        """Seal the sums that these tiles belong to: somebody reads them."""
        for number in numbers[self.is_open[numbers]].tolist():
            sum_ = self.open.get(number)
            if sum_ is None:
                continue
            for output in sum_.outputs.tolist():
                del self.open[output]
            self.is_open[sum_.outputs] = False
            joined = _join(sum_)
            self._record(
                sum_.kind,
                sum_.site,
                sum_.detail,
                joined,
                len(sum_.outputs),
                sum_.outputs,
            )

    # -- the walker's questions --------------------------------------------------

    def leaf(self, parameter: int, tiles: np.ndarray) -> np.ndarray:
        for i, _ in self.row_stores:
            if i.parameter == parameter:
                raise HazardError(
                    f"%{self.launch.facts.parameters[parameter][1]} is read after rows "
                    f"of it were written in @{self.launch.facts.name}",
                    advice="read it in another program, which the next run starts",
                    location=line_of(self.launch.sites[i.site]),
                )
        return self.current[parameter][tiles]

    def store(self, parameter: int, tiles: np.ndarray, values: np.ndarray) -> None:
        self.current[parameter][tiles] = values
        self.stored.add(parameter)

    def store_rows(self, i: ins.WriteRows, values: np.ndarray) -> None:
        self.row_stores.append((i, values))

    def dst_constant(self, i: ins.SfpuFill) -> np.ndarray:
        key = ("value", i.value, 0.0, (0, 0), 0)
        if key not in self.constant_numbers:
            number = int(self._new(1)[0])
            self.constant_numbers[key] = number
            self.constants[number] = np.full((32, 32), i.value, np.float32)
        return np.full(i.count, self.constant_numbers[key])

    def _limit(self, i: ins.Fill, column: int) -> int:
        key = ("limit", i.value, i.inside, (column, 0), i.limit)
        if key not in self.constant_numbers:
            number = int(self._new(1)[0])
            self.constant_numbers[key] = number
            self.limits[number] = (i, column)
        return self.constant_numbers[key]

    def constant(self, i: ins.Fill, old: np.ndarray) -> np.ndarray:
        if i.limit is not None:
            return np.array([self._limit(i, int(column)) for column in i.columns])
        if i.pattern == "pad":
            place = np.stack([i.rows, i.columns], axis=1)
            inside = ((i.rows + 1) * 32 <= i.extent[0]) & (
                (i.columns + 1) * 32 <= i.extent[1]
            )
            outputs = old.copy()
            edge = ~inside
            if edge.any():
                outputs[edge] = self._record(
                    "pad",
                    i.site,
                    (i.value, i.extent),
                    [old[edge], place[edge]],
                    int(edge.sum()),
                    numbers=1,
                )
            return outputs
        return np.array(
            [
                self._constant(i, int(r), int(c))
                for r, c in zip(i.rows, i.columns, strict=True)
            ]
        )

    def _constant(self, i: ins.Fill, row: int, column: int) -> int:
        place = {"causal": int(np.sign(column - row)), "columns": row}
        key = (i.pattern, i.value, i.inside, i.extent, place.get(i.pattern, 0))
        if key not in self.constant_numbers:
            number = int(self._new(1)[0])
            self.constant_numbers[key] = number
            self.constants[number] = fill_tile(
                i.pattern, i.value, row, column, i.extent, inside=i.inside
            )
        return self.constant_numbers[key]

    def rows(self, i: ins.ReadRows, index: np.ndarray | None) -> np.ndarray:
        blocks, columns = i.slots.shape
        if index is None:
            width = self.launch.tensors[i.parameter].tile_columns
            tiles = i.row_tiles[:, None] * width + i.columns[None, :]
            return self.current[i.parameter][tiles]
        operands = [np.repeat(index, columns), np.tile(i.columns, blocks)]
        outputs = self._record(
            "rows", i.site, (i.parameter,), operands, blocks * columns, numbers=1
        )
        return outputs.reshape(blocks, columns)

    def _format(self, cb: int) -> DataFormat:
        return self.launch.circular_buffers[cb].data_format

    def _is_cut(self, cb: int) -> bool:
        """Whether the matrix unit reads less than what lies in the buffer."""
        return self._format(cb) is DataFormat.FP32

    def copy(self, i: ins.CopyTiles, values: np.ndarray) -> np.ndarray:
        lossless = is_lossless_copy(self._format(i.cb), i.broadcast, self.dst)
        if i.broadcast is None and lossless:
            return values
        detail = (i.broadcast, not lossless)
        return self._record("copy", i.site, detail, [values], len(values))

    def binary(
        self,
        i: ins.BinaryTiles,
        lhs: np.ndarray,
        rhs: np.ndarray,
        old: np.ndarray | None,
    ) -> np.ndarray:
        detail = (i.kind, i.broadcast, self._is_cut(i.lhs_cb), self._is_cut(i.rhs_cb))
        if old is None:
            operands = [lhs[:, 0], rhs[:, 0]]
            return self._record("binary", i.site, detail, operands, len(lhs))
        return self._accumulate("mul_sum", i.site, detail, (lhs, rhs), len(lhs), old)

    def matmul(
        self, i: ins.MatmulBlock, lhs: np.ndarray, rhs: np.ndarray, old: np.ndarray
    ) -> np.ndarray:
        count = lhs.shape[0] * rhs.shape[1]
        detail = (i.transpose, self._is_cut(i.lhs_cb), self._is_cut(i.rhs_cb))
        terms = (lhs, np.ascontiguousarray(rhs.T))
        return self._accumulate("matmul", i.site, detail, terms, count, old)

    def reduce(
        self, i: ins.ReduceTiles, values: np.ndarray, scaler: int, old: np.ndarray
    ) -> np.ndarray:
        if scaler not in self.constants:
            raise NetlistError(
                f"the scaler of a reduction in @{self.launch.facts.name} is not "
                "filled by `fill`",
                advice="fill it in a data-movement kernel: fill %one row_scaler 1.0",
                location=line_of(self.launch.sites[i.site]),
            )
        factor = float(self.constants[scaler][0, 0])
        detail = (i.kind, i.dim, factor, self._is_cut(i.cb))
        return self._accumulate("reduce", i.site, detail, (values,), len(values), old)

    def unary(self, i: ins.SfpuUnary, values: np.ndarray) -> np.ndarray:
        self._close(values)
        detail = (i.function, i.scalar)
        return self._record("unary", i.site, detail, [values], len(values))

    def sfpu_binary(
        self, i: ins.SfpuBinary, lhs: np.ndarray, rhs: np.ndarray
    ) -> np.ndarray:
        self._close(lhs)
        self._close(rhs)
        return self._record("sfpu_binary", i.site, (i.function,), [lhs, rhs], len(lhs))

    def pack(
        self, i: ins.PackTiles, values: np.ndarray, old: np.ndarray | None
    ) -> np.ndarray:
        data_format = self.launch.circular_buffers[i.cb].data_format
        if self.joins_l1_sums and data_format is DataFormat.FP32 and not i.relu:
            return self._keep(i, values, old)
        self._close(values)
        detail = (data_format, i.relu)
        packed = self._record("pack", i.site, detail, [values], len(values))
        if old is None or old.min() < 0:
            return packed
        detail = (data_format,)
        return self._record("pack_add", i.site, detail, [old, packed], len(old))

    def _keep(
        self, i: ins.PackTiles, values: np.ndarray, old: np.ndarray | None
    ) -> np.ndarray:
        """An fp32 Dst packed to fp32: nothing changes, and open sums stay open."""
        for number in values[self.is_open[values]].tolist():
            self.open[number].is_kept = True
        if old is None or old.min() < 0 or self._is_zero(old):
            return values
        before, added = self._whole_sum(old), self._whole_sum(values)
        if before is None or added is None or not _are_alike(before, added):
            detail = (DataFormat.FP32,)
            return self._record("pack_add", i.site, detail, [old, values], len(old))
        terms = [*before.terms, *added.terms]
        return self._open(added.kind, added.site, added.detail, terms, len(old))

    def _is_zero(self, numbers: np.ndarray) -> bool:
        """Whether tiles are all one constant, which is zero."""
        tile = self.constants.get(int(numbers[0]))
        return tile is not None and not tile.any() and np.ptp(numbers) == 0

    def _whole_sum(self, numbers: np.ndarray) -> _Accumulation | None:
        """The open sum that has just these results."""
        found = self.open.get(int(numbers[0]))
        is_whole = found is not None and np.array_equal(found.outputs, numbers)
        return found if is_whole else None


def _are_alike(one: _Accumulation, other: _Accumulation) -> bool:
    """Whether the sum of two sums is one of the same kind."""
    same = (one.kind, one.detail) == (other.kind, other.detail)
    return same and "max" not in one.detail


def _join(sum_: _Accumulation) -> list[np.ndarray]:
    """Concatenate the terms along K; the last dimension of every operand is K."""
    places = range(len(sum_.terms[0]))
    return [np.concatenate([t[p] for t in sum_.terms], axis=-1) for p in places]
