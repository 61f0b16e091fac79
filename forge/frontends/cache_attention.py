"""The attention that a causal LM is traced with: it writes and reads a key-value cache.

transformers calls it with the tensors that any of its implementations gets, whatever
the model; what a model asks of its attention beyond softmax(q k^T scale) v is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from forge.errors import UnsupportedError
from forge.frontends.cache_ops import attention_decode, fill_cache, update_cache
from forge.frontends.equal_layers import FirstIndex

ATTENTION = "forge_cache"
"""Our name in transformers' table of attention implementations."""

WITHOUT_MEANING = frozenset(
    {"position_ids", "cache_position", "use_cache", "dropout", "output_attentions"}
    | {"output_hidden_states", "past_key_values", "return_dict"}
)
"""What models hand to their attention that says nothing about its result."""


@dataclass(frozen=True)
class CacheShape:
    """The cache of a model: keys and values of each layer."""

    layers: int
    batch: int
    kv_heads: int
    length: int
    width: int
    """The head dimension."""

    @property
    def names(self) -> tuple[str, ...]:
        """`layers.0.key_cache`, `layers.0.value_cache`, ..."""
        kinds = ("key_cache", "value_cache")
        return tuple(f"layers.{i}.{kind}" for i in range(self.layers) for kind in kinds)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of each tensor: batch, kv heads, length, head dimension."""
        return self.batch, self.kv_heads, self.length, self.width

    def samples(self, *, dtype: torch.dtype, device: torch.device) -> list[Tensor]:
        """Tensors of the right shape that take no memory, in the order of the names."""
        return [
            torch.zeros((), dtype=dtype, device=device).expand(self.shape)
            for _ in self.names
        ]


@dataclass
class CacheRun:
    """What one trace knows of the cache; attention finds it among its keywords."""

    caches: list[Tensor]
    """The newest caches, key and value of layer 0, of layer 1, ..."""
    positions: Tensor | None = None
    """In decode, the position of each user's token; None in prefill."""
    user: Tensor | None = None
    """In prefill, whose prompt it is; user 0 if None."""
    seen: set[int] = field(default_factory=set)
    """The layers that came by."""

    @property
    def length(self) -> int:
        """The positions that the cache has room for."""
        return self.caches[0].shape[2]

    def attend(
        self, layer: int, tensors: tuple[Tensor, Tensor, Tensor], scale: float
    ) -> Tensor:
        """Write the cache and attend: 1 x heads x N x D to 1 x N x heads x D."""
        query, key, value = tensors
        place = slice(2 * layer, 2 * layer + 2)
        written = [
            self._write(cache, rows)
            for cache, rows in zip(self.caches[place], (key, value), strict=True)
        ]
        self.caches[place] = written
        self.seen.add(layer)
        if self.positions is not None:
            query = query.transpose(1, 2)
            return attention_decode(query, *written, self.positions, scale)
        return nn.functional.scaled_dot_product_attention(
            query, key, value, is_causal=True, scale=scale, enable_gqa=True
        ).transpose(1, 2)

    def _write(self, cache: Tensor, rows: Tensor) -> Tensor:
        if (rows.shape[1], rows.shape[3]) != (cache.shape[1], cache.shape[3]):
            raise UnsupportedError(
                "the keys and values of the model are not those of its config",
                limit=f"{cache.shape[1]} kv heads of {cache.shape[3]}",
                value=f"{rows.shape[1]} of {rows.shape[3]}",
                advice="use a decoder with one kind of attention in all layers",
            )
        if self.positions is not None:
            return update_cache(cache, rows, self.positions)
        return fill_cache(cache, rows, self.user)


def require_plain_attention(
    settings: dict[str, Any], *, sliding_window: int | None, length: int
) -> None:
    """Raise UnsupportedError for keywords of attention that change its result."""
    if sliding_window is not None and sliding_window < length:
        raise UnsupportedError(
            "attention through a sliding window is not supported",
            limit=f"a cache of {sliding_window} tokens, which the window covers",
            value=f"{length} tokens",
            advice="choose a cache no longer than the window",
        )
    if settings.pop("is_causal", None) is False:
        raise UnsupportedError(
            "attention that is not causal has no decode step",
            advice="compile the model as a module, with forge.compile",
        )
    for name, setting in settings.items():
        is_off = setting is None or setting is False
        if name not in WITHOUT_MEANING and not is_off:
            raise UnsupportedError(
                f"attention with '{name}' is not supported",
                value=type(setting).__name__,
                advice="use a model whose attention is softmax(q k^T scale) v",
            )


def foreign_attention(module: nn.Module) -> UnsupportedError:
    """The error for a model that our attention cannot be put into."""
    return UnsupportedError(
        f"{type(module).__name__} computes attention in a way of its own",
        advice="use a decoder whose every layer runs with sdpa attention",
    )


def _cache_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    cache_run: CacheRun | None = None,
    **settings: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it."""
    if cache_run is None or attention_mask is not None:
        raise foreign_attention(module)
    require_plain_attention(
        settings, sliding_window=sliding_window, length=cache_run.length
    )
    found: Any = module.layer_idx
    layer = found.value if isinstance(found, FirstIndex) else found
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return cache_run.attend(layer, (query, key, value), scale), None


@contextmanager
def cache_attention(model: nn.Module) -> Iterator[None]:
    """Put our attention into a model meanwhile. Raises UnsupportedError."""
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, _cache_attention)
    known: Any = model
    before = known.config._attn_implementation
    known.set_attn_implementation(ATTENTION)
    try:
        if known.config._attn_implementation != ATTENTION:
            raise foreign_attention(model)
        yield
    finally:
        known.set_attn_implementation(before)
