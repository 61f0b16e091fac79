"""`tensix`: every operation prints and parses, every verifier refuses something."""

import io
from pathlib import Path

import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import Builtin
from xdsl.ir import Operation
from xdsl.parser import Parser
from xdsl.printer import Printer

from dialects.errors import ForgeError, NetlistError
from dialects.netlist_text import line_of, parse_netlist, print_netlist
from dialects.tensix import Tensix

FAMILIES = Path(__file__).parent / "tensix"
NETLISTS = Path(__file__).parents[1] / "netlists"
FILES = sorted([*FAMILIES.glob("*.mlir"), *NETLISTS.glob("*.mlir")])


def generic(op: Operation) -> str:
    stream = io.StringIO()
    Printer(stream=stream, print_generic_format=True).print_op(op)
    return stream.getvalue()


def parse_generic(text: str) -> Operation:
    context = Context()
    context.load_dialect(Builtin)
    context.load_dialect(Tensix)
    op = Parser(context, text).parse_op()
    op.verify()
    return op


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_custom_form_round_trips(path: Path) -> None:
    netlist = parse_netlist(path.read_text())
    printed = print_netlist(netlist)
    again = parse_netlist(printed)
    assert again.is_structurally_equivalent(netlist)
    assert print_netlist(again) == printed
    assert "tensix." not in printed.removeprefix("tensix.")
    assert "loc(" not in printed


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_generic_form_round_trips(path: Path) -> None:
    netlist = parse_netlist(path.read_text())
    assert parse_generic(generic(netlist)).is_structurally_equivalent(netlist)


def test_families_show_every_operation() -> None:
    seen = {
        op.name
        for path in FAMILIES.glob("*.mlir")
        for op in parse_netlist(path.read_text()).walk()
    }
    assert {op.name for op in Tensix.operations} - seen == set()


def test_every_operation_knows_its_line() -> None:
    text = (FAMILIES / "movement.mlir").read_text()
    lines = text.splitlines()
    for op in parse_netlist(text, path="some/netlist.mlir").walk():
        location = line_of(op)
        assert location is not None
        path, _, number = location.rpartition(":")
        assert path == "some/netlist.mlir"
        name = op.name if op.name == "tensix.netlist" else op.name.split(".")[1]
        assert lines[int(number) - 1].strip().startswith(name)


def test_an_operation_made_by_hand_has_no_line() -> None:
    netlist = parse_netlist((FAMILIES / "movement.mlir").read_text())
    assert line_of(netlist.clone()) is not None
    assert line_of(type(netlist).create()) is None


def test_notes_are_comments() -> None:
    netlist = parse_netlist((FAMILIES / "structure.mlir").read_text())
    first = next(iter(netlist.body.block.ops))
    printed = print_netlist(netlist, {first: ["one", "two"], netlist: ["total"]})
    assert printed.startswith("// total\ntensix.netlist")
    assert "  // one\n  // two\n  buffer @x" in printed
    assert parse_netlist(printed).is_structurally_equivalent(netlist)


def line(text: str) -> str:
    """A netlist of one line."""
    return f'tensix.netlist @a version 1 chip "n150" {{\n  {text}\n}}'


def declared(text: str) -> str:
    """A netlist with a program of one declaration."""
    return line(f"program @p(in %x) fidelity LoFi dst fp32 {{\n    {text}\n  }}")


def executed(text: str) -> str:
    """A netlist with a kernel of one instruction."""
    return declared(f"kernel k on trisc {{\n      {text}\n    }}")


