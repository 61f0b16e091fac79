"""From a placed program to its kernels: one mechanism over axes, stages and maps.

Three kernels walk the same loops. The *reader* (riscv1) loads what is streamed; the
*writer* (riscv0) writes results, fills masks and scalers and, where the reader streams,
loads the resident operands; *compute* waits, computes in Dst, and packs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from xdsl.dialects.builtin import UnitAttr
from xdsl.ir import Attribute, Block, Operation, Region

from backend.compute import compute
from backend.declare import declare_buffers, declare_scalars
from backend.lowering_context import Lowering, number
from backend.readers import reader
from backend.writers import writer
from dialects import tensix
from dialects import tensix_movement as movement
from dialects.axes import Axis
from dialects.expr import scalars_of
from dialects.grid import ProgramOp
from dialects.syntax import ExprAttr, GlobalAttr, TextAttr, WordAttr
from dialects.tensix_params import ParametersAttr


def lower_program(program: ProgramOp, name: str, source: str) -> tensix.ProgramOp:
    """Return the kernels of a program as a `tensix.program` called `name`."""
    low = Lowering.of(program)
    declare_buffers(low)
    kernels = [
        _kernel("reader", "riscv1", 0, with_scalars(low, reader(low))),
        _kernel("compute", "trisc", None, with_scalars(low, compute(low))),
        _kernel("writer", "riscv0", 1, with_scalars(low, writer(low))),
    ]
    body = Block(
        [
            *(_axis(axis) for axis in low.axes.values()),
            *declare_scalars(low),
            *_by_kind(low.buffers.values()),
            *low.multicasts.values(),
            *low.gathers.values(),
            *(kernel for kernel in kernels if kernel.body.block.first_op),
        ]
    )
    ways: dict[str, str] = {}
    for argument in program.body.block.args:
        ways[low.parameters[argument]] = "in"
    for value, use in zip(low.schedule.outputs, program.makes.data, strict=True):
        way = "out" if use.inplace is None else "inout"
        ways[low.parameters[value]] = way
    return tensix.ProgramOp.create(
        properties={
            "sym_name": GlobalAttr(name),
            "parameters": ParametersAttr(
                tuple((way, name) for name, way in ways.items())
            ),
            "fidelity": program.fidelity,
            "dst": program.dst,
            "source": TextAttr(source),
        },
        regions=[Region(body)],
    )


def _by_kind(
    buffers: Iterable[tensix.CircularBufferOp],
) -> list[tensix.CircularBufferOp]:
    """Each circular buffer once; those of the kernels' own that are alike together."""
    kinds: dict[object, list[tensix.CircularBufferOp]] = {}
    for op in dict.fromkeys(buffers):
        own = op.operand is None and op.shard is None
        kind = (op.block, op.data_format, op.depth, op.shares) if own else op
        kinds.setdefault(kind, []).append(op)
    return [op for alike in kinds.values() for op in alike]


def with_scalars(low: Lowering, ops: Sequence[Operation]) -> list[Operation]:
    """A kernel's operations, the run-time scalars that they use read first."""
    used: set[str] = set()
    for op in (inner for outer in ops for inner in outer.walk()):
        expressions = [
            a.data for a in op.properties.values() if isinstance(a, ExprAttr)
        ]
        if isinstance(op, movement.ReadOp | movement.WriteOp | movement.WriteRowsOp):
            map_ = next(b.map for b in low.buffers.values() if b.sym_name == op.buffer)
            assert map_ is not None
            expressions += [e for e in map_.data if not isinstance(e, str)]
        used = used.union(*map(scalars_of, expressions))
    reads = [
        movement.ReadScalarsOp.create(properties={"scalars": WordAttr(name)})
        for name in sorted(used)
    ]
    return [*reads, *ops]


def _axis(axis: Axis) -> tensix.AxisOp:
    properties: dict[str, Attribute] = {
        "sym_name": WordAttr(axis.name),
        "extent": number(axis.extent),
        "block": number(axis.block),
    }
    if axis.of is not None:
        properties["of"] = WordAttr(axis.of)
    if axis.over is not None and axis.cores > 1:
        properties |= {"over": WordAttr(axis.over), "cores": number(axis.cores)}
        if axis.stride > 1:
            properties["stride"] = number(axis.stride)
        if axis.dealt:
            properties["dealt"] = UnitAttr()
    return tensix.AxisOp.create(properties=properties)


def _kernel(
    name: str, processor: str, noc: int | None, ops: Sequence[Operation]
) -> tensix.KernelOp:
    properties: dict[str, Attribute] = {
        "sym_name": WordAttr(name),
        "processor": WordAttr(processor),
    }
    if noc is not None:
        properties["noc"] = number(noc)
    return tensix.KernelOp.create(
        properties=properties, regions=[Region(Block(list(ops)))]
    )
