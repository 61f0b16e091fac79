"""The `forge` command: its options and help texts, and the one place errors end.

What a command does is in `forge/commands/<name>.py`, imported when it runs, so that
`forge --help` is instant.
"""

import gc
import signal
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from dialects.errors import ForgeError
from forge import __version__
from forge.arguments import parse_assignment, parse_core, parse_numbers
from forge.cli_bench import bench_app
from forge.cli_options import (
    Disable,
    Enable,
    Json,
    ListSwitches,
    Optimize,
    read_switches,
)
from forge.console import show_error
from forge.packages import check_packages_are_ours

app = typer.Typer(
    name="forge",
    help="Compile a PyTorch model for a Tenstorrent Wormhole chip, and run the result "
    "on the bundled emulator.",
    epilog="Begin with: forge demo",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(bench_app, name="bench")

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A folder with config.json and safetensors, a GGUF file, or the name of "
        "a model on a hub.",
    ),
]
Folder = Annotated[
    Path,
    typer.Argument(metavar="FOLDER", help="A folder written by `forge compile`."),
]
CacheLength = Annotated[
    int | None,
    typer.Option(
        "--seq-len",
        metavar="N",
        help="Tokens that the cache holds: prompt and answer together (512 if not "
        "given). With --forward, tokens of the pass (64).",
    ),
]
SeqLen = Annotated[
    int,
    typer.Option("--seq-len", metavar="N", help="Tokens in the sequence, at least 1."),
]
Temperature = Annotated[
    float,
    typer.Option(
        "--temperature",
        metavar="X",
        help="0 takes the likeliest token; above, tokens are drawn.",
    ),
]
TopK = Annotated[
    int,
    typer.Option(
        "--top-k", metavar="N", help="Draw from the N likeliest tokens; 0: from all."
    ),
]
TopP = Annotated[
    float,
    typer.Option(
        "--top-p",
        metavar="X",
        help="Draw from the likeliest tokens that have this probability together.",
    ),
]
Seed = Annotated[
    int, typer.Option("--seed", metavar="N", help="What tokens are drawn from.")
]
MaxNewTokens = Annotated[
    int,
    typer.Option("--max-new-tokens", metavar="N", help="Stop after so many tokens."),
]
Chip = Annotated[
    str, typer.Option("--chip", metavar="NAME", help="The chip to compile for.")
]
ProgramName = Annotated[
    str | None, typer.Option("--program", metavar="NAME", help="Only this program.")
]


class NumericsName(StrEnum):
    """How faithfully values are computed."""

    FAST = "fast"
    EXACT = "exact"


Numerics = Annotated[
    NumericsName,
    typer.Option("--numerics", help="fast, or exact: the chip's bits."),
]


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        print(f"forge {__version__}")
        raise typer.Exit


@app.callback()
def forge(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Print the version.",
        ),
    ] = False,
) -> None:
    """Holds the options before the command name."""


