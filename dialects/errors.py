"""The errors that users see. They live at the bottom so that every package can raise
them; `forge.errors` adds those of the front door."""

from collections.abc import Sequence


class ForgeError(Exception):
    """Something a user can put right: what is wrong, and what to do about it.

    `message` is one sentence. `location` is where to look (`netlist.mlir:41`, a module
    path, a file), `limit` and `value` are the rule and what was found, `advice` is what
    to change. What is not known is left out.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        limit: object = None,
        value: object = None,
        advice: str | None = None,
        location: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.limit = limit
        self.value = value
        self.advice = advice
        self.location = location

    def __str__(self) -> str:
        details = [
            ("where", self.location),
            ("limit", self.limit),
            ("found", self.value),
            ("to do", self.advice),
        ]
        lines = [f"  {label}: {text}" for label, text in details if text is not None]
        return "\n".join([self.message, *lines])


class NetlistError(ForgeError):
    """The text of a netlist is wrong, or asks for what the chip does not have."""


class CapacityError(ForgeError):
    """Something does not fit: L1, DRAM, semaphores, the grid."""


class HazardError(ForgeError):
    """The program would hang, or use data that are not there, on the real chip."""


class FaultsError(ForgeError):
    """Several faults that are best mended together, each with its own details."""

    def __init__(self, message: str, faults: Sequence[ForgeError]) -> None:
        super().__init__(message)
        self.faults = tuple(faults)

    def __str__(self) -> str:
        return "\n\n".join([self.message, *map(str, self.faults)])
