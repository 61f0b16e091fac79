"""`forge compile`: a model into a folder."""

from pathlib import Path

from forge.arguments import require_at_least
from forge.console import show_json, step


def run_compile(
    model: str,
    output: Path,
    *,
    chip: str,
    seq_len: int,
    weights_format: str,
    dump_ir: Path | None,
    disabled_passes: tuple[str, ...],
    with_weights: bool,
    json: bool,
) -> None:
    """Compiles `model` and writes the artefact to `output`, whole or not at all."""
    require_at_least(1, "--seq-len", value=seq_len)
    with step("loading torch"):
        from forge.compiler import CompileOptions, compile_causal_lm
    options = CompileOptions(chip, weights_format, disabled_passes, dump_ir)
    with step(f"compiling {model}") as progress:
        compiled, tokenizer = compile_causal_lm(
            model,
            seq_len=seq_len,
            options=options,
            with_weights=with_weights,
            progress=progress,
        )
    with step("timing"):
        profile = compiled.profile()
    with step(f"writing {output}"):
        compiled.save(output, tokenizer=tokenizer)
    if json:
        show_json({"folder": str(output), "milliseconds": profile.milliseconds})
        return
    print(
        f"{output}: {len(profile.programs)} programs, {profile.num_runs} launches, "
        f"{profile.milliseconds:.2f} ms predicted for {seq_len} tokens on {chip}"
    )
