"""How long a person waits for the command line itself."""

import subprocess
import sys
import time

from benchmarks import Row

REPEATS = 5


def run() -> list[Row]:
    return [
        {
            "what": "forge --help",
            "value": best_seconds(["-m", "forge", "--help"]),
            "unit": "s",
            "target": 0.5,
            "baseline": best_seconds(["-c", "pass"]),
            "note": "baseline: python alone",
        },
        {
            "what": "forge-opt --help",
            "value": best_seconds(["-m", "forge.opt", "--help"]),
            "unit": "s",
            "target": 0.5,
        },
    ]


def best_seconds(arguments: list[str]) -> float:
    """The quickest of several runs: what the work costs when nothing disturbs it."""
    times: list[float] = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL
        )
        times.append(time.perf_counter() - started)
    return min(times)
