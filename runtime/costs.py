"""What things cost on the chip: the constants of the time engine, from `costs.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from hashlib import sha256
from importlib import resources
from types import MappingProxyType

from dialects.errors import ForgeError

UNLIMITED = 1e9
"""Bytes a cycle of a resource that never holds anything up."""


@dataclass(frozen=True)
class Cost:
    """One row of the table: a constant, where it comes from, what others say."""

    section: str
    name: str
    value: float
    unit: str
    source: str
    others: tuple[str, ...]


@dataclass(frozen=True)
class CostTable:
    """All constants by name; units and sources stand in `costs.toml`."""

    op_to_op_gap_cycles: float
    sustained_clock_ghz: float
    riscv0_start_cycles: float
    riscv1_start_cycles: float
    riscv1_begin_cycles: float
    riscv1_after_work_cycles: float
    trisc_start_cycles: float
    read_issue_cycles: float
    write_issue_cycles: float
    bank_read_issue_cycles: float
    bank_write_issue_cycles: float
    paged_read_issue_cycles: float
    paged_write_issue_cycles: float
    block_row_issue_cycles: float
    multicast_issue_cycles: float
    atomic_issue_cycles: float
    l1_load_cycles: float
    store_word_cycles: float
    zeros_bytes: float
    cb_operation_cycles: float
    cb_wake_cycles: float
    semaphore_check_cycles: float
    semaphore_wake_cycles: float
    barrier_check_cycles: float
    barrier_wake_cycles: float
    traced_bank_read_cycles: float
    traced_read_cycles: float
    traced_other_read_cycles: float
    traced_bank_barrier_cycles: float
    traced_barrier_cycles: float
    traced_barrier_wake_cycles: float
    traced_barrier_check_cycles: float
    traced_after_barrier_cycles: float
    traced_bank_start_cycles: float
    hop_cycles: float
    niu_cycles: float
    header_bytes: float
    link_bytes_per_cycle: float
    initiator_bytes_per_cycle: float
    responder_bytes_per_cycle: float
    sink_bytes_per_cycle: float
    l1_read_bytes_per_cycle: float
    l1_access_cycles: float
    atomic_cycles: float
    write_tail_cycles_per_byte: float
    response_window_packets: float
    write_window_packets: float
    blocked_write_factor: float
    port_fairness: float
    multicast_reserve_cycles: float
    multicast_reserve_cycles_per_hop: float
    multicast_linked_cycles: float
    multicast_busy_factor: float
    loopback_reserve_cycles: float
    loopback_reserve_cycles_per_hop: float
    loopback_linked_cycles_per_core: float
    dram_read_bytes_per_cycle: float
    dram_write_bytes_per_cycle: float
    dram_crowded_write_bytes_per_cycle: float
    dram_read_cycles: float
    dram_write_cycles: float
    matmul_phase_cycles: float
    matmul_switch_cycles: float
    matmul_block_cycles: float
    unpack_bytes_per_cycle: float
    unpack_busy_srca_bytes_per_cycle: float
    unpack_call_cycles: float
    pack_bytes_per_cycle: float
    l1_accumulate_factor: float
    eltwise_tile_cycles: float
    tile_overhead_cycles: float
    reduce_row_cycles: float
    reduce_col_cycles: float
    reduce_phase_cycles: float
    tilize_tile_cycles: float
    dst_handshake_cycles: float
    sfpu: Mapping[str, float]

    @property
    def digest(self) -> str:
        """A short hash of all values, for the keys of kept timings."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values["sfpu"] = dict(self.sfpu)
        return sha256(repr(sorted(values.items())).encode()).hexdigest()[:16]


@cache
def cost_rows() -> tuple[Cost, ...]:
    """All rows of the table, in its order: what a report of sources prints."""
    text = (resources.files("runtime") / "costs.toml").read_text()
    return tuple(
        Cost(
            section,
            name,
            float(row["value"]),
            row["unit"],
            row["source"],
            tuple(row.get("others", ())),
        )
        for section, rows in tomllib.loads(text).items()
        for name, row in rows.items()
    )


@cache
def load_costs() -> CostTable:
    """The table as the engine uses it."""
    sfpu = {row.name: row.value for row in cost_rows() if row.section == "sfpu"}
    rest = {row.name: row.value for row in cost_rows() if row.section != "sfpu"}
    return CostTable(**rest, sfpu=MappingProxyType(sfpu))


EFFECTS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "contention": {"link_bytes_per_cycle": UNLIMITED},
        "unpack": {
            "unpack_bytes_per_cycle": UNLIMITED,
            "unpack_busy_srca_bytes_per_cycle": UNLIMITED,
            "unpack_call_cycles": 0.0,
        },
        "dispatch": {"op_to_op_gap_cycles": 0.0},
    }
)
"""What can be taken out of the model, to see what it is worth: constants replaced."""


def without_effects(costs: CostTable, names: Sequence[str]) -> CostTable:
    """The table without some effects of `EFFECTS`; `ForgeError` for unknown ones."""
    unknown = [name for name in names if name not in EFFECTS]
    if unknown:
        raise ForgeError(
            f"the model has no effect '{unknown[0]}' to take out",
            advice=f"choose from {', '.join(EFFECTS)}",
        )
    values = {key: value for name in names for key, value in EFFECTS[name].items()}
    return replace(costs, **values)
