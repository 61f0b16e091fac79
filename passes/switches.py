"""The switches: what a compile may leave out, to measure what it brings.

A switch controls whole passes (`insert-multicast`), options of passes
(`form-programs.residual_fusion`), or both. To add one, add its line to `SWITCHES`; a
set names those that are on. No switch needs another: a fusion that finds nothing to
join, since something else was left out, does not fire.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dialects.errors import ForgeError


@dataclass(frozen=True)
class Switch:
    """One thing that may be left out.

    `controls` are names of passes, and `pass.option` for options that are true or
    false. `without` says what is compiled when it is off.
    """

    name: str
    without: str
    controls: tuple[str, ...]


SWITCHES = (
    Switch(
        "merge-projections",
        "linear layers that read the same tensor (q, k, v) are launches of their own",
        ("merge-projections",),
    ),
    Switch(
        "rms-norm-fusion",
        "norms are launches of their own, not part of the matmul that reads them",
        ("form-programs.rms_norm_fusion",),
    ),
    Switch(
        "gate-up-fusion",
        "projections that meet element by element (gate, up) are two launches",
        ("form-programs.gate_up_fusion",),
    ),
    Switch(
        "swiglu-fusion",
        "what joins gate and up is a launch of its own",
        ("form-programs.swiglu_fusion",),
    ),
    Switch(
        "residual-fusion",
        "residual sums are launches of their own, not the end of the matmul before",
        ("form-programs.residual_fusion",),
    ),
    Switch(
        "epilogue-fusion",
        "activations, casts and scales that follow a matmul are launches of their own",
        ("form-programs.epilogue_fusion",),
    ),
    Switch(
        "elementwise-fusion",
        "each element-wise operation is a launch of its own",
        ("form-programs.elementwise_fusion",),
    ),
    Switch(
        "split-heads",
        "heads are seen in a projection, not computed one by one in it",
        ("split-heads",),
    ),
    Switch(
        "rope-fusion",
        "norms and rotary embedding of heads are launches of their own",
        ("form-programs.rope_fusion",),
    ),
    Switch(
        "cache-fusion",
        "what is written to a cache is copied there by a launch of its own",
        ("form-programs.cache_fusion",),
    ),
    Switch(
        "fp32-residual",
        "residual streams are rounded to the model's own format between layers",
        ("choose-formats",),
    ),
    Switch(
        "scale-after-matmul",
        "a norm scales its rows before the matmul that reads them, not its results",
        ("sink-row-scale",),
    ),
    Switch(
        "dram-sharding",
        "weights are interleaved over the DRAM banks tile by tile",
        ("shard-weights", "choose-grid.banks"),
    ),
    Switch(
        "contraction-loops",
        "rows of a matmul are in L1 whole before it begins",
        ("choose-grid.loops",),
    ),
    Switch(
        "split-k",
        "a core sums over all rows of the weights' columns that it has",
        ("choose-grid.split",),
    ),
    Switch(
        "square-sums",
        "a norm that is a launch of its own sums over its rows in that one launch",
        ("form-programs.square_sums",),
    ),
    Switch(
        "row-parts",
        "a norm's row stays on the core that sums over it",
        ("choose-grid.parts",),
    ),
    Switch(
        "head-groups",
        "heads that read the same keys are shared out one by one",
        ("choose-grid.groups",),
    ),
    Switch(
        "search",
        "first-order prices alone choose cores and blocks; nothing is timed",
        ("choose-grid.search",),
    ),
    Switch(
        "weighed-fusion",
        "norms, and what follows heads, go into matmuls even where that is slower",
        ("form-programs.weighed",),
    ),
    Switch(
        "multicast",
        "every core reads its own tiles from DRAM",
        ("choose-grid.multicast", "insert-multicast"),
    ),
    Switch(
        "read-ahead",
        "a master reads a block and sends it, then the next",
        ("choose-grid.read_ahead", "insert-multicast.read_ahead"),
    ),
    Switch(
        "grid-alignment",
        "what one program leaves for the next goes through DRAM",
        ("align-grids",),
    ),
)

NAMES = tuple(switch.name for switch in SWITCHES)


@dataclass(frozen=True)
class SwitchSet:
    """Switches that are on together; `on` is None for all of them."""

    meaning: str
    on: tuple[str, ...] | None = None

    @property
    def off(self) -> tuple[str, ...]:
        """The other switches."""
        return () if self.on is None else tuple(n for n in NAMES if n not in self.on)


_KERNELS = ("contraction-loops", "search")
_LIBRARY = (*_KERNELS, "multicast")
_PAPER = (*_LIBRARY, "rms-norm-fusion", "merge-projections", "gate-up-fusion")

SETS = {
    "plain": SwitchSet(
        "each operation its own launch, activations through DRAM, every core reads its "
        "own tiles; blocks and cores as good as for the others",
        _KERNELS,
    ),
    "library": SwitchSet(
        "as plain, with multicast, as a library of operations runs a model", _LIBRARY
    ),
    "paper": SwitchSet(
        "as library, with RMSNorm inside the matmuls that read it (q, k, v; gate, up)",
        _PAPER,
    ),
    "all": SwitchSet("everything that forge has"),
}
"""Sets by name. `paper` is what arXiv:2606.09879, section 3, does by hand."""


def switched_off(
    optimize: str = "all",
    *,
    enable: Sequence[str] = (),
    disable: Sequence[str] = (),
) -> tuple[str, ...]:
    """The switches that are off: those that a set leaves out, without `enable`, and
    `disable`. Raises `ForgeError` for a name that there is not, or one in both."""
    require_switches((*enable, *disable))
    if optimize not in SETS:
        raise ForgeError(
            f"there is no set of switches '{optimize}'",
            advice=f"use one of {', '.join(SETS)}",
        )
    both = [name for name in NAMES if name in enable and name in disable]
    if both:
        raise ForgeError(
            f"'{both[0]}' is enabled and disabled", advice="leave one of them out"
        )
    off = (set(SETS[optimize].off) - set(enable)) | set(disable)
    return tuple(name for name in NAMES if name in off)


def require_switches(names: Sequence[str]) -> None:
    """Raises `ForgeError` for a name that is no switch's."""
    for name in names:
        if name not in NAMES:
            raise ForgeError(
                f"there is no switch '{name}'",
                advice=f"these can be left out: {', '.join(NAMES)}",
            )


def controls_of(off: Sequence[str]) -> tuple[set[str], dict[str, dict[str, bool]]]:
    """Passes to leave out, and options of the others by pass, for switches that are
    off."""
    passes: set[str] = set()
    options: dict[str, dict[str, bool]] = {}
    for switch in (switch for switch in SWITCHES if switch.name in off):
        for control in switch.controls:
            name, _, option = control.partition(".")
            if option:
                options.setdefault(name, {})[option] = False
            else:
                passes.add(name)
    return passes, options
