"""The comparison as tables for a person and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dialects.chip import load_chip
from forge.paper.measure import Cost, Measured, pcc
from forge.paper.models import BLOCKS, KERNELS, LAYER, PaperModel, Phase
from forge.paper.settings import BASELINES, Setting

COLUMNS = (
    "setting",
    "against",
    *(text for block in BLOCKS for text in (f"{block} us", "less %")),
    "launches",
    "DRAM MB",
    "NoC MB",
    "PCC",
)


@dataclass(frozen=True)
class Comparison:
    """A setting beside its baseline, in one phase of one model."""

    model: PaperModel
    phase: Phase
    setting: Setting
    own: Measured
    baseline: Measured | None

    @property
    def clock_ghz(self) -> float:
        """The nominal clock of the model's chip."""
        return load_chip(self.model.chip).clock_ghz

    def reduction(self, block: str) -> float | None:
        """By how many percent a block takes less than in the baseline."""
        if self.baseline is None:
            return None
        return _reduction(self.own.block(block), self.baseline.block(block))

    def kernel_reduction(self, block: str) -> float | None:
        """The same for the part of a block that one kernel of the paper computes."""
        if self.baseline is None:
            return None
        part = KERNELS[block]
        return _reduction(self.own.parts[part], self.baseline.parts[part])

    @property
    def pcc(self) -> float | None:
        """Correlation of the logits with those of the baseline."""
        baseline = self.baseline
        if baseline is None or baseline.logits is None or self.own.logits is None:
            return None
        return pcc(baseline.logits, self.own.logits)


def _reduction(own: Cost, baseline: Cost) -> float:
    return 100.0 * (1.0 - own.cycles / baseline.cycles)


def compare(
    model: PaperModel, settings: Sequence[Setting], measured: Sequence[Measured]
) -> list[Comparison]:
    """Every setting beside its baseline, phase by phase."""
    by_switches = {setting.off: setting.name for setting in reversed(settings)}
    switches = {setting.name: setting.off for setting in settings}
    found = {(m.phase, m.setting): m for m in measured}

    def of(phase: Phase, name: str) -> Measured:
        return found[phase, by_switches[switches[name]]]

    return [
        Comparison(
            model,
            phase,
            setting,
            of(phase, setting.name),
            None if setting.against is None else of(phase, setting.against),
        )
        for phase in dict.fromkeys(m.phase for m in measured)
        for setting in settings
    ]


# -- for a person ----------------------------------------------------------------------


def rows_of(comparisons: Sequence[Comparison]) -> list[list[Any]]:
    """The rows of one phase under `COLUMNS`."""
    return [_row(c) for c in comparisons]


def _row(c: Comparison) -> list[Any]:
    layer = c.own.block(LAYER)
    cells: list[Any] = [c.setting.name, c.setting.against]
    for block in BLOCKS:
        cells += [_microseconds(c, block), _percent(c.reduction(block))]
    megabytes = (layer.dram_bytes / 1e6, layer.noc_bytes / 1e6)
    return [*cells, layer.launches, *(f"{n:.1f}" for n in megabytes), c.pcc]


def _microseconds(c: Comparison, block: str) -> str:
    return f"{c.own.block(block).cycles / c.clock_ghz / 1e3:,.1f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


TABLE_1_COLUMNS = (
    "phase",
    "against",
    *(f"{kernel} %" for kernel in KERNELS.values()),
    *(f"{block} %" for block in BLOCKS),
    "PCC",
)


def table_1_rows(comparisons: Sequence[Comparison]) -> list[list[str]]:
    """What the paper's set saves of a model in each phase, and what was published.

    The published figures of attention and MLP stand under both readings of them: the
    kernel that is fused, and the whole block.
    """
    model = comparisons[0].model
    kernels = [f"{model.reductions[block]:.2f}" for block in KERNELS]
    blocks = [f"{model.reductions[block]:.2f}" for block in BLOCKS]
    rows = [["published", "not said", *kernels, *blocks, f"{model.pcc:.4f}"]]
    for c in comparisons:
        if c.setting.name != "paper" or c.setting.against not in BASELINES:
            continue
        rows.append(
            [
                c.phase.name,
                c.setting.against,
                *(_percent(c.kernel_reduction(block)) for block in KERNELS),
                *(_percent(c.reduction(block)) for block in BLOCKS),
                "" if c.pcc is None else f"{c.pcc:.6f}",
            ]
        )
    return rows


# -- JSON ------------------------------------------------------------------------------


def document_of(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """One object for each row, with what the tables leave out."""
    return [_entry(c) for c in comparisons]


def _entry(c: Comparison) -> dict[str, Any]:
    return {
        "model": c.model.name,
        "chip": c.model.chip,
        "phase": c.phase.name,
        "setting": c.setting.name,
        "against": c.setting.against,
        "switches_off": list(c.setting.off),
        "parts": {name: _cost(cost) for name, cost in c.own.parts.items()},
        "blocks": {
            name: {
                **_cost(c.own.block(name)),
                "reduction_percent": c.reduction(name),
                "published_percent": c.model.reductions[name],
            }
            for name in BLOCKS
        },
        "pcc": c.pcc,
        "published_pcc": c.model.pcc,
    }


def _cost(cost: Cost) -> dict[str, Any]:
    return {
        "cycles": round(cost.cycles),
        "dram_bytes": cost.dram_bytes,
        "noc_bytes": cost.noc_bytes,
        "launches": cost.launches,
    }
