"""Weights made by pieces are the weights made whole."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialects.errors import ForgeError
from dialects.formats import DataFormat
from dialects.program import Tensor
from runtime.arithmetic.formats import bf16_to_float32, quantize_host
from runtime.constants import ConstantSource


class Stored(Mapping[str, np.ndarray]):
    """bf16 parameters as a weights file has them."""

    def __init__(self, datums: dict[str, np.ndarray]):
        self.datums = datums

    def __getitem__(self, name: str) -> np.ndarray:
        return bf16_to_float32(self.datums[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.datums)

    def __len__(self) -> int:
        return len(self.datums)

    def halves(self, name: str) -> np.ndarray | None:
        return self.datums[name]


DATUMS = np.random.default_rng(5).integers(0x3C00, 0x4200, (70, 50)).astype(np.uint16)
STORED = Stored({"w": DATUMS})


def sheet_of(tensor: Tensor, values: np.ndarray) -> np.ndarray:
    """The whole sheet, from float32."""
    *leading, rows, columns = tensor.shape
    padded, width = -(-rows // 32) * 32, -(-columns // 32) * 32
    sheet = np.zeros((int(np.prod(leading)), padded, width), np.float32)
    sheet[:, :rows, :columns] = values.reshape(-1, rows, columns)
    return quantize_host(sheet.reshape(-1, width), tensor.data_format)


@settings(max_examples=30)
@given(
    pieces=st.lists(st.integers(0, 6), min_size=1, max_size=3),
    data_format=st.sampled_from([DataFormat.BF16, DataFormat.BFP8_B, DataFormat.FP32]),
    recipe=st.sampled_from(
        ["w", "transpose(w)", "scale(w, 0.5)", "reshape(w, 2, 35, 50)"]
    ),
    is_stored=st.booleans(),
)
def test_pieces_are_parts_of_the_whole(
    pieces: list[int], data_format: DataFormat, recipe: str, is_stored: bool
) -> None:
    values = bf16_to_float32(DATUMS)
    made = {
        "w": values,
        "transpose(w)": values.T,
        "scale(w, 0.5)": values * np.float32(0.5),
        "reshape(w, 2, 35, 50)": values.reshape(2, 35, 50),
    }[recipe]
    tensor = Tensor(data_format, made.shape)
    parameters = STORED if is_stored else {"w": values}
    source = ConstantSource("b", tensor, recipe, parameters, rounds=True)
    make, whole = source.open(), sheet_of(tensor, made)
    cuts = sorted({0, len(whole), *(min(32 * p, len(whole)) for p in pieces)})
    for start, stop in itertools.pairwise(cuts):
        np.testing.assert_array_equal(make(start, stop), whole[start:stop])


@pytest.mark.parametrize(
    ("recipe", "data_format", "is_there"),
    [
        ("transpose(w)", DataFormat.BF16, True),
        ("scale(w, 2)", DataFormat.BF16, False),
        ("w", DataFormat.BFP8_B, False),
    ],
)
def test_datums_are_there_where_nothing_is_computed(
    recipe: str, data_format: DataFormat, is_there: bool
) -> None:
    shape = (50, 70) if recipe == "transpose(w)" else (70, 50)
    tensor = Tensor(data_format, shape)
    source = ConstantSource("b", tensor, recipe, STORED, rounds=True)
    found = source.halves()
    assert (found is not None) == is_there
    if found is not None:
        np.testing.assert_array_equal(found, DATUMS.T)


def test_a_missing_parameter_is_named() -> None:
    tensor = Tensor(DataFormat.BF16, (70, 50))
    source = ConstantSource("b", tensor, "v", STORED, rounds=True)
    with pytest.raises(ForgeError, match="'v' of buffer @b is not in the weights"):
        source.open()
