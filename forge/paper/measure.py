"""Times the blocks of a decoder layer, and computes what comes out of the model."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
import torch
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from dialects.formats import TILE_EDGE
from dialects.grid import ProgramOp
from forge.artifact import CausalLMInfo
from forge.compiled_model import CompiledModel
from forge.compiler import CompileOptions, compile_imported
from forge.console import Step
from forge.frontends.generation import ImportedGeneration, import_generation
from forge.frontends.huggingface import quiet_transformers
from forge.generate import Session
from forge.paper.models import (
    BLOCKS,
    CACHE,
    LAYER,
    LAYERS,
    PARTS,
    POSITION,
    TIMED_LAYER,
    VOCABULARY,
    PaperModel,
    Phase,
)
from forge.paper.settings import Setting
from forge.profile import Roofs
from passes.rewriting import describe_source
from passes.structure_key import structure_key
from runtime.machine import Machine, Run
from runtime.timing import time_launch, warm_up

SEED = 7
STEPS = 3
"""Decode steps whose logits are compared."""

_MODULE = re.compile(r"layers\.(\d+)(?:\.(\w+))?(?:\.(\w+))?")


@dataclass(frozen=True)
class Cost:
    """What some launches take, the gap before each included. Bytes are those on DRAM
    channels, and those that enter the NoCs (a multicast counts once)."""

    cycles: float = 0.0
    dram_bytes: int = 0
    noc_bytes: int = 0
    launches: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.cycles + other.cycles,
            self.dram_bytes + other.dram_bytes,
            self.noc_bytes + other.noc_bytes,
            self.launches + other.launches,
        )


Costs: TypeAlias = MutableMapping[Hashable, Cost]
"""Launches timed before; equal programs are timed once over all settings."""


@dataclass(frozen=True)
class Measured:
    """A setting in one phase: the cost of each part of the layer, the logits."""

    setting: str
    phase: Phase
    parts: dict[str, Cost]
    logits: np.ndarray | None

    def block(self, name: str) -> Cost:
        """The cost of the parts of a block."""
        return reduce(Cost.__add__, (self.parts[part] for part in BLOCKS[name]))


def measure(
    model: PaperModel,
    phases: Sequence[Phase],
    settings: Sequence[Setting],
    *,
    weights_format: str = "bf16",
    with_logits: bool = True,
    progress: Step | None = None,
) -> Iterator[Measured]:
    """Compile a model once for each setting and batch, and measure its phases."""
    module = _random_model(model)
    distinct = {setting.off: setting.name for setting in settings}
    known: Costs = {}
    warm_up()
    for batch in dict.fromkeys(phase.batch for phase in phases):
        own = [phase for phase in phases if phase.batch == batch]
        imported = _import(module, own)
        for off, name in distinct.items():
            if progress is not None:
                progress.update(f"batch {batch}, {name}")
            options = CompileOptions(model.chip, weights_format, off)
            compiled, programs = _compile(imported, model.name, batch, options)
            for phase in own:
                entry = imported.decode
                if phase.tokens is not None:
                    entry = imported.prefill[phase.tokens]
                parts = _parts(compiled.machine, entry, programs[entry], known)
                logits = _logits(compiled, phase) if with_logits else None
                yield Measured(name, phase, parts, logits)


def _random_model(model: PaperModel) -> Any:
    """The model's layers with drawn weights, in bf16."""
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {"num_hidden_layers": LAYERS, "vocab_size": VOCABULARY}
    with quiet_transformers(), torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(SEED)
        config = AutoConfig.for_model(**{**model.config, **sizes})
        module = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()
        for parameter in module.parameters():
            if parameter.dim() == 1:  # norms and biases begin as ones and zeros
                parameter.add_(0.1 * torch.randn_like(parameter))
    return module


def _import(module: Any, phases: Sequence[Phase]) -> ImportedGeneration:
    """All entries that some phases of one batch need."""
    lengths = {phase.tokens for phase in phases if phase.tokens is not None}
    if phases[0].batch == 1:
        lengths.add(POSITION)  # the prompt before a step
    return import_generation(
        module,
        prefill_lengths=sorted(lengths) or [TILE_EDGE],
        cache_length=CACHE,
        batch=phases[0].batch,
    )


