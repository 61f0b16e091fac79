"""The netlist as text: parse and print.

Inside a netlist the prefix `tensix.` is left out, as MLIR leaves out the dialect of
the enclosing operation. Comments behind `//` are derived facts; they are dropped on
parsing, so that `parse(print(netlist)) == netlist`. Parsing gives each operation the
place of its line, which printing leaves out.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from xdsl.context import Context
from xdsl.dialects.builtin import FileLineColLoc, IntAttr, StringAttr, UnknownLoc
from xdsl.ir import Block, Operation
from xdsl.parser import Parser
from xdsl.utils.exceptions import ParseError, VerifyException
from xdsl.utils.mlir_lexer import MLIRTokenKind

from dialects.errors import FaultsError, ForgeError, NetlistError
from dialects.netlist_layout import Layout
from dialects.netlist_statements import is_statement, read_statement
from dialects.tensix import MulticastOp, NetlistOp, Tensix

_UNREGISTERED = re.compile(r"Operation (\S+) is not registered")


def print_netlist(
    netlist: Operation, notes: Mapping[Operation, list[str]] | None = None
) -> str:
    """Return the text of a netlist (or a part of it), with notes as comments."""
    return "\n".join(Layout(notes or {}).operation(netlist)) + "\n"


class NetlistParser(Parser):
    """Gives every operation that states no location the place where it stands."""

    def __init__(self, context: Context, text: str, path: str):
        super().__init__(context, text, path)
        self._path = StringAttr(path)
        self._line_starts = [0, *(end.end() for end in re.finditer("\n", text))]
        self._casts: dict[str, MulticastOp] = {}

    def _parse_block_body(self, block: Block) -> None:
        """Parse statements, each of which stands for one operation or several."""
        while (ops := self._parse_optional_statement()) is not None:
            block.add_ops(ops)

    def _parse_optional_statement(self) -> Sequence[Operation] | None:
        token = self._current_token
        start, word = token.span.start, token.text
        if not is_statement(self.lexer.input.content, start, word):
            if word == "program":
                self._casts = {}
            op = self.parse_optional_operation()
            if isinstance(op, MulticastOp):
                self._casts[op.sym_name.data] = op
            return None if op is None else [op]
        self.parse_keyword(word)
        ops = read_statement(self, word, self._casts)
        for op in (inner for outer in ops for inner in outer.walk()):
            self._locate(op, start)
        return ops

    def parse_operation(self) -> Operation:
        """Parse an operation and note its line and column; `{ }` is an empty block."""
        start = self._current_token.span.start
        op = super().parse_operation()
        for region in op.regions:
            if not region.blocks:
                region.add_block(Block())
        self._locate(op, start)
        return op

    def _locate(self, op: Operation, start: int) -> None:
        """Note the place in the text from which an operation comes."""
        if isinstance(op.location, UnknownLoc):
            line = bisect_right(self._line_starts, start)
            column = start - self._line_starts[line - 1] + 1
            op.location = FileLineColLoc(self._path, IntAttr(line), IntAttr(column))

    def require_end(self) -> None:
        """Raise `ParseError` where text follows."""
        if self._current_token.kind is not MLIRTokenKind.EOF:
            self.raise_error("nothing may follow the netlist's last `}`")


def line_of(op: Operation) -> str | None:
    """Where an operation stands, `netlist.mlir:41`; None where nobody noted it."""
    location = op.location
    if not isinstance(location, FileLineColLoc):
        return None
    return f"{location.filename.data}:{location.line.data}"


def parse_netlist(text: str, *, path: str = "netlist.mlir") -> NetlistOp:
    """Parse and verify a netlist.

    Raises `NetlistError` with the line at a fault of syntax, `FaultsError` where
    several operations are wrong in themselves.
    """
    context = Context()
    context.load_dialect(Tensix)
    parser = NetlistParser(context, text, path)
    try:
        op = parser.parse_op()
        parser.require_end()
    except ParseError as error:
        raise _syntax_error(error, text, path) from None
    faults = list(_verifier_faults(op))
    if len(faults) > 1:
        raise FaultsError(f"{path} has {len(faults)} faults", faults)
    if faults:
        raise faults[0]
    if not isinstance(op, NetlistOp):
        raise NetlistError(f"{path} holds '{op.name}', not a netlist")
    return op


def read_netlist(path: Path) -> NetlistOp:
    """Read a netlist file."""
    return parse_netlist(path.read_text(encoding="utf-8"), path=str(path))


def _verifier_faults(netlist: Operation) -> Iterator[ForgeError]:
    for op in netlist.walk():
        try:
            op.verify(verify_nested_ops=False)
        except VerifyException as error:
            yield NetlistError(str(error), location=line_of(op))


def _syntax_error(error: ParseError, text: str, path: str) -> NetlistError:
    line = text.count("\n", 0, error.span.start) + 1
    lines = text.splitlines()
    shown = lines[line - 1].strip() if line <= len(lines) else "end of file"
    message = error.msg.strip()
    unknown = _UNREGISTERED.fullmatch(message)
    if unknown is not None:
        message = f"'{unknown[1]}' is no operation, or stands where none may"
    elif message == "in block definition":
        message = "a `}` is missing"
    return NetlistError(
        f"{message}: `{shown}`",
        location=f"{path}:{line}",
        advice="compare the line with its neighbours or with a fresh compile",
    )
