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
from dialects.formats import DataFormat
from forge.artifact import CausalLMInfo
from forge.compiled_model import CompiledModel
from forge.console import Step
from forge.errors import UnsupportedError, UsageError
from forge.frontends.huggingface import (
    LoadedCausalLM,
    import_causal_lm,
    load_causal_lm,
    resolve_source,
)
from forge.frontends.torch_export import Imported, export_program, import_program
from passes.context import CompileContext
from passes.pipeline import dump_to, run_pipeline

if TYPE_CHECKING:
    from collections.abc import Sequence

WEIGHTS_FORMATS = ("bf16", "bfp8_b", "bfp4_b")


@dataclass(frozen=True)
class CompileOptions:
    """What a compile can be told. `disabled` names passes of `passes.pipeline`."""

    chip: str = "n150"
    weights_format: str = "bf16"
    disabled: tuple[str, ...] = ()
    dump_ir: Path | None = None

    def __post_init__(self) -> None:
        load_chip(self.chip)
        if self.weights_format not in WEIGHTS_FORMATS:
            raise UsageError(
                f"weights format '{self.weights_format}' is not supported",
                advice=f"use one of {', '.join(WEIGHTS_FORMATS)}",
            )


def compile(  # noqa: A001 - the public name is forge.compile
    module: torch.nn.Module,
    sample_inputs: Sequence[torch.Tensor],
    *,
    chip: str = "n150",
    weights_format: str = "bf16",
    disable: Sequence[str] = (),
    dump_ir: Path | str | None = None,
    name: str | None = None,
) -> CompiledModel:
    """Compile a module for the shapes of its sample inputs.

    `disable` names optional passes; `dump_ir` is a folder for the module after each
    pass. Raises `ForgeError`: unsupported operations (all at once), what does not fit.
    """
    options = CompileOptions(
        chip,
        weights_format,
        tuple(disable),
        None if dump_ir is None else Path(dump_ir),
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


def compile_imported(
    imported: Imported,
    name: str,
    options: CompileOptions,
    *,
    causal_lm: CausalLMInfo | None = None,
) -> CompiledModel:
    """Run the pipeline on an imported module and assemble its netlist."""
    context = CompileContext(values=dict(imported.values))
    observe = None if options.dump_ir is None else dump_to(options.dump_ir)
    run_pipeline(
        context,
        imported.module,
        chip=options.chip,
        weights_format=options.weights_format,
        disabled=options.disabled,
        observe=observe,
    )
    netlist = assemble_netlist(
        imported.module,
        name=name,
        chip=options.chip,
        weights_format=DataFormat(options.weights_format),
        host_steps=() if causal_lm is None else ("tokenize", "argmax"),
    )
    require_sound(netlist, load_chip(options.chip))
    return CompiledModel(netlist, context.values, causal_lm=causal_lm, name=name)


def compile_causal_lm(
    source: str,
    *,
    seq_len: int,
    options: CompileOptions,
    with_weights: bool = True,
    random_seed: int | None = None,
    progress: Step | None = None,
) -> tuple[CompiledModel, Any]:
    """Compile a causal language model; also return its tokenizer, if it has one.

    `source` is a folder, a GGUF file, a package that ships one, or a hub name. With a
    `random_seed` the folder needs config.json only, and the weights are drawn.
    """
    _note(progress, "loading the model")
    loaded = _load(source, with_weights=with_weights, random_seed=random_seed)
    name = resolve_source(source).name
    model = compile_loaded(
        loaded, name, seq_len=seq_len, options=options, progress=progress
    )
    if not with_weights:
        model = CompiledModel(model.netlist, None, causal_lm=model.causal_lm, name=name)
    return model, loaded.tokenizer


def _load(
    source: str, *, with_weights: bool, random_seed: int | None
) -> LoadedCausalLM:
    """Load a model. Without weights its constants are real, its parameters memory that
    nobody writes to, which takes no room."""
    if with_weights:
        is_random = random_seed is not None
        return load_causal_lm(source, random_weights=is_random, seed=random_seed or 0)
    from transformers.initialization import no_init_weights

    with no_init_weights():
        loaded = load_causal_lm(source, random_weights=True)
    loaded.module.tie_weights()  # pyright: ignore[reportCallIssue]
    return loaded


def compile_loaded(
    loaded: LoadedCausalLM,
    name: str,
    *,
    seq_len: int,
    options: CompileOptions,
    progress: Step | None = None,
) -> CompiledModel:
    """Compile a causal language model that is in memory."""
    _note(progress, "torch.export")
    imported = import_causal_lm(loaded.module, seq_len=seq_len, name="main")
    _note(progress, "passes and kernels")
    info = CausalLMInfo(seq_len, _stop_tokens(loaded.module, loaded.config))
    return compile_imported(imported, name, options, causal_lm=info)


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
