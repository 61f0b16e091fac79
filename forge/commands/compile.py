"""`forge compile`: a model into a folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forge.arguments import require_at_least, require_fidelity, require_weight_formats
from forge.artifact import require_writable
from forge.console import show_json, show_table, step
from forge.errors import UsageError

if TYPE_CHECKING:
    from forge.compiled_model import CompiledModel


CACHE_LENGTH, FORWARD_LENGTH = 512, 64
"""Tokens by default: of prompt and answer, and of a single pass."""


@dataclass(frozen=True)
class CompileRequest:
    """What a user of `forge compile` may choose."""

    model: str
    output: Path
    chip: str = "n150"
    seq_len: int | None = None
    prefill: tuple[int, ...] = ()
    batch: int = 1
    forward: bool = False
    weights_format: str = "bf16"
    fidelity: str = "HiFi4"
    dump_ir: Path | None = None
    explain: Path | None = None
    disabled: tuple[str, ...] = ()
    with_weights: bool = True
    random_seed: int | None = None

    @property
    def tokens(self) -> int:
        """The length of the cache, or of the single pass."""
        if self.seq_len is not None:
            return self.seq_len
        return FORWARD_LENGTH if self.forward else CACHE_LENGTH


def run_compile(request: CompileRequest, *, as_json: bool) -> None:
    """Compiles a model, writes the artefact, and says what became of it."""
    from forge.explanation import COLUMNS, explanation_rows

    model = compile_to_folder(request)
    profiles = model.profiles()
    if as_json:
        entries = {
            name: {
                "launches": profile.num_runs,
                "cycles": round(profile.total_cycles),
                "milliseconds": profile.milliseconds,
            }
            for name, profile in profiles.items()
        }
        show_json({"folder": str(request.output), "entries": entries})
        return
    if request.explain is not None:
        assert model.explanation is not None
        show_table("", COLUMNS, explanation_rows(model.explanation))
    programs = len(model.machine.programs)
    print(f"{request.output}: {programs} programs on {request.chip}")
    for name, profile in profiles.items():
        print(
            f"  {name}: {profile.num_runs} launches, {profile.milliseconds:.2f} ms "
            f"predicted{_tokens_of(model, name)}"
        )


def _tokens_of(model: CompiledModel, entry: str) -> str:
    """What a call of an entry of a language model works on."""
    info = model.causal_lm
    assert info is not None
    if entry != info.decode:
        return f" for {info.prefill.get(entry, info.seq_len)} tokens"
    users = "1 user" if info.batch == 1 else f"{info.batch} users"
    return f" for a token of {users} at position {info.seq_len - 1}"


def compile_to_folder(request: CompileRequest) -> CompiledModel:
    """Compiles a model and writes the artefact, whole or not at all."""
    _check(request)
    require_writable(request.output)
    with step("loading torch"):
        from forge.compiler import CompileOptions, GenerationShape, compile_causal_lm
    options = CompileOptions(
        request.chip,
        request.weights_format,
        request.disabled,
        request.dump_ir,
        request.fidelity,
    )
    with step(f"compiling {request.model}") as progress:
        compiled, tokenizer = compile_causal_lm(
            request.model,
            shape=GenerationShape(request.tokens, request.prefill, request.batch),
            forward=request.forward,
            options=options,
            with_weights=request.with_weights,
            random_seed=request.random_seed,
            progress=progress,
        )
    with step("timing") as progress:
        compiled.profiles(progress)
    with step(f"writing {request.output}"):
        compiled.save(request.output, tokenizer=tokenizer)
        if request.explain is not None:
            text = json.dumps(compiled.explanation, indent=2)
            request.explain.write_text(f"{text}\n", encoding="utf-8")
    return compiled


def _check(request: CompileRequest) -> None:
    """Refuse at once what no model could make possible."""
    require_weight_formats(request.weights_format)
    require_fidelity(request.fidelity)
    require_at_least(1, "--seq-len", value=request.tokens)
    require_at_least(1, "--batch", value=request.batch)
    if request.random_seed is not None and not request.with_weights:
        raise UsageError(
            "--no-weights and --random-weights exclude each other",
            advice="leave one of them out",
        )
    if request.explain is not None and not request.explain.parent.is_dir():
        raise UsageError(
            "--explain names a file in a folder that is not there",
            value=str(request.explain.parent),
            advice="make the folder, or name another",
        )
    if request.forward and (request.prefill or request.batch > 1):
        raise UsageError(
            "--forward compiles one pass without a cache",
            advice="leave --prefill and --batch out, or --forward",
        )
