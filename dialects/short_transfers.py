"""How a data-movement kernel fills a block or empties it, as one statement.

`push %a read noc 0` reserves a block, reads it, waits at the barrier and pushes it;
`pop %y write` waits for a block, writes it, waits until it is there and pops it. With
`multicast %row` the master reads and sends, and all others receive: the multicast says
who that is. `in turn for k by 4`: each core of the line reads a piece, then they send
theirs one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdsl.ir import Attribute, Block, Operation, Region
from xdsl.parser import AttrParser

from dialects import tensix
from dialects import tensix_movement as movement
from dialects.expr import Binary, Const, Expr, Name, add, multiply
from dialects.short_fields import Data, read
from dialects.short_sections import Target, loop_of, reserved, same
from dialects.syntax import ExprAttr, LocalAttr, NumberAttr, WordAttr

Casts = Mapping[str, tensix.MulticastOp]
_PAD = WordAttr("pad")


@dataclass(frozen=True)
class Turns:
    """Pieces `for axis by size`; along xy cores count as `y * number + x`."""

    axis: str
    size: ExprAttr
    number: int | None

    def __str__(self) -> str:
        of = "" if self.number is None else f" of {self.number}"
        return f"in turn{of} for {self.axis} by {self.size}"


@dataclass(frozen=True)
class Fetch:
    """`read [rows] [ahead k] [noc n] [pad v] [multicast %m [in turn ...]]`."""

    buffer: LocalAttr
    rows: bool = False
    ahead: WordAttr | None = None
    noc: ExprAttr | None = None
    pad: NumberAttr | None = None
    cast: LocalAttr | None = None
    turns: Turns | None = None

    def __str__(self) -> str:
        words = ["read rows" if self.rows else "read"]
        for word in ("ahead", "noc", "pad"):
            value = getattr(self, word)
            words += [] if value is None else [f"{word} {value}"]
        words += [] if self.cast is None else [f"multicast {self.cast}"]
        words += [] if self.turns is None else [str(self.turns)]
        return " ".join(words)

    def ops(self, casts: Casts) -> list[Operation] | None:
        """What it stands for; None where the multicast is not known."""
        if self.cast is None:
            return self._read()
        cast = casts.get(self.cast.data)
        if cast is None:
            return None
        if self.turns is not None:
            return self._take_turns(cast, self.turns)
        place = _place(cast.along.data, 1)
        send = movement.SendOp.create(properties={"multicast": self.cast})
        return [
            _branch("==", place, Const(0), [*self._read(), send]),
            _branch(">", place, Const(0), [self._receive()]),
        ]

    def _start(self) -> Operation:
        kind = movement.ReadRowsOp if self.rows else movement.ReadOp
        stated = {"buffer": self.buffer, "ahead": self.ahead, "noc": self.noc}
        return kind.create(
            properties={name: v for name, v in stated.items() if v is not None}
        )

    def _read(self) -> list[Operation]:
        waits = {} if self.ahead is None else {"buffer": self.buffer}
        ops = [self._start(), movement.ReadBarrierOp.create(properties=waits)]
        if self.pad is not None:
            stated = {"buffer": self.buffer, "pattern": _PAD, "value": self.pad}
            ops.append(movement.FillOp.create(properties=stated))
        return ops

    def _receive(self) -> Operation:
        assert self.cast is not None
        return movement.ReceiveOp.create(properties={"multicast": self.cast})

    def _take_turns(self, cast: tensix.MulticastOp, turns: Turns) -> list[Operation]:
        place = _place(cast.along.data, turns.number or 1)
        turn = cast.master.data[1 if cast.along.data == "y" else 0]
        send = movement.SendOp.create(properties={"multicast": cast.sym_name})
        exchange = [
            _branch("==", place, turn, [send]),
            _branch("<", place, turn, [self._receive()]),
            _branch(">", place, turn, [self._receive()]),
        ]
        own = _branch("==", place, turn, [self._start()])
        return [
            loop_of(turns.axis, [own], by=turns.size),
            movement.ReadBarrierOp.create(),
            loop_of(turns.axis, exchange, by=turns.size),
        ]


def _place(along: str, columns: int) -> Expr:
    """A core's place along the way of a multicast, 0 at its beginning."""
    if along != "xy":
        return Name(along)
    if columns == 1:
        return Binary("+", Name("x"), Name("y"))
    return add(multiply(Name("y"), columns), Name("x"))


def _branch(
    sign: str, left: Expr, right: Expr, body: Sequence[Operation]
) -> tensix.IfOp:
    return tensix.IfOp.create(
        properties={"condition": ExprAttr(Binary(sign, left, right))},
        regions=[Region(Block(list(body)))],
    )


