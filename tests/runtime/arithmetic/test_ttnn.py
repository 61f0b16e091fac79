"""Whole vendor operations: golden/ttnn, run by real ttnn kernels on the simulator.

Bit for bit where an operation is one pass of the matrix unit or of the packer. A matmul
is: whatever the vendor's K blocks are, partial results are spilled and reloaded without
loss in these configurations. Vector functions are held to one bf16 unit in the last
place, since forge computes the mathematical function. Norms, softmax, attention, rotary
embedding and data movement are programs, not operations, and are judged where programs
are run: `tests/e2e/test_vendor_ops.py`. `NOT_COMPARED` says what is judged nowhere.
"""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dialects.formats import DataFormat, DstMode, Fidelity
from runtime.arithmetic import eltwise, sfpu
from runtime.arithmetic.formats import Values, pack, quantize_host, unpack_to_src
from runtime.arithmetic.functions import evaluate
from runtime.arithmetic.matmul import matmul, matrix_to_tiles
from runtime.arithmetic.reduce import (
    ReduceDim,
    ReduceKind,
    reduce_tiles,
    sum_rows_by_matmul,
)
from tests.runtime.arithmetic.test_golden import assert_same_bits, golden_folders

BF16, FP32 = DataFormat.BF16, DataFormat.FP32

MATMUL = re.compile(r"matmul_(?P<weights>\w+)_(?P<fidelity>\w+)_(?P<acc>\w+)acc")
WEIGHTS = {"bf16": BF16, "bfp8": DataFormat.BFP8_B, "bfp4": DataFormat.BFP4_B}

VECTOR_FUNCTIONS = {
    "exp", "gelu", "log", "reciprocal", "rsqrt", "sigmoid", "silu", "sqrt", "tanh"
}  # fmt: skip

EXACT = {
    "add", "subtract", "multiply", "sum", "mean", "max", "host_bfp8", "host_bfp4",
    "typecast_bfp8", "typecast_fp32", "relu", "relu_ramp",
}  # fmt: skip


PROGRAMS = {
    "rms_norm", "rms_norm_hifi4_fp32acc", "layer_norm_hifi2",
    "layer_norm_hifi4_fp32acc", "softmax", "sdpa_full", "rotary_embedding",
    "transpose", "slice", "embedding", "concat",
}  # fmt: skip

NOT_COMPARED = {
    "exp_approx": "a polynomial of the vendor's, not the mathematical function",
    "gelu_approx": "a polynomial of the vendor's, not the mathematical function",
    "argmax": "on the host in forge: the last step of generation",
    "permute": "moves rows between tiles, which forge refuses to compile",
}


def to_bf16(values: Values) -> Values:
    return pack(values, BF16, dst=DstMode.BF16)


def sum_rows(x: Values, scaler: float) -> Values:
    dst = DstMode.FP32
    column = sum_rows_by_matmul(x, scaler=scaler, fidelity=Fidelity.HIFI4, dst=dst)
    return pack(np.tile(column[:, None], 16), BF16, dst=dst)[:, :1]


def max_of_rows(x: Values) -> Values:
    tiles = reduce_tiles(
        matrix_to_tiles(x), ReduceKind.MAX, ReduceDim.ROW, scaler=1.0, dst=DstMode.BF16
    )
    return to_bf16(tiles)[..., :1].reshape(-1, 1)


def exact_result(name: str, x: Values, y: Values | None) -> Values:
    """What the operation called `name` gives, to the last bit."""
    dst = DstMode.BF16
    bits = x.view(np.uint32)
    other = np.zeros(1, dtype=np.float32) if y is None else y
    return {
        "add": lambda: to_bf16(eltwise.add(x, other, dst=dst)),
        "subtract": lambda: to_bf16(eltwise.subtract(x, other, dst=dst)),
        "multiply": lambda: to_bf16(
            sfpu.round_to_bf16_even(sfpu.mul(bits, other.view(np.uint32))).view(
                np.float32
            )
        ),
        "sum": lambda: sum_rows(x, 1.0),
        "mean": lambda: sum_rows(x, 1.0 / x.shape[1]),
        "max": lambda: max_of_rows(x),
        "host_bfp8": lambda: quantize_host(x, DataFormat.BFP8_B),
        "host_bfp4": lambda: quantize_host(x, DataFormat.BFP4_B),
        "typecast_bfp8": lambda: pack(x, DataFormat.BFP8_B, dst=dst, precise=True),
        "typecast_fp32": lambda: pack(x, FP32, dst=dst),
        "relu": lambda: to_bf16(sfpu.relu(bits).view(np.float32)),
        "relu_ramp": lambda: to_bf16(sfpu.relu(bits).view(np.float32)),
    }[name]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per file that holds a single pass of an arithmetic unit."""
    if "path" not in metafunc.fixturenames:
        return
    cases = [
        pytest.param(path, id=f"{folder.name}/{path.stem}")
        for folder in golden_folders(metafunc.config)
        for path in sorted((folder / "ttnn").glob("*.npz"))
        if path.stem not in {*PROGRAMS, *NOT_COMPARED}
    ]
    metafunc.parametrize("path", cases)


def bf16_steps(left: NDArray, right: NDArray) -> NDArray[np.int64]:
    """How many bf16 numbers lie between two bf16 values."""

    def index(values: NDArray) -> NDArray[np.int64]:
        bits = (np.ascontiguousarray(values).view(np.uint32) >> 16).astype(np.int64)
        return np.where(bits & 0x8000, -(bits & 0x7FFF), bits)

    return np.abs(index(left) - index(right))


def test_vendor_operation(path: Path) -> None:
    with np.load(path) as arrays:
        loaded = {k: arrays[k] for k in arrays.files}
    out = loaded["out"]
    function = path.stem.removesuffix("_ramp")
    if match := MATMUL.fullmatch(path.stem):
        check_matmul(match, loaded["in_a"], loaded["in_w"], out)
    elif path.stem in EXACT:
        result = exact_result(path.stem, loaded["in_x"], loaded.get("in_y"))
        assert_same_bits(result, out, path.stem)
    elif function in VECTOR_FUNCTIONS:
        ours = to_bf16(evaluate(function, loaded["in_x"], dst=DstMode.BF16))
        assert np.mean(bf16_steps(ours, out) <= 1) >= 0.995
    else:
        config = json.loads(str(loaded["meta"]))["config"]
        pytest.fail(f"nobody knows how to compare {config}")


def check_matmul(match: re.Match[str], a: Values, w: Values, out: NDArray) -> None:
    dst = DstMode(match["acc"])
    fmt = WEIGHTS[match["weights"]]
    in0 = unpack_to_src(a, BF16, dst=dst)
    in1 = unpack_to_src(w, fmt, dst=dst)
    result = matmul(in0, in1, fidelity=Fidelity(match["fidelity"]), dst=dst)
    packed = pack(result, FP32 if dst is DstMode.FP32 else BF16, dst=dst)
    assert_same_bits(packed, out, match[0])
