"""`forge run`: a compiled chat model answers on the emulator."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forge.arguments import require_at_least
from forge.console import show_json, step
from forge.errors import UsageError
from forge.reports import show_profile

if TYPE_CHECKING:
    from forge.compiled_model import CompiledModel


@dataclass(frozen=True)
class Question:
    """What the model is asked: its tokens, and the tokenizer that reads the answer."""

    token_ids: Sequence[int]
    tokenizer: Any = None


@dataclass
class Answer:
    """What came out, as text and as tokens, and how long it took on this host."""

    text: str = ""
    token_ids: list[int] = field(default_factory=list)
    seconds: float = 0.0


def run_run(
    folder: Path,
    prompt: str | None,
    *,
    token_ids: str | None,
    max_new_tokens: int,
    use_chat_template: bool,
    numerics: str = "fast",
    json: bool,
) -> None:
    """Streams the greedy answer to a prompt, then prints what it cost."""
    require_at_least(1, "--max-new-tokens", value=max_new_tokens)
    if (prompt is None) == (token_ids is None):
        raise UsageError(
            "forge run takes a prompt or token numbers",
            advice='give either --prompt "..." or --token-ids 1,2,3',
        )
    numbers = None if token_ids is None else parse_token_ids(token_ids)
    from forge.artifact import load, read_manifest

    read_manifest(folder)
    with step(f"loading {folder}"):
        model = load(folder, numerics=numerics)
        if numbers is not None:
            question = Question(numbers)
        else:
            assert prompt is not None
            question = ask(folder, prompt, use_chat_template=use_chat_template)
    answer(model, question, max_new_tokens=max_new_tokens, json=json)


def parse_token_ids(text: str) -> list[int]:
    """Reads `1,2,3`."""
    if not re.fullmatch(r"\s*\d+\s*(,\s*\d+\s*)*", text):
        raise UsageError(
            "--token-ids takes numbers with commas between them",
            value=text,
            advice="write them as in 1,2,3",
        )
    return [int(number) for number in text.split(",")]


def ask(folder: Path, prompt: str, *, use_chat_template: bool = True) -> Question:
    """The prompt in the tokens of the model that `folder` holds."""
    from forge.artifact import load_tokenizer_of
    from forge.generate import encode_prompt

    tokenizer = load_tokenizer_of(folder)
    tokens = encode_prompt(tokenizer, prompt, chat=use_chat_template)
    return Question(tokens, tokenizer)


def answer(
    model: CompiledModel,
    question: Question,
    *,
    max_new_tokens: int,
    heading: str = "",
    json: bool = False,
) -> None:
    """Streams the answer below a heading, then prints the cost."""
    from forge.generate import require_prompt_fits
    from forge.profile.document import profile_summary

    require_prompt_fits(model, question.token_ids)
    with step("preparing the emulator"):
        model.emulator.prepare()
    if heading:
        print(f"\n{heading}\n")
    found = stream(model, question, max_new_tokens, silent=json)
    with step("timing") as progress:
        profile = model.profile(progress)
    if json:
        show_json(
            {
                "text": found.text,
                "token_ids": found.token_ids,
                "host_tokens_per_second": len(found.token_ids) / found.seconds,
                **profile_summary(profile),
            }
        )
        return
    title = f"One pass of {model.name} on {model.machine.chip.name}"
    show_profile(profile, title=title)
    print(
        f"Each token is one pass over all {model.sequence_length} positions: "
        f"{profile.milliseconds:.2f} ms on the chip; here, {len(found.token_ids)} "
        f"tokens took {found.seconds:.1f} s."
    )


def stream(
    model: CompiledModel, question: Question, max_new_tokens: int, *, silent: bool
) -> Answer:
    """Generates, and prints each piece of the answer when it is there."""
    from forge.generate import generate

    found = Answer()
    begin = time.perf_counter()
    for token in generate(
        model,
        question.token_ids,
        tokenizer=question.tokenizer,
        max_new_tokens=max_new_tokens,
    ):
        found.text += token.text
        found.token_ids.append(token.number)
        if not silent:
            print(token.text, end="", flush=True)
    found.seconds = time.perf_counter() - begin
    if not silent:
        print("\n")
    return found
