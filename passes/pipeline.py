"""The pipeline, from an imported model to placed programs, read from top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.printer import Printer
from xdsl.utils.exceptions import PassFailedException, VerifyException

from dialects.errors import ForgeError
from passes import PASSES
from passes.context import CompileContext
from passes.coverage import unsupported_in
from passes.form_programs import ALONE
from passes.repeated_layers import ShortCopy
from passes.split_heads import BY_HEADS
from passes.switches import controls_of, require_switches
from passes.ttir_pipeline import TTIR_PIPELINE
from passes.weigh_fusions import weigh_fusions, weigh_heads

PIPELINE: tuple[str, ...] = (
    # What: from the model's operations to the chip's.
    *TTIR_PIPELINE,
    "place-decode",
    "hoist-permutes",
    "move-inside-tiles",
    "fold-constants",
    "check-coverage",
    "merge-projections",
    "split-heads",
    # Where: programs, their loops, their cores, who multicasts.
    "form-programs",
    "sink-row-scale",
    "insert-padding",
    "form-stages",
    "choose-formats",
    "choose-fidelity",
    "shard-weights",
    "choose-grid",
    "insert-multicast",
    "align-grids",
)

_WEIGHED = {
    "split-heads": (weigh_heads, BY_HEADS),
    "form-programs": (weigh_fusions, ALONE),
}
"""What finds out before a pass whether its fusions pay, and how it marks them."""

Observer = Callable[[int, str, ModuleOp], None]


def run_pipeline(
    ctx: Context,
    module: ModuleOp,
    *,
    chip: str,
    weights_format: str,
    fidelity: str = "HiFi4",
    disabled: tuple[str, ...] = (),
    observe: Observer | None = None,
) -> None:
    """Run all passes in order, in place. Raises `ForgeError` where one cannot go on.

    `fidelity` is that of products with weights, `disabled` are the switches that are
    off (`passes.switches`). `observe` is called after each pass with its number, name
    and the module.
    """
    require_switches(disabled)
    given = {
        "choose-fidelity": {"weights": fidelity},
        "split-heads": {"chip": chip},
        "shard-weights": {"chip": chip},
        "choose-grid": {"chip": chip, "weights_format": weights_format},
        "insert-multicast": {"chip": chip},
        "align-grids": {"chip": chip, "weights_format": weights_format},
    }
    passes = list(_configured(given, disabled))
    for number, step in enumerate(passes):
        try:
            if step.name in _WEIGHED:
                _weigh(ctx, module, passes[number:], weights_format)
            step.apply(ctx, module)
        except PassFailedException as error:
            raise ForgeError(f"{step.name}: {error}") from None
        if observe is not None:
            observe(number, step.name, module)
    require_valid(module)


def _weigh(
    ctx: Context, module: ModuleOp, steps: Sequence[ModulePass], weights_format: str
) -> None:
    """Find out which fusions pay, where the context can time programs."""
    if isinstance(ctx, CompileContext) and ctx.timer is not None:
        names = [step.name for step in steps]
        weigh, mark = _WEIGHED[steps[0].name]
        few = ShortCopy(module, weights_format)
        weigh(ctx, few.module, steps[: names.index("choose-grid") + 1])
        few.hand_back(mark)


def require_valid(module: ModuleOp) -> None:
    """A module that a pass spoilt is a fault of forge, not of the model."""
    try:
        module.verify()
    except VerifyException as error:
        raise ForgeError(
            "a pass made an operation that is not valid; this is a fault of forge",
            value=str(error),
            advice="please report it with the files of --dump-ir; leaving something "
            "out with --disable may avoid it",
        ) from None


def unplaceable_in(ctx: Context, module: ModuleOp) -> list[ForgeError]:
    """What `check-coverage` would report of a model; runs the passes before it."""
    for name in PIPELINE[: PIPELINE.index("check-coverage")]:
        PASSES[name]()().apply(ctx, module)
    return unsupported_in(module)


def _configured(
    given: dict[str, dict[str, str]], disabled: tuple[str, ...]
) -> Iterator[ModulePass]:
    left_out, off = controls_of(disabled)
    for name in PIPELINE:
        if name not in left_out:
            yield PASSES[name]()(**given.get(name, {}), **off.get(name, {}))


def dump_to(folder: Path) -> Observer:
    """An observer that writes the module after each pass into a folder."""

    def observe(number: int, name: str, module: ModuleOp) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{number:02}-{name}.mlir").open("w") as file:
            Printer(stream=file).print_op(module)
            file.write("\n")

    return observe
