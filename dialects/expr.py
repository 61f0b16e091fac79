"""Integer expressions over names: what differs between cores, blocks and runs.

Kernels, index maps and multicasts state their facts as expressions in the core's
`x` and `y`, in axes (`k.start`, `k.size`) and in run-time scalars. An expression is
plain data with one grammar:

    comparison  ::= sum (`==` | `<` | `<=` | `>` | `>=` | `and`) sum
    sum         ::= product ((`+` | `-`) product)*
    product     ::= atom ((`*` | `floordiv` | `ceildiv` | `mod`) atom)*
    atom        ::= integer | name | name `[` sum `]`
                  | (`min` | `max`) `(` sum `,` sum `)` | `(` sum `)`

`pos[u]` is an element of run-time scalars: known when a program is launched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from xdsl.parser import AttrParser

Value: TypeAlias = "int | np.ndarray"
Environment: TypeAlias = Mapping[str, Value]


def _ceildiv(left: Value, right: Value) -> Value:
    return -(-left // right)


def _minimum(left: Value, right: Value) -> Value:
    if isinstance(left, int) and isinstance(right, int):
        return min(left, right)
    import numpy as np  # late: reading a netlist needs none

    return np.minimum(left, right)


def _maximum(left: Value, right: Value) -> Value:
    if isinstance(left, int) and isinstance(right, int):
        return max(left, right)
    import numpy as np  # late: reading a netlist needs none

    return np.maximum(left, right)


_OPERATORS: dict[str, Callable[[Value, Value], Value]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "floordiv": lambda left, right: left // right,
    "ceildiv": _ceildiv,
    "mod": lambda left, right: left % right,
    "min": _minimum,
    "max": _maximum,
    "==": lambda left, right: left == right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "and": lambda left, right: left & right,
}
_PRECEDENCE = {"and": 0, "==": 1, "<": 1, "<=": 1, ">": 1, ">=": 1, "+": 2, "-": 2}
_PRODUCT = 3
_FUNCTIONS = ("min", "max")


@dataclass(frozen=True, slots=True)
class Const:
    """A number."""

    value: int

    def __str__(self) -> str:
        return str(self.value)

    def evaluate(self, env: Environment) -> Value:
        """Return the number."""
        return self.value

    def names(self) -> frozenset[str]:
        """Return the names that stand in the expression: none."""
        return frozenset()


@dataclass(frozen=True, slots=True)
class Name:
    """A coordinate, an axis, a property of an axis, or a run-time scalar."""

    name: str

    def __str__(self) -> str:
        return self.name

    def evaluate(self, env: Environment) -> Value:
        """Look the name up; `KeyError` where it is unknown."""
        return env[self.name]

    def names(self) -> frozenset[str]:
        """Return the one name."""
        return frozenset((self.name,))


@dataclass(frozen=True, slots=True)
class Element:
    """One of a program's run-time scalars: `pos[u]`."""

    scalars: str
    index: Expr

    def __str__(self) -> str:
        return f"{self.scalars}[{self.index}]"

    def evaluate(self, env: Environment) -> Value:
        """Look the scalars up and pick; `KeyError` where they are unknown.

        A number in their place stands for all of them.
        """
        values, index = env[self.scalars], self.index.evaluate(env)
        if isinstance(values, int):
            return values
        picked = values[index]
        return int(picked) if picked.ndim == 0 else picked

    def names(self) -> frozenset[str]:
        """Return the scalars and the names of the index."""
        return self.index.names() | {self.scalars}


@dataclass(frozen=True, slots=True)
class Binary:
    """Two expressions under an operator of the grammar."""

    operator: str
    left: Expr
    right: Expr

    def __str__(self) -> str:
        if self.operator in _FUNCTIONS:
            return f"{self.operator}({self.left}, {self.right})"
        precedence = _precedence(self)
        left = _wrap(self.left, _precedence(self.left) < precedence)
        right = _wrap(self.right, _precedence(self.right) <= precedence)
        return f"{left} {self.operator} {right}"

    def evaluate(self, env: Environment) -> Value:
        """Evaluate both sides and combine them, element-wise on arrays."""
        left, right = self.left.evaluate(env), self.right.evaluate(env)
        return _OPERATORS[self.operator](left, right)

    def names(self) -> frozenset[str]:
        """Return all names of both sides."""
        return self.left.names() | self.right.names()


Expr: TypeAlias = Const | Name | Element | Binary


def _precedence(expr: Expr) -> int:
    if isinstance(expr, Binary) and expr.operator not in _FUNCTIONS:
        return _PRECEDENCE.get(expr.operator, _PRODUCT)
    return _PRODUCT + 1


def _wrap(expr: Expr, needed: bool) -> str:
    return f"({expr})" if needed else str(expr)


def add(left: Expr, right: Expr) -> Expr:
    """Return `left + right`, with zeros dropped and constants folded."""
    if left == Const(0):
        return right
    if right == Const(0):
        return left
    if isinstance(left, Const) and isinstance(right, Const):
        return Const(left.value + right.value)
    return Binary("+", left, right)


def multiply(left: Expr, factor: int) -> Expr:
    """Return `left * factor`, simplified where the factor is 0 or 1."""
    if factor == 0:
        return Const(0)
    if factor == 1:
        return left
    if isinstance(left, Const):
        return Const(left.value * factor)
    return Binary("*", left, Const(factor))


def modulo(left: Expr, divisor: int) -> Expr:
    """Return `left mod divisor`, or 0 where the divisor is 1."""
    return Const(0) if divisor == 1 else Binary("mod", left, Const(divisor))


