"""The table of families: add a line here to have another kind of measurement."""

from __future__ import annotations

from forge.silicon import (
    all_to_all,
    dram,
    dram_tests,
    gemm,
    movement,
    multicast,
    noc_traces,
    one_core,
    others,
    own_matmul,
)
from forge.silicon.outcome import Family

FAMILIES = (
    Family(
        "noc_traces",
        "NoC captures, READs issued when they were",
        noc_traces.run_measured,
        target="mean <= 3 %",
    ),
    Family(
        "noc_traces_self_timed",
        "NoC captures, from program order, sizes and barriers alone",
        noc_traces.run_self_timed,
        target="mean <= 4 %",
    ),
    Family(
        "unicast",
        "one core reads or writes another's L1 (wormhole.md section 4.3)",
        one_core.run_unicast,
        target="median <= 1.5 %",
    ),
    Family(
        "one_core_dram",
        "one core reads or writes DRAM (wormhole.md section 4.5)",
        one_core.run_dram,
    ),
    Family(
        "multicast",
        "one core multicasts to a rectangle (wormhole.md section 4.2)",
        multicast.run,
        target="median <= 3 %, worst <= 15 %",
    ),
    Family(
        "all_to_all",
        "every core with every other (wormhole.md section 4.3)",
        all_to_all.run,
    ),
    Family(
        "dram_bandwidth",
        "many cores and DRAM, near and random placements",
        dram.run,
        target="careful 2 %, random 10 % at 48 and 25 % at 12 readers",
    ),
    Family(
        "dram_tests",
        "tt-metal's DRAM benchmarks, a reader beside each bank",
        dram_tests.run,
    ),
    Family(
        "data_movement",
        "lower bounds of tt-metal's data-movement tests",
        movement.run,
    ),
    Family(
        "gemm_tuned",
        "the vendor's matmuls on 64 cores, tuned by hand",
        gemm.run_tuned,
        target="median <= 4 %, p90 <= 11 %",
    ),
    Family(
        "gemm_out_of_box",
        "the vendor's matmuls on 64 cores as the library cuts them",
        gemm.run_out_of_box,
        target="median <= 5 %, p90 <= 14 %",
    ),
    Family(
        "gemm_one_core",
        "the vendor's matmuls on one core, operands in L1",
        gemm.run_one_core,
        target="<= 4 %",
    ),
    Family(
        "gemm_traced",
        "host time of the vendor's traced matmuls: launch, gap and clock",
        gemm.run_traced,
    ),
    Family(
        "gemm_own",
        "forge's own matmuls against the vendor's on a chip: a distance, no error",
        own_matmul.run,
    ),
    Family("others", "rows that nothing above predicts", others.run),
)