@app.command("compile")
def compile_command(
    model: Model,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", help="Where to write it."),
    ],
    chip: Chip = "n150",
    seq_len: CacheLength = None,
    prefill: Annotated[
        str | None,
        typer.Option(
            "--prefill",
            metavar="N,N,...",
            help="Lengths that prompts are padded to, each compiled by itself (128, "
            "512, 2048, ... up to the cache, and the cache, if not given).",
        ),
    ] = None,
    batch: Annotated[
        int,
        typer.Option("--batch", metavar="B", help="Users that decode together, to 32."),
    ] = 1,
    forward: Annotated[
        bool,
        typer.Option(
            "--forward",
            help="Compile one pass without a cache, from all tokens to all logits.",
        ),
    ] = False,
    weights_format: Annotated[
        str,
        typer.Option(
            "--weights-format",
            metavar="FORMAT",
            help="How matmul weights are stored: bf16, bfp8_b or bfp4_b; rules for "
            "names that differ: bfp8_b,mlp=bfp4_b.",
        ),
    ] = "bf16",
    fidelity: Annotated[
        str,
        typer.Option(
            "--fidelity",
            metavar="FIDELITY",
            autocompletion=lambda: ["LoFi", "HiFi2", "HiFi3", "HiFi4"],
            help="Phases of products with weights: LoFi, HiFi2, HiFi3 or HiFi4.",
        ),
    ] = "HiFi4",
    dump_ir: Annotated[
        Path | None,
        typer.Option(
            "--dump-ir", metavar="DIR", help="Write the module after each pass here."
        ),
    ] = None,
    explain: Annotated[
        Path | None,
        typer.Option(
            "--explain",
            metavar="FILE.json",
            help="Write which grids were weighed for each program, what they would "
            "cost, and why one was taken; print a table of it.",
        ),
    ] = None,
    optimize: Optimize = "all",
    enable: Enable = None,
    disable: Disable = None,
    list_switches: ListSwitches = False,
    no_weights: Annotated[
        bool,
        typer.Option(
            "--no-weights", help="Write the netlist only: it can be timed, not run."
        ),
    ] = False,
    random_weights: Annotated[
        bool,
        typer.Option(
            "--random-weights",
            help="Draw the weights: the folder needs config.json only.",
        ),
    ] = False,
    seed: Annotated[
        int,
        typer.Option(
            "--seed", metavar="N", min=0, help="What random weights are drawn from."
        ),
    ] = 0,
    json: Json = False,
) -> None:
    """Compile MODEL into a folder: netlist, weights, manifest."""
    from forge.commands.compile import CompileRequest, run_compile

    request = CompileRequest(
        model,
        output,
        chip=chip,
        seq_len=seq_len,
        prefill=() if prefill is None else tuple(parse_numbers(prefill, "--prefill")),
        batch=batch,
        forward=forward,
        weights_format=weights_format,
        fidelity=fidelity,
        dump_ir=dump_ir,
        explain=explain,
        disabled=read_switches(optimize, enable, disable),
        with_weights=not no_weights,
        random_seed=seed if random_weights else None,
    )
    run_compile(request, as_json=json)


@app.command("run")
def run_command(
    folder: Folder,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            "--prompt",
            "-p",
            metavar="TEXT",
            help="What to say to it. May be repeated: each is one user's.",
        ),
    ] = None,
    token_ids: Annotated[
        list[str] | None,
        typer.Option(
            "--token-ids",
            metavar="N,N,...",
            help="Instead of a prompt: token numbers, for a model without tokenizer.",
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            "--batch",
            metavar="B",
            help="Users; prompts are taken in turn. One for each prompt if not given.",
        ),
    ] = None,
    max_new_tokens: MaxNewTokens = 32,
    temperature: Temperature = 0.0,
    top_k: TopK = 0,
    top_p: TopP = 1.0,
    seed: Seed = 0,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="Continue the text; apply no chat template."),
    ] = False,
    numerics: Numerics = NumericsName.FAST,
    json: Json = False,
) -> None:
    """Let a compiled chat model answer on the emulator, token by token."""
    from forge.commands.run import RunRequest, run_run

    request = RunRequest(
        folder,
        prompts=prompt or (),
        token_ids=token_ids or (),
        batch=batch,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
        use_chat_template=not raw,
        numerics=numerics.value,
    )
    run_run(request, json=json)


@app.command("chat")
def chat_command(
    folder: Folder,
    max_new_tokens: MaxNewTokens = 128,
    temperature: Temperature = 0.0,
    top_k: TopK = 0,
    top_p: TopP = 1.0,
    seed: Seed = 0,
    numerics: Numerics = NumericsName.FAST,
) -> None:
    """Talk with a compiled chat model on the emulator, line by line."""
    from forge.commands.chat import run_chat
    from forge.commands.run import RunRequest

    request = RunRequest(
        folder,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
        numerics=numerics.value,
    )
    run_chat(request)


@app.command("accuracy")
def accuracy_command(
    folder: Folder,
    text: Annotated[
        str | None,
        typer.Option("--text", metavar="TEXT", help="What a language model reads."),
    ] = None,
    inputs: Annotated[
        Path | None,
        typer.Option("--inputs", metavar="FILE", help="Inputs by name, as .npz."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", metavar="MODEL", help="Judge by PyTorch's float32 of this model."
        ),
    ] = None,
    numerics: Numerics = NumericsName.EXACT,
    json: Json = False,
) -> None:
    """Show what formats and fidelities cost, and which program loses most."""
    from forge.commands.accuracy import run_accuracy

    run_accuracy(
        folder,
        text=text,
        inputs=inputs,
        model=model,
        numerics=numerics.value,
        json=json,
    )


