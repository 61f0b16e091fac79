"""A compiled model on disk: netlist, weights, manifest, and the tokenizer's files.

Written whole or not at all; nothing in it is code. `load` checks the weights against
the size and the hash in the manifest. The netlist may be edited by hand.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forge import __version__
from forge.errors import ArtifactError, NetlistError
from forge.overview import OVERVIEW, write_overview

if TYPE_CHECKING:
    from dialects.tensix import NetlistOp
    from forge.compiled_model import CompiledModel

NETLIST = "netlist.mlir"
WEIGHTS = "weights.safetensors"
MANIFEST = "manifest.json"
TOKENIZER = "tokenizer"
PARTS = {NETLIST, WEIGHTS, MANIFEST, TOKENIZER, OVERVIEW}
FORMAT = 2


@dataclass(frozen=True)
class CausalLMInfo:
    """What a language model's host needs to know beside the netlist.

    `seq_len` is the length of the cache, or of the one pass of a model without. Where
    there is a cache, `prefill` names the entries that read a prompt of up to so many
    tokens, shortest first, and `decode` the one that takes a step of `batch` users.
    """

    seq_len: int
    stop_tokens: tuple[int, ...] = ()
    batch: int = 1
    prefill: Mapping[str, int] = field(default_factory=dict)
    decode: str | None = None


@dataclass(frozen=True)
class EntryInfo:
    """What an entry takes and gives; `cycles` are predicted, of one call.

    Where the time depends on run-time values, it is that of the largest.
    """

    inputs: tuple[Mapping[str, Any], ...]
    outputs: tuple[Mapping[str, Any], ...]
    cycles: int


@dataclass(frozen=True)
class Manifest:
    """What an artefact says about itself. `cycles` are predicted, for each program."""

    name: str
    chip: str
    format: int = FORMAT
    forge_version: str = __version__
    entries: Mapping[str, EntryInfo] = field(default_factory=dict)
    causal_lm: CausalLMInfo | None = None
    cycles: Mapping[str, int] = field(default_factory=dict)
    weights_sha256: str | None = None
    weights_bytes: int | None = None


def save_artifact(model: CompiledModel, folder: Path, tokenizer: Any = None) -> None:
    """Write an artefact. What was in the folder before is replaced at the end.

    Raises `ArtifactError` if the folder holds something else than an artefact, or
    cannot be written.
    """
    with _draft_of(folder) as draft:
        _write(model, draft, tokenizer)
        _let_others_read(draft)
        if folder.exists():
            old = draft.with_name(f"{draft.name}-old")
            folder.rename(old)
            draft.rename(folder)
            shutil.rmtree(old)
        else:
            draft.rename(folder)


def require_writable(folder: Path) -> None:
    """Find out before a long compile whether `save_artifact` can write there."""
    with _draft_of(folder):
        return


@contextmanager
def _draft_of(folder: Path) -> Iterator[Path]:
    """A hidden folder beside the one to be, gone afterwards unless it was renamed."""
    _require_replaceable(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent)
    except OSError as error:
        raise ArtifactError(
            f"{folder} cannot be written: {error.strerror}",
            location=str(folder.parent),
            advice="name a folder in a place that you may write to",
        ) from None
    try:
        yield Path(draft)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _require_replaceable(folder: Path) -> None:
    if not folder.exists():
        return
    advice = "name a new folder, or empty this one"
    if not folder.is_dir():
        raise ArtifactError(f"{folder} exists and is a file", advice=advice)
    found = {path.name for path in folder.iterdir()}
    if not found:
        return
    if not {NETLIST, MANIFEST} <= found:
        raise ArtifactError(
            f"{folder} exists and is not a compiled model", advice=advice
        )
    if found - PARTS:
        raise ArtifactError(
            f"{folder} is a compiled model, but holds other files too",
            value=", ".join(sorted(found - PARTS)),
            advice="move them, or name a new folder: this one would be replaced",
        )


def _let_others_read(draft: Path) -> None:
    """Give the modes that files have anyway: both libraries make theirs private."""
    mask = os.umask(0)
    os.umask(mask)
    draft.chmod(0o777 & ~mask)
    for path in draft.rglob("*"):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)


def _write(model: CompiledModel, folder: Path, tokenizer: Any) -> None:
    (folder / NETLIST).write_text(model.netlist_text())
    digest = size = None
    if model.has_weights:
        path = folder / WEIGHTS
        model.write_weights(path)
        digest, size = _sha256(path), path.stat().st_size
    manifest = model.manifest(weights_sha256=digest, weights_bytes=size)
    text = json.dumps(asdict(manifest), indent=2)
    (folder / MANIFEST).write_text(f"{text}\n")
    write_overview(folder, NETLIST)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder / TOKENIZER)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
        if data["format"] != FORMAT:
            raise ArtifactError(
                f"{path} has another format",
                limit=f"format {FORMAT}",
                value=f"format {data['format']}",
                advice="compile the model again",
            )
        lm = data.pop("causal_lm")
        info = None if lm is None else CausalLMInfo(**_tuples(lm))
        found = data.pop("entries")
        entries = {name: EntryInfo(**_tuples(entry)) for name, entry in found.items()}
        return Manifest(**data, entries=entries, causal_lm=info)
    except (ValueError, TypeError, LookupError, AttributeError):
        raise ArtifactError(
            f"{path} is damaged", advice="compile the model again"
        ) from None


def _tuples(data: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}


def load(folder: Path | str, *, numerics: str = "fast") -> CompiledModel:
    """Load a compiled model; weights stay on disk until they are uploaded.

    `numerics` is `fast` or `exact` (bit for bit, slower).

    Raises `ForgeError` for a missing, cut or edited-into-nonsense artefact.
    """
    from forge.compiled_model import CompiledModel
    from runtime.weights import WeightsFile

    folder = Path(folder)
    manifest = read_manifest(folder)
    netlist = load_netlist(folder)
    weights = None
    if manifest.weights_sha256 is not None:
        _require_whole(folder / WEIGHTS, manifest)
        weights = WeightsFile(folder / WEIGHTS)
    return CompiledModel(
        netlist,
        weights,
        causal_lm=manifest.causal_lm,
        name=manifest.name,
        numerics=numerics,
        tokenizer=_tokenizer_in(folder),
    )


def load_netlist(place: Path) -> NetlistOp:
    """Read the netlist of an artefact, or one that stands alone, and check it.

    Raises `ForgeError` with all that is wrong with it, each with its line.
    """
    from dialects.checks import require_sound
    from dialects.chip import chip_names, load_chip
    from dialects.netlist_text import line_of, read_netlist

    path = place / NETLIST if place.is_dir() else place
    if not path.is_file():
        raise ArtifactError(
            f"{place} has no {NETLIST}",
            advice="compile one with `forge compile MODEL -o FOLDER`",
        )
    try:
        netlist = read_netlist(path)
    except UnicodeDecodeError:
        raise ArtifactError(
            f"{path} is not text", advice="compile the model again"
        ) from None
    chip = netlist.chip.data
    if chip not in chip_names():
        raise NetlistError(
            f"chip '{chip}' is not known",
            location=line_of(netlist),
            advice=f"use one of {', '.join(chip_names())}",
        )
    require_sound(netlist, load_chip(chip))
    return netlist


def _require_whole(path: Path, manifest: Manifest) -> None:
    """The weights are those that the manifest was written with."""
    advice = "compile the model again"
    if not path.is_file():
        raise ArtifactError(f"{path} is missing", advice=advice)
    size = path.stat().st_size
    if size != manifest.weights_bytes:
        raise ArtifactError(
            f"{path} is cut short, or another file",
            limit=f"{manifest.weights_bytes} bytes, as {MANIFEST} says",
            value=f"{size} bytes",
            advice=advice,
        )
    if _sha256(path) != manifest.weights_sha256:
        raise ArtifactError(
            f"{path} is damaged: its hash is not the one in {MANIFEST}", advice=advice
        )


def _tokenizer_in(folder: Path) -> Callable[[], Any] | None:
    """Reads the tokenizer of a folder that has one, when it is called."""
    has_one = (folder / TOKENIZER).is_dir()
    return partial(load_tokenizer_of, folder) if has_one else None


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
