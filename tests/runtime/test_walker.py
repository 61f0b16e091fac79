"""What hangs or corrupts on the chip stops the walk, with a diagnosis and a line."""

import re
from collections.abc import Sequence

import numpy as np
import pytest

from dialects.bindings import Bindings
from dialects.chip import load_chip
from dialects.errors import HazardError, NetlistError
from dialects.formats import DataFormat
from dialects.netlist_text import parse_netlist
from dialects.program import ProgramFacts, Tensor
from dialects.tensix import ProgramOp, RunOp
from runtime.executor import execute
from runtime.expand import expand_program
from runtime.launch import Launch
from runtime.trace import trace_launch
from tests.runtime.netlists import FOLDER

TILES = Tensor(DataFormat.BF16, (128, 128))


def launch_of(
    text: str, parameters: str = "in %x, out %y", *, dst: str = "fp32"
) -> Launch:
    netlist = parse_netlist(
        'tensix.netlist @a version 1 chip "n150" {\n'
        f"program @p({parameters}) fidelity HiFi4 dst {dst} {{\n{text}\n}}\n}}"
    )
    program = netlist.body.block.first_op
    assert isinstance(program, ProgramOp)
    facts = ProgramFacts(program, load_chip("n150"))
    return expand_program(facts, [TILES] * len(facts.parameters))


def run_both(launch: Launch) -> None:
    """Both engines; each must say the same."""
    messages = []
    for engine in (trace_launch, _execute):
        try:
            engine(launch)
        except HazardError as error:
            messages.append(str(error))
        else:
            messages.append("")
    assert messages[0] == messages[1]
    if messages[0]:
        trace_launch(launch)


def _execute(launch: Launch) -> None:
    execute(launch, [np.zeros((128, 128), np.float32) for _ in launch.tensors])


DECLARED = """
axis m {cores}
axis k 4 block 1
cb %a [m, k] of %x[m, k] depth 2
cb %b [m, k] of %y[m, k] depth 2
cb %c [] format fp32
semaphore %s initial 0
"""

COPY = """kernel compute on trisc {
  for k {
    cb_wait_front %a
    tile_regs_acquire
    copy_tiles %a [m, k] -> dst[0]
    tile_regs_commit
    tile_regs_wait
    cb_reserve_back %b
    pack_tiles dst[0] [m, k] -> %b
    cb_push_back %b
    tile_regs_release
    cb_pop_front %a
  }
}
"""
READER = """kernel reader on riscv1 noc 0 {
  for k {
    cb_reserve_back %a
    noc_async_read %a
    noc_async_read_barrier
    cb_push_back %a
  }
}
"""
WRITER = """kernel writer on riscv0 noc 1 {
  for k {
    cb_wait_front %b
    noc_async_write %b
    noc_async_write_barrier
    cb_pop_front %b
  }
}
"""


def program(
    *edits: tuple[str, str],
    kernels: Sequence[str] = (READER, COPY, WRITER),
    cores: str = "1",
) -> str:
    """A copy of four tiles through both ends, with edits."""
    text = DECLARED.format(cores=cores) + "".join(kernels)
    for old, new in edits:
        assert old in text, f"{old!r} is not in the program"
        text = text.replace(old, new, 1)
    return text


def reader(body: str) -> str:
    """The only kernel of a program."""
    return f"kernel reader on riscv1 noc 0 {{\n{body}\n}}\n"


def test_the_sound_program_runs() -> None:
    run_both(launch_of(program()))


