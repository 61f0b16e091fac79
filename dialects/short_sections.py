"""A section of Dst as one statement: what is computed in it, and where it is packed.

`keep %h, push %y [m by 1, n by 4] = matmul_block %a, %b sum [k] | exp_tile` stands for

    cb_reserve_back %h, %y
    for m by 1, n by 4 {
      tile_regs_acquire
      matmul_block %a, %b [m, n] sum [k] -> dst[0]
      exp_tile dst[0] [m, n]
      tile_regs_commit
      tile_regs_wait
      pack_tiles dst[0] [m, n] -> %h
      pack_tiles dst[0] [m, n] -> %y
      tile_regs_release
    }
    cb_push_back %h
    cb_wait_front %h
    cb_push_back %y

`push` reserves a block and hands it to whoever reads it; `keep` is for this kernel's
own later use, so it waits for the block at once; `pack` writes into a block that was
reserved before. Axes with a `by` are looped over here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from xdsl.dialects.builtin import UnitAttr
from xdsl.ir import Block, Operation, Region
from xdsl.parser import AttrParser

from dialects import tensix
from dialects import tensix_compute as compute
from dialects import tensix_movement as movement
from dialects.expr import Const
from dialects.short_fields import (
    BINARY,
    BY_NAME,
    FIELDS,
    is_local,
    read,
    read_binary,
    read_instruction,
    write_binary,
    write_instruction,
)
from dialects.syntax import AxesAttr, DstAttr, ExprAttr, LocalAttr, WordAttr

WORDS = ("keep", "push", "pack")
STEP = " | "
DST0 = DstAttr(0)
_PAGES = {
    op.name.removeprefix("tensix."): op
    for op in (movement.WaitFrontOp, movement.PopFrontOp)
}


@dataclass(frozen=True)
class Target:
    """A circular buffer that takes a result, and what becomes of its block."""

    word: str
    buffer: LocalAttr
    dst: DstAttr = DST0
    relu: bool = False
    adds: bool = False

    def __str__(self) -> str:
        words = [self.word, str(self.buffer)]
        if self.dst.data:
            words.append(f"from {self.dst}")
        words += ["relu"] if self.relu else []
        return " ".join([*words, *(["l1_accumulate"] if self.adds else [])])

    def pack(self, axes: AxesAttr) -> Operation:
        """The instruction that packs."""
        units = {"relu": self.relu, "l1_accumulate": self.adds}
        properties = {name: UnitAttr() for name, stated in units.items() if stated}
        return compute.PackTilesOp.create(
            properties={
                "dst": self.dst, "axes": axes, "buffer": self.buffer, **properties
            }
        )  # fmt: skip


def reserved(targets: Sequence[Target], body: Sequence[Operation]) -> list[Operation]:
    """A body between the reserving and the pushing of its targets' blocks."""
    fresh = [t for t in targets if t.word != "pack"]
    ops = [_move(movement.ReserveBackOp, t.buffer) for t in fresh]
    ops += body
    for target in fresh:
        ops.append(_move(movement.PushBackOp, target.buffer))
        if target.word == "keep":
            ops.append(_move(movement.WaitFrontOp, target.buffer))
    return ops


def _move(kind: type[Operation], buffer: LocalAttr) -> Operation:
    return kind.create(properties={"buffer": buffer})


def same(ops: Sequence[Operation], others: Sequence[Operation]) -> bool:
    """Whether two lists of operations are equal."""
    return len(ops) == len(others) and all(
        op.is_structurally_equivalent(other)
        for op, other in zip(ops, others, strict=True)
    )


# -- writing ---------------------------------------------------------------------------


def write_section(ops: Sequence[Operation]) -> tuple[str, int]:
    """The statement that the operations begin with and how many it stands for, or 0."""
    fresh = reserves(ops)
    if len(fresh) == len(ops):
        return "", 0
    inner, loops = _unnest(ops[len(fresh) :])
    found = _section(inner)
    if found is None:
        return "", 0
    axes, packs, steps, length = found
    heads = _heads(axes, loops)
    if heads is None or (loops and length != len(inner)):
        return "", 0
    body = len(fresh) + (1 if loops else length)
    handed = handed_over(fresh, ops[body:])
    if handed is None:
        return "", 0
    words, behind = handed
    targets = [replace(t, word=words.get(t.buffer, "pack")) for t in packs]
    if [t.buffer for t in targets if t.word != "pack"] != fresh:
        return "", 0
    left = ", ".join(map(str, targets))
    return f"{left} [{', '.join(heads)}] = {STEP.join(steps)}", body + behind


