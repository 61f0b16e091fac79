"""What if? Change a line of a netlist, run it again, see cycles and error change."""

import torch

import forge
from dialects.checks import require_sound
from dialects.netlist_text import parse_netlist
from forge.compiled_model import CompiledModel
from forge.console import show_table

EDITS = (
    ("as compiled", "", ""),
    ("half of the columns of cores", "axis n 32 over x 8", "axis n 32 over x 4"),
    ("one column of cores", "axis n 32 over x 8", "axis n 32 over x 1"),
    ("one buffer instead of two", "of %w [k, n] depth 2", "of %w [k, n]"),
    ("lowest fidelity", "fidelity HiFi4", "fidelity LoFi"),
    ("weights in 4 bits", "@weight dram bf16", "@weight dram bfp4_b"),
)
"""What is tried, and the piece of text that is replaced by another."""


def main() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(512, 1024, bias=False, dtype=torch.bfloat16)
    x = torch.randn(256, 512, dtype=torch.bfloat16)
    text = forge.compile(layer, sample_inputs=(x,)).netlist_text()
    values = {"weight": layer.weight.detach()}
    expected = x.double() @ values["weight"].double().T

    rows = []
    for what, old, new in EDITS:
        netlist = parse_netlist(text.replace(old, new))
        edited = CompiledModel(netlist, values)
        require_sound(netlist, edited.machine.chip)
        error = (edited(x).double() - expected).norm() / expected.norm()
        profile = edited.profile()
        rows.append(
            (
                what,
                profile.programs[0].cores,
                round(profile.total_cycles),
                round(profile.dram_read_bytes / 1024),
                round(profile.l1_peak_bytes / 1024),
                f"{error:.1e}",
            )
        )
    columns = ("edit", "cores", "cycles", "DRAM read KiB", "L1 KiB", "error")
    show_table("A linear layer, 256x512 by 512x1024", columns, rows)


if __name__ == "__main__":
    main()
