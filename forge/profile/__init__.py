"""Predicted cost: what a netlist costs, why, and where."""

from forge.profile.bounds import Bound, Limit
from forge.profile.model import Profile, ProgramProfile, Roofs, profile_machine

__all__ = [
    "Bound",
    "Limit",
    "Profile",
    "ProgramProfile",
    "Roofs",
    "profile_machine",
]
