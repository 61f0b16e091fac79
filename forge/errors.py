"""The errors that users see; those that lower packages raise are defined below us."""

from dialects.errors import (
    CapacityError,
    FaultsError,
    ForgeError,
    HazardError,
    NetlistError,
)

__all__ = [
    "ArtifactError",
    "CapacityError",
    "FaultsError",
    "ForgeError",
    "HazardError",
    "ModelError",
    "NetlistError",
    "UnsupportedError",
    "UsageError",
]


class UsageError(ForgeError):
    """A command or a call is put wrongly; nothing was tried."""

    exit_code = 2


class ModelError(ForgeError):
    """A model, or one of its files, cannot be read."""


class UnsupportedError(ForgeError):
    """The model is sound but holds something that forge cannot compile."""


class ArtifactError(ForgeError):
    """A compiled folder is incomplete, damaged, or from another version."""
