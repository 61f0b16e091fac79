"""forge's own matmul for the shapes of the vendor's benchmark: how far behind it is.

Measured is the vendor's kernel on a chip, out of the box; predicted is the netlist that
forge compiles for a linear layer of that shape and weights format, which it computes at
HiFi4 with results in fp32. The difference is a distance to go, not an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from statistics import mean

from forge.silicon.gemm import (
    COLUMNS,
    FORMATS,
    UnknownRowError,
    label,
    measured_cycles,
    shape_of,
)
from forge.silicon.outcome import Bench, LeftOut, Measured, Outcome
from runtime.launch import Launch
from runtime.timing import time_launch

LARGEST = 2048 * 3072 * 3072
"""Products above take long to compile, and say nothing else."""


def run(bench: Bench) -> Iterator[Outcome]:
    """Out-of-the-box rows, each shape and format once."""
    seen: set[tuple[tuple[int, int, int], str]] = set()
    for row in bench.rows("gemm.csv", COLUMNS):
        shape, dtype = shape_of(row), row["dtype"]
        if row["config"] != "out_of_box" or (shape, dtype) in seen:
            continue
        try:
            measured = measured_cycles(row)
        except UnknownRowError:
            continue
        seen.add((shape, dtype))
        if dtype not in FORMATS or shape[0] * shape[1] * shape[2] > LARGEST:
            yield LeftOut(label(row), "not compiled: too large, or another format")
            continue
        launch = own_launch(shape, FORMATS[dtype].value)
        timing = time_launch(launch, bench.costs)
        math = mean(k.end for k in timing.kernels if k.processor == "trisc.math")
        yield Measured(label(row), measured, math, "cycles")


@cache
def own_launch(shape: tuple[int, int, int], weights_format: str) -> Launch:
    """The launch that forge compiles for a linear layer of m x k x n."""
    import torch  # late: only this family compiles

    from forge.compiler import compile as compile_module

    m, k, n = shape
    layer = torch.nn.Linear(k, n, bias=False).to(torch.bfloat16)
    sample = torch.zeros(m, k, dtype=torch.bfloat16)
    machine = compile_module(layer, (sample,), weights_format=weights_format).machine
    (run,) = machine.runs
    return machine.launch(run)
