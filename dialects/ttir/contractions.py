"""`ttir` ops that contract over a dimension, and the embedding lookup."""

from __future__ import annotations

from abc import ABC

from xdsl.dialects.builtin import BoolAttr, FloatAttr, TensorType, f32
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
)
from xdsl.utils.exceptions import VerifyException

from dialects.ttir.base import (
    F32_ATTR,
    TENSOR,
    UI32_ATTR,
    TTIROp,
    broadcast_shape,
    check_float,
    check_integer,
    check_same_element,
    check_shape,
    dims_text,
    element_of,
    shape_of,
)

_FALSE = BoolAttr.from_bool(False)
_TRUE = BoolAttr.from_bool(True)


def contraction_shape(
    a: tuple[int, ...], b: tuple[int, ...], *, transpose_a: bool, transpose_b: bool
) -> tuple[int, ...] | None:
    """The shape of a times b, or None where they do not fit.

    A vector is a row on the left and a column on the right, as in numpy.
    """
    if not a or not b:
        return None
    rows = a if len(a) > 1 else (1, *a)
    columns = b if len(b) > 1 else (*b, 1)
    m, k = (rows[-1], rows[-2]) if transpose_a else (rows[-2], rows[-1])
    k_b, n = (columns[-1], columns[-2]) if transpose_b else (columns[-2], columns[-1])
    batch = broadcast_shape(rows[:-2], columns[:-2])
    if k != k_b or batch is None:
        return None
    tail = (m,) * (len(a) > 1) + (n,) * (len(b) > 1)
    return (*batch, *tail)


class ContractionOp(TTIROp, ABC):
    """a times b over the last dimension of a and the last but one of b."""

    a = operand_def(TENSOR)
    b = operand_def(TENSOR)
    transpose_a = prop_def(BoolAttr, default_value=_FALSE)
    transpose_b = prop_def(BoolAttr, default_value=_FALSE)

    @property
    def transposes_a(self) -> bool:
        """Whether the last two dimensions of a are exchanged first."""
        return bool(self.transpose_a.value.data)

    @property
    def transposes_b(self) -> bool:
        """Whether the last two dimensions of b are exchanged first."""
        return bool(self.transpose_b.value.data)

    def product_shape(self) -> tuple[int, ...]:
        """The shape of the product."""
        a, b = shape_of(self.a), shape_of(self.b)
        shape = contraction_shape(
            a, b, transpose_a=self.transposes_a, transpose_b=self.transposes_b
        )
        if shape is None:
            raise VerifyException(
                f"{self.name}: {dims_text(a)}{'^T' * self.transposes_a} and "
                f"{dims_text(b)}{'^T' * self.transposes_b} do not multiply"
            )
        return shape

    def verify_(self) -> None:
        check_same_element(self, *self.operands, self.result)
        check_shape(self, self.result, self.product_shape())


def _product_type(
    a: SSAValue | Operation,
    b: SSAValue | Operation,
    *,
    transpose_a: bool,
    transpose_b: bool,
) -> TensorType[Attribute]:
    shape = contraction_shape(
        shape_of(a), shape_of(b), transpose_a=transpose_a, transpose_b=transpose_b
    )
    return TensorType(element_of(a), shape or ())


@irdl_op_definition
class MatmulOp(ContractionOp):
    """The matrix product, with batch dimensions that broadcast."""

    name = "ttir.matmul"

    def __init__(
        self,
        a: SSAValue | Operation,
        b: SSAValue | Operation,
        *,
        transpose_a: bool = False,
        transpose_b: bool = False,
    ) -> None:
        result_type = _product_type(
            a, b, transpose_a=transpose_a, transpose_b=transpose_b
        )
        super().__init__(
            operands=[a, b],
            result_types=[result_type],
            properties={
                "transpose_a": BoolAttr.from_bool(transpose_a),
                "transpose_b": BoolAttr.from_bool(transpose_b),
            },
        )


@irdl_op_definition
class LinearOp(ContractionOp):
    """The matrix product plus a bias along the last dimension."""

    name = "ttir.linear"

    # Stated again because xDSL puts the operands of a class before inherited ones.
    a = operand_def(TENSOR)
    b = operand_def(TENSOR)
    bias = opt_operand_def(TENSOR)

    def __init__(
        self,
        a: SSAValue | Operation,
        b: SSAValue | Operation,
        bias: SSAValue | Operation | None = None,
        *,
        transpose_a: bool = False,
        transpose_b: bool = False,
    ) -> None:
        result_type = _product_type(
            a, b, transpose_a=transpose_a, transpose_b=transpose_b
        )
        super().__init__(
            operands=[a, b, [] if bias is None else [bias]],
            result_types=[result_type],
            properties={
                "transpose_a": BoolAttr.from_bool(transpose_a),
                "transpose_b": BoolAttr.from_bool(transpose_b),
            },
        )

    def verify_(self) -> None:
        super().verify_()
        if self.bias is None:
            return
        shape = self.product_shape()
        if broadcast_shape(shape, shape_of(self.bias)) != shape:
            raise VerifyException(
                f"{self.name}: a bias of {dims_text(shape_of(self.bias))} does not "
                f"broadcast to {dims_text(shape)}"
            )


