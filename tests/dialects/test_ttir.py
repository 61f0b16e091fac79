"""`ttir`: text round trips, and a program that breaks each rule of a verifier."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, strategies
from xdsl.parser import Parser
from xdsl.utils.exceptions import ParseError, VerifyException

from dialects.ttcore import ArgumentType, ArgumentTypeAttr
from dialects.ttir import TTIR, broadcast_shape
from tests.support.ttir_reference import op, parse, ttir_context

F = "tensor<2x4xf32>"
B = "tensor<2x4xbf16>"
I = "tensor<2x4xi32>"  # noqa: E741
COLUMN = "tensor<2x1xf32>"
ROW = "tensor<4xf32>"
HEADS = "tensor<1x4x8x16xf32>"
GROUPS = "tensor<1x2x8x16xf32>"
CACHE = "tensor<3x2x8x16xf32>"
SDPA_SIZES = "operandSegmentSizes = array<i32: 1, 1, 1, 0, 0>"
SDPA_MASKED = "operandSegmentSizes = array<i32: 1, 1, 1, 1, 0>"

UNARY = (
    *("abs", "cos", "erf", "exp", "gelu", "log", "neg", "reciprocal", "relu", "rsqrt"),
    *("sigmoid", "silu", "sin", "sqrt", "square", "tan", "tanh"),
)
ARITHMETIC = ("add", "div", "maximum", "minimum", "multiply", "pow", "subtract")
COMPARISON = ("eq", "ge", "gt", "le", "lt", "ne", "logical_and", "logical_or")
REDUCTION = ("max", "min", "sum", "mean")


def sliced(begins: str, ends: str, step: str) -> str:
    return f"begins = {begins}, ends = {ends}, step = {step}"


VALID = [
    *(op(name, [F], "", F) for name in UNARY),
    op("logical_not", ["tensor<3xi1>"], "", "tensor<3xi1>"),
    *(op(name, [F, ROW], "", F) for name in ARITHMETIC),
    *(op(name, [F, COLUMN], "", "tensor<2x4xi1>") for name in COMPARISON),
    op("eq", [B, B], "", B),
    op("typecast", [B], "", F),
    op("clamp_scalar", [F], "min = -1.0 : f32, max = 1.0 : f32", F),
    op("where", ["tensor<2x1xi1>", F, ROW], "", F),
    op("zeros", [], "shape = array<i32: 2, 4>", F),
    op("ones", [], "shape = array<i32: 2, 4>", F),
    op("full", [], "shape = array<i32: 2, 4>, fill_value = 0.1 : f32", B),
    op("full", [], "shape = array<i32: 2, 4>, fill_value = 0xFF800000 : f32", F),
    op("full", [], "shape = array<i32>, fill_value = 3 : i32", "tensor<i64>"),
    op(
        "arange",
        [],
        "start = 1 : si64, end = 9 : si64, step = 2 : si64, arange_dimension = 1 : i64",
        F,
    ),
    op("constant", [], "value = dense<[1.0, 2.0]> : tensor<2xf32>", "tensor<2xf32>"),
    *(
        op(name, [F], "keep_dim = true, dim_arg = [-1 : i32]", COLUMN)
        for name in REDUCTION
    ),
    op("sum", [F], "keep_dim = false", "tensor<f32>"),
    op("softmax", [F], "dimension = -1 : si32, numericStable = true", F),
    op(
        "rms_norm",
        [F, ROW],
        "normalized_shape = array<i64: 4>, epsilon = 1.0e-06 : f32, "
        "operandSegmentSizes = array<i32: 1, 1, 0>",
        F,
    ),
    op(
        "layer_norm",
        [F, F, F],
        "normalized_shape = array<i64: 2, 4>, "
        "operandSegmentSizes = array<i32: 1, 1, 1>",
        F,
    ),
    op("reshape", [F], "shape = [8 : i32]", "tensor<8xf32>"),
    op("permute", [F], "permutation = array<i64: 1, 0>", "tensor<4x2xf32>"),
    op("transpose", [F], "dim0 = 0 : si32, dim1 = -1 : si32", "tensor<4x2xf32>"),
    op("squeeze", [COLUMN], "dim = -1 : si32", "tensor<2xf32>"),
    op("unsqueeze", [F], "dim = -1 : si32", "tensor<2x4x1xf32>"),
    op("broadcast", [COLUMN], "broadcast_dimensions = array<i64: 1, 4>", F),
    op("repeat", [COLUMN], "repeat_dimensions = array<i64: 2, 4>", "tensor<4x4xf32>"),
    op("repeat_interleave", [COLUMN], "repeats = 4 : ui32, dim = -1 : si32", F),
    op(
        "slice_static",
        [F],
        sliced("[0 : i32, 1 : i32]", "[2 : i32, 4 : i32]", "[1 : i32, 2 : i32]"),
        "tensor<2x2xf32>",
    ),
    op("concat", [F, COLUMN], "dim = -1 : si32", "tensor<2x5xf32>"),
    op(
        "pad",
        [F],
        "padding = array<i32: 0, 1, 2, 0>, value = 0.0 : f32",
        "tensor<3x6xf32>",
    ),
    op("matmul", [F, F], "transpose_a = false, transpose_b = true", "tensor<2x2xf32>"),
    op("matmul", [ROW, ROW], "", "tensor<f32>"),
    op(
        "matmul",
        ["tensor<3x1x2x4xf32>", "tensor<5x4x2xf32>"],
        "",
        "tensor<3x5x2x2xf32>",
    ),
    op(
        "linear",
        [F, "tensor<3x4xf32>", "tensor<3xf32>"],
        "transpose_a = false, transpose_b = true",
        "tensor<2x3xf32>",
    ),
    op("embedding", ["tensor<1x3xi64>", F], "", "tensor<1x3x4xf32>"),
    op(
        "scaled_dot_product_attention",
        [HEADS, GROUPS, GROUPS],
        f"is_causal = true, scale = 0.25 : f32, {SDPA_SIZES}",
        HEADS,
    ),
    op(
        "scaled_dot_product_attention",
        [HEADS, GROUPS, GROUPS, "tensor<8x8xi1>"],
        f"is_causal = false, {SDPA_MASKED}",
        HEADS,
    ),
    op("fill_cache", [CACHE, GROUPS], "batch_offset = 2 : i32", CACHE),
    op("fill_cache", [CACHE, GROUPS, "tensor<1xi32>"], "batch_offset = 0 : i32", CACHE),
    op(
        "update_cache",
        [CACHE, "tensor<1x2x3x16xf32>", "tensor<3xi32>"],
        "batch_offset = 0 : i32",
        CACHE,
    ),
    op(
        "scaled_dot_product_attention_decode",
        ["tensor<1x3x4x16xf32>", CACHE, CACHE, "tensor<3xi32>"],
        "is_causal = true, scale = 1.0 : f32, "
        "operandSegmentSizes = array<i32: 1, 1, 1, 0, 1, 0>",
        "tensor<1x3x4x16xf32>",
    ),
    op(
        "scaled_dot_product_attention_decode",
        ["tensor<1x3x4x16xf32>", CACHE, CACHE, "tensor<3x1x4x8xf32>", "tensor<3xi32>"],
        "is_causal = false, operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 0>",
        "tensor<1x3x4x16xf32>",
    ),
]


@pytest.mark.parametrize("text", VALID, ids=lambda text: text.split('"')[1])
def test_round_trip(text: str) -> None:
    module = parse(text)
    printed = str(module)
    again = parse(printed)
    assert str(again) == printed
    assert module.is_structurally_equivalent(again)


def test_every_op_has_a_valid_program() -> None:
    named = {f"{text.split(chr(34))[1]}" for text in VALID}
    assert {op_class.name for op_class in TTIR.operations} == named


SHAPES = strategies.lists(strategies.sampled_from([1, 2, 3]), max_size=4)


@given(SHAPES, SHAPES, SHAPES)
def test_broadcast_shape_is_torch_s(a: list[int], b: list[int], c: list[int]) -> None:
    try:
        expected = tuple(torch.broadcast_shapes(a, b, c))
    except RuntimeError:
        expected = None
    assert broadcast_shape(a, b, c) == expected


def test_every_op_says_what_it_is() -> None:
    for op_class in TTIR.operations:
        assert op_class.__doc__, op_class


@pytest.mark.parametrize("kind", list(ArgumentType))
def test_argument_type_round_trip(kind: ArgumentType) -> None:
    attribute = ArgumentTypeAttr(kind)
    text = f"#ttcore.argument_type<{kind.value}>"
    assert str(attribute) == text
    assert Parser(ttir_context(), text).parse_attribute() == attribute


def test_argument_type_is_one_of_three() -> None:
    with pytest.raises(ParseError, match="input"):
        Parser(ttir_context(), "#ttcore.argument_type<weight>").parse_attribute()


ARANGE = (
    "start = 0 : si64, end = 4 : si64, "
    "step = {step} : si64, arange_dimension = {d} : i64"
)
NORM = "operandSegmentSizes = array<i32: 1, 1, 0>, normalized_shape = array<i64: {n}>"
SLICE = [
    (sliced("[0 : i32]", "[2 : i32]", "[1 : i32]"), "1 numbers where 2 are needed"),
    (
        sliced("[0 : i32, 0 : i32]", "[2 : i32, 4 : i32]", "[1 : i32, 0 : i32]"),
        "every step must be at least 1",
    ),
    (
        sliced("[0 : i32, 0 : i32]", "[2 : i32, 5 : i32]", "[1 : i32, 1 : i32]"),
        "0 to 5 is outside a dimension of extent 4",
    ),
    (
        sliced("[0 : i32, 0 : i32]", "[2 : i32, 3 : i32]", "[1 : i32, 1 : i32]"),
        "expected shape 2x3, got 2x4",
    ),
]

INVALID = [
    (op("exp", ["tensor<2xf64>"], "", "tensor<2xf64>"), "f64"),
    (op("neg", ["tensor<2xi8>"], "", "tensor<2xi8>"), "Invalid value 8"),
    (op("exp", [F], "", ROW), "expected shape 2x4, got 4"),
    (op("exp", [F], "", B), "element types differ: f32, bf16"),
    (op("exp", [I], "", I), "needs bf16 or f32, got i32"),
    (op("add", [F, B], "", F), "element types differ: f32, bf16"),
    (op("add", [F, "tensor<3xf32>"], "", F), "shapes 2x4 and 3 do not broadcast"),
    (op("add", [COLUMN, ROW], "", ROW), "expected shape 2x4, got 4"),
    (op("add", [F, F], "", I), "element types differ: f32, i32"),
    (op("lt", [F, F], "", "tensor<4xi1>"), "expected shape 2x4, got 4"),
    (op("typecast", [F], "", "tensor<4xbf16>"), "expected shape 2x4, got 4"),
    (
        op("clamp_scalar", [F], "min = 2.0 : f32, max = 1.0 : f32", F),
        "min 2.0 is above max 1.0",
    ),
    (op("where", [I, F, B], "", F), "element types differ: f32, bf16"),
    (
        op("where", ["tensor<3xi1>", F, F], "", F),
        "shapes 3, 2x4, 2x4 do not broadcast",
    ),
    (op("where", [I, F, F], "", ROW), "expected shape 2x4, got 4"),
    (op("zeros", [], "shape = array<i32: 3>", F), "expected shape 3, got 2x4"),
    (
        op("full", [], "shape = array<i32: 3>, fill_value = 1 : i32", F),
        "expected shape 3, got 2x4",
    ),
    (op("arange", [], ARANGE.format(step=0, d=1), F), "step must not be zero"),
    (op("arange", [], ARANGE.format(step=1, d=2), F), "axis 2 is outside a rank 2"),
    (
        op("arange", [], ARANGE.format(step=1, d=0), F),
        "4 values along dimension 0 of extent 2",
    ),
    (op("constant", [], "value = dense<1.0> : tensor<2xf32>", F), "value of type"),
    (op("sum", [F], "keep_dim = true, dim_arg = [2 : i32]", F), "axis 2 is outside"),
    (
        op("sum", [F], "keep_dim = false, dim_arg = [1 : i32]", F),
        "expected shape 2, got 2x4",
    ),
    (op("max", [F], "keep_dim = false", "tensor<i32>"), "element types differ"),
    (op("mean", [I], "keep_dim = false", "tensor<i32>"), "needs bf16 or f32"),
    (op("softmax", [F], "dimension = 2 : si32", F), "axis 2 is outside a rank 2"),
    (op("rms_norm", [F, ROW], NORM.format(n=2), F), "expected shape 2, got 4"),
    (
        op("rms_norm", [F, "tensor<2xf32>"], NORM.format(n=2), F),
        "normalized_shape 2 does not end the input shape 2x4",
    ),
    (op("layer_norm", [F, "tensor<4xbf16>"], NORM.format(n=4), F), "types differ"),
    (op("layer_norm", [I, "tensor<4xi32>"], NORM.format(n=4), I), "needs bf16 or f32"),
    (op("layer_norm", [F, ROW], NORM.format(n=4), ROW), "expected shape 2x4, got 4"),
    (op("reshape", [F], "shape = [8 : i32]", "tensor<8xi32>"), "types differ"),
    (op("reshape", [F], "shape = [8 : i32]", ROW), "expected shape 8, got 4"),
    (op("reshape", [F], "shape = [4 : i32]", ROW), "8 elements of 2x4 do not fill 4"),
    (
        op("permute", [F], "permutation = array<i64: 0, 0>", F),
        r"\[0, 0\] does not permute 2 dimensions",
    ),
    (op("permute", [F], "permutation = array<i64: 1, 0>", F), "expected shape 4x2"),
    (op("transpose", [F], "dim0 = 0 : si32, dim1 = 2 : si32", F), "axis 2 is outside"),
    (op("transpose", [F], "dim0 = 0 : si32, dim1 = 1 : si32", F), "expected shape 4x2"),
    (op("squeeze", [F], "dim = 0 : si32", ROW), "dimension 0 has extent 2, not 1"),
    (op("squeeze", [COLUMN], "dim = 1 : si32", COLUMN), "expected shape 2, got 2x1"),
    (op("unsqueeze", [ROW], "dim = 0 : si32", ROW), "expected shape 1x4, got 4"),
    (
        op("broadcast", [ROW], "broadcast_dimensions = array<i64: 2, 1>", F),
        "2 numbers where 1 are needed",
    ),
    (
        op("broadcast", [F], "broadcast_dimensions = array<i64: 2, 1>", F),
        "extent 2 cannot be broadcast 2 times",
    ),
    (
        op("broadcast", [COLUMN], "broadcast_dimensions = array<i64: 1, 2>", F),
        "expected shape 2x2, got 2x4",
    ),
    (
        op("repeat", [F], "repeat_dimensions = array<i64: 2>", F),
        "1 numbers where 2 are needed",
    ),
    (op("repeat", [ROW], "repeat_dimensions = array<i64: 2>", ROW), "expected shape 8"),
    (
        op("repeat_interleave", [ROW], "repeats = 2 : ui32, dim = 0 : si32", ROW),
        "expected shape 8, got 4",
    ),
    *((op("slice_static", [F], stated, F), reason) for stated, reason in SLICE),
    (op("concat", [], "dim = 0 : si32", F), "needs at least one input"),
    (op("concat", [F, B], "dim = 0 : si32", F), "element types differ"),
    (op("concat", [F, ROW], "dim = 0 : si32", F), "1 numbers where 2 are needed"),
    (op("concat", [F, COLUMN], "dim = 0 : si32", F), "expected shape 2x4, got 2x1"),
    (op("concat", [F, F], "dim = 0 : si32", F), "expected shape 4x4, got 2x4"),
    (
        op("pad", [F], "padding = array<i32: 1, 1>, value = 0.0 : f32", F),
        "2 numbers where 4 are needed",
    ),
    (
        op("pad", [ROW], "padding = array<i32: -1, 1>, value = 0.0 : f32", ROW),
        "padding must not be negative",
    ),
    (
        op("pad", [ROW], "padding = array<i32: 1, 1>, value = 0.0 : f32", ROW),
        "expected shape 6, got 4",
    ),
    (op("matmul", [F, F], "", F), "2x4 and 2x4 do not multiply"),
    (
        op("matmul", [F, F], "transpose_a = true", F),
        "expected shape 4x4, got 2x4",
    ),
    (op("matmul", [F, ROW], "", "tensor<2xbf16>"), "element types differ"),
    (
        op("linear", [F, F, ROW], "transpose_b = true", "tensor<2x2xf32>"),
        "a bias of 4 does not broadcast to 2x2",
    ),
    (op("embedding", [F, F], "", "tensor<2x4x4xf32>"), "needs integers, got f32"),
    (op("embedding", [I, ROW], "", ROW), "the weight is a table of rows, got 4"),
    (op("embedding", [I, F], "", F), "expected shape 2x4x4, got 2x4"),
    (op("embedding", [I, F], "", "tensor<2x4x4xbf16>"), "element types differ"),
]

ATTENTION = [
    ([I, I, I], I, "is_causal = false, " + SDPA_SIZES, "needs bf16 or f32"),
    (
        [HEADS, HEADS, "tensor<1x4x8x16xbf16>"],
        HEADS,
        "is_causal = true, " + SDPA_SIZES,
        "element types differ",
    ),
    ([F, F, F], F, "is_causal = true, " + SDPA_SIZES, "batch x heads x rows x columns"),
    (
        [HEADS, GROUPS, HEADS],
        HEADS,
        "is_causal = true, " + SDPA_SIZES,
        "expected shape 1x2x8x16, got 1x4x8x16",
    ),
    (
        [GROUPS, HEADS, HEADS],
        GROUPS,
        "is_causal = true, " + SDPA_SIZES,
        "2 heads are no multiple of 4 kv heads",
    ),
    (
        ["tensor<1x4x3x16xf32>", GROUPS, GROUPS],
        "tensor<1x4x3x16xf32>",
        "is_causal = true, " + SDPA_SIZES,
        "causal attention of 3 rows over 8 keys",
    ),
    (
        ["tensor<1x4x8x32xf32>", GROUPS, GROUPS],
        HEADS,
        "is_causal = true, " + SDPA_SIZES,
        "expected shape 1x2x8x32, got 1x2x8x16",
    ),
    (
        [HEADS, GROUPS, GROUPS],
        GROUPS,
        "is_causal = true, " + SDPA_SIZES,
        "expected shape 1x4x8x16, got 1x2x8x16",
    ),
    (
        [HEADS, GROUPS, GROUPS, "tensor<8x8xi1>"],
        HEADS,
        "is_causal = true, " + SDPA_MASKED,
        "causal and a mask exclude each other",
    ),
    (
        [HEADS, GROUPS, GROUPS, "tensor<8x4xi1>"],
        HEADS,
        "is_causal = false, " + SDPA_MASKED,
        "a mask of 8x4 does not broadcast to 1x4x8x8",
    ),
]
INVALID += [
    (op("scaled_dot_product_attention", operands, stated, result), reason)
    for operands, result, stated, reason in ATTENTION
]


@pytest.mark.parametrize(("text", "reason"), INVALID)
def test_refused(text: str, reason: str) -> None:
    with pytest.raises(VerifyException, match=reason):
        parse(text)
