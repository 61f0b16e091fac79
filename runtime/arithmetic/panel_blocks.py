"""The inner blocks of products on packed panels, in LLVM's own terms.

A block is up to six rows of in0 times one panel of in1: all its sums stay in registers
while k passes. in1 comes as pairs of bf16, one word for two k. There are two ways:

- `DOT` takes in0 as pairs of bf16, too, and adds two products to a lane with one
  VDPBF16PS (AVX512-BF16);
- `WIDE` takes in0 in fp32 and widens in1 on the way, which costs an instruction where
  reading fp32 from memory would cost twice the bytes (any AVX512).

Source of the layout: reference/emulator.md section 1c.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

BLOCK_ROWS = 6
"""Rows of in0 at a time: 24 accumulators, 4 vectors of in1 and some broadcasts fit."""

PANEL = 64
"""Columns of in1 at a time: four vectors of sixteen lanes."""

_LANES = 16
_VECTORS = PANEL // _LANES

_AHEAD_WORDS = 1024
"""How far ahead in1 is asked for: a page. It makes a single row a fifth faster."""

_WORD = ir.IntType(32)
_INDEX = ir.IntType(64)
_FLOATS = ir.VectorType(ir.FloatType(), _LANES)
_WORDS = ir.VectorType(_WORD, _LANES)


class _BFloat(ir.Type):
    """LLVM's bfloat, which llvmlite does not name."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash(_BFloat)


_PAIRS = ir.VectorType(_BFloat(), 2 * _LANES)

Step: TypeAlias = Callable[[Any, int, Any, list[Any], Any, list[Any]], list[Any]]
"""Emits one pair of k: builder, rows, in0, four vectors of in1, k, sums -> sums."""


@dataclass(frozen=True)
class Way:
    """How a block is computed, and how many words of in0 a row has for a pair of k."""

    words: int
    step: Step


def _index(value: int) -> Any:
    return ir.Constant(_INDEX, value)


def _function(module: ir.Module, name: str, kind: ir.FunctionType) -> ir.Function:
    return module.globals.get(name) or ir.Function(module, kind, name)


def _broadcast(builder: Any, base: Any, index: Any) -> Any:
    """The word at `base[index]` in all lanes."""
    empty = ir.Constant(_WORDS, ir.Undefined)
    word = builder.load(builder.gep(base, [index]))
    first = builder.insert_element(empty, word, ir.Constant(_WORD, 0))
    return builder.shuffle_vector(first, empty, ir.Constant(_WORDS, [0] * _LANES))


def _load_panel(builder: Any, in1: Any, k: Any) -> list[Any]:
    """The words of one pair of k, four vectors; those of a page later are asked for."""
    byte = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [byte, _WORD, _WORD, _WORD])
    prefetch = _function(builder.module, "llvm.prefetch.p0i8", kind)
    read_to_nearest = [ir.Constant(_WORD, value) for value in (0, 3, 1)]
    first = builder.mul(k, _index(PANEL))
    vectors = []
    for vector in range(_VECTORS):
        at = builder.add(first, _index(_LANES * vector))
        later = builder.gep(in1, [builder.add(at, _index(_AHEAD_WORDS))])
        builder.call(prefetch, [builder.bitcast(later, byte), *read_to_nearest])
        pointer = builder.bitcast(builder.gep(in1, [at]), _WORDS.as_pointer())
        vectors.append(builder.load(pointer, align=4))
    return vectors


def _dot_step(
    builder: Any, rows: int, in0: Any, panel: list[Any], k: Any, sums: list[Any]
) -> list[Any]:
    """in0 is [pairs, rows], pairs of bf16."""
    kind = ir.FunctionType(_FLOATS, [_FLOATS, _PAIRS, _PAIRS])
    dot = _function(builder.module, "llvm.x86.avx512bf16.dpbf16ps.512", kind)
    columns = [builder.bitcast(words, _PAIRS) for words in panel]
    first = builder.mul(k, _index(rows))
    updated = []
    for row in range(rows):
        word = _broadcast(builder, in0, builder.add(first, _index(row)))
        value = builder.bitcast(word, _PAIRS)
        own = sums[row * _VECTORS : (row + 1) * _VECTORS]
        pairs = zip(own, columns, strict=True)
        updated += [builder.call(dot, [total, value, c]) for total, c in pairs]
    return updated


def _wide_step(
    builder: Any, rows: int, in0: Any, panel: list[Any], k: Any, sums: list[Any]
) -> list[Any]:
    """in0 is [pairs, 2, rows], fp32; first all of the even k, then of the odd one."""
    kind = ir.FunctionType(_FLOATS, [_FLOATS] * 3)
    multiply_add = _function(builder.module, "llvm.fma.v16f32", kind)
    half, top = (ir.Constant(_WORDS, [n] * _LANES) for n in (16, 0xFFFF_0000))
    evens = [builder.shl(words, half) for words in panel]
    odds = [builder.and_(words, top) for words in panel]
    first = builder.mul(k, _index(2 * rows))
    for which, words in enumerate((evens, odds)):
        columns = [builder.bitcast(vector, _FLOATS) for vector in words]
        updated = []
        for row in range(rows):
            at = builder.add(first, _index(which * rows + row))
            value = builder.bitcast(_broadcast(builder, in0, at), _FLOATS)
            own = sums[row * _VECTORS : (row + 1) * _VECTORS]
            pairs = zip(own, columns, strict=True)
            updated += [
                builder.call(multiply_add, [value, c, total]) for total, c in pairs
            ]
        sums = updated
    return sums


DOT = Way(1, _dot_step)
WIDE = Way(2, _wide_step)


def _emit_block(
    builder: Any, way: Way, rows: int, in0: Any, in1: Any, out: Any, pairs: Any
) -> None:
    """The loop over k: rows x 4 accumulators stay in registers, then go to `out`."""
    entry = builder.block
    loop, done = builder.append_basic_block(), builder.append_basic_block()
    builder.branch(loop)
    builder.position_at_end(loop)
    k = builder.phi(_INDEX)
    sums = [builder.phi(_FLOATS) for _ in range(rows * _VECTORS)]
    updated = way.step(builder, rows, in0, _load_panel(builder, in1, k), k, sums)
    following = builder.add(k, _index(1))
    builder.cbranch(builder.icmp_signed("<", following, pairs), loop, done)
    zero = ir.Constant(_FLOATS, [0.0] * _LANES)
    starts = [_index(0), *[zero] * len(sums)]
    nexts = [following, *updated]
    for phi, start, later in zip([k, *sums], starts, nexts, strict=True):
        phi.add_incoming(start, entry)
        phi.add_incoming(later, loop)
    builder.position_at_end(done)
    for i, value in enumerate(updated):
        pointer = builder.gep(out, [_index(i * _LANES)])
        target = builder.bitcast(pointer, _FLOATS.as_pointer())
        builder.store(value, target, align=4)


def block_of(way: Way, rows: int) -> Callable[..., None]:
    """The product of `rows` rows and one panel, as a function for compiled code.

    It takes in0 (words as the way wants them, flat) and in1 [pairs, PANEL] (pairs of
    bf16, flat) and writes out [rows, PANEL] (float32, flat).
    """

    @intrinsic
    def block(typing_context, in0, in1, out, pairs):
        def codegen(context, builder, signature, args):
            data0, data1, data_out = (
                context.make_array(kind)(context, builder, value).data
                for kind, value in zip(signature.args[:3], args[:3], strict=True)
            )
            _emit_block(builder, way, rows, data0, data1, data_out, args[3])
            return context.get_dummy_value()

        return types.void(in0, in1, out, pairs), codegen

    return block
