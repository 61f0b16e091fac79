"""A causal LM as functions that share weights and a key-value cache.

Each prefill runs the prompt of one user, of a fixed length, and fills the cache; decode
runs one token for each user. The users of a decode step are the rows of one sequence,
so that whatever a model does to each token alone sees one matrix, and only attention
and rotary embedding know of positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr

from forge.errors import FaultsError, ForgeError, UnsupportedError, UsageError
from forge.frontends.cache_attention import (
    CacheRun,
    CacheShape,
    cache_attention,
    foreign_attention,
    require_plain_attention,
)
from forge.frontends.equal_layers import (
    EqualLayers,
    LayersDifferError,
    equal_layers,
    first_layer_only,
)
from forge.frontends.huggingface import ROOT, quiet_transformers, require_length
from forge.frontends.rotary_tables import require_fixed_rope, rotary_by_lookup
from forge.frontends.torch_export import (
    NAME,
    ImportedFunction,
    Signature,
    export_program,
    import_function,
)

MAX_BATCH = 32
"""Users of a decode step: they fill the rows of one tile."""

LAYER_TYPES = ("full_attention", "sliding_attention")
"""Kinds of layers, as configs name them, whose masks we know."""


@dataclass(frozen=True)
class ImportedGeneration:
    """A module with a function for each prefill length and one that decodes.

    Their arguments: the inputs, the caches, then weights and constants, which have one
    name in all functions. The caches are no results; they are written in place.
    """

    module: ModuleOp
    values: dict[str, Tensor]
    """Parameters and constants by argument name; the model's tensors, not copies."""
    prefill: dict[int, str]
    """Prompt length -> function (input_ids 1xT, last 1[, user 1]) -> logits 1x1xV of
    the row `last`. It has a `user` if the batch is more than one."""
    decode: str
    """The function (input_ids 1xB, positions B) -> logits 1xBxV; users are rows, so
    that 32 of them fill one tile."""
    cache: CacheShape


class _Entry(nn.Module):
    """A way into a causal LM, ready to be exported."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.causal_lm = model

    def run(self, run: CacheRun, **inputs: Tensor) -> tuple[Tensor, ...]:
        """The logits, then the new caches.

        In float32, as sampling takes them: close candidates must not become ties.
        """
        result = self.causal_lm(**inputs, use_cache=False, cache_run=run)
        if len(run.seen) * 2 != len(run.caches):
            raise foreign_attention(self.causal_lm)
        return (result.logits.float(), *run.caches)


class _Decode(_Entry):
    def forward(
        self, input_ids: Tensor, positions: Tensor, *caches: Tensor
    ) -> tuple[Tensor, ...]:
        run = CacheRun(list(caches), positions=positions)
        return self.run(run, input_ids=input_ids, position_ids=positions[None])


class _Prefill(_Entry):
    def forward(
        self, input_ids: Tensor, last: Tensor, *caches: Tensor
    ) -> tuple[Tensor, ...]:
        run = CacheRun(list(caches))
        return self.run(run, input_ids=input_ids, logits_to_keep=last)


class _PrefillUser(_Entry):
    def forward(
        self, input_ids: Tensor, last: Tensor, user: Tensor, *caches: Tensor
    ) -> tuple[Tensor, ...]:
        run = CacheRun(list(caches), user=user)
        return self.run(run, input_ids=input_ids, logits_to_keep=last)


_Job: TypeAlias = tuple[str, _Entry, tuple[tuple[int, ...], ...]]
"""A function's name, the module to trace, the shapes of its integer inputs."""


def import_generation(
    model: nn.Module,
    *,
    prefill_lengths: Sequence[int],
    cache_length: int,
    batch: int = 1,
    name: str = "model",
) -> ImportedGeneration:
    """Export a causal LM of transformers as prefill and decode and turn it into `ttir`.

    The functions are @decode and @prefill, or @prefill_<length> where there are
    several. Works on the meta device too. Raises UsageError for lengths and batches
    that cannot be, UnsupportedError for a model whose attention or rotary embedding we
    lack, and FaultsError with all ops that have no importer.
    """
    lengths = tuple(sorted(set(prefill_lengths)))
    cache = require_generation(
        model, prefill_lengths=lengths, cache_length=cache_length, batch=batch
    )
    titles = {
        length: "prefill" if len(lengths) == 1 else f"prefill_{length}"
        for length in lengths
    }
    prefill = _Prefill if batch == 1 else _PrefillUser
    scalars = ((1,),) if batch == 1 else ((1,), (1,))
    jobs: list[_Job] = [("decode", _Decode(model), ((1, batch), (batch,)))]
    for length, title in titles.items():
        jobs.append((title, prefill(model), ((1, length), *scalars)))
    try:
        functions = _import_functions(jobs, cache, name, equal_layers(model))
    except (LayersDifferError, FaultsError):  # trace all, and count what is in each
        functions = _import_functions(jobs, cache, name, None)
    values = _share_values(functions)
    module = ModuleOp([f.function for f in functions], sym_name=StringAttr(name))
    return ImportedGeneration(module, values, titles, "decode", cache)


