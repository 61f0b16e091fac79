"""What a program's text must fulfil before anything is derived from it: its names.

Every name that stands in a block, a map, a condition or an instruction exists, and
nothing is declared twice. Each check yields all its faults.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from xdsl.ir import Operation

from dialects.chip import Chip
from dialects.errors import CapacityError, ForgeError, NetlistError
from dialects.expr import Expr, scalars_of
from dialects.netlist_text import line_of
from dialects.program import is_block_size
from dialects.syntax import AxesAttr, ExprAttr, LocalAttr, MapAttr, PointAttr
from dialects.tensix import (
    AxisOp,
    CircularBufferOp,
    ForOp,
    GatherOp,
    KernelOp,
    MulticastOp,
    ProgramOp,
    ScalarsOp,
    SemaphoreOp,
)
from dialects.tensix_movement import ReadScalarsOp

AXIS_PROPERTIES = ("start", "size", "stop", "index")


def fault(
    op: Operation,
    message: str,
    *,
    limit: object = None,
    value: object = None,
    advice: str | None = None,
    kind: type[ForgeError] = NetlistError,
) -> ForgeError:
    """A fault at the line of an operation."""
    return kind(message, limit=limit, value=value, advice=advice, location=line_of(op))


@dataclass
class Names:
    """What a program declares, by kind, and the faults of declaring."""

    op: ProgramOp
    axes: dict[str, Operation] = field(default_factory=dict)
    scalars: dict[str, Operation] = field(default_factory=dict)
    buffers: dict[str, Operation] = field(default_factory=dict)
    multicasts: dict[str, Operation] = field(default_factory=dict)
    gathers: dict[str, Operation] = field(default_factory=dict)
    semaphores: dict[str, Operation] = field(default_factory=dict)
    kernels: dict[str, Operation] = field(default_factory=dict)
    faults: list[ForgeError] = field(default_factory=list)

    @property
    def program(self) -> str:
        """`@name` of the program."""
        return f"@{self.op.sym_name.data}"

    @property
    def parameters(self) -> list[str]:
        """Names of the parameters."""
        return [name for _, name in self.op.parameters.data]

    @property
    def in_expressions(self) -> set[str]:
        """Names that may stand in an expression."""
        suffixed = {f"{a}.{what}" for a in self.axes for what in AXIS_PROPERTIES}
        return {"x", "y", *self.axes, *suffixed}


def read_names(op: ProgramOp) -> Names:
    """Collect the declarations of a program; a second one is a fault."""
    names = Names(op)
    tables = {
        AxisOp: ("axis", names.axes),
        ScalarsOp: ("scalars", names.scalars),
        CircularBufferOp: ("circular buffer", names.buffers),
        MulticastOp: ("multicast", names.multicasts),
        GatherOp: ("gather", names.gathers),
        SemaphoreOp: ("semaphore", names.semaphores),
        KernelOp: ("kernel", names.kernels),
    }
    for inner in op.body.block.ops:
        entry = tables.get(type(inner))
        if entry is None:
            names.faults.append(
                fault(inner, f"'{inner.name}' does not belong directly into a program")
            )
            continue
        what, table = entry
        name = inner.properties["sym_name"].data  # type: ignore[attr-defined]
        if name in table:
            names.faults.append(
                fault(
                    inner,
                    f"{what} '{name}' of {names.program} is declared twice",
                    value=f"first in {line_of(table[name])}",
                    advice="rename one of them",
                )
            )
        table.setdefault(name, inner)
    for cast in names.multicasts:
        for suffix in ("ready", "valid"):
            names.semaphores[f"{cast}.{suffix}"] = names.multicasts[cast]
    for gather in names.gathers:
        for suffix in ("ready", "arrived"):
            names.semaphores[f"{gather}.{suffix}"] = names.gathers[gather]
    return names


def check_names(op: ProgramOp, chip: Chip) -> list[ForgeError]:
    """All faults in the names of a program."""
    names = read_names(op)
    return [
        *names.faults,
        *_parameters(names),
        *_grid(names, chip),
        *_processors(names),
        *(f for s in names.scalars.values() for f in _scalars(names, s)),
        *(f for b in names.buffers.values() for f in _buffer(names, b)),
        *(f for m in names.multicasts.values() for f in _multicast(names, m)),
        *(f for g in names.gathers.values() for f in _gather(names, g)),
        *(f for k in names.kernels.values() for f in _kernel(names, k)),
    ]


def _parameters(names: Names) -> Iterator[ForgeError]:
    for name in sorted(set(names.parameters)):
        if names.parameters.count(name) > 1:
            yield fault(
                names.op,
                f"parameter %{name} of {names.program} is declared twice",
                advice="give each parameter a name of its own",
            )


def _grid(names: Names, chip: Chip) -> Iterator[ForgeError]:
    """Axes may be spread over the columns, rows or cores that the chip has."""
    limits = {
        "x": chip.grid.x,
        "y": chip.grid.y,
        "xy": chip.num_cores,
        "banks": len(chip.bank_cores),
    }
    for op in names.axes.values():
        assert isinstance(op, AxisOp)
        yield from _shared_axis(names, op)
        if op.over is None or op.cores is None:
            continue
        stride = 1 if op.stride is None else op.stride.value
        span, limit = op.cores.value * stride, limits[op.over.data]
        if span > limit:
            yield fault(
                op,
                f"axis {op.sym_name} of {names.program} is spread off the chip's grid",
                limit=f"{limit} over {op.over} on {chip.name} "
                f"({chip.grid.x}x{chip.grid.y} cores)",
                value=span,
                advice=f"lower the {op.cores} behind `over {op.over}`",
                kind=CapacityError,
            )


def _processors(names: Names) -> Iterator[ForgeError]:
    taken: dict[str, Operation] = {}
    for op in names.kernels.values():
        assert isinstance(op, KernelOp)
        processor = op.processor.data
        if processor in taken:
            yield fault(
                op,
                f"kernel {op.sym_name} of {names.program} wants {processor}, which "
                "another kernel has",
                value=f"first in {line_of(taken[processor])}",
                advice="a core has one each of riscv0, riscv1 and trisc",
            )
        taken.setdefault(processor, op)


def _missing(
    names: Names, op: Operation, what: str, name: str, known: Iterable[str]
) -> ForgeError:
    listed = ", ".join(known)
    return fault(
        op,
        f"{name} is not {what} of {names.program}",
        advice=f"there are {listed}" if listed else f"declare {name} in the program",
    )


def _scalars(names: Names, op: Operation) -> Iterator[ForgeError]:
    assert isinstance(op, ScalarsOp)
    if op.operand.data not in names.parameters:
        known = [f"%{name}" for name in names.parameters]
        yield _missing(names, op, "a parameter", str(op.operand), known)
    if op.sym_name.data in names.axes:
        yield fault(
            op,
            f"'{op.sym_name}' of {names.program} is both an axis and scalars",
            advice="rename one of them",
        )


def _buffer(names: Names, op: Operation) -> Iterator[ForgeError]:
    assert isinstance(op, CircularBufferOp)
    yield from _block(names, op, op.block)
    if op.shares is not None and op.shares.data not in names.buffers:
        known = [f"%{name}" for name in names.buffers]
        yield _missing(names, op, "a circular buffer", str(op.shares), known)
    for operand in (op.operand, op.shard):
        if operand is not None and operand.data not in names.parameters:
            known = [f"%{name}" for name in names.parameters]
            yield _missing(names, op, "a parameter", str(operand), known)
    for index_map in (op.map, op.shard_map):
        if index_map is not None:
            yield from _map(names, op, index_map)


def _block(names: Names, op: Operation, block: AxesAttr) -> Iterator[ForgeError]:
    for entry in block.data:
        axis, _, size = entry.partition(".")
        if axis not in names.axes or not is_block_size(size):
            yield _missing(names, op, "an axis", f"'{entry}'", names.axes)


def _map(
    names: Names, op: CircularBufferOp, index_map: MapAttr
) -> Iterator[ForgeError]:
    if len(index_map.data) < 2:
        yield fault(
            op,
            f"the map {index_map} of {op.sym_name} has {len(index_map.data)} entries",
            limit="a row and a column",
            advice="write 0 for what does not vary, as in [0, k]",
        )
    for entry in index_map.data:
        if not isinstance(entry, str):
            yield from _expression(names, op, entry)
        elif entry not in names.buffers:
            known = [f"%{name}" for name in names.buffers]
            yield _missing(names, op, "a circular buffer", f"%{entry}", known)
        elif op.rows is None:
            yield fault(
                op,
                f"%{entry} stands in the map of {op.sym_name}, which reads tiles",
                advice="write `rows` before `of`: a gather reads rows",
            )


def _expression(names: Names, op: Operation, expr: Expr) -> Iterator[ForgeError]:
    wanted = scalars_of(expr)
    for name in sorted(wanted - set(names.scalars)):
        known = list(names.scalars)
        yield _missing(names, op, "a name of scalars", f"'{name}'", known)
    for name in sorted(expr.names() - wanted - names.in_expressions):
        properties = ", ".join(f"`.{name}`" for name in AXIS_PROPERTIES)
        known = ["x", "y", *names.axes, f"and {properties} of an axis"]
        yield _missing(names, op, "an axis or a coordinate", f"'{name}'", known)


def _multicast(names: Names, op: Operation) -> Iterator[ForgeError]:
    assert isinstance(op, MulticastOp)
    if op.buffer.data not in names.buffers:
        known = [f"%{name}" for name in names.buffers]
        yield _missing(names, op, "a circular buffer", str(op.buffer), known)
    if op.pieces is not None:
        yield from _block(names, op, op.pieces)
    for expr in op.master.data:
        yield from _expression(names, op, expr)


def _gather(names: Names, op: Operation) -> Iterator[ForgeError]:
    assert isinstance(op, GatherOp)
    for name in (*op.sources.data, *op.targets.data):
        if name not in names.buffers:
            known = [f"%{buffer}" for buffer in names.buffers]
            yield _missing(names, op, "a circular buffer", f"%{name}", known)
    if op.along.data not in names.axes:
        yield _missing(names, op, "an axis", f"'{op.along}'", names.axes)


def _shared_axis(names: Names, op: AxisOp) -> Iterator[ForgeError]:
    """An axis `of` another comes behind it, has its extent and is no share itself."""
    if op.of is None:
        return
    known = list(names.axes)[: list(names.axes.values()).index(op)]
    if op.of.data not in known:
        yield _missing(names, op, "an axis before this", f"'{op.of}'", known)
        return
    whole = names.axes[op.of.data]
    assert isinstance(whole, AxisOp)
    if whole.of is not None or whole.dealt is not None or op.dealt is not None:
        yield fault(
            op,
            f"axis {op.sym_name} of {names.program} shares out {op.of}, which is "
            "itself shared out or dealt",
            limit="runs of tiles, shared out once",
            advice=f"let {op.sym_name} be `of` an axis with runs of its own",
        )
    if whole.extent != op.extent:
        yield fault(
            op,
            f"axis {op.sym_name} of {names.program} is {op.extent} long, {op.of} "
            f"is {whole.extent}",
            limit="both count the same tiles",
            advice=f"write {whole.extent}",
        )


def _kernel(names: Names, kernel: Operation) -> Iterator[ForgeError]:
    ready: set[str] = set()
    for op in kernel.walk():
        if op is kernel:
            continue
        if isinstance(op, ReadScalarsOp):
            ready.add(op.scalars.data)
            if op.scalars.data not in names.scalars:
                known = list(names.scalars)
                what = f"'{op.scalars}'"
                yield _missing(names, op, "a name of scalars", what, known)
        yield from _unread(names, op, ready)
        if isinstance(op, ForOp) and op.axis.data not in names.axes:
            yield _missing(names, op, "an axis", f"'{op.axis}'", names.axes)
        for name, attr in op.properties.items():
            yield from _property(names, op, name, attr)


def _unread(names: Names, op: Operation, ready: set[str]) -> Iterator[ForgeError]:
    """Scalars that a kernel uses before it has read them."""
    expressions = [a.data for a in op.properties.values() if isinstance(a, ExprAttr)]
    used = frozenset[str]().union(*map(scalars_of, expressions))
    for name in sorted(used & set(names.scalars) - ready):
        ready.add(name)
        yield fault(
            op,
            f"'{name}' is used before this kernel of {names.program} has read it",
            advice=f"write `read_scalars {name}` at the kernel's beginning",
        )


def _property(
    names: Names, op: Operation, name: str, attr: object
) -> Iterator[ForgeError]:
    if isinstance(attr, LocalAttr):
        tables = {
            "multicast": ("a multicast", names.multicasts),
            "semaphore": ("a semaphore", names.semaphores),
            "gather": ("a gather", names.gathers),
        }
        what, table = tables.get(name, ("a circular buffer", names.buffers))
        if attr.data not in table:
            yield _missing(names, op, what, str(attr), [f"%{key}" for key in table])
    elif isinstance(attr, AxesAttr):
        for axis in attr.data:
            if axis not in names.axes:
                yield _missing(names, op, "an axis", f"'{axis}'", names.axes)
    elif isinstance(attr, ExprAttr):
        yield from _expression(names, op, attr.data)
    elif isinstance(attr, PointAttr):
        for expr in attr.data:
            yield from _expression(names, op, expr)
