"""The three numerics answer the same questions; they differ as they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.errors import ForgeError
from dialects.formats import DataFormat, DstMode, Fidelity
from runtime.arithmetic.formats import pack
from runtime.numerics import make_numerics

BITS = st.integers(0, 2**32 - 1)


def _bf16(seed: int, rows: int, columns: int) -> np.ndarray:
    values = np.random.default_rng(seed).standard_normal((rows, columns))
    return pack(values.astype(np.float32), DataFormat.BF16)


def _product(name: str, fidelity: Fidelity, dst: DstMode) -> np.ndarray:
    out = np.empty((64, 96), np.float32)
    lhs, rhs = _bf16(1, 64, 128), _bf16(2, 128, 96)
    make_numerics(name, fidelity, dst).matmul(lhs, rhs, out)
    return out


@pytest.mark.parametrize("fidelity", [Fidelity.LOFI, Fidelity.HIFI2, Fidelity.HIFI4])
def test_fast_is_near_exact_in_a_32_bit_dst(fidelity: Fidelity) -> None:
    fast = _product("fast", fidelity, DstMode.FP32)
    exact = _product("exact", fidelity, DstMode.FP32)
    assert np.linalg.norm(fast - exact) <= 1e-3 * np.linalg.norm(exact)
    assert (fast != exact).any()


def test_reference_knows_no_fidelity() -> None:
    found = _product("reference", Fidelity.LOFI, DstMode.BF16)
    np.testing.assert_array_equal(found, _bf16(1, 64, 128) @ _bf16(2, 128, 96))


@given(BITS)
def test_exact_products_of_small_integers_are_exact(seed: int) -> None:
    generator = np.random.default_rng(seed)
    lhs = generator.integers(-8, 9, (32, 64)).astype(np.float32)
    rhs = generator.integers(-8, 9, (64, 32)).astype(np.float32)
    out = np.empty((32, 32), np.float32)
    make_numerics("exact", Fidelity.HIFI4, DstMode.FP32).matmul(lhs, rhs, out)
    np.testing.assert_array_equal(out, lhs @ rhs)


@given(BITS, st.sampled_from(["fast", "exact"]))
def test_sums_of_products_agree_with_numpy(seed: int, name: str) -> None:
    generator = np.random.default_rng(seed)
    lhs, rhs = generator.integers(-4, 5, (2, 32, 96)).astype(np.float32)
    out = np.empty((32, 32), np.float32)
    make_numerics(name, Fidelity.HIFI4, DstMode.FP32).mul_sum(lhs, rhs, 3, out)
    expected = (lhs * rhs).reshape(32, 3, 32).sum(axis=1)
    np.testing.assert_array_equal(out, expected)


def test_unknown_numerics_are_refused() -> None:
    with pytest.raises(ForgeError, match="numerics 'double' are not known"):
        make_numerics("double", Fidelity.LOFI, DstMode.FP32)