def require_generation(
    model: nn.Module, *, prefill_lengths: Sequence[int], cache_length: int, batch: int
) -> CacheShape:
    """The cache of a model. Raises what `import_generation` raises, before any work."""
    config: Any = model.config
    if not 1 <= batch <= MAX_BATCH:
        raise UsageError(
            "a decode step serves the users of one tile",
            limit=f"1 to {MAX_BATCH} users",
            value=f"batch {batch}",
            advice="run larger batches one after another",
        )
    require_length(config, cache_length)
    for length in prefill_lengths:
        if not 1 <= length <= cache_length:
            raise UsageError(
                "a prefill does not fit the cache",
                limit=f"1 to {cache_length} tokens (the cache length)",
                value=f"{length} tokens",
                advice="choose a longer cache or a shorter prefill",
            )
    if not prefill_lengths:
        raise UsageError(
            "there is no prefill length", advice="name the prompt lengths to compile"
        )
    _require_layers(config, cache_length)
    require_fixed_rope(model)
    return _cache_shape(config, length=cache_length, batch=batch)


def _require_layers(config: Any, length: int) -> None:
    """Masks are made outside the attention, so only the config tells of them."""
    kinds = getattr(config, "layer_types", None) or ()
    strangers = [kind for kind in kinds if kind not in LAYER_TYPES]
    if strangers:
        raise UnsupportedError(
            f"layers of type '{strangers[0]}' are not supported",
            limit=", ".join(LAYER_TYPES),
            advice="use a decoder with full attention",
        )
    if "sliding_attention" in kinds:
        window = getattr(config, "sliding_window", None)
        require_plain_attention({}, sliding_window=window, length=length)


def _cache_shape(config: Any, *, length: int, batch: int) -> CacheShape:
    heads = config.num_attention_heads
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    return CacheShape(config.num_hidden_layers, batch, kv_heads, length, width)


def _import_functions(
    jobs: Sequence[_Job],
    cache: CacheShape,
    name: str,
    layers: EqualLayers | None,
) -> list[ImportedFunction]:
    """Trace and import each entry; raises FaultsError with the faults of all.

    With `layers` only the first of them; raises LayersDifferError where that will not
    do.
    """
    model = jobs[0][1].causal_lm
    weight = next(model.parameters())
    samples = cache.samples(dtype=weight.dtype, device=weight.device)
    arguments = [f"caches_{i}" for i in range(len(samples))]
    names = dict(zip(arguments, cache.names, strict=True))
    functions: list[ImportedFunction] = []
    faults: dict[str, ForgeError] = {}
    tables = rotary_by_lookup(model, length=cache.length, dtype=weight.dtype)
    once = first_layer_only(layers)
    with quiet_transformers(), cache_attention(model), tables, once:
        for title, entry, shapes in jobs:
            integers = [
                torch.zeros(shape, dtype=torch.int32, device=weight.device)
                for shape in shapes
            ]
            program = export_program(entry.eval(), (*integers, *samples))
            signature = Signature(title, names)
            try:
                found = import_function(
                    program, signature, title=name, root=ROOT, layers=layers
                )
            except FaultsError as error:
                faults |= {str(fault): fault for fault in error.faults}
            else:
                functions.append(found)
    if faults:
        raise FaultsError(
            f"{name} holds operations that forge cannot compile", list(faults.values())
        )
    return functions


def _share_values(functions: Sequence[ImportedFunction]) -> dict[str, Tensor]:
    """The values of all functions; what has the name of another tensor is renamed."""
    values: dict[str, Tensor] = {}
    for found in functions:
        title = found.function.sym_name.data
        changed: dict[str, str] = {}
        for name, value in found.values.items():
            known = values.setdefault(name, value)
            if known.data_ptr() != value.data_ptr() or known.shape != value.shape:
                changed[name] = f"{title}.{name}"
                values[changed[name]] = value
        if changed:
            _rename_arguments(found, changed)
    return values


def _rename_arguments(found: ImportedFunction, changed: dict[str, str]) -> None:
    assert found.function.arg_attrs is not None
    entries = []
    for entry in found.function.arg_attrs:
        name = entry.data[NAME]
        assert isinstance(name, StringAttr)
        renamed = StringAttr(changed.get(name.data, name.data))
        entries.append(DictionaryAttr(dict(entry.data) | {NAME: renamed}))
    found.function.properties["arg_attrs"] = ArrayAttr(entries)
