"""`check-coverage`: everything that the passes behind cannot place, all at once.

It runs when a model is written in the operations that programs are made of, before any
program is formed. Each fault names the operation, where it stands in the model's own
code, and what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from dialects import ttir
from dialects.errors import FaultsError, ForgeError
from dialects.ttir.base import element_of, shape_of
from passes.constants import is_constant
from passes.dst_plan import SUPPORTED
from passes.program_bodies import WRITERS
from passes.rewriting import describe_source, splat_of
from passes.views import CutsTileError, aligned_view, is_view

_ADVICE = {
    "ttir.where": "multiply by a mask of ones and zeros instead",
    "ttir.concat": "keep the parts apart, or use them in two operations",
    "ttir.pad": "pad the weights before compiling",
    "ttir.pow": "use a number as exponent, or exp and log",
    "ttir.tan": "write it as sin over cos",
}
_COMPARISON_ADVICE = "compare on the host, or use maximum, minimum and relu"


@dataclass(frozen=True)
class CheckCoveragePass(ModulePass):
    """Report all operations that no program can hold."""

    name = "check-coverage"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        faults = unsupported_in(op)
        if faults:
            count = "one operation" if len(faults) == 1 else f"{len(faults)} operations"
            raise FaultsError(f"forge cannot compile {count} of this model", faults)


def unsupported_in(module: ModuleOp) -> list[ForgeError]:
    """One error for each operation, or use of a view, that has no program."""
    faults: dict[str, ForgeError] = {}
    for function in module.walk():
        if isinstance(function, FuncOp) and function.body.blocks:
            for op in function.body.block.ops:
                for fault in _faults_of(op):
                    faults.setdefault(str(fault), fault)
    return list(faults.values())


def _faults_of(op: Operation) -> Iterator[ForgeError]:
    if isinstance(op, ReturnOp):
        for value in op.operands:
            if splat_of(value) is not None:
                yield _fault(
                    op, "a result that is one number everywhere is not computed"
                )
            yield from _view_faults(op, value)
        return
    if is_view(op) and not isinstance(op, ttir.ConcatOp):
        return
    if not op.results or splat_of(op.results[0]) is not None:
        return
    if is_constant(op.results[0]):
        return
    reason = _reason(op)
    if reason is not None:
        yield _fault(op, reason)
        return
    for value in op.operands:
        if not isinstance(op, ttir.EmbeddingOp):
            yield from _view_faults(op, value)


def _reason(op: Operation) -> str | None:
    """Why an operation has no program, if it has none."""
    if isinstance(op, ttir.ConcatOp):
        return None if _is_rotation(op) else "tensors are not put side by side"
    if op.name not in SUPPORTED and type(op) not in WRITERS:
        return f"{op.name} has no instruction on a Tensix core"
    if not ttir.is_float(element_of(op.results[0])):
        return f"{op.name} on {element_of(op.results[0])}: programs compute on floats"
    return next((reason for applies, reason in _LIMITS if applies(op)), None)


_LIMITS: tuple[tuple[Callable[[Operation], bool], str], ...] = (
    (
        lambda op: isinstance(op, ttir.PowOp) and splat_of(op.rhs) is None,
        "a power whose exponent is a tensor has no instruction",
    ),
    (
        lambda op: isinstance(op, ttir.ReductionOp) and len(op.axes) != 1,
        "a reduction over several dimensions at once",
    ),
    (
        lambda op: (
            isinstance(op, ttir.SoftmaxOp) and op.axis != len(shape_of(op.input)) - 1
        ),
        "a softmax runs along the last dimension only",
    ),
    (
        lambda op: (
            isinstance(op, ttir.NormalizationOp) and len(op.normalized_shape) != 1
        ),
        "a norm runs along the last dimension only",
    ),
    (
        lambda op: isinstance(op, ttir.NormalizationOp) and shape_of(op.input)[-1] == 1,
        "a norm of single elements",
    ),
    (
        lambda op: isinstance(op, ttir.EmbeddingOp) and not is_constant(op.weight),
        "rows are looked up in parameters only",
    ),
)
"""What an operation that has a program may still ask too much of."""


def _is_rotation(op: ttir.ConcatOp) -> bool:
    """Whether a concat only puts the halves of one tensor in the other order."""
    try:
        return aligned_view(op.result).source is not op.result
    except CutsTileError:
        return True


def _view_faults(op: Operation, value: SSAValue) -> Iterator[ForgeError]:
    if is_constant(value):
        return
    if isinstance(op, ttir.MatmulOp | ttir.LinearOp) and splat_of(value) is not None:
        yield _fault(op, "a contraction with one number everywhere")
        return
    try:
        aligned_view(value)
    except CutsTileError as error:
        owner = value.owner
        at = owner if isinstance(owner, Operation) else op
        shape = "x".join(map(str, shape_of(value)))
        yield ForgeError(
            f"{at.name}: {error}",
            value=f"{shape}, read by {op.name}",
            advice="keep slices, splits and permutes of the last two dimensions at "
            "multiples of 32",
            location=describe_source(at) or None,
        )


def _fault(op: Operation, reason: str) -> ForgeError:
    advice = _ADVICE.get(op.name, "express it with supported operations")
    if isinstance(op, ttir.ComparisonOp | ttir.LogicalNotOp):
        advice = _COMPARISON_ADVICE
    found = None
    if op.results:
        shape = "x".join(map(str, shape_of(op.results[0]))) or "scalar"
        found = f"{op.name} yielding {shape}"
    return ForgeError(
        reason, value=found, advice=advice, location=describe_source(op) or None
    )
