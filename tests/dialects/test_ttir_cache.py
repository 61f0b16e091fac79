"""The cache ops of `ttir`: what they write and read, and each rule of a verifier."""

from __future__ import annotations

import pytest
import torch
from xdsl.transforms.dead_code_elimination import dce
from xdsl.utils.exceptions import VerifyException

from dialects import ttir
from tests.support.ttir_reference import main_of, op, parse, run_module

CACHE = "tensor<3x2x8x16xf32>"
ROWS = "tensor<1x2x5x16xf32>"
ROW = "tensor<1x2x3x16xf32>"
QUERY = "tensor<1x3x4x16xf32>"
POSITIONS = "tensor<3xi32>"
OFFSET = "batch_offset = {} : i32"
START = OFFSET.format(0)
SIZES = "operandSegmentSizes = array<i32: 1, 1, 1, {}, 1, 0>"
CAUSAL = f"is_causal = true, {SIZES.format(0)}"
MASKED = f"is_causal = false, {SIZES.format(1)}"
DECODE = "scaled_dot_product_attention_decode"


def numbers(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(len(shape))
    return torch.randn(shape, generator=generator)


def test_fill_writes_the_rows_of_one_user_in_place() -> None:
    cache, rows = torch.zeros(3, 2, 8, 16), numbers(1, 2, 5, 16)
    module = parse(op("fill_cache", [CACHE, ROWS], OFFSET.format(2), CACHE))
    (result,) = run_module(module, [cache, rows], {})
    assert result.data_ptr() == cache.data_ptr()
    assert torch.equal(cache[2, :, :5], rows[0])
    assert not cache[:2].any()
    assert not cache[2, :, 5:].any()


def test_fill_of_a_user_who_is_known_while_running() -> None:
    cache, rows = torch.zeros(3, 2, 8, 16), numbers(1, 2, 5, 16)
    operands = [CACHE, ROWS, "tensor<1xi32>"]
    module = parse(op("fill_cache", operands, START, CACHE))
    run_module(module, [cache, rows, torch.tensor([1])], {})
    assert torch.equal(cache[1, :, :5], rows[0])
    assert not cache[[0, 2]].any()


@pytest.mark.parametrize("index", [[4, 0, 7], [6]])
def test_update_writes_one_row_of_each_user_in_place(index: list[int]) -> None:
    cache, rows = torch.zeros(3, 2, 8, 16), numbers(1, 2, 3, 16)
    operands = [CACHE, ROW, f"tensor<{len(index)}xi32>"]
    module = parse(op("update_cache", operands, START, CACHE))
    (result,) = run_module(module, [cache, rows, torch.tensor(index)], {})
    assert result.data_ptr() == cache.data_ptr()
    expected = torch.zeros(3, 2, 8, 16)
    for user, position in enumerate(index * (3 // len(index))):
        expected[user, :, position] = rows[0, :, user]
    assert torch.equal(cache, expected)


def test_attention_sees_the_rows_up_to_the_position() -> None:
    query, key, value = numbers(1, 3, 4, 16), numbers(3, 2, 8, 16), numbers(3, 2, 8, 16)
    module = parse(op(DECODE, [QUERY, CACHE, CACHE, POSITIONS], CAUSAL, QUERY))
    positions = torch.tensor([0, 3, 7])
    (result,) = run_module(module, [query, key, value, positions], {})
    for user, head in ((0, 0), (1, 1), (1, 2), (2, 3)):
        seen = slice(0, int(positions[user]) + 1)
        keys, values = key[user, head // 2, seen], value[user, head // 2, seen]
        weights = (keys @ query[0, user, head] / 4).softmax(0)
        torch.testing.assert_close(result[0, user, head], weights @ values)


@pytest.mark.parametrize("boolean", [True, False])
def test_attention_with_a_mask(boolean: bool) -> None:
    query, key, value = numbers(1, 3, 4, 16), numbers(3, 2, 8, 16), numbers(3, 2, 8, 16)
    positions = torch.tensor([0, 3, 7])
    keep = (torch.arange(8) <= positions[:, None])[:, None, None].expand(3, 1, 4, 8)
    mask = keep if boolean else torch.zeros(3, 1, 4, 8).masked_fill(~keep, -1e9)
    kind = f"tensor<3x1x4x8x{'i1' if boolean else 'f32'}>"
    masked = parse(op(DECODE, [QUERY, CACHE, CACHE, kind, POSITIONS], MASKED, QUERY))
    causal = parse(op(DECODE, [QUERY, CACHE, CACHE, POSITIONS], CAUSAL, QUERY))
    (expected,) = run_module(causal, [query, key, value, positions], {})
    (result,) = run_module(masked, [query, key, value, mask, positions], {})
    torch.testing.assert_close(result, expected)


def test_a_write_stays_though_nothing_uses_its_result() -> None:
    text = op("fill_cache", [CACHE, ROWS], START, CACHE)
    module = parse(text.replace("func.return %0", "func.return %a0"))
    dce(module)
    assert isinstance(main_of(module).body.block.first_op, ttir.FillCacheOp)


INVALID = [
    (
        op("fill_cache", [CACHE, "tensor<1x2x5x16xbf16>"], START, CACHE),
        "element types differ: f32, bf16, f32",
    ),
    (
        op("fill_cache", ["tensor<2x8x16xf32>", ROWS], START, "tensor<2x8x16xf32>"),
        "cache has four dimensions, got 2x8x16",
    ),
    (
        op("fill_cache", [CACHE, "tensor<2x5x16xf32>"], START, CACHE),
        "input has four dimensions, got 2x5x16",
    ),
    (op("fill_cache", [CACHE, ROWS], START, ROWS), "expected shape 3x2x8x16"),
    (
        op("fill_cache", [CACHE, "tensor<1x4x5x16xf32>"], START, CACHE),
        "a cache of 3x2x8x16 takes rows of 1x2xNx16, got 1x4x5x16",
    ),
    (
        op("fill_cache", [CACHE, ROWS], OFFSET.format(3), CACHE),
        "1 users from 3 on are outside a cache of 3",
    ),
    (
        op("fill_cache", [CACHE, "tensor<1x2x9x16xf32>"], START, CACHE),
        "9 rows do not fit a cache of 8",
    ),
    (
        op("fill_cache", [CACHE, ROWS, "tensor<1xf32>"], START, CACHE),
        "needs integers, got f32",
    ),
    (
        op("fill_cache", [CACHE, ROWS, POSITIONS], START, CACHE),
        "expected shape 1, got 3",
    ),
    (
        op("update_cache", [CACHE, "tensor<1x2x4x16xf32>", POSITIONS], START, CACHE),
        "4 users from 0 on are outside a cache of 3",
    ),
    (
        op("update_cache", [CACHE, ROW, "tensor<3xf32>"], START, CACHE),
        "needs integers, got f32",
    ),
    (
        op("update_cache", [CACHE, ROW, "tensor<2xi32>"], START, CACHE),
        "update_index holds 1 or 3 positions, got 2",
    ),
]
ATTENTION = [
    (
        ["tensor<1x3x4x16xi32>", CACHE, CACHE, POSITIONS],
        "tensor<1x3x4x16xi32>",
        CAUSAL,
        "needs bf16 or f32, got i32",
    ),
    (
        ["tensor<1x3x4x16xbf16>", CACHE, CACHE, POSITIONS],
        "tensor<1x3x4x16xbf16>",
        CAUSAL,
        "element types differ",
    ),
    (
        ["tensor<3x4x16xf32>", CACHE, CACHE, POSITIONS],
        QUERY,
        CAUSAL,
        "query has four dimensions, got 3x4x16",
    ),
    (
        ["tensor<2x3x4x16xf32>", CACHE, CACHE, POSITIONS],
        QUERY,
        CAUSAL,
        "query is 1 x users x heads x columns, got 2x3x4x16",
    ),
    (
        [QUERY, "tensor<4x2x8x16xf32>", CACHE, POSITIONS],
        QUERY,
        CAUSAL,
        "expected shape 3x2x8x16, got 4x2x8x16",
    ),
    (
        [QUERY, CACHE, "tensor<3x2x9x16xf32>", POSITIONS],
        QUERY,
        CAUSAL,
        "expected shape 3x2x8x16, got 3x2x9x16",
    ),
    (
        [QUERY, CACHE, CACHE, POSITIONS],
        "tensor<1x3x5x16xf32>",
        CAUSAL,
        "expected shape 1x3x4x16, got 1x3x5x16",
    ),
    (
        ["tensor<1x3x5x16xf32>", CACHE, CACHE, POSITIONS],
        "tensor<1x3x5x16xf32>",
        CAUSAL,
        "5 heads are no multiple of 2 kv heads",
    ),
    ([QUERY, CACHE, CACHE, "tensor<3xf32>"], QUERY, CAUSAL, "needs integers"),
    ([QUERY, CACHE, CACHE, "tensor<1xi32>"], QUERY, CAUSAL, "expected shape 3, got 1"),
    (
        [QUERY, CACHE, CACHE, "tensor<3x1x4x8xf32>", POSITIONS],
        QUERY,
        f"is_causal = true, {SIZES.format(1)}",
        "causal and a mask exclude each other",
    ),
    (
        [QUERY, CACHE, CACHE, "tensor<3x1x5x8xf32>", POSITIONS],
        QUERY,
        MASKED,
        "a mask of 3x1x5x8 does not broadcast to 3x1x4x8",
    ),
]
INVALID += [
    (op(DECODE, operands, stated, result), reason)
    for operands, result, stated, reason in ATTENTION
]


@pytest.mark.parametrize(("text", "reason"), INVALID)
def test_refused(text: str, reason: str) -> None:
    with pytest.raises(VerifyException, match=reason):
        parse(text)
