"""The `forge bench` commands: their options and help texts."""

from pathlib import Path
from typing import Annotated

import typer

from forge.cli_options import Json

bench_app = typer.Typer(
    help="Compare predictions with measurements.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@bench_app.command("silicon")
def bench_silicon_command(
    csv: Annotated[
        Path | None,
        typer.Option(
            "--csv", metavar="DIR", help="Measurements of this folder, not forge's own."
        ),
    ] = None,
    family: Annotated[
        list[str] | None,
        typer.Option(
            "--family", metavar="NAME", help="Only this family. May be repeated."
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            "--without",
            metavar="EFFECT",
            help="Take an effect out of the model: contention, unpack or dispatch. "
            "May be repeated.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Predict published measurements of real chips, and show the errors."""
    from forge.commands.bench import run_silicon

    run_silicon(csv, families=family or (), without=without or (), json=json)


@bench_app.command("transfers")
def bench_transfers_command(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A transfer list, .csv or .json: see docs/timing.md."
        ),
    ],
    without: Annotated[
        list[str] | None,
        typer.Option(
            "--without", metavar="EFFECT", help="Take an effect out of the model."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Time a list of NoC transfers on an idle chip."""
    from forge.commands.bench import run_transfers

    run_transfers(file, without=without or (), json=json)


@bench_app.command("paper")
def bench_paper_command(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model", metavar="NAME", help="Only this model. May be repeated."
        ),
    ] = None,
    phase: Annotated[
        list[str] | None,
        typer.Option(
            "--phase",
            metavar="NAME",
            help="Only this phase: prefill-32, -128, -512, decode-1 or -32. May be "
            "repeated.",
        ),
    ] = None,
    chip: Annotated[
        str | None,
        typer.Option(
            "--chip", metavar="NAME", help="On this chip, whatever the model's own."
        ),
    ] = None,
    weights_format: Annotated[
        str,
        typer.Option(
            "--weights-format",
            metavar="FORMAT",
            help="How matmul weights are stored: bf16, bfp8_b or bfp4_b.",
        ),
    ] = "bf16",
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Only the baselines, the paper's set and everything; prefill-128 and "
            "decode-1 if no phase is given.",
        ),
    ] = False,
    no_values: Annotated[
        bool, typer.Option("--no-values", help="Only time; leave out the PCC.")
    ] = False,
    json: Json = False,
) -> None:
    """Measure the paper's fusions on its models, beside its Table 1."""
    from forge.commands.bench_paper import PaperRequest, run_paper

    request = PaperRequest(
        model or (),
        phase or (),
        chip=chip,
        weights_format=weights_format,
        quick=quick,
        with_values=not no_values,
    )
    run_paper(request, json=json)
