"""Generation over a cache: sampling, sessions, users, and conversations by a pipe."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import forge
from forge.cli import main
from forge.compiled_model import CompiledModel
from forge.compiler import default_prefill
from forge.device_time import call_milliseconds
from forge.errors import ForgeError, UsageError
from forge.frontends.huggingface import load_causal_lm
from forge.generate import Generation, Session
from forge.sampling import Sampling
from tests.e2e.compare import compare
from tests.e2e.greedy import last_logits
from tests.test_cli_errors import CONFIG, write_tokenizer

SEQ_LEN, PREFILL, BATCH = 96, 32, 2
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }} {{ m['content'] }} {% endfor %}assistant"
)
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small decoder, compiled for two users, with prompts longer than its prefill."""
    model = tmp_path_factory.mktemp("model") / "small"
    model.mkdir()
    settings = CONFIG | {"max_position_embeddings": SEQ_LEN, "eos_token_id": 95}
    (model / "config.json").write_text(json.dumps(settings))
    write_tokenizer(model)
    (model / "chat_template.jinja").write_text(TEMPLATE)
    line = ["compile", str(model), "-o", str(model / "out"), "--random-weights"]
    sizes = {"--seq-len": SEQ_LEN, "--prefill": PREFILL, "--batch": BATCH, "--seed": 3}
    line += [str(word) for pair in sizes.items() for word in pair]
    assert main(line) == 0
    return model / "out"


@pytest.fixture(scope="module")
def compiled(folder: Path) -> CompiledModel:
    return forge.load(folder)


@pytest.fixture(scope="module")
def module(folder: Path) -> Any:
    """The same weights in PyTorch."""
    return load_causal_lm(folder.parent, random_weights=True, seed=3).module


@pytest.fixture
def session(compiled: CompiledModel) -> Iterator[Session]:
    found = Session(compiled)
    yield found
    held = [tokens[:SEQ_LEN] for tokens in found.held]
    assert held == found.held, "never more than the cache"


def prompt_of(length: int, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).integers(0, 95, length).tolist()


# -- the choice of a token -------------------------------------------------------------

LOGITS = np.log(np.array([0.1, 0.4, 0.2, 0.3]))


@pytest.mark.parametrize(
    ("sampling", "tokens", "probabilities"),
    [
        (Sampling(1.0), [1, 3, 2, 0], [0.4, 0.3, 0.2, 0.1]),
        (Sampling(1.0, top_k=2), [1, 3], [4 / 7, 3 / 7]),
        (Sampling(1.0, top_p=0.4), [1], [1.0]),
        (Sampling(1.0, top_p=0.41), [1, 3], [4 / 7, 3 / 7]),
        (Sampling(1.0, top_k=3, top_p=0.75), [1, 3], [4 / 7, 3 / 7]),
        (Sampling(0.5), [1, 3, 2, 0], [16 / 30, 9 / 30, 4 / 30, 1 / 30]),
    ],
)
def test_what_may_be_drawn(
    sampling: Sampling, tokens: list[int], probabilities: list[float]
) -> None:
    found, weights = sampling.candidates(LOGITS)
    assert found.tolist() == tokens
    np.testing.assert_allclose(weights, probabilities)


def test_draws_follow_the_probabilities_and_the_seed() -> None:
    sampling = Sampling(1.0, seed=5)
    drawn = [
        [sampling.choose(LOGITS, generator) for _ in range(4000)]
        for generator in (np.random.default_rng(sampling.seed) for _ in range(2))
    ]
    assert drawn[0] == drawn[1]
    shares = np.bincount(drawn[0], minlength=4) / 4000
    np.testing.assert_allclose(shares, [0.1, 0.4, 0.2, 0.3], atol=0.03)
    assert Sampling().choose(LOGITS, np.random.default_rng()) == 1


@pytest.mark.parametrize(
    ("length", "expected"),
    [(64, (64,)), (128, (128,)), (512, (128, 512)), (600, (128, 512, 600))],
)
def test_prefill_lengths_are_few(length: int, expected: tuple[int, ...]) -> None:
    assert default_prefill(length) == expected


# -- the cache -------------------------------------------------------------------------


def require_close(logits: np.ndarray, module: Any, tokens: list[int]) -> None:
    assert compare(logits, last_logits(module, tokens)).pcc > 0.999


def feed(session: Session, user: int, prompt: list[int]) -> np.ndarray:
    logits, waiting = session.begin(user, prompt)
    for token in waiting:
        logits = session.step({user: token})[user]
    assert session.held[user] == prompt
    return logits


def test_a_prompt_longer_than_the_prefill(session: Session, module: Any) -> None:
    prompt = prompt_of(PREFILL + 5)
    require_close(feed(session, 1, prompt), module, prompt)
    assert [call.entry for call in session.log] == ["prefill", *["decode"] * 5]


def test_what_the_cache_holds_is_not_computed_again(
    session: Session, module: Any
) -> None:
    prompt = prompt_of(PREFILL + 5)
    feed(session, 0, prompt)
    session.log.clear()
    longer = [*prompt[:-2], *prompt_of(6, seed=1)]
    require_close(feed(session, 0, longer), module, longer)
    assert [call.entry for call in session.log] == ["decode"] * 6
    session.reset()
    feed(session, 0, longer)
    assert session.log[6].entry == "prefill"


