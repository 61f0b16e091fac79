"""Operands are loaded, and waited for, in the order in which they are first read."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from backend.assemble import assemble_netlist
from dialects.netlist_text import print_netlist
from tests.passes.test_choose_grid import placed


class Attention(nn.Module):
    def forward(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> torch.Tensor:
        return scaled_dot_product_attention(query, key, value, is_causal=True)


def text_of(module: nn.Module, *shapes: tuple[int, ...], disabled: str = "") -> str:
    off = tuple(disabled.split())
    found = placed(module, *shapes, disabled=off)
    return print_netlist(assemble_netlist(found, name="m", chip="n150"))


def in_order(text: str, *parts: str) -> bool:
    places = [text.index(part) for part in parts]
    return places == sorted(places)


def test_values_are_not_waited_for_before_the_products_that_read_them() -> None:
    text = text_of(Attention(), *[(1, 4, 96, 64)] * 3)
    assert in_order(text, "push %cb_x read", "push %cb_x1 read", "push %cb_x2 read")
    assert in_order(text, "cb_wait_front %cb_x, %cb_x1", "exp_tile", "%cb_x2\n")


def test_a_core_with_one_head_has_no_loop_over_heads() -> None:
    text = text_of(Attention(), *[(1, 4, 96, 64)] * 3)
    assert "axis h 4 over" in text
    assert "for h" not in text


def test_a_norm_is_computed_before_its_weight_is_there() -> None:
    norm = nn.Sequential(nn.RMSNorm(256, eps=1e-5), nn.Linear(256, 320))
    text = text_of(norm, (64, 256), disabled="contraction-loops")
    assert in_order(text, "mul_tiles %cb_x, %cb_x", "cb_wait_front %cb_g")
