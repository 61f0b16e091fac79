"""Executor, replay and numpy agree on small netlists of every family."""

import re
from collections.abc import Callable

import numpy as np
import pytest

from dialects.bindings import Bindings
from dialects.formats import DataFormat
from dialects.netlist_text import parse_netlist
from dialects.tensix import NetlistOp
from runtime.arithmetic.formats import quantize_host
from tests.runtime.netlists import FOLDER, NAMES, load, run_both

RNG = np.random.default_rng(7)
BF16_STEP = 2.0**-7
"""Greatest distance of neighbouring bf16 numbers, relative."""


def bf16(values: np.ndarray) -> np.ndarray:
    return quantize_host(
        np.ascontiguousarray(values, np.float32), DataFormat.BF16
    ).astype(np.float64)


def inputs_of(netlist: NetlistOp) -> dict[str, np.ndarray]:
    """Random values for inputs and weights, as their buffers can hold them."""
    values = {}
    for name, buffer in Bindings(netlist).buffers.items():
        if buffer.role != "input" and buffer.recipe is None:
            continue
        tensor = buffer.tensor
        drawn = RNG.standard_normal(tensor.shape).astype(np.float32)
        if tensor.data_format.is_integer:
            drawn = RNG.integers(0, 50, tensor.shape).astype(np.float32)
        elif tensor.data_format is DataFormat.BF16:
            drawn = bf16(drawn).astype(np.float32)
        values[name] = drawn
    return values


def silu(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-x))


def product(v: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"c": v["a"] @ v["w"]}


def vendor_product(v: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"out": v["in0"] @ v["in1"]}


def attention(v: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Six heads of 64x64 in two groups; keys stacked, values side by side."""
    out = []
    for head in range(6):
        group = head // 3
        q = v["q"][64 * head : 64 * head + 64]
        k = v["key"][64 * group : 64 * group + 64]
        values = v["value"][:, 64 * group : 64 * group + 64]
        scores = q @ k.T / 8 + np.triu(np.full((64, 64), -1e30), 1)
        weights = np.exp(scores - scores.max(1, keepdims=True))
        out.append(weights / weights.sum(1, keepdims=True) @ values)
    return {"y": np.concatenate(out)}


def norm_matmul(v: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    x = v["x"]
    scale = 1 / np.sqrt((x**2).mean(1, keepdims=True) + 1e-5)
    return {"y": bf16(x * scale * np.tile(v["g"], (x.shape[0], 1))) @ v["w"]}


def update_rows(v: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Three users with two heads of 96 positions each; one row of each is written."""
    cache = np.zeros((3, 2, 96, 32))
    for user, position in enumerate(v["positions"][0].astype(int)):
        cache[user, :, position] = v["x"][user].reshape(2, 32)
    return {"cache": cache.reshape(-1, 32)}


ORACLES: dict[str, Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]] = {
    "elementwise": lambda v: {
        "z": silu(v["x"]) + v["y"],
        "top": bf16(silu(v["x"]) + v["y"]).max(1, keepdims=True),
    },
    "gather": lambda v: {"y": v["table"][v["ids"][0].astype(int)]},
    "attention": attention,
    "concat": lambda v: {"xy": np.concatenate((v["x"], v["y"]), 1)},
    "update_rows": update_rows,
    "norm_matmul": norm_matmul,
    "spill": lambda v: {
        "c": np.maximum(v["a"] @ v["w"], 0),
        "d": v["a"] @ v["w"],
    },
    "kept_sum": lambda v: {
        "c": v["a"] @ v["w"],
        "first": v["a"][:, :32] @ v["w"][:32],
    },
    "waited_again": lambda v: {"y": v["b"]},
    "pieces_in_turn": lambda v: {"c": 2 * (v["x"] @ v["w"])},
    "vendor_rotating": vendor_product,
    "vendor_loopback": vendor_product,
    "vendor_one_core": lambda v: {"out": 4 * (v["in0"] @ v["in1"])},
}

TOLERANCE = {
    "partials": 2e-3,
    "exchange": 2e-3,
    "matmul_bfp8": 0.08,
    "matmul_bf16_dst": 0.02,
    "matmul_fp32": 2e-3,
    "attention": 0.02,
    "spill": 0.02,
    "vendor_rotating": 0.02,
    "vendor_loopback": 0.02,
    "vendor_one_core": 0.02,
}
"""Greatest difference from numpy, relative to the largest value."""


