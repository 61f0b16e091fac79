"""Matmuls on a chip against netlists that mirror the vendor's kernels.

`gemm.csv` holds the vendor's own benchmark: tuned by hand, out of the box, and on one
core. What is compared is how long the math processor (TRISC1) of a core runs on
average, which the table gives from 2025-11 on; on one core the whole kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import mean

from dialects.bindings import Bindings
from dialects.checks import require_sound
from dialects.chip import Chip, Core, load_chip
from dialects.errors import CapacityError
from dialects.formats import DataFormat, Fidelity
from dialects.netlist_text import parse_netlist
from dialects.program import ProgramFacts
from forge.silicon.outcome import Bench, LeftOut, Measured, Outcome
from forge.silicon.tables import Row
from forge.silicon.vendor_blocking import (
    Shape,
    automatic_blocking,
    first_subblock,
    tuned_blocking,
)
from forge.silicon.vendor_matmul import TILE, Blocking, Matmul, vendor_netlist
from runtime.costs import CostTable
from runtime.expand import expand_program
from runtime.timing import LaunchTiming, time_launch

COLUMNS = (
    "id", "config", "M", "K", "N", "dtype", "math_fidelity", "grid_x", "grid_y",
    "in0_mem", "out_mem", "device_trisc1_cycles_derived", "kernel_cycles_measured",
    "extra",
)  # fmt: skip
FORMATS = {
    "BFLOAT16": DataFormat.BF16,
    "BFLOAT8_B": DataFormat.BFP8_B,
    "BFLOAT4_B": DataFormat.BFP4_B,
}


class UnknownRowError(Exception):
    """A row that cannot be expressed; the reason is its text."""


def run_tuned(bench: Bench) -> Iterator[Outcome]:
    """Blocking and placement as the vendor's benchmark tunes them."""
    yield from _run(bench, "manually_tuned", tuned)


def run_out_of_box(bench: Bench) -> Iterator[Outcome]:
    """Blocking as the vendor's library finds it."""
    yield from _run(bench, "out_of_box", out_of_box)


def run_one_core(bench: Bench) -> Iterator[Outcome]:
    """One core, all operands in its L1."""
    yield from _run(bench, "single_core_sharded_L1", one_core)


def run_traced(bench: Bench) -> Iterator[Outcome]:
    """Host time of traced runs: launch and gap, at the clock that the chip sustains."""
    for row in bench.rows("gemm.csv", (*COLUMNS, "use_trace", "host_time_avg_ns")):
        build = {"manually_tuned": tuned, "out_of_box": out_of_box}.get(row["config"])
        if build is None or row["use_trace"] != "True":
            continue
        outcome = _try(row, lambda row: row.number("host_time_avg_ns"), build, bench)
        if isinstance(outcome, LeftOut):
            yield outcome
            continue
        cycles = outcome[1].launch_cycles + bench.costs.op_to_op_gap_cycles
        predicted = cycles / bench.costs.sustained_clock_ghz
        yield Measured(label(row), outcome[0], predicted, "ns")


def _run(
    bench: Bench, config: str, build: Callable[[Row], Matmul]
) -> Iterator[Outcome]:
    for row in bench.rows("gemm.csv", COLUMNS):
        if row["config"] != config:
            continue
        outcome = _try(row, measured_cycles, build, bench)
        if isinstance(outcome, LeftOut):
            yield outcome
            continue
        measured, timed = outcome
        predicted = timed.math_cycles
        if config == "single_core_sharded_L1":
            predicted = timed.launch_cycles
        yield Measured(label(row), measured, predicted, "cycles")


def _try(
    row: Row,
    measure: Callable[[Row], float],
    build: Callable[[Row], Matmul],
    bench: Bench,
) -> tuple[float, Timed] | LeftOut:
    """What was measured and what is predicted, or why the row is left out."""
    try:
        return measure(row), timed_matmul(build(row), bench.costs)
    except UnknownRowError as reason:
        return LeftOut(label(row), str(reason))
    except CapacityError as error:
        return LeftOut(label(row), f"its netlist is not sound: {error.message}")


def label(row: Row) -> str:
    """`gemm0012 512x512x512 BFLOAT16 HiFi2, in0 in L1`."""
    shape = "x".join(row[axis] for axis in "MKN")
    return f"{row['id']} {shape} {row['dtype']} {fidelity_name(row)} {row['in0_mem']}"


def fidelity_name(row: Row) -> str:
    """The corrected label where the table has one."""
    return row.get("math_fidelity_effective") or row["math_fidelity"]