HAZARDS = {
    "page never pushed": (
        program(("    cb_push_back %a\n", "")),
        "core (0,0) compute waits: 1 pages of %a, 0 filled",
        "cb_reserve_back %a|cb_wait_front %a|cb_wait_front %b",
    ),
    "written without reserving": (
        program(
            ("    noc_async_read %a\n", "    cb_push_back %a\n    noc_async_read %a\n")
        ),
        "%a: page 0 written, 0 reserved",
        "noc_async_read %a",
    ),
    "pushed without reserving": (
        program(
            ("    cb_push_back %b\n", "    cb_push_back %b\n    cb_push_back %b\n")
        ),
        "%b: 1 pages pushed, 0 reserved",
        "cb_push_back %b",
    ),
    "more pushed than reserved": (
        program(("    cb_push_back %b\n", "    cb_push_back %b, 2\n")),
        "%b: 2 pages pushed, 1 reserved",
        "cb_push_back %b, 2",
    ),
    "popped without waiting": (
        program(
            ("    cb_pop_front %b\n", "    cb_pop_front %b\n    cb_pop_front %b\n")
        ),
        "%b: 1 pages popped, 0 waited for",
        "cb_pop_front %b",
    ),
    "pushed before the barrier": (
        program(("    noc_async_read_barrier\n", "")),
        "%a: a page is pushed that is still in flight",
        "cb_push_back %a",
    ),
    "popped before the barrier": (
        program(("    noc_async_write_barrier\n", "")),
        "%b: pages are popped while writes of them are in flight",
        "cb_pop_front %b",
    ),
    "used before it is waited for": (
        program(
            ("    cb_wait_front %b\n", "    cb_wait_front %b\n    cb_pop_front %b\n")
        ),
        "%b: page 0 used, 0 waited for",
        "noc_async_write %b",
    ),
    "used though nothing was written": (
        program(("    noc_async_read %a\n", "")),
        "%a: a page is used that is still empty",
        "copy_tiles %a",
    ),
    "capacity no multiple of the block": (
        program(("cb_reserve_back %b", "cb_reserve_back %b, 3")),
        "%b holds 2 pages, not a multiple of 3",
        "cb_reserve_back %b, 3",
    ),
    "reads in flight at the end": (
        program(
            kernels=[
                reader(
                    "for k by 1 { if k.start == 0 {\n"
                    "cb_reserve_back %a\nnoc_async_read %a\n} }"
                )
            ]
        ),
        "kernel reader on core (0,0) ends while its reads are in flight",
        "noc_async_read %a",
    ),
    "writes in flight at the end": (
        program(
            ("    noc_async_write_barrier\n    cb_pop_front %b\n", ""),
            ("  for k {\n    cb_wait_front %b", "  for k by 1 {\n    cb_wait_front %b"),
        ),
        "kernel writer on core (0,0) ends while its writes are in flight",
        "noc_async_write %b",
    ),
    "imbalance at the end": (
        program(("    cb_pop_front %b\n", ""), ("depth 2\ncb %c", "depth 4\ncb %c")),
        "%b on core (0,0) still holds 4 pages at the program's end",
        "cb %b",
    ),
    "a second consumer takes what the first waits for": (
        program(("cb_wait_front %b\n", "cb_wait_front %b, 2\n")),
        "hangs: no kernel can go on",
        "cb_reserve_back %b|cb_wait_front %b",
    ),
    "commit before acquire": (
        program(("    tile_regs_acquire\n", "    tile_regs_commit\n")),
        "Dst is free, but must be acquired here",
        "tile_regs_commit",
    ),
    "acquire twice": (
        program(
            (
                "    tile_regs_acquire\n",
                "    tile_regs_acquire\n    tile_regs_acquire\n",
            )
        ),
        "Dst is acquired, but must be free here",
        "tile_regs_acquire",
    ),
    "wait before commit": (
        program(("    tile_regs_commit\n", "")),
        "Dst is acquired, but must be committed here",
        "tile_regs_wait",
    ),
    "release before wait": (
        program(("    tile_regs_wait\n", "    tile_regs_release\n")),
        "Dst is committed, but must be packing here",
        "tile_regs_release",
    ),
    "computing after commit": (
        program(("    tile_regs_wait\n", "    exp_tile dst[0] [m]\n")),
        "Dst is committed, but must be acquired here",
        "exp_tile",
    ),
    "packing before wait": (
        program(("    tile_regs_wait\n", "")),
        "Dst is committed, but must be packing here",
        "pack_tiles",
    ),
    "Dst tile that was never written": (
        program(("copy_tiles %a [m, k] -> dst[0]", "copy_tiles %a [m, k] -> dst[1]")),
        "Dst tile 0 is read, but nothing was written there",
        "pack_tiles",
    ),
    "Dst capacity": (
        program(("copy_tiles %a [m, k] -> dst[0]", "copy_tiles %a [m, k] -> dst[4]")),
        "Dst tiles 4 to 4 are used",
        "copy_tiles",
    ),
    "semaphore that nobody raises": (
        program(
            (
                "    cb_wait_front %b\n",
                "    noc_semaphore_wait %s, 2\n    cb_wait_front %b\n",
            )
        ),
        "core (0,0) writer waits: semaphore %s = 2, is 0",
        "cb_wait_front|cb_reserve_back|noc_semaphore_wait",
    ),
    "two kernels wait for each other": (
        program(
            (
                "    cb_reserve_back %a\n",
                "    noc_semaphore_wait %s, 1\n    cb_reserve_back %a\n",
            ),
            (
                "    cb_wait_front %b\n",
                "    cb_wait_front %b\n    noc_semaphore_set %s, 1\n",
            ),
        ),
        "core (0,0) reader waits: semaphore %s = 1, is 0; core (0,0) compute waits",
        "noc_semaphore_wait|cb_wait_front",
    ),
    "increment of a core that takes no part": (
        program(
            (
                "    cb_wait_front %b\n",
                "    noc_semaphore_inc %s at (3, 0), 1\n    cb_wait_front %b\n",
            )
        ),
        "a semaphore of core (3,0) is raised, which does not take part",
        "noc_semaphore_inc",
    ),
}


