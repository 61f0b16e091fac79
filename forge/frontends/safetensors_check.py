"""Whether the safetensors files of a folder hold what a model needs.

Read from the headers alone, so that a bad file is named before anything is loaded.
"""

from __future__ import annotations

import json
from pathlib import Path

from torch import nn

from forge.errors import FaultsError, ModelError

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
LISTED_FAULTS = 10
"""Faults shown; one wrong config makes hundreds."""


def check_weights(folder: Path, model: nn.Module) -> None:
    """Compare names and shapes with a model (on any device).

    Raises ModelError for a missing or damaged file, FaultsError for tensors that are
    missing or have another shape.
    """
    stored: dict[str, tuple[int, ...]] = {}
    for path in _files(folder):
        stored |= _shapes(path)
    faults = [
        fault
        for names, shape in _needed(model)
        if (fault := _fault(names, shape, stored, folder)) is not None
    ]
    if faults:
        raise FaultsError(
            f"the weights do not fit config.json: {len(faults)} tensors",
            faults[:LISTED_FAULTS],
        )


def _files(folder: Path) -> list[Path]:
    index = folder / INDEX_FILE
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ModelError(
                f"{INDEX_FILE} is no index of weights",
                location=str(index),
                advice="download the file again",
            ) from None
        return [folder / name for name in names]
    return [folder / SINGLE_FILE]


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Name and shape of each tensor in a file."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ModelError(
            f"the model folder has no {path.name}",
            location=str(path.parent),
            advice="download the weights too, or compile with random weights",
        )
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            return {name: tuple(file.get_slice(name).get_shape()) for name in names}
    except SafetensorError as error:
        raise ModelError(
            f"{path.name} is damaged or cut short: {error}",
            location=str(path),
            advice="download the file again",
        ) from None


def _needed(model: nn.Module) -> list[tuple[list[str], tuple[int, ...]]]:
    """The names that each tensor of the model goes by (several if tied), its shape."""
    model.tie_weights()  # pyright: ignore[reportCallIssue]
    found: dict[int, tuple[list[str], tuple[int, ...]]] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        names, _ = found.setdefault(id(tensor), ([], tuple(tensor.shape)))
        names.append(name)
    return list(found.values())


def _fault(
    names: list[str],
    shape: tuple[int, ...],
    stored: dict[str, tuple[int, ...]],
    folder: Path,
) -> ModelError | None:
    present = [name for name in names if name in stored]
    if not present:
        return ModelError(
            f"tensor {names[0]} is missing",
            location=str(folder),
            advice="download the weights again; they belong to another config",
        )
    wrong = [name for name in present if stored[name] != shape]
    if not wrong:
        return None
    return ModelError(
        f"tensor {wrong[0]} has the wrong shape",
        limit="x".join(map(str, shape)),
        value="x".join(map(str, stored[wrong[0]])),
        location=str(folder),
        advice="config.json and the weights belong to different models",
    )