@pytest.mark.parametrize("name", NAMES)
def test_engines_and_numpy_agree(name: str) -> None:
    netlist = load(name)
    values = inputs_of(netlist)
    executed, replayed = run_both(netlist, values)
    wide = {key: value.astype(np.float64) for key, value in values.items()}
    for buffer, expected in ORACLES.get(name, product)(wide).items():
        scale = np.abs(expected).max()
        np.testing.assert_allclose(
            replayed[buffer], executed[buffer], rtol=BF16_STEP, atol=1e-5 * scale
        )
        error = np.abs(executed[buffer] - expected).max() / scale
        assert error < TOLERANCE.get(name, 0.006), buffer


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
@pytest.mark.parametrize("columns", [1, 2, 4, 5])
def test_any_grid_gives_the_same(rows: int, columns: int) -> None:
    text = (FOLDER / "elementwise.mlir").read_text()
    text = text.replace("over y 3 block 2", f"over y {rows} block 1")
    text = text.replace("over x 3 block 1", f"over x {columns} block 1")
    text = text.replace("      for n {", "      for m { for n {")
    text = re.sub(r"(cb_pop_front %(b|c)\n      })", r"\1 }", text)
    text = re.sub(r"(cb_push_back %b\n      })", r"\1 }", text)
    netlist = parse_netlist(text)
    values = inputs_of(netlist)
    executed, replayed = run_both(netlist, values)
    expected = silu(values["x"]) + values["y"]
    np.testing.assert_array_equal(executed["z"], replayed["z"])
    np.testing.assert_allclose(executed["z"], expected, rtol=BF16_STEP, atol=1e-6)


# -- rounding points ----------------------------------------------------------------

ONE_TILE = """
tensix.netlist @one version 1 chip "n150" {{
  buffer @x dram {format} 32x32 role input
  buffer @w dram {format} 32x32 role input
  buffer @y dram fp32 32x32 role output
  program @p(in %x, in %w, out %y) fidelity HiFi4 dst {dst} {{
    axis m 1
    axis n 1
    axis k 1
    cb %x [m, k] of %x[m, k]
    cb %w [k, n] of %w[k, n]
    cb %one [] format bf16
    cb %y [m, n] of %y[m, n]
    kernel reader on riscv1 noc 0 {{
      cb_reserve_back %one
      fill %one row_scaler 1.0
      cb_push_back %one
      cb_reserve_back %x
      noc_async_read %x
      cb_reserve_back %w
      noc_async_read %w
      noc_async_read_barrier
      cb_push_back %x
      cb_push_back %w
    }}
    kernel compute on trisc {{
      cb_wait_front %one
      cb_wait_front %x
      cb_wait_front %w
      tile_regs_acquire
      {compute}
      tile_regs_commit
      tile_regs_wait
      cb_reserve_back %y
      pack_tiles dst[0] [m, n] -> %y {flags}
      cb_push_back %y
      tile_regs_release
      cb_pop_front %one
      cb_pop_front %x
      cb_pop_front %w
    }}
    kernel writer on riscv0 noc 1 {{
      cb_wait_front %y
      noc_async_write %y
      noc_async_write_barrier
      cb_pop_front %y
    }}
  }}
  run @p(@x, @w, @y)
}}
"""


def one_tile(
    compute: str,
    x: np.ndarray,
    w: np.ndarray,
    *,
    data_format: str = "fp32",
    dst: str = "fp32",
    flags: str = "",
) -> np.ndarray:
    """What comes out of one tile; both engines must agree to the bit."""
    text = ONE_TILE.format(compute=compute, format=data_format, dst=dst, flags=flags)
    executed, replayed = run_both(parse_netlist(text), {"x": x, "w": w})
    np.testing.assert_array_equal(executed["y"], replayed["y"])
    return executed["y"]


def cut(values: np.ndarray, mantissa_bits: int) -> np.ndarray:
    """Truncated to so many mantissa bits."""
    mask = np.uint32(0xFFFF_FFFF << (23 - mantissa_bits) & 0xFFFF_FFFF)
    return (values.view(np.uint32) & mask).view(np.float32)


X = RNG.standard_normal((32, 32)).astype(np.float32)
W = RNG.standard_normal((32, 32)).astype(np.float32)
EYE = np.eye(32, dtype=np.float32)


def test_copy_of_fp32_is_lossless() -> None:
    np.testing.assert_array_equal(one_tile("copy_tiles %x [m, n] -> dst[0]", X, W), X)


def test_copy_of_fp32_into_a_16_bit_dst_is_cut() -> None:
    found = one_tile("copy_tiles %x [m, n] -> dst[0]", X, W, dst="bf16")
    np.testing.assert_array_equal(found, cut(X, 7))


@pytest.mark.parametrize(
    ("kind", "source"),
    [("row", np.s_[:1, :]), ("col", np.s_[:, :1]), ("scalar", np.s_[:1, :1])],
)
def test_broadcast_of_fp32_is_cut_to_tf32(kind: str, source: tuple) -> None:
    found = one_tile(f"copy_tiles %x bcast {kind} [m, n] -> dst[0]", X, W)
    np.testing.assert_array_equal(found, np.broadcast_to(cut(X, 10)[source], X.shape))


@pytest.mark.parametrize(
    ("kind", "function"), [("add", np.add), ("sub", np.subtract), ("mul", np.multiply)]
)
def test_matrix_unit_reads_tf32(kind: str, function: np.ufunc) -> None:
    found = one_tile(f"{kind}_tiles %x, %w [m, n] -> dst[0]", X, W)
    np.testing.assert_array_equal(found, function(cut(X, 10), cut(W, 10)))