def _compile(
    imported: ImportedGeneration, name: str, batch: int, options: CompileOptions
) -> tuple[CompiledModel, dict[str, list[ProgramOp]]]:
    """The compiled model, and the programs of each entry in the order of its runs."""
    own = imported.module.clone()
    assert isinstance(own, ModuleOp)
    copy = replace(imported, module=own, values=dict(imported.values))
    prefill = {entry: length for length, entry in imported.prefill.items()}
    info = CausalLMInfo(CACHE, (), batch, prefill, imported.decode)
    compiled = compile_imported(copy, name, options, causal_lm=info)
    functions = [op for op in own.body.block.ops if isinstance(op, FuncOp)]
    return compiled, {
        function.sym_name.data: [
            op for op in function.body.block.ops if isinstance(op, ProgramOp)
        ]
        for function in functions
    }


# -- time ------------------------------------------------------------------------------


def _parts(
    machine: Machine, entry: str, programs: Sequence[ProgramOp], known: Costs
) -> dict[str, Cost]:
    """The cost of each part of the timed layer, in one call of an entry."""
    scalars = {
        buffer.name: np.full(buffer.tensor.shape, POSITION)
        for buffer in machine.inputs(entry)
        if buffer.name == f"{entry}.positions"
    }
    runs = machine.entry(entry)
    owners = owners_of([describe_source(program) for program in programs])
    gap_cycles = Roofs.of(machine.chip).gap_cycles
    keys: list[tuple[str, Hashable]] = []
    missing: dict[Hashable, Run] = {}
    for owner, run, program in zip(owners, runs, programs, strict=True):
        if owner is None:
            continue
        control = machine.programs[run.program].control_key(
            machine.scalars(run, scalars)
        )
        key = (structure_key(program), machine.tensors(run), control)
        keys.append((owner, key))
        if key not in known:
            missing[key] = run

    def timed(run: Run) -> Cost:
        timing = time_launch(machine.launch(run, machine.scalars(run, scalars)))
        cycles = timing.cycles + gap_cycles
        return Cost(cycles, timing.dram_bytes, timing.noc_bytes, 1)

    with ThreadPoolExecutor() as pool:
        known.update(zip(missing, pool.map(timed, missing.values()), strict=True))
    parts = {part: Cost() for part in BLOCKS[LAYER]}
    for owner, key in keys:
        parts[owner] += known[key]
    return parts


def owners_of(sources: Sequence[str]) -> list[str | None]:
    """The part of the timed layer that each program belongs to, by the module path
    that its source begins with; None outside of it.

    A program of the layer itself (a residual sum) belongs to the part before it.
    """
    found: list[str | None] = []
    for source in sources:
        match = _MODULE.search(source.partition(" ")[0])
        if match is None or int(match[1]) != TIMED_LAYER:
            found.append(None)
        elif match[2] is None:
            found.append(found[-1] if found else None)
        else:
            module, child = match[2], match[3]
            found.append(PARTS.get(f"{module}.{child}") or PARTS[module])
    return found


# -- values ----------------------------------------------------------------------------


def _logits(compiled: CompiledModel, phase: Phase) -> np.ndarray:
    """Logits of a prefill, or of some steps: of one user behind a prompt, of several
    from the first token on."""
    session = Session(compiled)
    generator = np.random.default_rng(SEED)

    def tokens(count: int) -> list[int]:
        return generator.integers(0, VOCABULARY, count).tolist()

    if phase.tokens is not None:
        return session.prefill(0, tokens(phase.tokens))
    users = range(phase.batch)
    if phase.batch == 1:
        session.prefill(0, tokens(POSITION))
    steps = [
        session.step(dict(zip(users, tokens(phase.batch), strict=True)))
        for _ in range(STEPS)
    ]
    return np.stack(steps)


def pcc(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's correlation of two tensors."""
    return float(np.corrcoef(first.reshape(-1), second.reshape(-1))[0, 1])
