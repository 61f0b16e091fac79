"""Small programs as netlist text, expanded for the tests of the time engine."""

from __future__ import annotations

from collections.abc import Sequence

from dialects.chip import load_chip
from dialects.formats import DataFormat
from dialects.netlist_text import parse_netlist
from dialects.program import ProgramFacts, Tensor
from dialects.tensix import ProgramOp
from runtime.expand import expand_program
from runtime.launch import Launch

MATMUL = """
program @matmul (in %a, in %w, out %c) fidelity {fidelity} dst bf16 {{
  axis m {m} over y {rows} block {m_block}
  axis n {n} over x {columns} block {n_block}
  axis k {k} block {k_block}
  cb %a [m, k] of %a [m, k] depth 2
  cb %w [k, n] of %w {weights} depth 2
  cb %c [m, n] of %c [m, n] depth 2
  {multicasts}
  kernel reader on riscv0 noc 0 {{
    for k {{
      cb_reserve_back %w
      {fetch_w}
      cb_push_back %w
    }}
    cb_wait_front %c
    noc_async_write %c
    noc_async_write_barrier
    cb_pop_front %c
  }}
  kernel sender on riscv1 noc 1 {{
    for k {{
      cb_reserve_back %a
      {fetch_a}
      cb_push_back %a
    }}
  }}
  kernel compute on trisc {{
    tile_regs_acquire
    for k {{
      cb_wait_front %a
      cb_wait_front %w
      matmul_block %a, %w [m, n] sum [k] -> dst[0]
      cb_pop_front %a
      cb_pop_front %w
    }}
    tile_regs_commit
    cb_reserve_back %c
    tile_regs_wait
    pack_tiles dst[0] [m, n] -> %c
    tile_regs_release
    cb_push_back %c
  }}
}}
"""

_FETCH = "noc_async_read %{0}\n noc_async_read_barrier"
_SHARE = """if {1} == 0 {{
  noc_async_read %{0}
  noc_async_read_barrier
  send %{2}
}}
if {1} > 0 {{ receive %{2} }}"""


def launch_of(text: str, tensors: Sequence[Tensor]) -> Launch:
    """Expand the only program of a text."""
    netlist = parse_netlist(
        'tensix.netlist @test version 1 chip "n150" {\n' + text + "\n}"
    )
    program = next(op for op in netlist.walk() if isinstance(op, ProgramOp))
    return expand_program(ProgramFacts(program, load_chip("n150")), tensors)


def matmul(
    m: int,
    k: int,
    n: int,
    *,
    rows: int = 1,
    columns: int = 1,
    k_block: int = 1,
    fidelity: str = "HiFi2",
    data_format: DataFormat = DataFormat.BF16,
    multicast: bool = False,
    weights: str = "[k, n]",
    weight_columns: int | None = None,
) -> Launch:
    """A matmul in tiles, each core with its whole part of m and n in Dst.

    `weights` is the map of the weights, which have `weight_columns` columns of tiles.
    """
    multicasts, fetch_a, fetch_w = "", _FETCH.format("a"), _FETCH.format("w")
    if multicast:
        multicasts = (
            "multicast %row of %a along x from (0, y) noc 1 linked\n"
            "multicast %col of %w along y from (x, 0) noc 0 linked"
        )
        fetch_a = _SHARE.format("a", "x", "row")
        fetch_w = _SHARE.format("w", "y", "col")
    text = MATMUL.format(
        m=m,
        n=n,
        k=k,
        rows=rows,
        columns=columns,
        m_block=-(-m // rows),
        n_block=-(-n // columns),
        k_block=k_block,
        fidelity=fidelity,
        multicasts=multicasts,
        weights=weights,
        fetch_a=fetch_a,
        fetch_w=fetch_w,
    )
    shapes = [(m, k), (k, weight_columns or n), (m, n)]
    return launch_of(text, [Tensor(data_format, (32 * a, 32 * b)) for a, b in shapes])
