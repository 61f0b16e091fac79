"""Recipes: how a weight buffer is made from parameters of the weights file.

    recipe ::= parameter | function `(` argument (`,` argument)* `)`

    transpose(w)                 swap the last two dimensions
    concat(d, w, v, ...)         join along dimension d
    slice(w, d, start, stop)     a range along dimension d
    reshape(w, n, m, ...)        same elements, new shape
    permute(w, i, j, ...)        reorder dimensions
    scale(w, number)             multiply
    pad(w, d, before, after)     zeros around dimension d

A parameter is its name in the file; `$` stands for the instance of the buffer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np

FUNCTIONS = ("transpose", "concat", "slice", "reshape", "permute", "scale", "pad")
_TOKEN = re.compile(r"\s*([(),]|[^\s(),]+)")


class RecipeError(ValueError):
    """A recipe that does not parse; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the table above with its arguments."""

    function: str
    arguments: tuple[Recipe | float, ...]

    def __str__(self) -> str:
        return f"{self.function}({', '.join(_show(a) for a in self.arguments)})"


Recipe: TypeAlias = Call | str


def _show(argument: Recipe | float) -> str:
    if isinstance(argument, int | float):
        return f"{argument:.0f}" if float(argument).is_integer() else repr(argument)
    return str(argument)


def parse_recipe(text: str) -> Recipe:
    """Parse a recipe; `RecipeError` with the place where it goes wrong."""
    tokens = _TOKEN.findall(text)
    recipe, rest = _parse(tokens, 0, text)
    if rest != len(tokens) or isinstance(recipe, int | float):
        raise RecipeError(f"recipe '{text}' does not end after '{_show(recipe)}'")
    return recipe


def _parse(tokens: list[str], at: int, text: str) -> tuple[Recipe | float, int]:
    if at >= len(tokens) or tokens[at] in "(),":
        raise RecipeError(f"recipe '{text}' lacks a parameter or function")
    word = tokens[at]
    if at + 1 >= len(tokens) or tokens[at + 1] != "(":
        return _number_or_name(word), at + 1
    if word not in FUNCTIONS:
        raise RecipeError(
            f"recipe function '{word}' is not one of {', '.join(FUNCTIONS)}"
        )
    arguments: list[Recipe | float] = []
    at += 1
    while tokens[at] != ")":
        argument, at = _parse(tokens, at + 1, text)
        arguments.append(argument)
        if at >= len(tokens) or tokens[at] not in "),":
            raise RecipeError(f"recipe '{text}' lacks a ')' after '{word}('")
    return Call(word, tuple(arguments)), at + 1


def _number_or_name(word: str) -> Recipe | float:
    try:
        return float(word)
    except ValueError:
        return word


def parameters_of(recipe: Recipe) -> Iterator[str]:
    """Yield the parameter names of a recipe, in order, repeats included."""
    if isinstance(recipe, str):
        yield recipe
        return
    for argument in recipe.arguments:
        if not isinstance(argument, int | float):
            yield from parameters_of(argument)


def substitute(recipe: Recipe, instance: int) -> Recipe:
    """Return the recipe of one instance: every `$` becomes its number."""
    if isinstance(recipe, str):
        return recipe.replace("$", str(instance))
    return Call(
        recipe.function,
        tuple(
            a if isinstance(a, int | float) else substitute(a, instance)
            for a in recipe.arguments
        ),
    )


def evaluate(recipe: Recipe, values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Make the tensor; parameters are looked up in `values` (`KeyError`)."""
    if isinstance(recipe, str):
        return values[recipe]
    tensors = [
        evaluate(a, values) for a in recipe.arguments if not isinstance(a, int | float)
    ]
    numbers = [a for a in recipe.arguments if isinstance(a, int | float)]
    return _APPLY[recipe.function](tensors, numbers)


def _apply_slice(tensors: list[np.ndarray], numbers: list[float]) -> np.ndarray:
    dim, start, stop = map(int, numbers)
    index = [slice(None)] * tensors[0].ndim
    index[dim] = slice(start, stop)
    return tensors[0][tuple(index)]


def _apply_concat(tensors: list[np.ndarray], numbers: list[float]) -> np.ndarray:
    import numpy as np  # late: reading a netlist needs none

    return np.concatenate(tensors, axis=int(numbers[0]))


def _apply_scale(tensors: list[np.ndarray], numbers: list[float]) -> np.ndarray:
    import numpy as np

    return tensors[0] * np.float32(numbers[0])


def _apply_pad(tensors: list[np.ndarray], numbers: list[float]) -> np.ndarray:
    import numpy as np

    dim, before, after = map(int, numbers)
    widths = [(0, 0)] * tensors[0].ndim
    widths[dim] = (before, after)
    return np.pad(tensors[0], widths)


_APPLY = {
    "transpose": lambda t, _: t[0].swapaxes(-1, -2),
    "concat": _apply_concat,
    "slice": _apply_slice,
    "reshape": lambda t, n: t[0].reshape([int(d) for d in n]),
    "permute": lambda t, n: t[0].transpose([int(d) for d in n]),
    "scale": _apply_scale,
    "pad": _apply_pad,
}
