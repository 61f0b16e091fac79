"""Which format a weight gets, from the option as it is written."""

import pytest

from dialects.errors import ForgeError
from dialects.formats import DataFormat
from dialects.weight_formats import WeightFormats

UP = "model.layers.3.mlp.up_proj.weight"
QUERY = "model.layers.3.self_attn.q_proj.weight"


@pytest.mark.parametrize(
    ("text", "up", "query"),
    [
        ("bf16", "bf16", "bf16"),
        ("bfp8_b,mlp=bfp4_b", "bfp4_b", "bfp8_b"),
        ("mlp=bfp4_b", "bfp4_b", "bf16"),
        ("bfp8_b,model.layers.*=bfp4_b,*_proj=bf16", "bf16", "bf16"),
        ("bfp4_b,model.layers.3.*=bfp8_b,mlp=bf16", "bf16", "bfp8_b"),
    ],
)
def test_the_last_rule_that_fits_counts(text: str, up: str, query: str) -> None:
    formats = WeightFormats.parse(text)
    assert formats.of([UP]) == up
    assert formats.of([QUERY]) == query


def test_a_weight_of_several_parameters_gets_the_widest() -> None:
    formats = WeightFormats.parse("bfp8_b,mlp=bfp4_b")
    assert formats.of([UP, QUERY]) is DataFormat.BFP8_B


@pytest.mark.parametrize(
    "text", ["", "fp8", "bfp8_b,bfp4_b", "=bf16", "mlp=fp32", "bfp8_b,", "mlp"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ForgeError, match="is not supported") as caught:
        WeightFormats.parse(text)
    assert "bfp8_b,mlp=bfp4_b" in str(caught.value.advice)
