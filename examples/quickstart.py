"""A small network from PyTorch to a netlist, its values and its cycles."""

import torch

import forge
from forge.reports import show_profile


class SmallNetwork(torch.nn.Module):
    """Two linear layers with a ReLU between them."""

    def __init__(self) -> None:
        super().__init__()
        self.up = torch.nn.Linear(256, 512, dtype=torch.bfloat16)
        self.down = torch.nn.Linear(512, 256, dtype=torch.bfloat16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(torch.relu(self.up(x)))


def main() -> None:
    torch.manual_seed(0)
    module = SmallNetwork()
    x = torch.randn(128, 256, dtype=torch.bfloat16)

    compiled = forge.compile(module, sample_inputs=(x,))

    with torch.no_grad():
        expected = module(x).float()
    error = (compiled(x) - expected).norm() / expected.norm()
    print(f"relative error against PyTorch in bf16: {error:.1e}\n")

    head = compiled.netlist_text().splitlines()[:24]
    print("\n".join([*head, "  ...\n"]))

    show_profile(compiled.profile(), title="Where the cycles go")


if __name__ == "__main__":
    main()
