"""Chains keep the order that results need, and only what others read leaves them."""

from __future__ import annotations

from runtime.fusion import Chain, fuse
from runtime.steps import Copy, Place, Run, Vector

ROWS = ((0, 32),)


def unary(source: int, out: int, *, row: int = 0, columns: int = 32) -> Vector:
    place = Place(source, row, 0)
    return Vector("unary", ("exp", None), (place,), out, columns, ROWS, "exp")


def copy(source: int, out: int) -> Copy:
    return Copy((Run(Place(source, 0, 0), 0, 0, 32, 32),), out, "copy")


def chains(fused: list) -> list[tuple[list[int], set[int]]]:
    return [
        ([s.out for s in item.steps], item.kept) if isinstance(item, Chain) else item
        for item in fused
    ]


def test_what_only_the_chain_reads_stays_in_it() -> None:
    fused = fuse([unary(0, 5), unary(5, 6), unary(6, 1)], 2)
    assert chains(fused) == [([5, 6, 1], {1})]


def test_another_place_on_the_sheet_needs_it_finished() -> None:
    fused = fuse([unary(0, 5), unary(5, 6, row=32), unary(6, 1)], 2)
    assert chains(fused) == [([5], {5}), ([6, 1], {1})]


def test_another_width_is_another_chain() -> None:
    fused = fuse([unary(0, 5), unary(5, 1, columns=64)], 2)
    assert chains(fused) == [([5], {5}), ([1], {1})]


def test_a_step_between_waits_for_what_it_reads_only() -> None:
    other, own = copy(0, 7), copy(5, 8)
    fused = fuse([unary(0, 5), other, unary(5, 6), own, unary(6, 1)], 2)
    assert fused[0] is other
    assert chains(fused)[1:] == [([5, 6], {5, 6}), own, ([1], {1})]


def test_old_values_are_read_before_they_are_overwritten() -> None:
    store = copy(7, 0)
    fused = fuse([unary(0, 5), store, unary(5, 1)], 2)
    assert chains(fused) == [([5], {5}), store, ([1], {1})]
