"""Why a program lies where it lies: the search, and what `--explain` says of it."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import torch
from torch import nn

import forge
from forge.compiled_model import CompiledModel
from forge.explanation import COLUMNS, explanation_rows

SCHEMA = Path(__file__).parents[1] / "docs" / "explain.schema.json"


def compiled(*disable: str) -> CompiledModel:
    torch.manual_seed(0)
    module = nn.Sequential(nn.RMSNorm(320), nn.Linear(320, 1280)).to(torch.bfloat16)
    inputs = (torch.randn(96, 320, dtype=torch.bfloat16),)
    return forge.compile(module, inputs, disable=disable)


@pytest.fixture(scope="module")
def searched() -> CompiledModel:
    return compiled()


def cycles(model: CompiledModel) -> float:
    return sum(program.total_cycles for program in model.profile().programs)


def test_the_timed_choice_is_never_slower(searched: CompiledModel) -> None:
    assert cycles(searched) <= cycles(compiled("search"))


def test_the_schema_describes_the_document(searched: CompiledModel) -> None:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    document = json.loads(json.dumps(searched.explanation))
    jsonschema.Draft202012Validator(schema).validate(document)


def test_the_chosen_one_is_the_fastest_and_what_the_netlist_has(
    searched: CompiledModel,
) -> None:
    assert searched.explanation is not None
    (decision,) = searched.explanation["decisions"]
    chosen, *others = decision["candidates"]
    assert len(others) > 1
    assert all(chosen["cycles"] <= other["cycles"] for other in others)
    (program,) = searched.profile().programs
    assert decision["program"] == program.name
    assert chosen["cycles"] == round(program.cycles)


def test_without_a_search_the_least_price_decides() -> None:
    explanation = compiled("search").explanation
    assert explanation is not None
    (decision,) = explanation["decisions"]
    assert decision["why"] == "the least price"
    totals = [c["price"]["total"] for c in decision["candidates"]]
    assert totals == sorted(totals)
    assert {c["cycles"] for c in decision["candidates"]} == {None}


def test_a_row_for_each_decision(searched: CompiledModel) -> None:
    assert searched.explanation is not None
    (row,) = explanation_rows(searched.explanation)
    assert len(row) == len(COLUMNS)
    assert row[COLUMNS.index("next")] >= row[COLUMNS.index("cycles")]
