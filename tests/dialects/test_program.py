"""What follows from a program's text: parts, cores, blocks, rectangles, counts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialects.axes import Axis, Range
from dialects.chip import Core, load_chip
from dialects.errors import NetlistError
from dialects.formats import DataFormat
from dialects.kernel_checks import count_program
from dialects.netlist_text import parse_netlist
from dialects.program import ProgramFacts, Tensor
from dialects.tensix import ProgramOp

CHIP = load_chip("n150")


def facts_of(body: str, parameters: str = "in %x") -> ProgramFacts:
    text = (
        'tensix.netlist @a version 1 chip "n150" {\n'
        f"program @p({parameters}) fidelity HiFi2 dst bf16 {{\n{body}\n}}\n}}"
    )
    program = parse_netlist(text).body.block.first_op
    assert isinstance(program, ProgramOp)
    return ProgramFacts(program, CHIP)


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 64), st.integers(1, 4), st.integers(1, 5))
def test_parts_cover_an_axis_once(
    extent: int, cores: int, stride: int, unit: int
) -> None:
    axis = Axis("m", extent, "xy", cores, stride, unit, 1)
    covered: list[int] = []
    for number in range(cores):
        position = number * stride
        found = axis.range_at(position)
        assert 0 <= found.size <= found.bound == axis.part
        assert found.start % unit == 0 or not found.size
        covered += range(found.start, found.start + found.size)
    assert covered == list(range(extent))


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 64), st.integers(1, 5), st.integers(1, 9))
def test_dealt_blocks_cover_an_axis_once(
    extent: int, cores: int, block: int, by: int
) -> None:
    axis = Axis("n", extent, "banks", cores, 1, 1, block, dealt=True)
    covered: list[int] = []
    for number in range(cores):
        whole = axis.range_at(number)
        assert whole.size <= whole.bound == axis.part
        steps = list(whole.steps(by))
        tiles = [int(tile) for step in steps for tile in step.tiles]
        assert tiles == whole.tiles.tolist()
        filled = [step for step in steps if step.size]
        places = [step.place for step in filled]
        assert places == [sum(s.size for s in filled[:i]) for i in range(len(filled))]
        assert all((tile // block) % cores == number for tile in tiles)
        covered += tiles
    assert sorted(covered) == list(range(extent))


def test_cores_beside_banks_take_the_columns_of_their_bank() -> None:
    facts = facts_of("axis n 40 over banks 24 block 1 dealt")
    assert facts.grid == CHIP.grid
    assert len(facts.cores) == 24
    for number, core in enumerate(CHIP.bank_cores[:24]):
        columns = facts.ranges_on(core)["n"].tiles
        assert {int(column) % 12 for column in columns} == {number % 12}


def test_defaults_of_an_axis() -> None:
    axis = facts_of("axis m 7").axes["m"]
    assert (axis.over, axis.cores, axis.part, axis.block) == (None, 1, 7, 7)


def test_a_block_is_at_most_the_part() -> None:
    assert facts_of("axis m 7 over x 4 block 5").axes["m"].block == 2


def test_units_stay_whole() -> None:
    axis = facts_of("axis n 30 over x 4 unit 4").axes["n"]
    assert axis.part == 8
    assert axis.range_at(3) == Range(24, 6, 8)


def test_folded_axes_take_digits_of_the_core_number() -> None:
    facts = facts_of("axis h 9 over xy 9 stride 4\naxis m 2 over xy 2 stride 2\n"
                     "axis n 2 over xy 2")  # fmt: skip
    assert facts.grid == Core(8, 5)
    assert len(facts.cores) == 36
    ranges = facts.ranges_on(Core(7, 0))
    assert [ranges[a].start for a in "hmn"] == [1, 1, 1]


def test_cores_without_work_are_idle() -> None:
    facts = facts_of("axis m 5 over x 4")
    assert facts.grid == Core(4, 1)
    assert facts.cores == (Core(0, 0), Core(1, 0), Core(2, 0))


def test_a_grid_off_the_chip_is_refused() -> None:
    with pytest.raises(NetlistError, match="spreads its axes over 9x1 cores"):
        facts_of("axis m 9 over x 9")


def test_a_block_over_an_unknown_axis_is_refused() -> None:
    with pytest.raises(NetlistError, match="'q' in a block of @p is not an axis"):
        facts_of("axis m 2\ncb %a [q] format bf16")


def test_circular_buffer() -> None:
    facts = facts_of(
        "axis m 4 over y 2 block 1\naxis k 6 block 3\n"
        "cb %a [m.part, k] of %x[m, k] depth 2\ncb %b [] format fp32"
    )
    a, b = facts.circular_buffers.values()
    assert (a.block_pages, a.capacity, a.strides) == (6, 12, (3, 1))
    assert (b.block_pages, b.capacity, b.strides) == (1, 1, ())
    tensors = {"x": Tensor(DataFormat.BFP8_B, (64, 64))}
    assert facts.format_of(a, tensors) is DataFormat.BFP8_B
    assert facts.format_of(b, tensors) is DataFormat.FP32


@pytest.mark.parametrize(
    ("along", "master", "corners"),
    [
        ("x", "(0, y)", (Core(0, 1), Core(3, 1))),
        ("y", "(x, 0)", (Core(2, 0), Core(2, 1))),
        ("xy", "(0, 0)", (Core(0, 0), Core(3, 1))),
    ],
)
def test_rectangle_of_a_multicast(
    along: str, master: str, corners: tuple[Core, Core]
) -> None:
    facts = facts_of(
        "axis m 2 over y 2\naxis n 4 over x 4\ncb %a [m] of %x[m, 0]\n"
        f"multicast %c of %a along {along} from {master} noc 0"
    )
    assert facts.rectangle(facts.multicasts["c"], {"x": 2, "y": 1}) == corners


def test_tensor_in_tiles() -> None:
    tensor = Tensor(DataFormat.BF16, (2, 3, 40, 70))
    assert (tensor.tile_rows, tensor.tile_columns) == (12, 3)
    assert tensor.num_bytes == 36 * 2048
    rows = Tensor(DataFormat.BF16, (50, 96), row_major=True)
    assert rows.num_bytes == 50 * 96 * 2


# -- counts ------------------------------------------------------------------------

LOOPS = """
axis m 5 over x 2 block 2
axis k 6 block 4
cb %a [m, k] of %x[m, k]
kernel reader on riscv1 noc 0 {
  for m { for k {
    cb_reserve_back %a
    noc_async_read %a
    noc_async_read_barrier
    if k.start < 4 { cb_push_back %a }
    if k.start == 4 { cb_push_back %a, 1 }
  } }
}
kernel compute on trisc {
  for m { for k to m.stop { cb_wait_front %a, k.size  cb_pop_front %a, k.size } }
}
"""


def test_counts_follow_loops_conditions_and_sizes() -> None:
    counts = count_program(facts_of(LOOPS))
    first, second = Core(0, 0), Core(1, 0)
    # Two steps of m (2 + 1 of 3 tiles; 2 + 0 on the second core), two of k (4 + 2).
    assert counts.total(first, "reserved", "a") == 4 * 8
    assert counts.total(first, "pushed", "a") == 2 * (8 + 1)
    assert counts.total(first, "read", "a") == 3 * 6
    assert counts.total(second, "read", "a") == 2 * 6
    assert counts.over_all("read", "a") == 5 * 6
    # `to m.stop`: k goes to 2 and 3 on the first core, to 5 and 5 on the second.
    assert counts.total(first, "popped", "a") == 2 + 3
    assert counts.total(second, "popped", "a") == 5 + 5


def test_sends_are_counted_with_their_masters() -> None:
    facts = facts_of(
        "axis n 3 over x 3\naxis k 3 block 1\ncb %a [k] of %x[0, k]\n"
        "multicast %c of %a along x from (k.start, 0) noc 0\n"
        "kernel reader on riscv1 noc 0 { for k {\n"
        "if x == k.start { send %c }\nif x > k.start { receive %c }\n"
        "if x < k.start { receive %c }\n} }"
    )
    counts = count_program(facts)
    for core in facts.cores:
        assert counts.total(core, "sent", "c") == 1
        assert counts.total(core, "received", "c") == 2
    points = next(iter(counts.by_kernel.values()))[Core(1, 0)].points.values()
    masters = {core for point in points for (core,) in point}
    assert masters == set(facts.cores)
