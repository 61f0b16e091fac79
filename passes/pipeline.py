"""The pipeline, from an imported model to placed programs, read from top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.printer import Printer
from xdsl.utils.exceptions import PassFailedException, VerifyException

from dialects.errors import ForgeError
from passes import PASSES
from passes.coverage import unsupported_in
from passes.ttir_pipeline import TTIR_PIPELINE

PIPELINE: tuple[str, ...] = (
    # What: from the model's operations to the chip's.
    *TTIR_PIPELINE,
    "place-decode",
    "hoist-permutes",
    "move-inside-tiles",
    "fold-constants",
    "check-coverage",
    "merge-projections",
    # Where: programs, their loops, their cores, who multicasts.
    "form-programs",
    "insert-padding",
    "form-stages",
    "choose-formats",
    "choose-grid",
    "insert-multicast",
    "align-grids",
)

OPTIONAL = {
    "merge-projections": "linear layers that read the same tensor stay apart",
    "insert-multicast": "every core reads its own tiles from DRAM",
    "align-grids": "tensors between programs go through DRAM",
    "choose-formats": "residual streams are rounded to the model's own format",
    "recognize-rotary": "rotary embedding stays as it was exported",
    "norm-fusion": "norms are programs of their own",
    "epilogue-fusion": "what follows a contraction is a program of its own",
}
"""What may be left out, and what that means; the last two are in form-programs."""

Observer = Callable[[int, str, ModuleOp], None]


def run_pipeline(
    ctx: Context,
    module: ModuleOp,
    *,
    chip: str,
    weights_format: str,
    disabled: tuple[str, ...] = (),
    observe: Observer | None = None,
) -> None:
    """Run all passes in order, in place. Raises `ForgeError` where one cannot go on.

    `observe` is called after each pass with its number, name and the module.
    """
    for name in disabled:
        if name not in OPTIONAL:
            raise ForgeError(
                f"pass '{name}' cannot be left out",
                advice=f"these can: {', '.join(OPTIONAL)}",
            )
    passes = _configured(chip, weights_format, disabled)
    for number, step in enumerate(passes):
        try:
            step.apply(ctx, module)
        except PassFailedException as error:
            raise ForgeError(f"{step.name}: {error}") from None
        if observe is not None:
            observe(number, step.name, module)
    require_valid(module)


def require_valid(module: ModuleOp) -> None:
    """A module that a pass spoilt is a fault of forge, not of the model."""
    try:
        module.verify()
    except VerifyException as error:
        raise ForgeError(
            "a pass made an operation that is not valid; this is a fault of forge",
            value=str(error),
            advice="please report it with the files of --dump-ir; leaving a pass out "
            "with --disable-pass may avoid it",
        ) from None


def unplaceable_in(ctx: Context, module: ModuleOp) -> list[ForgeError]:
    """What `check-coverage` would report of a model; runs the passes before it."""
    for name in PIPELINE[: PIPELINE.index("check-coverage")]:
        PASSES[name]()().apply(ctx, module)
    return unsupported_in(module)


def _configured(
    chip: str, weights_format: str, disabled: tuple[str, ...]
) -> Iterator[ModulePass]:
    options = {
        "form-programs": {
            "norm_fusion": "norm-fusion" not in disabled,
            "epilogue_fusion": "epilogue-fusion" not in disabled,
        },
        "choose-grid": {"chip": chip, "weights_format": weights_format},
        "insert-multicast": {"chip": chip},
        "align-grids": {"chip": chip, "weights_format": weights_format},
    }
    for name in PIPELINE:
        if name not in disabled:
            yield PASSES[name]()(**options.get(name, {}))


def dump_to(folder: Path) -> Observer:
    """An observer that writes the module after each pass into a folder."""

    def observe(number: int, name: str, module: ModuleOp) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{number:02}-{name}.mlir").open("w") as file:
            Printer(stream=file).print_op(module)
            file.write("\n")

    return observe
