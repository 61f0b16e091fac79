"""Addresses, and the notes and totals that are made of them."""

from hypothesis import given, settings
from hypothesis import strategies as st

from dialects.allocation import (
    Place,
    allocate_buffers,
    allocate_circular_buffers,
    bound_by_name,
    l1_map,
    lifetimes,
)
from dialects.bindings import Bindings
from dialects.chip import load_chip
from dialects.netlist_notes import notes, show_bytes
from dialects.netlist_summary import NetlistSummary
from dialects.netlist_text import parse_netlist, print_netlist
from dialects.program import ProgramFacts
from dialects.tensix import BufferOp, NetlistOp, RunOp

CHIP = load_chip("n150")

COPY = """
  program @copy(in %x, out %y) fidelity HiFi4 dst fp32 source "model.py:7" {
    axis m 2 over y 2
    axis n 3
    cb %a [m, n] of %x[m, n] depth 2
    cb %scratch [n] format fp32
    multicast %row of %a along y from (x, 0) noc 0
    kernel reader on riscv1 noc 0 {
      cb_reserve_back %a
      if y == 0 { noc_async_read %a  noc_async_read_barrier  send %row }
      if y > 0 { receive %row }
      cb_push_back %a
    }
    kernel writer on riscv0 noc 1 {
      cb_wait_front %a
      noc_async_write %a
      noc_async_write_barrier
      cb_pop_front %a
    }
  }
"""


def netlist_of(buffers: str, runs: str) -> NetlistOp:
    return parse_netlist(
        f'tensix.netlist @a version 1 chip "n150" {{\n{buffers}\n{COPY}\n{runs}\n}}'
    )


CHAIN = netlist_of(
    "buffer @in dram bf16 64x96 role input\n"
    'buffer @l.$.w last 1 dram bf16 64x96 from "w.$"\n'
    "buffer @t0 l1 bf16 64x96\nbuffer @t1 l1 bf16 64x96\nbuffer @t2 l1 bf16 64x96\n"
    "buffer @never dram bf16 64x96\n"
    "buffer @out dram bf16 64x96 role output",
    "run @copy(@in, @t0)\nrun @copy(@t0, @t1)\nrun @copy(@t1, @t2)\n"
    "run @copy(@t2, @out)\nrun @copy(@l.1.w, @out)",
)


def test_lifetimes() -> None:
    lives = lifetimes(Bindings(CHAIN))
    assert lives["in"] == (0, 0)
    assert lives["l.0.w"] == lives["l.1.w"] == (0, 4)
    assert lives["t0"] == (0, 1)
    assert lives["t1"] == (1, 2)
    assert lives["out"] == (3, 4)
    assert "never" not in lives


def test_l1_tensors_lie_at_the_top_and_share_room() -> None:
    places = allocate_buffers(CHAIN, CHIP)
    assert places["t0"].address + places["t0"].num_bytes == CHIP.l1_bytes
    assert places["t2"].address == places["t0"].address
    assert places["t1"].address + places["t1"].num_bytes == places["t0"].address
    # Six tiles over 64 cores: one tile on the fullest.
    assert places["t0"].num_bytes == 2048


def test_weights_lie_at_the_bottom_of_dram() -> None:
    places = allocate_buffers(CHAIN, CHIP)
    assert [places[f"l.{i}.w"].address for i in (0, 1)] == [0, 2048]
    assert places["in"].address == places["out"].address == 4096


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 7), st.integers(0, 7), st.integers(1, 40)),
        min_size=1,
        max_size=8,
    )
)
def test_what_lives_at_one_time_does_not_overlap(
    wanted: list[tuple[int, int, int]],
) -> None:
    buffers = "\n".join(
        f"buffer @b{i} dram bf16 32x{32 * 12 * tiles}"
        for i, (_, _, tiles) in enumerate(wanted)
    )
    runs = []
    for run in range(8):
        live = [f"@b{i}" for i, (a, b, _) in enumerate(wanted) if run in (a, b)]
        runs.append(f'host "use" ({", ".join(live)})')
    netlist = parse_netlist(
        f'tensix.netlist @a version 1 chip "n150" {{\n{buffers}\n'
        + "\n".join(runs)
        + "\n}"
    )
    places = list(allocate_buffers(netlist, CHIP).values())
    assert len(places) == len(wanted)
    for i, one in enumerate(places):
        assert one.address % CHIP.dram_alignment_bytes == 0
        for other in places[:i]:
            together = one.first <= other.last and other.first <= one.last
            assert not (together and _overlap(one, other))


