"""Attributes that print as a reader would write them.

Each is plain data with one natural notation (`%a`, `[m, k.part]`, `64x576`, `dst[4]`).
In the custom form of an operation it stands bare; in the generic form it stands in
angle brackets, so that both round-trip.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from xdsl.dialects.builtin import StringAttr
from xdsl.ir import Data
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.mlir_lexer import MLIRTokenKind

from dialects.expr import Const, Expr, parse_expr, parse_sum

T = TypeVar("T")


class SyntaxData(Data[T], Generic[T]):
    """Base of the attributes with a notation of their own."""

    @classmethod
    def read(cls, parser: AttrParser) -> T:
        """Parse the bare notation."""
        raise AssertionError(f"{cls.__name__} must define read")

    def write(self) -> str:
        """Return the bare notation."""
        raise AssertionError(f"{type(self).__name__} must define write")

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> T:
        """Parse the notation, in angle brackets or bare."""
        bracketed = parser.parse_optional_punctuation("<") is not None
        data = cls.read(parser)
        if bracketed:
            parser.parse_punctuation(">")
        return data

    def print_parameter(self, printer: Printer) -> None:
        """Print the notation, in angle brackets in the generic form."""
        with _brackets(printer):
            printer.print_string(self.write())

    def __str__(self) -> str:
        return self.write()


@contextmanager
def _brackets(printer: Printer) -> Iterator[None]:
    if not printer.print_generic_format:
        yield
        return
    with printer.in_angle_brackets():
        yield


def _read_local(parser: AttrParser) -> str:
    token = parser._parse_token(  # pyright: ignore[reportPrivateUsage]
        MLIRTokenKind.PERCENT_IDENT, "expected a local name such as %a"
    )
    return token.text[1:]


def _read_global(parser: AttrParser) -> str:
    token = parser._parse_token(  # pyright: ignore[reportPrivateUsage]
        MLIRTokenKind.AT_IDENT, "expected a buffer or program name such as @hidden"
    )
    return token.text[1:]


def _read_square_list(parser: AttrParser) -> list[str]:
    return parser.parse_comma_separated_list(
        parser.Delimiter.SQUARE, parser.parse_identifier
    )


@irdl_attr_definition
class LocalAttr(SyntaxData[str]):
    """A name inside a program: `%a`, a circular buffer, parameter or multicast."""

    name = "tensix.local"

    @classmethod
    def read(cls, parser: AttrParser) -> str:
        return _read_local(parser)

    def write(self) -> str:
        return f"%{self.data}"


@irdl_attr_definition
class GlobalAttr(SyntaxData[str]):
    """A name of the netlist: `@hidden`; `$` stands for the instance number."""

    name = "tensix.global"

    @classmethod
    def read(cls, parser: AttrParser) -> str:
        return _read_global(parser)

    def write(self) -> str:
        return f"@{self.data}"


@irdl_attr_definition
class GlobalsAttr(SyntaxData[tuple[str, ...]]):
    """Buffers that a run binds, in the order of the parameters: `(@hidden, @w)`."""

    name = "tensix.globals"

    @classmethod
    def read(cls, parser: AttrParser) -> tuple[str, ...]:
        return tuple(
            parser.parse_comma_separated_list(
                parser.Delimiter.PAREN, lambda: _read_global(parser)
            )
        )

    def write(self) -> str:
        return "(" + ", ".join(f"@{name}" for name in self.data) + ")"


@irdl_attr_definition
class LocalsAttr(SyntaxData[tuple[str, ...]]):
    """Names inside a program: `(%a, %b)`."""

    name = "tensix.locals"

    @classmethod
    def read(cls, parser: AttrParser) -> tuple[str, ...]:
        return tuple(
            parser.parse_comma_separated_list(
                parser.Delimiter.PAREN, lambda: _read_local(parser)
            )
        )

    def write(self) -> str:
        return "(" + ", ".join(f"%{name}" for name in self.data) + ")"


@irdl_attr_definition
class WordAttr(SyntaxData[str]):
    """A bare word out of a table: a format, a memory, a fidelity, a direction."""

    name = "tensix.word"

    @classmethod
    def read(cls, parser: AttrParser) -> str:
        return parser.parse_identifier()

    def write(self) -> str:
        return self.data


@irdl_attr_definition
class TextAttr(SyntaxData[str]):
    """A text in quotes; one that is long stands in several, line by line."""

    name = "tensix.text"

    @classmethod
    def read(cls, parser: AttrParser) -> str:
        text = parser.parse_str_literal()
        while (more := parser.parse_optional_str_literal()) is not None:
            text += more
        return text

    def write(self) -> str:
        return quoted(self.data)


def quoted(text: str) -> str:
    """A text as a literal."""
    return StringAttr(text).__str__()


@irdl_attr_definition
class ExprAttr(SyntaxData[Expr]):
    """An integer expression: `k.start * 2 + 1`."""

    name = "tensix.expr"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> Expr:
        """Parse; in brackets a comparison stands in parentheses (`<(x > 0)>`)."""
        if parser.parse_optional_punctuation("<") is None:
            return parse_expr(parser)
        expr = parse_sum(parser)
        parser.parse_punctuation(">")
        return expr

    def print_parameter(self, printer: Printer) -> None:
        """Print, in the generic form in brackets and parentheses."""
        generic = printer.print_generic_format
        printer.print_string(f"<({self.data})>" if generic else str(self.data))

    def write(self) -> str:
        return str(self.data)

    @property
    def value(self) -> int:
        """The number, where the expression is one."""
        assert isinstance(self.data, Const)
        return self.data.value


@irdl_attr_definition
class PointAttr(SyntaxData[tuple[Expr, Expr]]):
    """A core by its logical coordinates: `(0, y)`."""

    name = "tensix.point"

    @classmethod
    def read(cls, parser: AttrParser) -> tuple[Expr, Expr]:
        parser.parse_punctuation("(")
        left = parse_expr(parser)
        parser.parse_punctuation(",")
        right = parse_expr(parser)
        parser.parse_punctuation(")")
        return left, right

    def write(self) -> str:
        return f"({self.data[0]}, {self.data[1]})"


@irdl_attr_definition
class MapAttr(SyntaxData[tuple[str | Expr, ...]]):
    """An index map, from axes to an operand's tiles: `[m, h * 2 + d]`.

    The first entry may be a circular buffer, `[%ids, c]`: the row is then the
    element of that buffer (a gather).
    """

    name = "tensix.map"

    @classmethod
    def read(cls, parser: AttrParser) -> tuple[str | Expr, ...]:
        def entry() -> str | Expr:
            token = parser._parse_optional_token(  # pyright: ignore[reportPrivateUsage]
                MLIRTokenKind.PERCENT_IDENT
            )
            return parse_expr(parser) if token is None else token.text[1:]

        return tuple(parser.parse_comma_separated_list(parser.Delimiter.SQUARE, entry))

    def write(self) -> str:
        entries = (f"%{e}" if isinstance(e, str) else str(e) for e in self.data)
        return "[" + ", ".join(entries) + "]"


@irdl_attr_definition
class AxesAttr(SyntaxData[tuple[str, ...]]):
    """The axes of a block, slowest first: `[m, k]`.

    In the block of a circular buffer `k` is one block of the axis, `k.part` a core's
    whole part, `k.4` four tiles.
    """

    name = "tensix.axes"

    @classmethod
    def read(cls, parser: AttrParser) -> tuple[str, ...]:
        return tuple(_read_square_list(parser))

    def write(self) -> str:
        return "[" + ", ".join(self.data) + "]"


@irdl_attr_definition
class DstAttr(SyntaxData[int]):
    """A place in the destination register, in tiles: `dst[4]`."""

    name = "tensix.dst"

    @classmethod
    def read(cls, parser: AttrParser) -> int:
        parser.parse_characters("dst")
        with parser.in_square_brackets():
            return parser.parse_integer()

    def write(self) -> str:
        return f"dst[{self.data}]"


@irdl_attr_definition
class ShapeAttr(SyntaxData[tuple[int, ...]]):
    """A shape in elements: `64x576`; the last two dimensions are tiled."""

    name = "tensix.shape"

    @classmethod
    def read(cls, parser: AttrParser) -> tuple[int, ...]:
        return tuple(parser.parse_dimension_list())

    def write(self) -> str:
        return "x".join(map(str, self.data))


@irdl_attr_definition
class NumberAttr(SyntaxData[float]):
    """A floating-point scalar of an instruction: `0.125`.

    The chip's processors hold it in fp32, so it is rounded to that, and written with
    the fewest digits that say which fp32 number it is.
    """

    name = "tensix.number"

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", _fp32(self.data))
        super().__post_init__()

    @classmethod
    def read(cls, parser: AttrParser) -> float:
        return float(parser.parse_number())

    def write(self) -> str:
        texts = (f"{self.data:.{digits}g}" for digits in range(1, _FP32_DIGITS + 1))
        text = next(text for text in texts if _fp32(float(text)) == self.data)
        mantissa, exponent, power = text.partition("e")
        point = "" if "." in mantissa else ".0"
        return mantissa + point + exponent + power


_FP32_DIGITS = 9
"""Digits that tell any two fp32 numbers apart (IEEE 754-2019, 5.12.2)."""


def _fp32(value: float) -> float:
    """The nearest fp32 number, as a Python float."""
    return struct.unpack("f", struct.pack("f", value))[0]
