"""Predicted cost: what a netlist costs, why, and where."""

from forge.profile.bounds import Bound, Limit
from forge.profile.model import (
    Profile,
    ProgramProfile,
    Roofs,
    Timings,
    entry_cycles,
    profile_machine,
)

__all__ = [
    "Bound",
    "Limit",
    "Profile",
    "ProgramProfile",
    "Roofs",
    "Timings",
    "entry_cycles",
    "profile_machine",
]