@app.command("check")
def check_command(model: Model, seq_len: SeqLen = 64, json: Json = False) -> None:
    """List what in MODEL forge cannot compile."""
    from forge.commands.check import run_check

    run_check(model, seq_len=seq_len, json=json)


@app.command("inspect")
def inspect_command(
    folder: Folder,
    program: ProgramName = None,
    core: Annotated[
        str | None,
        typer.Option(
            "--core",
            metavar="X,Y",
            help="What one core does, with every number resolved.",
        ),
    ] = None,
    l1: Annotated[
        str | None,
        typer.Option("--l1", metavar="X,Y", help="What lies in a core's L1."),
    ] = None,
    weights: Annotated[
        bool, typer.Option("--weights", help="The weights and how each is made.")
    ] = False,
    caches: Annotated[
        bool, typer.Option("--caches", help="The buffers that outlive a run.")
    ] = False,
    sources: Annotated[
        bool,
        typer.Option(
            "--sources", help="What was fused into each program, and its source lines."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Show the programs of a compiled folder."""
    gc.disable()  # a quarter of the time goes into looking for garbage; there is none
    from forge.commands.inspect import run_inspect

    run_inspect(
        folder,
        program,
        core=None if core is None else parse_core(core, "--core"),
        l1=None if l1 is None else parse_core(l1, "--l1"),
        show_weights=weights,
        show_caches=caches,
        show_sources=sources,
        json=json,
    )


@app.command("profile")
def profile_command(
    folder: Folder,
    entry: Annotated[
        str | None,
        typer.Option(
            "--entry", metavar="NAME", help="Which entry, if there are several."
        ),
    ] = None,
    scalars: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="The value of a run-time scalar. May be repeated.",
        ),
    ] = None,
    program: ProgramName = None,
    core: Annotated[
        str | None,
        typer.Option("--core", metavar="X,Y", help="Only the kernels of this core."),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            "--trace",
            metavar="FILE",
            help="Write a trace that Perfetto and Chrome open; .gz to compress it.",
        ),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(
            "--layers",
            metavar="N,N-N,...",
            help="Layers with kernels in the trace, or all. Without it, the first of "
            "equal runs has them.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Show where the cycles go, without computing any values."""
    from forge.commands.profile import ProfileRequest, run_profile

    request = ProfileRequest(
        folder,
        entry,
        program,
        core=None if core is None else parse_core(core, "--core"),
        trace=trace,
        layers=layers,
        scalars=dict(map(parse_assignment, scalars or ())),
    )
    run_profile(request, json=json)


@app.command("demo")
def demo_command(
    prompt: Annotated[
        str, typer.Option("--prompt", "-p", metavar="TEXT", help="What to say to it.")
    ] = "What is the capital of France?",
    max_new_tokens: MaxNewTokens = 32,
    chip: Chip = "n150",
    seq_len: CacheLength = 128,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="Keep what was compiled here."
        ),
    ] = None,
) -> None:
    """Compile a small chat model and let it answer."""
    from forge.commands.demo import run_demo

    run_demo(
        prompt,
        chip=chip,
        seq_len=seq_len,
        max_new_tokens=max_new_tokens,
        output=output,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `forge`; returns its exit code: 1 for an error, 2 for wrong usage."""
    if argv is None:
        signal.signal(signal.SIGTERM, _stop)
    try:
        check_packages_are_ours()
        app(args=None if argv is None else list(argv), prog_name="forge")
    except ForgeError as error:
        sys.stdout.flush()
        show_error(error)
        return error.exit_code
    except OSError as error:
        sys.stdout.flush()
        show_error(_as_forge_error(error))
        return 1
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    return 0


def _stop(number: int, _: object) -> NoReturn:
    """End as an exception does, so that drafts on disk are removed."""
    raise SystemExit(128 + number)


def _as_forge_error(error: OSError) -> ForgeError:
    """What the system refused, and where."""
    return ForgeError(
        error.strerror or str(error),
        location=error.filename,
        advice="check the path, its permissions, and the room on the disk",
    )
