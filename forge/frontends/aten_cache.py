"""Importers of the ops on a key-value cache, and of lookups by a tensor of indices."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xdsl.ir import SSAValue

from dialects import ttir
from forge.errors import UnsupportedError
from forge.frontends.graph_builder import GraphBuilder, Value
from forge.frontends.importers import importer


@importer("forge.fill_cache.default")
def _fill_cache(
    builder: GraphBuilder, cache: Value, rows: Value, user: Value | None = None
) -> SSAValue:
    return builder.emit(ttir.FillCacheOp(cache, rows, user))


@importer("forge.update_cache.default")
def _update_cache(
    builder: GraphBuilder, cache: Value, rows: Value, positions: Value
) -> SSAValue:
    return builder.emit(ttir.UpdateCacheOp(cache, rows, positions))


@importer("forge.attention_decode.default")
def _attention_decode(
    builder: GraphBuilder,
    query: Value,
    key: Value,
    value: Value,
    positions: Value,
    scale: float,
) -> SSAValue:
    return builder.emit(
        ttir.ScaledDotProductAttentionDecodeOp(
            query, key, value, positions, scale=scale
        )
    )


@importer("forge.layer_begin.default")
def _layer_begin(builder: GraphBuilder, hidden: Value) -> SSAValue:
    return builder.layers.begin(hidden)


@importer("forge.layer_end.default")
def _layer_end(builder: GraphBuilder, hidden: Value) -> SSAValue:
    return builder.layers.end(hidden)


@importer("forge.layer_again.default")
def _layer_again(builder: GraphBuilder, hidden: Value, index: int) -> SSAValue:
    return builder.layers.again(hidden, index)


@importer("aten.index.Tensor")
def _index(
    builder: GraphBuilder, self: Value, indices: Sequence[Value | None]
) -> SSAValue:
    """One tensor of row numbers, for the last dimension but one."""
    shape = ttir.shape_of(self)
    given = [axis for axis, index in enumerate(indices) if index is not None]
    rows = indices[given[0]] if given else None
    leading = prod(shape[:-2])
    if rows is None or given != [len(shape) - 2] or leading != 1:
        raise UnsupportedError(
            "indexing with tensors is supported for one dimension, the last but one, "
            "where those before it have extent 1",
            advice="index with a slice, or look rows up with an embedding",
        )
    return _rows(builder, self, rows)


@importer("aten.index_select.default")
def _index_select(
    builder: GraphBuilder, self: Value, dim: int, index: Value
) -> SSAValue:
    shape = ttir.shape_of(self)
    if dim % len(shape) != len(shape) - 2 or prod(shape[:-2]) != 1:
        raise UnsupportedError(
            "index_select is supported for the last dimension but one, where those "
            "before it have extent 1",
            advice="permute the tensor first",
        )
    return _rows(builder, self, index)


def _rows(builder: GraphBuilder, value: Value, index: Value) -> SSAValue:
    """Rows of the last two dimensions, by their numbers."""
    table = builder.reshape(value, ttir.shape_of(value)[-2:])
    found = builder.emit(ttir.EmbeddingOp(index, table))
    return builder.reshape(found, builder.result_shape)