# -- writing ---------------------------------------------------------------------------


def write_fill(
    buffers: Sequence[LocalAttr], ops: Sequence[Operation], casts: Casts
) -> tuple[str, int]:
    """How reserved buffers are filled by the first operations, and how many those are.

    The number is 0 where nothing fills them, which is right for a lent block.
    """
    if not ops:
        return "", 0
    op = ops[0]
    if isinstance(op, movement.CollectOp | movement.ExchangeOp):
        count = f" from {op.count}" if isinstance(op, movement.CollectOp) else ""
        word = "collect" if count else "exchange"
        return f" {word} {op.gather}{count}", 1
    if len(buffers) != 1:
        return "", 0
    if isinstance(op, movement.FillOp) and op.buffer == buffers[0]:
        return f" fill {_pattern(op)}", 1
    fetch = _fetch(buffers[0], ops)
    expected = None if fetch is None else fetch.ops(casts)
    if expected is None or not same(ops[: len(expected)], expected):
        return "", 0
    return f" {fetch}", len(expected)


def _pattern(op: movement.FillOp) -> str:
    words = [f"{op.pattern} {op.value}"]
    for word, value in (
        ("inside", op.inside), ("extent", op.extent), ("to", op.limit)
    ):  # fmt: skip
        words += [] if value is None else [f"{word} {value}"]
    return " ".join(words)


def _fetch(buffer: LocalAttr, ops: Sequence[Operation]) -> Fetch | None:
    """What the operations look like; whether they are that is for the caller to see."""
    inner = [op for outer in ops[:3] for op in outer.walk()]
    start = next((o for o in inner if isinstance(o, _READS)), None)
    if start is None:
        return None
    direct = start is ops[0]
    send = next((o for o in inner if isinstance(o, movement.SendOp)), None)
    beside = list(ops[:3] if direct else inner)
    pad = next(
        (o for o in beside if isinstance(o, movement.FillOp) and o.pattern == _PAD),
        None,
    )
    return Fetch(
        buffer,
        rows=isinstance(start, movement.ReadRowsOp),
        ahead=start.ahead if isinstance(start, movement.ReadOp) else None,
        noc=start.noc,
        pad=None if pad is None or pad.buffer != buffer else pad.value,
        cast=None if direct or send is None else send.multicast,
        turns=_turns(ops[0], start),
    )


_READS = (movement.ReadOp, movement.ReadRowsOp)


def _turns(op: Operation, start: Operation) -> Turns | None:
    own = start.parent_op()
    if not (isinstance(op, tensix.ForOp) and isinstance(own, tensix.IfOp)):
        return None
    if op.by is None or not isinstance(own.condition.data, Binary):
        return None
    place, number = own.condition.data.left, None
    if isinstance(place, Binary):
        columns = place.left.right if isinstance(place.left, Binary) else Const(1)
        number = columns.value if isinstance(columns, Const) else None
    return Turns(op.axis.data, op.by, number)


def write_drain(ops: Sequence[Operation]) -> tuple[str, int]:
    """A `pop` that the operations begin with, and how many those are, or 0."""
    waited: list[LocalAttr] = []
    for op in ops:
        if not isinstance(op, movement.WaitFrontOp) or op.pages is not None:
            break
        waited.append(op.buffer)
    if not waited or len(waited) == len(ops):
        return "", 0
    text, emptied = _drained(waited, ops[len(waited) :])
    pops = [_pop(buffer) for buffer in waited]
    at = len(waited) + emptied
    if not same(ops[at : at + len(pops)], pops):
        return "", 0
    return f"pop {', '.join(map(str, waited))}{text}", at + len(pops)


def _pop(buffer: LocalAttr) -> Operation:
    return movement.PopFrontOp.create(properties={"buffer": buffer})


def _drained(buffers: Sequence[LocalAttr], ops: Sequence[Operation]) -> tuple[str, int]:
    op = ops[0]
    if isinstance(op, movement.ContributeOp):
        return f" contribute {op.gather}", 1
    written = isinstance(op, movement.WriteOp | movement.WriteRowsOp)
    if not written or len(buffers) > 1 or op.buffer != buffers[0]:
        return "", 0
    if len(ops) < 2 or not isinstance(ops[1], movement.WriteBarrierOp):
        return "", 0
    rows = ""
    if isinstance(op, movement.WriteRowsOp):
        rows = f" row {op.row} to {op.target}"
    return f" write{rows}" + ("" if op.noc is None else f" noc {op.noc}"), 2


