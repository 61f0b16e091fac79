"""Every fault that `check_netlist` finds: one netlist with it, its line and words."""

import re
from pathlib import Path

import pytest

from dialects.checks import check_netlist, require_sound
from dialects.chip import load_chip
from dialects.errors import CapacityError, FaultsError, ForgeError, NetlistError
from dialects.netlist_text import parse_netlist

NETLISTS = Path(__file__).parents[1] / "netlists"
CHIP = load_chip("n150")


def text_of(name: str) -> str:
    return (NETLISTS / f"{name}.mlir").read_text()


def faults_of(text: str) -> list[ForgeError]:
    return check_netlist(parse_netlist(text), CHIP)


def changed(name: str, *edits: tuple[str, str]) -> str:
    """The netlist with the first occurrence of each text replaced."""
    text = text_of(name)
    for old, new in edits:
        assert old in text, f"{old!r} is not in {name}"
        text = text.replace(old, new, 1)
    return text


@pytest.mark.parametrize("name", sorted(path.stem for path in NETLISTS.glob("*.mlir")))
def test_sound_netlists_have_no_faults(name: str) -> None:
    assert faults_of(text_of(name)) == []


# name of the netlist, (old, new), what the fault says, text of its line
FAULTS = {
    "a partial too few is collected": (
        "partials",
        ("from 2", "from 1"),
        "collects 1 blocks, but 2 are contributed",
        "gather %partials",
    ),
    "slots for fewer partials": (
        "partials",
        ("%slots [p.part, m, n]", "%slots [m, n]"),
        "has not one slot for each block",
        "gather %partials",
    ),
    "gather along no axis": (
        "partials",
        ("along k", "along q"),
        "'q' is not an axis of @split_k",
        "gather %partials",
    ),
    "gather of no buffer": (
        "partials",
        ("of (%own)", "of (%mine)"),
        "%mine is not a circular buffer of @split_k",
        "gather %partials",
    ),
    "no such gather": (
        "partials",
        ("contribute %partials", "contribute %parts"),
        "%parts is not a gather of @split_k",
        "contribute",
    ),
    "a core that exchanges less often": (
        "exchange",
        ("exchange %pieces", "if k.index > 0 { exchange %pieces }"),
        "core (0,0) exchanges 0 times, core (1,0) 1 times",
        "gather %pieces",
    ),
    "slots for fewer pieces": (
        "exchange",
        ("axis p 3", "axis p 2"),
        "has not one slot for each block",
        "gather %pieces",
    ),
    "a share of an axis that comes later": (
        "exchange",
        ("axis n1 5 of n ", "axis n1 5 of q "),
        "'q' is not an axis before this of @split_k",
        "axis n1",
    ),
    "a share of another extent": (
        "exchange",
        ("axis n1 5 of n ", "axis n1 4 of n "),
        "n1 of @split_k is 4 long, n is 5",
        "axis n1",
    ),
    "a share of what is dealt": (
        "exchange",
        ("over y 2 block 3", "over y 2 block 3 dealt"),
        "which is itself shared out or dealt",
        "axis n1",
    ),
    "scalars that nobody read": (
        "update_rows",
        ("      read_scalars pos\n", ""),
        "'pos' is used before this kernel of @update has read it",
        "noc_async_write_rows",
    ),
    "unknown scalars": (
        "update_rows",
        ("to pos[u]", "to place[u]"),
        "'place' is not a name of scalars of @update",
        "noc_async_write_rows",
    ),
    "scalars of no parameter": (
        "update_rows",
        ("pos of %positions", "pos of %places"),
        "%places is not a parameter of @update",
        "scalars pos",
    ),
    "scalars that the host does not write": (
        "update_rows",
        ("@positions dram int32 1x3 role input", "@positions dram int32 1x3"),
        "but is no integer input",
        "run @update",
    ),
    "rows of a block float": (
        "update_rows",
        ("@cache dram bf16", "@cache dram bfp8_b"),
        "whose exponents lie elsewhere",
        "noc_async_write_rows",
    ),
    "unknown chip": (
        "matmul_grid",
        ('"n150"', '"n999"'),
        "chip 'n999' is not known",
        "tensix.netlist",
    ),
    "chip of another compile": (
        "matmul_grid",
        ('"n150"', '"n300"'),
        "for n300, not for n150",
        "tensix.netlist",
    ),
    "integers in a product": (
        "matmul_grid",
        ("@w dram bf16", "@w dram uint8"),
        "%w holds integers, on which forge does not compute",
        "matmul_block",
    ),
    "instruction outside a kernel": (
        "matmul_grid",
        ("  run @matmul", "  cb_push_back %a\n  run @matmul"),
        "does not belong directly into a netlist",
        "cb_push_back %a",
    ),
    "axis outside a program": (
        "matmul_grid",
        ("    kernel reader", "    noc_async_read_barrier\n    kernel reader"),
        "does not belong directly into a program",
        "noc_async_read_barrier",
    ),
    "buffer twice": (
        "matmul_grid",
        ("buffer @w dram", "buffer @a dram bf16 32x128\n  buffer @w dram"),
        "buffer @a is declared twice",
        "buffer @a dram bf16 32x128",
    ),
    "place of an unknown buffer": (
        "vendor_one_core",
        ("shares %out", "shares %outt"),
        "%outt is not a circular buffer",
        "cb %partials",
    ),
    "place of a buffer of another size": (
        "vendor_one_core",
        ("depth 4 shares", "depth 2 shares"),
        "%partials cannot lie at the place of %out",
        "cb %partials",
    ),
    "over a buffer without shards": (
        "vendor_one_core",
        (" shards 1x1", ""),
        "%in0 lies over @in0, which is not cut into shards",
        "cb %in0",
    ),
    "more shards than cores": (
        "vendor_one_core",
        ("shards 1x1", "shards 1x9"),
        "@in0 is cut into more shards than there are cores",
        "buffer @in0",
    ),
    "more shards row by row than cores": (
        "vendor_one_core",
        ("shards 1x1", "shards 5x13 over xy"),
        "@in0 is cut into more shards than there are cores",
        "buffer @in0",
    ),
    "read into a buffer over a shard": (
        "vendor_one_core",
        ("cb_push_back %in0", "noc_async_read %in0\n          cb_push_back %in0"),
        "%in0 is read, but is `of` no parameter",
        "noc_async_read %in0",
    ),
    "block size that is none": (
        "vendor_one_core",
        ("[m.2, n.2] over", "[m.0, n.2] over"),
        "'m.0' is not an axis",
        "cb %out",
    ),
    "program twice": (
        "elementwise",
        ("program @row_max", "program @silu_add"),
        "program @silu_add is declared twice",
        "program @silu_add(in %x, out %y)",
    ),
    "run of an unknown program": (
        "matmul_grid",
        ("run @matmul(", "run @matmull("),
        "@matmull is run, but not declared",
        "run @matmull(",
    ),
    "run binds an unknown buffer": (
        "matmul_grid",
        ("(@a, @w, @c)", "(@a, @ww, @c)"),
        "@ww is bound, but not declared",
        "(@a, @ww, @c)",
    ),
    "run binds too few buffers": (
        "matmul_grid",
        ("(@a, @w, @c)", "(@a, @w)"),
        "run with 2 buffers",
        "(@a, @w)",
    ),
    "family member out of range": (
        "matmul_grid",
        ('@w dram bf16 128x160 from "w"', '@l.$.w last 3 dram bf16 128x160 from "w"'),
        ("@w, @c)", "@l.4.w, @c)"),
        "@l.4.w is not in the family @l.$.w",
        "@l.4.w, @c)",
    ),
    "parameter twice": (
        "matmul_grid",
        ("(in %a, in %w,", "(in %a, in %a,"),
        ("of %w[", "of %a["),
        "parameter %a of @matmul is declared twice",
        "program @matmul",
    ),
    "axis twice": (
        "matmul_grid",
        ("    axis k 4", "    axis m 4 block 2\n    axis k 4"),
        "axis 'm' of @matmul is declared twice",
        "axis m 4 block 2",
    ),
    "grid off the chip": (
        "matmul_grid",
        ("over x 3", "over x 9"),
        "spread off the chip's grid",
        "over x 9",
    ),
    "too many cores": (
        "matmul_whole",
        ("over xy 5", "over xy 5 stride 13"),
        "spread off the chip's grid",
        "stride 13",
    ),
    "two kernels on one processor": (
        "matmul_grid",
        ("writer on riscv0 noc 1", "writer on riscv1 noc 1"),
        "wants riscv1, which another kernel has",
        "kernel writer",
    ),
    "block over an unknown axis": (
        "matmul_grid",
        ("cb %a [m, k]", "cb %a [m, q]"),
        "'q' is not an axis",
        "cb %a",
    ),
    "block with an unknown property": (
        "matmul_grid",
        ("cb %a [m, k]", "cb %a [m, k.size]"),
        "'k.size' is not an axis",
        "cb %a",
    ),
    "operand that is no parameter": (
        "matmul_grid",
        ("of %a[m, k]", "of %z[m, k]"),
        "%z is not a parameter",
        "cb %a",
    ),
    "map with one entry": (
        "matmul_grid",
        ("of %a[m, k]", "of %a[m]"),
        "has 1 entries",
        "cb %a",
    ),
    "map with an unknown name": (
        "matmul_grid",
        ("of %a[m, k]", "of %a[m, j]"),
        "'j' is not an axis or a coordinate",
        "cb %a",
    ),
    "map with an unknown index": (
        "gather",
        ("[%ids, n]", "[%idz, n]"),
        "%idz is not a circular buffer",
        "cb %rows",
    ),
    "gather of tiles": (
        "gather",
        ("rows of %table", "of %table"),
        "stands in the map of %rows, which reads tiles",
        "cb %rows",
    ),
    "multicast of an unknown buffer": (
        "matmul_grid",
        ("%row of %a along", "%row of %z along"),
        "%z is not a circular buffer",
        "multicast %row",
    ),
    "master with an unknown name": (
        "matmul_grid",
        ("from (0, y)", "from (z, y)"),
        "'z' is not an axis or a coordinate",
        "multicast %row",
    ),
    "loop over an unknown axis": (
        "matmul_grid",
        ("for k {", "for q {"),
        "'q' is not an axis",
        "for q {",
    ),
    "instruction on an unknown buffer": (
        "matmul_grid",
        ("cb_wait_front %a", "cb_wait_front %z"),
        "%z is not a circular buffer",
        "cb_wait_front %z",
    ),
    "piece over an unknown axis": (
        "pieces_in_turn",
        ("pieces [k.2", "pieces [j.2"),
        "'j.2' is not an axis",
        "multicast %row",
    ),
    "unknown multicast": (
        "matmul_grid",
        ("send %row", "send %rows"),
        "%rows is not a multicast",
        "send %rows",
    ),
    "unknown semaphore": (
        "masters_in_turn",
        ("noc_semaphore_set %room", "noc_semaphore_set %rome"),
        "%rome is not a semaphore",
        "%rome",
    ),
    "block of an instruction over an unknown axis": (
        "matmul_grid",
        ("[m, n] sum [k]", "[m, n] sum [j]"),
        "'j' is not an axis",
        "sum [j]",
    ),
    "read ahead outside of the loop": (
        "read_ahead",
        ("%a ahead k", "%a ahead m"),
        "read ahead along m, but outside of a loop over it",
        "noc_async_read %a",
    ),
    "read ahead along an axis that the block lacks": (
        "read_ahead",
        ("%a ahead k", "%a ahead n"),
        "read ahead along n, which its block does not have",
        "noc_async_read %a",
    ),
    "read ahead into one block": (
        "read_ahead",
        ("of %a[m, k] depth 3", "of %a[m, k]"),
        "%a is read ahead, but holds one block",
        "noc_async_read %a",
    ),
    "too many buffers read ahead": (
        "read_ahead",
        (
            "          noc_async_read_barrier of %a",
            "".join(f"          noc_async_read %t{i} ahead k\n" for i in range(6))
            + "          noc_async_read_barrier of %a",
        ),
        (
            "    cb %c [m, n]",
            "".join(f"    cb %t{i} [m, k] of %a[m, k] depth 2\n" for i in range(6))
            + "    cb %c [m, n]",
        ),
        "reads too many circular buffers ahead",
        "program @matmul",
    ),
    "barrier of what is not read ahead": (
        "read_ahead",
        ("%a ahead k", "%a"),
        "names %a, which kernel reader does not read ahead",
        "noc_async_read_barrier of %a",
    ),
    "condition on an unknown name": (
        "matmul_grid",
        ("if x == 0", "if z == 0"),
        "'z' is not an axis or a coordinate",
        "if z == 0",
    ),
    "corner with an unknown name": (
        "masters_in_turn",
        ("%a from (0, y)", "%a from (z, y)"),
        "'z' is not an axis or a coordinate",
        "%a from (z, y)",
    ),
    "in parameter written": (
        "matmul_grid",
        ("(in %a, in %w, out %c)", "(in %a, in %w, in %c)"),
        "%c is written, but is an `in` parameter",
        "noc_async_write %c",
    ),
    "out parameter read": (
        "matmul_grid",
        ("(in %a, in %w, out %c)", "(out %a, in %w, out %c)"),
        "%a is read, but is an `out` parameter",
        "noc_async_read %a",
    ),
    "parameter never used": (
        "matmul_grid",
        ("out %c)", "out %c, in %d)"),
        ("@w, @c)", "@w, @c, @a)"),
        "`in %d` of @matmul is never read",
        "program @matmul",
    ),
    "transfer of a local buffer": (
        "spill",
        ("cb_reserve_back %partial", "noc_async_write %partial"),
        "is `of` no parameter",
        "noc_async_write %partial",
    ),
    "two producers": (
        "matmul_grid",
        (
            "        cb_wait_front %c",
            ("        cb_reserve_back %a\n        cb_wait_front %c"),
        ),
        "%a has two producer kernels, reader and writer",
        "cb_reserve_back %a",
    ),
    "two consumers": (
        "matmul_grid",
        (
            "        cb_wait_front %c",
            ("        cb_wait_front %a\n        cb_wait_front %c"),
        ),
        "%a has two consumer kernels, compute and writer",
        "cb_wait_front %a",
    ),
    "push without pop": (
        "matmul_grid",
        ("          cb_pop_front %w\n", ""),
        "8 pages are pushed and 0 popped",
        "cb %w",
    ),
    "push in another loop than its pop": (
        "elementwise",
        ("        cb_pop_front %a", "        cb_pop_front %a, 1"),
        "pages are pushed and 2 popped",
        "cb_pop_front %a, 1",
    ),
    "too many circular buffers": (
        "gather",
        (
            "    cb %y [m, n]",
            "".join(f"    cb %t{i} [] format bf16\n" for i in range(30))
            + "    cb %y [m, n]",
        ),
        "too many circular buffers",
        "program @embed",
    ),
    "too many semaphores": (
        "gather",
        (
            "    kernel reader",
            "".join(f"    semaphore %s{i} initial 0\n" for i in range(17))
            + "    kernel reader",
        ),
        "too many semaphores",
        "program @embed",
    ),
    "send without receive": (
        "matmul_grid",
        (
            "if x > 0 {\n            receive %row",
            "if x > 1 {\n            receive %row",
        ),
        "core (1,0) sends 0 and receives 0",
        "multicast %row",
    ),
    "receive without send": (
        "matmul_grid",
        ("            send %row\n", ""),
        "0 blocks are sent along x",
        "multicast %row",
    ),
    "sender that is not the master": (
        "matmul_grid",
        ("from (0, y)", "from (1, y)"),
        "core (0,0) sends, but the master is (1,0)",
        "send %row",
    ),
    "receiver that is the master": (
        "matmul_grid",
        ("if x == 0 {", "if x == 1 {"),
        "core (1,0) sends, but the master is (0,0)",
        "send %row",
    ),
    "master that takes no part": (
        "matmul_grid",
        ("from (0, y)", "from (7, y)"),
        "the master (7,0) does not take part",
        "send %row",
    ),
    "rectangle off the grid": (
        "masters_in_turn",
        ("%a from (0, y) to (3, y)", "%a from (0, y) to (4, y)"),
        "(0,0) to (4,0) is no rectangle of cores",
        "noc_async_write_multicast",
    ),
    "rectangle with its corners the wrong way": (
        "masters_in_turn",
        ("%a from (0, y) to (3, y)", "%a from (3, y) to (0, y)"),
        "(3,0) to (0,0) is no rectangle of cores",
        "noc_async_write_multicast",
    ),
    "increment off the grid": (
        "masters_in_turn",
        ("at (k.start, y)", "at (k.start, y + 2)"),
        "is no rectangle of cores",
        "noc_semaphore_inc",
    ),
    "pack over an axis that the buffer has not": (
        "spill",
        ("cb %partial [m, n]", "cb %partial [m]"),
        ("axis n 2 over x 2", "axis n 2"),
        "%partial has no axis n, over which 2 tiles are used",
        "pack_tiles",
    ),
    "sum over an axis that the buffer has not": (
        "matmul_grid",
        ("cb %w [k, n]", "cb %w [n]"),
        "%w has no axis k, over which 2 tiles are used",
        "matmul_block",
    ),
    "reduction over an axis that the buffer has not": (
        "elementwise",
        ("[m] over [n] -> dst[0]", "[n] over [m] -> dst[0]"),
        ("axis m 4 over xy 4", "axis m 4"),
        ("cb %a [m, n] of %x[m, n]\n    cb %one", "cb %a [n] of %x[0, n]\n    cb %one"),
        "%a has no axis m, over which 4 tiles are used",
        "reduce_tiles",
    ),
    "padding of a local buffer": (
        "elementwise",
        ("fill %one row_scaler 1.0", "fill %one pad 1.0"),
        "%one is padded, but is `of` no parameter",
        "fill %one pad",
    ),
    "causal mask without axes": (
        "elementwise",
        ("fill %one row_scaler 1.0", "fill %one causal 1.0"),
        "the pattern causal needs 2 axes in the block of %one",
        "fill %one causal",
    ),
    "linked multicast that stays open": (
        "masters_in_turn",
        ("to (3, y) linked\n", "to (3, y) linked\n          noc_async_write_barrier\n"),
        "the linked multicast of %a is not followed by another",
        "noc_async_write_multicast",
    ),
    "wait without a signal": (
        "masters_in_turn",
        ("noc_semaphore_wait %room, 3", "noc_semaphore_wait %never, 3"),
        ("    semaphore %room", "    semaphore %never initial 0\n    semaphore %room"),
        "%never is waited for to be 3, but nobody raises it",
        "%never, 3",
    ),
    "block larger than its buffer": (
        "matmul_grid",
        (
            "        for k {\n          cb_wait_front %a",
            "        for k by 3 {\n          cb_wait_front %a",
        ),
        "%a holds 2 tiles of axis k, but 3 are used here",
        "matmul_block",
    ),
    "Dst overflow": (
        "matmul_whole",
        ("block 3", "block 3"),
        ("over xy 5 block 1", "over xy 2 block 3"),
        "Dst tiles 0 to 8 are used",
        "matmul_block",
    ),
    "Dst blocks that overlap": (
        "elementwise",
        ("add_binary_tile dst[0], dst[2]", "add_binary_tile dst[0], dst[1]"),
        "dst[0] and dst[1] overlap",
        "add_binary_tile",
    ),
    "map off the buffer": (
        "matmul_grid",
        ("of %w[k, n]", "of %w[k + 1, n]"),
        "reaches tile row 4 of @w",
        "cb %w",
    ),
    "map below the buffer": (
        "matmul_grid",
        ("of %w[k, n]", "of %w[k, n - 1]"),
        "reaches tile column -1 of @w",
        "cb %w",
    ),
    "buffer smaller than the axes": (
        "matmul_grid",
        ("@c dram bf16 96x160", "@c dram bf16 96x128"),
        "reaches tile column 4 of @c",
        "cb %c",
    ),
    "rows of a tiled buffer": (
        "gather",
        ("50x96 row_major", "50x96"),
        "@table lies in tiles, but %rows moves rows of it",
        "run @embed",
    ),
    "tiles of rows": (
        "matmul_grid",
        ("@a dram bf16 96x128", "@a dram bf16 96x128 row_major"),
        "@a lies in rows, but %a moves tiles of it",
        "run @matmul",
    ),
    "misaligned rows": (
        "gather",
        ("50x96 row_major", "50x90 row_major"),
        "does not end on the alignment of DRAM",
        "buffer @table",
    ),
    "L1 overflow": (
        "matmul_grid",
        ("of %a[m, k] depth 2", "of %a[m, k] depth 400"),
        "does not fit into L1",
        "program @matmul",
    ),
    "L1 overflow by tensors": (
        "matmul_grid",
        ("  buffer @w", "  buffer @big l1 bf16 8192x6144 role cache\n  buffer @w"),
        "does not fit into L1",
        "program @matmul",
    ),
    "DRAM overflow": (
        "matmul_grid",
        (
            "  buffer @w",
            '  buffer @l.$.big last 999 dram bf16 4096x4096 from "w"\n  buffer @w',
        ),
        "the buffers do not fit into DRAM",
        "buffer @l.$.big",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_fault_is_found_with_its_line(case: str) -> None:
    name, *edits, message, line = FAULTS[case]
    text = changed(name, *edits)
    faults = faults_of(text)
    matching = [fault for fault in faults if message in fault.message]
    assert matching, [fault.message for fault in faults]
    location = matching[0].location
    assert location is not None
    number = int(location.rpartition(":")[2])
    assert line in text.splitlines()[number - 1]


@pytest.mark.parametrize("case", FAULTS)
def test_fault_says_what_to_do(case: str) -> None:
    name, *edits, message, _ = FAULTS[case]
    for fault in faults_of(changed(name, *edits)):
        if message in fault.message:
            assert fault.advice is not None or "does not belong" in fault.message


def test_all_faults_at_once() -> None:
    text = changed(
        "matmul_grid",
        ("over x 3", "over x 9"),
        ("(@a, @w, @c)", "(@a, @ww, @c)"),
        ("send %row", "send %rows"),
    )
    with pytest.raises(FaultsError) as caught:
        require_sound(parse_netlist(text), CHIP)
    assert len(caught.value.faults) == 3
    assert "has 3 faults" in str(caught.value)


def test_one_fault_is_raised_as_it_is() -> None:
    text = changed("matmul_grid", ("over x 3", "over x 9"))
    with pytest.raises(CapacityError, match="spread off the chip's grid"):
        require_sound(parse_netlist(text), CHIP)


def test_a_sound_netlist_passes() -> None:
    require_sound(parse_netlist(text_of("matmul_grid")), CHIP)


def test_guarded_transfers_may_have_maps_that_leave_the_buffer() -> None:
    text = changed(
        "matmul_grid",
        ("axis m 3 over y 3", "axis m 4 over y 4"),
        ("        noc_async_write %c", "        if m.start < 3 { noc_async_write %c }"),
    )
    assert not [f for f in faults_of(text) if "@c" in f.message]


def test_verifier_faults_are_listed_together() -> None:
    text = changed("matmul_grid", ("HiFi4", "HiFi9"), ("on riscv1", "on riscv7"))
    with pytest.raises(FaultsError) as caught:
        parse_netlist(text, path="edited.mlir")
    found = [fault.location for fault in caught.value.faults]
    lines = text.splitlines()
    for word, location in zip(("HiFi9", "riscv7"), found, strict=True):
        assert location is not None
        assert location.startswith("edited.mlir:")
        assert word in lines[int(location.rpartition(":")[2]) - 1]


def test_bad_recipe_is_refused() -> None:
    text = changed("matmul_grid", ('from "w"', 'from "turn(w)"'))
    with pytest.raises(NetlistError, match="recipe function 'turn'"):
        parse_netlist(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "operation name expected"),
        ('tensix.netlist @a version 1 chip "n150" {', "a `}` is missing"),
        ('tensix.netlist @a version 1 chip "n150" { } }', "nothing may follow"),
        ('tensix.netlist @a version 1 chip "n150" { zzz }', "'zzz' is no operation"),
    ],
)
def test_syntax_errors_have_a_line(text: str, message: str) -> None:
    with pytest.raises(NetlistError) as caught:
        parse_netlist(text)
    assert re.search(message, caught.value.message, re.IGNORECASE)
    assert caught.value.location == "netlist.mlir:1"
