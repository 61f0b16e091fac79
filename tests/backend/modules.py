"""Small modules, each with what one mechanism of the lowering has to get right."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

Case = tuple[Callable[[], nn.Module], tuple[tuple[int, ...], ...]]


class Function(nn.Module):
    """A module that is one function of its inputs."""

    def __init__(self, function: Callable[..., object]):
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> object:
        return self.function(*inputs)


class Scaled(nn.Module):
    """Element-wise operations with a vector and a matrix that are parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.vector = nn.Parameter(torch.randn(70))
        self.matrix = nn.Parameter(torch.randn(50, 70))

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.vector) * self.matrix


def of(function: Callable[..., object], *shapes: tuple[int, ...]) -> Case:
    """A case from a function of tensors with these shapes."""
    return lambda: Function(function), shapes


def _twice(x: Tensor) -> Tensor:
    y = torch.exp(x)
    return y * torch.sigmoid(y) + y


def _deep(x: Tensor) -> Tensor:
    y = torch.exp(torch.relu(x * 2 + 1) - 3)
    return torch.tanh(torch.sigmoid(y).sqrt().abs()) + 1


def _attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v)


def _window(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Each row attends to itself and the seven before it."""
    places = torch.arange(q.shape[-2])
    behind = places[:, None] - places[None, :]
    mask = (behind >= 0) & (behind < 8)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def _causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


MLP = lambda: nn.Sequential(nn.Linear(70, 128), nn.GELU(), nn.Linear(128, 45))  # noqa: E731
X, HEADS = (50, 70), (1, 4, 50, 48)
CASES: dict[str, Case] = {
    "add": of(lambda a, b: a + b, X, X),
    "gated": of(lambda a, b: F.silu(a) * b + a, X, X),
    "one_element": of(lambda a: torch.exp(a) * 2.0, (1, 1)),
    "five_elements": of(torch.relu, (5,)),
    "rank_four": of(lambda a, b: a * b + 1, (2, 3, 40, 50), (3, 1, 50)),
    "row_broadcast": of(lambda a, b: a * b, X, (1, 70)),
    "column_broadcast": of(lambda a, b: a - b, X, (50, 1)),
    "both_broadcast": of(lambda a, b: a - b, (50, 1), (1, 70)),
    "number_first": of(lambda a, b: 1.0 / (b * b + 1) - a / 3, X, X),
    "full": of(lambda a: torch.full((50, 70), 2.0).to(a.dtype) + a, (1, 70)),
    "expand": of(lambda a, b: a.expand(50, 70) * b, (1, 70), X),
    "clamp": of(lambda a: a.clamp(-1, 1), X),
    "used_twice": of(_twice, X),
    "deep_chain": of(_deep, X),
    "parameters": (Scaled, (X,)),
    "residual_matmul": of(lambda a, b: a + a @ b, (64, 96), (96, 96)),
    "matmul_with_itself": of(lambda a: a @ a, (96, 96)),
    "gram": of(lambda a: a @ a.T, (64, 96)),
    "norm_added_to_its_product": of(
        lambda a, b: (lambda h: h + h @ b)(F.rms_norm(a, (96,))), (64, 96), (96, 96)
    ),
    "two_outputs": of(lambda a, b: (a + b, a * b), X, X),
    "same_output_twice": of(lambda a: (torch.exp(a),) * 2, X),
    "output_is_view": of(lambda a: a[:32], X),
    "output_is_input": of(lambda a: a, X),
    "matmul": of(torch.matmul, X, (70, 90)),
    "matmul_large": of(torch.matmul, (512, 1024), (1024, 512)),
    "matmul_batched": of(torch.matmul, (3, 40, 64), (3, 64, 50)),
    "matmul_shared_right": of(torch.matmul, (3, 40, 64), (64, 50)),
    "matmul_turned_right": of(lambda a, b: a @ b.transpose(-1, -2), X, (90, 70)),
    "matmul_turned_left": of(lambda a, b: a.transpose(-1, -2) @ b, X, (50, 90)),
    "matmul_vector": of(lambda a, b: a @ b, X, (70,)),
    "matmul_of_one": of(torch.matmul, (50, 1), (1, 70)),
    "exp_matmul": of(lambda a, b: torch.exp(a) @ torch.exp(b), X, (70, 90)),
    "infinite_padding": of(
        lambda a, b: torch.rsqrt(a.abs()) @ torch.log(b.abs()),
        (50, 70),
        (70, 90),
    ),
    "linear": (lambda: nn.Linear(70, 45), (X,)),
    "linear_one_row": (lambda: nn.Linear(70, 45), ((1, 70),)),
    "mlp": (MLP, (X,)),
    "residual": of(lambda a, b: ((a @ b).relu() @ b).sigmoid() + a, X, (70, 70)),
    "transpose": of(lambda a: torch.relu(a.T), X),
    "vector_to_column": of(lambda a, b: a + b.reshape(50, 1), X, (50,)),
    "permute_heads": of(
        lambda a: a.permute(1, 0, 2).reshape(64, 96).relu(), (3, 64, 32)
    ),
    "softmax": of(lambda a: torch.softmax(a, -1), X),
    "softmax_batched": of(lambda a: torch.softmax(a, -1), (3, 50, 70)),
    "softmax_down": of(lambda a: torch.softmax(a, 0), X),
    "softmax_of_quotient": of(lambda a, b: torch.softmax(a / (b.abs() + 1), -1), X, X),
    "sum": of(lambda a: torch.exp(a).sum(-1, keepdim=True), X),
    "sum_dropped": of(lambda a: torch.exp(a).sum(-1), X),
    "sum_down": of(lambda a: torch.exp(a).sum(-2, keepdim=True), X),
    "sum_of_matrices": of(lambda a: torch.exp(a).sum(0), (3, 50, 70)),
    "mean_square": of(lambda a: (a * a).mean(-1, keepdim=True), X),
    "maximum": of(lambda a: a.amax(-1, keepdim=True), X),
    "maximum_down": of(lambda a: a.amax(-2, keepdim=True), X),
    "minimum_of_matrices": of(lambda a: a.amin(0), (3, 50, 70)),
    "layer_norm": (lambda: nn.LayerNorm(70), (X,)),
    "layer_norm_batched": (lambda: nn.LayerNorm(70), ((3, 50, 70),)),
    "rms_norm": (lambda: nn.RMSNorm(70), (X,)),
    "norm_linear": (
        lambda: nn.Sequential(nn.RMSNorm(64), nn.Linear(64, 45), nn.SiLU()),
        ((3, 50, 64),),
    ),
    "embedding": (lambda: nn.Embedding(100, 70), ((1, 45),)),
    "embedding_batched": (lambda: nn.Embedding(100, 70), ((3, 45),)),
    "embedding_narrow": (lambda: nn.Embedding(100, 20), ((7,),)),
    "attention": of(_attention, HEADS, HEADS, HEADS),
    "attention_causal": of(_causal, HEADS, HEADS, HEADS),
    "attention_batched": of(_causal, *[(2, 4, 50, 64)] * 3),
    "attention_long": of(_causal, *[(1, 2, 300, 64)] * 3),
    "attention_long_groups": of(
        lambda q, k, v: F.scaled_dot_product_attention(
            q, k, v, is_causal=True, enable_gqa=True
        ),
        (2, 6, 288, 32),
        *[(2, 2, 288, 32)] * 2,
    ),
    "attention_long_open": of(_attention, (1, 2, 40, 64), *[(1, 2, 320, 64)] * 2),
    "attention_cross": of(_attention, HEADS, (1, 4, 90, 48), (1, 4, 90, 48)),
    "attention_window": of(_window, HEADS, HEADS, HEADS),
    "attention_one_key": of(_attention, HEADS, (1, 4, 1, 48), (1, 4, 1, 48)),
}

UNSUPPORTED: dict[str, tuple[Case, str]] = {
    "where": (of(lambda a, b: torch.where(a > 0, a, b), X, X), "ttir.where"),
    "compare": (of(lambda a, b: (a > b).to(a.dtype), X, X), "ttir.gt"),
    "side_by_side": (of(lambda a, b: torch.cat([a, b]), X, X), "ttir.concat"),
    "cuts_columns": (of(lambda a: a[:, 3:50].relu(), X), "cuts inside a tile"),
    "cuts_rows": (of(lambda a: a.view(5, 10, 70), X), "cuts a tile"),
    "heads_between_tiles": (
        of(lambda a: a.permute(1, 0, 2).relu(), (33, 3, 64)),
        "between tiles",
    ),
}
