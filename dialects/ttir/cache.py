"""`ttir` ops on a key-value cache: fill it, update it, attend to it.

A cache is batch x kv heads x length x head dimension. It is a function argument with
`ttcore.kv_cache`. `fill_cache` and `update_cache` write it in place: their result is
the cache itself, so that what reads it afterwards stands behind the write.

Source: tt-mlir, include/ttmlir/Dialect/TTIR/IR/TTIROps.td, and the verifiers in
lib/Dialect/TTIR/IR/TTIROps.cpp.
"""

from __future__ import annotations

from abc import ABC

from xdsl.dialects.builtin import BoolAttr, FloatAttr, IntegerAttr, TensorType, f32, i32
from xdsl.ir import Operation, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import MemoryWriteEffect
from xdsl.utils.exceptions import VerifyException

from dialects.ttir.base import (
    F32_ATTR,
    I32_ATTR,
    TENSOR,
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

_TRUE = BoolAttr.from_bool(True)


def _check_rank_4(op: Operation, **values: SSAValue) -> None:
    for name, value in values.items():
        if len(shape_of(value)) != 4:
            raise VerifyException(
                f"{op.name}: {name} has four dimensions, got "
                f"{dims_text(shape_of(value))}"
            )


class CacheWriteOp(IRDLOperation, ABC):
    """Writes rows of a cache in place; the result is the cache after that.

    `batch_offset` counts users: the rows of user i go to user i + batch_offset.
    """

    cache = operand_def(TENSOR)
    input = operand_def(TENSOR)
    batch_offset = prop_def(I32_ATTR)
    result = result_def(TENSOR)

    traits = traits_def(MemoryWriteEffect())

    @property
    def first_user(self) -> int:
        """The user at which writing starts, as far as it is known while compiling."""
        return self.batch_offset.value.data

    def verify_(self) -> None:
        check_same_element(self, self.cache, self.input, self.result)
        _check_rank_4(self, cache=self.cache, input=self.input)
        check_shape(self, self.result, shape_of(self.cache))
        cache, rows = shape_of(self.cache), shape_of(self.input)
        if (rows[0], rows[1], rows[3]) != (1, cache[1], cache[3]):
            raise VerifyException(
                f"{self.name}: a cache of {dims_text(cache)} takes rows of "
                f"1x{cache[1]}xNx{cache[3]}, got {dims_text(rows)}"
            )

    def verify_users(self, count: int) -> None:
        """Demand that the users written to are users of the cache."""
        users = shape_of(self.cache)[0]
        if self.first_user < 0 or self.first_user + count > users:
            raise VerifyException(
                f"{self.name}: {count} users from {self.first_user} on are outside a "
                f"cache of {users}"
            )


@irdl_op_definition
class FillCacheOp(CacheWriteOp):
    """Writes T rows of one user, from position 0 on.

    The input is 1 x kv heads x T x head dimension. `batch_index`, one integer, names
    the user while running, relative to `batch_offset`; the vendor's op has no such
    operand and always writes user `batch_offset`, as ours does without one.
    """

    name = "ttir.fill_cache"

    # Stated again because xDSL puts the operands of a class before inherited ones.
    cache = operand_def(TENSOR)
    input = operand_def(TENSOR)
    batch_index = opt_operand_def(TENSOR)

    def __init__(
        self,
        cache: SSAValue | Operation,
        input_: SSAValue | Operation,
        batch_index: SSAValue | Operation | None = None,
        *,
        batch_offset: int = 0,
    ) -> None:
        super().__init__(
            operands=[cache, input_, [] if batch_index is None else [batch_index]],
            result_types=[SSAValue.get(cache).type],
            properties={"batch_offset": IntegerAttr(batch_offset, i32)},
        )

    def verify_(self) -> None:
        super().verify_()
        self.verify_users(1)
        rows, length = shape_of(self.input)[2], shape_of(self.cache)[2]
        if rows > length:
            raise VerifyException(
                f"{self.name}: {rows} rows do not fit a cache of {length}"
            )
        if self.batch_index is not None:
            check_integer(self, self.batch_index)
            check_shape(self, self.batch_index, (1,))


@irdl_op_definition
class UpdateCacheOp(CacheWriteOp):
    """Writes one row of each user, at a position that is known while running.

    The input is 1 x kv heads x users x head dimension. `update_index` holds a position
    for each user, or one for all of them.
    """

    name = "ttir.update_cache"

    cache = operand_def(TENSOR)
    input = operand_def(TENSOR)
    update_index = operand_def(TENSOR)

    def __init__(
        self,
        cache: SSAValue | Operation,
        input_: SSAValue | Operation,
        update_index: SSAValue | Operation,
        *,
        batch_offset: int = 0,
    ) -> None:
        super().__init__(
            operands=[cache, input_, update_index],
            result_types=[SSAValue.get(cache).type],
            properties={"batch_offset": IntegerAttr(batch_offset, i32)},
        )

    def verify_(self) -> None:
        super().verify_()
        users = shape_of(self.input)[2]
        self.verify_users(users)
        check_integer(self, self.update_index)
        if shape_of(self.update_index) not in ((1,), (users,)):
            raise VerifyException(
                f"{self.name}: update_index holds 1 or {users} positions, got "
                f"{dims_text(shape_of(self.update_index))}"
            )


@irdl_op_definition
class ScaledDotProductAttentionDecodeOp(TTIROp):
    """softmax(query key^T scale) value, for one token of each user over its cache.

    query is 1 x users x heads x D; key and value are users x kv heads x S x D, where
    the number of heads is a multiple of the number of kv heads (query head h reads kv
    head h floordiv (heads / kv heads)). `cur_pos_tensor` holds the position of each
    user's token; with `is_causal` the user sees rows 0 to that position, itself
    included. Without `is_causal` a mask of users x 1 x heads x S says what is seen: one
    of i1 keeps where it is one, one of floats is added. Without `scale` it is
    1 / sqrt(D). The result has the shape of the query.
    """

    name = "ttir.scaled_dot_product_attention_decode"

    query = operand_def(TENSOR)
    key = operand_def(TENSOR)
    value = operand_def(TENSOR)
    attention_mask = opt_operand_def(TENSOR)
    cur_pos_tensor = operand_def(TENSOR)
    attention_sink = opt_operand_def(TENSOR)
    is_causal = prop_def(BoolAttr, default_value=_TRUE)
    scale = opt_prop_def(F32_ATTR)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def __init__(
        self,
        query: SSAValue | Operation,
        key: SSAValue | Operation,
        value: SSAValue | Operation,
        positions: SSAValue | Operation,
        *,
        scale: float | None,
    ) -> None:
        shape = (*shape_of(query)[:-1], shape_of(value)[-1])
        super().__init__(
            operands=[query, key, value, [], positions, []],
            result_types=[TensorType(element_of(query), shape)],
            properties={
                "is_causal": _TRUE,
                "scale": None if scale is None else FloatAttr(scale, f32),
            },
        )

    @property
    def causal(self) -> bool:
        """Whether each user sees the rows up to its position only."""
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
        _check_rank_4(self, query=self.query, key=self.key, value=self.value)
        one, users, heads, width = shape_of(self.query)
        if one != 1:
            raise VerifyException(
                f"{self.name}: query is 1 x users x heads x columns, got "
                f"{dims_text(shape_of(self.query))}"
            )
        key, value = shape_of(self.key), shape_of(self.value)
        check_shape(self, self.key, (users, *key[1:3], width))
        check_shape(self, self.value, (*key[:3], value[3]))
        check_shape(self, self.result, (1, users, heads, value[3]))
        if key[1] == 0 or heads % key[1]:
            raise VerifyException(
                f"{self.name}: {heads} heads are no multiple of {key[1]} kv heads"
            )
        check_integer(self, self.cur_pos_tensor)
        check_shape(self, self.cur_pos_tensor, (users,))
        self._verify_mask((users, 1, heads, key[2]))

    def _verify_mask(self, scores: tuple[int, ...]) -> None:
        if self.attention_mask is None:
            return
        mask = shape_of(self.attention_mask)
        if self.causal:
            raise VerifyException(f"{self.name}: causal and a mask exclude each other")
        if broadcast_shape(mask, scores) != scores:
            raise VerifyException(
                f"{self.name}: a mask of {dims_text(mask)} does not broadcast to "
                f"{dims_text(scores)}"
            )
