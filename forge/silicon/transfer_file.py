"""A transfer list as a file: CSV, or JSON with one object for each row.

| Column | Meaning |
|---|---|
| `x`, `y` | the tile that issues, in NoC 0 coordinates |
| `processor` | `riscv0` or `riscv1` |
| `operation` | `read`, `write`, `posted_write`, `atomic`, `multicast`, `read_barrier`,
  `write_barrier`, `delay` |
| `noc` | 0 or 1; 0 where it is left out |
| `to_x`, `to_y` | the tile at the other end, the first corner of a multicast |
| `end_x`, `end_y` | the last corner of a multicast |
| `bank` | a DRAM bank instead of a tile |
| `bytes`, `count` | bytes of each transfer, and how many; 1 where left out |
| `issue` | the cycle of issue; left out, it follows the operation before |
| `cycles` | of a delay; of a transfer what its issue takes |
| `linked`, `loopback` | of a multicast: `yes` or `no` |

Rows of a processor are in program order.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from dialects.chip import Chip, NocPoint, load_chip
from forge.errors import ForgeError
from forge.silicon.tables import Row, read_table
from runtime.timing.transfer_list import KINDS, Operation, Processor, ProcessorList

REQUIRED = ("x", "y", "processor", "operation")
OPTIONAL = (
    "noc",
    "to_x",
    "to_y",
    "end_x",
    "end_y",
    "bank",
    "bytes",
    "count",
    "issue",
    "cycles",
    "linked",
    "loopback",
)
PROCESSORS = ("riscv0", "riscv1")
ANSWERS = {"": False, "no": False, "yes": True}


def read_transfers(path: Path, chip: Chip | None = None) -> list[ProcessorList]:
    """The lists of a file, by processor; `ForgeError` names the row that is wrong."""
    chip = chip or load_chip("n150")
    rows = _json_rows(path) if path.suffix == ".json" else _csv_rows(path)
    lists: dict[Processor, list[Operation]] = {}
    for row in rows:
        _check_columns(row)
        who = Processor(_worker(row, chip), _one_of(row, "processor", PROCESSORS))
        lists.setdefault(who, []).append(_operation(row, chip))
    if not lists:
        raise ForgeError(
            "the transfer list is empty",
            location=str(path),
            advice=f"write rows with the columns {', '.join(REQUIRED)}",
        )
    return [ProcessorList(who, operations) for who, operations in lists.items()]


def _csv_rows(path: Path) -> list[Row]:
    if not path.is_file():
        raise ForgeError("there is no such file", location=str(path))
    return read_table(path.parent, path.name, REQUIRED)


def _json_rows(path: Path) -> list[Row]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ForgeError(
            f"the transfer list is not JSON: {error}", location=str(path)
        ) from error
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise ForgeError(
            "the transfer list is no list of objects",
            location=str(path),
            advice="write [{...}, {...}], an object for each operation",
        )
    return [
        Row({k: _text(v) for k, v in entry.items()}, f"{path}, entry {number}")
        for number, entry in enumerate(entries, 1)
    ]


def _text(value: object) -> str:
    """A JSON value as a CSV file would hold it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def _check_columns(row: Row) -> None:
    missing = [name for name in REQUIRED if name not in row.values]
    unknown = [name for name in row.values if name not in REQUIRED + OPTIONAL]
    if missing or unknown:
        raise ForgeError(
            f"a row lacks {', '.join(missing)}"
            if missing
            else f"there is no column {', '.join(unknown)}",
            location=row.place,
            limit=", ".join(REQUIRED + OPTIONAL),
            value=", ".join(row.values),
        )


def _operation(row: Row, chip: Chip) -> Operation:
    kind = _one_of(row, "operation", KINDS)
    moves = kind in ("read", "write", "posted_write", "multicast")
    bank = _below(row, "bank", chip.num_dram_banks) if row.get("bank") else None
    if kind in ("multicast", "atomic") and bank is not None:
        raise row.error("bank", f"no bank: {kind}s go to worker tiles")
    needs_tile = bank is None and (moves or kind == "atomic")
    return Operation(
        kind,
        noc=_below(row, "noc", 2) if row.get("noc") else 0,
        target=_tile(row, "to_", chip) if needs_tile else None,
        bank=bank,
        end=_tile(row, "end_", chip) if kind == "multicast" else None,
        num_bytes=_positive(row, "bytes") if moves else 0,
        count=_positive(row, "count") if row.get("count") else 1,
        linked=_yes_or_no(row, "linked"),
        loopback=_yes_or_no(row, "loopback"),
        issue=row.number("issue", may_be_zero=True) if row.get("issue") else None,
        cycles=row.number("cycles", may_be_zero=True) if row.get("cycles") else None,
    )


def _worker(row: Row, chip: Chip) -> NocPoint:
    point = _tile(row, "", chip)
    rows, columns = chip.worker_rows, chip.worker_columns
    if point.noc_x not in columns or point.noc_y not in rows:
        raise row.error(
            "x" if point.noc_x not in columns else "y",
            f"a worker tile: x of {_list(columns)}, y of {_list(rows)}",
        )
    return point


def _tile(row: Row, prefix: str, chip: Chip) -> NocPoint:
    x = _below(row, f"{prefix}x", chip.noc_columns)
    return NocPoint(x, _below(row, f"{prefix}y", chip.noc_rows))


def _below(row: Row, column: str, limit: int) -> int:
    if not row.get(column):
        raise row.error(column, f"a number from 0 to {limit - 1}")
    value = row.integer(column, may_be_zero=True)
    if value >= limit:
        raise row.error(column, f"a number from 0 to {limit - 1}")
    return value


def _positive(row: Row, column: str) -> int:
    if not row.get(column):
        raise row.error(column, "a number of at least 1")
    return row.integer(column)


def _one_of(row: Row, column: str, names: Sequence[str]) -> str:
    if row[column] not in names:
        raise row.error(column, f"one of {', '.join(names)}")
    return row[column]


def _yes_or_no(row: Row, column: str) -> bool:
    if row.get(column) not in ANSWERS:
        raise row.error(column, "yes or no")
    return ANSWERS[row.get(column)]


def _list(numbers: Sequence[int]) -> str:
    return " ".join(map(str, numbers))
