"""Short forms of compute instructions, inside a section of Dst.

A section states its axes once and works on `dst[0]`, so an instruction in it leaves
both out where they are those: `exp_tile` is `exp_tile dst[0] [m, n]`. A circular buffer
by itself is copied: `%b -> dst[2]` is `copy_tiles %b [m, n] -> dst[2]`. An operand of a
vector-unit function that is copied first is one thing with it:
`sub_binary_tile %b bcast col via dst[2]` is `copy_tiles %b bcast col -> dst[2]` and
`sub_binary_tile dst[0], dst[2]`. The fields of all other instructions are a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from xdsl.dialects.builtin import UnitAttr
from xdsl.ir import Attribute, Operation
from xdsl.parser import AttrParser
from xdsl.utils.mlir_lexer import MLIRTokenKind

from dialects import tensix_compute as compute
from dialects.syntax import (
    AxesAttr,
    DstAttr,
    ExprAttr,
    LocalAttr,
    NumberAttr,
    SyntaxData,
    WordAttr,
)

Data = TypeVar("Data", bound="SyntaxData[Any]")


@dataclass(frozen=True)
class Field:
    """A property as it is written: `keyword value`, or the bare keyword of a unit.

    A property with a `default` is left out where it has that value, an `optional` one
    where the instruction lacks it.
    """

    name: str
    kind: type[Attribute]
    keyword: str = ""
    optional: bool = False
    default: Attribute | None = None


_DST0 = DstAttr(0)
_NOTHING = AxesAttr(())
_COPIED = (
    Field("buffer", LocalAttr),
    Field("turned", ExprAttr, "turned", optional=True),
    Field("broadcast", WordAttr, "bcast", optional=True),
)
_AXES = Field("axes", AxesAttr)
_DST = Field("dst", DstAttr, "->", default=_DST0)
_PAIR = (
    Field("lhs", LocalAttr),
    Field("turned", ExprAttr, "turned", optional=True),
    Field("rhs", LocalAttr, ","),
    Field("broadcast", WordAttr, "bcast", optional=True),
    _AXES,
)
_ACCUMULATE = Field("accumulate", UnitAttr, "accumulate", optional=True)
_MATMUL = (
    Field("lhs", LocalAttr),
    Field("rhs", LocalAttr, ","),
    Field("transpose", UnitAttr, "transpose", optional=True),
    _AXES,
    Field("over", AxesAttr, "sum", default=_NOTHING),
    _DST,
)
_UNARY = (Field("dst", DstAttr, default=_DST0), _AXES)
FIELDS: dict[type[Operation], tuple[Field, ...]] = {
    compute.CopyTilesOp: (*_COPIED, _AXES, _DST),
    compute.AddTilesOp: (*_PAIR, _DST, _ACCUMULATE),
    compute.SubTilesOp: (*_PAIR, _DST, _ACCUMULATE),
    compute.MulTilesOp: (
        *_PAIR,
        Field("over", AxesAttr, "sum", optional=True),
        _DST,
        _ACCUMULATE,
    ),
    compute.MatmulBlockOp: _MATMUL,
    compute.MatmulTilesOp: _MATMUL,
    compute.ReduceTilesOp: (
        Field("kind", WordAttr),
        Field("dim", WordAttr),
        Field("buffer", LocalAttr),
        Field("scaler", LocalAttr, ","),
        _AXES,
        Field("over", AxesAttr, "over"),
        _DST,
    ),
    compute.TilizeBlockOp: (Field("buffer", LocalAttr), _AXES, _DST),
    **dict.fromkeys(compute.UNARY_OPS.values(), _UNARY),
    **dict.fromkeys(
        [compute.FillTileOp, *compute.SCALAR_OPS.values()],
        (*_UNARY, Field("scalar", NumberAttr)),
    ),
}
BINARY = {op.name.removeprefix("tensix."): op for op in compute.BINARY_OPS.values()}
BY_NAME = {op.name.removeprefix("tensix."): op for op in FIELDS}


def write_instruction(op: Operation, axes: AxesAttr) -> str:
    """An instruction of the table in its short form, where `axes` are the section's."""
    copied = isinstance(op, compute.CopyTilesOp)
    words = [] if copied else [op.name.removeprefix("tensix.")]
    for field in FIELDS[type(op)]:
        value = op.properties.get(field.name)
        default = axes if field is _AXES else field.default
        if value is None or value == default:
            continue
        text = [field.keyword] if field.keyword else []
        if field.kind is not UnitAttr:
            text.append(str(value))
        words.append(" ".join(text))
    return " ".join(words).replace(" ,", ",")


