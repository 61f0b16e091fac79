"""Integer expressions: what is printed parses back, and evaluates like Python."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.context import Context
from xdsl.parser import Parser
from xdsl.utils.exceptions import ParseError

from dialects.expr import (
    Binary,
    Const,
    Expr,
    Name,
    add,
    floordiv,
    modulo,
    multiply,
    parse_expr,
    parse_sum,
    substitute,
)

NAMES = ("x", "y", "k", "k.start", "pos")
VALUES = st.fixed_dictionaries({name: st.integers(0, 50) for name in NAMES})
LEAVES = st.one_of(st.integers(0, 99).map(Const), st.sampled_from(NAMES).map(Name))


def _grow(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    operators = st.sampled_from(["+", "-", "*", "min", "max"])
    divided = st.builds(
        Binary,
        st.sampled_from(["floordiv", "ceildiv", "mod"]),
        inner,
        st.integers(1, 9).map(Const),
    )
    return st.builds(Binary, operators, inner, inner) | divided


SUMS = st.recursive(LEAVES, _grow, max_leaves=12)
COMPARISONS = st.builds(
    Binary, st.sampled_from(["==", "<", "<=", ">", ">="]), SUMS, SUMS
)
CONDITIONS = COMPARISONS | st.builds(
    lambda a, b: Binary("and", a, b), COMPARISONS, COMPARISONS
)


def parse(text: str) -> Expr:
    return parse_expr(Parser(Context(), text))


def oracle(expr: Expr, env: dict[str, int]) -> int:
    if isinstance(expr, Const):
        return expr.value
    if isinstance(expr, Name):
        return env[expr.name]
    left, right = oracle(expr.left, env), oracle(expr.right, env)
    return int(
        {
            "+": lambda: left + right,
            "-": lambda: left - right,
            "*": lambda: left * right,
            "floordiv": lambda: left // right,
            "ceildiv": lambda: -((-left) // right),
            "mod": lambda: left % right,
            "min": lambda: min(left, right),
            "max": lambda: max(left, right),
            "==": lambda: left == right,
            "<": lambda: left < right,
            "<=": lambda: left <= right,
            ">": lambda: left > right,
            ">=": lambda: left >= right,
            "and": lambda: bool(left) and bool(right),
        }[expr.operator]()
    )


@settings(deadline=None)
@given(SUMS | CONDITIONS)
def test_print_then_parse(expr: Expr) -> None:
    assert parse(str(expr)) == expr


@settings(deadline=None)
@given(SUMS | CONDITIONS, VALUES)
def test_evaluates_like_python(expr: Expr, env: dict[str, int]) -> None:
    assert expr.evaluate(env) == oracle(expr, env)


@settings(deadline=None)
@given(SUMS, VALUES)
def test_arrays_evaluate_element_by_element(expr: Expr, env: dict[str, int]) -> None:
    arrays = {**env, "k": np.arange(4), "x": np.arange(3)[:, None]}
    found = np.broadcast_to(np.asarray(expr.evaluate(arrays)), (3, 4))
    for x, k in np.ndindex(3, 4):
        assert found[x, k] == oracle(expr, {**env, "x": x, "k": k})


@settings(deadline=None)
@given(SUMS, VALUES)
def test_names_are_those_that_are_needed(expr: Expr, env: dict[str, int]) -> None:
    needed = {name: env[name] for name in expr.names()}
    assert expr.evaluate(needed) == expr.evaluate(env)


@settings(deadline=None)
@given(SUMS, VALUES)
def test_substitution_keeps_the_value(expr: Expr, env: dict[str, int]) -> None:
    known = {name: Const(env[name]) for name in ("x", "k")}
    assert substitute(expr, known).evaluate(env) == expr.evaluate(env)


@settings(deadline=None)
@given(SUMS, st.integers(0, 5), st.integers(1, 5), VALUES)
def test_constructors_simplify_soundly(
    expr: Expr, factor: int, divisor: int, env: dict[str, int]
) -> None:
    value = oracle(expr, env)
    assert add(expr, Const(factor)).evaluate(env) == value + factor
    assert add(Const(0), expr) == expr
    assert multiply(expr, factor).evaluate(env) == value * factor
    assert multiply(expr, 1) == expr
    assert modulo(expr, divisor).evaluate(env) == value % divisor
    assert floordiv(expr, divisor).evaluate(env) == value // divisor


def test_precedence() -> None:
    assert parse("1 + 2 * 3 - 4").evaluate({}) == 3
    assert parse("(1 + 2) * 3").evaluate({}) == 9
    assert parse("7 - (3 - 1)").evaluate({}) == 5
    assert parse("9 floordiv 2 mod 3").evaluate({}) == 1
    assert parse("x < 3 and y == 1").evaluate({"x": 2, "y": 1})


@pytest.mark.parametrize("text", ["", "+", "1 +", "min(1)", "(1", "1 = 2", "* 3"])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text)


def test_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="m"):
        parse("m + 1").evaluate({})


def test_parse_sum_leaves_a_comparison() -> None:
    parser = Parser(Context(), "x + 1 > 2")
    assert parse_sum(parser) == Binary("+", Name("x"), Const(1))
    parser.parse_punctuation(">")
