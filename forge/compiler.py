"""The way in: from a PyTorch module to a compiled model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from backend.assemble import assemble_netlist
from dialects.checks import require_sound
from dialects.chip import load_chip
from forge.arguments import require_fidelity, require_weight_formats
from forge.artifact import CausalLMInfo
from forge.compiled_model import CompiledModel
from forge.console import Step
from forge.errors import UnsupportedError, UsageError
from forge.explanation import explain
from forge.frontends.generation import ImportedGeneration, import_generation
from forge.frontends.huggingface import (
    LoadedCausalLM,
    import_causal_lm,
    load_causal_lm,
    resolve_source,
)
from forge.frontends.torch_export import Imported, export_program, import_program
from forge.program_timer import ProgramTimer
from passes.context import CompileContext
from passes.pipeline import dump_to, run_pipeline
from passes.switches import switched_off

if TYPE_CHECKING:
    from collections.abc import Sequence

SHORTEST_PREFILL = 128
"""Of the lengths by default: a chat template alone takes some dozen tokens."""


@dataclass(frozen=True)
class CompileOptions:
    """What a compile can be told. `disabled` are the switches that are off
    (`passes.switches`).

    `weights_format` is one format or several, as `WeightFormats.parse` reads them;
    `fidelity` is that of products with weights.
    """

    chip: str = "n150"
    weights_format: str = "bf16"
    disabled: tuple[str, ...] = ()
    dump_ir: Path | None = None
    fidelity: str = "HiFi4"

    def __post_init__(self) -> None:
        load_chip(self.chip)
        require_weight_formats(self.weights_format)
        require_fidelity(self.fidelity)


def compile(  # noqa: A001 - the public name is forge.compile
    module: torch.nn.Module,
    sample_inputs: Sequence[torch.Tensor],
    *,
    chip: str = "n150",
    weights_format: str = "bf16",
    fidelity: str = "HiFi4",
    optimize: str = "all",
    enable: Sequence[str] = (),
    disable: Sequence[str] = (),
    dump_ir: Path | str | None = None,
    name: str | None = None,
) -> CompiledModel:
    """Compile a module for the shapes of its sample inputs.

    `weights_format` is `bf16`, `bfp8_b` or `bfp4_b`, with rules for names if some are
    to differ: `bfp8_b,mlp=bfp4_b`; `fidelity` is that of products with them, `LoFi` to
    `HiFi4`. `optimize` is a set of `passes.switches`, `enable`
    and `disable` name switches to turn on or off beside it; `dump_ir` is a folder for
    the module after each pass. Raises `ForgeError`: unsupported operations (all at
    once), what does not fit.
    """
    options = CompileOptions(
        chip,
        weights_format,
        switched_off(optimize, enable=enable, disable=disable),
        None if dump_ir is None else Path(dump_ir),
        fidelity,
    )
    title = name or type(module).__name__
    program = _export(module.eval(), tuple(sample_inputs))
    return compile_imported(import_program(program, name=title), title, options)


def _export(
    module: torch.nn.Module, sample_inputs: tuple[torch.Tensor, ...]
) -> torch.export.ExportedProgram:
    strangers = [x for x in sample_inputs if not isinstance(x, torch.Tensor)]
    if strangers:
        raise UsageError(
            "sample inputs are tensors",
            value=f"a {type(strangers[0]).__name__}",
            advice="pass a tuple of tensors; bind other arguments inside a module",
        )
    try:
        return export_program(module, sample_inputs)
    except GuardOnDataDependentSymNode as error:
        raise UnsupportedError(
            "the control flow of the module depends on values of tensors",
            value=str(error).partition("\n")[0],
            advice="compute both branches and select with torch.where",
        ) from None


@dataclass(frozen=True)
class GenerationShape:
    """The sizes that a language model is compiled for.

    `seq_len` is the length of the cache: prompt and answer together. `prefill` are the
    lengths that prompts are padded to, `default_prefill` of `seq_len` if there are
    none; `batch` is how many users decode together.
    """

    seq_len: int
    prefill: tuple[int, ...] = ()
    batch: int = 1

    @property
    def prefill_lengths(self) -> tuple[int, ...]:
        """The lengths to compile, the shortest first."""
        return tuple(sorted(set(self.prefill))) or default_prefill(self.seq_len)


def default_prefill(seq_len: int) -> tuple[int, ...]:
    """128, 512, 2048, ... and the whole cache: few, as each is compiled by itself."""
    lengths = []
    length = SHORTEST_PREFILL
    while length < seq_len:
        lengths.append(length)
        length *= 4
    return (*lengths, seq_len)


def compile_imported(
    imported: Imported | ImportedGeneration,
    name: str,
    options: CompileOptions,
    *,
    causal_lm: CausalLMInfo | None = None,
    tokenizer: Any = None,
    progress: Step | None = None,
) -> CompiledModel:
    """Run the pipeline on an imported module and assemble its netlist."""
    timer = ProgramTimer(
        chip=options.chip, weights_format=options.weights_format, progress=progress
    )
    context = CompileContext(values=dict(imported.values), timer=timer)
    observe = None if options.dump_ir is None else dump_to(options.dump_ir)
    run_pipeline(
        context,
        imported.module,
        chip=options.chip,
        weights_format=options.weights_format,
        fidelity=options.fidelity,
        disabled=options.disabled,
        observe=observe,
    )
    netlist = assemble_netlist(
        imported.module,
        name=name,
        chip=options.chip,
        weights_format=options.weights_format,
        host_steps=_host_steps(causal_lm),
    )
    require_sound(netlist, load_chip(options.chip))
    return CompiledModel(
        netlist,
        context.values,
        causal_lm=causal_lm,
        name=name,
        tokenizer=None if tokenizer is None else lambda: tokenizer,
        explanation=explain(context.decisions, imported.module, netlist),
    )


def _host_steps(causal_lm: CausalLMInfo | None) -> tuple[str, ...]:
    if causal_lm is None:
        return ()
    return ("tokenize", "argmax" if causal_lm.decode is None else "sample")


def compile_causal_lm(
    source: str,
    *,
    shape: GenerationShape,
    options: CompileOptions,
    forward: bool = False,
    with_weights: bool = True,
    random_seed: int | None = None,
    progress: Step | None = None,
) -> tuple[CompiledModel, Any]:
    """Compile a causal language model; also return its tokenizer, if it has one.

    `source` is a folder, a GGUF file, a package that ships one, or a hub name. It
    becomes prefill and decode over a cache or, with `forward`, one pass over
    `shape.seq_len` tokens that gives all logits. With a `random_seed` the folder needs
    config.json only, and the weights are drawn.
    """
    _note(progress, "loading the model")
    loaded = load_causal_lm(
        source,
        random_weights=random_seed is not None,
        no_weights=not with_weights,
        seed=random_seed or 0,
    )
    name = resolve_source(source).name
    if forward:
        model = compile_forward(
            loaded, name, seq_len=shape.seq_len, options=options, progress=progress
        )
    else:
        model = compile_generation(
            loaded, name, shape=shape, options=options, progress=progress
        )
    if not with_weights:
        model = CompiledModel(
            model.netlist,
            None,
            causal_lm=model.causal_lm,
            name=name,
            explanation=model.explanation,
        )
    return model, loaded.tokenizer


def compile_forward(
    loaded: LoadedCausalLM,
    name: str,
    *,
    seq_len: int,
    options: CompileOptions,
    progress: Step | None = None,
) -> CompiledModel:
    """Compile one pass of a language model that is in memory: T ids to T logits."""
    _note(progress, "torch.export")
    imported = import_causal_lm(loaded.module, seq_len=seq_len, name="main")
    _note(progress, "passes and kernels")
    info = CausalLMInfo(seq_len, _stop_tokens(loaded.module, loaded.config))
    return compile_imported(
        imported,
        name,
        options,
        causal_lm=info,
        tokenizer=loaded.tokenizer,
        progress=progress,
    )


def compile_generation(
    loaded: LoadedCausalLM,
    name: str,
    *,
    shape: GenerationShape,
    options: CompileOptions,
    progress: Step | None = None,
) -> CompiledModel:
    """Compile a language model that is in memory: prefill and decode over a cache."""
    _note(progress, "torch.export")
    imported = import_generation(
        loaded.module,
        prefill_lengths=shape.prefill_lengths,
        cache_length=shape.seq_len,
        batch=shape.batch,
        name=name,
    )
    _note(progress, "passes and kernels")
    info = CausalLMInfo(
        shape.seq_len,
        _stop_tokens(loaded.module, loaded.config),
        shape.batch,
        {entry: length for length, entry in imported.prefill.items()},
        imported.decode,
    )
    return compile_imported(
        imported,
        name,
        options,
        causal_lm=info,
        tokenizer=loaded.tokenizer,
        progress=progress,
    )


def _note(progress: Step | None, text: str) -> None:
    if progress is not None:
        progress.update(text)


def _stop_tokens(module: Any, config: Any) -> tuple[int, ...]:
    generation = getattr(module, "generation_config", None)
    found = getattr(generation, "eos_token_id", None)
    if found is None:
        found = getattr(config, "eos_token_id", None)
    if found is None:
        return ()
    return tuple(found) if isinstance(found, list | tuple) else (int(found),)
