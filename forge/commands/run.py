"""`forge run`: a compiled chat model answers on the emulator."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forge.arguments import require_at_least
from forge.console import show_json, step
from forge.reports import profile_rows, profile_summary, show_profile

if TYPE_CHECKING:
    from forge.compiled_model import CompiledModel


def run_run(
    folder: Path,
    prompt: str,
    *,
    max_new_tokens: int,
    use_chat_template: bool,
    json: bool,
) -> None:
    """Streams the greedy answer to `prompt`, then prints what it cost."""
    require_at_least(1, "--max-new-tokens", value=max_new_tokens)
    from forge.artifact import load, load_tokenizer_of, read_manifest

    read_manifest(folder)
    with step(f"loading {folder}"):
        model = load(folder)
        tokenizer = load_tokenizer_of(folder)
    answer(
        model,
        tokenizer,
        prompt,
        max_new_tokens=max_new_tokens,
        use_chat_template=use_chat_template,
        json=json,
    )


def answer(
    model: "CompiledModel",
    tokenizer: Any,
    prompt: str,
    *,
    max_new_tokens: int,
    use_chat_template: bool = True,
    json: bool = False,
) -> None:
    """Checks the netlist, streams the answer, prints the cost."""
    from dialects.checks import require_sound
    from forge.generate import encode_prompt, generate, require_prompt_fits

    chat = use_chat_template
    require_prompt_fits(model, encode_prompt(tokenizer, prompt, chat=chat))
    require_sound(model.netlist, model.machine.chip)
    with step("preparing the emulator"):
        model.emulator.prepare()
    begin = time.perf_counter()
    text, count = "", 0
    for token in generate(
        model, tokenizer, prompt, max_new_tokens=max_new_tokens, chat=chat
    ):
        text, count = text + token.text, count + 1
        if not json:
            print(token.text, end="", flush=True)
    seconds = time.perf_counter() - begin
    profile = model.profile()
    if json:
        show_json(
            {
                "text": text,
                "tokens": count,
                "host_tokens_per_second": count / seconds,
                "programs": profile_rows(profile),
                "total": profile_summary(profile),
            }
        )
        return
    print("\n")
    show_profile(profile, title=f"one pass of {model.name} on {model.machine.chip.name}")
    print(
        f"{count} tokens in {seconds:.1f} s on this host; on the chip each pass "
        f"(the whole prompt again) would take {profile.milliseconds:.2f} ms"
    )
