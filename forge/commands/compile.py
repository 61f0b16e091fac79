"""`forge compile`: a model into a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forge.arguments import require_at_least
from forge.artifact import require_writable
from forge.console import show_json, step
from forge.errors import UsageError

if TYPE_CHECKING:
    from forge.profile import Profile


@dataclass(frozen=True)
class CompileRequest:
    """What a user of `forge compile` may choose."""

    model: str
    output: Path
    chip: str = "n150"
    seq_len: int = 64
    weights_format: str = "bf16"
    dump_ir: Path | None = None
    disabled_passes: tuple[str, ...] = ()
    with_weights: bool = True
    random_seed: int | None = None


def run_compile(request: CompileRequest, *, json: bool) -> None:
    """Compiles a model, writes the artefact, and says what became of it."""
    profile = compile_to_folder(request)
    if json:
        show_json({"folder": str(request.output), "milliseconds": profile.milliseconds})
        return
    print(
        f"{request.output}: {len(profile.programs)} programs, {profile.num_runs} "
        f"launches, {profile.milliseconds:.2f} ms predicted for {request.seq_len} "
        f"tokens on {request.chip}"
    )


def compile_to_folder(request: CompileRequest) -> Profile:
    """Compiles a model and writes the artefact, whole or not at all."""
    require_at_least(1, "--seq-len", value=request.seq_len)
    if request.random_seed is not None and not request.with_weights:
        raise UsageError(
            "--no-weights and --random-weights exclude each other",
            advice="leave one of them out",
        )
    require_writable(request.output)
    with step("loading torch"):
        from forge.compiler import CompileOptions, compile_causal_lm
    options = CompileOptions(
        request.chip,
        request.weights_format,
        request.disabled_passes,
        request.dump_ir,
    )
    with step(f"compiling {request.model}") as progress:
        compiled, tokenizer = compile_causal_lm(
            request.model,
            seq_len=request.seq_len,
            options=options,
            with_weights=request.with_weights,
            random_seed=request.random_seed,
            progress=progress,
        )
    with step("timing") as progress:
        profile = compiled.profile(progress)
    with step(f"writing {request.output}"):
        compiled.save(request.output, tokenizer=tokenizer)
    return profile
