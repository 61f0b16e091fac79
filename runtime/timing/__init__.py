"""The time engine: how many cycles a launch takes, and where they go."""

from runtime.timing.launch_timing import time_launch, warm_up
from runtime.timing.result import (
    KernelTiming,
    LaunchTiming,
    Link,
    TraceEvent,
    time_sequence,
)

__all__ = [
    "KernelTiming",
    "LaunchTiming",
    "Link",
    "TraceEvent",
    "time_launch",
    "time_sequence",
    "warm_up",
]
