"""Causal language models of Hugging Face: from a folder, a GGUF file or a hub.

transformers is imported when a model is first loaded.
"""

from __future__ import annotations

import json
import logging
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from socket import getaddrinfo
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from torch import nn

from forge.errors import ModelError, UsageError
from forge.frontends.gguf_reading import gguf_read_once
from forge.frontends.rotary_tables import require_known_rope
from forge.frontends.torch_export import Imported, export_program, import_program

ROOT = "causal_lm"
"""Where `CausalLMForward` keeps the model; names in the IR start below it."""

GGUF_SUFFIX = ".gguf"

UNREADABLE = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, RuntimeError),
    *(AttributeError, ArithmeticError, struct.error),
)
"""What transformers and gguf raise for files that are damaged or of another kind."""


class LoadedCausalLM(NamedTuple):
    """A model, its tokenizer if there is one, and its transformers config."""

    module: nn.Module
    tokenizer: Any | None
    config: Any


@dataclass(frozen=True)
class ModelSource:
    """Where a model lies; what transformers' `from_pretrained` wants to know."""

    name: str
    """A short name for people."""
    location: str
    """A folder, or a name on the hub."""
    gguf_file: str | None = None
    is_local: bool = True

    @property
    def path(self) -> str:
        """What a person would point at."""
        if self.gguf_file is None:
            return self.location
        return str(Path(self.location) / self.gguf_file)

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments for `from_pretrained`."""
        offline = self.is_local or not _hub_is_reachable()
        found: dict[str, Any] = {"local_files_only": offline}
        if self.gguf_file is not None:
            found["gguf_file"] = self.gguf_file
        return found


def _hub_is_reachable() -> bool:
    """Whether to ask the hub at all: its client tries for 24 s before it gives up."""
    from huggingface_hub.constants import ENDPOINT

    if getproxies():
        return True
    host = urlsplit(ENDPOINT).hostname
    try:
        return bool(getaddrinfo(host, "https"))
    except OSError:
        return False


class CausalLMForward(nn.Module):
    """A causal LM as a function from token ids to logits, ready to be exported.

    The mask is all ones: without one, transformers looks for several packed sequences
    in the ids, in ways that no exporter can follow.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.causal_lm = model

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Logits of shape 1 x T x vocabulary, for ids of shape 1 x T.

        In float32, as sampling takes them: close candidates must not become ties.
        """
        mask = torch.ones(input_ids.shape, dtype=torch.int64, device=input_ids.device)
        result = self.causal_lm(
            input_ids=input_ids, attention_mask=mask, use_cache=False
        )
        return result.logits.float()


def wrap_causal_lm(
    model: nn.Module, seq_len: int
) -> tuple[CausalLMForward, tuple[torch.Tensor]]:
    """A module to export, and sample inputs for it. Raises UsageError."""
    require_length(model.config, seq_len)
    device = next(model.parameters()).device
    ids = torch.zeros((1, seq_len), dtype=torch.int64, device=device)
    return CausalLMForward(model).eval(), (ids,)


def require_length(config: Any, seq_len: int) -> None:
    """Raise UsageError for a sequence that a model cannot have."""
    if seq_len < 1:
        raise UsageError(
            "a sequence has at least one token",
            value=f"sequence length {seq_len}",
            advice="choose a sequence length of 1 or more",
        )
    limit = getattr(config, "max_position_embeddings", None)
    if limit is not None and seq_len > limit:
        raise UsageError(
            "the sequence is longer than the model was trained for",
            limit=f"{limit} tokens (max_position_embeddings)",
            value=f"{seq_len} tokens",
            advice="choose a shorter sequence length",
        )


def import_causal_lm(
    model: nn.Module, *, seq_len: int, name: str = "model"
) -> Imported:
    """Export a causal LM at one sequence length and turn it into `ttir`."""
    module, sample_inputs = wrap_causal_lm(model, seq_len)
    program = export_program(module, sample_inputs)
    return import_program(program, name=name, root=ROOT)


def load_causal_lm(
    source: str | Path,
    *,
    dtype: torch.dtype = torch.bfloat16,
    random_weights: bool = False,
    no_weights: bool = False,
    seed: int = 0,
) -> LoadedCausalLM:
    """Load a causal LM.

    `source` is a folder with config.json and safetensors, a GGUF file, the name of an
    installed package that ships one GGUF file, or a name on the hub. With
    `random_weights`, drawn from `seed`, the folder needs config.json only; with
    `no_weights` the parameters have shapes but no values (device meta). Raises
    ModelError.
    """
    place = resolve_source(source)
    with _reading(place):
        config = _load_config(place)
        require_known_rope(config)
        if random_weights or no_weights:
            device = "meta" if no_weights else "cpu"
            module = _build(config, dtype, device=device, seed=seed)
        else:
            module = _load_weights(place, config, dtype)
        tokenizer = _load_tokenizer(place)
    return LoadedCausalLM(module.eval(), tokenizer, config)


def load_tokenizer(source: str | Path) -> Any | None:
    """The tokenizer of a model, or None if it has none. Raises ModelError."""
    place = resolve_source(source)
    with _reading(place):
        return _load_tokenizer(place)


def resolve_source(source: str | Path) -> ModelSource:
    """Find out what a source names. Raises ModelError for what cannot be there."""
    path = Path(source)
    if path.is_dir():
        return ModelSource(path.resolve().name, str(path))
    if path.is_file():
        if path.suffix != GGUF_SUFFIX:
            raise ModelError(
                f"{path} is neither a folder nor a GGUF file",
                advice="name the folder that holds config.json, or a .gguf file",
            )
        return _gguf_source(path)
    packaged = find_packaged_gguf(str(source))
    if packaged is not None:
        return _gguf_source(packaged)
    text = str(source)
    if text.startswith((".", "/", "~")) or text.endswith(GGUF_SUFFIX):
        raise ModelError(f"there is no {text}", advice="check the path of the model")
    return ModelSource(text.rsplit("/", 1)[-1], text, is_local=False)


def _gguf_source(path: Path) -> ModelSource:
    return ModelSource(path.stem, str(path.parent), gguf_file=path.name)


def find_packaged_gguf(package: str) -> Path | None:
    """The one GGUF file in an installed package, which is not imported."""
    name = package.replace("-", "_")
    spec = find_spec(name) if name.isidentifier() else None
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        files = sorted(Path(folder).glob(f"*{GGUF_SUFFIX}"))
        if len(files) == 1:
            return files[0]
    return None


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No warnings, progress bars and log lines of transformers and what it uses."""
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