def _overlap(one: Place, other: Place) -> bool:
    return (
        one.address < other.address + other.num_bytes
        and other.address < one.address + one.num_bytes
    )


def test_circular_buffers_lie_at_the_bottom() -> None:
    bindings = Bindings(CHAIN)
    facts = ProgramFacts(bindings.programs["copy"], CHIP)
    run = bindings.runs_of("copy")[1]
    tensors = bound_by_name(facts, bindings.tensors(run))
    base = CHIP.l1_reserved_bytes
    assert allocate_circular_buffers(facts, tensors, CHIP) == {
        "a": (base, 6 * 2048),
        "scratch": (base + 6 * 2048, 3 * 4096),
    }
    places = allocate_buffers(CHAIN, CHIP)
    regions = l1_map(run, facts, bindings=bindings, places=places, chip=CHIP)
    assert [r.name for r in regions] == ["%a", "%scratch", "@t1", "@t0"]


def test_totals() -> None:
    summary = NetlistSummary(CHAIN, CHIP)
    program = summary.programs["copy"]
    assert (program.runs, program.num_cores) == (5, 2)
    assert program.l1_bytes == 6 * 2048 + 3 * 4096 + 2 * 2048
    assert summary.l1_peak == (program.l1_bytes, "copy")
    assert program.read_bytes == 3 * 2048
    assert program.written_bytes is not None
    assert summary.weight_bytes == 2 * 6 * 2048
    assert summary.most_cores == 2


def test_notes_say_what_follows() -> None:
    found = notes(CHAIN, CHIP, {"copy": 1000.4})
    header = "\n".join(found[CHAIN])
    assert "1 program, 5 runs, 0 host steps; up to 2 of 64 cores" in header
    assert "predicted 5,002 cycles in programs" in header
    text = print_netlist(CHAIN, found)
    assert "// 2x3 tiles, 12,288 bytes" not in text
    assert "// 2 of 2x3 tiles, 12 KiB\n  buffer @l.$.w" in text
    assert "// 1x2 cores, 5 runs, L1 28 KiB, DRAM 6 KiB read" in text
    assert "1,000 cycles" in text
    assert "  // to (x,0) .. (x,1), 3 tiles, 6 KiB" in text
    assert parse_netlist(text).is_structurally_equivalent(CHAIN)


def test_notes_without_cycles_and_runs() -> None:
    netlist = netlist_of("buffer @table dram bf16 50x96 row_major", "")
    found = notes(netlist, CHIP)
    assert "predicted" not in "\n".join(found[netlist])
    table = next(op for op in netlist.walk() if isinstance(op, BufferOp))
    assert found[table] == ["50 rows, 9,600 bytes"]


def test_show_bytes() -> None:
    assert show_bytes(0) == "0 bytes"
    assert show_bytes(2048) == "2 KiB"
    assert show_bytes(1500) == "1,500 bytes"
    assert show_bytes(73728) == "72 KiB"
    assert show_bytes(20 * 1024**2) == "20.0 MiB"


def test_runs_are_found_by_program() -> None:
    bindings = Bindings(CHAIN)
    assert all(isinstance(run, RunOp) for run in bindings.runs_of("copy"))
    assert bindings.runs_of("other") == []
    assert bindings.buffers["l.1.w"].number == 1
