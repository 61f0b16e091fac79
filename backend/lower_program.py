"""From a placed program to its kernels: one mechanism over axes, stages and maps.

Three kernels walk the same loops. The *reader* (riscv1) loads what is streamed; the
*writer* (riscv0) writes results, fills masks and scalers and, where the reader streams
weights, loads the resident operands; *compute* waits, computes in Dst, and packs.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import StringAttr
from xdsl.ir import Attribute, Block, Operation, Region

from backend.compute import compute
from backend.declare import declare_buffers
from backend.lowering_context import Lowering, number
from backend.readers import reader
from backend.writers import writer
from dialects import tensix
from dialects.grid import ProgramOp
from dialects.program import Axis
from dialects.syntax import GlobalAttr, WordAttr
from dialects.tensix_params import ParametersAttr


def lower_program(program: ProgramOp, name: str, source: str) -> tensix.ProgramOp:
    """Return the kernels of a program as a `tensix.program` called `name`."""
    low = Lowering.of(program)
    declare_buffers(low)
    kernels = [
        _kernel("reader", "riscv1", 0, reader(low)),
        _kernel("compute", "trisc", None, compute(low)),
        _kernel("writer", "riscv0", 1, writer(low)),
    ]
    body = Block(
        [
            *(_axis(axis) for axis in low.axes.values()),
            *low.buffers.values(),
            *low.multicasts.values(),
            *(kernel for kernel in kernels if kernel.body.block.first_op),
        ]
    )
    names = list(low.parameters.values())
    first_output = len(program.inputs)
    ways = [("in", n) for n in names[:first_output]]
    ways += [("out", n) for n in names[first_output:]]
    return tensix.ProgramOp.create(
        properties={
            "sym_name": GlobalAttr(name),
            "parameters": ParametersAttr(tuple(ways)),
            "fidelity": program.fidelity,
            "dst": program.dst,
            "source": StringAttr(source),
        },
        regions=[Region(body)],
    )


def _axis(axis: Axis) -> tensix.AxisOp:
    properties: dict[str, Attribute] = {
        "sym_name": WordAttr(axis.name),
        "extent": number(axis.extent),
        "block": number(axis.block),
    }
    if axis.over is not None and axis.cores > 1:
        properties |= {"over": WordAttr(axis.over), "cores": number(axis.cores)}
        if axis.stride > 1:
            properties["stride"] = number(axis.stride)
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
