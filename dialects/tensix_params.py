"""The parameter list of a program: `(in %x, in %w, out %y)`."""

from __future__ import annotations

from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.utils.mlir_lexer import MLIRTokenKind

from dialects.syntax import SyntaxData

DIRECTIONS = ("in", "out", "inout")


@irdl_attr_definition
class ParametersAttr(SyntaxData[tuple[tuple[str, str], ...]]):
    """Directions and names, in the order in which a run binds buffers to them."""

    name = "tensix.parameters"

    @classmethod
    def read(cls, parser: AttrParser) -> tuple[tuple[str, str], ...]:
        def entry() -> tuple[str, str]:
            direction = parser.parse_optional_keyword_in(DIRECTIONS)
            if direction is None:
                parser.raise_error("expected in, out or inout")
            token = parser._parse_token(  # pyright: ignore[reportPrivateUsage]
                MLIRTokenKind.PERCENT_IDENT, "expected a parameter such as %x"
            )
            return direction, token.text[1:]

        return tuple(parser.parse_comma_separated_list(parser.Delimiter.PAREN, entry))

    def write(self) -> str:
        return "(" + ", ".join(f"{way} %{name}" for way, name in self.data) + ")"
