"""Reads what is typed on the command line into plain values, or says what is wrong."""

import re

import typer

from dialects.chip import Core
from dialects.formats import Fidelity
from dialects.weight_formats import WeightFormats
from forge.errors import ForgeError, UsageError

_CORE = re.compile(r"(\d+)\s*,\s*(\d+)")
_NUMBERS = re.compile(r"\s*\d+\s*(,\s*\d+\s*)*")
_ASSIGNMENT = re.compile(r"([A-Za-z_][\w.]*)=(-?\d+)")


def parse_core(text: str, option: str) -> Core:
    """Reads `3,4`, given for `option`, as logical core coordinates."""
    if (match := _CORE.fullmatch(text.strip())) is None:
        raise typer.BadParameter(
            f"{text!r} is not a core. Write its column and row, counted from 0, "
            "as in 3,4.",
            param_hint=f"'{option}'",
        )
    return Core(x=int(match[1]), y=int(match[2]))


def parse_assignment(text: str) -> tuple[str, int]:
    """Reads `pos=512` as a name and an integer."""
    if (match := _ASSIGNMENT.fullmatch(text.strip())) is None:
        raise typer.BadParameter(
            f"{text!r} is not an assignment. Write a name and an integer, "
            "as in pos=512.",
            param_hint="'--set'",
        )
    return match[1], int(match[2])


def parse_numbers(text: str, option: str) -> list[int]:
    """Reads `1,2,3`, given for `option`."""
    if not _NUMBERS.fullmatch(text):
        raise UsageError(
            f"{option} takes numbers with commas between them",
            value=text,
            advice="write them as in 1,2,3",
        )
    return [int(number) for number in text.split(",")]


def require_at_least(limit: int, option: str, *, value: int) -> None:
    """Raises ForgeError if the number given for `option` is too small."""
    if value < limit:
        raise ForgeError(
            f"{option} is too small",
            limit=f"at least {limit}",
            value=value,
            advice=f"give {option} a number of {limit} or more",
        )


def require_weight_formats(text: str) -> None:
    """Raise `UsageError` for weight formats that `WeightFormats.parse` cannot read."""
    try:
        WeightFormats.parse(text)
    except ForgeError as error:
        raise UsageError(
            error.message, value=error.value, advice=error.advice
        ) from None


def require_fidelity(word: str) -> None:
    """Raise `UsageError` for a fidelity that the matrix unit does not have."""
    if word not in tuple(Fidelity):
        raise UsageError(
            f"there is no fidelity '{word}'",
            advice=f"use one of {', '.join(Fidelity)}",
        )
