"""What is compared with what: the baselines, each switch alone, each left out, all.

It reads the table of switches, so that a new one is measured without a line here.
"""

from __future__ import annotations

from dataclasses import dataclass

from passes.switches import NAMES, SETS, switched_off


@dataclass(frozen=True)
class Setting:
    """Switches that are off, and the setting that its reduction counts from."""

    name: str
    off: tuple[str, ...]
    against: str | None


BASELINES = ("plain", "library")


def quick_settings() -> list[Setting]:
    """The baselines, and the paper's set and everything against each of them."""
    found = [Setting("plain", switched_off("plain"), None)]
    found.append(Setting("library", switched_off("library"), "plain"))
    for name in ("paper", "all"):
        found += [Setting(name, switched_off(name), base) for base in BASELINES]
    return found


def all_settings() -> list[Setting]:
    """Those, each switch alone on both baselines, and everything without each."""
    plain, library, *rest = quick_settings()
    alone = [
        Setting(f"{base} + {name}", switched_off(base, enable=[name]), base)
        for base in BASELINES
        for name in SETS[base].off
        if (base, name) != ("plain", "multicast")
    ]
    without = [
        Setting(f"all - {name}", switched_off(disable=[name]), "all") for name in NAMES
    ]
    return [plain, library, *alone, *rest, *without]
