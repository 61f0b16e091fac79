"""Other decoders than the demo's, by the same commands: Qwen2.5 and Qwen3.

Two layers of the real widths from a config.json alone, with random weights. The
vocabulary is cut to 8,192 tokens, which makes the tests quick and changes no layer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import forge
from forge.cli import main
from forge.frontends.huggingface import load_causal_lm
from tests.e2e.compare import bf16_ulp, compare

SEQ_LEN = 64
VOCABULARY = 8192
SEED = 7
NEW_TOKENS = 3

QWEN25_05B = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "rope_theta": 1_000_000.0,
    "tie_word_embeddings": True,
}
QWEN3_06B = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "rope_theta": 1_000_000.0,
    "tie_word_embeddings": True,
}
COMMON = {
    "hidden_act": "silu",
    "max_position_embeddings": 32768,
    "num_hidden_layers": 2,
    "rms_norm_eps": 1e-6,
    "vocab_size": VOCABULARY,
}
FAMILIES = {"qwen2.5": QWEN25_05B, "qwen3": QWEN3_06B}

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("family", FAMILIES)
def test_family_compiles_and_runs_from_a_config(
    family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, folder = tmp_path / family, tmp_path / "out"
    model.mkdir()
    (model / "config.json").write_text(json.dumps(FAMILIES[family] | COMMON))
    compile_line = ["compile", str(model), "--random-weights", "--seed", str(SEED)]
    compile_line += ["--seq-len", str(SEQ_LEN)]
    assert main([*compile_line, "-o", str(folder), "--forward"]) == 0
    module = load_causal_lm(model, random_weights=True, seed=SEED).module
    ids = torch.randint(
        VOCABULARY, (1, SEQ_LEN), generator=torch.Generator().manual_seed(0)
    )
    compiled = forge.load(folder)
    logits = compiled(ids)
    closeness = compare(logits.numpy(), reference(module, ids))
    assert closeness.pcc >= 0.999

    prompt = ids[0, :40].tolist()
    assert main([*compile_line, "-o", str(folder)]) == 0  # replaces what is there
    tokens = run_token_ids(folder, prompt, capsys)
    assert len(tokens) == NEW_TOKENS
    for token in tokens:
        require_likely(module, prompt, token)
        prompt.append(token)
    print(f"{family}: {closeness}")


def require_likely(module: Any, prompt: list[int], token: int) -> None:
    """The token's logit is the largest in PyTorch, up to bf16 noise."""
    last = reference(module, torch.tensor([prompt]))[0, -1]
    assert last.max() - last[token] <= 2 * bf16_ulp(float(last.max()))


def reference(module: Any, ids: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return module(ids).logits.float().numpy()


def run_token_ids(
    folder: Path, prompt: list[int], capsys: pytest.CaptureFixture[str]
) -> list[int]:
    """What `forge run --token-ids` continues a prompt with."""
    capsys.readouterr()
    line = ["run", str(folder), "--token-ids", ",".join(map(str, prompt)), "--json"]
    assert main([*line, "--max-new-tokens", str(NEW_TOKENS)]) == 0
    (answer,) = json.loads(capsys.readouterr().out)["answers"]
    return answer["token_ids"]
