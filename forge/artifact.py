"""A compiled model on disk: netlist, weights, manifest, and the tokenizer's files.

Written whole or not at all; nothing in it is code. `load` checks the manifest's
hashes by size and the weights by the recipes that the netlist names.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forge import __version__
from forge.errors import ArtifactError

if TYPE_CHECKING:
    from forge.compiled_model import CompiledModel

NETLIST = "netlist.mlir"
WEIGHTS = "weights.safetensors"
MANIFEST = "manifest.json"
TOKENIZER = "tokenizer"
FORMAT = 1


@dataclass(frozen=True)
class CausalLMInfo:
    """What generation needs to know beside the netlist."""

    seq_len: int
    stop_tokens: tuple[int, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """What an artefact says about itself. `cycles` are predicted, for each program."""

    name: str
    chip: str
    format: int = FORMAT
    forge_version: str = __version__
    inputs: tuple[Mapping[str, Any], ...] = ()
    outputs: tuple[Mapping[str, Any], ...] = ()
    causal_lm: CausalLMInfo | None = None
    cycles: Mapping[str, int] = field(default_factory=dict)
    total_cycles: int = 0
    weights_sha256: str | None = None
    weights_bytes: int | None = None


def save_artifact(model: CompiledModel, folder: Path, tokenizer: Any = None) -> None:
    """Write an artefact. What was in the folder before is replaced at the end.

    Raises `ArtifactError` if the folder holds something else than an artefact.
    """
    if folder.exists() and not _may_replace(folder):
        raise ArtifactError(
            f"{folder} exists and is not a compiled model",
            advice="name a new folder, or empty this one",
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _write(model, draft, tokenizer)
        draft.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _may_replace(folder: Path) -> bool:
    return folder.is_dir() and (
        (folder / MANIFEST).exists() or not any(folder.iterdir())
    )


def _write(model: CompiledModel, folder: Path, tokenizer: Any) -> None:
    (folder / NETLIST).write_text(model.netlist_text())
    digest = size = None
    if model.has_weights:
        path = folder / WEIGHTS
        model.write_weights(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
    manifest = model.manifest(weights_sha256=digest, weights_bytes=size)
    text = json.dumps(asdict(manifest), indent=2)
    (folder / MANIFEST).write_text(f"{text}\n")
    if tokenizer is not None:
        tokenizer.save_pretrained(folder / TOKENIZER)


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of an artefact. Raises `ArtifactError`."""
    path = folder / MANIFEST
    if not path.is_file():
        raise ArtifactError(
            f"{folder} is not a compiled model: it has no {MANIFEST}",
            advice="compile one with `forge compile MODEL -o FOLDER`",
        )
    try:
        data = json.loads(path.read_text())
        if data.get("format") != FORMAT:
            raise ArtifactError(
                f"{path} has format {data.get('format')}, this forge reads {FORMAT}",
                advice="compile the model again",
            )
        lm = data.pop("causal_lm")
        info = None if lm is None else CausalLMInfo(**_tuples(lm))
        return Manifest(**_tuples(data), causal_lm=info)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ArtifactError(
            f"{path} is damaged ({error})", advice="compile the model again"
        ) from None


def _tuples(data: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}


def load(folder: Path | str) -> CompiledModel:
    """Load a compiled model; weights stay on disk until they are uploaded.

    Raises `ForgeError` for a missing, cut or edited-into-nonsense artefact.
    """
    from dialects.netlist_text import read_netlist
    from forge.compiled_model import CompiledModel
    from runtime.weights import WeightsFile

    folder = Path(folder)
    manifest = read_manifest(folder)
    path = folder / NETLIST
    if not path.is_file():
        raise ArtifactError(f"{folder} has no {NETLIST}", advice="compile again")
    netlist = read_netlist(path)
    weights = None
    if (folder / WEIGHTS).exists():
        weights = WeightsFile(folder / WEIGHTS)
        size = (folder / WEIGHTS).stat().st_size
        if manifest.weights_bytes not in (None, size):
            raise ArtifactError(
                f"{folder / WEIGHTS} has {size} bytes, the manifest says "
                f"{manifest.weights_bytes}",
                advice="compile the model again",
            )
    return CompiledModel(
        netlist, weights, causal_lm=manifest.causal_lm, name=manifest.name
    )


def load_tokenizer_of(folder: Path) -> Any:
    """The tokenizer that was saved with a language model. Raises `ArtifactError`."""
    from forge.frontends.huggingface import load_tokenizer

    place = folder / TOKENIZER
    if not place.is_dir():
        raise ArtifactError(
            f"{folder} has no tokenizer: it is not a language model",
            advice="call it from Python with forge.load(folder)(inputs)",
        )
    return load_tokenizer(place)
