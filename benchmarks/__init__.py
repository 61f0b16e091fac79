"""Numbers that are measured, never asserted: speed and memory against their targets.

Each `bench_<name>.py` has a docstring and `run() -> list[Row]`.
"""

from typing import NotRequired, TypedDict


class Row(TypedDict):
    """One measured number.

    `target` is what the project promises, `baseline` what the same work costs without
    forge (eager PyTorch, say), both in the same unit. Less is better unless
    `more_is_better`.
    """

    what: str
    value: float
    unit: str
    target: NotRequired[float]
    baseline: NotRequired[float]
    more_is_better: NotRequired[bool]
    note: NotRequired[str]
