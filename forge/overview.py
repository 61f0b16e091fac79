"""What `forge inspect` shows first, kept beside the netlist that it was made from.

The table of programs is made when an artefact is written, under the hash of its
netlist. While nobody has edited the netlist it is read instead of parsing again.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

OVERVIEW = "overview.json"


def read_overview(folder: Path, netlist: str) -> dict[str, Any] | None:
    """The overview of a folder; None if there is none for the netlist as it stands.

    `netlist` is the name of the netlist's file. The result has `netlist`, `chip`,
    `header` (lines) and `programs` (rows).
    """
    try:
        found = json.loads((folder / OVERVIEW).read_text())
        is_current = found["netlist_sha256"] == _hash_of(folder / netlist)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if is_current else None


def write_overview(folder: Path, netlist: str) -> None:
    """Make the overview of a folder that holds a sound netlist and its manifest."""
    from forge.inspect_netlist import open_netlist, program_rows

    shown = open_netlist(folder)
    overview = {
        "netlist_sha256": _hash_of(folder / netlist),
        "netlist": shown.summary.netlist.sym_name.data,
        "chip": shown.chip.name,
        "header": shown.header,
        "programs": program_rows(shown),
    }
    (folder / OVERVIEW).write_text(json.dumps(overview, indent=1) + "\n")


def _hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
