"""The table of switches: what each controls is there, and names are checked."""

from dataclasses import fields

import pytest

from dialects.errors import ForgeError
from passes import PASSES
from passes.pipeline import PIPELINE
from passes.switches import NAMES, SETS, SWITCHES, controls_of, switched_off


def test_names_are_distinct() -> None:
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("switch", SWITCHES, ids=NAMES)
def test_what_a_switch_controls_is_in_the_pipeline(switch) -> None:
    for control in switch.controls:
        name, _, option = control.partition(".")
        assert name in PIPELINE
        options = {field.name: field.default for field in fields(PASSES[name]())}
        assert not option or options[option] is True


def test_sets_name_switches() -> None:
    for chosen in SETS.values():
        assert set(chosen.on or ()) <= set(NAMES)
    assert SETS["all"].off == ()
    assert set(SETS["plain"].off) > set(SETS["library"].off) > set(SETS["paper"].off)


def test_heads_are_off_in_the_sets_of_others() -> None:
    for name in ("plain", "library", "paper"):
        assert {"split-heads", "rope-fusion", "cache-fusion"} <= set(SETS[name].off)


def test_a_set_with_one_more_and_one_less() -> None:
    off = switched_off("plain", enable=["multicast"], disable=["fp32-residual"])
    assert off == SETS["library"].off
    off = switched_off("library", disable=["multicast"])
    assert off == SETS["plain"].off


def test_options_and_passes_of_what_is_off() -> None:
    passes, options = controls_of(["multicast", "residual-fusion"])
    assert passes == {"insert-multicast"}
    assert options == {
        "choose-grid": {"multicast": False},
        "form-programs": {"residual_fusion": False},
    }


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"disable": ["x"]}, "no switch 'x'"),
        ({"enable": ["x"]}, "no switch 'x'"),
        ({"optimize": "x"}, "no set of switches 'x'"),
        ({"enable": [NAMES[0]], "disable": [NAMES[0]]}, "is enabled and disabled"),
    ],
)
def test_wrong_names_are_refused(names: dict, message: str) -> None:
    with pytest.raises(ForgeError, match=message) as caught:
        switched_off(**names)
    assert caught.value.advice
