"""What the commands show: steps with their time, tables, and JSON.

Results go to stdout and progress to stderr, so that `--json` and streamed tokens stay
clean in a pipe. On a terminal a step has a spinner; elsewhere it is a plain line.
"""

import json as json_module
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

ANNOUNCE_AFTER_SECONDS = 2.0
"""A step that lasts longer says so before it is done, when there is no spinner."""

SPINNER_FRAMES_PER_SECOND = 8
WIDTH_WITHOUT_TERMINAL = 160
"""Columns for tables in a pipe or a file: wide enough for every table we print."""


class Step:
    """A piece of work in progress; `update` says how far it is."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.detail = ""
        self.started = time.perf_counter()

    def update(self, detail: str) -> None:
        self.detail = detail

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started

    def describe(self) -> str:
        return f"{self.label}  {self.detail}" if self.detail else self.label


@contextmanager
def step(label: str) -> Iterator[Step]:
    """Shows that `label` is being done, and how long it took once it is done."""
    current = Step(label)
    show = _spinner if sys.stderr.isatty() else _announcement
    with show(current):
        yield current
    print(f"{label}  {format_seconds(current.seconds)}", file=sys.stderr, flush=True)


@contextmanager
def _spinner(current: Step) -> Iterator[None]:
    console = _console(stderr=True)
    done = threading.Event()
    with console.status(_spinner_text(current)) as status:
        ticker = threading.Thread(
            target=_keep_current, args=(status, current, done), daemon=True
        )
        ticker.start()
        try:
            yield
        finally:
            done.set()
            ticker.join()


def _keep_current(status: "Status", current: Step, done: threading.Event) -> None:
    while not done.wait(1 / SPINNER_FRAMES_PER_SECOND):
        status.update(_spinner_text(current))


def _spinner_text(current: Step) -> str:
    from rich.markup import escape

    return escape(f"{current.describe()}  {format_seconds(current.seconds)}")


@contextmanager
def _announcement(current: Step) -> Iterator[None]:
    def announce() -> None:
        print(f"{current.describe()} ...", file=sys.stderr, flush=True)

    timer = threading.Timer(ANNOUNCE_AFTER_SECONDS, announce)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def format_seconds(seconds: float) -> str:
    """`0.4 s`, `12.3 s`, `2 min 05 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def show_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    json: bool = False,
) -> None:
    """Prints rows for a person, or as one JSON list of objects with `columns` as keys.

    Numbers may be given as numbers: they are aligned, and grouped by thousands.
    """
    rows = [list(row) for row in rows]
    if json:
        show_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD)
    for column, name in enumerate(columns):
        is_number = any(isinstance(row[column], int | float) for row in rows)
        table.add_column(escape(name), justify="right" if is_number else "left")
    for row in rows:
        table.add_row(*(escape(format_cell(cell)) for cell in row))
    _console().print(table)


def format_cell(value: object) -> str:
    """A cell as a person reads it: `12,345`, `0.998`, `yes`, or nothing for None."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float() if 0.999 <= abs(value) < 1:  # how far from one is what counts
            return f"{value:.6f}"
        case float():
            return f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
        case _:
            return str(value)


def show_json(value: object) -> None:
    """Prints one JSON document; what JSON does not know is written as text."""
    print(json_module.dumps(value, indent=2, default=str))


def show_error(error: BaseException) -> None:
    """Prints an error for a person: its text, no traceback."""
    first, *rest = str(error).splitlines() or [type(error).__name__]
    print("\n".join([f"error: {first}", *rest]), file=sys.stderr)


def _console(*, stderr: bool = False) -> "Console":
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else WIDTH_WITHOUT_TERMINAL
    return Console(stderr=stderr, width=width, highlight=False)
