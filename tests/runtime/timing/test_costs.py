"""The cost table: complete, sourced, and one."""

from dataclasses import fields, replace

from dialects.tensix_compute import BINARY_FUNCTIONS, SCALAR_FUNCTIONS, UNARY_FUNCTIONS
from runtime.costs import CostTable, cost_rows, load_costs


def test_every_constant_states_unit_and_source():
    for row in cost_rows():
        assert row.source, row
        assert row.unit or row.name.endswith("_factor"), row
        assert row.value > 0, row
        assert all(": " in other for other in row.others), row


def test_table_and_fields_name_the_same_constants():
    rows = {row.name for row in cost_rows() if row.section != "sfpu"}
    assert rows == {field.name for field in fields(CostTable)} - {"sfpu"}


def test_every_function_of_the_vector_unit_has_a_cost():
    names = {"fill", *UNARY_FUNCTIONS, *SCALAR_FUNCTIONS, *BINARY_FUNCTIONS}
    assert names == set(load_costs().sfpu)


def test_digest_changes_with_any_value():
    costs = load_costs()
    assert costs.digest == load_costs().digest
    assert costs.digest != replace(costs, hop_cycles=10).digest
    assert costs.digest != replace(costs, sfpu={**costs.sfpu, "exp": 1}).digest