@pytest.mark.parametrize("case", HAZARDS)
def test_hazard_is_diagnosed(case: str) -> None:
    text, message, line = HAZARDS[case]
    launch = launch_of(text)
    with pytest.raises(HazardError) as caught:
        run_both(launch)
    assert message in str(caught.value)
    location = caught.value.location
    assert location is not None
    number = re.match(r"netlist\.mlir:(\d+)", location)
    assert number is not None
    lines = ["netlist", "program", *text.splitlines()]
    assert re.search(line, lines[int(number[1]) - 1])


# -- multicast ---------------------------------------------------------------------

SHARED = """
axis m 2 over x 2
axis k 2 block 1
cb %a [k] of %x[0, k] {depth}
semaphore %room initial 0
semaphore %there initial 0
kernel reader on riscv1 noc 0 {{
  for k {{
    cb_reserve_back %a
    if x == 0 {{
      noc_async_read %a
      noc_async_read_barrier
      noc_semaphore_wait %room, 1
      noc_semaphore_set %room, 0
      noc_async_write_multicast %a from (0, 0) to (1, 0) linked
      noc_semaphore_set_multicast %there from (0, 0) to (1, 0), 1
    }}
    if x == 1 {{
      noc_semaphore_set %there, 0
      noc_semaphore_inc %room at (0, 0), 1
      noc_semaphore_wait %there, 1
    }}
    cb_push_back %a
  }}
}}
kernel writer on riscv0 noc 1 {{
  for k {{
    cb_wait_front %a
    cb_pop_front %a
  }}
}}
"""


def shared(*edits: tuple[str, str], depth: str = "depth 2") -> str:
    text = SHARED.format(depth=depth)
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    return text


def test_raw_multicast_runs() -> None:
    run_both(launch_of(shared(), "in %x"))


