"""`forge bench paper`: what is measured, compared and printed, on a tiny model."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest

from forge.cli import main
from forge.paper import models
from forge.paper.measure import Cost, Measured, measure, owners_of, pcc
from forge.paper.models import (
    AFTER_GATE_UP,
    AFTER_QKV,
    BLOCKS,
    LAYER,
    MODELS,
    NORM_GATE_UP,
    NORM_QKV,
    PHASES,
    PaperModel,
    Phase,
)
from forge.paper.report import compare, document_of, rows_of, table_1_rows
from forge.paper.settings import Setting, all_settings, quick_settings
from passes.switches import NAMES, SETS

Capture = pytest.CaptureFixture[str]

TINY = PaperModel(
    "tiny",
    {
        "model_type": "qwen3",
        "hidden_size": 256,
        "intermediate_size": 768,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 64,
        "max_position_embeddings": 2048,
    },
    "n150",
    64,
    MappingProxyType(dict.fromkeys(BLOCKS, 10.0)),
    0.99,
)


# -- what is compared ------------------------------------------------------------------


def test_every_switch_is_measured_alone_and_left_out() -> None:
    names = {setting.name for setting in all_settings()}
    assert {f"all - {name}" for name in NAMES} <= names
    for name in SETS["library"].off:
        assert {f"library + {name}", f"plain + {name}"} <= names
    assert {s.name for s in quick_settings()} == {"plain", "library", "paper", "all"}


def test_every_baseline_is_measured() -> None:
    for settings in (all_settings(), quick_settings()):
        names = {setting.name for setting in settings}
        assert {s.against for s in settings} - {None} <= names


def test_programs_belong_to_parts_of_the_middle_layer() -> None:
    sources = {
        "model.rotary_emb modeling.py:1": None,
        "model.layers.0.mlp.down_proj modeling.py:2 (+1)": None,
        "model.layers.0 modeling.py:3": None,
        "model.layers.1.input_layernorm modeling.py:4 (+6)": NORM_QKV,
        "model.layers.1.self_attn.k_proj modeling.py:5": NORM_QKV,
        "model.layers.1.self_attn.q_norm modeling.py:6": AFTER_QKV,
        "model.layers.1.self_attn.o_proj modeling.py:7": AFTER_QKV,
        "model.layers.1 modeling.py:8": AFTER_QKV,
        "model.layers.1.post_attention_layernorm modeling.py:9": NORM_GATE_UP,
        "model.layers.1.mlp.up_proj modeling.py:10": NORM_GATE_UP,
        "model.layers.1.mlp.act_fn modeling.py:11": AFTER_GATE_UP,
        "model.layers.1 modeling.py:12 (+1)": AFTER_GATE_UP,
        "model.layers.2.input_layernorm modeling.py:13": None,
        "": None,
    }
    assert owners_of(list(sources)) == list(sources.values())


def test_reductions_count_from_their_baselines() -> None:
    def measured(name: str, cycles: float, *logits: float) -> Measured:
        parts = dict.fromkeys(BLOCKS[LAYER], Cost(cycles, 8, 4, 1))
        return Measured(name, PHASES[0], parts, np.array(logits))

    settings = [
        Setting("plain", ("a", "b"), None),
        Setting("paper", ("a",), "plain"),
        Setting("the same", ("a",), "plain"),
    ]
    found = compare(
        TINY,
        settings,
        [measured("plain", 200.0, 1, 2, 4), measured("paper", 150.0, 2, 4, 8)],
    )
    assert [c.reduction(LAYER) for c in found] == [None, 25.0, 25.0]
    assert found[0].pcc is None
    assert found[1].pcc == pytest.approx(1.0)
    published, own = table_1_rows(found)[:2]
    assert published[2:] == ["10.00"] * 5 + ["0.9900"]
    assert own[:2] == [PHASES[0].name, "plain"]
    assert own[2:] == ["25.00"] * 5 + ["1.000000"]


def test_published_figures_are_those_of_table_1() -> None:
    rows = {m.name: (*m.reductions.values(), m.pcc) for m in MODELS}
    assert rows == {
        "Qwen2.5-0.5B": (37.44, 12.04, 7.91, 0.9994),
        "Qwen3-0.6B": (18.53, 5.66, 4.58, 0.9957),
        "Qwen3-4B": (10.63, 15.89, 3.58, 0.9875),
    }


# -- measuring -------------------------------------------------------------------------


def without_search() -> list[Setting]:
    """The quick settings, on grids chosen by prices alone: timing takes long."""
    return [replace(s, off=(*s.off, "search")) for s in quick_settings()]


@pytest.fixture(scope="module")
def measured() -> list[Measured]:
    phases = [Phase("prefill-32", tokens=32), Phase("decode-1")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("forge.paper.measure.POSITION", 32)
        return list(measure(TINY, phases, without_search()))


def test_less_is_launched_and_moved_with_more_switches(
    measured: list[Measured],
) -> None:
    for phase in ("prefill-32", "decode-1"):
        own = [m.block(LAYER) for m in measured if m.phase.name == phase]
        plain, library, paper, everything = own
        assert plain.launches == library.launches > paper.launches
        assert paper.launches > everything.launches
        assert plain.dram_bytes > library.dram_bytes
        assert plain.dram_bytes > everything.dram_bytes
        assert all(cost.cycles > 0 and cost.noc_bytes > 0 for cost in own)


def test_plain_launches_each_operation_by_itself(measured: list[Measured]) -> None:
    """Norm, q, k, v; two head norms, two rotary embeddings of three operations, two
    cache writes, attention, o, sum; norm, gate, up; silu, product, down, sum."""
    for m in measured[:2]:
        assert m.setting == "plain"
        counts = [m.parts[part].launches for part in BLOCKS[LAYER]]
        assert counts == [4, 2 + 6 + 2 + 3, 3, 4]


def test_all_settings_give_the_same_numbers(measured: list[Measured]) -> None:
    for phase in ("prefill-32", "decode-1"):
        plain, *others = [m.logits for m in measured if m.phase.name == phase]
        assert plain is not None
        assert all(
            pcc(plain, logits) > 0.9995 for logits in others if logits is not None
        )


def test_tables_and_json(measured: list[Measured]) -> None:
    found = compare(TINY, without_search(), measured)
    rows = rows_of([c for c in found if c.phase.name == "decode-1"])
    assert [row[0] for row in rows] == [s.name for s in quick_settings()]
    document = json.loads(json.dumps(document_of(found)))
    (entry,) = (
        e
        for e in document
        if (e["setting"], e["against"], e["phase"]) == ("all", "library", "decode-1")
    )
    assert entry["switches_off"] == ["search"]
    assert entry["blocks"][LAYER]["published_percent"] == 10.0
    layer = entry["blocks"][LAYER]
    assert layer["cycles"] == pytest.approx(
        sum(part["cycles"] for part in entry["parts"].values()), abs=2
    )


# -- the command -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--model", "GPT-2"], "no model 'GPT-2'\n.*Qwen2.5-0.5B, Qwen3-0.6B"),
        (["--phase", "prefill"], "no phase 'prefill'\n.*prefill-32"),
        (["--weights-format", "int8"], "bfp8_b"),
    ],
)
def test_wrong_names_are_refused(
    option: list[str], message: str, capsys: Capture
) -> None:
    assert main(["bench", "paper", *option]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert "Traceback" not in error


def test_the_command_prints_both_tables(
    measured: list[Measured], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "MODELS", (TINY,))
    monkeypatch.setattr("forge.paper.measure.measure", lambda *_, **__: iter(measured))
    monkeypatch.setattr("forge.paper.settings.quick_settings", without_search)
    assert main(["bench", "paper", "--quick", "--phase", "prefill-32"]) == 0
    shown = capsys.readouterr().out
    assert "tiny, bf16 weights, 64 cores, prefill-32: one decoder layer" in shown
    assert "beside its Table 1 (64 cores)" in shown
    assert "published" in shown
