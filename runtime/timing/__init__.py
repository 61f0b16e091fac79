"""The time engine: how many cycles a launch takes, and where they go."""

from runtime.timing.launch_timing import (
    estimate_cycles,
    time_launch,
    warm_up,
)
from runtime.timing.recording import Recording
from runtime.timing.result import (
    KernelTiming,
    LaunchTiming,
    Link,
    Load,
    Port,
    time_sequence,
)

__all__ = [
    "KernelTiming",
    "LaunchTiming",
    "Link",
    "Load",
    "Port",
    "Recording",
    "estimate_cycles",
    "time_launch",
    "time_sequence",
    "warm_up",
]