def reserves(ops: Sequence[Operation]) -> list[LocalAttr]:
    """The buffers that the operations begin to reserve."""
    found: list[LocalAttr] = []
    for op in ops:
        if not isinstance(op, movement.ReserveBackOp) or op.pages is not None:
            break
        found.append(op.buffer)
    return found


def handed_over(
    fresh: Sequence[LocalAttr], ops: Sequence[Operation]
) -> tuple[dict[LocalAttr, str], int] | None:
    """The word for each reserved buffer by what follows its block, and how many
    operations that are; None where they are not pushed here, in their order."""
    words: dict[LocalAttr, str] = {}
    at = 0
    for buffer in fresh:
        if not _moves(movement.PushBackOp, buffer, ops[at : at + 1]):
            return None
        kept = _moves(movement.WaitFrontOp, buffer, ops[at + 1 : at + 2])
        words[buffer] = "keep" if kept else "push"
        at += 2 if kept else 1
    return words, at


def _moves(kind: type[Operation], buffer: LocalAttr, ops: Sequence[Operation]) -> bool:
    return (
        bool(ops) and type(ops[0]) is kind and ops[0].properties == {"buffer": buffer}
    )


def _unnest(
    ops: Sequence[Operation],
) -> tuple[Sequence[Operation], list[tuple[str, int]]]:
    """What stands inside the first operation's loops with a `by`, and these loops."""
    loops: list[tuple[str, int]] = []
    while isinstance(ops[0], tensix.ForOp) and (not loops or len(ops) == 1):
        loop = ops[0]
        if loop.by is None or loop.to is not None or loop.body.block.first_op is None:
            break
        loops.append((loop.axis.data, loop.by.value))
        ops = list(loop.body.block.ops)
    return ops, loops


def _heads(axes: AxesAttr, loops: Sequence[tuple[str, int]]) -> list[str] | None:
    """The axes with the steps of their loops; None where the orders differ."""
    steps = dict(loops)
    if [a for a in axes.data if a in steps] != [axis for axis, _ in loops]:
        return None
    return [f"{a} by {steps[a]}" if a in steps else a for a in axes.data]


def _section(
    ops: Sequence[Operation],
) -> tuple[AxesAttr, list[Target], list[str], int] | None:
    """Axes, packs and steps of a section of Dst, and the operations that it takes."""
    ends = {type(op): at for at, op in reversed(list(enumerate(ops)))}
    commit, release = ends.get(compute.CommitOp, 0), ends.get(compute.ReleaseOp, 0)
    if not commit or not isinstance(ops[0], compute.AcquireOp):
        return None
    packs = ops[commit + 2 : release]
    axes = packs[0].properties.get("axes") if packs else None
    if ends.get(compute.RegsWaitOp) != commit + 1 or not isinstance(axes, AxesAttr):
        return None
    targets = [_target(op) for op in packs if op.properties.get("axes") == axes]
    steps = _write_steps(ops[1:commit], axes)
    known = [target for target in targets if target is not None]
    if not steps or len(known) < len(packs):
        return None
    return axes, known, steps, release + 1


def _target(op: Operation) -> Target | None:
    if not isinstance(op, compute.PackTilesOp):
        return None
    relu, adds = op.relu is not None, op.l1_accumulate is not None
    return Target("pack", op.buffer, op.dst, relu=relu, adds=adds)


def _write_steps(ops: Sequence[Operation], axes: AxesAttr) -> list[str] | None:
    """The steps of a section, or None where one has no short form."""
    steps, at = [], 0
    while at < len(ops):
        text, length = _write_step(ops[at:], axes)
        if not length:
            return None
        steps.append(text)
        at += length
    return steps


def _write_step(ops: Sequence[Operation], axes: AxesAttr) -> tuple[str, int]:
    op = ops[0]
    text, length = write_binary(ops, axes)
    if length:
        return text, length
    if type(op) in FIELDS:
        return write_instruction(op, axes), 1
    if isinstance(op, movement.WaitFrontOp | movement.PopFrontOp) and op.pages is None:
        return f"{op.name.removeprefix('tensix.')} {op.buffer}", 1
    if isinstance(op, tensix.ForOp | tensix.IfOp):
        inner = _write_steps(list(op.regions[0].block.ops), axes)
        if inner:
            return f"{head_of(op)} {{ {STEP.join(inner)} }}", 1
    return "", 0


