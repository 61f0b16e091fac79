"""`python -m benchmarks [NAME ...] [--json]` runs the benchmarks, each in a process.

One thread each: two threads on a busy machine can be ten times slower than one.
"""

import argparse
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from benchmarks import Row
from forge.console import show_error, show_json, show_table, step
from forge.errors import ForgeError, UsageError

HERE = Path(__file__).parent
COLUMNS = ["what", "value", "unit", "target", "of target", "baseline", "of baseline"]
THREAD_SETTINGS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
ONE_THREAD = dict.fromkeys(THREAD_SETTINGS, "1")


def main() -> int:
    arguments = parse_arguments()
    try:
        if arguments.child is not None:
            print(json.dumps(import_module(f"benchmarks.{arguments.child}").run()))
            return 0
        run_all(arguments.names, as_json=arguments.json)
    except ForgeError as error:
        show_error(error)
        return error.exit_code
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", help="only these; all when left out")
    parser.add_argument("--json", action="store_true", help="print JSON, no tables")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def run_all(names: list[str], *, as_json: bool) -> None:
    results: dict[str, list[Row]] = {}
    for module in select(names):
        title = module.removeprefix("bench_")
        with step(f"benchmark {title}"):
            results[title] = run_alone(module)
        if not as_json:
            show_table(title, COLUMNS, [cells(row) for row in results[title]])
    if as_json:
        show_json(results)


def select(names: list[str]) -> list[str]:
    """The modules to run. Raises UsageError for a name that does not exist."""
    known = sorted(path.stem for path in HERE.glob("bench_*.py"))
    wanted = [f"bench_{name.removeprefix('bench_')}" for name in names]
    for module in wanted:
        if module not in known:
            raise UsageError(
                f"there is no benchmark {module.removeprefix('bench_')!r}",
                advice="choose from " + ", ".join(name[6:] for name in known),
            )
    return wanted or known


def run_alone(module: str) -> list[Row]:
    """Runs one benchmark in a fresh process, so that none warms another's caches."""
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--child", module],
        cwd=HERE.parent,
        env={**os.environ, **ONE_THREAD},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise ForgeError(f"benchmark {module} failed", value=result.returncode)
    return json.loads(result.stdout.splitlines()[-1])


def cells(row: Row) -> list[object]:
    target, baseline = row.get("target"), row.get("baseline")
    what = f"{row['what']} ({row['note']})" if "note" in row else row["what"]
    return [
        what,
        row["value"],
        row["unit"],
        target,
        ratio(row["value"], target),
        baseline,
        ratio(row["value"], baseline),
    ]


def ratio(value: float, reference: float | None) -> str | None:
    return f"{value / reference:.2f}x" if reference else None


if __name__ == "__main__":
    sys.exit(main())
