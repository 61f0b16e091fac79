"""Vendor-like matmul netlists are sound, print and parse, and multiply."""

import numpy as np
import pytest

from dialects.checks import check_netlist
from dialects.chip import Core, load_chip
from dialects.errors import HazardError, NetlistError
from dialects.formats import DataFormat, Fidelity
from dialects.netlist_text import parse_netlist, print_netlist
from forge.silicon.vendor_blocking import automatic_blocking, tuned_blocking
from forge.silicon.vendor_matmul import Blocking, Matmul, vendor_netlist
from tests.runtime.netlists import run_both

GRID = Core(8, 8)
BF16, BFP8 = DataFormat.BF16, DataFormat.BFP8_B
SMALL = Blocking("2d", Core(4, 2), (2, 2), (2, 2), (1, 2), 2)
ALONE = Blocking("single_core", Core(1, 1), (2, 2), (2, 2), (1, 2), 2)


def small(blocking: Blocking = SMALL, **more: bool | int) -> Matmul:
    return Matmul(128, 256, 256, BF16, Fidelity.HIFI4, blocking, **more)  # type: ignore[arg-type]


CASES = {
    "2d": small(),
    "2d, several output blocks": small(
        Blocking("2d", Core(4, 2), (2, 2), (1, 2), (1, 1), 2)
    ),
    "2d, no partial sums": small(Blocking("2d", Core(4, 2), (2, 2), (2, 2), (2, 2), 8)),
    "2d, partial sums reloaded": small(
        Blocking("2d", Core(4, 2), (2, 2), (2, 2), (2, 2), 4)
    ),
    "shards sent whole": small(in0_sharded=True, out_sharded=True),
    "shards cut before sending": small(
        Blocking("2d", Core(4, 2), (2, 2), (2, 2), (2, 1), 1), in0_sharded=True
    ),
    "1d": small(Blocking("1d", GRID, (4, 1), (4, 1), (4, 1), 2)),
    "one core": Matmul(64, 64, 64, BF16, Fidelity.HIFI4, ALONE, k_repeats=4),
    "one core, reloaded, tile by tile": Matmul(
        64,
        64,
        64,
        BF16,
        Fidelity.HIFI4,
        ALONE,
        packer_l1_acc=False,
        k_repeats=3,
        tile_by_tile=True,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_netlist_multiplies(name: str) -> None:
    matmul = CASES[name]
    netlist = parse_netlist(vendor_netlist(matmul))
    assert check_netlist(netlist, load_chip("n150")) == []
    again = parse_netlist(print_netlist(netlist))
    assert again.is_structurally_equivalent(netlist)
    draw = np.random.default_rng(5)
    in0 = draw.standard_normal((matmul.m, matmul.k)).astype(np.float32)
    in1 = draw.standard_normal((matmul.k, matmul.n)).astype(np.float32)
    executed, replayed = run_both(netlist, {"in0": in0, "in1": in1})
    expected = in0 @ in1 * matmul.k_repeats
    for found in (executed["out"], replayed["out"]):
        error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
        assert error < 0.01


def test_tiles_of_another_core_cannot_be_used_in_place() -> None:
    text = vendor_netlist(CASES["shards sent whole"])
    netlist = parse_netlist(text.replace("if x == k.start floordiv 2", "if x == 0"))
    with pytest.raises(NetlistError, match="uses tiles of %in0 in place") as caught:
        run_both(netlist, {})
    assert "noc_async_write_multicast" in text.splitlines()[_line(caught.value) - 1]


def test_partial_sums_are_not_overwritten_before_they_are_used() -> None:
    text = vendor_netlist(CASES["one core"])
    reload = "copy_tiles %partials [m, n] -> dst[0]\n"
    start = text.index("cb_pop_front %partials", text.index(reload))
    end = start + len("cb_pop_front %partials")
    moved = text[:start] + "noc_nop" + text[end:]
    moved = moved.replace("noc_nop\n", "").replace(
        "pack_tiles dst[0] [m, n] -> %out\n",
        "pack_tiles dst[0] [m, n] -> %out\ncb_pop_front %partials\n",
    )
    with pytest.raises(HazardError, match="lies at the same place and still holds"):
        run_both(parse_netlist(moved), {})


def _line(error: NetlistError) -> int:
    return int(str(error.location).rpartition(":")[2])


@pytest.mark.parametrize(
    ("shape", "data_format", "kind", "block", "subblock", "k_block"),
    [
        ((512, 512, 512), BF16, "2d", (2, 2), (2, 2), 2),
        ((512, 1024, 1024), BF16, "1d", (16, 1), (8, 1), 2),
        ((512, 1024, 2048), BFP8, "1d", (16, 1), (8, 1), 2),
        ((1024, 1024, 1024), BF16, "2d", (4, 4), (4, 2), 4),
        ((3072, 3072, 3072), BF16, "2d", (6, 12), (2, 4), 12),
        ((4096, 4096, 4096), BF16, "2d", (8, 8), (4, 2), 16),
        ((4096, 4096, 4096), BFP8, "2d", (8, 16), (4, 2), 16),
    ],
)
def test_automatic_blocking(
    shape: tuple[int, int, int],
    data_format: DataFormat,
    kind: str,
    block: tuple[int, int],
    subblock: tuple[int, int],
    k_block: int,
) -> None:
    found = automatic_blocking(shape, GRID, data_format)
    assert (found.kind, found.block, found.subblock) == (kind, block, subblock)
    assert found.k_block == k_block


def test_tuned_blocking_is_the_published_one() -> None:
    sharded = tuned_blocking((3072, 3072, 3072), GRID, BF16, out_sharded=True)
    assert (sharded.block, sharded.subblock, sharded.k_block) == ((12, 12), (1, 6), 3)
    split = tuned_blocking((16384, 16384, 16384), GRID, BF16, out_sharded=False)
    assert (split.part, split.block, split.subblock) == ((64, 64), (8, 8), (4, 2))
    assert split.k_block == 16
