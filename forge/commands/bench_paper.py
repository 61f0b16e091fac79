"""`forge bench paper`: the fusions of the paper beside the baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from forge.arguments import require_weight_formats
from forge.console import show_json, show_table, step
from forge.errors import UsageError

if TYPE_CHECKING:
    from forge.paper.models import PaperModel
    from forge.paper.report import Comparison

T = TypeVar("T")


@dataclass(frozen=True)
class PaperRequest:
    """What a user of `forge bench paper` may choose; no names are all of them, no chip
    is each model's own."""

    models: Sequence[str] = ()
    phases: Sequence[str] = ()
    chip: str | None = None
    weights_format: str = "bf16"
    quick: bool = False
    with_values: bool = True


def run_paper(request: PaperRequest, *, json: bool) -> None:
    """Measures every model under every setting, and prints them side by side."""
    from dialects.chip import load_chip
    from forge.paper.models import MODELS, PHASES, QUICK_PHASES

    require_weight_formats(request.weights_format)
    phases = request.phases or (QUICK_PHASES if request.quick else ())
    chosen = _named("model", {m.name: m for m in MODELS}, request.models)
    if request.chip is not None:
        chip = load_chip(request.chip).name
        chosen = [replace(model, chip=chip) for model in chosen]
    calls = _named("phase", {p.name: p for p in PHASES}, phases)
    with step("loading torch"):
        from forge.paper.measure import measure
        from forge.paper.report import compare, document_of
        from forge.paper.settings import all_settings, quick_settings

    settings = quick_settings() if request.quick else all_settings()
    found: list[Comparison] = []
    for model in chosen:
        with step(f"measuring {model.name}") as progress:
            measured = measure(
                model,
                calls,
                settings,
                weights_format=request.weights_format,
                with_logits=request.with_values,
                progress=progress,
            )
            own = compare(model, settings, list(measured))
        found += own
        if not json:
            _show(model, own, request.weights_format)
    if json:
        show_json(document_of(found))


def _named(kind: str, known: dict[str, T], names: Sequence[str]) -> list[T]:
    """The things with some names, all if there are none. Raises `UsageError`."""
    for name in names:
        if name not in known:
            raise UsageError(
                f"the paper has no {kind} '{name}'",
                advice=f"use one of {', '.join(known)}",
            )
    return [thing for name, thing in known.items() if not names or name in names]


def _show(model: PaperModel, found: list[Comparison], weights_format: str) -> None:
    from dialects.chip import load_chip
    from forge.paper.report import COLUMNS, TABLE_1_COLUMNS, rows_of, table_1_rows

    chip = load_chip(model.chip)
    where = f"{model.name}, {weights_format} weights, {chip.num_cores} cores"
    for phase in dict.fromkeys(c.phase for c in found):
        rows = rows_of([c for c in found if c.phase == phase])
        show_table(f"{where}, {phase.name}: one decoder layer", COLUMNS, rows)
    title = (
        f"{where}: what the paper's set saves, beside its Table 1 "
        f"({model.published_cores} cores)"
    )
    show_table(title, TABLE_1_COLUMNS, table_1_rows(found))
