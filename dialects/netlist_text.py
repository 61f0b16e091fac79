"""The netlist as text: parse and print.

Inside a netlist the prefix `tensix.` is left out, as MLIR leaves out the dialect of
the enclosing operation. Comments behind `//` are derived facts; they are dropped on
parsing, so that `parse(print(netlist)) == netlist`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from xdsl.context import Context
from xdsl.ir import Operation
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.utils.exceptions import ParseError, VerifyException

from dialects.errors import NetlistError
from dialects.tensix import NetlistOp, Tensix

_PREFIX = "tensix."


class NetlistPrinter(Printer):
    """Prints without the dialect's prefix and with notes before operations."""

    def __init__(self, stream: io.StringIO, notes: Mapping[Operation, list[str]]):
        super().__init__(stream=stream)
        self._notes = notes
        self._naming = False

    def print_string(self, text: str, *, indent: int | None = None) -> None:
        """Print, leaving out the prefix of an operation's name inside a netlist."""
        if text.startswith(_PREFIX) and text != NetlistOp.name:
            text = text[len(_PREFIX) :]
        super().print_string(text, indent=indent)

    def print_op(self, op: Operation) -> None:
        """Print the notes of an operation as comments, then the operation."""
        for note in self._notes.get(op, ()):
            self.print_string(f"// {note}")
            self._print_new_line()
        super().print_op(op)


def print_netlist(
    netlist: NetlistOp, notes: Mapping[Operation, list[str]] | None = None
) -> str:
    """Return the text of a netlist, with notes (comments) before operations."""
    stream = io.StringIO()
    NetlistPrinter(stream, notes or {}).print_op(netlist)
    return stream.getvalue() + "\n"


def parse_netlist(text: str, *, path: str = "netlist.mlir") -> NetlistOp:
    """Parse and verify a netlist; `NetlistError` with the line on a fault."""
    context = Context()
    context.load_dialect(Tensix)
    parser = Parser(context, text, path)
    try:
        op = parser.parse_op()
        op.verify()
    except ParseError as error:
        raise _syntax_error(error, text, path) from None
    except VerifyException as error:
        raise NetlistError(str(error), location=path) from None
    if not isinstance(op, NetlistOp):
        raise NetlistError(f"{path} holds '{op.name}', not a netlist")
    return op


def read_netlist(path: Path) -> NetlistOp:
    """Read a netlist file."""
    return parse_netlist(path.read_text(), path=str(path))


def _syntax_error(error: ParseError, text: str, path: str) -> NetlistError:
    line = text.count("\n", 0, error.span.start) + 1
    shown = text.splitlines()[line - 1].strip() if text else ""
    return NetlistError(
        f"{error.msg}: `{shown}`",
        location=f"{path}:{line}",
        advice="compare the line with its neighbours or with a fresh compile",
    )
