"""Which programs are one: wiring and numbers tell them apart, bindings do not."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import pytest
from torch import Tensor, nn

from passes.structure_key import structure_key
from tests.backend.modules import Function
from tests.passes.test_choose_grid import placed, programs

SHAPE = (64, 96)


def key_of(function: Callable[..., Tensor]) -> Hashable:
    (program,) = programs(placed(Function(function), SHAPE, SHAPE))
    return structure_key(program)


def test_equal_layers_have_one_key() -> None:
    layers = nn.Sequential(*(nn.Linear(96, 96) for _ in range(3)))
    first, *others = map(structure_key, programs(placed(layers, SHAPE)))
    assert others == [first, first]


@pytest.mark.parametrize(
    "other",
    [
        lambda x, y: x * y - y,
        lambda x, y: x * y + x,
        lambda x, y: (x * y - x) * 2.0,
    ],
)
def test_other_work_has_another_key(other: Callable[..., Tensor]) -> None:
    assert key_of(other) != key_of(lambda x, y: x * y - x)


def test_numbers_are_part_of_the_key() -> None:
    assert key_of(lambda x, y: x * 2.0 + y) != key_of(lambda x, y: x * 3.0 + y)
