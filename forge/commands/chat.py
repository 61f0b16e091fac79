"""`forge chat`: a conversation with a compiled chat model on the emulator."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from forge.arguments import require_at_least
from forge.commands.run import RunRequest, stream
from forge.console import format_cell, show_error, step
from forge.errors import ForgeError, UsageError

if TYPE_CHECKING:
    from forge.compiled_model import CompiledModel
    from forge.sampling import Sampling

RESET = "/reset"
PROMPT = "> "


def run_chat(request: RunRequest) -> None:
    """Answers line by line until the input ends."""
    require_at_least(1, "--max-new-tokens", value=request.max_new_tokens)
    request.sampling()
    from forge.artifact import load, load_tokenizer_of, read_manifest

    read_manifest(request.folder)
    with step(f"loading {request.folder}"):
        model = load(request.folder, numerics=request.numerics)
        load_tokenizer_of(request.folder)
        conversation = Conversation(model, request)
    with step("preparing the emulator"):
        conversation.prepare()
    print(f"{RESET} begins anew, Ctrl-D ends", file=sys.stderr)
    while (line := _read_line()) is not None:
        if line == RESET:
            conversation.reset()
        elif line:
            try:
                conversation.say(line)
            except ForgeError as error:
                show_error(error)


def _read_line() -> str | None:
    """The next line, None at the end of the input, which may be a pipe."""
    if sys.stdin.isatty():
        try:
            return input(PROMPT).strip()
        except EOFError:
            print()
            return None
    line = sys.stdin.readline()
    if not line:
        return None
    print(f"{PROMPT}{line.strip()}", flush=True)
    return line.strip()


class Conversation:
    """What was said so far, and the cache that holds most of it."""

    def __init__(self, model: CompiledModel, request: RunRequest):
        from forge.generate import Session

        self.model = model
        self.request = request
        self.session = Session(model)
        self.messages: list[dict[str, str]] = []
        if not getattr(model.tokenizer, "chat_template", None):
            raise UsageError(
                f"'{model.name}' has no chat template",
                advice="use forge run --raw, which continues a text",
            )

    def prepare(self) -> None:
        """Make ready what a first line needs."""
        assert self.session.info.decode is not None
        first, _ = self.session.bucket(1)
        self.session.emulator.prepare(first, self.session.info.decode)

    def reset(self) -> None:
        """Forget everything."""
        self.messages.clear()
        self.session.reset()

    def say(self, line: str) -> None:
        """Stream the answer to a line. Raises `ForgeError` where the cache is full."""
        from forge.generate import Generation, encode_chat

        messages = [*self.messages, {"role": "user", "content": line}]
        prompt = encode_chat(self.model.tokenizer, messages)
        generation = Generation(
            self.model,
            [prompt],
            max_new_tokens=self._new_tokens(len(prompt)),
            sampling=self._sampling(),
            session=self.session,
        )
        (answer,), host = stream(generation, silent=False)
        self.messages = [*messages, {"role": "assistant", "content": answer.text}]
        total = len(prompt) + len(answer.token_ids)
        print(
            f"({host.tokens} tokens, {format_cell(host.tokens_per_second)} tokens/s; "
            f"{total} of {self.session.info.seq_len} tokens of the cache)",
            file=sys.stderr,
        )

    def _new_tokens(self, prompt_length: int) -> int:
        """As many as were asked for, or as the cache has room for."""
        room = self.session.info.seq_len - prompt_length
        if room < 1:
            raise ForgeError(
                "the conversation is longer than the cache",
                limit=f"{self.session.info.seq_len} tokens",
                value=f"{prompt_length} tokens, the last line included",
                advice=f"say {RESET} to begin anew, or compile with a larger --seq-len",
            )
        return min(self.request.max_new_tokens, room)

    def _sampling(self) -> Sampling:
        """The same for the same turn of a conversation."""
        sampling = self.request.sampling()
        return replace(sampling, seed=sampling.seed + len(self.messages))
