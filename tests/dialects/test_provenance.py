"""Where a program comes from: what is written is read back."""

from hypothesis import given
from hypothesis import strategies as st

from dialects.provenance import Provenance

STEP = st.from_regex(r"[a-z]{1,3}(_proj|_norm)?", fullmatch=True)
PATH = st.lists(STEP, max_size=3).map(".".join)
KIND = st.sampled_from(["rms_norm", "matmul", "rotate", "add", "update_cache"])
PLACE = st.tuples(st.sampled_from(["a.py", "b.py"]), st.integers(1, 40))


@given(
    st.lists(st.tuples(KIND, PATH), min_size=1, max_size=8),
    st.lists(PLACE, max_size=8),
)
def test_it_is_read_back(
    operations: list[tuple[str, str]], lines: list[tuple[str, int]]
) -> None:
    found = Provenance.of(operations, lines)
    assert Provenance.read(str(found)) == found


def test_it_reads_well() -> None:
    attention = "model.layers.0.self_attn"
    found = Provenance.of(
        [
            ("rms_norm", "model.layers.0.input_layernorm"),
            *(("matmul", f"{attention}.{name}_proj") for name in "qkv"),
            *(("rms_norm", f"{attention}.{name}_norm") for name in "qk"),
            ("rotate", attention),
            ("add", "model.layers.0"),
        ],
        [("qwen3.py", line) for line in (61, 60, 63, 62, 258)],
    )
    assert str(found) == (
        "model.layers.0: rms_norm(input_layernorm, self_attn.{q,k}_norm), "
        "matmul(self_attn.{q,k,v}_proj), rotate(self_attn), add at qwen3.py:60-63,258"
    )


def test_one_operation_of_one_module() -> None:
    found = Provenance.of([("embedding", "model.embed")], [])
    assert str(found) == "model.embed: embedding"
    assert found.places == []


def test_a_text_of_another_kind_says_nothing() -> None:
    assert Provenance.read("model.py:7 (+3)") == Provenance(())
    assert Provenance.read("") == Provenance(())