def head_of(op: tensix.ForOp | tensix.IfOp) -> str:
    """A loop or branch up to its brace."""
    if isinstance(op, tensix.IfOp):
        return f"if {op.condition}"
    by = "" if op.by is None else f" by {op.by}"
    return f"for {op.axis}{by}" + ("" if op.to is None else f" to {op.to}")


# -- reading ---------------------------------------------------------------------------


def read_targets(parser: AttrParser, word: str) -> list[Target]:
    """Read targets behind the first word: `%a, push %b from dst[1]`."""
    targets = [_read_target(parser, word)]
    while parser.parse_optional_punctuation(",") is not None:
        next_word = parser.parse_optional_keyword_in(WORDS)
        targets.append(_read_target(parser, next_word or word))
    return targets


def _read_target(parser: AttrParser, word: str) -> Target:
    buffer, dst = read(parser, LocalAttr), DST0
    if parser.parse_optional_keyword("from") is not None:
        dst = read(parser, DstAttr)
    relu = parser.parse_optional_keyword("relu") is not None
    adds = parser.parse_optional_keyword("l1_accumulate") is not None
    return Target(word, buffer, dst, relu=relu, adds=adds)


def read_section(parser: AttrParser, targets: Sequence[Target]) -> list[Operation]:
    """Read the axes and steps of a section behind its targets."""
    heads = parser.parse_comma_separated_list(
        parser.Delimiter.SQUARE, lambda: _read_head(parser)
    )
    axes = AxesAttr(tuple(axis for axis, _ in heads))
    parser.parse_punctuation("=")
    ops: list[Operation] = [
        compute.AcquireOp.create(),
        *_read_steps(parser, axes),
        compute.CommitOp.create(),
        compute.RegsWaitOp.create(),
        *(target.pack(axes) for target in targets),
        compute.ReleaseOp.create(),
    ]
    for axis, by in reversed(heads):
        if by is not None:
            ops = [loop_of(axis, ops, by=ExprAttr(Const(by)))]
    return reserved(targets, ops)


def loop_of(
    axis: str,
    body: Sequence[Operation],
    *,
    by: ExprAttr | None = None,
    to: ExprAttr | None = None,
) -> tensix.ForOp:
    """A loop over an axis around a body."""
    stated = {"axis": WordAttr(axis), "by": by, "to": to}
    return tensix.ForOp.create(
        properties={name: value for name, value in stated.items() if value is not None},
        regions=[Region(Block(list(body)))],
    )


def _read_head(parser: AttrParser) -> tuple[str, int | None]:
    axis = parser.parse_identifier()
    looped = parser.parse_optional_keyword("by") is not None
    return axis, parser.parse_integer() if looped else None


def _read_steps(parser: AttrParser, axes: AxesAttr) -> list[Operation]:
    ops = _read_step(parser, axes)
    while parser.parse_optional_punctuation("|") is not None:
        ops += _read_step(parser, axes)
    return ops


def _read_step(parser: AttrParser, axes: AxesAttr) -> list[Operation]:
    if is_local(parser):
        return [read_instruction(parser, "copy_tiles", axes)]
    name = parser.parse_identifier()
    if name in BINARY:
        return read_binary(parser, name, axes)
    if name in BY_NAME:
        return [read_instruction(parser, name, axes)]
    if name in _PAGES:
        return [_move(_PAGES[name], read(parser, LocalAttr))]
    if name not in ("for", "if"):
        parser.raise_error(f"'{name}' is no step of a section of Dst")
    wrap = read_loop(parser) if name == "for" else read_branch(parser)
    parser.parse_punctuation("{")
    body = _read_steps(parser, axes)
    parser.parse_punctuation("}")
    return [wrap(body)]


def read_loop(parser: AttrParser):
    """Read a loop's head behind `for`; returns what puts it around a body."""
    axis, by, to = parser.parse_identifier(), None, None
    if parser.parse_optional_keyword("by") is not None:
        by = read(parser, ExprAttr)
    if parser.parse_optional_keyword("to") is not None:
        to = read(parser, ExprAttr)
    return lambda body: loop_of(axis, body, by=by, to=to)


def read_branch(parser: AttrParser):
    """Read a condition behind `if`; returns what puts the branch around a body."""
    condition = read(parser, ExprAttr)
    return lambda body: tensix.IfOp.create(
        properties={"condition": condition}, regions=[Region(Block(list(body)))]
    )
