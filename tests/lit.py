"""Runs lit's syntax inside pytest: a `.mlir` file states its command and its checks.

    // RUN: forge-opt -p some-pass %s | filecheck %s
    // RUN: not forge-opt %s 2>&1 | filecheck %s --check-prefix=BAD

`%s` is the file, `not` expects the command to fail, `2>&1` adds its errors to what is
checked. Both tools run in this process, which makes a line cost some 20 ms.
"""

import io
import re
import shlex
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

RUN_LINE = re.compile(r"^\s*//\s*RUN:\s*(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class RunLine:
    """One RUN line: the arguments of `forge-opt`, and those of `filecheck` if any."""

    text: str
    tool_args: list[str]
    check_args: list[str] | None
    expects_failure: bool
    merges_errors: bool


def has_run_lines(path: Path) -> bool:
    return RUN_LINE.search(path.read_text(encoding="utf-8")) is not None


def read_run_lines(path: Path) -> list[RunLine]:
    """Reads the RUN lines of a file; one that ends in a backslash goes on in the next.

    Raises ValueError for a command that this runner does not know.
    """
    joined = "\n".join(RUN_LINE.findall(path.read_text(encoding="utf-8")))
    lines = joined.replace("\\\n", " ").splitlines()
    return [_parse_run_line(line, path) for line in lines]


def _parse_run_line(text: str, path: Path) -> RunLine:
    words = [word.replace("%s", str(path)) for word in _split(text)]
    tool, check = words, None
    if "|" in words:
        bar = words.index("|")
        tool, check = words[:bar], words[bar + 1 :]
        if check[:1] != ["filecheck"]:
            raise ValueError(f"only filecheck may follow the bar: {text}")
    expects_failure = tool[:1] == ["not"]
    tool = tool[expects_failure:]
    if tool[:1] != ["forge-opt"]:
        raise ValueError(f"only forge-opt can be run: {text}")
    return RunLine(
        text=text,
        tool_args=[word for word in tool[1:] if word != "2>&1"],
        check_args=None if check is None else check[1:],
        expects_failure=expects_failure,
        merges_errors="2>&1" in tool,
    )


def _split(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|")
    lexer.whitespace_split = True
    lexer.commenters = ""
    return list(lexer)


class LitFile(pytest.File):
    """A `.mlir` file with RUN lines; each line is one test."""

    def collect(self) -> Iterator[pytest.Item]:
        lines = read_run_lines(self.path)
        for number, line in enumerate(lines):
            name = f"RUN{number}" if len(lines) > 1 else "RUN"
            yield LitItem.from_parent(self, name=name, line=line)


class LitError(Exception):
    """A RUN line did not do what its file says."""


class LitItem(pytest.Item):
    """One RUN line."""

    def __init__(self, *, line: RunLine, **rest: Any) -> None:
        super().__init__(**rest)
        self.line = line

    def runtest(self) -> None:
        output, errors = _run_tool(self.line)
        if self.line.check_args is not None:
            _check(self.line.check_args, output, errors)

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        if isinstance(excinfo.value, LitError):
            return f"{self.path}\nRUN: {self.line.text}\n\n{excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, f"{self.path.name}::{self.name}"


def _run_tool(line: RunLine) -> tuple[str, str]:
    from forge.opt import main

    output = io.StringIO()
    errors = output if line.merges_errors else io.StringIO()
    with redirect_stdout(output), redirect_stderr(errors):
        exit_code = main(line.tool_args)
    if (exit_code != 0) != line.expects_failure:
        expected = "fail" if line.expects_failure else "succeed"
        raise LitError(
            f"forge-opt returned {exit_code}; it should {expected}\n"
            f"{errors.getvalue()}\n{output.getvalue()}"
        )
    return output.getvalue(), errors.getvalue()


def _check(args: list[str], output: str, errors: str) -> None:
    from filecheck.finput import FInput
    from filecheck.matcher import Matcher
    from filecheck.options import parse_argv_options
    from filecheck.parser import Parser

    options = parse_argv_options(["filecheck", *args])
    report = io.StringIO()
    with redirect_stdout(report), redirect_stderr(report):
        matcher = Matcher(options, FInput("output", output), Parser.from_opts(options))
        exit_code = matcher.run()
    if exit_code != 0:
        raise LitError(f"{report.getvalue()}\n-- all output\n{output}{errors}")
