"""Importers of the ATen ops that normalise, contract or look up."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import i1
from xdsl.ir import SSAValue

from dialects import ttir
from forge.errors import UnsupportedError
from forge.frontends.graph_builder import GraphBuilder, Number, Value
from forge.frontends.importers import importer


@importer("aten.softmax.int", "aten._softmax.default")
def _softmax(
    builder: GraphBuilder,
    self: Value,
    dim: int,
    dtype: object = None,
) -> SSAValue:
    value = builder.cast(self, builder.result_element)
    return builder.emit(ttir.SoftmaxOp(value, dim % len(builder.result_shape)))


@importer("aten.log_softmax.int", "aten._log_softmax.default")
def _log_softmax(
    builder: GraphBuilder, self: Value, dim: int, dtype: object = None
) -> SSAValue:
    return builder.emit(ttir.LogOp(_softmax(builder, self, dim, dtype)))


@importer("aten.rms_norm.default")
def _rms_norm(
    builder: GraphBuilder,
    input: Value,  # noqa: A002
    normalized_shape: Sequence[int],
    weight: Value | None = None,
    eps: float | None = None,
) -> SSAValue:
    epsilon = 2.0**-23 if eps is None else eps
    return builder.emit(
        ttir.RMSNormOp(
            input, weight, normalized_shape=normalized_shape, epsilon=epsilon
        )
    )


@importer("aten.layer_norm.default")
def _layer_norm(
    builder: GraphBuilder,
    input: Value,  # noqa: A002
    normalized_shape: Sequence[int],
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-05,
    cudnn_enable: bool = True,
) -> SSAValue:
    return builder.emit(
        ttir.LayerNormOp(
            input, weight, bias, normalized_shape=normalized_shape, epsilon=eps
        )
    )


@importer("aten.linear.default")
def _linear(
    builder: GraphBuilder,
    input: Value,  # noqa: A002
    weight: Value,
    bias: Value | None = None,
) -> SSAValue:
    return builder.emit(ttir.LinearOp(input, weight, bias, transpose_b=True))


@importer("aten.matmul.default", "aten.mm.default", "aten.bmm.default")
def _matmul(builder: GraphBuilder, self: Value, other: Value) -> SSAValue:
    return builder.emit(ttir.MatmulOp(self, other))


@importer("aten.addmm.default", "aten.baddbmm.default")
def _addmm(
    builder: GraphBuilder,
    self: Value,
    mat1: Value,
    mat2: Value,
    *,
    beta: Number = 1,
    alpha: Number = 1,
) -> SSAValue:
    if (beta, alpha) != (1, 1):
        raise UnsupportedError(
            f"addmm with beta {beta} and alpha {alpha} is not supported",
            advice="write the scaling as a multiplication",
        )
    return builder.emit(ttir.LinearOp(mat1, mat2, self))


@importer("aten.embedding.default")
def _embedding(
    builder: GraphBuilder,
    weight: Value,
    indices: Value,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> SSAValue:
    """The ignored arguments matter to training only."""
    return builder.emit(ttir.EmbeddingOp(indices, weight))


@importer("aten.scaled_dot_product_attention.default")
def _attention(
    builder: GraphBuilder,
    query: Value,
    key: Value,
    value: Value,
    attn_mask: Value | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> SSAValue:
    """`ttir` allows grouped heads always, so `enable_gqa` has nothing to say."""
    if dropout_p != 0.0:
        raise UnsupportedError(
            f"attention with dropout {dropout_p} is not supported",
            advice="call .eval() on the module before exporting it",
        )
    scale = ttir.shape_of(query)[-1] ** -0.5 if scale is None else scale
    if attn_mask is not None and ttir.element_of(attn_mask) != i1:
        attn_mask = builder.cast(attn_mask, ttir.element_of(query))
    op = ttir.ScaledDotProductAttentionOp(
        _with_heads(builder, query),
        _with_heads(builder, key),
        _with_heads(builder, value),
        attn_mask,
        is_causal=is_causal,
        scale=scale,
    )
    return builder.reshape(builder.emit(op), builder.result_shape)


def _with_heads(builder: GraphBuilder, value: Value) -> SSAValue:
    """A tensor of rank 3 with a head dimension put in, as attention wants it."""
    shape = ttir.shape_of(value)
    if len(shape) != 3:
        return value
    return builder.reshape(value, (shape[0], 1, *shape[1:]))
