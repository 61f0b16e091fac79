"""Forge's own tables: the accuracy that is asked for, and effects taken out."""

from functools import cache

import numpy as np
import pytest

from forge.silicon.dram import Case, predict
from forge.silicon.families import FAMILIES
from forge.silicon.outcome import Bench
from forge.silicon.report import FamilyReport, choose_families, run_families
from runtime.costs import load_costs, without_effects

COSTS = load_costs()


@cache
def report(name: str, *without: str) -> FamilyReport:
    """A family on forge's own tables."""
    bench = Bench(None, without_effects(COSTS, without))
    return run_families(choose_families(FAMILIES, [name]), bench)[0]


def errors(name: str, *without: str) -> np.ndarray:
    """Its absolute errors, in percent."""
    return report(name, *without).errors


def test_unicast():
    assert np.median(errors("unicast")) <= 1.5


def test_multicast():
    assert np.median(errors("multicast")) <= 3
    assert errors("multicast").max() <= 15


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        ("1 ch", 2),
        ("12 ch 12, carefully", 2),
        ("12 ch 48, carefully", 2),
        ("12 ch 48, randomly", 10),
        ("12 ch 12, randomly", 25),
    ],
)
def test_dram_reads(words: str, limit: float):
    rows = report("dram_bandwidth").measured
    reads = [each for each in rows if each.row.startswith(words) and "read" in each.row]
    assert reads
    assert all(abs(100 * each.error) <= limit for each in reads), reads


def test_bounds_of_data_movement():
    found = report("data_movement")
    assert found.num_right >= 0.85 * len(found.bounded)


@pytest.mark.parametrize("name", ["dram_bandwidth", "all_to_all"])
def test_without_contention_the_report_is_worse(name: str):
    assert errors(name, "contention").mean() > 1.5 * errors(name).mean()


def test_without_contention_random_placement_is_no_worse_than_careful():
    """What the links cost: a third on NoC 0, two thirds on NoC 1."""
    free = without_effects(COSTS, ["contention"])
    for noc, least in ((0, 1.3), (1, 2.5)):
        case = Case(12, 48, careful=False, is_read=True, dynamic=False, noc=noc)
        assert predict(free, case) > least * predict(COSTS, case)


def test_every_row_of_a_table_is_accounted_for():
    """Tried or left out with a reason, once."""
    for name in ("unicast", "multicast", "all_to_all", "one_core_dram"):
        found = report(name)
        assert found.num_tried > 0
        assert not found.left_out
    rows = Bench(None, COSTS).rows("noc_dram.csv", ("id",))
    names = ("dram_bandwidth", "dram_tests", "data_movement", "others")
    told = sum(report(name).num_tried + len(report(name).left_out) for name in names)
    assert told - 1 == len(rows)  # others says that it has nothing