@irdl_op_definition
class EmbeddingOp(TTIROp):
    """Row `input[...]` of the weight for each index."""

    name = "ttir.embedding"

    input = operand_def(TENSOR)
    weight = operand_def(TENSOR)

    def __init__(
        self, input_: SSAValue | Operation, weight: SSAValue | Operation
    ) -> None:
        shape = (*shape_of(input_), shape_of(weight)[-1])
        super().__init__(
            operands=[input_, weight],
            result_types=[TensorType(element_of(weight), shape)],
        )

    def verify_(self) -> None:
        check_integer(self, self.input)
        check_same_element(self, self.weight, self.result)
        weight = shape_of(self.weight)
        if len(weight) != 2:
            raise VerifyException(
                f"{self.name}: the weight is a table of rows, got {dims_text(weight)}"
            )
        check_shape(self, self.result, (*shape_of(self.input), weight[1]))


@irdl_op_definition
class ScaledDotProductAttentionOp(TTIROp):
    """softmax(query key^T scale + mask) value.

    query is batch x heads x T x D; key and value are batch x kv heads x S x D, where
    the number of heads is a multiple of the number of kv heads (query head h reads
    kv head h floordiv (heads / kv heads)). `is_causal` lets position t see s <= t and
    needs T = S. Without `scale` it is 1 / sqrt(D). A mask of i1 keeps where it is one,
    one of floats is added.
    """

    name = "ttir.scaled_dot_product_attention"

    query = operand_def(TENSOR)
    key = operand_def(TENSOR)
    value = operand_def(TENSOR)
    attention_mask = opt_operand_def(TENSOR)
    attention_sink = opt_operand_def(TENSOR)
    is_causal = prop_def(BoolAttr, default_value=_TRUE)
    scale = opt_prop_def(F32_ATTR)
    sliding_window_size = opt_prop_def(UI32_ATTR)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def __init__(
        self,
        query: SSAValue | Operation,
        key: SSAValue | Operation,
        value: SSAValue | Operation,
        mask: SSAValue | Operation | None = None,
        *,
        is_causal: bool,
        scale: float | None,
    ) -> None:
        shape = (*shape_of(query)[:-1], shape_of(value)[-1])
        super().__init__(
            operands=[query, key, value, [] if mask is None else [mask], []],
            result_types=[TensorType(element_of(query), shape)],
            properties={
                "is_causal": BoolAttr.from_bool(is_causal),
                "scale": None if scale is None else FloatAttr(scale, f32),
            },
        )

    @property
    def causal(self) -> bool:
        """Whether each position sees only itself and earlier ones."""
        return bool(self.is_causal.value.data)

    @property
    def softmax_scale(self) -> float:
        """The factor on query times key."""
        if self.scale is None:
            return shape_of(self.query)[-1] ** -0.5
        return self.scale.value.data

    def verify_(self) -> None:
        check_float(self, self.query)
        check_same_element(self, self.query, self.key, self.value, self.result)
        query, key, value = map(shape_of, (self.query, self.key, self.value))
        if not len(query) == len(key) == len(value) == 4:
            raise VerifyException(
                f"{self.name}: query, key and value are batch x heads x rows x columns"
            )
        batch, heads, rows, width = query
        self._verify_keys(query, key, value)
        check_shape(self, self.key, (batch, key[1], key[2], width))
        check_shape(self, self.result, (batch, heads, rows, value[3]))
        if self.attention_mask is not None:
            self._verify_mask((batch, heads, rows, key[2]))

    def _verify_keys(
        self, query: tuple[int, ...], key: tuple[int, ...], value: tuple[int, ...]
    ) -> None:
        check_shape(self, self.value, (*key[:3], value[3]))
        if key[1] == 0 or query[1] % key[1]:
            raise VerifyException(
                f"{self.name}: {query[1]} heads are no multiple of {key[1]} kv heads"
            )
        if self.causal and query[2] != key[2]:
            raise VerifyException(
                f"{self.name}: causal attention of {query[2]} rows over {key[2]} keys"
            )

    def _verify_mask(self, scores: tuple[int, ...]) -> None:
        assert self.attention_mask is not None
        mask = shape_of(self.attention_mask)
        if self.causal:
            raise VerifyException(f"{self.name}: causal and a mask exclude each other")
        if broadcast_shape(mask, scores) != scores:
            raise VerifyException(
                f"{self.name}: a mask of {dims_text(mask)} does not broadcast to "
                f"{dims_text(scores)}"
            )
