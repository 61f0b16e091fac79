"""Runs in a hostile memory: what liveness says is not needed holds no number."""

from __future__ import annotations

import numpy as np

from runtime.emulator import Emulator
from runtime.liveness import live_rows
from runtime.machine import Run
from runtime.trace import trace_launch

TILE = 32


def dead_elements(emulator: Emulator, run: Run) -> dict[str, np.ndarray]:
    """For each buffer of a run that is no weight, what its program does not need."""
    scalars = emulator.machine.scalars(run, emulator.integers)
    launch = emulator.machine.launch(run, scalars)
    trace = trace_launch(launch)
    live, found = live_rows(trace), {}
    for parameter, name in enumerate(run.buffers):
        if emulator.machine.buffers[name].recipe is not None:
            continue
        tensor = launch.tensors[parameter]
        first = trace.leaf_base[parameter]
        tiles = slice(first, first + tensor.num_tiles)
        low, high = live.low[tiles, None], live.high[tiles, None]
        rows = np.arange(TILE)
        dead = (rows < low) | (rows >= high)
        grid = dead.reshape(tensor.tile_rows, tensor.tile_columns, TILE)
        spread = np.repeat(grid.swapaxes(1, 2), TILE, axis=2)
        own = spread.reshape(tensor.tile_rows * TILE, -1)
        found[name] = found[name] & own if name in found else own
    return found


def step_in_hostile_memory(emulator: Emulator, run: Run) -> None:
    """Execute a run while everything that it does not need is not a number.

    Afterwards what it has not written is as it was: another run may need it.
    """
    emulator.prepare()
    before = {}
    for name, dead in dead_elements(emulator, run).items():
        sheet = emulator.sheet(name)
        before[name] = sheet.copy()
        sheet[dead] = np.nan
    emulator.spoil_workspace()
    emulator.step(run)
    for name, old in before.items():
        sheet = emulator.sheet(name)
        untouched = np.isnan(sheet)
        sheet[untouched] = old[untouched]
