"""Why programs lie on the cores they lie on, as `docs/explain.schema.json` has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation

from dialects.bindings import Bindings
from dialects.grid import ProgramOp
from dialects.tensix import NetlistOp, RunOp
from passes.decisions import Candidate, Decision
from passes.rewriting import describe_source

VERSION = 1

Json = dict[str, Any]

COLUMNS = ("program", "runs", "fit", "timed", "price", "cycles", "next", "axes", "why")


def explain(
    decisions: Sequence[Decision], module: ModuleOp, netlist: NetlistOp
) -> Json:
    """The decisions of a compile, by the names that programs have in the netlist."""
    names = _names(module, netlist)
    return {
        "version": VERSION,
        "netlist": netlist.sym_name.data,
        "chip": netlist.chip.data,
        "decisions": [_decision(decision, names) for decision in decisions],
    }


def _names(module: ModuleOp, netlist: NetlistOp) -> Mapping[Operation, str]:
    """Names in the netlist of a module's programs: its runs are in their order."""
    programs = [
        op
        for function in module.ops
        if isinstance(function, FuncOp)
        for op in function.body.block.ops
        if isinstance(op, ProgramOp)
    ]
    runs = [op for op in Bindings(netlist).runs if isinstance(op, RunOp)]
    return {
        program: run.program.data for program, run in zip(programs, runs, strict=True)
    }


def _decision(decision: Decision, names: Mapping[Operation, str]) -> Json:
    first = decision.programs[0]
    return {
        "program": names[first],
        "source": describe_source(first),
        "runs": len(decision.programs),
        "fit": decision.num_candidates,
        "why": decision.why,
        "candidates": [_candidate(candidate) for candidate in decision.candidates],
    }


def _candidate(candidate: Candidate) -> Json:
    price = candidate.price
    return {
        "axes": candidate.attribute.write(),
        "form": candidate.form,
        "price": {
            "total": round(price.total),
            "launch": round(price.launch),
            "held": round(price.held),
            "before": round(price.before),
            "compute": round(price.compute),
            "streamed": round(price.streamed),
            "dram": round(price.dram),
            "write": round(price.write),
            "behind": round(price.behind),
            "steps": price.steps,
            "ahead": price.ahead,
        },
        "cycles": None if candidate.cycles is None else round(candidate.cycles),
        "fault": candidate.fault,
    }


def explanation_rows(explanation: Json) -> list[list[Any]]:
    """A row of `COLUMNS` for each decision; `next` is the second fastest."""
    rows = []
    for decision in explanation["decisions"]:
        chosen, *others = decision["candidates"]
        timed = [c["cycles"] for c in others if c["cycles"] is not None]
        rows.append(
            [
                f"@{decision['program']}",
                decision["runs"],
                decision["fit"],
                len(timed) + (chosen["cycles"] is not None),
                chosen["price"]["total"],
                chosen["cycles"],
                min(timed, default=None),
                chosen["axes"],
                decision["why"],
            ]
        )
    return rows
