"""The details of a profile as tables: kernels, cores, links, DRAM channels."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from dialects.chip import Core
from forge.profile.bounds import link_name, reason_name
from forge.profile.model import Profile, ProgramProfile
from runtime.timing import KernelTiming

MOST_REASONS = 3
MOST_LINKS = 8


@dataclass(frozen=True)
class Table:
    """What `forge.console.show_table` takes."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


def heading(program: ProgramProfile) -> list[str]:
    """A program in words: its time, what bounds it, how far the roofs are."""
    limit, roofs = program.limit, program.roofs
    runs = "1 run" if program.runs == 1 else f"{program.runs} runs"
    size = (
        f"@{program.name}: {program.cycles:,.0f} cycles, {runs} on {program.cores} "
        f"cores; L1 {program.l1_bytes / 1024:,.0f} KiB on a core"
    )
    least = (
        f"at the roofs: {program.dram_roof_cycles:,.0f} cycles by DRAM "
        f"({program.timing.dram_bytes / 1024:,.0f} KiB at "
        f"{roofs.dram_bytes_per_cycle:.0f} B/cycle), {program.fpu_roof_cycles:,.0f} by "
        f"the matrix units of {roofs.fpu_cores} cores"
    )
    return [size, f"bound by {limit.bound}: {limit}", least]


def kernel_table(program: ProgramProfile) -> Table:
    """Every kernel, the mean over its cores."""
    groups: dict[tuple[str, str], list[KernelTiming]] = defaultdict(list)
    for kernel in program.timing.kernels:
        groups[kernel.kernel, kernel.processor].append(kernel)
    columns = (
        "kernel",
        "on",
        "cores",
        "busy %",
        "waiting %",
        "for",
        "DRAM KiB",
        "NoC KiB",
    )
    rows = []
    for (name, processor), kernels in groups.items():
        waiting: Counter[str] = Counter()
        for kernel in kernels:
            waiting.update(kernel.waiting)
        cycles = program.cycles * len(kernels)
        busy = sum(kernel.busy_cycles for kernel in kernels)
        dram = sum(k.dram_read_bytes + k.dram_written_bytes for k in kernels)
        row = (
            name,
            processor,
            len(kernels),
            round(100 * busy / cycles, 1),
            round(100 * waiting.total() / cycles, 1),
            _reasons(waiting, cycles),
            _kib(dram),
            _kib(sum(k.noc_bytes for k in kernels)),
        )
        rows.append(row)
    return Table("Kernels: mean share of the program's cycles", columns, rows)


def load_table(program: ProgramProfile) -> Table:
    """All DRAM channels and the busiest links."""
    timing, cycles = program.timing, program.cycles
    rows = [
        (f"DRAM bank {bank}", round(load.num_bytes / 1024), _percent(load, cycles))
        for bank, load in enumerate(timing.channels)
    ]
    links = sorted(timing.links.items(), key=lambda item: -item[1].busy_cycles)
    rows += [
        (link_name(link), round(load.num_bytes / 1024), _percent(load, cycles))
        for link, load in links[:MOST_LINKS]
    ]
    title = f"DRAM channels, and the busiest of {len(links)} links"
    return Table(title, ("resource", "KiB on the wire", "busy %"), rows)


def limit_table(program: ProgramProfile) -> Table:
    """The busiest of each kind of resource."""
    rows = [(x.what, x.bound.value, round(100 * x.share, 1)) for x in program.limits]
    return Table("Busiest of each kind", ("resource", "bound", "busy %"), rows)


def core_table(profile: Profile, core: Core, program: str | None) -> Table:
    """The kernels of one core, in all programs that use it or in one."""
    columns = ("program", "kernel", "on", "begin", "end", "busy", "waiting", "for")
    columns = (*columns, "DRAM KiB", "NoC KiB")
    rows = [
        (
            each.name,
            kernel.kernel,
            kernel.processor,
            round(kernel.begin),
            round(kernel.end),
            round(kernel.busy_cycles),
            round(sum(kernel.waiting.values())),
            _cycles(Counter(kernel.waiting)),
            _kib(kernel.dram_read_bytes + kernel.dram_written_bytes),
            _kib(kernel.noc_bytes),
        )
        for each in profile.programs
        if program in (None, each.name)
        for kernel in each.timing.kernels
        if kernel.core == core
    ]
    title = f"Core {core}: cycles of one run"
    if program is None:
        return Table(title, columns, rows)
    return Table(f"@{program}, core {core}: cycles", columns[1:], [r[1:] for r in rows])


def _kib(num_bytes: int) -> int | None:
    """KiB, or nothing where nothing moves."""
    return round(num_bytes / 1024) if num_bytes else None


def _percent(load: tuple[int, float], cycles: float) -> float:
    return round(100 * load[1] / cycles, 1)


def _reasons(waiting: Counter[str], cycles: float) -> str:
    """The longest waits, as shares."""
    longest = [(why, 100 * n / cycles) for why, n in waiting.most_common(MOST_REASONS)]
    shown = [(reason_name(why), share) for why, share in longest if share >= 0.5]
    return ", ".join(f"{why} {share:.0f} %" for why, share in shown)


def _cycles(waiting: Counter[str]) -> str:
    """All waits, the longest first."""
    shown = [(reason_name(why), n) for why, n in waiting.most_common() if n >= 0.5]
    return ", ".join(f"{why} {n:,.0f}" for why, n in shown)
