"""The netlists of `tests/netlists`, and both engines on them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dialects.bindings import Bindings
from dialects.chip import load_chip
from dialects.formats import DataFormat
from dialects.netlist_text import read_netlist
from dialects.program import ProgramFacts, Tensor
from dialects.tensix import NetlistOp, RunOp
from runtime.arithmetic.formats import quantize_host
from runtime.executor import execute
from runtime.expand import expand_program
from runtime.replay import prepare

FOLDER = Path(__file__).parents[1] / "netlists"
NAMES = sorted(path.stem for path in FOLDER.glob("*.mlir"))


def load(name: str) -> NetlistOp:
    """One of the netlists."""
    return read_netlist(FOLDER / f"{name}.mlir")


def sheet_of(tensor: Tensor, values: np.ndarray | None) -> np.ndarray:
    """A tensor as whole tiles, in its format; padding is zero."""
    sheet = np.zeros((tensor.tile_rows * 32, tensor.tile_columns * 32), np.float32)
    if values is not None:
        rows, columns = values.shape
        sheet[:rows, :columns] = values
    return sheet if tensor.data_format.is_integer else quantize(tensor, sheet)


def quantize(tensor: Tensor, values: np.ndarray) -> np.ndarray:
    """Values as they are stored in the tensor's format."""
    if tensor.data_format is DataFormat.FP32:
        return values.astype(np.float32)
    return quantize_host(np.ascontiguousarray(values, np.float32), tensor.data_format)


def scalars_of(
    facts: ProgramFacts, run: RunOp, values: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The run-time scalars of a run, by name."""
    names = [name for _, name in facts.parameters]
    bound = dict(zip(names, run.buffers.data, strict=True))
    return {
        scalars.name: values[bound[scalars.operand]].reshape(-1).astype(np.int64)
        for scalars in facts.scalars.values()
    }


def run_both(
    netlist: NetlistOp, values: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """All buffers after all runs, without padding: executor's and replay's."""
    bindings, chip = Bindings(netlist), load_chip(netlist.chip.data)
    results = []
    for engine in ("executor", "replay"):
        sheets = {
            name: sheet_of(buffer.tensor, values.get(name))
            for name, buffer in bindings.buffers.items()
        }
        for run in bindings.runs:
            assert isinstance(run, RunOp)
            facts = ProgramFacts(bindings.programs[run.program.data], chip)
            launch = expand_program(
                facts, bindings.tensors(run), scalars=scalars_of(facts, run, values)
            )
            bound = [sheets[name] for name in run.buffers.data]
            if engine == "executor":
                execute(launch, bound)
            else:
                prepare(launch)(bound)
        results.append(
            {
                name: sheets[name][: b.tensor.shape[-2], : b.tensor.shape[-1]]
                for name, b in bindings.buffers.items()
            }
        )
    return results[0], results[1]