WRONG = [
    ('tensix.netlist @a version 2 chip "n150" { }', "version 2 is not known"),
    (line("buffer @x tape bf16 4x4"), "memory 'tape' is not one of dram, l1"),
    (line("buffer @x dram bf17 4x4"), "format 'bf17' is not one of"),
    (line("buffer @x dram fp16 4x4"), "arithmetic is not modelled; use bf16 or fp32"),
    (line("buffer @x dram int8 4x4"), "needs the integer matrix unit"),
    (line("buffer @x dram bf16 4x4 role door"), "role 'door' is not one of"),
    (line("buffer @x dram bf16 4"), "needs two or more dimensions"),
    (line("buffer @x dram bf16 4x0"), "dimensions of at least 1"),
    (line("buffer @x dram bfp8_b 4x4 row_major"), "must be tiled"),
    (line("buffer @x l1 bf16 4x4 row_major shards 1x1"), "parts of a tiled buffer"),
    (line("buffer @x l1 bf16 4x4 over xy"), "says how `shards` in l1 are counted"),
    (line("buffer @x l1 bf16 4x4 shards 1x1 over x"), "order of shards 'x'"),
    (line("buffer @x l1 bf16 4x4 shards 2"), "are not rows x columns of parts"),
    (line("buffer @x l1 bf16 4x4 shards 2x0"), "are not rows x columns of parts"),
    (line("buffer @x.$ dram bf16 4x4"), "belong together"),
    (line("buffer @x last 3 dram bf16 4x4"), "belong together"),
    (line('buffer @x dram bf16 4x4 from "turn(w)"'), "function 'turn'"),
    (
        line("program @p() fidelity HiFi9 dst fp32 { }"),
        "fidelity 'HiFi9' is not one of",
    ),
    (line("program @p() fidelity LoFi dst fp16 { }"), "dst 'fp16' is not one"),
    (line("program @p(at %x) fidelity LoFi dst fp32 { }"), "expected in, out"),
    (line("program @p(in x) fidelity LoFi dst fp32 { }"), "expected a param"),
    (declared("axis m 0"), "extent is 0, but must be at least 1"),
    (declared("axis m 4 over x 0"), "cores is 0, but must be at least 1"),
    (declared("axis m 4 over x 2 stride 0"), "stride is 0"),
    (declared("axis m 4 unit 0"), "unit is 0"),
    (declared("axis m 4 block 0"), "block is 0"),
    (declared("axis m 4 over z 2"), "spread 'z' is not one of x, y, xy"),
    (declared("scalars pos of %x from 3 to 2"), "the range 3 to 2 is empty"),
    (
        executed("fill %a columns 1.0 inside 2.0 extent 3 to 4"),
        "belong to the pattern columns",
    ),
    (declared("cb %a []"), "neither an operand (`of`) nor a format"),
    (declared("cb %a [] format bf17"), "format 'bf17' is not one of"),
    (declared("cb %a [] format bf16 over %x[0, 0]"), "lies over a shard"),
    (declared("cb %a [] of %x[0, 0] over %x[0, 0]"), "lies over a shard"),
    (declared("cb %a [] rows over %x[0, 0]"), "lies over a shard"),
    (declared("cb %a [] format bf16 depth 0"), "depth must be at least 1"),
    (declared("cb a [] format bf16"), "expected a local name such as %a"),
    (
        declared("multicast %r of %a along z from (0, 0) noc 0"),
        "direction 'z' is not one of",
    ),
    (
        declared("multicast %r of %a along x from (0, 0) noc 2"),
        "noc 2 does not exist",
    ),
    (
        declared("gather %g of (%a, %b) into (%c) along x noc 0"),
        "has 2 sources and 1 targets",
    ),
    (declared("gather %g of (%a) into (%c) along x noc 2"), "noc 2 does not exist"),
    (declared("gather %g of (%a) into (%c) along x"), "gather %g states no noc"),
    (declared("kernel k on arm noc 0 { }"), "processor 'arm' is not one of"),
    (declared("kernel k on riscv0 { }"), "names its noc"),
    (declared("kernel k on trisc noc 0 { }"), "trisc reaches none"),
    (executed("fill %a stripes 1.0"), "fill pattern 'stripes' is not one of"),
    (executed("fill %a value 1.0 inside 2.0"), "belong to the pattern columns"),
    (executed("fill %a columns 1.0"), "belong to the pattern columns"),
    (executed("copy_tiles %a bcast all [] -> dst[0]"), "broadcast 'all' is not"),
    (executed("copy_tiles %a turned 0 [] -> dst[0]"), "by a number of tiles, not `0`"),
    (executed("mul_tiles %a turned x, %b [] -> dst[0]"), "by a number of tiles"),
    (executed("add_tiles %a, %b bcast all [] -> dst[0]"), "broadcast 'all'"),
    (
        executed("reduce_tiles mean row %a, %b [] over [] -> dst[0]"),
        "reduction 'mean row' is not one of",
    ),
    (
        executed("reduce_tiles sum all %a, %b [] over [] -> dst[0]"),
        "reduction 'sum all' is not one of",
    ),
    (executed("exp_tile out[0] []"), "dst"),
    (executed("if x = 0 { }"), "="),
    (executed("for m by { }"), "in an integer expression"),
    (line("run p(@x)"), "expected a buffer or program name such as @hidden"),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[m for _, m in WRONG])
def test_wrong_text_is_refused(text: str, message: str) -> None:
    with pytest.raises(ForgeError) as caught:
        parse_netlist(text)
    assert message in caught.value.message
    assert caught.value.location is not None


def test_something_else_than_a_netlist_is_refused() -> None:
    with pytest.raises(NetlistError, match="not a netlist"):
        parse_netlist("tensix.buffer @x dram bf16 4x4")
