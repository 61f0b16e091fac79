"""The passes from an imported model to the ops from which programs are made."""

from __future__ import annotations

TTIR_PIPELINE: tuple[str, ...] = (
    # One vocabulary for views and numbers.
    "decompose",
    "simplify",
    # What the chip has a program for.
    "recognize-rms-norm",
    "normalize-fewer-rows",
    "recognize-rotary",
    "recognize-attention",
    "recognize-silu",
    # What needs no input.
    "fold-constants",
    "simplify",
)