def read_instruction(parser: AttrParser, name: str, axes: AxesAttr) -> Operation:
    """Read what `write_instruction` wrote, behind the name, which a copy lacks."""
    found: dict[str, Attribute] = {}
    for field in FIELDS[BY_NAME[name]]:
        default = axes if field is _AXES else field.default
        if _follows(parser, field, optional=field.optional or default is not None):
            found[field.name] = _read_value(parser, field)
        elif default is not None:
            found[field.name] = default
    return BY_NAME[name].create(properties=found)


def _follows(parser: AttrParser, field: Field, *, optional: bool) -> bool:
    """Whether a field stands here; takes its keyword."""
    if field.keyword in ("->", ","):
        if optional:
            return parser.parse_optional_punctuation(field.keyword) is not None
        parser.parse_punctuation(field.keyword)
        return True
    if field.keyword:
        if optional:
            return parser.parse_optional_keyword(field.keyword) is not None
        parser.parse_keyword(field.keyword)
        return True
    if not optional:
        return True
    return stands(parser, "dst" if field.kind is DstAttr else "[")


def stands(parser: AttrParser, text: str) -> bool:
    """Whether the next token is this text."""
    token = parser._current_token  # pyright: ignore[reportPrivateUsage]
    return token.text == text


def is_local(parser: AttrParser) -> bool:
    """Whether a local name such as `%a` comes next."""
    token = parser._current_token  # pyright: ignore[reportPrivateUsage]
    return token.kind is MLIRTokenKind.PERCENT_IDENT


def _read_value(parser: AttrParser, field: Field) -> Attribute:
    if field.kind is UnitAttr:
        return UnitAttr()
    assert issubclass(field.kind, SyntaxData)
    return read(parser, field.kind)


def read(parser: AttrParser, kind: type[Data]) -> Data:
    """Read one attribute in its bare notation."""
    return kind.new(kind.parse_parameter(parser))


# -- vector-unit functions of two operands ---------------------------------------------


def write_binary(ops: Sequence[Operation], axes: AxesAttr) -> tuple[str, int]:
    """A function of two operands, its second copied first if that is how the
    operations begin; with the number of operations that it stands for.

    Only the section's own axes have a short form: the number is 0 otherwise.
    """
    copy = ops[0] if isinstance(ops[0], compute.CopyTilesOp) else None
    op = ops[0] if copy is None else ops[1] if len(ops) > 1 else None
    if not isinstance(op, compute.SfpuBinaryOp) or op.axes != axes:
        return "", 0
    words = [] if op.lhs == _DST0 else [f"{op.lhs},"]
    if copy is None:
        words.append(str(op.rhs))
    elif copy.axes != axes or copy.dst != op.rhs or copy.dst == op.lhs:
        return "", 0
    else:
        words += _copied(copy)
    return " ".join([op.name.removeprefix("tensix."), *words]), 1 + (copy is not None)


def _copied(copy: compute.CopyTilesOp) -> list[str]:
    words = [str(copy.buffer)]
    if copy.turned is not None:
        words.append(f"turned {copy.turned}")
    if copy.broadcast is not None:
        words.append(f"bcast {copy.broadcast}")
    return [*words, f"via {copy.dst}"]


def read_binary(parser: AttrParser, name: str, axes: AxesAttr) -> list[Operation]:
    """Read what `write_binary` wrote, behind the name."""
    lhs, ops = _DST0, []
    if not is_local(parser):
        first = read(parser, DstAttr)
        if parser.parse_optional_punctuation(",") is None:
            return [_binary(name, lhs, first, axes)]
        lhs = first
    if is_local(parser):
        copied: dict[str, Attribute] = {"axes": axes}
        for field in _COPIED:
            if _follows(parser, field, optional=field.optional):
                copied[field.name] = _read_value(parser, field)
        parser.parse_keyword("via")
        rhs = read(parser, DstAttr)
        ops = [compute.CopyTilesOp.create(properties={**copied, "dst": rhs})]
    else:
        rhs = read(parser, DstAttr)
    return [*ops, _binary(name, lhs, rhs, axes)]


def _binary(name: str, lhs: DstAttr, rhs: DstAttr, axes: AxesAttr) -> Operation:
    return BINARY[name].create(properties={"lhs": lhs, "rhs": rhs, "axes": axes})
