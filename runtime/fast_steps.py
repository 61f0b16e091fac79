"""Steps of `fast` numerics as compiled calls on addresses.

Element-wise steps are chains of strips; the left side of products is packed once for
all that read it; right sides of bf16 numbers that never change are packed before the
first run. What has no compiled form is a call of the numerics (`runtime.plain_steps`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from dialects.formats import DstMode
from runtime.arithmetic import bf16_kernels, strip_kernels
from runtime.arithmetic.fast_matmul import (
    PanelProduct,
    in0_mask,
    in1_mask,
    packed_shape,
    panel_product,
)
from runtime.bound import Bound, table_of
from runtime.chains import FastRules, chain_call, is_fusible, rounding_call
from runtime.constant_packing import pack_constant_in1
from runtime.fusion import Chain, Fused, fuse
from runtime.liveness import Segments
from runtime.merge import Merged
from runtime.plain_steps import Call, runs_table
from runtime.steps import Copy, MulSum, Place, Product, Reduce, Step, rows_of, slices_of

SMALL_COLUMNS = 64
"""Up to so many columns a product that cuts its sides is quicker without copies."""

ROWS_TO_PACK_FOR = 32
"""So many rows must share a right side that is packed in every run."""


@dataclass(frozen=True, slots=True)
class PackLeft:
    """The left side of products as `product` reads it."""

    place: Place
    depth: int
    segments: Segments
    mask: int
    product: PanelProduct

    @property
    def words(self) -> int:
        """Words that it takes."""
        return rows_of(self.segments) * self.depth // 2 * self.product.words


@dataclass(frozen=True, slots=True)
class PackRight:
    """A right side [depth, columns] of bf16 numbers in panels."""

    place: Place
    depth: int
    columns: int
    turned: bool
    mask: int

    @property
    def words(self) -> int:
        """Words that it takes: two datums each, in whole panels."""
        panels, pairs, width = packed_shape(self.depth, self.columns)
        return panels * pairs * width


@dataclass(frozen=True, slots=True)
class PackedProduct:
    """A product of packed sides."""

    left: PackLeft
    right: PackRight
    is_constant: bool
    step: Product


Item: TypeAlias = "Fused | PackLeft | PackRight | PackedProduct"


def schedule(merged: Merged, rules: FastRules) -> list[Item]:
    """Chains, packed sides and products, in an order that respects what they read."""
    items: list[Item] = []
    made: set[PackLeft | PackRight] = set()
    for item in fuse(merged.steps, merged.num_parameters, is_fusible):
        product = _packed_product(item, rules) if isinstance(item, Product) else None
        if product is None:
            assert not isinstance(item, PackedProduct)
            items.append(item)
            continue
        sides = [product.left] if product.is_constant else [product.left, product.right]
        items += [side for side in sides if side not in made]
        made.update(sides)
        items.append(product)
    return items


def _packed_product(step: Product, rules: FastRules) -> PackedProduct | None:
    """The product of packed sides.

    None where the right one is cut to tf32, which is more than bf16, or where the CPU
    has no way; and where packing would cost more than it saves: a right side that is
    computed, and serves few rows or would be read in fp32 all the same.
    """
    left_is_wide, right_is_wide = (
        is_cut and rules.dst is DstMode.FP32 for is_cut in step.is_cut
    )
    is_constant = step.operands[1].sheet in rules.constants
    product = panel_product(is_bf16=not left_is_wide)
    if product is None or right_is_wide:
        return None
    pays = product.is_dot and rows_of(step.segments) >= ROWS_TO_PACK_FOR
    if not (is_constant or pays):
        return None
    masks = [
        int(rules.read_mask(is_cut) & mask(rules.fidelity))
        for is_cut, mask in zip(step.is_cut, (in0_mask, in1_mask), strict=True)
    ]
    left = PackLeft(step.operands[0], step.depth, step.segments, masks[0], product)
    right = PackRight(step.operands[1], step.depth, step.columns, step.turned, masks[1])
    return PackedProduct(left, right, is_constant, step)


# -- calls -----------------------------------------------------------------------------


def fast_calls(item: Item, bound: Bound, rules: FastRules) -> list[Call] | None:
    """An item as calls; None for a step that only the numerics can do."""
    call = _first_call(item, bound, rules)
    if call is None:
        return None
    step = item.step if isinstance(item, PackedProduct) else item
    if not isinstance(step, MulSum | Reduce | Product):
        return [call]
    return [call, *_rounding(step, bound, rules)]


def _first_call(item: Item, bound: Bound, rules: FastRules) -> Call | None:
    make = _CALLS.get(type(item))
    return None if make is None else make(item, bound, rules)


def _pack_left(item: PackLeft, bound: Bound, rules: FastRules) -> Call:
    at = bound.address(item.place)
    packed, pairs = bound.words[item], item.depth // 2
    segments, mask = table_of(item.segments), np.uint32(item.mask)

    def call() -> None:
        lost = item.product.pack_in0(
            at.first, at.row_step, pairs, mask, segments, packed
        )
        assert lost == 0, "what lies in a bf16 circular buffer is not bf16"

    return call


def _pack_right(item: PackRight, bound: Bound, rules: FastRules) -> Call:
    at, mask = bound.address(item.place), np.uint32(item.mask)
    pairs, columns = item.depth // 2, item.columns
    packed = bound.words[item].reshape(packed_shape(item.depth, columns))

    def call() -> None:
        if item.turned:
            lost = bf16_kernels.pack_turned_in1(
                at.first, at.row_step, mask, columns, pairs, packed
            )
        else:
            lost = bf16_kernels.pack_in1(
                at.first, at.row_step, mask, 0, pairs, columns, packed
            )
        assert lost == 0, "what lies in a bf16 circular buffer is not bf16"

    return call


def _multiply(item: PackedProduct, bound: Bound, rules: FastRules) -> Call | None:
    right, step = item.right, item.step
    if item.is_constant:
        constant = bound.constant(right.place.sheet)
        assert constant is not None
        packed = pack_constant_in1(constant, right)
        if packed is None:
            return None
    else:
        packed = bound.words[right].reshape(packed_shape(right.depth, right.columns))
    out = bound.address(Place(step.out, step.first_row, 0))
    segments = table_of(step.segments)
    return partial(
        item.left.product.multiply,
        *(bound.words[item.left], packed, step.columns, segments),
        *(out.first, out.row_step),
    )


def _mul_sum(step: MulSum, bound: Bound, rules: FastRules) -> Call:
    a, b = (bound.address(place) for place in step.operands)
    masks = [rules.read_mask(is_cut) for is_cut in step.is_cut]
    return partial(
        strip_kernels.sum_products,
        *(a.first, a.row_step, masks[0], b.first, b.row_step, masks[1], b.is_spread),
        *(step.terms, table_of(step.segments), bound.address(_start(step)).first),
    )


def _copy(step: Copy, bound: Bound, rules: FastRules) -> Call:
    return partial(strip_kernels.copy_runs, runs_table(step, bound))


def _reduce(step: Reduce, bound: Bound, rules: FastRules) -> Call | None:
    if step.dim != "row":
        return None
    a = bound.address(step.operands[0])
    return partial(
        strip_kernels.reduce_rows,
        *(a.first, a.row_step, rules.read_mask(step.is_cut), step.terms),
        *(step.kind == "max", np.float32(step.scaler), table_of(step.segments)),
        bound.address(_start(step)).first,
    )


def _product(step: Product, bound: Bound, rules: FastRules) -> Call | None:
    """A product in fp32: the library's, or one that cuts narrow sides on the way."""
    if bound.constant(step.operands[1].sheet) is not None:
        return None
    masks = (
        rules.read_mask(step.is_cut[0]) & in0_mask(rules.fidelity),
        rules.read_mask(step.is_cut[1]) & in1_mask(rules.fidelity),
    )
    if set(masks) == {bf16_kernels.ALL_BITS}:
        return _library_product(step, bound)
    a, b = (bound.address(place) for place in step.operands)
    apart = b.row_step != 4 * step.columns
    if step.turned or apart or step.columns > SMALL_COLUMNS:
        return None
    out = bound.address(Place(step.out, step.first_row, 0))
    return partial(
        strip_kernels.small_product,
        *(a.first, a.row_step, masks[0], b.first, masks[1], step.columns, step.depth),
        *(table_of(step.segments), out.first, out.row_step),
    )


