"""Operations of a netlist as lines: short forms where they say all, else one by one.

A statement is what a reader takes for one thing: a section of Dst, a block that is
filled and pushed, a nest of loops. Each stands for a fixed list of operations, which
`netlist_statements` reads back; operations that are no such list stand for themselves.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from xdsl.ir import Block, Operation, Region
from xdsl.printer import Printer

from dialects import tensix
from dialects import tensix_movement as movement
from dialects.short_sections import handed_over, head_of, reserves, write_section
from dialects.short_transfers import Casts, write_drain, write_fill
from dialects.syntax import LocalAttr, quoted

PREFIX = "tensix."
WIDTH = 110
WIDTH_WITH_NOTE = 116
INDENT = "  "
CONTINUED = "    "
_PAGES = (
    movement.ReserveBackOp,
    movement.PushBackOp,
    movement.WaitFrontOp,
    movement.PopFrontOp,
)
_BESIDE = (tensix.MulticastOp, tensix.GatherOp)
Statement = tuple[list[str], int]


class _HeadPrinter(Printer):
    """Prints an operation without its regions and without the dialect's prefix."""

    def print_string(self, text: str, *, indent: int | None = None) -> None:
        """Print, leaving out the prefix of an operation's name inside a netlist."""
        if text.startswith(PREFIX) and text != tensix.NetlistOp.name:
            text = text[len(PREFIX) :]
        super().print_string(text, indent=indent)

    def print_region(
        self,
        region: Region,
        print_entry_block_args: bool = True,
        print_empty_block: bool = True,
        print_block_terminators: bool = True,
    ) -> None:
        """Leave the region out: its lines follow."""


def head_text(op: Operation) -> str:
    """An operation up to its region."""
    stream = io.StringIO()
    _HeadPrinter(stream).print_op(op)
    return stream.getvalue().rstrip()


class Layout:
    """Lays operations out, with notes as comments on the lines before them."""

    def __init__(self, notes: Mapping[Operation, list[str]]):
        self._notes = notes
        self._casts: Casts = {}

    def block(self, block: Block | None, depth: int) -> list[str]:
        """The lines of a block at a depth of indentation, which they lack."""
        ops = [] if block is None else list(block.ops)
        return [line for lines in self._statements(ops, depth) for line in lines]

    def operation(self, op: Operation, depth: int = 0) -> list[str]:
        """The lines of one operation, with its notes."""
        return self._noted([op], self._plain([op], depth)[0])

    def _statements(self, ops: Sequence[Operation], depth: int) -> list[list[str]]:
        found = []
        while ops:
            lines, length = self._short(ops, depth) or self._plain(ops, depth)
            found.append(self._noted(ops[:length], lines))
            ops = ops[length:]
        return found

    def _noted(self, ops: Sequence[Operation], lines: list[str]) -> list[str]:
        """Lines with the notes of their operations: behind what is on its way between
        cores, where that has room, and before anything else."""
        notes = [f"// {note}" for op in ops for note in self._notes.get(op, ())]
        if len(notes) == len(lines) == 1 and isinstance(ops[0], _BESIDE):
            beside = f"{lines[0]}  {notes[0]}"
            if len(beside) <= WIDTH_WITH_NOTE:
                return [beside]
        return [*notes, *lines]

    # -- short forms -----------------------------------------------------------------

    def _short(self, ops: Sequence[Operation], depth: int) -> Statement | None:
        """A statement that stands for the first operations, if there is one."""
        if isinstance(ops[0], tensix.CircularBufferOp):
            return _buffers(ops, depth)
        text, length = write_section(ops)
        if not length:
            text, length = write_drain(ops)
        if length:
            return wrapped(text, depth), length
        fresh = reserves(ops)
        tries = (self._pushed(fresh[:n], ops, depth) for n in range(len(fresh), 0, -1))
        return next((found for found in tries if found is not None), None)

    def _pushed(
        self, buffers: Sequence[LocalAttr], ops: Sequence[Operation], depth: int
    ) -> Statement | None:
        """Blocks that are reserved, filled by what follows, and pushed."""
        rest = ops[len(buffers) :]
        how, filled = write_fill(buffers, rest, self._casts)
        ends = [filled] if filled else range(len(rest))
        for end in ends:
            handed = handed_over(buffers, rest[end:])
            if handed is None:
                continue
            words, behind = handed
            head = _same_words(", ".join(f"{words[b]} {b}" for b in buffers))
            length = len(buffers) + end + behind
            if filled or not end:
                return [head + (how if filled else " lent")], length
            body = self._statements(rest[:end], depth + 1)
            return _headed(head, body, depth, joined={"for": ""}), length
        return None

    # -- operations by themselves ----------------------------------------------------

    def _plain(self, ops: Sequence[Operation], depth: int) -> Statement:
        op = ops[0]
        if isinstance(op, _PAGES) and op.pages is None:
            return self._pages(op, ops, depth)
        if isinstance(op, tensix.ForOp | tensix.IfOp):
            body = self._statements(list(op.regions[0].block.ops), depth + 1)
            loop = isinstance(op, tensix.ForOp)
            joined = {"for": ",", "if": ""} if loop else {}
            return _headed(head_of(op), body, depth, joined=joined), 1
        if not op.regions:
            return [head_text(op)], 1
        if isinstance(op, tensix.ProgramOp):
            casts = (o for o in op.body.block.ops if isinstance(o, tensix.MulticastOp))
            self._casts = {cast.sym_name.data: cast for cast in casts}
        head, ops = head_text(op), list(op.regions[0].block.ops)
        if isinstance(op, tensix.KernelOp):
            head, ops = _kernel_head(head, ops)
        body = [line for lines in self._statements(ops, depth + 1) for line in lines]
        return _braced(_program_head(op, head), body), 1

    def _pages(self, op: Operation, ops: Sequence[Operation], depth: int) -> Statement:
        """A run of one instruction on several buffers, up to the next statement."""
        names = []
        for at, other in enumerate(ops):
            alike = type(other) is type(op) and "pages" not in other.properties
            if not alike or (at and self._short(ops[at:], depth) is not None):
                break
            names.append(str(other.properties["buffer"]))
        text = f"{op.name.removeprefix(PREFIX)} {', '.join(names)}"
        return wrapped(text, depth), len(names)


