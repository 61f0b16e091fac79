"""A decoder block: which of its operations share a launch, and how exact it is."""

import torch
from torch import nn
from torch.nn import functional

import forge
from forge.reports import show_profile

TOKENS, WIDTH, HEADS, HEAD_WIDTH, INNER = 64, 256, 4, 64, 512


def linear(inputs: int, outputs: int) -> nn.Linear:
    return nn.Linear(inputs, outputs, bias=False, dtype=torch.bfloat16)


class Block(nn.Module):
    """Attention and a gated network, each behind a norm and added to what came in."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(WIDTH, eps=1e-6, dtype=torch.bfloat16)
        self.q, self.k, self.v = (linear(WIDTH, HEADS * HEAD_WIDTH) for _ in range(3))
        self.o = linear(HEADS * HEAD_WIDTH, WIDTH)
        self.gated_norm = nn.RMSNorm(WIDTH, eps=1e-6, dtype=torch.bfloat16)
        self.gate, self.up = linear(WIDTH, INNER), linear(WIDTH, INNER)
        self.down = linear(INNER, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.attention_norm(x)
        q, k, v = (
            project(h).view(1, TOKENS, HEADS, HEAD_WIDTH).transpose(1, 2)
            for project in (self.q, self.k, self.v)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o(mixed.transpose(1, 2).reshape(1, TOKENS, -1))
        h = self.gated_norm(x)
        return x + self.down(functional.silu(self.gate(h)) * self.up(h))


def main() -> None:
    torch.manual_seed(0)
    block = Block()
    x = torch.randn(1, TOKENS, WIDTH, dtype=torch.bfloat16)
    compiled = forge.compile(block, sample_inputs=(x,))

    print("launches, in their order:")
    for number, run in enumerate(compiled.machine.runs):
        print(f"  {number}  {run.program}")

    with torch.no_grad():
        expected = block.double()(x.double())
        in_bf16 = block.bfloat16()(x).double()
    ours = (compiled(x).double() - expected).norm() / expected.norm()
    theirs = (in_bf16 - expected).norm() / expected.norm()
    print(f"\nrelative error: {ours:.1e} here, {theirs:.1e} in PyTorch with bf16\n")
    show_profile(compiled.profile(), title="Where the cycles go")


if __name__ == "__main__":
    main()