# -- reading ---------------------------------------------------------------------------


def read_fill(
    parser: AttrParser, targets: Sequence[Target], casts: Casts
) -> list[Operation]:
    """Read how reserved blocks are filled, behind `push %a`."""
    if parser.parse_optional_keyword("read") is not None:
        fetch = _read_fetch(parser, targets[0].buffer)
        ops = fetch.ops(casts)
        if ops is None:
            parser.raise_error(f"no multicast {fetch.cast} is declared before this")
    elif parser.parse_optional_keyword("fill") is not None:
        ops = [_read_pattern(parser, targets[0].buffer)]
    elif parser.parse_optional_keyword("collect") is not None:
        gather = read(parser, LocalAttr)
        parser.parse_keyword("from")
        stated = {"gather": gather, "count": read(parser, ExprAttr)}
        ops = [movement.CollectOp.create(properties=stated)]
    elif parser.parse_optional_keyword("exchange") is not None:
        ops = [
            movement.ExchangeOp.create(properties={"gather": read(parser, LocalAttr)})
        ]
    elif parser.parse_optional_keyword("lent") is not None:
        ops = []
    else:
        parser.raise_error(
            "a block is filled by `read`, `fill`, `collect`, `exchange`, steps behind "
            "`=` or a body in braces, or it is `lent`"
        )
    return reserved(targets, ops)


def _read_optional(parser: AttrParser, word: str, kind: type[Data]) -> Data | None:
    stated = parser.parse_optional_keyword(word) is not None
    return read(parser, kind) if stated else None


def _read_fetch(parser: AttrParser, buffer: LocalAttr) -> Fetch:
    rows = parser.parse_optional_keyword("rows") is not None
    ahead = _read_optional(parser, "ahead", WordAttr)
    noc = _read_optional(parser, "noc", ExprAttr)
    pad = _read_optional(parser, "pad", NumberAttr)
    cast, turns = None, None
    if parser.parse_optional_keyword("multicast") is not None:
        cast = read(parser, LocalAttr)
        if parser.parse_optional_keyword("in") is not None:
            turns = _read_turns(parser)
    return Fetch(
        buffer, rows=rows, ahead=ahead, noc=noc, pad=pad, cast=cast, turns=turns
    )


def _read_turns(parser: AttrParser) -> Turns:
    parser.parse_keyword("turn")
    counted = parser.parse_optional_keyword("of") is not None
    number = parser.parse_integer() if counted else None
    parser.parse_keyword("for")
    axis = parser.parse_identifier()
    parser.parse_keyword("by")
    return Turns(axis, read(parser, ExprAttr), number)


def _read_pattern(parser: AttrParser, buffer: LocalAttr) -> Operation:
    stated: dict[str, Attribute | None] = {
        "buffer": buffer,
        "pattern": read(parser, WordAttr),
        "value": read(parser, NumberAttr),
        "inside": _read_optional(parser, "inside", NumberAttr),
        "extent": _read_optional(parser, "extent", ExprAttr),
        "limit": _read_optional(parser, "to", ExprAttr),
    }
    return movement.FillOp.create(
        properties={name: v for name, v in stated.items() if v is not None}
    )


def read_drain(parser: AttrParser) -> list[Operation]:
    """Read a `pop` behind its word."""
    buffers = [read(parser, LocalAttr)]
    while parser.parse_optional_punctuation(",") is not None:
        buffers.append(read(parser, LocalAttr))
    waits = [movement.WaitFrontOp.create(properties={"buffer": b}) for b in buffers]
    return [*waits, *_read_emptied(parser, buffers), *map(_pop, buffers)]


def _read_emptied(parser: AttrParser, buffers: Sequence[LocalAttr]) -> list[Operation]:
    if parser.parse_optional_keyword("contribute") is not None:
        stated = {"gather": read(parser, LocalAttr)}
        return [movement.ContributeOp.create(properties=stated)]
    if parser.parse_optional_keyword("write") is None:
        return []
    rows: dict[str, Attribute] = {"buffer": buffers[0]}
    kind = movement.WriteOp
    if parser.parse_optional_keyword("row") is not None:
        kind, rows["row"] = movement.WriteRowsOp, read(parser, ExprAttr)
        parser.parse_keyword("to")
        rows["target"] = read(parser, ExprAttr)
    noc = _read_optional(parser, "noc", ExprAttr)
    rows |= {} if noc is None else {"noc": noc}
    return [kind.create(properties=rows), movement.WriteBarrierOp.create()]