def _same_words(names: str) -> str:
    """`push %a, push %b` as `push %a, %b`."""
    word, *_ = names.split(" ", 1)
    return word + " " + names.removeprefix(word + " ").replace(f", {word} ", ", ")


def _buffers(ops: Sequence[Operation], depth: int) -> Statement | None:
    """Local circular buffers of one kind."""
    kind = dict(ops[0].properties)
    del kind["sym_name"]
    if "data_format" not in kind or "operand" in kind:
        return None
    names = []
    for op in ops:
        if not isinstance(op, tensix.CircularBufferOp):
            break
        if op.properties != {**kind, "sym_name": op.sym_name}:
            break
        names.append(str(op.sym_name))
    head, first = "cb ", head_text(ops[0])
    text = head + ", ".join(names) + first.removeprefix(head + names[0])
    return wrapped(text, depth), len(names)


def _kernel_head(head: str, ops: list[Operation]) -> tuple[str, list[Operation]]:
    """A kernel's head names the run-time scalars that it reads first."""
    names = []
    while ops and isinstance(ops[0], movement.ReadScalarsOp):
        names.append(str(ops[0].scalars))
        ops = ops[1:]
    return (f"{head} reads {', '.join(names)}" if names else head), ops


def _program_head(op: Operation, head: str) -> list[str]:
    """A long head breaks between parameters and in the text of its source."""
    if not isinstance(op, tensix.ProgramOp) or len(head) + len(INDENT) + 2 <= WIDTH:
        return [head]
    before, _, _ = head.partition(" source ")
    lines = wrapped(before, 1)
    if op.source is None:
        return lines
    text, room = op.source.data, WIDTH - len(CONTINUED) - len('    source "" {')
    parts = []
    while len(text) > room:
        at = text.rfind(" ", 0, room) + 1 or room
        parts.append(text[:at])
        text = text[at:]
    first, *others = map(quoted, [*parts, text])
    lines.append(f"{CONTINUED}source {first}")
    return lines + [f"{CONTINUED}       {other}" for other in others]


def _braced(head: list[str], body: list[str]) -> list[str]:
    return [*head[:-1], head[-1] + " {", *(INDENT + line for line in body), "}"]


def _headed(
    head: str, body: list[list[str]], depth: int, *, joined: Mapping[str, str]
) -> list[str]:
    """A head before a body; where that is one statement, both share what they can.

    `joined` are the first words of a statement that may follow the head directly, and
    what stands between them: `for m { for n { ... } }` is `for m, n { ... }`.
    """
    if len(body) == 1:
        (lines,) = body
        word, _, rest = lines[0].partition(" ")
        if word in joined and lines[-1].endswith("}"):
            between = joined[word]
            first = f"{head}{between} {rest if between else lines[0]}"
            if depth * len(INDENT) + len(first) <= WIDTH:
                return [first, *lines[1:]]
        inline = f"{head} {{ {lines[0]} }}"
        if len(lines) == 1 and depth * len(INDENT) + len(inline) <= WIDTH:
            return [inline]
    return _braced([head], [line for lines in body for line in lines])


def wrapped(text: str, depth: int) -> list[str]:
    """A text in lines of the usual width, broken where a reader would pause."""
    room = WIDTH - depth * len(INDENT)
    lines = []
    while len(text) > room:
        at = _pause(text, room)
        if at is None:
            break
        lines.append(text[:at].rstrip())
        text = CONTINUED + text[at:].lstrip()
    return [*lines, text]


def _pause(text: str, room: int) -> int | None:
    """The best place for a line's end: outside of braces before a step or behind `=`,
    else before any step, else behind a comma."""
    level, places = 0, ([], [], [])
    for at in range(len(CONTINUED) + 1, min(room, len(text))):
        level += {"{": 1, "}": -1}.get(text[at], 0)
        if text.startswith("| ", at):
            places[1 if level else 0].append(at)
        elif text.startswith("= ", at) and not level and text[at - 1] == " ":
            places[0].append(at + 1)
        elif text.startswith(", ", at):
            places[2].append(at + 1)
    return next((found[-1] for found in places if found), None)
