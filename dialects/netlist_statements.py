"""Reading the statements of a netlist that stand for several operations."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from xdsl.dialects.builtin import UnitAttr
from xdsl.ir import Attribute, Block, Operation, Region
from xdsl.parser import Parser

from dialects import tensix
from dialects import tensix_movement as movement
from dialects.short_fields import is_local, read, stands
from dialects.short_sections import (
    WORDS,
    read_branch,
    read_loop,
    read_section,
    read_targets,
    reserved,
)
from dialects.short_transfers import Casts, read_drain, read_fill
from dialects.syntax import AxesAttr, ExprAttr, LocalAttr, WordAttr

_PAGES = {
    op.name.removeprefix("tensix."): op
    for op in (
        movement.ReserveBackOp,
        movement.PushBackOp,
        movement.WaitFrontOp,
        movement.PopFrontOp,
    )
}
_SEVERAL = re.compile(r"cb\s+%[\w.$-]+\s*,")
Wrap = Callable[[Sequence[Operation]], Operation]


def read_statement(parser: Parser, word: str, casts: Casts) -> Sequence[Operation]:
    """The operations of a statement, of which the first word has been taken."""
    if word in _PAGES:
        return _read_pages(parser, word)
    if word in WORDS:
        return _read_targeted(parser, word, casts)
    return _READERS[word](parser)


def is_statement(text: str, at: int, word: str) -> bool:
    """Whether a statement of this module begins at a place of the text."""
    if word == "cb":
        return _SEVERAL.match(text, at) is not None
    return word in _PAGES or word in WORDS or word in _READERS


def _read_pages(parser: Parser, word: str) -> list[Operation]:
    """`cb_wait_front %a, %b`, or one buffer and a number of pages."""
    found: list[dict[str, Attribute]] = [{"buffer": read(parser, LocalAttr)}]
    while parser.parse_optional_punctuation(",") is not None:
        if is_local(parser):
            found.append({"buffer": read(parser, LocalAttr)})
        else:
            found[-1]["pages"] = read(parser, ExprAttr)
    return [_PAGES[word].create(properties=properties) for properties in found]


def _read_targeted(parser: Parser, word: str, casts: Casts) -> Sequence[Operation]:
    """What begins with `keep`, `push` or `pack` and circular buffers."""
    targets = read_targets(parser, word)
    if stands(parser, "["):
        return read_section(parser, targets)
    if stands(parser, "{"):
        return reserved(targets, _read_body(parser))
    if parser.parse_optional_keyword("for") is not None:
        return reserved(targets, _read_for(parser))
    return read_fill(parser, targets, casts)


def _read_body(parser: Parser) -> list[Operation]:
    region = parser.parse_region()
    ops = [op for block in region.blocks for op in block.ops]
    for op in ops:
        op.detach()
    return ops


def _read_for(parser: Parser) -> list[Operation]:
    """`for m, n by 2 if c { ... }` behind its word."""
    wraps: list[Wrap] = [read_loop(parser)]
    while parser.parse_optional_punctuation(",") is not None:
        wraps.append(read_loop(parser))
    if parser.parse_optional_keyword("if") is not None:
        wraps.append(read_branch(parser))
    ops = _read_body(parser)
    for wrap in reversed(wraps):
        ops = [wrap(ops)]
    return ops


def _read_if(parser: Parser) -> list[Operation]:
    wrap = read_branch(parser)
    return [wrap(_read_body(parser))]


def _read_kernel(parser: Parser) -> list[Operation]:
    """`kernel reader on riscv1 noc 0 reads pos { ... }` behind its word."""
    properties: dict[str, Attribute] = {"sym_name": read(parser, WordAttr)}
    parser.parse_keyword("on")
    properties["processor"] = read(parser, WordAttr)
    if parser.parse_optional_keyword("noc") is not None:
        properties["noc"] = read(parser, ExprAttr)
    scalars = []
    if parser.parse_optional_keyword("reads") is not None:
        scalars.append(read(parser, WordAttr))
        while parser.parse_optional_punctuation(",") is not None:
            scalars.append(read(parser, WordAttr))
    reads = [movement.ReadScalarsOp.create(properties={"scalars": s}) for s in scalars]
    body = Region(Block([*reads, *_read_body(parser)]))
    return [tensix.KernelOp.create(properties=properties, regions=[body])]


def _read_buffers(parser: Parser) -> list[Operation]:
    """`cb %a, %b [m] format bf16 depth 2` behind its word."""
    names = [read(parser, LocalAttr)]
    while parser.parse_optional_punctuation(",") is not None:
        names.append(read(parser, LocalAttr))
    kind: dict[str, Attribute] = {"block": read(parser, AxesAttr)}
    parser.parse_keyword("format")
    kind["data_format"] = read(parser, WordAttr)
    if parser.parse_optional_keyword("rows") is not None:
        kind["rows"] = UnitAttr()
    for word, name, form in (
        ("depth", "depth", ExprAttr), ("shares", "shares", LocalAttr)
    ):  # fmt: skip
        if parser.parse_optional_keyword(word) is not None:
            kind[name] = read(parser, form)
    return [
        tensix.CircularBufferOp.create(properties={"sym_name": name, **kind})
        for name in names
    ]


_READERS: dict[str, Callable[[Parser], list[Operation]]] = {
    "for": _read_for,
    "if": _read_if,
    "pop": read_drain,
    "kernel": _read_kernel,
    "cb": _read_buffers,
}
