"""Netlists that mirror the vendor's matmul kernels.

Three kernels of tt-metal, in the form in which forge's emulator runs them:

- 2D multicast: the left column of cores reads in0 (or the owners of its shards take
  turns) and sends along its row; the top row reads in1 and sends down its column. The
  processor of in1 also writes the output.
- 1D multicast: the first core reads in0 and sends it to all, each core reads the
  columns of in1 that are its own.
- one core, all operands in its L1.

All share one compute kernel: sub-blocks of the output, inner loop over one block of K,
partial sums of a K block spilled to a circular buffer and added there by the packer,
or reloaded. Sources: wormhole.md sections 7.2 to 7.4; tt-metal
`ttnn/cpp/ttnn/operations/matmul/device`, kernels and program factories.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dialects.chip import Core
from dialects.formats import DataFormat, Fidelity

Kind = Literal["2d", "1d", "single_core"]
TILE = 32


@dataclass(frozen=True)
class Blocking:
    """How a matmul is cut; all counts in tiles.

    A core computes `part` (rows, columns) of the output, `block` of it at a time and
    in that one `subblock` in Dst at a time, `k_block` tiles of K after another.
    """

    kind: Kind
    grid: Core
    part: tuple[int, int]
    block: tuple[int, int]
    subblock: tuple[int, int]
    k_block: int

    @property
    def num_subblocks(self) -> int:
        """Sub-blocks of one output block."""
        rows, columns = self.block
        return rows * columns // (self.subblock[0] * self.subblock[1])


@dataclass(frozen=True)
class Matmul:
    """A matmul as the vendor's library runs it; m, k, n in elements.

    `k_repeats` says how often the same K columns are added (the benchmark of one core
    keeps a single block in L1). `tile_by_tile`: no operand stays in a source register.
    """

    m: int
    k: int
    n: int
    data_format: DataFormat
    fidelity: Fidelity
    blocking: Blocking
    in0_sharded: bool = False
    out_sharded: bool = False
    packer_l1_acc: bool = True
    partials: DataFormat | None = None
    k_repeats: int = 1
    tile_by_tile: bool = False

    @property
    def k_tiles(self) -> int:
        """Tiles along K, repeats included."""
        return self.k // TILE * self.k_repeats

    @property
    def k_blocks(self) -> int:
        """Blocks of K, one after another."""
        return self.k_tiles // self.blocking.k_block

    @property
    def adds_in_l1(self) -> bool:
        """Whether the packer adds partial sums: only from three blocks on."""
        return self.packer_l1_acc and self.k_blocks > 2

    @property
    def partials_format(self) -> DataFormat:
        """Format in which partial sums lie in L1."""
        if self.partials is not None:
            return self.partials
        return DataFormat.BF16 if self.adds_in_l1 else self.data_format


def vendor_netlist(matmul: Matmul) -> str:
    """The text of a netlist with one program and one run of it."""
    lines = [
        'tensix.netlist @vendor_matmul version 1 chip "n150" {',
        *_buffers(matmul),
        f"program @matmul({_PARAMETERS}) fidelity {matmul.fidelity.value} dst bf16 {{",
        *_axes(matmul),
        *_circular_buffers(matmul),
        *_exchange(matmul),
        *_IN0[_in0_kind(matmul)](matmul),
        *_in1(matmul),
        *_compute(matmul),
        "}",
        "run @matmul(@in0, @in1, @out)",
        "}",
    ]
    return _indented(lines)


_PARAMETERS = "in %in0, in %in1, out %out"


def _indented(lines: list[str]) -> str:
    depth, out = 0, []
    for line in lines:
        depth -= line.startswith("}")
        out.append("  " * depth + line)
        depth += line.endswith("{")
    return "\n".join(out) + "\n"


def _buffers(matmul: Matmul) -> Iterator[str]:
    grid, fmt = matmul.blocking.grid, matmul.data_format.value
    shards = f" shards {grid.y}x{grid.x}"
    alone = matmul.blocking.kind == "single_core"
    for name, shape, sharded, role in (
        ("in0", f"{matmul.m}x{matmul.k}", matmul.in0_sharded or alone, "input"),
        ("in1", f"{matmul.k}x{matmul.n}", alone, "input"),
        ("out", f"{matmul.m}x{matmul.n}", matmul.out_sharded or alone, "output"),
    ):
        memory, layout = ("l1", shards) if sharded else ("dram", "")
        yield f"buffer @{name} {memory} {fmt} {shape}{layout} role {role}"


def _axes(matmul: Matmul) -> Iterator[str]:
    cut = matmul.blocking
    rows, columns = matmul.m // TILE, matmul.n // TILE
    spread = {
        "2d": (f" over y {cut.grid.y}", f" over x {cut.grid.x}"),
        "1d": ("", f" over xy {-(-columns // cut.part[1])}"),
        "single_core": ("", ""),
    }[cut.kind]
    yield f"axis m {rows}{spread[0]} block {cut.block[0]}"
    yield f"axis n {columns}{spread[1]} block {cut.block[1]}"
    yield f"axis k {matmul.k_tiles} block {cut.k_block}"


def _circular_buffers(matmul: Matmul) -> Iterator[str]:
    cut = matmul.blocking
    alone = cut.kind == "single_core"
    k = "k" if matmul.k_repeats == 1 else f"k mod {matmul.k // TILE}"
    how = "over" if alone else "of"
    depth = "" if alone else " depth 2"
    yield f"cb %in0 [m, k] {how} %in0[m, {k}]{depth}"
    yield f"cb %in1 [k, n] {how} %in1[{k}, n]{depth}"
    subblock = f"[m.{cut.subblock[0]}, n.{cut.subblock[1]}]"
    how = "over" if alone or matmul.out_sharded else "of"
    depth = f"depth {cut.num_subblocks}"
    yield f"cb %out {subblock} {how} %out[m, n] {depth}"
    if matmul.k_blocks > 1:
        shares = matmul.partials_format is matmul.data_format
        own = f"cb %partials {subblock} format {matmul.partials_format.value} {depth}"
        yield f"{own} shares %out" if shares else own


def _exchange(matmul: Matmul) -> Iterator[str]:
    """Multicasts and semaphores: in0 on NoC 1, in1 on NoC 0."""
    kind = _in0_kind(matmul)
    if kind == "sharded":
        yield "semaphore %room initial 0"
        yield "semaphore %there initial 0"
    elif kind == "2d":
        yield "multicast %row of %in0 along x from (0, y) noc 1 linked"
    elif kind == "1d":
        yield "multicast %all of %in0 along xy from (0, 0) noc 1 linked"
    if matmul.blocking.kind == "2d":
        yield "multicast %column of %in1 along y from (x, 0) noc 0 linked"


# -- in0 -----------------------------------------------------------------------


def _in0_kind(matmul: Matmul) -> str:
    kind = matmul.blocking.kind
    return "sharded" if kind == "2d" and matmul.in0_sharded else kind


def _in0_from_column(matmul: Matmul) -> Iterator[str]:
    """The left column reads and sends along its row, on NoC 1."""
    yield from _sending("in0", "riscv1 noc 1", "%row", ("x == 0", "x > 0"))


def _in0_from_first(matmul: Matmul) -> Iterator[str]:
    """The first core reads and sends to all."""
    yield from _sending("in0", "riscv1 noc 1", "%all", ("x + y == 0", "x + y > 0"))


def _sending(
    name: str, processor: str, cast: str, conditions: tuple[str, str]
) -> Iterator[str]:
    yield f"kernel {name} on {processor} {{"
    yield from ("for m {", "for n {", "for k {")
    yield from _send_block(name, cast, conditions)
    yield from ("}", "}", "}", "}")


def _send_block(name: str, cast: str, conditions: tuple[str, str]) -> Iterator[str]:
    """Read, then multicast, on one processor; all others receive."""
    yield f"cb_reserve_back %{name}"
    yield f"if {conditions[0]} {{"
    yield f"noc_async_read %{name}"
    yield "noc_async_read_barrier"
    yield f"send {cast}"
    yield "}"
    yield f"if {conditions[1]} {{"
    yield f"receive {cast}"
    yield "}"
    yield f"cb_push_back %{name}"


def _in0_from_shards(matmul: Matmul) -> Iterator[str]:
    """The owners of the shards of a row take turns, on NoC 1.

    A block narrower than the shard is first copied out of it; a whole shard is sent
    from where it lies, and the sender receives its own.
    """
    cut = matmul.blocking
    width = -(-matmul.k_tiles // cut.grid.x)
    copies = cut.part[0] > 1 and cut.k_block < width
    owner = "k.start" if width == 1 else f"k.start floordiv {width}"
    row = f"from (0, y) to ({cut.grid.x - 1}, y)"
    yield "kernel in0 on riscv1 noc 1 {"
    yield from ("for m {", "for n {", "for k {")
    yield "cb_reserve_back %in0"
    yield "noc_semaphore_set %there, 0"
    yield f"if x == {owner} {{"
    if copies:
        yield "noc_async_read %in0"
        yield "noc_async_read_barrier"
    yield f"noc_semaphore_wait %room, {cut.grid.x - 1}"
    yield "noc_semaphore_set %room, 0"
    loopback = "" if copies else " loopback"
    yield f"noc_async_write_multicast %in0 {row} linked{loopback}"
    yield f"noc_semaphore_set_multicast %there {row}, 1 loopback"
    yield "}"
    for side in ("<", ">"):
        yield f"if x {side} {owner} {{"
        yield f"noc_semaphore_inc %room at ({owner}, y), 1"
        yield "}"
    yield "noc_semaphore_wait %there, 1"
    yield "cb_push_back %in0"
    yield from ("}", "}", "}", "}")


def _in0_in_place(matmul: Matmul) -> Iterator[str]:
    yield "kernel in0 on riscv1 noc 1 {"
    yield from ("for m {", "for n {", "for k {")
    yield from ("cb_reserve_back %in0", "cb_push_back %in0")
    yield from ("}", "}", "}", "}")


_IN0 = {
    "2d": _in0_from_column,
    "sharded": _in0_from_shards,
    "1d": _in0_from_first,
    "single_core": _in0_in_place,
}


# -- in1 and the output --------------------------------------------------------


def _in1(matmul: Matmul) -> Iterator[str]:
    """One processor reads (and sends) in1 and writes the output, on NoC 0."""
    kind = matmul.blocking.kind
    yield "kernel in1_and_out on riscv0 noc 0 {"
    yield from ("for m {", "for n {", "for k {")
    if kind == "2d":
        yield from _send_block("in1", "%column", ("y == 0", "y > 0"))
    else:
        yield "cb_reserve_back %in1"
        if kind == "1d":
            yield "noc_async_read %in1"
            yield "noc_async_read_barrier"
        yield "cb_push_back %in1"
    yield "}"
    rows, columns = matmul.blocking.subblock
    yield from (f"for m by {rows} {{", f"for n by {columns} {{")
    yield "cb_wait_front %out"
    if kind != "single_core" and not matmul.out_sharded:
        yield from _write(matmul)
        yield "noc_async_write_barrier"
    yield "cb_pop_front %out"
    yield from ("}", "}", "}", "}", "}")


def _write(matmul: Matmul) -> Iterator[str]:
    """Cores right of the middle write on the other NoC, where in0 is interleaved."""
    cut = matmul.blocking
    split = cut.kind == "2d" and cut.grid.x > 2 and cut.grid.y > 1
    if not split or matmul.in0_sharded:
        yield "noc_async_write %out"
        return
    middle = cut.grid.x // 2
    for condition, noc in (
        (f"x <= {middle}", ""),
        (f"x > {middle} and y == 0", ""),
        (f"x > {middle} and y > 0", " noc 1"),
    ):
        yield f"if {condition} {{"
        yield f"noc_async_write %out{noc}"
        yield "}"


# -- compute -------------------------------------------------------------------


def _compute(matmul: Matmul) -> Iterator[str]:
    cut = matmul.blocking
    loops = [f"for m by {cut.subblock[0]} {{", f"for n by {cut.subblock[1]} {{"]
    yield "kernel compute on trisc {"
    yield from ("for m {", "for n {", "for k {")
    yield from ("cb_wait_front %in0", "cb_wait_front %in1")
    yield from loops
    yield "tile_regs_acquire"
    yield from _reload(matmul)
    yield from _product(matmul)
    yield "tile_regs_commit"
    yield from _pack(matmul)
    yield from ("}", "}")
    if matmul.adds_in_l1:
        pages = cut.block[0] * cut.block[1]
        yield f"if k.start < {(matmul.k_blocks - 2) * cut.k_block} {{"
        yield f"cb_wait_front %partials, {pages}"
        yield f"cb_pop_front %partials, {pages}"
        yield "}"
    yield from ("cb_pop_front %in0", "cb_pop_front %in1")
    yield from ("}", "}", "}", "}")


def _reload(matmul: Matmul) -> Iterator[str]:
    """Partial sums back to Dst: before each block, or before the last only."""
    if matmul.k_blocks == 1:
        return
    last = (matmul.k_blocks - 1) * matmul.blocking.k_block
    yield f"if k.start == {last} {{" if matmul.adds_in_l1 else "if k.start > 0 {"
    yield "cb_wait_front %partials"
    yield "copy_tiles %partials [m, n] -> dst[0]"
    yield "cb_pop_front %partials"
    yield "}"


def _product(matmul: Matmul) -> Iterator[str]:
    name = "matmul_tiles" if matmul.tile_by_tile else "matmul_block"
    yield f"{name} %in0, %in1 [m, n] sum [k] -> dst[0]"


def _pack(matmul: Matmul) -> Iterator[str]:
    if matmul.k_blocks == 1:
        yield from _pack_into("%out", "")
        return
    last = (matmul.k_blocks - 1) * matmul.blocking.k_block
    if matmul.adds_in_l1:
        yield "if k.start == 0 {"
        yield from _pack_into("%partials", "")
        yield "}"
        yield f"if k.start > 0 and k.start < {last} {{"
        yield from _pack_into("%partials", " l1_accumulate")
        yield "}"
    else:
        yield f"if k.start < {last} {{"
        yield from _pack_into("%partials", "")
        yield "}"
    yield f"if k.start == {last} {{"
    yield from _pack_into("%out", "")
    yield "}"


def _pack_into(buffer: str, flags: str) -> Iterator[str]:
    yield f"cb_reserve_back {buffer}"
    yield "tile_regs_wait"
    yield f"pack_tiles dst[0] [m, n] -> {buffer}{flags}"
    yield "tile_regs_release"
    yield f"cb_push_back {buffer}"
