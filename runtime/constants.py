"""Weights as sheets: a recipe over parameters, padded to tiles and rounded.

Large weights are made by pieces, so that no more than a piece is ever there in float32.
bf16 parameters that a recipe only rearranges are not converted at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import numpy as np

from dialects.errors import ForgeError
from dialects.formats import TILE_EDGE, DataFormat
from dialects.program import Tensor
from dialects.recipe import Recipe, evaluate, parameters_of, parse_recipe
from runtime.arithmetic.formats import bf16_to_float32, quantize_host


@runtime_checkable
class HalvesByName(Protocol):
    """Parameters that can be had as they are stored."""

    def halves(self, name: str) -> np.ndarray | None:
        """A bf16 parameter as uint16 datums, else None."""
        ...


def round_upload(sheet: np.ndarray, data_format: DataFormat) -> None:
    """Round a sheet in place as the host does at upload."""
    if data_format is not DataFormat.FP32 and data_format.is_float:
        quantize_host(sheet, data_format, out=sheet)


class ConstantSource:
    """Makes the sheet of a weight. Raises `ForgeError` if a parameter is missing."""

    def __init__(
        self,
        name: str,
        tensor: Tensor,
        recipe: str,
        parameters: Mapping[str, np.ndarray],
        *,
        rounds: bool,
    ):
        self.name = name
        self.tensor = tensor
        self.recipe: Recipe = parse_recipe(recipe)
        self.parameters = parameters
        self.rounds = rounds

    def halves(self) -> np.ndarray | None:
        """The datums of a bf16 matrix whose recipe only moves bf16 parameters."""
        is_matrix = np.prod(self.tensor.shape[:-2]) == 1
        if self.tensor.data_format is not DataFormat.BF16 or not is_matrix:
            return None
        found = self._moved()
        return None if found is None else found.reshape(self.tensor.shape[-2:])

    def open(self) -> Callable[[int, int], np.ndarray]:
        """A function that makes rows [start, stop) of the sheet, padding included."""
        *leading, rows, columns = self.tensor.shape
        count = int(np.prod(leading, dtype=np.int64))
        moved = self._moved()
        values = self._evaluated() if moved is None else moved
        values = values.reshape(count, rows, columns)
        padded = -(-rows // TILE_EDGE) * TILE_EDGE
        width = -(-columns // TILE_EDGE) * TILE_EDGE

        def make(start: int, stop: int) -> np.ndarray:
            sheet = np.zeros((stop - start, width), np.float32)
            for matrix in range(start // padded, -(-stop // padded)):
                first, last = max(start - matrix * padded, 0), stop - matrix * padded
                piece = _as_float32(values[matrix, first : min(last, rows)])
                at = matrix * padded + first - start
                sheet[at : at + len(piece), :columns] = piece
            if self.rounds:
                round_upload(sheet, self.tensor.data_format)
            return sheet

        return make

    def _moved(self) -> np.ndarray | None:
        """The datums of the recipe, where it only moves bf16 parameters."""
        if not isinstance(self.parameters, HalvesByName) or not _only_moves(
            self.recipe
        ):
            return None
        names = set(parameters_of(self.recipe))
        found = {name: self._halves_of(name) for name in names}
        known = {name: datums for name, datums in found.items() if datums is not None}
        return evaluate(self.recipe, known) if len(known) == len(names) else None

    def _halves_of(self, name: str) -> np.ndarray | None:
        assert isinstance(self.parameters, HalvesByName)
        try:
            return self.parameters.halves(name)
        except KeyError:
            raise self._missing(name) from None

    def _evaluated(self) -> np.ndarray:
        try:
            return evaluate(self.recipe, self.parameters)
        except KeyError as error:
            raise self._missing(error.args[0]) from None

    def _missing(self, name: str) -> ForgeError:
        return ForgeError(
            f"parameter {name!r} of buffer @{self.name} is not in the weights file",
            advice="compile again with weights",
        )


def _only_moves(recipe: Recipe) -> bool:
    """Whether a recipe computes nothing."""
    if isinstance(recipe, str):
        return True
    inner = (a for a in recipe.arguments if not isinstance(a, int | float))
    return recipe.function != "scale" and all(_only_moves(a) for a in inner)


def _as_float32(values: np.ndarray) -> np.ndarray:
    if values.dtype == np.uint16:
        return bf16_to_float32(np.ascontiguousarray(values))
    return values
