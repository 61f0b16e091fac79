"""`forge accuracy`: what a format, a fidelity or a Dst mode costs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from forge.console import show_json, show_table, step
from forge.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from forge.accuracy import Distance, ProgramLoss, Variant
    from forge.compiled_model import CompiledModel


@dataclass(frozen=True)
class Report:
    """All that the command prints; `judge` says what the truth was."""

    judge: str
    variants: "list[Variant]"
    losses: "list[ProgramLoss]"
    numerics: "dict[str, Distance]"


SAMPLE_TEXT = (
    "The history of the ocean is long. Sailors crossed it in wooden ships, guided by "
    "the stars, and traded spices, silk and stories. Today we study its depths with "
    "robots, and still most of it is unknown. What will the next hundred years of "
    "exploration bring to science, and to the people in the cities along the coast? "
)
"""Real text for a language model when none is given; repeated to the full length."""


def run_accuracy(
    folder: Path,
    *,
    text: str | None,
    inputs: Path | None,
    model: str | None,
    numerics: str,
    json: bool,
) -> None:
    """Prints the table of variants and the programs that lose most."""
    from forge.accuracy import (
        attribute_error,
        compare_numerics,
        compare_variants,
        mark_front,
        reference_output,
    )
    from forge.artifact import load

    compiled = load(folder)
    if len(compiled.machine.entries) > 1:
        raise UsageError(
            f"'{compiled.name}' has several entries, and one pass is judged",
            value=", ".join(compiled.machine.entries),
            advice="compile the model with --forward into another folder",
        )
    given = _inputs(compiled, folder, text, inputs)
    parameters, netlist = compiled.emulator.parameters, compiled.netlist
    with step("float32 reference"):
        truth = (
            reference_output(netlist, parameters, given)
            if model is None
            else _pytorch_output(model, given)
        )
    with step("fast and exact"):
        numeric = compare_numerics(netlist, parameters, given, truth)
    with step("which program loses what"):
        losses = attribute_error(netlist, parameters, given, numerics=numerics)
    variants = []
    with step("formats x fidelity x Dst") as progress:
        for variant in compare_variants(
            netlist, parameters, given, truth, numerics=numerics
        ):
            variants.append(variant)
            progress.update(f"{len(variants)} of 24")
    judge = "float32 PyTorch" if model else "the same netlist in plain float32"
    report = Report(judge, mark_front(variants), losses, numeric)
    _show(report, json=json)


def _inputs(
    compiled: "CompiledModel", folder: Path, text: str | None, inputs: Path | None
) -> Mapping[str, "np.ndarray"]:
    import numpy as np

    names = [b.name for b in compiled.machine.buffers_with_role("input")]
    if inputs is not None:
        return _read_inputs(inputs, names)
    if compiled.causal_lm is None:
        raise UsageError(
            f"'{compiled.name}' is not a language model: it needs its inputs",
            advice=f"--inputs FILE.npz with arrays {', '.join(names)}",
        )
    from forge.artifact import load_tokenizer_of

    length = compiled.causal_lm.seq_len
    tokens: list[int] = []
    tokenizer = load_tokenizer_of(folder)
    while len(tokens) < length:
        tokens += tokenizer(text or SAMPLE_TEXT)["input_ids"]
    return {names[0]: np.array([tokens[:length]])}


def _read_inputs(path: Path, names: list[str]) -> Mapping[str, "np.ndarray"]:
    import numpy as np

    advice = f"write it with numpy.savez(FILE, {', '.join(f'{n}=...' for n in names)})"
    if not path.is_file():
        raise UsageError(f"there is no {path}", advice=advice)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays}
    except (ValueError, TypeError, EOFError, BadZipFile):  # TypeError: one .npy array
        raise UsageError(
            f"{path} is not an .npz file of numbers", advice=advice
        ) from None
    missing = [name for name in names if name not in found]
    if missing:
        raise UsageError(
            f"{path} lacks the inputs {', '.join(missing)}",
            value=", ".join(found),
            advice=advice,
        )
    return {name: found[name] for name in names}


def _pytorch_output(model: str, inputs: Mapping[str, "np.ndarray"]) -> "np.ndarray":
    """Logits of PyTorch in float32, with the weights that the model has in bf16."""
    import torch

    from forge.frontends.huggingface import load_causal_lm

    narrow = load_causal_lm(model).module
    wide: Any = load_causal_lm(model, dtype=torch.float32).module
    state = {name: value.float() for name, value in narrow.state_dict().items()}
    wide.load_state_dict(state)
    ids = torch.from_numpy(next(iter(inputs.values())))
    with torch.no_grad():
        return wide(ids).logits.numpy()


def _show(report: Report, *, json: bool) -> None:
    judge, variants, losses = report.judge, report.variants, report.losses
    columns = (
        "weights",
        "fidelity",
        "Dst",
        "PCC",
        "relative L2",
        "max error",
        "cycles",
        "Pareto",
    )
    rows = [
        (
            v.weights.value,
            v.fidelity.value,
            v.dst,
            v.distance.pcc,
            v.distance.relative_l2,
            v.distance.max_error,
            round(v.cycles),
            v.on_front,
        )
        for v in variants
    ]
    loss_columns = ("program", "runs", "isolated", "accumulated")
    loss_rows = [(p.program, p.runs, p.isolated, p.accumulated) for p in losses]
    numeric_columns = ("numerics", "PCC", "relative L2", "max error")
    numeric_rows = [
        (name, found.pcc, found.relative_l2, found.max_error)
        for name, found in report.numerics.items()
    ]
    if json:
        show_json(
            {
                "judge": judge,
                "numerics": [
                    dict(zip(numeric_columns, row, strict=True)) for row in numeric_rows
                ],
                "variants": [dict(zip(columns, row, strict=True)) for row in rows],
                "programs": [
                    dict(zip(loss_columns, row, strict=True)) for row in loss_rows
                ],
            }
        )
        return
    show_table("the netlist as it stands", numeric_columns, numeric_rows)
    show_table(f"against {judge}", columns, rows)
    show_table(
        "relative L2 that each program loses (isolated: fed the true inputs)",
        loss_columns,
        loss_rows,
    )
    worst = ", ".join(p.program for p in losses[:3])
    print(f"most is lost in {worst}")
