"""How far predictions lie from measurements: figures of a family, as JSON says them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forge.errors import UsageError
from forge.silicon.outcome import (
    Bench,
    Bounded,
    Family,
    LeftOut,
    Measured,
    Outcome,
)

NUM_WORST = 5


@dataclass(frozen=True)
class FamilyReport:
    """All outcomes of a family, and what follows from them. Errors are percent."""

    family: Family
    measured: tuple[Measured, ...]
    bounded: tuple[Bounded, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def errors(self) -> np.ndarray:
        """Absolute errors of the measured rows."""
        return np.array([abs(100 * each.error) for each in self.measured])

    @property
    def num_tried(self) -> int:
        """Rows that the model had a say on."""
        return len(self.measured) + len(self.bounded)

    @property
    def num_right(self) -> int:
        """Bounds that hold."""
        return sum(each.is_right for each in self.bounded)

    @property
    def worst(self) -> list[Measured]:
        """The rows with the largest errors, the worst first."""
        ordered = sorted(self.measured, key=lambda each: -abs(each.error))
        return ordered[:NUM_WORST]

    @property
    def reasons(self) -> Counter[str]:
        """Why rows were left out, and how many for each reason."""
        return Counter(each.reason for each in self.left_out)

    def statistics(self) -> dict[str, float | None]:
        """Mean, median and 90th percentile of the errors, and the mean with sign."""
        errors = self.errors
        if not errors.size:
            return dict.fromkeys(("mean", "median", "p90", "max", "bias"))
        signed = [100 * each.error for each in self.measured]
        return {
            "mean": round(float(errors.mean()), 2),
            "median": round(float(np.median(errors)), 2),
            "p90": round(float(np.quantile(errors, 0.9)), 2),
            "max": round(float(errors.max()), 2),
            "bias": round(float(np.mean(signed)), 2),
        }


def report_family(family: Family, outcomes: Iterable[Outcome]) -> FamilyReport:
    """Sort what a family said into kinds."""
    nothing = LeftOut(family.name, "the folder has no rows of it")
    outcomes = list(outcomes) or [nothing]
    return FamilyReport(
        family,
        tuple(each for each in outcomes if isinstance(each, Measured)),
        tuple(each for each in outcomes if isinstance(each, Bounded)),
        tuple(each for each in outcomes if isinstance(each, LeftOut)),
    )


def run_families(
    families: Sequence[Family],
    bench: Bench,
    progress: Callable[[str], None] = lambda _: None,
) -> list[FamilyReport]:
    """Run families one after the other."""
    reports = []
    for family in families:
        progress(family.name)
        reports.append(report_family(family, family.run(bench)))
    return reports


def choose_families(
    families: Sequence[Family], names: Sequence[str]
) -> tuple[Family, ...]:
    """The families that are named, or all; `UsageError` for unknown names."""
    known = {family.name: family for family in families}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(
            f"there is no family {', '.join(unknown)}",
            advice=f"choose from {', '.join(known)}",
        )
    return tuple(known[name] for name in names or known)


def as_json(reports: Sequence[FamilyReport]) -> dict[str, Any]:
    """All rows and figures: `families` by name, errors in percent."""
    return {"families": {report.family.name: _family(report) for report in reports}}


def _family(report: FamilyReport) -> dict[str, Any]:
    return {
        "about": report.family.about,
        "target": report.family.target,
        "rows_tried": report.num_tried,
        "error_percent": report.statistics(),
        "bounds": {"right": report.num_right, "of": len(report.bounded)},
        "left_out": dict(report.reasons),
        "rows": [
            {
                "row": each.row,
                "measured": each.measured,
                "predicted": round(each.predicted, 4),
                "unit": each.unit,
                "error_percent": round(100 * each.error, 2),
                **each.more,
            }
            for each in report.measured
        ],
        "bounded_rows": [
            {
                "row": each.row,
                "low": each.low,
                "high": each.high,
                "predicted": round(each.predicted, 4),
                "unit": each.unit,
                "right": each.is_right,
            }
            for each in report.bounded
        ],
        "left_out_rows": [
            {"row": each.row, "reason": each.reason} for each in report.left_out
        ],
    }