MULTICAST_HAZARDS = {
    "to a receiver that has not reserved": (
        shared(
            ("    cb_reserve_back %a\n    if x == 0", "    if x == 0"),
            (
                "      noc_async_read %a\n",
                "      cb_reserve_back %a\n      noc_async_read %a\n",
            ),
        ),
        "hits core (1,0), which has 0 pages reserved at 0",
    ),
    "while reads are in flight": (
        shared(("      noc_async_read_barrier\n", "")),
        "%a is multicast while its reads are in flight",
    ),
    "pushed without waiting for the flag": (
        shared(
            ("      noc_semaphore_wait %there, 1\n", ""),
            ("      noc_semaphore_inc %room at (0, 0), 1\n", ""),
        ),
        "hangs",
    ),
    "flag not waited for": (
        shared(("      noc_semaphore_wait %there, 1\n", "")),
        "semaphore %room = 1, is 2",
    ),
    "sent twice over": (
        shared(
            (
                "      noc_async_write_multicast",
                (
                    "      noc_async_write_multicast %a from (0, 0) to (1, 0)\n"
                    "      noc_async_write_multicast"
                ),
            )
        ),
        "hits core (1,0) before it has taken the last one",
    ),
}


@pytest.mark.parametrize("case", MULTICAST_HAZARDS)
def test_multicast_hazard_is_diagnosed(case: str) -> None:
    text, message = MULTICAST_HAZARDS[case]
    with pytest.raises(HazardError) as caught:
        run_both(launch_of(text, "in %x"))
    assert message in str(caught.value)


def test_a_stall_names_who_waits_and_counts_the_rest() -> None:
    text = program(("    cb_push_back %a\n", ""), cores="4 over y 4")
    with pytest.raises(HazardError) as caught:
        run_both(launch_of(text))
    value = str(caught.value.value)
    assert "core (0,0) compute waits: 1 pages of %a, 0 filled" in value
    assert re.search(r"\(\+\d+ more\)", value)


def test_kernels_that_do_nothing_on_a_core_do_not_look_like_a_stall() -> None:
    text = program(
        (("  for k {\n"
        "    cb_reserve_back %a"), ("  if y == 0 { noc_async_write_barrier }\n"
         "  for k {\n    cb_reserve_back %a")),
        cores="4 over y 4",
    ) + "semaphore %t initial 0\n"  # fmt: skip
    idle = "kernel other on riscv0 noc 0 { if y > 9 { noc_async_write_barrier } }\n"
    run_both(launch_of(text + idle * 3))


# -- memory ------------------------------------------------------------------------

SHIFT = """
axis m 3 over y 3
cb %a [m] of %x[{source}, 0]
cb %b [m] of %x[m, 1]
kernel reader on riscv1 noc 0 {{
  cb_reserve_back %a
  noc_async_read %a
  noc_async_read_barrier
  cb_push_back %a
}}
kernel compute on trisc {{
  cb_wait_front %a
  tile_regs_acquire
  copy_tiles %a [m] -> dst[0]
  tile_regs_commit
  tile_regs_wait
  cb_reserve_back %b
  pack_tiles dst[0] [m] -> %b
  cb_push_back %b
  tile_regs_release
  cb_pop_front %a
}}
kernel writer on riscv0 noc 1 {{
  cb_wait_front %b
  noc_async_write %b
  noc_async_write_barrier
  cb_pop_front %b
}}
"""


def test_work_in_place_runs() -> None:
    run_both(launch_of(SHIFT.format(source="m"), "inout %x"))
    text = SHIFT.format(source="m").replace("%x[m, 0]", "%x[m, 1]")
    run_both(launch_of(text, "inout %x"))


def test_cores_that_read_what_others_write() -> None:
    text = SHIFT.format(source="m + 1").replace("%x[m + 1, 0]", "%x[m + 1, 1]")
    with pytest.raises(HazardError, match="nothing orders the two"):
        run_both(launch_of(text, "inout %x"))


# -- expansion ---------------------------------------------------------------------