@contextmanager
def _reading(place: ModelSource) -> Iterator[None]:
    """What goes around every use of transformers on a model."""
    with quiet_transformers(), _readable(place):
        once = nullcontext() if place.gguf_file is None else gguf_read_once()
        with once:
            yield


@contextmanager
def _readable(place: ModelSource) -> Iterator[None]:
    """Turn what transformers raises about a model into a ModelError."""
    from safetensors import SafetensorError

    try:
        yield
    except (*UNREADABLE, SafetensorError) as error:
        first = str(error).strip().split("\n", 1)[0]
        if place.is_local:
            raise ModelError(
                f"the model {place.name} cannot be read: {first}",
                location=place.path,
                advice="check that the download is complete and a causal LM",
            ) from error
        raise ModelError(
            f"{place.location} is no local folder, and no model hub gave it: {first}",
            advice="download the model and name its folder, or go online",
        ) from error


def _load_config(place: ModelSource) -> Any:
    from transformers import AutoConfig

    if place.is_local and place.gguf_file is None:
        _check_config_file(Path(place.location) / "config.json")
    return AutoConfig.from_pretrained(place.location, **place.arguments)


def _check_config_file(path: Path) -> None:
    if not path.is_file():
        raise ModelError(
            "the model folder has no config.json",
            location=str(path.parent),
            advice="name a folder in the layout of Hugging Face",
        )
    try:
        json.loads(path.read_text())
    except ValueError as error:
        raise ModelError(
            f"config.json is not JSON: {error}",
            location=str(path),
            advice="download the file again",
        ) from None


def _build(config: Any, dtype: torch.dtype, *, device: str, seed: int = 0) -> nn.Module:
    """The model with random weights, one set for each seed, or on the meta device."""
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng(devices=[]), torch.device(device):
        torch.manual_seed(seed)
        return AutoModelForCausalLM.from_config(config, dtype=dtype)


def _load_weights(place: ModelSource, config: Any, dtype: torch.dtype) -> nn.Module:
    from transformers import AutoModelForCausalLM

    from forge.frontends.safetensors_check import check_weights

    if place.is_local and place.gguf_file is None:
        check_weights(Path(place.location), _build(config, dtype, device="meta"))
    return AutoModelForCausalLM.from_pretrained(
        place.location, config=config, dtype=dtype, **place.arguments
    )


def _load_tokenizer(place: ModelSource) -> Any | None:
    from transformers import AutoTokenizer

    files = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model")
    folder = Path(place.location)
    is_folder = place.is_local and place.gguf_file is None
    if is_folder and not any((folder / file).exists() for file in files):
        return None
    return AutoTokenizer.from_pretrained(place.location, **place.arguments)
