"""PyTorch ops on a key-value cache, which `torch.export` keeps whole.

They are pure: each write yields a new cache, so that tracing and decomposing lose and
reorder nothing. On import they become the `ttir` ops that write in place. Shapes: cache
B x kv heads x S x D, rows 1 x kv heads x N x D, query 1 x B x heads x D.
"""

from __future__ import annotations

import torch
from torch import Tensor


@torch.library.custom_op("forge::fill_cache", mutates_args=())
def fill_cache(cache: Tensor, rows: Tensor, user: Tensor | None) -> Tensor:
    """The cache with the rows of one user at positions 0, 1, ...; user 0 if None."""
    result = cache.clone()
    result[0 if user is None else int(user), :, : rows.shape[2]] = rows[0]
    return result


@fill_cache.register_fake
def _(cache: Tensor, rows: Tensor, user: Tensor | None) -> Tensor:
    return torch.empty_like(cache)


@torch.library.custom_op("forge::update_cache", mutates_args=())
def update_cache(cache: Tensor, rows: Tensor, positions: Tensor) -> Tensor:
    """The cache with row i written for user i, at that user's position."""
    result = cache.clone()
    users = torch.arange(cache.shape[0], device=cache.device)
    result[users, :, positions] = rows[0].transpose(0, 1)
    return result


@update_cache.register_fake
def _(cache: Tensor, rows: Tensor, positions: Tensor) -> Tensor:
    return torch.empty_like(cache)


@torch.library.custom_op("forge::attention_decode", mutates_args=())
def attention_decode(
    query: Tensor, key: Tensor, value: Tensor, positions: Tensor, scale: float
) -> Tensor:
    """Attention of one token of each user to its cache up to the token's position."""
    seen = torch.arange(key.shape[2], device=key.device) <= positions[:, None]
    result = torch.nn.functional.scaled_dot_product_attention(
        query.permute(1, 2, 0, 3),
        key,
        value,
        attn_mask=seen[:, None, None],
        scale=scale,
        enable_gqa=True,
    )
    return result.permute(2, 0, 1, 3).contiguous()


@attention_decode.register_fake
def _(
    query: Tensor, key: Tensor, value: Tensor, positions: Tensor, scale: float
) -> Tensor:
    return query.new_empty((*query.shape[:-1], value.shape[-1]))