def _library_product(step: Product, bound: Bound) -> Call:
    """Both sides as they lie, one call for rows at equal distances."""
    rows, columns = step.depth, step.columns
    if step.turned:
        rows, columns = columns, rows
    right = bound.view(step.operands[1], slice(0, rows), columns)
    right = right.T if step.turned else right
    left = bound.view(step.operands[0], slice(0, step.segments[-1][1]), step.depth)
    out = bound.array(step.out)[step.first_row :, : step.columns]
    sides = [(left[part], out[part]) for part in slices_of(step.segments)]

    def call() -> None:
        for rows, result in sides:
            np.matmul(rows, right, out=result)

    return call


def _start(step: MulSum | Reduce) -> Place:
    return Place(step.out, 0, 0)


def _rounding(
    step: MulSum | Reduce | Product, bound: Bound, rules: FastRules
) -> Iterator[Call]:
    """Rounding a complete sum to a 16-bit Dst."""
    if rules.dst is DstMode.FP32 or not step.rounds:
        return
    first_row = step.first_row if isinstance(step, Product) else 0
    columns = step.columns if isinstance(step, Product) else 32
    place = Place(step.out, first_row, 0)
    yield rounding_call(place, columns, step.segments, bound)


_CALLS: dict[type, Callable[[Any, Bound, FastRules], Call | None]] = {
    Chain: chain_call,
    PackLeft: _pack_left,
    PackRight: _pack_right,
    PackedProduct: _multiply,
    Copy: _copy,
    MulSum: _mul_sum,
    Reduce: _reduce,
    Product: _product,
}


def item_reads(item: Item) -> Iterable[object]:
    """What an item reads: sheets by number, packed sides by themselves."""
    if isinstance(item, PackLeft | PackRight):
        return [item.place.sheet]
    if isinstance(item, PackedProduct):
        return [item.left, item.right, item.right.place.sheet]
    return [place.sheet for place in item.operands]


def item_writes(item: Item) -> Iterable[object]:
    """What an item writes."""
    if isinstance(item, Chain):
        return item.kept
    if isinstance(item, PackLeft | PackRight):
        return [item]
    return [item.step.out if isinstance(item, PackedProduct) else item.out]


def step_of(item: Item) -> Step:
    """The step behind an item that the numerics must do."""
    step = item.step if isinstance(item, PackedProduct) else item
    assert not isinstance(step, Chain | PackLeft | PackRight)
    return step
