"""A netlist changed by hand runs again, and the numbers move as they should."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

import forge
from dialects.checks import require_sound
from dialects.netlist_text import parse_netlist
from forge.compiled_model import CompiledModel
from forge.profile import Profile

ROWS, DEPTH, COLUMNS = 256, 512, 1024

FIDELITY = ("fidelity HiFi4", "fidelity LoFi")
WEIGHT_FORMAT = ("buffer @weight dram bf16", "buffer @weight dram bfp4_b")
CORES = ("axis n 32 over x 8", "axis n 32 over x 4")
ROW_CORES = ("axis m 8 over y 8", "axis m 8 over y 2")
DEPTH_1 = ("%cb_w [n.part, k] of %w [k, n] depth 4", "%cb_w [n.part, k] of %w [k, n]")
NOT_AHEAD = ("push %cb_w read ahead k multicast", "push %cb_w read multicast")
DEPTH_5 = (
    "%cb_w [n.part, k] of %w [k, n] depth 4",
    "%cb_w [n.part, k] of %w [k, n] depth 5",
)


@dataclass(frozen=True)
class Outcome:
    """What a netlist computes, how wrong that is, and what it costs."""

    values: np.ndarray
    error: float
    profile: Profile

    @property
    def cycles(self) -> float:
        return self.profile.total_cycles


class Subject:
    """A linear layer on 64 cores, both operands multicast, and its text."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        weight = torch.randn(COLUMNS, DEPTH, generator=generator) / DEPTH**0.5
        layer = torch.nn.Linear(DEPTH, COLUMNS, bias=False, dtype=torch.bfloat16)
        layer.weight.data[:] = weight
        self.x = torch.randn(ROWS, DEPTH, generator=generator).bfloat16()
        self.text = forge.compile(layer, (self.x,), name="layer").netlist_text()
        self.values = {"weight": layer.weight.detach()}
        self.exact = (self.x.double() @ layer.weight.detach().double().T).numpy()
        self.original = self.run()

    def run(self, *edits: tuple[str, str]) -> Outcome:
        """Edit, parse, check, run and time."""
        text = self.text
        for old, new in edits:
            assert text.count(old) == 1, f"{old!r} is not in the netlist once"
            text = text.replace(old, new)
        netlist = parse_netlist(text)
        model = CompiledModel(netlist, self.values)
        require_sound(netlist, model.machine.chip)
        values = model(self.x).double().numpy()
        error = np.linalg.norm(values - self.exact) / np.linalg.norm(self.exact)
        return Outcome(values, float(error), model.profile())


@pytest.fixture(scope="module")
def subject() -> Subject:
    return Subject()


def test_lower_fidelity_is_less_exact_and_not_slower(subject: Subject) -> None:
    edited = subject.run(FIDELITY)
    assert edited.error > 2 * subject.original.error
    assert edited.error < 0.05
    assert edited.cycles <= subject.original.cycles


def test_narrow_weights_are_less_exact_and_read_less(subject: Subject) -> None:
    edited = subject.run(WEIGHT_FORMAT)
    assert edited.error > 10 * subject.original.error
    assert edited.error < 0.2
    saved = subject.original.profile.dram_read_bytes - edited.profile.dram_read_bytes
    narrow, wide = 576, 2048  # bytes of a tile: bfp4_b with its exponents, and bf16
    assert saved == DEPTH // 32 * (COLUMNS // 32) * (wide - narrow)
    assert edited.cycles < subject.original.cycles


@pytest.mark.parametrize("edit", [CORES, ROW_CORES])
def test_fewer_cores_take_longer_for_the_same_result(
    edit: tuple[str, str], subject: Subject
) -> None:
    edited = subject.run(edit)
    assert edited.cycles > subject.original.cycles
    np.testing.assert_array_equal(edited.values, subject.original.values)
    assert edited.profile.programs[0].cores < subject.original.profile.programs[0].cores


def test_one_buffer_instead_of_four_takes_longer(subject: Subject) -> None:
    edited = subject.run(DEPTH_1, NOT_AHEAD)
    assert edited.cycles > subject.original.cycles
    assert edited.profile.l1_peak_bytes < subject.original.profile.l1_peak_bytes
    np.testing.assert_array_equal(edited.values, subject.original.values)


def test_a_fifth_buffer_takes_more_l1_and_not_longer(subject: Subject) -> None:
    edited = subject.run(DEPTH_5)
    assert edited.cycles <= subject.original.cycles
    assert edited.profile.l1_peak_bytes > subject.original.profile.l1_peak_bytes
    np.testing.assert_array_equal(edited.values, subject.original.values)


def test_edits_add_up(subject: Subject) -> None:
    """What a person would try for speed, all at once."""
    edited = subject.run(FIDELITY, WEIGHT_FORMAT, DEPTH_5)
    alone = subject.run(FIDELITY)
    assert edited.error > alone.error
    assert edited.cycles < min(alone.cycles, subject.original.cycles)
