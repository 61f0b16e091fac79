"""`forge run`: a compiled chat model answers on the emulator."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forge.arguments import parse_numbers, require_at_least
from forge.console import format_cell, show_json, step
from forge.errors import UsageError

if TYPE_CHECKING:
    from forge.compiled_model import CompiledModel
    from forge.device_time import DeviceTime
    from forge.generate import Generation
    from forge.sampling import Sampling


@dataclass(frozen=True)
class RunRequest:
    """What a user of `forge run` may choose. Prompts or token numbers, not both."""

    folder: Path
    prompts: Sequence[str] = ()
    token_ids: Sequence[str] = ()
    batch: int | None = None
    max_new_tokens: int = 32
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    use_chat_template: bool = True
    numerics: str = "fast"

    def sampling(self) -> Sampling:
        """How tokens are chosen. Raises `UsageError`."""
        from forge.sampling import Sampling

        return Sampling(self.temperature, self.top_k, self.top_p, self.seed)


@dataclass
class Answer:
    """What came out for one prompt, as text and as tokens."""

    text: str = ""
    token_ids: list[int] = field(default_factory=list)


@dataclass
class HostTime:
    """How long a generation took here, its prompts and its steps."""

    first_token_seconds: float = 0.0
    seconds: float = 0.0
    tokens: int = 0

    @property
    def tokens_per_second(self) -> float:
        """Tokens of all users, over the whole time."""
        return self.tokens / self.seconds


def run_run(request: RunRequest, *, json: bool) -> None:
    """Streams the answers to prompts, then prints what they cost."""
    prompts = _check(request)
    from forge.artifact import load, read_manifest

    read_manifest(request.folder)
    sampling = request.sampling()
    with step(f"loading {request.folder}"):
        model = load(request.folder, numerics=request.numerics)
        if request.prompts:
            prompts = ask(model, request.folder, request)
    answer(
        model,
        _repeated(prompts, request.batch),
        max_new_tokens=request.max_new_tokens,
        sampling=sampling,
        json=json,
    )


def _check(request: RunRequest) -> list[list[int]]:
    """Refuse what has no meaning; the token numbers that were given."""
    require_at_least(1, "--max-new-tokens", value=request.max_new_tokens)
    if bool(request.prompts) == bool(request.token_ids):
        raise UsageError(
            "forge run takes prompts or token numbers",
            advice='give either --prompt "..." or --token-ids 1,2,3',
        )
    if request.batch is not None:
        require_at_least(1, "--batch", value=request.batch)
    return [parse_numbers(text, "--token-ids") for text in request.token_ids]


def _repeated(prompts: list[list[int]], batch: int | None) -> list[list[int]]:
    """The prompts in turn until there are as many as users."""
    if batch is None:
        return prompts
    if batch < len(prompts):
        raise UsageError(
            "there are more prompts than users",
            limit=f"--batch {batch}",
            value=f"{len(prompts)} prompts",
            advice="leave --batch out, or some prompts",
        )
    return [prompts[number % len(prompts)] for number in range(batch)]


def ask(model: CompiledModel, folder: Path, request: RunRequest) -> list[list[int]]:
    """The prompts in the tokens of the model that `folder` holds."""
    from forge.artifact import load_tokenizer_of
    from forge.generate import encode_prompt, require_generation

    require_generation(model)
    tokenizer = model.tokenizer or load_tokenizer_of(folder)
    return [
        encode_prompt(tokenizer, prompt, chat=request.use_chat_template)
        for prompt in request.prompts
    ]


def answer(
    model: CompiledModel,
    prompts: list[list[int]],
    *,
    max_new_tokens: int,
    sampling: Sampling | None = None,
    heading: str = "",
    json: bool = False,
) -> None:
    """Streams the answers below a heading, then prints the cost."""
    from forge.device_time import device_time
    from forge.generate import Generation, require_prompts_fit

    require_prompts_fit(model, prompts, max_new_tokens)
    generation = Generation(
        model, prompts, max_new_tokens=max_new_tokens, sampling=sampling
    )
    prepare(generation)
    if heading:
        print(f"\n{heading}\n")
    answers, host = stream(generation, silent=json)
    with step("timing") as progress:
        device = device_time(model, generation, progress)
    if json:
        show_json(_document(answers, host, device))
        return
    print("\n".join(cost_lines(host, device, chip=model.machine.chip.name)))


def prepare(generation: Generation) -> None:
    """Makes ready what the prompts need, so that streaming starts at once."""
    session = generation.session
    entries = {session.bucket(len(prompt))[0] for prompt in generation.prompts}
    assert session.info.decode is not None
    with step("preparing the emulator"):
        session.emulator.prepare(*sorted(entries), session.info.decode)


def stream(generation: Generation, *, silent: bool) -> tuple[list[Answer], HostTime]:
    """Generates, and prints each piece of an answer when it is there.

    Of several users, whole answers are printed, each when it is done.
    """
    alone = len(generation.prompts) == 1
    answers = [Answer() for _ in generation.prompts]
    host, begin = HostTime(), time.perf_counter()
    for token in generation.run():
        found = answers[token.user]
        found.text += token.text
        found.token_ids.append(token.number)
        host.tokens += 1
        if host.tokens == len(answers):
            host.first_token_seconds = time.perf_counter() - begin
        if alone and not silent:
            print(token.text, end="", flush=True)
        elif not silent and generation.users[token.user].is_done:
            print(f"[{token.user}] {found.text.strip()}\n", flush=True)
    host.seconds = time.perf_counter() - begin
    if alone and not silent:
        print("\n")
    return answers, host


def cost_lines(host: HostTime, device: DeviceTime, *, chip: str) -> list[str]:
    """What the answers took on this host, and would take on the chip."""
    here = (
        f"here: {host.tokens} tokens in {host.seconds:.1f} s, "
        f"{format_cell(host.tokens_per_second)} tokens/s; "
        f"the first after {host.first_token_seconds:.1f} s"
    )
    entries = list(dict.fromkeys(device.prefill))
    through = f" through @{', @'.join(entries)}" if entries else ""
    there = (
        f"predicted on {chip}: first token after {device.first_token_ms:.2f} ms"
        f"{through}"
    )
    if device.tokens_per_second is not None and device.positions is not None:
        first, last = device.positions
        each = device.decode_ms / device.decode_steps
        there += (
            f"; then {device.tokens_per_second:,.0f} tokens/s/user "
            f"({each:.2f} ms a step at positions {first} to {last})"
        )
    return [here, there]


def _document(answers: list[Answer], host: HostTime, device: DeviceTime) -> Any:
    return {
        "answers": [vars(found) for found in answers],
        "host": {
            "seconds": host.seconds,
            "first_token_seconds": host.first_token_seconds,
            "tokens_per_second": host.tokens_per_second,
        },
        "predicted_device": {
            "first_token_ms": device.first_token_ms,
            "prefill": list(device.prefill),
            "decode_steps": device.decode_steps,
            "decode_ms": device.decode_ms,
            "positions": device.positions,
            "tokens_per_second_per_user": device.tokens_per_second,
        },
    }
