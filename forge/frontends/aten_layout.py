"""Importers of the ATen ops that make tensors, move elements or change their type."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xdsl.ir import SSAValue

from dialects import ttir
from forge.errors import UnsupportedError
from forge.frontends.graph_builder import GraphBuilder, Number, Value
from forge.frontends.importers import importer


@importer(
    "aten.alias.default",
    "aten.clone.default",
    "aten.contiguous.default",
    "aten.detach.default",
    "aten.lift_fresh_copy.default",
)
def _same(builder: GraphBuilder, self: Value) -> SSAValue:
    return self


@importer("aten._to_copy.default", "aten.to.dtype", "aten.to.dtype_layout")
def _to_copy(
    builder: GraphBuilder,
    self: Value,
    dtype: object = None,
) -> SSAValue:
    return builder.cast(self, builder.result_element)


@importer("aten.type_as.default")
def _type_as(builder: GraphBuilder, self: Value, other: Value) -> SSAValue:
    return builder.cast(self, builder.result_element)


@importer("aten.dropout.default")
def _dropout(
    builder: GraphBuilder,
    input: Value,  # noqa: A002
    p: float,
    train: bool,
) -> SSAValue:
    if train and p != 0.0:
        raise UnsupportedError(
            "dropout in training mode is not supported",
            advice="call .eval() on the module before exporting it",
        )
    return input


@importer("aten.view.default", "aten._unsafe_view.default", "aten.reshape.default")
@importer("aten.flatten.using_ints", "aten.unflatten.int")
@importer("aten.unsqueeze.default", "aten.squeeze.default")
@importer("aten.squeeze.dim", "aten.squeeze.dims")
def _reshape(builder: GraphBuilder, self: Value, *_shape: object) -> SSAValue:
    """All of these keep the row-major order; the exporter worked out the shape."""
    return builder.reshape(self, builder.result_shape)


@importer("aten.transpose.int")
def _transpose(builder: GraphBuilder, self: Value, dim0: int, dim1: int) -> SSAValue:
    order = list(range(len(ttir.shape_of(self))))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return builder.permute(self, order)


@importer("aten.t.default", "aten.numpy_T.default")
def _t(builder: GraphBuilder, self: Value) -> SSAValue:
    return builder.permute(self, range(len(ttir.shape_of(self)))[::-1])


@importer("aten.permute.default")
def _permute(builder: GraphBuilder, self: Value, dims: Sequence[int]) -> SSAValue:
    return builder.permute(self, [dim % len(dims) for dim in dims])


@importer("aten.expand.default", "aten.expand_as.default")
def _expand(builder: GraphBuilder, self: Value, size: object) -> SSAValue:
    return builder.broadcast(self, builder.result_shape)


@importer("aten.repeat.default")
def _repeat(builder: GraphBuilder, self: Value, repeats: Sequence[int]) -> SSAValue:
    shape = ttir.shape_of(self)
    aligned = (1,) * (len(repeats) - len(shape)) + shape
    return builder.emit(ttir.RepeatOp(builder.reshape(self, aligned), repeats))


@importer("aten.repeat_interleave.self_int")
def _repeat_interleave(
    builder: GraphBuilder,
    self: Value,
    repeats: int,
    dim: int | None = None,
    *,
    output_size: int | None = None,
) -> SSAValue:
    if dim is None:
        self, dim = builder.reshape(self, [prod(ttir.shape_of(self))]), 0
    return builder.emit(ttir.RepeatInterleaveOp(self, repeats=repeats, dim=dim))


def _slice(
    builder: GraphBuilder, value: Value, axis: int, run: tuple[int, int, int]
) -> SSAValue:
    """The indices of one dimension from a range; bounds as in a Python slice."""
    shape = ttir.shape_of(value)
    axis %= len(shape)
    start, stop, step = slice(*run).indices(shape[axis])
    begins, ends, steps = [0] * len(shape), list(shape), [1] * len(shape)
    begins[axis], ends[axis], steps[axis] = start, max(start, stop), step
    return builder.emit(ttir.SliceStaticOp(value, begins, ends, steps))


@importer("aten.slice.Tensor")
def _slice_tensor(
    builder: GraphBuilder,
    self: Value,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> SSAValue:
    extent = ttir.shape_of(self)[dim]
    stop = extent if end is None else min(end, extent)
    return _slice(builder, self, dim, (start or 0, stop, step))


@importer("aten.narrow.default")
def _narrow(
    builder: GraphBuilder, self: Value, dim: int, start: int, length: int
) -> SSAValue:
    return _slice(builder, self, dim, (start, start + length, 1))


@importer("aten.select.int")
def _select(builder: GraphBuilder, self: Value, dim: int, index: int) -> SSAValue:
    index %= ttir.shape_of(self)[dim]
    row = _slice(builder, self, dim, (index, index + 1, 1))
    return builder.reshape(row, builder.result_shape)


def _split(
    builder: GraphBuilder, value: Value, sizes: Sequence[int], dim: int
) -> list[SSAValue]:
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return [
        _slice(builder, value, dim, (start, start + size, 1))
        for start, size in zip(starts, sizes, strict=True)
    ]


@importer("aten.split.Tensor", "aten.chunk.default")
def _split_equal(
    builder: GraphBuilder,
    self: Value,
    split_size: int,
    dim: int = 0,
) -> list[SSAValue]:
    sizes = [part.shape[dim] for part in builder.node.meta["val"]]
    return _split(builder, self, sizes, dim)


@importer("aten.split_with_sizes.default")
def _split_with_sizes(
    builder: GraphBuilder, self: Value, split_sizes: Sequence[int], dim: int = 0
) -> list[SSAValue]:
    return _split(builder, self, split_sizes, dim)


@importer("aten.unbind.int")
def _unbind(builder: GraphBuilder, self: Value, dim: int = 0) -> list[SSAValue]:
    shape = ttir.shape_of(self)
    rows = _split(builder, self, [1] * shape[dim], dim)
    axis = dim % len(shape)
    return [builder.reshape(row, shape[:axis] + shape[axis + 1 :]) for row in rows]


@importer("aten.cat.default")
def _cat(builder: GraphBuilder, tensors: Sequence[Value], dim: int = 0) -> SSAValue:
    element = builder.result_element
    parts = [builder.cast(tensor, element) for tensor in tensors]
    return builder.emit(ttir.ConcatOp(parts, dim))


@importer("aten.stack.default")
def _stack(builder: GraphBuilder, tensors: Sequence[Value], dim: int = 0) -> SSAValue:
    shape = list(builder.result_shape)
    shape[dim] = 1
    element = builder.result_element
    parts = [builder.reshape(builder.cast(part, element), shape) for part in tensors]
    return builder.emit(ttir.ConcatOp(parts, dim % len(shape)))


@importer("aten.constant_pad_nd.default")
def _constant_pad(
    builder: GraphBuilder, self: Value, pad: Sequence[int], value: Number = 0
) -> SSAValue:
    """torch counts the dimensions from the last one."""
    shape = ttir.shape_of(self)
    padding = [0] * (2 * len(shape))
    for i in range(len(pad) // 2):
        axis = len(shape) - 1 - i
        padding[2 * axis : 2 * axis + 2] = pad[2 * i : 2 * i + 2]
    if min(padding, default=0) < 0:
        raise UnsupportedError(
            "padding with negative numbers is not supported", advice="use a slice"
        )
    return builder.emit(ttir.PadOp(self, padding, value=float(value)))


@importer("aten.pad.default")
def _pad(
    builder: GraphBuilder,
    self: Value,
    pad: Sequence[int],
    mode: str = "constant",
    value: Number | None = None,
) -> SSAValue:
    if mode != "constant":
        raise UnsupportedError(
            f"padding in mode {mode} is not supported", advice="pad with a constant"
        )
    return _constant_pad(builder, self, pad, 0 if value is None else value)


@importer("aten.arange.default", "aten.arange.start", "aten.arange.start_step")
def _arange(
    builder: GraphBuilder,
    *bounds: Number,
    dtype: object = None,
) -> SSAValue:
    if not all(isinstance(bound, int) or bound == int(bound) for bound in bounds):
        raise UnsupportedError(
            f"arange{bounds} is not supported", advice="use whole numbers"
        )
    run = range(*map(int, bounds))
    return builder.emit(
        ttir.ArangeOp(
            run.start, run.stop, step=run.step, element=builder.result_element
        )
    )


def _full(builder: GraphBuilder, value: Number) -> SSAValue:
    return builder.full(value, builder.result_shape, builder.result_element)


@importer("aten.full.default", "aten.full_like.default")
def _import_full(
    builder: GraphBuilder,
    size: object,
    fill_value: Number,
    dtype: object = None,
) -> SSAValue:
    return _full(builder, fill_value)


@importer("aten.new_full.default")
def _new_full(
    builder: GraphBuilder,
    self: Value,
    size: object,
    fill_value: Number,
    dtype: object = None,
) -> SSAValue:
    return _full(builder, fill_value)


@importer("aten.scalar_tensor.default")
def _scalar_tensor(
    builder: GraphBuilder,
    s: Number,
    dtype: object = None,
) -> SSAValue:
    return _full(builder, s)


@importer("aten.zeros.default", "aten.zeros_like.default", "aten.new_zeros.default")
def _zeros(builder: GraphBuilder, *_shape: object, dtype: object = None) -> SSAValue:
    return _full(builder, 0)


@importer("aten.ones.default", "aten.ones_like.default", "aten.new_ones.default")
def _ones(builder: GraphBuilder, *_shape: object, dtype: object = None) -> SSAValue:
    return _full(builder, 1)
