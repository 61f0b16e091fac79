"""`forge check`: what of a model forge cannot compile, all at once."""

from forge.arguments import require_at_least
from forge.console import show_table, step
from forge.errors import FaultsError


def run_check(model: str, *, seq_len: int, json: bool) -> None:
    """Prints unsupported operations with shape, count, source line and advice."""
    require_at_least(1, "--seq-len", value=seq_len)
    with step("loading torch"):
        from forge.frontends.generation import require_generation
        from forge.frontends.huggingface import ROOT, load_causal_lm, wrap_causal_lm
        from forge.frontends.torch_export import (
            check_program,
            export_program,
            import_program,
        )
        from passes.context import CompileContext
        from passes.pipeline import unplaceable_in
    with step(f"exporting {model}"):
        loaded = load_causal_lm(model, no_weights=True)
        require_generation(
            loaded.module, prefill_lengths=[seq_len], cache_length=seq_len, batch=1
        )
        module, inputs = wrap_causal_lm(loaded.module, seq_len)
        program = export_program(module, inputs)
        found = check_program(program, root=ROOT)
        faults = []
        if not found:
            imported = import_program(program, name=model, root=ROOT)
            context = CompileContext(values=dict(imported.values))
            faults = unplaceable_in(context, imported.module)
    if faults:
        raise FaultsError(f"{model}: not supported", faults)
    if not found and not json:
        print(f"{model}: every operation is supported")
        return
    rows = [
        (f.op, "x".join(map(str, f.shape)), f.count, f.location, f.advice)
        for f in found
    ]
    columns = ("operation", "shape", "count", "where", "what to do")
    show_table(f"{model}: not supported", columns, rows, json=json)
    if found:
        raise SystemExit(1)