def floordiv(left: Expr, divisor: int) -> Expr:
    """Return `left floordiv divisor`, or `left` where the divisor is 1."""
    return left if divisor == 1 else Binary("floordiv", left, Const(divisor))


def slope(expr: Expr, name: str) -> int | None:
    """How much an expression grows with a name; None where that is not one number."""
    if isinstance(expr, Name):
        return int(expr.name == name)
    if name not in expr.names():
        return 0
    return _slope_of_both(expr, name) if isinstance(expr, Binary) else None


def _slope_of_both(expr: Binary, name: str) -> int | None:
    left, right = slope(expr.left, name), slope(expr.right, name)
    if left is None or right is None:
        return None
    if expr.operator in ("+", "-"):
        return left + (right if expr.operator == "+" else -right)
    if expr.operator == "*" and isinstance(expr.right, Const):
        return left * expr.right.value
    if expr.operator == "*" and isinstance(expr.left, Const):
        return right * expr.left.value
    return None


def parse_expr(parser: AttrParser) -> Expr:
    """Parse one expression at the parser's place (see the module's grammar)."""
    left = _parse_comparison(parser)
    while parser.parse_optional_keyword("and") is not None:
        left = Binary("and", left, _parse_comparison(parser))
    return left


def _parse_comparison(parser: AttrParser) -> Expr:
    left = parse_sum(parser)
    operator = _parse_optional_comparator(parser)
    return left if operator is None else Binary(operator, left, parse_sum(parser))


def _parse_optional_comparator(parser: AttrParser) -> str | None:
    if parser.parse_optional_punctuation("=") is not None:
        parser.parse_punctuation("=")
        return "=="
    for sign in ("<", ">"):
        if parser.parse_optional_punctuation(sign) is not None:
            equal = parser.parse_optional_punctuation("=") is not None
            return sign + ("=" if equal else "")
    return None


def parse_sum(parser: AttrParser) -> Expr:
    """Parse an expression without comparisons at its top level."""
    left = _parse_product(parser)
    while True:
        if parser.parse_optional_punctuation("+") is not None:
            left = Binary("+", left, _parse_product(parser))
        elif parser.parse_optional_punctuation("-") is not None:
            left = Binary("-", left, _parse_product(parser))
        else:
            return left


def _parse_product(parser: AttrParser) -> Expr:
    left = _parse_atom(parser)
    while True:
        operator = parser.parse_optional_keyword_in(("floordiv", "ceildiv", "mod"))
        if operator is None and parser.parse_optional_punctuation("*") is not None:
            operator = "*"
        if operator is None:
            return left
        left = Binary(operator, left, _parse_atom(parser))


def _parse_atom(parser: AttrParser) -> Expr:
    if parser.parse_optional_punctuation("(") is not None:
        inner = parse_expr(parser)
        parser.parse_punctuation(")")
        return inner
    number = parser.parse_optional_integer(allow_boolean=False)
    if number is not None:
        return Const(number)
    name = parser.parse_identifier(" in an integer expression")
    if name not in _FUNCTIONS:
        if parser.parse_optional_punctuation("[") is None:
            return Name(name)
        index = parse_sum(parser)
        parser.parse_punctuation("]")
        return Element(name, index)
    parser.parse_punctuation("(")
    left = parse_sum(parser)
    parser.parse_punctuation(",")
    right = parse_sum(parser)
    parser.parse_punctuation(")")
    return Binary(name, left, right)


def substitute(expr: Expr, values: Mapping[str, Expr]) -> Expr:
    """Replace names by expressions, folding what becomes constant."""
    if isinstance(expr, Name):
        return values.get(expr.name, expr)
    if isinstance(expr, Element):
        return Element(expr.scalars, substitute(expr.index, values))
    if isinstance(expr, Binary):
        return _substitute_both(expr, values)
    return expr


def _substitute_both(expr: Binary, values: Mapping[str, Expr]) -> Expr:
    left, right = substitute(expr.left, values), substitute(expr.right, values)
    if isinstance(left, Const) and isinstance(right, Const):
        return Const(int(_OPERATORS[expr.operator](left.value, right.value)))
    if expr.operator == "+":
        return add(left, right)
    if expr.operator == "*" and isinstance(right, Const):
        return multiply(left, right.value)
    return Binary(expr.operator, left, right)


def scalars_of(expr: Expr) -> frozenset[str]:
    """The run-time scalars that stand in an expression."""
    if isinstance(expr, Element):
        return frozenset((expr.scalars,))
    if isinstance(expr, Binary):
        return scalars_of(expr.left) | scalars_of(expr.right)
    return frozenset()


def run_time_parts(expr: Expr) -> Iterator[Expr]:
    """The largest parts of an expression that only run-time scalars decide.

    `pos[u] floordiv 32 + m` has one, `pos[u] floordiv 32`: the numbers of all its
    elements decide what the expression can be.
    """
    if isinstance(expr, Element):
        yield expr
    elif isinstance(expr, Binary):
        if scalars_of(expr) and not _has_plain_names(expr):
            yield expr
            return
        yield from run_time_parts(expr.left)
        yield from run_time_parts(expr.right)


def _has_plain_names(expr: Expr) -> bool:
    if isinstance(expr, Binary):
        return _has_plain_names(expr.left) or _has_plain_names(expr.right)
    return isinstance(expr, Name)


def over_all_elements(expr: Expr, env: Environment) -> Value:
    """Evaluate a run-time part for all elements of its scalars at once."""
    if isinstance(expr, Element):
        return env[expr.scalars]
    if isinstance(expr, Binary):
        left = over_all_elements(expr.left, env)
        right = over_all_elements(expr.right, env)
        return _OPERATORS[expr.operator](left, right)
    return expr.evaluate(env)
