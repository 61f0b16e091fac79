"""Bad input gets one clear message, exit 1, no traceback, and nothing half-written."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from forge.cli import main
from forge.frontends.huggingface import quiet_transformers
from forge.overview import OVERVIEW

SEQ_LEN = 32
VOCABULARY = ("<unk>", "hello", "world", "what", "is", "this")

MODEL_WEIGHTS = "model.safetensors"
NETLIST, WEIGHTS, MANIFEST = "netlist.mlir", "weights.safetensors", "manifest.json"

CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 128,
    "intermediate_size": 128,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": 96,
    "max_position_embeddings": 64,
    "tie_word_embeddings": True,
}
"""A decoder as small as they get; its heads are whole tiles."""


def write_tokenizer(folder: Path) -> None:
    """Words at blanks; every other word is <unk>."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: number for number, word in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")
    wrapped.save_pretrained(folder)


@pytest.fixture(scope="module")
def sound_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder as transformers writes it."""
    from transformers import AutoConfig, AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("model") / "small"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    with quiet_transformers(), torch.random.fork_rng():
        torch.manual_seed(0)
        config = AutoConfig.from_pretrained(folder)
        AutoModelForCausalLM.from_config(config).bfloat16().save_pretrained(folder)
        write_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def sound_artifact(sound_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifact") / "out"
    assert main(compile_line(sound_model, folder)) == 0
    return folder


@pytest.fixture
def model(sound_model: Path, tmp_path: Path) -> Path:
    """A copy of the model to damage."""
    return Path(shutil.copytree(sound_model, tmp_path / "model"))


@pytest.fixture
def artifact(sound_artifact: Path, tmp_path: Path) -> Path:
    """A copy of the compiled model to damage."""
    return Path(shutil.copytree(sound_artifact, tmp_path / "artifact"))


@dataclass
class Forge:
    """Runs `forge` here and expects it to refuse."""

    capsys: pytest.CaptureFixture[str]

    def refuses(self, *line: object, code: int = 1) -> str:
        """What it says on stderr, progress left out."""
        self.capsys.readouterr()
        assert main([str(word) for word in line]) == code
        shown = self.capsys.readouterr()
        assert "Traceback" not in shown.err
        assert shown.err.count("error: ") == 1
        assert shown.out == ""
        return shown.err.partition("error: ")[2]


@pytest.fixture
def forge(capsys: pytest.CaptureFixture[str]) -> Forge:
    return Forge(capsys)


def compile_line(model: Path, output: Path, *more: object) -> list[str]:
    words = ("compile", model, "-o", output, "--seq-len", SEQ_LEN, *more)
    return [str(word) for word in words]


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_sound_one_answers(
    sound_artifact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["run", str(sound_artifact), "-p", "what is this", "--max-new-tokens", "2"]
    assert main(line) == 0
    shown = capsys.readouterr().out
    assert "tokens/s; the first after" in shown
    assert re.search(r"first token after \d+\.\d+ ms through @prefill", shown)
    assert re.search(r"tokens/s/user .* at positions 3 to 3", shown)
    assert entries(sound_artifact) == [
        MANIFEST,
        NETLIST,
        OVERVIEW,
        "tokenizer",
        WEIGHTS,
    ]


# -- models --------------------------------------------------------------------------


def cut_short(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def flip_a_bit(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[-1] ^= 1
    path.write_bytes(whole)


def give_another_shape(folder: Path) -> None:
    tensors = load_file(folder / MODEL_WEIGHTS)
    tensors["model.norm.weight"] = torch.ones(17, dtype=torch.bfloat16)
    save_file(tensors, folder / MODEL_WEIGHTS, {"format": "pt"})


def give_unsupported_operations(folder: Path) -> None:
    (folder / MODEL_WEIGHTS).unlink()
    mixture = {
        "model_type": "mixtral",
        "architectures": ["MixtralForCausalLM"],
        "num_local_experts": 2,
    }
    (folder / "config.json").write_text(json.dumps(CONFIG | mixture))


def give_rope(folder: Path, **parameters: object) -> None:
    scaling = {"rope_theta": 10000.0, **parameters}
    (folder / "config.json").write_text(json.dumps(CONFIG | {"rope_scaling": scaling}))


def give_window(folder: Path) -> None:
    mistral = {
        "model_type": "mistral",
        "architectures": ["MistralForCausalLM"],
        "sliding_window": 16,
    }
    (folder / "config.json").write_text(json.dumps(CONFIG | mistral))


BAD_MODELS: dict[str, tuple[Callable[[Path], object], list[str], str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), [], "has no config.json"),
    "no weights": (lambda f: (f / MODEL_WEIGHTS).unlink(), [], "has no model.safe"),
    "weights cut short": (lambda f: cut_short(f / MODEL_WEIGHTS), [], "cut short"),
    "wrong shape": (give_another_shape, [], "wrong shape\n(.*\n)*.*limit: 128\n.*17"),
    "unsupported operations": (
        give_unsupported_operations,
        ["--random-weights"],
        r"operations that forge cannot compile(.*\n)*.*topk(.*\n)*.*modeling_mixtral",
    ),
    "no sequence": (lambda _: None, ["--seq-len", "0"], "limit: at least 1"),
    "sequence too long": (lambda _: None, ["--seq-len", "65"], "limit: 64 tokens"),
    "no user": (lambda _: None, ["--batch", "0"], "limit: at least 1"),
    "too many users": (lambda _: None, ["--batch", "33"], "1 to 32 users"),
    "no prompt": (lambda _: None, ["--prefill", "0"], "prefill does not fit"),
    "prompt over cache": (lambda _: None, ["--prefill", "8,33"], "found: 33 tokens"),
    "prompts without numbers": (lambda _: None, ["--prefill", "a"], "as in 1,2,3"),
    "batch of one pass": (
        lambda _: None,
        ["--forward", "--batch", "2"],
        "one pass without a cache",
    ),
    "unknown rope": (
        lambda f: give_rope(f, rope_type="spiral"),
        ["--random-weights"],
        "spiral",
    ),
    "rope that changes": (
        lambda f: give_rope(f, rope_type="dynamic", factor=2.0),
        ["--random-weights"],
        "rotary embedding of type 'dynamic' is not supported\n.*rotary_emb\n.*default",
    ),
    "sliding window": (
        give_window,
        ["--random-weights"],
        "sliding window is not supported\n.*of 16 tokens.*\n.*found: 32 tokens",
    ),
    "unknown chip": (lambda _: None, ["--chip", "n15"], "chip 'n15' is not known"),
    "unknown switch": (
        lambda _: None,
        ["--disable", "x"],
        "no switch 'x'\n.*merge-projections, rms-norm-fusion",
    ),
    "unknown set": (lambda _: None, ["--optimize", "x"], "set.*'x'\n.*plain, library"),
    "on and off": (
        lambda _: None,
        ["--enable", "multicast", "--disable", "multicast"],
        "'multicast' is enabled and disabled",
    ),
}


WRONG_USAGE = {
    *("sequence too long", "too many users", "no prompt", "prompt over cache"),
    *("prompts without numbers", "batch of one pass"),
    *("unknown switch", "unknown set", "on and off"),
}


@pytest.mark.parametrize("case", BAD_MODELS)
def test_bad_model(case: str, model: Path, tmp_path: Path, forge: Forge) -> None:
    damage, more, message = BAD_MODELS[case]
    damage(model)
    before = entries(tmp_path)
    code = 2 if case in WRONG_USAGE else 1
    error = forge.refuses(*compile_line(model, tmp_path / "out", *more), code=code)
    assert re.search(message, error)
    assert "  to do: " in error
    assert entries(tmp_path) == before, "nothing is half-written"


def test_no_model(tmp_path: Path, forge: Forge) -> None:
    error = forge.refuses(*compile_line(tmp_path / "nowhere", tmp_path / "out"))
    assert "there is no" in error
    assert entries(tmp_path) == []


def test_check_says_what_generation_lacks(model: Path, forge: Forge) -> None:
    give_rope(model, rope_type="dynamic", factor=2.0)
    assert "type 'dynamic'" in forge.refuses("check", model, "--seq-len", SEQ_LEN)


def test_accuracy_judges_one_pass(artifact: Path, forge: Forge) -> None:
    error = forge.refuses("accuracy", artifact, code=2)
    assert "--forward" in error


def test_check_lists_unsupported_operations(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    give_unsupported_operations(model)
    assert main(["check", str(model), "--seq-len", str(SEQ_LEN), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert {"aten.topk.default", "aten.cumsum.default"} <= {
        row["operation"] for row in found
    }
    assert all(row["where"] and row["what to do"] and row["count"] for row in found)


# -- where it is written ---------------------------------------------------------------


def test_output_is_something_else(model: Path, tmp_path: Path, forge: Forge) -> None:
    """Refused before anything is compiled, and left as it was."""
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter1.tex").write_text("all my work")
    error = forge.refuses(*compile_line(model, folder))
    assert "is not a compiled model" in error
    assert entries(folder) == ["chapter1.tex"]
    error = forge.refuses(*compile_line(model, folder / "chapter1.tex"))
    assert "is a file" in error


def test_output_holds_something_else_too(
    model: Path, artifact: Path, forge: Forge
) -> None:
    (artifact / "notes.txt").write_text("what I found out")
    error = forge.refuses(*compile_line(model, artifact))
    assert "found: notes.txt" in error
    assert (artifact / "notes.txt").exists()


def test_output_cannot_be_written(model: Path, tmp_path: Path, forge: Forge) -> None:
    (tmp_path / "file").write_text("")
    error = forge.refuses(*compile_line(model, tmp_path / "file" / "out"))
    assert "cannot be written" in error


def test_full_disk(
    model: Path, tmp_path: Path, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device", "weights.safetensors")

    monkeypatch.setattr("forge.compiled_model.CompiledModel.write_weights", refuse)
    before = entries(tmp_path)
    error = forge.refuses(*compile_line(model, tmp_path / "out"))
    assert error.startswith("No space left on device\n  where: weights.safetensors")
    assert entries(tmp_path) == before


def test_an_artifact_is_replaced_whole(model: Path, artifact: Path) -> None:
    assert main(compile_line(model, artifact, "--no-weights")) == 0
    assert entries(artifact) == [MANIFEST, NETLIST, OVERVIEW, "tokenizer"]
    assert [n for n in entries(artifact.parent) if n.startswith(".")] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_killed_compile_leaves_nothing(
    number: signal.Signals, model: Path, tmp_path: Path
) -> None:
    """Killed while it writes: the draft is removed, the output does not exist."""
    script = (
        "import sys, time\n"
        "from forge.compiled_model import CompiledModel\n"
        "from forge.cli import main\n"
        "def stall(self, path):\n"
        "    path.write_text('half')\n"
        "    time.sleep(60)\n"
        "CompiledModel.write_weights = stall\n"
        "sys.exit(main())\n"
    )
    before = entries(tmp_path)
    line = [sys.executable, "-c", script, *compile_line(model, tmp_path / "out")]
    process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(f".out-*/{WEIGHTS}")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, number)
    _, shown = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "Traceback" not in shown
    assert entries(tmp_path) == before


# -- compiled folders ------------------------------------------------------------------


def run_line(folder: Path) -> list[str]:
    return ["run", str(folder), "-p", "hello", "--max-new-tokens", "1"]


def token_line(folder: Path, *prompts: str) -> list[str]:
    words = [word for prompt in prompts for word in ("--token-ids", prompt)]
    return ["run", str(folder), *words, "--max-new-tokens", "1"]


BAD_ARTIFACTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no manifest": (lambda f: (f / MANIFEST).unlink(), "it has no manifest.json"),
    "manifest cut short": (lambda f: cut_short(f / MANIFEST), "manifest.json is dam"),
    "manifest of another kind": (
        lambda f: (f / MANIFEST).write_text("[1, 2]"),
        "manifest.json is damaged",
    ),
    "manifest of the future": (
        lambda f: (f / MANIFEST).write_text('{"format": 99}'),
        "another format\n.*limit: format 2\n.*found: format 99",
    ),
    "no netlist": (lambda f: (f / NETLIST).unlink(), "has no netlist.mlir"),
    "netlist empty": (lambda f: (f / NETLIST).write_text(""), "netlist.mlir"),
    "netlist binary": (lambda f: (f / NETLIST).write_bytes(b"\xff\xfe\0"), "netlist"),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), "weights.safetensors is missing"),
    "weights cut short": (lambda f: cut_short(f / WEIGHTS), "is cut short"),
    "weights damaged": (lambda f: flip_a_bit(f / WEIGHTS), "its hash is not"),
    "no tokenizer": (lambda f: shutil.rmtree(f / "tokenizer"), "has no tokenizer"),
}


@pytest.mark.parametrize("case", BAD_ARTIFACTS)
def test_bad_artifact(case: str, artifact: Path, forge: Forge) -> None:
    damage, message = BAD_ARTIFACTS[case]
    damage(artifact)
    error = forge.refuses(*run_line(artifact))
    assert re.search(message, error)
    assert "  to do: " in error


def test_without_weights_it_is_timed_not_run(
    model: Path, tmp_path: Path, forge: Forge
) -> None:
    folder = tmp_path / "out"
    assert main(compile_line(model, folder, "--no-weights")) == 0
    assert main(["profile", str(folder)]) == 0
    error = forge.refuses(*run_line(folder))
    assert "was compiled without weights: it can be timed, not run" in error


def test_prompt_and_answer_longer_than_the_cache(artifact: Path, forge: Forge) -> None:
    prompt = "hello " * (SEQ_LEN - 1)
    line = ["run", artifact, "--prompt", prompt, "--max-new-tokens", "2"]
    error = forge.refuses(*line)
    assert f"limit: {SEQ_LEN} tokens (the cache length)" in error
    assert f"found: {SEQ_LEN - 1} tokens of prompt and 2 new" in error
    assert f"--seq-len {2 * SEQ_LEN}" in error


def test_empty_prompt(artifact: Path, forge: Forge) -> None:
    error = forge.refuses("run", artifact, "--prompt", "")
    assert "found: 0 tokens of prompt" in error


def test_token_that_the_model_does_not_have(artifact: Path, forge: Forge) -> None:
    error = forge.refuses(*token_line(artifact, "1,96"))
    assert "limit: 0 to 95" in error
    assert "found: 96" in error


def test_more_prompts_than_users(artifact: Path, forge: Forge) -> None:
    error = forge.refuses(*token_line(artifact, "1", "2"), code=2)
    assert "limit: 1 to 1 prompts at a time" in error
    assert "--batch" in error
    error = forge.refuses(*token_line(artifact, "1", "2"), "--batch", "1", code=2)
    assert "found: 2 prompts" in error


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        (["--temperature", "-1"], "limit: 0 or more"),
        (["--top-k", "-1"], "limit: 0 (all tokens) or more"),
        (["--top-p", "0"], "limit: more than 0, up to 1"),
        (["--seed", "-1"], "limit: 0 or more"),
    ],
)
@pytest.mark.parametrize("command", ["run", "chat"])
def test_sampling_without_meaning(
    command: str, words: list[str], limit: str, artifact: Path, forge: Forge
) -> None:
    line = token_line(artifact, "1") if command == "run" else ["chat", artifact]
    assert limit in forge.refuses(*line, *words, code=2)


def test_chat_needs_a_chat_template(artifact: Path, forge: Forge) -> None:
    assert "has no chat template" in forge.refuses("chat", artifact, code=2)


@pytest.mark.parametrize(
    "words", [[], ["--token-ids", "1;2"], ["--token-ids", "1", "--prompt", "hello"]]
)
def test_what_to_run_is_said_once(
    words: list[str], artifact: Path, forge: Forge
) -> None:
    error = forge.refuses("run", artifact, *words, code=2)
    assert "1,2,3" in error


# -- netlists edited by hand -----------------------------------------------------------

EDITS: dict[str, tuple[str, str, str]] = {
    "unknown buffer in a run": (
        r"run @embedding \(@[\w.]+",
        "run @embedding (@nobody",
        "nobody",
    ),
    "unknown program": (r"run @embedding ", "run @embeding ", "embeding"),
    "unknown circular buffer": (r"push %cb_w\b", "push %cb_q", "cb_q"),
    "unknown operand": (r"rows of %w ", "rows of %v ", "v"),
    "unknown axis": (r"for n \{", "for z {", "z"),
    "unknown operation": (r"cb_wait_front ", "cb_shove_front ", "cb_shove_front"),
    "unknown chip": (r'chip "n150"', 'chip "n15"', "n15"),
    "grid off the chip": (r"over x \d+", "over x 99", "99"),
    "L1 overflow": (r"depth 2", "depth 9000", "KiB"),
    "no such format": (r"dram bf16", "dram bf17", "bf17"),
    "a brace too few": (r"\n\}\n$", "\n", "netlist.mlir"),
}


@pytest.mark.parametrize("case", EDITS)
@pytest.mark.parametrize("command", ["run", "profile"])
def test_netlist_edited_into_nonsense(
    case: str, command: str, artifact: Path, forge: Forge
) -> None:
    pattern, replacement, named = EDITS[case]
    path = artifact / NETLIST
    edited, count = re.subn(pattern, replacement, path.read_text(), count=1)
    assert count == 1
    path.write_text(edited)
    line = run_line(artifact) if command == "run" else ["profile", str(artifact)]
    error = forge.refuses(*line)
    print(error)
    assert re.search(r"netlist\.mlir:\d+", error), "the line"
    assert named in error, "what is wrong"
    assert re.search("  to do: |is not one of", error), "the advice"


def test_no_traceback_in_a_process_of_its_own(tmp_path: Path) -> None:
    """As a user sees it: one message on stderr and exit 1."""
    line = [sys.executable, "-m", "forge", "run", str(tmp_path), "-p", "hello"]
    result = subprocess.run(
        line, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"error: {tmp_path} is not a compiled model")