NONSENSE = {
    "unknown axis in a loop": (("for k {", "for q {"), "'q' is not an axis of @p"),
    "unknown buffer": (
        ("cb_wait_front %a", "cb_wait_front %z"),
        "%z is not a circular buffer of @p",
    ),
    "unknown name in a condition": (
        ("    cb_push_back %a\n", "    if j == 0 { cb_push_back %a }\n"),
        "'j' is not known in @p",
    ),
    "turned without all of an axis": (
        ("copy_tiles %a [m, k]", "copy_tiles %a turned 1 [m, k]"),
        "%a is turned, but does not hold all of its last axis",
    ),
    "unknown axis of a block": (
        ("copy_tiles %a [m, k]", "copy_tiles %a [m, j]"),
        "'j' is not known in @p",
    ),
    "unknown name in a map": (
        ("of %x[m, k]", "of %x[m, j]"),
        "'j' in the map of %a is not an axis",
    ),
    "operand that is no parameter": (
        ("of %x[m, k]", "of %z[m, k]"),
        "%a is `of %z`, which is not a parameter of @p",
    ),
    "map that leaves the buffer": (
        ("of %x[m, k]", "of %x[m, k + 1]"),
        "%a reaches tile (0, 4) of %x",
    ),
    "used before it is reserved": (
        ("    cb_reserve_back %a\n", ""),
        "%a is used before it is reserved or waited for",
    ),
    "block that is too small": (
        (
            (
                "    noc_async_read %a\n    noc_async_read_barrier\n"
                "    cb_push_back %a\n  }\n"
            ),
            "  }\n  noc_async_read %a\n",
        ),
        "%a holds 1 tiles of axis k",
    ),
    "unknown semaphore": (
        ("    cb_push_back %a\n", "    noc_semaphore_set %q, 1\n"),
        "%q is not a semaphore of @p",
    ),
    "unknown multicast": (
        ("    cb_push_back %a\n", "    send %q\n"),
        "%q is not a multicast of @p",
    ),
    "declaration in a kernel": (
        ("    cb_push_back %a\n", "    axis h 3\n"),
        "'tensix.axis' does not belong into a kernel",
    ),
}


@pytest.mark.parametrize("case", NONSENSE)
def test_nonsense_in_a_kernel_has_its_line(case: str) -> None:
    edit, message = NONSENSE[case]
    text = program(edit)
    with pytest.raises(NetlistError) as caught:
        launch_of(text)
    assert message in caught.value.message
    location = caught.value.location
    assert location is not None
    number = int(location.rpartition(":")[2]) - 3
    assert "kernel" not in text.splitlines()[number]


def test_wrong_number_of_tensors() -> None:
    launch = launch_of(program())
    with pytest.raises(NetlistError, match="2 parameters, the run binds 1 buffers"):
        expand_program(launch.facts, [TILES])


def test_some_cores_only() -> None:
    launch = launch_of(program(cores="4 over y 4"))
    core = launch.facts.cores[2]
    alone = expand_program(launch.facts, launch.tensors, cores=[core])
    assert list(alone.streams) == [core]
    assert len(alone.streams[core][0].instructions) == len(
        launch.streams[core][0].instructions
    )


def test_a_scaler_must_be_filled() -> None:
    text = program(
        (
            "    copy_tiles %a [m, k] -> dst[0]\n",
            "    reduce_tiles sum row %a, %a [m] over [k] -> dst[0]\n",
        )
    )
    with pytest.raises(NetlistError, match="is not filled by `fill`"):
        trace_launch(launch_of(text))


def test_a_piece_of_a_multicast_lies_together() -> None:
    text = (FOLDER / "pieces_in_turn.mlir").read_text()
    text = text.replace("cb %a [k.part, m.part]", "cb %a [m.part, k.part]")
    netlist = parse_netlist(text)
    bindings = Bindings(netlist)
    run = bindings.runs[1]
    assert isinstance(run, RunOp)
    facts = ProgramFacts(bindings.programs["matmul"], load_chip("n150"))
    with pytest.raises(NetlistError, match="sends 4 pages of %a that do not lie"):
        expand_program(facts, bindings.tensors(run))
