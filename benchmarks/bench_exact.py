"""Tile-matmuls (32x32x32) a second on one thread: exact at each end, and fast.

The vendor's simulator does 2,600 (HiFi4) to 10,000 (LoFi) in a K loop of 32 tiles
(golden README.md, "Simulator speed").
"""

import time
from collections.abc import Callable

import numpy as np

from benchmarks import Row
from dialects.formats import DataFormat, DstMode, Fidelity
from runtime.arithmetic.fast_matmul import fast_matmul, prepare_fast_in1
from runtime.arithmetic.formats import Values, pack
from runtime.arithmetic.matmul import matmul, prepare_in1

EDGE = 1024
TILE_MATMULS = (EDGE // 32) ** 3
REPEATS = 3
FAST_REPEATS = 20


def run() -> list[Row]:
    rng = np.random.default_rng(0)
    in0, in1 = (
        pack(rng.standard_normal((EDGE, EDGE), dtype=np.float32), DataFormat.BF16)
        for _ in range(2)
    )
    rows = [
        exact_row(in0, in1, Fidelity.LOFI, target=90_000, baseline=10_000),
        exact_row(in0, in1, Fidelity.HIFI4, target=30_000, baseline=2_600),
    ]
    return [*rows, fast_row(in0, in1)]


def exact_row(
    in0: Values, in1: Values, fidelity: Fidelity, *, target: float, baseline: float
) -> Row:
    ready = prepare_in1(in1)
    rate = best_rate(
        lambda: matmul(in0, ready, fidelity=fidelity, dst=DstMode.FP32), REPEATS
    )
    return {
        "what": f"exact matmul {fidelity} bf16, fp32 Dst, {EDGE}^3",
        "value": rate,
        "unit": "tiles/s",
        "target": target,
        "baseline": baseline,
        "more_is_better": True,
        "note": "baseline: the vendor's simulator",
    }


def fast_row(in0: Values, in1: Values) -> Row:
    ready = prepare_fast_in1(in1, Fidelity.HIFI4)
    out = np.empty((EDGE, EDGE), dtype=np.float32)
    rate = best_rate(
        lambda: fast_matmul(in0, ready, fidelity=Fidelity.HIFI4, out=out), FAST_REPEATS
    )
    return {
        "what": f"fast matmul bf16, fp32 sums, {EDGE}^3",
        "value": rate,
        "unit": "tiles/s",
        "target": 5_000_000,
        "baseline": best_rate(lambda: np.matmul(in0, in1, out=out), FAST_REPEATS),
        "more_is_better": True,
        "note": "baseline: numpy fp32; one VDPBF16PS a cycle allows 0.98 M per GHz",
    }


def best_rate(work: Callable[[], object], repeats: int) -> float:
    """Tile-matmuls a second of the quickest run; the first one only warms up."""
    work()
    times: list[float] = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return TILE_MATMULS / min(times)
