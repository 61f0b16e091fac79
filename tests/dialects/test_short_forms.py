"""Short forms: each stands for fixed operations, in print and in parse."""

import pytest

from dialects.errors import NetlistError
from dialects.netlist_layout import WIDTH
from dialects.netlist_text import line_of, parse_netlist, print_netlist
from dialects.tensix import NetlistOp

FRAME = """tensix.netlist @a version 1 chip "n150" {{
  program @p (in %x, out %y) fidelity LoFi dst fp32 {{
    axis m 4 over y 4 block 1
    axis k 8 block 2
    scalars pos of %x from 0 to 7
    multicast %row of %a along x from (0, y) noc 1
    multicast %piece of %a pieces [k.4] along xy from (k.start floordiv 4, 0) noc 1
    kernel {kernel} {{
      {body}
    }}
  }}
}}
"""


def netlist_of(body: str, kernel: str = "compute on trisc") -> NetlistOp:
    return parse_netlist(FRAME.format(body=body, kernel=kernel))


# What is written short, and what it stands for.
PAIRS = {
    "several buffers": (
        "cb_wait_front %a, %b\n cb_pop_front %a, 3",
        "cb_wait_front %a\n cb_wait_front %b\n cb_pop_front %a, 3",
    ),
    "nest": (
        "for m, k by 4 to m.stop if x == 0 { cb_push_back %a }",
        "for m { for k by 4 to m.stop { if x == 0 { cb_push_back %a } } }",
    ),
    "fill": (
        "push %a fill columns -1.0 inside 0.0 to pos[0] + 1",
        (
            "cb_reserve_back %a\n fill %a columns -1.0 inside 0.0 to pos[0] + 1\n"
            "cb_push_back %a"
        ),
    ),
    "lent": ("push %a lent", "cb_reserve_back %a\n cb_push_back %a"),
    "read": (
        "push %a read noc 0 pad 0.0",
        (
            "cb_reserve_back %a\n noc_async_read %a noc 0\n noc_async_read_barrier\n"
            "fill %a pad 0.0\n cb_push_back %a"
        ),
    ),
    "read ahead": (
        "push %a read ahead k noc 0",
        (
            "cb_reserve_back %a\n noc_async_read %a ahead k noc 0\n"
            "noc_async_read_barrier of %a\n cb_push_back %a"
        ),
    ),
    "rows": (
        "push %a read rows",
        (
            "cb_reserve_back %a\n noc_async_read_rows %a\n noc_async_read_barrier\n"
            "cb_push_back %a"
        ),
    ),
    "multicast": (
        "push %a read multicast %row",
        (
            "cb_reserve_back %a\n"
            "if x == 0 { noc_async_read %a noc_async_read_barrier send %row }\n"
            "if x > 0 { receive %row }\n cb_push_back %a"
        ),
    ),
    "turns": (
        "push %a read noc 0 multicast %piece in turn of 2 for k by 4",
        (
            "cb_reserve_back %a\n"
            "for k by 4 { if y * 2 + x == k.start floordiv 4 {"
            "noc_async_read %a noc 0 } }"
            "noc_async_read_barrier\n for k by 4 {"
            "if y * 2 + x == k.start floordiv 4 { send %piece }"
            "if y * 2 + x < k.start floordiv 4 { receive %piece }"
            "if y * 2 + x > k.start floordiv 4 { receive %piece } } cb_push_back %a"
        ),
    ),
    "collect": (
        "push %a, %b collect %g from 3",
        (
            "cb_reserve_back %a\n cb_reserve_back %b\n collect %g from 3\n"
            "cb_push_back %a\n cb_push_back %b"
        ),
    ),
    "contribute": (
        "pop %a, %b contribute %g",
        (
            "cb_wait_front %a\n cb_wait_front %b\n contribute %g\n"
            "cb_pop_front %a\n cb_pop_front %b"
        ),
    ),
    "write": (
        "pop %a write",
        (
            "cb_wait_front %a\n noc_async_write %a\n noc_async_write_barrier\n"
            "cb_pop_front %a"
        ),
    ),
    "write a row": (
        "pop %a write row 0 to pos[0] noc 0",
        (
            "cb_wait_front %a\n noc_async_write_rows %a row 0 to pos[0] noc 0\n"
            "noc_async_write_barrier\n cb_pop_front %a"
        ),
    ),
    "block": (
        "keep %a for m { cb_pop_front %b }",
        (
            "cb_reserve_back %a\n for m { cb_pop_front %b } cb_push_back %a\n"
            "cb_wait_front %a"
        ),
    ),
    "section": (
        (
            "keep %a, push %c from dst[2] relu [m by 1, k by 2] ="
            " matmul_block %a, %b transpose sum [k] | %d turned 2 bcast row -> dst[2]"
            " | mul_binary_tile dst[2], %c bcast col via dst[4]"
            " | add_binary_tile dst[2] | mul_unary_tile 0.5 | exp_tile dst[2]"
        ),
        (
            "cb_reserve_back %a\n cb_reserve_back %c\n for m by 1 { for k by 2 {"
            "tile_regs_acquire\n"
            "matmul_block %a, %b transpose [m, k] sum [k] -> dst[0]\n"
            "copy_tiles %d turned 2 bcast row [m, k] -> dst[2]\n"
            "copy_tiles %c bcast col [m, k] -> dst[4]\n"
            "mul_binary_tile dst[2], dst[4] [m, k]\n"
            "add_binary_tile dst[0], dst[2] [m, k]\n"
            "mul_unary_tile dst[0] [m, k], 0.5\n exp_tile dst[2] [m, k]\n"
            "tile_regs_commit\n tile_regs_wait\n pack_tiles dst[0] [m, k] -> %a\n"
            "pack_tiles dst[2] [m, k] -> %c relu\n tile_regs_release } }"
            "cb_push_back %a\n cb_wait_front %a\n cb_push_back %c"
        ),
    ),
    "section in steps": (
        (
            "pack %a l1_accumulate [m] = for k { cb_wait_front %b"
            " | mul_tiles %c, %b sum [k] accumulate | cb_pop_front %b }"
            " | if x == 0 { relu_tile }"
        ),
        (
            "tile_regs_acquire\n for k { cb_wait_front %b\n"
            "mul_tiles %c, %b [m] sum [k] -> dst[0] accumulate\n cb_pop_front %b }"
            "if x == 0 { relu_tile dst[0] [m] }"
            "tile_regs_commit\n tile_regs_wait\n"
            "pack_tiles dst[0] [m] -> %a l1_accumulate\n tile_regs_release"
        ),
    ),
    "other axes": (
        (
            "push %a [m] = reduce_tiles max row %b, %c [m, k] over [k]"
            " | tilize_block %d | fill_tile dst[1] 2.0"
        ),
        (
            "cb_reserve_back %a\n tile_regs_acquire\n"
            "reduce_tiles max row %b, %c [m, k] over [k] -> dst[0]\n"
            "tilize_block %d [m] -> dst[0]\n fill_tile dst[1] [m], 2.0\n"
            "tile_regs_commit\n tile_regs_wait\n"
            "pack_tiles dst[0] [m] -> %a\n tile_regs_release\n cb_push_back %a"
        ),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_short_form_stands_for_operations(name: str) -> None:
    short, spelt = PAIRS[name]
    kernel = "reader on riscv1 noc 0" if "push %a read" in short else "compute on trisc"
    netlist = netlist_of(spelt, kernel)
    assert netlist_of(short, kernel).is_structurally_equivalent(netlist)
    printed = " ".join(print_netlist(netlist).split())
    assert " ".join(short.split()) in printed
    assert parse_netlist(printed).is_structurally_equivalent(netlist)


# Operations that are close to a short form, but are something else.
NEAR = {
    "another buffer is pushed": "cb_reserve_back %a\n noc_async_read %a\n"
    "noc_async_read_barrier\n cb_push_back %b",
    "no barrier": "cb_reserve_back %a\n noc_async_read %a\n cb_push_back %a",
    "another core reads": "cb_reserve_back %a\n if x == 1 { noc_async_read %a\n"
    "noc_async_read_barrier send %row } if x > 0 { receive %row } cb_push_back %a",
    "no such multicast": "cb_reserve_back %a\n if x == 0 { noc_async_read %a\n"
    "noc_async_read_barrier send %no } if x > 0 { receive %no } cb_push_back %a",
    "pages": "cb_wait_front %a, 2\n noc_async_write %a\n noc_async_write_barrier\n"
    "cb_pop_front %a, 2",
    "packed in two shapes": "tile_regs_acquire\n exp_tile dst[0] [m]\n"
    "tile_regs_commit\n tile_regs_wait\n pack_tiles dst[0] [m] -> %a\n"
    "pack_tiles dst[0] [k] -> %b\n tile_regs_release",
    "reserved while Dst is held": "tile_regs_acquire\n exp_tile dst[0] [m]\n"
    "tile_regs_commit\n tile_regs_wait\n cb_reserve_back %a\n"
    "pack_tiles dst[0] [m] -> %a\n cb_push_back %a\n tile_regs_release",
    "never committed": "tile_regs_acquire\n exp_tile dst[0] [m]\n"
    "pack_tiles dst[0] [m] -> %a\n tile_regs_release",
}


@pytest.mark.parametrize("name", NEAR)
def test_other_operations_stand_for_themselves(name: str) -> None:
    netlist = netlist_of(NEAR[name], "reader on riscv1 noc 0")
    assert parse_netlist(print_netlist(netlist)).is_structurally_equivalent(netlist)


def test_scalars_are_read_in_the_head() -> None:
    netlist = netlist_of("read_scalars pos\n cb_pop_front %a")
    printed = print_netlist(netlist)
    assert "kernel compute on trisc reads pos {\n      cb_pop_front %a\n" in printed
    assert parse_netlist(printed).is_structurally_equivalent(netlist)


def test_buffers_of_one_kind_are_one_line() -> None:
    text = FRAME.format(body="", kernel="compute on trisc").replace(
        "scalars", "cb %t0, %t1, %t2 [m] format fp32 depth 2\n    scalars"
    )
    netlist = parse_netlist(text)
    assert "cb %t0, %t1, %t2 [m] format fp32 depth 2\n" in print_netlist(netlist)
    assert sum(op.name == "tensix.cb" for op in netlist.walk()) == 3


def test_operations_of_a_statement_stand_on_its_line() -> None:
    netlist = netlist_of("push %a [m] = exp_tile")
    places = {line_of(op) for op in netlist.walk() if op.name.endswith("exp_tile")}
    assert places == {"netlist.mlir:9"}


def test_long_statements_and_heads_are_broken() -> None:
    steps = " | ".join(f"mul_unary_tile {number}.5" for number in range(20))
    netlist = netlist_of(f"push %a [m] = {steps}")
    source = ", ".join(f"linear(model.layers.0.part_{n})" for n in range(9))
    text = print_netlist(netlist).replace("dst fp32", f'dst fp32 source "{source}"')
    netlist = parse_netlist(text)
    printed = print_netlist(netlist)
    assert max(map(len, printed.splitlines())) <= WIDTH
    assert parse_netlist(printed).is_structurally_equivalent(netlist)


FAULTS = {
    "no step": ("push %a [m] = noc_async_read %b", "is no step of a section of Dst"),
    "unknown multicast": (
        "push %a read multicast %no",
        "no multicast %no is declared before this",
    ),
    "not filled": ("push %a", "a block is filled by `read`"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_statement_that_says_nothing_is_refused(name: str) -> None:
    body, message = FAULTS[name]
    with pytest.raises(NetlistError, match=message):
        netlist_of(body)
