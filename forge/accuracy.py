"""What a format, a fidelity or a Dst mode costs in accuracy, and saves in cycles.

Every variant is an edit of the netlist (as a person would make it), run on the
emulator and timed. The judge is float32: PyTorch's where the model is at hand, else the
same netlist in `reference` numerics, where nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from dialects.formats import DataFormat, Fidelity
from dialects.syntax import WordAttr
from dialects.tensix import (
    BufferOp,
    CircularBufferOp,
    NetlistOp,
    ProgramOp,
    RunOp,
)
from dialects.tensix_compute import MatmulBlockOp
from forge.profile import profile_machine
from runtime.emulator import Emulator
from runtime.machine import Machine

WEIGHTS = (DataFormat.BF16, DataFormat.BFP8_B, DataFormat.BFP4_B)
DST_MODES = ("fp32", "bf16")
TINY = 1e-6
"""Norm per element below which a tensor is judged by absolute error, and spread."""


@dataclass(frozen=True)
class Distance:
    """How far values are from the truth. `pcc` is None for (nearly) constant truth."""

    pcc: float | None
    relative_l2: float | None
    max_error: float


@dataclass(frozen=True)
class Variant:
    """A choice of formats for all contractions of a netlist, with its price."""

    weights: DataFormat
    fidelity: Fidelity
    dst: str
    distance: Distance
    cycles: float
    on_front: bool = False


@dataclass(frozen=True)
class ProgramLoss:
    """What a program adds to the error, over all its runs.

    `isolated`: fed the true inputs; `accumulated`: fed what really came before. Both
    are the relative L2 distance of its output, averaged over runs (absolute where the
    truth is tiny).
    """

    program: str
    runs: int
    isolated: float
    accumulated: float


def distance(values: np.ndarray, truth: np.ndarray) -> Distance:
    """Compare values with the truth of the same shape."""
    values, truth = (a.astype(np.float64).ravel() for a in (values, truth))
    difference = values - truth
    largest = float(np.abs(difference).max(initial=0.0))
    norm, spread = np.linalg.norm(truth), truth.std()
    if norm <= TINY * np.sqrt(truth.size):
        return Distance(None, None, largest)
    relative = float(np.linalg.norm(difference) / norm)
    if spread <= TINY * max(1.0, abs(truth.mean())) or values.std() == 0:
        return Distance(None, relative, largest)
    return Distance(float(np.corrcoef(values, truth)[0, 1]), relative, largest)


def contraction_weights(netlist: NetlistOp) -> set[str]:
    """Names of weight buffers (families by their `$` name) that matmuls multiply by."""
    ops = netlist.body.block.ops
    columns = {
        op.sym_name.data: _matmul_parameters(op)
        for op in ops
        if isinstance(op, ProgramOp)
    }
    bound = {
        name
        for op in ops
        if isinstance(op, RunOp)
        for place, name in enumerate(op.buffers.data)
        if place in columns.get(op.program.data, ())
    }
    found = set()
    for op in ops:
        if isinstance(op, BufferOp) and op.recipe is not None:
            count = 1 if op.last is None else op.last.value + 1
            names = {op.sym_name.data.replace("$", str(i)) for i in range(count)}
            if names & bound:
                found.add(op.sym_name.data)
    return found


def _matmul_parameters(program: ProgramOp) -> set[int]:
    """Places of the parameters that stand on the right of a matmul."""
    operands = {
        op.sym_name.data: op.operand.data
        for op in program.body.block.ops
        if isinstance(op, CircularBufferOp) and op.operand is not None
    }
    names = {
        operands[op.rhs.data]
        for op in program.walk()
        if isinstance(op, MatmulBlockOp) and op.rhs.data in operands
    }
    places = {name: i for i, (_, name) in enumerate(program.parameters.data)}
    return {places[name] for name in names if name in places}


def edited(
    netlist: NetlistOp, weights: DataFormat, fidelity: Fidelity, dst: str
) -> NetlistOp:
    """The netlist with other formats; what holds no bf16 weight stays as it is."""
    names = contraction_weights(netlist)
    copy = netlist.clone()
    for op in copy.body.block.ops:
        if isinstance(op, BufferOp) and op.sym_name.data in names:
            op.properties["data_format"] = WordAttr(weights.value)
        elif isinstance(op, ProgramOp):
            op.properties["fidelity"] = WordAttr(fidelity.value)
            op.properties["dst"] = WordAttr(dst)
    return copy


def compare_variants(
    netlist: NetlistOp,
    parameters: Mapping[str, np.ndarray],
    inputs: Mapping[str, np.ndarray],
    truth: np.ndarray,
    *,
    numerics: str = "exact",
    choices: Iterable[tuple[DataFormat, Fidelity, str]] | None = None,
) -> Iterator[Variant]:
    """Run and time one variant after the other; judge the first output.

    All combinations of weights format, fidelity and Dst mode, unless `choices` names
    some. Mark the Pareto front afterwards with `mark_front`.
    """
    for weights, fidelity, dst in choices or product(WEIGHTS, Fidelity, DST_MODES):
        variant = edited(netlist, weights, fidelity, dst)
        emulator = Emulator(variant, parameters, numerics=numerics)
        result = next(iter(emulator.run(inputs).values()))
        cycles = profile_machine(emulator.machine).total_cycles
        found = distance(result, truth.reshape(result.shape))
        yield Variant(weights, fidelity, dst, found, cycles)


def mark_front(variants: Sequence[Variant]) -> list[Variant]:
    """Mark what nothing else beats in both cycles and relative error."""

    def error(variant: Variant) -> float:
        own = variant.distance
        return own.max_error if own.relative_l2 is None else own.relative_l2

    def beaten(variant: Variant) -> bool:
        return any(
            other.cycles <= variant.cycles
            and error(other) <= error(variant)
            and (other.cycles, error(other)) != (variant.cycles, error(variant))
            for other in variants
        )

    return [
        Variant(v.weights, v.fidelity, v.dst, v.distance, v.cycles, not beaten(v))
        for v in variants
    ]


def reference_output(
    netlist: NetlistOp,
    parameters: Mapping[str, np.ndarray],
    inputs: Mapping[str, np.ndarray],
) -> np.ndarray:
    """The first output of the netlist in plain float32."""
    emulator = Emulator(netlist, parameters, numerics="reference")
    return next(iter(emulator.run(inputs).values()))


def compare_numerics(
    netlist: NetlistOp,
    parameters: Mapping[str, np.ndarray],
    inputs: Mapping[str, np.ndarray],
    truth: np.ndarray,
) -> dict[str, Distance]:
    """How far `fast` is from `exact`, and both from the truth, formats as they are."""
    results = {
        name: next(
            iter(Emulator(netlist, parameters, numerics=name).run(inputs).values())
        )
        for name in ("fast", "exact")
    }
    judge = truth.reshape(results["fast"].shape)
    return {
        "fast from exact": distance(results["fast"], results["exact"]),
        "fast from float32": distance(results["fast"], judge),
        "exact from float32": distance(results["exact"], judge),
    }


def attribute_error(
    netlist: NetlistOp,
    parameters: Mapping[str, np.ndarray],
    inputs: Mapping[str, np.ndarray],
    *,
    numerics: str = "exact",
) -> list[ProgramLoss]:
    """Which program loses how much, the worst (isolated) first."""
    truth = Emulator(netlist, parameters, numerics="reference")
    chip = Emulator(netlist, parameters, numerics=numerics)
    for emulator in (truth, chip):
        emulator.upload(inputs)
    losses: dict[str, list[tuple[float, float]]] = {}
    for run in chip.machine.runs:
        isolated = chip.run_on(run, truth.activations(run))
        truth.step(run)
        chip.step(run)
        for name in written_buffers(chip.machine, run.program, run.buffers):
            true = truth.read(name)
            pair = (
                _loss(chip.crop(name, isolated[name]), true),
                _loss(chip.read(name), true),
            )
            losses.setdefault(run.program, []).append(pair)
    found = [
        ProgramLoss(name, len(pairs), *map(float, np.mean(pairs, axis=0)))
        for name, pairs in losses.items()
    ]
    return sorted(found, key=lambda loss: -loss.isolated)


def written_buffers(
    machine: Machine, program: str, buffers: Sequence[str]
) -> list[str]:
    """The buffers that a run writes."""
    ways = machine.programs[program].parameters
    return [name for (way, _), name in zip(ways, buffers, strict=True) if way != "in"]


def _loss(values: np.ndarray, truth: np.ndarray) -> float:
    found = distance(values, truth)
    return found.max_error if found.relative_l2 is None else found.relative_l2