def measured_cycles(row: Row) -> float:
    """Cycles of the kernel on one core, of the math processor on several."""
    for column in ("kernel_cycles_measured", "device_trisc1_cycles_derived"):
        if row.get(column):
            return row.number(column)
    raise UnknownRowError("only the host's time was published")


def shape_of(row: Row) -> Shape:
    """m, k, n in elements."""
    return row.integer("M"), row.integer("K"), row.integer("N")


def _common(row: Row) -> tuple[Shape, Core, DataFormat, Fidelity]:
    shape = shape_of(row)
    grid = Core(row.integer("grid_x"), row.integer("grid_y"))
    if row["dtype"] not in FORMATS:
        raise UnknownRowError(f"the format {row['dtype']} is not modelled")
    if fidelity_name(row) not in tuple(Fidelity):
        raise row.error("math_fidelity", f"one of {', '.join(Fidelity)}")
    if any(size % TILE for size in shape):
        raise UnknownRowError("the shape is not a whole number of tiles")
    chip = load_chip("n150")
    if grid.x > chip.grid.x or grid.y > chip.grid.y:
        raise UnknownRowError(
            f"a grid of {grid.x}x{grid.y} cores is not on {chip.name}"
        )
    return shape, grid, FORMATS[row["dtype"]], Fidelity(fidelity_name(row))


def tuned(row: Row) -> Matmul:
    """The tuned benchmark's matmul of a row."""
    shape, grid, data_format, fidelity = _common(row)
    in0_sharded, out_sharded = row["in0_mem"] == "L1", row["out_mem"] == "L1"
    if shape[0] % (TILE * grid.y) or any(s % (TILE * grid.x) for s in shape[1:]):
        raise UnknownRowError(
            "the shape does not divide into equal parts of whole tiles"
        )
    cut = tuned_blocking(shape, grid, data_format, out_sharded=out_sharded)
    return Matmul(*shape, data_format, fidelity, cut, in0_sharded, out_sharded)


def out_of_box(row: Row) -> Matmul:
    """What the library makes of the operands of a row."""
    shape, grid, data_format, fidelity = _common(row)
    cut = automatic_blocking(shape, grid, data_format)
    return Matmul(*shape, data_format, fidelity, cut)


def one_core(row: Row) -> Matmul:
    """The microbenchmark of one core: `num_blocks` blocks of K, all the same data."""
    shape, _, data_format, fidelity = _common(row)
    extra: dict[str, str] = {}
    for entry in row["extra"].split(";"):
        name, _, value = entry.partition("=")
        extra[name] = value
    if extra.get("fp32_dest_acc") == "1":
        raise UnknownRowError("Dst in fp32 is not part of the vendor-like kernel")
    part = (shape[0] // TILE, shape[2] // TILE)
    cut = Blocking(
        "single_core", Core(1, 1), part, part, first_subblock(part), shape[1] // TILE
    )
    return Matmul(
        *shape,
        data_format,
        fidelity,
        cut,
        in0_sharded=True,
        out_sharded=True,
        packer_l1_acc=extra.get("packer_l1_acc") == "1",
        partials=data_format,
        k_repeats=int(extra.get("num_blocks", 1)),
        tile_by_tile=extra.get("matmul_block") == "0",
    )


def time_matmul(
    matmul: Matmul, costs: CostTable, chip: Chip | None = None
) -> LaunchTiming:
    """The timing of a vendor-like matmul. Raises the faults of its netlist."""
    chip = chip or load_chip("n150")
    netlist = parse_netlist(vendor_netlist(matmul))
    require_sound(netlist, chip)
    bindings = Bindings(netlist)
    facts = ProgramFacts(bindings.programs["matmul"], chip)
    return time_launch(
        expand_program(facts, bindings.tensors(bindings.runs[0])),  # type: ignore[arg-type]
        costs,
    )


@dataclass(frozen=True)
class Timed:
    """Cycles of a launch, and of the math processor, the mean over all cores."""

    launch_cycles: float
    math_cycles: float


_KNOWN: dict[tuple[Matmul, str], Timed] = {}


def timed_matmul(matmul: Matmul, costs: CostTable) -> Timed:
    """The timing of a vendor-like matmul; equal ones are timed once."""
    key = (matmul, costs.digest)
    if key not in _KNOWN:
        timing = time_matmul(matmul, costs)
        math = mean(k.end for k in timing.kernels if k.processor == "trisc.math")
        _KNOWN[key] = Timed(timing.cycles, math)
    return _KNOWN[key]
