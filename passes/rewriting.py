"""What all patterns share: finding producers, and replacing ops without losing where
they come from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from xdsl.dialects.builtin import (
    UNKNOWN_LOC,
    ArrayAttr,
    FileLineColLoc,
    FusedLoc,
    LocationAttr,
    ModuleOp,
    NameLoc,
    NoneAttr,
    StringAttr,
    UnknownLoc,
)
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.pattern_rewriter import (
    GreedyRewritePatternApplier,
    PatternRewriter,
    PatternRewriteWalker,
    RewritePattern,
)

from dialects import ttir
from dialects.provenance import Provenance

OpT = TypeVar("OpT", bound=Operation)


def flat_locations(location: Attribute) -> tuple[Attribute, ...]:
    """The known locations in a location, fused ones taken apart."""
    if isinstance(location, FusedLoc):
        assert isinstance(location.locations, ArrayAttr)
        parts = [flat_locations(part) for part in location.locations]
        return tuple(part for group in parts for part in group)
    return () if isinstance(location, UnknownLoc) else (location,)


def provenance_of(ops: Sequence[Operation], *, shown: Sequence[Operation]) -> str:
    """What a program is made of; `shown` are the operations to name, while those that
    only move data around them give their lines.

    A module is left out where the operation names a module inside of it.
    """
    operations: list[tuple[str, str]] = []
    for op in shown:
        paths = list(dict.fromkeys(path for path, _ in map(_place, _parts(op))))
        kind = op.name.partition(".")[2]
        for path in paths or [""]:
            if not any(other.startswith(f"{path}.") for other in paths if path):
                operations.append((kind, path))
    places = (place for op in ops for _, place in map(_place, _parts(op)))
    return str(Provenance.of(operations, filter(None, places)))


def _parts(op: Operation) -> tuple[Attribute, ...]:
    return flat_locations(op.location)


def _place(location: Attribute) -> tuple[str, tuple[str, int] | None]:
    """The module path of a location, and its file and line."""
    path = ""
    if isinstance(location, NameLoc):
        path, location = location.desc.data, location.location
    if not isinstance(location, FileLineColLoc):
        return path, None
    return path, (location.filename.data.rpartition("/")[2], location.line.data)


def noted_location(ops: Iterable[Operation], note: str) -> LocationAttr:
    """The union of the locations of ops, with a note of what they are."""
    found = flat_locations(fused_location(ops))
    return FusedLoc(found, StringAttr(note)) if found else UNKNOWN_LOC


def note_of(op: Operation) -> str:
    """The note with an operation's location, or where it comes from."""
    location = op.location
    if isinstance(location, FusedLoc) and isinstance(location.metadata, StringAttr):
        return location.metadata.data
    return describe_source(op)


def fused_location(ops: Iterable[Operation]) -> LocationAttr:
    """The union of the locations of ops, in their order, each once."""
    found = [part for op in ops for part in flat_locations(op.location)]
    distinct = tuple(dict.fromkeys(found))
    if not distinct:
        return UNKNOWN_LOC
    if len(distinct) == 1:
        return distinct[0]  # pyright: ignore[reportReturnType]
    return FusedLoc(distinct, NoneAttr())


def describe_source(op: Operation) -> str:
    """Where an operation comes from: `model.layers.0.mlp llama.py:182 (+11)`."""
    parts = flat_locations(op.location)
    if not parts:
        return ""
    path, place = _place(parts[0])
    if place is not None:
        path = f"{path} {place[0]}:{place[1]}".strip()
    return f"{path} (+{len(parts) - 1})" if len(parts) > 1 else path


def replace(
    rewriter: PatternRewriter,
    op: Operation,
    new_ops: Operation | Sequence[Operation],
    *,
    absorbed: Iterable[Operation] = (),
    new_result: SSAValue | None = None,
) -> None:
    """Replace `op`; the new ops come from `op` and from all that was `absorbed`.

    The last new op gives the result unless `new_result` does. `absorbed` names the
    ops whose work the new ones do too; they go when nothing else uses them.
    """
    new_ops = [new_ops] if isinstance(new_ops, Operation) else list(new_ops)
    location = fused_location([op, *absorbed])
    for new_op in new_ops:
        new_op.location = location
    results = None if new_result is None else [new_result]
    rewriter.replace(op, new_ops, results)


def replace_by_value(rewriter: PatternRewriter, op: Operation, value: SSAValue) -> None:
    """Let an existing value stand for the result of `op`."""
    replace(rewriter, op, [], new_result=value)


def producer(value: SSAValue, kind: type[OpT]) -> OpT | None:
    """The op that yields a value, if it is of one kind."""
    owner = value.owner
    return owner if isinstance(owner, kind) else None


def used_once(value: SSAValue) -> bool:
    """Whether exactly one operand refers to the value."""
    return value.has_one_use()


def apply_patterns(module: ModuleOp, *patterns: RewritePattern) -> None:
    """Apply patterns until none matches; dead ops go."""
    applier = GreedyRewritePatternApplier(list(patterns))
    PatternRewriteWalker(applier).rewrite_module(module)


def splat_of(value: SSAValue) -> float | None:
    """The number that a value holds everywhere, if it is made from nothing else."""
    match value.owner:
        case ttir.FullOp() as op:
            return float(op.value)
        case ttir.ZerosOp():
            return 0.0
        case ttir.OnesOp():
            return 1.0
        case ttir.ReshapeOp() | ttir.BroadcastOp() | ttir.TypecastOp() as op:
            return splat_of(op.input)
    return None


def with_splat(
    op: ttir.BinaryOp, *, commutes: bool = True
) -> tuple[SSAValue, float] | None:
    """The operand and the number, for an op of which one operand is a number.

    Only the right one counts where the op does not commute.
    """
    number = splat_of(op.rhs)
    if number is not None:
        return op.lhs, number
    number = splat_of(op.lhs) if commutes else None
    return None if number is None else (op.rhs, number)


def is_float_cast(op: ttir.TypecastOp) -> bool:
    """Whether a cast is between bf16 and f32."""
    elements = (ttir.element_of(op.input), ttir.element_of(op.result))
    return all(map(ttir.is_float, elements))
