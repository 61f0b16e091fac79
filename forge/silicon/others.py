"""What of a folder no family has a say on, and why: every row is accounted for."""

from __future__ import annotations

from collections.abc import Iterator

from forge.silicon.outcome import Bench, LeftOut, Outcome

REASONS = {
    "isa_doc_pcie": "the host's link is not modelled",
    "isa_doc_mover": "forge does not use the Mover",
    "isa_doc_noc_hop": "documented, not measured: an input of the model",
    "noc_latency": "which steps the test counts is not stated",
    "eth_latency": "Ethernet is not modelled",
    "eth_bandwidth": "Ethernet is not modelled",
    "dispatch_overhead": "the host's dispatch is an input: launch gaps in costs.toml",
    "host_device_bandwidth": "the host's link is not modelled",
}
"""Families of `noc_dram.csv` by the reason why their rows are left out."""

ELSEWHERE = frozenset(
    {
        "isa_doc_dram_bandwidth",
        "dram_bandwidth_chip",
        "dram_bandwidth_single_bank",
        "data_movement_bound",
    }
)
"""Families of `noc_dram.csv` that modules of their own predict."""

FILES = {
    "ccl.csv": "collectives of several chips: Ethernet is not modelled",
    "cnn_e2e.csv": "whole models of other compilers, on the host's clock",
    "llm_e2e.csv": "whole models of other compilers; docs/timing.md compares",
    "per_op.csv": "operations of other compilers whose kernels are not described",
    "energy.csv": "energy is not modelled",
    "paper_table1.csv": "energy is not modelled",
}
"""Other files of a folder, by the reason why they are left out."""


def run(bench: Bench) -> Iterator[Outcome]:
    """A line for every row that nobody else takes."""
    for row in bench.rows("noc_dram.csv", ("id", "family")):
        if row["family"] not in ELSEWHERE:
            reason = REASONS.get(row["family"], "its family is not known")
            yield LeftOut(row["id"], f"{row['family']}: {reason}")
    for name, reason in FILES.items():
        for number, _ in enumerate(bench.rows(name, ()), 2):
            yield LeftOut(f"{name}:{number}", f"{name}: {reason}")
