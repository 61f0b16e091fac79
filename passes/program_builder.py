"""One program from the operations that share a launch: its region, axes and maps.

Views of what the operations read become the maps of operands; the dimensions that run
along one axis get its name; results say where they are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter
from xdsl.utils.exceptions import PassFailedException

from dialects import ttir
from dialects.axes import Axis
from dialects.expr import (
    Const,
    Element,
    Expr,
    Name,
    add,
    floordiv,
    modulo,
    multiply,
    substitute,
)
from dialects.formats import TILE_EDGE
from dialects.grid import (
    NO_AXIS,
    AxisListAttr,
    DecodeAttentionOp,
    LoopOp,
    PickRowsOp,
    ProgramOp,
    RotateOp,
    Use,
    UsesAttr,
    YieldOp,
)
from dialects.grid_attributes import Part
from dialects.syntax import WordAttr
from dialects.ttir.base import element_of, is_float, shape_of
from passes.axis_classes import AxisClasses, Place, runs_twice_along_an_axis
from passes.constants import is_constant
from passes.program_bodies import write
from passes.region_views import REGION_VIEWS, part_of
from passes.rewriting import noted_location, provenance_of, splat_of
from passes.views import (
    COLUMNS,
    CutsTileError,
    Dim,
    View,
    aligned_view,
    by_rows,
    is_view,
    repeat_interleave,
    whole,
)


@dataclass
class _Argument:
    """An operand of a program under construction."""

    source: SSAValue
    view: View
    value: SSAValue
    index: bool = False
    gathered: bool = False
    written: bool = False
    scalars: tuple[str, int] | None = None

    @property
    def is_computed_with(self) -> bool:
        """Whether the region computes with its elements."""
        return not (self.index or self.gathered or self.written or self.scalars)


@dataclass
class ProgramBuilder:
    """Builds one program from its member operations (a `program_bodies.Body`)."""

    members: list[Operation]
    block: Block = field(default_factory=Block)
    inside: dict[SSAValue, SSAValue] = field(default_factory=dict)
    arguments: dict[tuple[SSAValue, int, int], _Argument] = field(default_factory=dict)
    prologue: list[Operation] = field(default_factory=list)
    is_split: bool = False

    def build(self, place: InsertPoint) -> None:
        """Write the region, name the axes, put the program in the place."""
        self._write_members()
        classes = AxisClasses(self.block)
        if runs_twice_along_an_axis(classes):
            self._start_again()
            self._write_members()
            classes = AxisClasses(self.block)
            if runs_twice_along_an_axis(classes):
                raise PassFailedException(
                    f"{self.members[0].name}: one axis would run along two dimensions"
                )
        outputs = [op.results[0] for op in self.members if self._leaves(op)]
        made = [self._result(value) for value in outputs]
        classes = self._aligned(classes, made)
        self.block.add_op(YieldOp(*made))
        program = self._program(outputs, made, classes)
        note = provenance_of(self.members, shown=_shown(self.members))
        program.location = noted_location(self.members, note)
        Rewriter.insert_op([*self.prologue, program], place)
        for value, result in zip(outputs, program.outputs, strict=True):
            value.replace_all_uses_with(result)
        for op in reversed(self.members):
            Rewriter.erase_op(op)

    def _aligned(self, classes: AxisClasses, made: list[SSAValue]) -> AxisClasses:
        """The classes with results of equal shape tied: cores share them out alike.

        Without, two projections of one tensor would have no column axis in common, and
        cores could share out neither. Not where an axis would then run twice.
        """
        tied = AxisClasses(self.block)
        first, *others = made
        for other in others:
            if shape_of(other) == shape_of(first):
                for dim in range(len(shape_of(first))):
                    tied.same((first, dim), (other, dim))
        return classes if runs_twice_along_an_axis(tied) else tied

    def _write_members(self) -> None:
        for op in self.members:
            self.inside[op.results[0]] = write(self, op)
            self._mark_index(op)
            self._mark_scalars(op)
            if self._leaves(op) and self._is_only_stored(op):
                self.inside[op.results[0]] = self._result(op.results[0])

    def _is_only_stored(self, op: Operation) -> bool:
        users = [use.operation for use in op.results[0].uses]
        inside = [user for user in users if user in self.members]
        return all(isinstance(user, ttir.CacheWriteOp) for user in inside)

    def _result(self, value: SSAValue) -> SSAValue:
        """The region's value for a result of the program: a view is copied."""
        inner = self.inside[value]
        if isinstance(inner.owner, REGION_VIEWS):
            return self.add(ttir.TypecastOp(inner, element_of(inner)))
        return inner

    def _start_again(self) -> None:
        """Forget the region; now each use of a value gets an operand of its own."""
        for op in self.prologue:
            op.erase()
        self.block, self.inside, self.arguments = Block(), {}, {}
        self.prologue, self.is_split = [], True

    def _leaves(self, op: Operation) -> bool:
        return isinstance(op, ttir.CacheWriteOp) or any(
            use.operation not in self.members for use in op.results[0].uses
        )

    def _mark_index(self, op: Operation) -> None:
        if isinstance(op, ttir.EmbeddingOp):
            self.arguments[op.input, 1, 0].index = True
            self.arguments[op.weight, 1, 0].gathered = True

    def _mark_scalars(self, op: Operation) -> None:
        """Operands whose elements decide what is read, or where it is written."""
        for outer, name, greatest in run_time_scalars(op):
            self.value(outer)
            self.arguments[outer, 1, 0].scalars = (name, greatest)
        if isinstance(op, ttir.CacheWriteOp):
            self.value(op.cache)
            self.arguments[op.cache, 1, 0].written = True

    # -- what the writers ask ------------------------------------------------------

    def value(self, outer: SSAValue, *, repeat: int = 1) -> SSAValue:
        """The region's value for one outside."""
        if outer in self.inside:
            return self.inside[outer]
        number = splat_of(outer)
        if number is not None:
            full = ttir.FullOp(shape_of(outer), number, element_of(outer))
            return self.add(full)
        key = (outer, repeat, len(self.arguments) if self.is_split else 0)
        if key not in self.arguments:
            self.arguments[key] = self._argument(outer, repeat)
        return self.arguments[key].value

    def _argument(self, outer: SSAValue, repeat: int) -> _Argument:
        try:
            view = self._view(outer)
        except CutsTileError as error:
            raise PassFailedException(
                f"{self.members[0].name}: {error}; the operand "
                f"{outer.type} cannot be read tile by tile"
            ) from None
        type_ = outer.type
        if repeat > 1 and view.dims[1].size > 1:
            view = repeat_interleave(view, 1, repeat)
            sizes = [dim.size for dim in view.dims]
            type_ = ttir.tensor_type_of(outer).__class__(element_of(outer), sizes)
        value = self.block.insert_arg(type_, len(self.block.args))
        return _Argument(view.source, view, value)

    def _view(self, outer: SSAValue) -> View:
        if not is_float(element_of(outer)):
            return by_rows(outer)
        return _view_of_constant(outer) if is_constant(outer) else aligned_view(outer)

    def picked(self, outer: SSAValue, rows: SSAValue) -> SSAValue:
        """The tile of each of the rows, in a leading dimension of their number."""
        (count,), (_, width) = shape_of(rows), shape_of(outer)
        view = self._view(outer)
        tile = floordiv(Element(ROW, Name("d0")), TILE_EDGE)
        places = {"d0": tile, "d1": Name("d2")}
        index = tuple(substitute(expr, places) for expr in view.index)
        dims = (Dim(count), Dim(1), Dim(width, COLUMNS))
        type_ = TensorType(element_of(outer), [count, 1, width])
        value = self.block.insert_arg(type_, len(self.block.args))
        turned = View(view.source, dims, index)
        argument = _Argument(view.source, turned, value)
        self.arguments[outer, 1, len(self.arguments)] = argument
        return value

    def matrix(self, outer: SSAValue, *, transposed: bool) -> tuple[SSAValue, bool]:
        """The right side of a contraction; constants are turned at upload."""
        if not transposed or not is_constant(outer):
            return self.value(outer), transposed
        rank = len(shape_of(outer))
        order = [*range(rank - 2), rank - 1, rank - 2]
        turned = ttir.PermuteOp(outer, order)
        self.prologue.append(turned)
        return self.value(turned.result), False

    def add(self, op: Operation) -> SSAValue:
        """Append an operation to the region."""
        self.block.add_op(op)
        return op.results[0]

    # -- axes ------------------------------------------------------------------------

    def _program(
        self, outputs: Sequence[SSAValue], made: list[SSAValue], classes: AxisClasses
    ) -> ProgramOp:
        arguments = list(self.arguments.values())
        order = [*made, *(a.value for a in arguments if a.is_computed_with)]
        names = _name_axes(classes, order)
        axes = AxisListAttr(tuple(_axes(classes, names, order)))

        def axes_of(value: SSAValue) -> tuple[str, ...]:
            return tuple(
                names.get(classes.of(value, d), NO_AXIS) if size != 1 else NO_AXIS
                for d, size in enumerate(shape_of(value))
            )

        uses = tuple(self._use(a, axes_of(a.value)) for a in arguments)
        makes = tuple(
            self._make(value, inner, axes_of(inner), part_of(inner, axes_of))
            for value, inner in zip(outputs, made, strict=True)
        )
        return ProgramOp(
            _program_name(self.members),
            [a.source for a in arguments],
            [value.type for value in outputs],
            {
                "axes": axes,
                "uses": UsesAttr(uses),
                "makes": UsesAttr(makes),
                "fidelity": WordAttr("HiFi4"),
                "dst": WordAttr("fp32"),
            },
            Region(self.block),
        )

    def _use(self, argument: _Argument, axes: tuple[str, ...]) -> Use:
        map_ = argument.view.tile_map(_as_index(axes))
        return Use(axes, map_, None, argument.index, scalars=argument.scalars)

    def _make(
        self,
        value: SSAValue,
        inner: SSAValue,
        axes: tuple[str, ...],
        part: Part | None,
    ) -> Use:
        """How a result is written: to tiles of its own, to rows, or into a cache."""
        index, op = _as_index(axes), value.owner
        if part is not None:
            begun = {part.axis: add(Name(part.axis), Const(-part.first))}
            index = [substitute(expr, begun) for expr in index]
        if isinstance(op, DecodeAttentionOp):
            user, head, _, column = index
            width = -(-shape_of(inner)[-1] // TILE_EDGE)
            place = (Const(0), add(multiply(head, width), column))
            return Use(axes, place, row=(user, user))
        if isinstance(op, PickRowsOp):
            place, _, column = index
            row = modulo(Element(ROW, place), TILE_EDGE)
            return Use(axes, (Const(0), column), row=(row, place))
        if isinstance(op, ttir.CacheWriteOp):
            return self._write_cache(op, axes, index)
        return Use(axes, whole(inner).tile_map(index))

    def _write_cache(
        self, op: ttir.CacheWriteOp, axes: tuple[str, ...], index: list[Expr]
    ) -> Use:
        user, head, row, column = index
        _, heads, length, _ = shape_of(op.cache)
        target = None
        if isinstance(op, ttir.UpdateCacheOp):
            shared = shape_of(op.update_index) == (1,)
            target = (user, Element(POSITION, Const(0) if shared else user))
            row = Const(0)
        elif isinstance(op, ttir.FillCacheOp) and op.batch_index is not None:
            user = Element(USER, Const(0))
        user = add(user, Const(op.first_user))
        place = add(multiply(user, heads), head)
        tile_row = add(multiply(place, -(-length // TILE_EDGE)), row)
        names = list(self.arguments)
        inplace = names.index((op.cache, 1, 0))
        return Use(axes, (tile_row, column), row=target, inplace=inplace)


POSITION, USER, ROW = "pos", "user", "row"
"""Names of run-time scalars: the position of each user, a user, a row of a tensor."""


def run_time_scalars(op: Operation) -> Iterator[tuple[SSAValue, str, int]]:
    """Integer operands whose elements are run-time scalars: name and greatest value."""
    if isinstance(op, DecodeAttentionOp):
        yield op.positions, POSITION, shape_of(op.key)[2] - 1
    elif isinstance(op, PickRowsOp):
        yield op.rows, ROW, shape_of(op.input)[0] - 1
    elif isinstance(op, ttir.UpdateCacheOp):
        yield op.update_index, POSITION, shape_of(op.cache)[2] - 1
    elif isinstance(op, ttir.FillCacheOp) and op.batch_index is not None:
        greatest = shape_of(op.cache)[0] - 1 - op.first_user
        yield op.batch_index, USER, greatest


def _as_index(axes: Iterable[str]) -> list[Expr]:
    return [Const(0) if axis == NO_AXIS else Name(axis) for axis in axes]


def _name_axes(classes: AxisClasses, values: list[SSAValue]) -> dict[Place, str]:
    """Name the classes: m and n for rows and columns of the result, h for heads, s for
    what a loop steps along."""
    loops = [op for op in classes.block.ops if isinstance(op, LoopOp)]
    names = {
        classes.of(op.along, op.dim.value.data): name
        for op, name in zip(loops, "st", strict=False)
    }
    free = {"row": iter("mstu"), "column": iter("nkstuvw"), "lead": iter("hbgc")}
    for value in values:
        shape = shape_of(value)
        for dim in reversed(range(len(shape))):
            place = classes.of(value, dim)
            if shape[dim] == 1 or place in names:
                continue
            kind = {1: "column", 2: "row"}.get(len(shape) - dim, "lead")
            used = set(names.values())
            names[place] = next(name for name in free[kind] if name not in used)
    return names


def _axes(
    classes: AxisClasses, names: dict[Place, str], values: list[SSAValue]
) -> list[Axis]:
    """The axes with their extents: leading ones first, then rows, then columns."""
    found: dict[str, tuple[int, int]] = {}
    for value in values:
        shape = shape_of(value)
        for dim, size in enumerate(shape):
            name = names.get(classes.of(value, dim))
            if name is None or size == 1:
                continue
            depth = min(dim - len(shape), -1)
            tiled = depth >= -2
            extent = -(-size // TILE_EDGE) if tiled else size
            known = found.get(name, (max(depth, -3), 0))
            found[name] = (known[0], max(known[1], extent))
    ordered = sorted(found, key=lambda name: (found[name][0], list(found).index(name)))
    return [
        Axis(name, found[name][1], None, 1, 1, 1, found[name][1]) for name in ordered
    ]


def _view_of_constant(outer: SSAValue) -> View:
    """Weights seen by heads stay as they are uploaded; others are laid out anew."""
    seen_anew = len(shape_of(outer)) > 2 and isinstance(outer.owner, ttir.ReshapeOp)
    try:
        return aligned_view(outer) if seen_anew else whole(outer)
    except CutsTileError:
        return whole(outer)


_SHORT = {"scaled_dot_product_attention": "attention"}
"""Names of operations that would be long."""

_PLAIN = ("add", "multiply", "subtract", "typecast")
_NAME_PARTS = 4


def _shown(members: list[Operation]) -> list[Operation]:
    """The members that compute, rather than see a tensor in another way."""
    return [op for op in members if isinstance(op, RotateOp) or not is_view(op)]


def _program_name(members: list[Operation]) -> str:
    """A readable name: the kinds of operations, each once, in order.

    Of more than there is room for, plain arithmetic is left out.
    """
    kinds = [op.name.partition(".")[2] for op in _shown(members)]
    distinct = list(dict.fromkeys(_SHORT.get(kind, kind) for kind in kinds))
    telling = [kind for kind in distinct if kind not in _PLAIN]
    if set(telling) - set(distinct[:_NAME_PARTS]):
        distinct = telling
    return "_".join(distinct[:_NAME_PARTS])
