"""What a generation would take on the chip: the predicted time of the calls it made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from forge.profile import entry_cycles

if TYPE_CHECKING:
    from forge.compiled_model import CompiledModel
    from forge.console import Step
    from forge.generate import Call, Generation


@dataclass(frozen=True)
class DeviceTime:
    """Predicted times on the device; the host's part is not in them.

    `first_token_ms` is until the last user has its first token, and `decode_steps` are
    those after that. `tokens_per_second` are of one user: None if there was no step.
    """

    first_token_ms: float
    prefill: tuple[str, ...]
    decode_steps: int
    decode_ms: float
    positions: tuple[int, int] | None

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens a second of each user while all decode."""
        return 1000 * self.decode_steps / self.decode_ms if self.decode_steps else None


def device_time(
    model: CompiledModel, generation: Generation, progress: Step | None = None
) -> DeviceTime:
    """Time the calls of a generation that is done, in a session of its own."""
    calls = generation.session.log
    times = call_milliseconds(model, calls, progress)
    until = list(accumulate(times, initial=0.0))
    first = max(user.first_call or 0 for user in generation.users)
    decode = model.causal_lm.decode if model.causal_lm is not None else None
    positions = [
        int(call.inputs[f"{decode}.positions"].max())
        for call in calls[first:]
        if call.entry == decode
    ]
    return DeviceTime(
        first_token_ms=until[first],
        prefill=tuple(call.entry for call in calls[:first] if call.entry != decode),
        decode_steps=len(positions),
        decode_ms=until[-1] - until[first],
        positions=(min(positions), max(positions)) if positions else None,
    )


def call_milliseconds(
    model: CompiledModel, calls: Sequence[Call], progress: Step | None = None
) -> list[float]:
    """Predicted milliseconds of each call, at the chip's nominal clock.

    Equal launches are timed once, whichever call they are in.
    """
    clock_ghz = model.machine.chip.clock_ghz
    times = []
    for number, call in enumerate(calls):
        if progress is not None:
            progress.update(f"call {number + 1} of {len(calls)}")
        cycles = entry_cycles(
            model.machine, call.entry, call.inputs, known=model.timings
        )
        times.append(cycles / clock_ghz / 1e6)
    return times