def test_users_do_not_disturb_each_other(session: Session, module: Any) -> None:
    """One waits, and is stepped along idly, while the other is fed to the end."""
    first, second = prompt_of(7), prompt_of(SEQ_LEN, seed=1)
    feed(session, 0, first)
    feed(session, 1, second)
    assert len(session.held[1]) == SEQ_LEN
    first.append(3)
    require_close(session.step({0: 3})[0], module, first)
    assert len(session.held[1]) == SEQ_LEN - 1, "its last place was written over"


def test_all_users_answer(compiled: CompiledModel, module: Any) -> None:
    prompts = [prompt_of(5), prompt_of(PREFILL + 3, seed=1)]
    generation = Generation(compiled, prompts, max_new_tokens=4)
    tokens = list(generation.run())
    for user, prompt in enumerate(prompts):
        answer = [token.number for token in tokens if token.user == user]
        assert len(answer) == 4
        logits = last_logits(module, [*prompt, *answer[:-1]])
        assert logits.max() - logits[answer[-1]] < 0.05
    first = [user.first_call for user in generation.users]
    assert first == [1, 5], "the longer prompt needs three steps more"


def test_a_seed_repeats_an_answer(compiled: CompiledModel) -> None:
    prompt = prompt_of(5)
    settings: dict[str, Any] = {"max_new_tokens": 6, "temperature": 2.0}
    answers = [
        [token.number for token in compiled.generate(prompt, seed=seed, **settings)]
        for seed in (1, 1, 2)
    ]
    assert answers[0] == answers[1] != answers[2]


def test_texts_are_prompts_too(compiled: CompiledModel) -> None:
    (token,) = compiled.generate(["hello world"], max_new_tokens=1)
    assert token.user == 0
    tokenizer: Any = compiled.tokenizer
    assert tokenizer.decode([token.number]).startswith(token.text)


def test_several_entries_are_not_called_as_one(compiled: CompiledModel) -> None:
    with pytest.raises(UsageError, match="several entries: decode, prefill"):
        compiled(torch.zeros(1, 4))


def test_what_does_not_fit_is_refused_at_once(compiled: CompiledModel) -> None:
    with pytest.raises(ForgeError, match="do not fit the cache"):
        compiled.generate(prompt_of(SEQ_LEN - 1), max_new_tokens=2)
    with pytest.raises(UsageError, match="1 to 2 prompts"):
        compiled.generate([prompt_of(3)] * 3)
    with pytest.raises(UsageError, match="at least one new token"):
        compiled.generate(prompt_of(3), max_new_tokens=0)


# -- time ------------------------------------------------------------------------------


def test_predicted_time_grows_with_the_position(compiled: CompiledModel) -> None:
    session = Session(compiled)
    feed(session, 0, prompt_of(SEQ_LEN))
    steps = [call for call in session.log if call.entry == "decode"]
    times = call_milliseconds(compiled, steps)
    assert times[-1] > times[0]
    at_the_end = compiled.profile(entry="decode").milliseconds
    assert times[-1] == pytest.approx(at_the_end, rel=0.02), "of both users, not one"


# -- commands --------------------------------------------------------------------------


def test_the_manifest_names_entries(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["causal_lm"] == {
        "seq_len": SEQ_LEN,
        "stop_tokens": [95],
        "batch": BATCH,
        "prefill": {"prefill": PREFILL},
        "decode": "decode",
    }
    decode = manifest["entries"]["decode"]
    inputs = {given["name"]: given["shape"] for given in decode["inputs"]}
    assert inputs == {"decode.input_ids": [1, BATCH], "decode.positions": [1, BATCH]}
    assert [found["shape"] for found in decode["outputs"]] == [[1, BATCH, 96]]
    assert decode["cycles"] > 0


def test_run_for_two_users(folder: Path, capsys: Capture) -> None:
    line = ["run", str(folder), "--token-ids", "1,2,3", "--max-new-tokens", "2"]
    assert main([*line, "--batch", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    first, second = found["answers"]
    assert first == second
    assert len(first["token_ids"]) == 2
    assert found["predicted_device"]["prefill"] == ["prefill", "prefill"]
    assert found["predicted_device"]["positions"] == [3, 3]
    assert found["predicted_device"]["tokens_per_second_per_user"] > 0


def test_chat_by_a_pipe(
    folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "hello world\nwhat is this\n/reset\nhello world\n" + "hello " * 90
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    assert main(["chat", str(folder), "--max-new-tokens", "3"]) == 0
    shown = capsys.readouterr()
    first, second, reset, again, too_long = shown.out.split("> ")[1:]
    assert first == again, "nothing is left behind a reset"
    assert second.startswith("what is this\n")
    assert reset == "/reset\n"
    assert too_long.startswith("hello hello")
    assert "error: the conversation is longer than the cache" in shown.err
    assert "say /reset to begin anew" in shown.err


def test_inspect_shows_entries_and_caches(folder: Path, capsys: Capture) -> None:
    assert main(["inspect", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "entry @decode: predicted" in shown
    assert "of caches" in shown
    assert main(["inspect", str(folder), "--caches", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["buffer"], row["shape"]) for row in rows] == [
        ("@layers.0.key_cache", f"{BATCH}x1x{SEQ_LEN}x64"),
        ("@layers.0.value_cache", f"{BATCH}x1x{SEQ_LEN}x64"),
    ]


def test_one_pass_does_not_generate(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "forward"
    line = ["compile", str(folder.parent), "-o", str(out), "--random-weights"]
    assert main([*line, "--forward", "--seq-len", "32"]) == 0
    with pytest.raises(UsageError, match="without a cache"):
        forge.load(out).generate([1, 2])
    assert forge.load(out)(torch.zeros(1, 32)).shape == (1, 32, 96)
