"""The table of families: add a line here to have another kind of measurement."""

from __future__ import annotations

from forge.silicon import noc_traces
from forge.silicon.outcome import Family

FAMILIES = (
    Family(
        "noc_traces",
        "NoC captures, READs issued when they were",
        noc_traces.run_measured,
        target="mean <= 3 %",
    ),
    Family(
        "noc_traces_self_timed",
        "NoC captures, from program order, sizes and barriers alone",
        noc_traces.run_self_timed,
        target="mean <= 4 %",
    ),
)
