"""Options of more than one command, and those of the switches."""

from typing import Annotated

import typer

from dialects.errors import ForgeError
from forge.console import show_table
from forge.errors import UsageError
from passes.switches import NAMES, SETS, SWITCHES, switched_off

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def _beginning_with(names: tuple[str, ...], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _switches(incomplete: str) -> list[str]:
    return _beginning_with(NAMES, incomplete)


def _sets(incomplete: str) -> list[str]:
    return _beginning_with(tuple(SETS), incomplete)


def _list_switches(is_wanted: bool) -> None:
    if is_wanted:
        show_switches()
        raise typer.Exit


def show_switches() -> None:
    """Print what may be left out, and the sets that have each."""
    rows = [
        (s.name, ", ".join(n for n in SETS if s.name not in SETS[n].off), s.without)
        for s in SWITCHES
    ]
    show_table("switches", ("name", "on in", "without it"), rows)
    show_table("sets", ("name", "meaning"), [(n, s.meaning) for n, s in SETS.items()])


Optimize = Annotated[
    str,
    typer.Option(
        "--optimize",
        metavar="SET",
        autocompletion=_sets,
        help=f"Which switches are on: {', '.join(SETS)}.",
    ),
]
Enable = Annotated[
    list[str] | None,
    typer.Option(
        "--enable",
        metavar="SWITCH",
        autocompletion=_switches,
        help="Turn on a switch that the set leaves out. May be repeated.",
    ),
]
Disable = Annotated[
    list[str] | None,
    typer.Option(
        "--disable",
        metavar="SWITCH",
        autocompletion=_switches,
        help="Turn off a switch, to measure its effect. May be repeated.",
    ),
]
ListSwitches = Annotated[
    bool,
    typer.Option(
        "--list-switches",
        callback=_list_switches,
        is_eager=True,
        help="Print what may be turned off, and what that means.",
    ),
]


def read_switches(
    optimize: str, enable: list[str] | None, disable: list[str] | None
) -> tuple[str, ...]:
    """The switches that are off. Raises `UsageError` for a name that there is not."""
    try:
        return switched_off(optimize, enable=enable or (), disable=disable or ())
    except ForgeError as error:
        raise UsageError(error.message, advice=error.advice) from None
