"""The attributes of `grid`: axes, how operands are used, numbers.

They are written as a reader would: `[m 2 over y 2, k 18 block 6]` and
`([_, m, k] at [m, k] along x)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser

from dialects.axes import Axis
from dialects.expr import Expr, parse_expr, parse_sum
from dialects.syntax import NumberAttr, SyntaxData

NO_AXIS = "_"
"""Stands for a dimension of extent 1, which runs along no axis."""


@irdl_attr_definition
class AxisListAttr(SyntaxData[tuple[Axis, ...]]):
    """The axes in loop order: `[m 2 over y 2, n 30 over x 8 unit 2 block 4, k 18]`.

    `m1 2 of m over x 2` shares out what a core has of m.
    """

    name = "grid.axes"

    @classmethod
    def read(cls, parser: AttrParser) -> tuple[Axis, ...]:
        known: dict[str, Axis] = {}

        def read() -> Axis:
            axis = _read_axis(parser, known)
            known[axis.name] = axis
            return axis

        return tuple(parser.parse_comma_separated_list(parser.Delimiter.SQUARE, read))

    def write(self) -> str:
        return "[" + ", ".join(_write_axis(axis) for axis in self.data) + "]"

    def by_name(self) -> dict[str, Axis]:
        """Axes by name."""
        return {axis.name: axis for axis in self.data}


def _read_axis(parser: AttrParser, known: Mapping[str, Axis]) -> Axis:
    name = parser.parse_identifier()
    extent = parser.parse_integer()
    of = None
    if parser.parse_optional_keyword("of") is not None:
        of = parser.parse_identifier()
    over, cores = None, 1
    if parser.parse_optional_keyword("over") is not None:
        over, cores = parser.parse_identifier(), parser.parse_integer()
    numbers = {}
    for word in ("stride", "unit", "block"):
        found = parser.parse_optional_keyword(word) is not None
        numbers[word] = parser.parse_integer() if found else None
    dealt = parser.parse_optional_keyword("dealt") is not None
    axis = Axis(
        name,
        extent,
        over,
        cores,
        numbers["stride"] or 1,
        numbers["unit"] or 1,
        0,
        dealt,
        of,
        0 if of is None else known[of].part,
    )
    return replace(axis, block=numbers["block"] or axis.part)


def _write_axis(axis: Axis) -> str:
    text = f"{axis.name} {axis.extent}"
    text += "" if axis.of is None else f" of {axis.of}"
    if axis.over is not None:
        text += f" over {axis.over} {axis.cores}"
    if axis.stride > 1:
        text += f" stride {axis.stride}"
    if axis.unit > 1:
        text += f" unit {axis.unit}"
    if axis.block != axis.part:
        text += f" block {axis.block}"
    return f"{text} dealt" if axis.dealt else text


@dataclass(frozen=True)
class Layout:
    """Where a tensor between programs lies, page by page or in shards.

    `shards` are rows and columns of parts in L1; part (i, j) lies on core (x=j, y=i)
    or, with `over` "xy", parts and cores are both counted row by row.
    """

    memory: str = "dram"
    shards: tuple[int, int] | None = None
    over: str | None = None

    def __str__(self) -> str:
        text = self.memory
        if self.shards is not None:
            text += f" shards {self.shards[0]}x{self.shards[1]}"
        return text if self.over is None else f"{text} over {self.over}"


DRAM = Layout()


@dataclass(frozen=True)
class Use:
    """How a program uses an operand, or makes a result.

    `axes` has an axis for each dimension of the tensor as the region sees it; `map`
    gives row and column of a tile in the buffer behind it. `along` says which way its
    master multicasts it, in `turns` pieces, each from another core, or reading the next
    block `ahead` while one is sent. `index` says that
    it holds row numbers for a gather, `cleaned` that its padding is filled with zeros
    after it was read, `sharded` that each of its "columns" of tiles lies whole in one
    DRAM bank, or a run of its "rows" for each core along their axis; `depth` how many
    blocks its circular buffer holds where that was decided. `scalars` names an operand
    whose elements are run-time scalars, with the greatest that there can be. Of a
    result, `row` says which row of each tile is written and to which row,
    counted from the tile of the map; `inplace` is the number of the operand whose
    buffer it is written to; `layout` says where it lies. `lent` says that every core
    has its part in its own shard, so that nothing is moved.
    """

    axes: tuple[str, ...]
    map: tuple[Expr, Expr]
    along: str | None = None
    index: bool = False
    cleaned: bool = False
    scalars: tuple[str, int] | None = None
    row: tuple[Expr, Expr] | None = None
    inplace: int | None = None
    sharded: str | None = None
    depth: int | None = None
    layout: Layout = DRAM
    lent: bool = False
    turns: int = 1
    ahead: bool = False

    def __str__(self) -> str:
        text = f"[{', '.join(self.axes)}] at [{self.map[0]}, {self.map[1]}]"
        if self.along is not None:
            text += f" along {self.along}"
            text += f" turns {self.turns}" if self.turns > 1 else ""
            text += " ahead" if self.ahead else ""
        text += " index" if self.index else ""
        text += " cleaned" if self.cleaned else ""
        text += "" if self.sharded is None else f" sharded {self.sharded}"
        text += f" depth {self.depth}" if self.depth is not None else ""
        if self.scalars is not None:
            text += f" scalars {self.scalars[0]} {self.scalars[1]}"
        if self.row is not None:
            text += f" row {self.row[0]} to {self.row[1]}"
        text += "" if self.inplace is None else f" inplace {self.inplace}"
        text += "" if self.layout == DRAM else f" in {self.layout}"
        return f"{text} lent" if self.lent else text


@irdl_attr_definition
class UsesAttr(SyntaxData[tuple[Use, ...]]):
    """Uses of all operands, or of all results, in their order."""

    name = "grid.uses"

    @classmethod
    def read(cls, parser: AttrParser) -> tuple[Use, ...]:
        return tuple(
            parser.parse_comma_separated_list(
                parser.Delimiter.PAREN, lambda: _read_use(parser)
            )
        )

    def write(self) -> str:
        return "(" + ", ".join(map(str, self.data)) + ")"


def _read_use(parser: AttrParser) -> Use:
    axes = parser.parse_comma_separated_list(
        parser.Delimiter.SQUARE, parser.parse_identifier
    )
    parser.parse_keyword("at")
    map_ = parser.parse_comma_separated_list(
        parser.Delimiter.SQUARE, lambda: parse_expr(parser)
    )
    along, turns, ahead = None, 1, False
    if parser.parse_optional_keyword("along") is not None:
        along = parser.parse_identifier()
        if parser.parse_optional_keyword("turns") is not None:
            turns = parser.parse_integer()
        ahead = parser.parse_optional_keyword("ahead") is not None
    index = parser.parse_optional_keyword("index") is not None
    cleaned = parser.parse_optional_keyword("cleaned") is not None
    sharded = None
    if parser.parse_optional_keyword("sharded") is not None:
        sharded = parser.parse_identifier()
    depth = scalars = row = inplace = None
    if parser.parse_optional_keyword("depth") is not None:
        depth = parser.parse_integer()
    if parser.parse_optional_keyword("scalars") is not None:
        scalars = (parser.parse_identifier(), parser.parse_integer())
    if parser.parse_optional_keyword("row") is not None:
        first = parse_sum(parser)
        parser.parse_keyword("to")
        row = (first, parse_sum(parser))
    if parser.parse_optional_keyword("inplace") is not None:
        inplace = parser.parse_integer()
    layout = DRAM
    if parser.parse_optional_keyword("in") is not None:
        layout = _read_layout(parser)
    lent = parser.parse_optional_keyword("lent") is not None
    if len(map_) != 2:
        parser.raise_error("a map has a row and a column")
    return Use(
        tuple(axes),
        (map_[0], map_[1]),
        along,
        index,
        cleaned,
        scalars,
        row,
        inplace,
        sharded,
        depth,
        layout,
        lent,
        turns,
        ahead,
    )


def _read_layout(parser: AttrParser) -> Layout:
    memory, shards, over = parser.parse_identifier(), None, None
    if parser.parse_optional_keyword("shards") is not None:
        rows, columns = parser.parse_dimension_list()
        shards = (rows, columns)
        if parser.parse_optional_keyword("over") is not None:
            over = parser.parse_identifier()
    return Layout(memory, shards, over)


@irdl_attr_definition
class NumbersAttr(SyntaxData[tuple[float, ...]]):
    """Numbers in brackets: what the values of a loop begin with."""

    name = "grid.numbers"

    @classmethod
    def read(cls, parser: AttrParser) -> tuple[float, ...]:
        return tuple(
            parser.parse_comma_separated_list(
                parser.Delimiter.SQUARE, lambda: float(parser.parse_number())
            )
        )

    def write(self) -> str:
        return "[" + ", ".join(NumberAttr(number).write() for number in self.data) + "]"


@dataclass(frozen=True)
class Part:
    """The steps of an axis from `first` up to, not with, `stop`."""

    axis: str
    first: int
    stop: int

    @property
    def num_steps(self) -> int:
        """Steps in the part."""
        return self.stop - self.first


@irdl_attr_definition
class PartAttr(SyntaxData[Part]):
    """A part of an axis: `h 16 to 24`."""

    name = "grid.part"

    @classmethod
    def read(cls, parser: AttrParser) -> Part:
        axis, first = parser.parse_identifier(), parser.parse_integer()
        parser.parse_keyword("to")
        return Part(axis, first, parser.parse_integer())

    def write(self) -> str:
        return f"{self.data.axis} {self.data.first} to {self.data.stop}"