def test_vector_unit_reads_all_of_fp32() -> None:
    compute = (
        "copy_tiles %x [m, n] -> dst[0]\ncopy_tiles %w [m, n] -> dst[1]\n"
        "sub_binary_tile dst[0], dst[1] [m, n]"
    )
    np.testing.assert_array_equal(one_tile(compute, X, W), X - W)


def test_matmul_reads_tf32() -> None:
    found = one_tile("matmul_block %x, %w [m, n] sum [k] -> dst[0]", X, EYE)
    np.testing.assert_array_equal(found, cut(X, 10))


def test_transposed_matmul() -> None:
    found = one_tile("matmul_block %x, %w transpose [m, n] sum [k] -> dst[0]", EYE, W)
    np.testing.assert_array_equal(found, cut(W, 10).T)


def test_maximum_reads_tf32() -> None:
    found = one_tile("reduce_tiles max row %x, %one [m] over [] -> dst[0]", X, W)
    np.testing.assert_array_equal(found[:, 0], cut(X, 10).max(1))


@pytest.mark.parametrize(("dim", "axis"), [("col", 0), ("scalar", None)])
def test_other_reductions(dim: str, axis: int | None) -> None:
    found = one_tile(f"reduce_tiles max {dim} %x, %one [m] over [] -> dst[0]", X, W)
    expected = cut(X, 10).max(axis)
    np.testing.assert_array_equal(found[0] if axis == 0 else found[0, 0], expected)


def test_a_sum_goes_on_from_what_dst_holds() -> None:
    compute = (
        "copy_tiles %x [m, n] -> dst[0]\nmatmul_block %x, %w [m, n] sum [k] -> dst[0]"
    )
    found = one_tile(compute, X, EYE)
    np.testing.assert_array_equal(found, X + cut(X, 10))


def test_products_accumulate() -> None:
    compute = (
        "mul_tiles %x, %w [m, n] -> dst[0]\n"
        "mul_tiles %x, %w [m, n] -> dst[0] accumulate"
    )
    found = one_tile(compute, X, W)
    np.testing.assert_array_equal(found, 2 * (cut(X, 10) * cut(W, 10)))


def test_vector_unit_rounds_before_it_stores_to_16_bits() -> None:
    compute = "copy_tiles %x [m, n] -> dst[0]\nexp_tile dst[0] [m, n]"
    x = bf16(X).astype(np.float32)
    found = one_tile(compute, x, W, data_format="bf16", dst="bf16")
    exact = np.exp(x.astype(np.float64))
    step = 2.0 ** (np.floor(np.log2(exact)) - 7)
    assert np.abs(found - exact).max() <= (step / 2 * 1.01).max()
    assert (np.abs(found - exact) <= step * 0.51).all()


def test_relu_of_the_packer() -> None:
    found = one_tile("copy_tiles %x [m, n] -> dst[0]", X, W, flags="relu")
    np.testing.assert_array_equal(found, np.maximum(X, 0))


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("recip", lambda x: 1 / x),
        ("rsqrt", lambda x: 1 / np.sqrt(x)),
        ("sqrt", np.sqrt),
        ("sigmoid", lambda x: 1 / (1 + np.exp(-x))),
        ("silu", silu),
        ("tanh", np.tanh),
        ("log", np.log),
        ("sin", np.sin),
        ("cos", np.cos),
        ("abs", np.abs),
        ("negative", np.negative),
        ("square", np.square),
        ("relu", lambda x: np.maximum(x, 0)),
        ("exp", np.exp),
    ],
)
def test_unary_functions(function: str, expected: Callable) -> None:
    x = bf16(np.abs(X) + 0.1).astype(np.float32)
    compute = f"copy_tiles %x [m, n] -> dst[0]\n{function}_tile dst[0] [m, n]"
    for dst, tolerance in (("fp32", 1e-5), ("bf16", BF16_STEP / 2)):
        found = one_tile(compute, x, W, dst=dst)
        np.testing.assert_allclose(
            found, expected(x.astype(np.float64)), rtol=tolerance, atol=tolerance
        )


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("add_unary", X + np.float32(1.5)),
        ("mul_unary", X * np.float32(1.5)),
        ("max_unary", np.maximum(X, np.float32(1.5))),
        ("min_unary", np.minimum(X, np.float32(1.5))),
    ],
)
def test_functions_with_a_scalar(function: str, expected: np.ndarray) -> None:
    compute = f"copy_tiles %x [m, n] -> dst[0]\n{function}_tile dst[0] [m, n], 1.5"
    np.testing.assert_array_equal(one_tile(compute, X, W), expected)


@pytest.mark.parametrize(
    ("function", "expected"),
    [("div", X / W), ("max", np.maximum(X, W)), ("min", np.minimum(X, W))],
)
def test_functions_of_two_blocks(function: str, expected: np.ndarray) -> None:
    compute = (
        "copy_tiles %x [m, n] -> dst[0]\ncopy_tiles %w [m, n] -> dst[1]\n"
        f"{function}_binary_tile dst[0], dst[1] [m, n]"
    )
    np.testing.assert_array_equal(one_tile(compute, X, W), expected)
