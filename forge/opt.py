"""`forge-opt`: runs passes on a text file of IR; xDSL's `xdsl-opt` with our vocabulary.

Errors are shown as the message, the place and three lines around it, never as a
traceback or a whole module.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, Any, ClassVar, TypeVar

from xdsl.dialects.builtin import FileLineColLoc, ModuleOp
from xdsl.ir import Attribute, Operation
from xdsl.parser import Parser
from xdsl.universe import XDSL_UNIVERSE
from xdsl.utils.diagnostic import Diagnostic
from xdsl.utils.exceptions import ArgSpecParseError, DiagnosticException, ParseError
from xdsl.xdsl_opt_main import xDSLOptMain

from dialects.errors import ForgeError
from forge import __version__
from forge.universe import UNIVERSE

T = TypeVar("T")

CONTEXT_LINES = 3
"""Lines shown before and after the one an error is about."""


class PlaceKeepingParser(Parser):
    """A parser that remembers where in the text each operation begins."""

    def __init__(self, context: Any, text: str, name: str) -> None:
        super().__init__(context, text, name)
        self.text = text
        self.starts: dict[Operation, int] = {}

    def parse_operation(self) -> Operation:
        start = self.pos
        op = super().parse_operation()
        self.starts[op] = start
        return op

    def line_of(self, op: Operation) -> int | None:
        """The line of `op`, counted from 1; None for what a pass has made."""
        return self.line_at(self.starts[op]) if op in self.starts else None

    def line_at(self, position: int) -> int:
        return self.text.count("\n", 0, position) + 1


class ForgeOpt(xDSLOptMain):
    """xDSL's driver, without its plugins: its own universe and ours."""

    version_format: ClassVar[str] = f"forge-opt {__version__}, xDSL {{xdsl_version}}"

    def __init__(self, args: Sequence[str] | None = None) -> None:
        self.parser: PlaceKeepingParser | None = None
        super().__init__("forge's optimiser driver", args)

    def register_all_dialects(self) -> None:
        for universe in (XDSL_UNIVERSE, UNIVERSE):
            for name, load in universe.all_dialects.items():
                self.ctx.register_dialect(name, load)

    def register_all_passes(self) -> None:
        for universe in (XDSL_UNIVERSE, UNIVERSE):
            for name, load in universe.all_passes.items():
                self.register_pass(name, load)

    def register_all_targets(self) -> None:
        for universe in (XDSL_UNIVERSE, UNIVERSE):
            self.available_targets.update(universe.all_targets)

    def register_all_frontends(self) -> None:
        def parse_mlir(stream: IO[bytes]) -> ModuleOp:
            text = stream.read().decode()
            self.parser = PlaceKeepingParser(self.ctx, text, self.get_input_name())
            return self.parser.parse_module(not self.args.no_implicit_module)

        self.available_frontends["mlir"] = parse_mlir

    def run_chunks(self) -> int:
        """Runs the pipeline on each chunk of the input; returns the exit code."""
        chunks, extension = self.prepare_input()
        output = self.prepare_output()
        exit_code = 0
        try:
            for number, (chunk, first_line) in enumerate(chunks):
                if number > 0:
                    output.write("// -----\n")
                with chunk:
                    exit_code |= self._run_chunk(chunk, extension, first_line, output)
        finally:
            if output is not sys.stdout:
                output.close()
        return exit_code

    def _run_chunk(
        self, chunk: IO[bytes], extension: str, first_line: int, output: IO[str]
    ) -> int:
        try:
            module = self.parse_chunk(chunk, extension, first_line)
            assert module is not None
            self.apply_passes(module)
            output.write(self.output_resulting_program(module))
        except ParseError as error:
            error.span = replace(error.span, line_offset=first_line)
            return self._report(str(error), self.args.parsing_diagnostics)
        except (DiagnosticException, ForgeError) as error:
            text = describe_diagnostic(error, self.parser, first_line=first_line)
            return self._report(text, self.args.verify_diagnostics)
        return 0

    def _report(self, text: str, is_expected: bool) -> int:
        """Shows an error: on stdout when the caller asked to see it, as tests do."""
        print(text.rstrip(), file=sys.stdout if is_expected else sys.stderr)
        return 0 if is_expected else 1


def describe_diagnostic(
    error: Exception, parser: PlaceKeepingParser | None, *, first_line: int = 0
) -> str:
    """The message of an error in IR, its place, and the lines around it."""
    op = _innermost(Operation, error)
    line = parser.line_of(op) if parser is not None and op is not None else None
    if line is None and (parsing := _innermost(PlaceKeepingParser, error)) is not None:
        line = parsing.line_at(parsing.pos)
    lines = [f"error: {error}"]
    if line is not None and parser is not None:
        lines.append(f"  where: {parser.lexer.input.name}:{line + first_line}")
        lines += _excerpt(parser.text.splitlines(), line - 1)
    elif op is not None:
        if isinstance(op.location, FileLineColLoc):
            lines.append(f"  where: {op.location}")
        lines += _excerpt(*_printed(op, error))
    return "\n".join(lines)


def _innermost(kind: type[T], error: Exception) -> T | None:
    """The `self` of that kind which was closest to where the error was raised."""
    found = None
    traceback = error.__traceback__
    while traceback is not None:
        candidate = traceback.tb_frame.f_locals.get("self")
        if isinstance(candidate, kind):
            found = candidate
        traceback = traceback.tb_next
    return found


def _printed(op: Operation, error: Exception) -> tuple[list[str], int]:
    """The module as xDSL's note prints it, and the index of the line of `op`."""
    notes = getattr(error, "__notes__", [])
    lines = notes[0].splitlines() if notes else str(op).splitlines()
    marks = [at for at, text in enumerate(lines) if text.lstrip().startswith("^^^")]
    if not marks:
        return lines, 0
    after = next(
        (at for at in range(marks[0] + 1, len(lines)) if "---" in lines[at]), marks[0]
    )
    return lines[: marks[0]] + lines[after + 1 :], marks[0] - 1


def _excerpt(lines: list[str], index: int) -> list[str]:
    first = max(0, index - CONTEXT_LINES)
    window = lines[first : index + CONTEXT_LINES + 1]
    return [
        f"{'>' if at == index else ' '} {text}"
        for at, text in enumerate(window, start=first)
    ]


@contextmanager
def _unchanged_xdsl() -> Iterator[None]:
    """Undoes what `--disable-verify` and `--syntax-highlight` do to the process."""
    check, colored = Attribute.__post_init__, Diagnostic.colored
    try:
        yield
    finally:
        Attribute.__post_init__, Diagnostic.colored = check, colored


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `forge-opt`; returns its exit code: 1 for bad IR, 2 for wrong usage."""
    with _unchanged_xdsl():
        try:
            tool = ForgeOpt(argv)
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else 1
        except (ValueError, ArgSpecParseError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        try:
            return tool.run_chunks()
        except OSError as error:
            print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main())
