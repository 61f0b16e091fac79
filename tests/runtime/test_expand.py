"""Counting a program and expanding it agree on everything that is counted."""

from collections import Counter
from dataclasses import fields, is_dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.axes import Range
from dialects.bindings import Bindings
from dialects.chip import Core, load_chip
from dialects.expr import Binary, Const, Name
from dialects.kernel_checks import count_program
from dialects.program import ProgramFacts
from dialects.tensix import RunOp
from runtime import instructions as ins
from runtime.expand import expand_program
from runtime.launch import Launch
from runtime.tile_maps import TileMap
from tests.runtime.netlists import NAMES, load

WHAT = {
    ins.ReserveBack: "reserved",
    ins.PushBack: "pushed",
    ins.WaitFront: "waited",
    ins.PopFront: "popped",
}


def counted_instructions(launch: Launch, core: Core) -> Counter[tuple[str, str]]:
    """Pages and tiles by what is done and circular buffer, from the streams."""
    totals: Counter[tuple[str, str]] = Counter()
    names = [buffer.name for buffer in launch.circular_buffers]
    for stream in launch.streams[core]:
        for i in stream.instructions:
            if isinstance(i, ins.ReserveBack) and i.blocks > 1:
                continue  # a block that is read ahead is counted in its own step
            if isinstance(i, tuple(WHAT)):
                totals[WHAT[type(i)], names[i.cb]] += i.pages
            elif isinstance(i, ins.Read | ins.ReadRows):
                totals["read", names[i.cb]] += i.slots.size
            elif isinstance(i, ins.Write):
                totals["written", names[i.cb]] += i.slots.size
    return totals


@pytest.mark.parametrize("name", NAMES)
def test_counts_agree_with_expansion(name: str) -> None:
    netlist = load(name)
    bindings, chip = Bindings(netlist), load_chip("n150")
    for run in bindings.runs:
        assert isinstance(run, RunOp)
        facts = ProgramFacts(bindings.programs[run.program.data], chip)
        counts = count_program(facts)
        launch = expand_program(facts, bindings.tensors(run))
        for core in facts.cores:
            expanded = counted_instructions(launch, core)
            for (what, buffer), total in expanded.items():
                assert counts.total(core, what, buffer) == total, (core, what, buffer)


def plain(launch: Launch, core: Core) -> list[list[object]]:
    """The streams of a core as numbers and words."""
    return [
        [
            (type(i).__name__, [_plain(getattr(i, f.name)) for f in fields(i)])
            for i in stream.instructions
        ]
        for stream in launch.streams[core]
    ]


def _plain(value: object) -> object:
    if is_dataclass(value):
        return [_plain(getattr(value, f.name)) for f in fields(value)]
    return value.tolist() if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("name", NAMES)
def test_cores_share_a_stream_only_where_each_alone_has_the_same(name: str) -> None:
    netlist = load(name)
    bindings, chip = Bindings(netlist), load_chip("n150")
    for run in bindings.runs:
        assert isinstance(run, RunOp)
        facts = ProgramFacts(bindings.programs[run.program.data], chip)
        tensors = bindings.tensors(run)
        whole = expand_program(facts, tensors)
        for core in facts.cores:
            alone = expand_program(facts, tensors, cores=[core])
            assert plain(alone, core) == plain(whole, core)


@given(
    st.integers(-1, 3),
    st.integers(0, 4),
    st.integers(0, 4),
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_a_moved_pattern_is_the_map_evaluated(
    across: int, down: int, base: int, starts: tuple[int, int], sizes: tuple[int, int]
) -> None:
    """`[base + m * down, m * across + n + 9]` of 40 x 40 tiles."""
    row = Binary("+", Const(base), Binary("*", Name("m"), Const(down)))
    column = Binary("+", Binary("*", Const(across), Name("m")), Name("n"))
    column = Binary("+", column, Const(9))
    pattern = TileMap.of(("m", "n"), (row, column), (40, 40))
    assert pattern is not None
    ranges = {
        axis: Range(start, size, 4)
        for axis, start, size in zip("mn", starts, sizes, strict=True)
    }
    found = pattern.tiles({"m": starts[0], "n": starts[1]}, ranges)
    assert found is not None
    wanted = [
        (base + m * down) * 40 + m * across + n + 9
        for m in range(starts[0], starts[0] + sizes[0])
        for n in range(starts[1], starts[1] + sizes[1])
    ]
    assert found.tolist() == wanted


def test_a_map_without_axes_names_one_tile() -> None:
    pattern = TileMap.of((), (Const(1), Name("x")), (4, 4))
    assert pattern is not None
    found = pattern.tiles({"x": 2}, {})
    assert found is not None
    assert found.tolist() == [6]


def test_only_sums_of_axes_are_patterns() -> None:
    halves = Binary("floordiv", Name("m"), Const(2))
    assert TileMap.of(("m",), (halves, Const(0)), (4, 4)) is None
    square = Binary("*", Name("m"), Name("m"))
    assert TileMap.of(("m",), (square, Const(0)), (4, 4)) is None
    outside = TileMap.of(("m",), (Name("m"), Const(4)), (4, 4))
    assert outside is not None
    assert outside.tiles({"m": 0}, {"m": Range(0, 2, 2)}) is None
