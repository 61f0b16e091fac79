"""From `torch.export` to `ttir`: what each importer means, names, places and faults."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as tf
from torch import nn
from xdsl.dialects.builtin import FileLineColLoc, NameLoc

from forge.errors import FaultsError
from forge.frontends.torch_export import (
    check_program,
    export_program,
    import_program,
)
from passes.ttir_pipeline import TTIR_PIPELINE
from tests.support.ttir_reference import (
    apply_passes,
    main_of,
    op_names,
    run_imported,
    run_module,
)


class Applied(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.function(*inputs)


def numbers(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(math.prod(shape))
    return (torch.rand(shape, generator=generator) + 0.1).to(dtype)


def ids(*shape: int) -> torch.Tensor:
    return torch.arange(math.prod(shape)).reshape(shape) % 5


X = numbers(2, 3, 4)
Y = numbers(3, 4)
HALF = numbers(2, 3, 4, dtype=torch.bfloat16)
HEADS = numbers(1, 4, 5, 8)
GROUPS = numbers(1, 2, 5, 8)
FLAGS = X > 0.5

CASES: dict[str, tuple[Callable[..., Any], tuple[torch.Tensor, ...]]] = {
    "abs": (lambda x: (-x).abs(), (X,)),
    "trigonometry": (lambda x: x.cos() + x.sin() * x.tan() - x.tanh(), (X,)),
    "exp": (lambda x: x.exp() + x.log(), (X,)),
    "erf": (torch.erf, (X,)),
    "roots": (lambda x: x.sqrt() + x.rsqrt() + x.reciprocal() + x.square(), (X,)),
    "activations": (lambda x: tf.silu(x) + tf.relu(x - 0.5) + x.sigmoid(), (X,)),
    "gelu": (tf.gelu, (X,)),
    "gelu_tanh": (lambda x: tf.gelu(x, approximate="tanh"), (X,)),
    "add_broadcasts": (lambda x, y: x + y, (X, Y)),
    "add_promotes": (lambda x, y: x + y, (HALF, Y)),
    "add_alpha": (lambda x, y: torch.add(x, y, alpha=2), (X, Y)),
    "sub_alpha": (lambda x, y: torch.sub(x, y, alpha=3), (X, Y)),
    "rsub": (lambda x: 1.0 - x, (X,)),
    "mul_number": (lambda x: x * 3, (X,)),
    "div": (lambda x, y: x / y / 2, (X, Y)),
    "div_integers": (lambda x: x / 2, (ids(2, 3),)),
    "pow": (lambda x: x**2 + x**0.5 + x**3 + x**-1 + x**1.7, (X,)),
    "pow_of_number": (lambda x: 2.0**x, (X,)),
    "maximum": (lambda x, y: torch.maximum(x, y) - torch.minimum(x, y), (X, Y)),
    "comparisons": (lambda x, y: torch.stack([x > y, x >= y, x < y, x <= y]), (X, Y)),
    "equality": (lambda x: (x == 2) | (x != 1) & ~(x == 3), (ids(2, 3),)),
    "comparison_promotes": (lambda x: x > 1.5, (ids(2, 3),)),
    "logical": (
        lambda x, f: torch.logical_and(x > 1, torch.logical_not(f)),
        (X, FLAGS),
    ),
    "logical_not_number": (torch.logical_not, (ids(2, 3),)),
    "where": (lambda f, x: torch.where(f, x, 0.0), (FLAGS, X)),
    "masked_fill": (lambda x, f: x.masked_fill(f, -math.inf).softmax(-1), (X, FLAGS)),
    "clamp": (lambda x: x.clamp(0.2, 0.8) + x.clamp(min=0.5) + x.clamp(max=0.5), (X,)),
    "means": (
        lambda x: x.mean() + x.mean(1, keepdim=True) + x.mean((0, 2)).sum(),
        (X,),
    ),
    "sums": (lambda x: x.sum(-1) + x.amax(-1) - x.amin(-1), (X,)),
    "sum_of_flags": (lambda f: f.sum(0), (FLAGS,)),
    "mean_in_f32": (lambda x: x.mean(-1, dtype=torch.float32), (HALF,)),
    "softmax": (lambda x: x.softmax(1), (X,)),
    "softmax_in_f32": (lambda x: x.softmax(-1, dtype=torch.float32), (HALF,)),
    "log_softmax": (lambda x: x.log_softmax(-1), (X,)),
    "rms_norm": (lambda x: tf.rms_norm(x, (4,), torch.ones(4)), (X,)),
    "layer_norm": (lambda x: tf.layer_norm(x, (3, 4)), (X,)),
    "casts": (lambda x: x.to(torch.bfloat16).float().int().long() + 1, (X,)),
    "reshape": (lambda x: x.view(6, -1).reshape(-1).unflatten(0, (3, 8)), (X,)),
    "flatten": (lambda x: x.flatten(1).contiguous(), (X,)),
    "squeeze": (lambda x: x.unsqueeze(-1).unsqueeze(0).squeeze(0).squeeze(), (X,)),
    "transpose": (
        lambda x: x.transpose(-1, 0).permute(0, -1, 1) + x[0].t().sum(),
        (X,),
    ),
    "expand": (lambda x: x.expand(5, 2, -1, 4), (X,)),
    "repeat": (lambda x: x.repeat(2, 1, 3, 1), (X,)),
    "repeat_interleave": (lambda x: x.repeat_interleave(3, dim=1), (X,)),
    "repeat_interleave_flat": (lambda x: x.repeat_interleave(2), (X,)),
    "slices": (lambda x: x[:, 1:, ::2] + x[:, :-1, -2:], (X,)),
    "select": (lambda x: x[1, -1] + x.narrow(2, 1, 2)[0, 0, 0], (X,)),
    "split": (lambda x: x.split(2, -1)[1] + x.chunk(2, -1)[0], (X,)),
    "split_sizes": (lambda x: torch.cat(x.split([1, 3], -1)[::-1], -1), (X,)),
    "unbind": (lambda x: x.unbind(1)[0] * x.unbind(1)[2], (X,)),
    "cat_promotes": (lambda x, y: torch.cat([x, y], 1), (X, HALF)),
    "stack": (lambda x: torch.stack([x, x + 1], -1), (X,)),
    "pad": (lambda x: tf.pad(x, (1, 2, 0, 1), value=7.0), (X,)),
    "creation": (
        lambda x: (
            x
            + torch.arange(4)
            + torch.ones(3, 1)
            - torch.zeros_like(x)
            + torch.full((4,), 2.5)
            + x.new_ones(4)
            + torch.ones_like(x)
            + torch.arange(1, 9, 2)
        ),
        (X,),
    ),
    "linear": (tf.linear, (X, numbers(5, 4), numbers(5))),
    "matmul": (lambda x, y: x @ y.t() + torch.matmul(x, y[0]).sum(), (X, Y)),
    "batched_matmul": (torch.bmm, (X, numbers(2, 4, 3))),
    "addmm": (torch.addmm, (numbers(2), Y, numbers(4, 2))),
    "embedding": (tf.embedding, (ids(2, 3), numbers(5, 4))),
    "attention": (
        lambda q, k, v: tf.scaled_dot_product_attention(q, k, v, is_causal=True),
        (HEADS, HEADS, HEADS),
    ),
    "attention_of_groups": (
        lambda q, k, m: tf.scaled_dot_product_attention(
            q, k, k, attn_mask=m, scale=0.3, enable_gqa=True
        ),
        (HEADS, GROUPS, numbers(5, 5)),
    ),
    "attention_without_heads": (
        lambda q: tf.scaled_dot_product_attention(q, q, q),
        (numbers(2, 5, 8),),
    ),
    "masks_from_constants": (
        lambda x: x * torch.ones(4, 4).tril()[1] + torch.arange(8).cumsum(0)[3],
        (X,),
    ),
    "arange_of_fractions": (lambda x: x + torch.arange(0, 2, 0.5), (X,)),
    "rows_by_number": (lambda x, i: x[:1][:, i] + x[0].index_select(0, i), (X, ids(2))),
    "dropout_when_not_training": (lambda x: tf.dropout(x, 0.5, training=False), (X,)),
}


@pytest.mark.parametrize("case", CASES)
def test_importer_keeps_the_meaning(case: str) -> None:
    function, inputs = CASES[case]
    expected = function(*inputs)
    imported = import_program(export_program(Applied(function), inputs))
    imported.module.verify()
    (before,) = run_imported(imported, *inputs)
    assert before.dtype == expected.dtype
    torch.testing.assert_close(before, expected, rtol=1e-4, atol=1e-5)

    values = apply_passes(imported.module, TTIR_PIPELINE, imported.values)

    (after,) = run_module(imported.module, inputs, values)
    assert after.dtype == expected.dtype
    torch.testing.assert_close(after, expected, rtol=1e-4, atol=1e-5)


class Tied(nn.Module):
    """An embedding whose table is the head's weight too, and a buffer."""

    scale: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embed.weight
        self.unused = nn.Linear(2, 2)
        self.register_buffer("scale", torch.full((4,), 2.0))

    def forward(self, tokens: torch.Tensor, extra: torch.Tensor) -> torch.Tensor:
        return self.head(self.embed(tokens) * self.scale + extra)


def test_arguments_inputs_first_tied_weights_once_values_not_copied() -> None:
    model = Tied()
    inputs = (ids(1, 3), numbers(4))
    imported = import_program(export_program(model, inputs), name="tied")
    assert imported.inputs == ("tokens", "extra")
    assert imported.outputs == ("output",)
    assert list(imported.values) == ["embed.weight", "scale"]
    table = imported.values["embed.weight"]
    assert table.data_ptr() == model.embed.weight.data_ptr()
    text = str(main_of(imported.module)).split("{\n")[0]
    kinds = ["input", "input", "parameter", "constant"]
    assert [part.split(">")[0] for part in text.split("argument_type<")[1:]] == kinds
    (result,) = run_imported(imported, *inputs)
    torch.testing.assert_close(result, model(*inputs).detach())


def test_root_names_seen_from_a_submodule() -> None:
    class Wrapper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Tied()

        def forward(self, tokens: torch.Tensor, extra: torch.Tensor) -> torch.Tensor:
            return self.inner(tokens, extra)

    program = export_program(Wrapper(), (ids(1, 3), numbers(4)))
    imported = import_program(program, root="inner")
    assert list(imported.values) == ["embed.weight", "scale"]
    places = [op.location for op in main_of(imported.module).body.block.ops]
    named = [place.desc.data for place in places if isinstance(place, NameLoc)]
    assert named == ["embed", "head"]


def test_every_op_has_module_path_and_line() -> None:
    program = export_program(Tied(), (ids(1, 3), numbers(4)))
    imported = import_program(program)
    embed, multiply, *_ = main_of(imported.module).body.block.ops
    assert isinstance(embed.location, NameLoc)
    assert embed.location.desc.data == "embed"
    line = Tied.forward.__code__.co_firstlineno + 1
    for place in (embed.location.location, multiply.location):
        assert isinstance(place, FileLineColLoc)
        assert place.filename.data == "tests/frontends/test_torch_export.py"
        assert place.line.data == line


def test_several_outputs_are_numbered() -> None:
    imported = import_program(export_program(Applied(lambda x: (x + 1, x)), (X,)))
    assert imported.outputs == ("output0", "output1")


class Unsupported(nn.Module):
    """Three things that cannot be compiled, one of them twice."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(2):
            x = torch.cumsum(x, 0)
        return torch.sort(x)[0] + tf.gelu(x.double()).float()


def test_all_faults_at_once_with_place_count_and_advice() -> None:
    program = export_program(Unsupported(), (X,))
    line = Unsupported.forward.__code__.co_firstlineno
    found = {fault.op: fault for fault in check_program(program)}
    cumsum, sort = found["aten.cumsum.default"], found["aten.sort.default"]
    assert (cumsum.count, cumsum.shape) == (2, (2, 3, 4))
    assert cumsum.location == f"tests/frontends/test_torch_export.py:{line + 2}"
    assert sort.location == f"tests/frontends/test_torch_export.py:{line + 3}"
    assert cumsum.advice
    assert "float64" in found["aten._to_copy.default"].message
    with pytest.raises(FaultsError) as caught:
        import_program(program, name="model")
    text = str(caught.value)
    assert "model holds operations that forge cannot compile" in text
    assert "aten.cumsum.default yielding 2x3x4, 2 times" in text
    assert "aten.sort.default is not supported" in text


def test_sound_program_has_no_faults() -> None:
    assert check_program(export_program(Applied(torch.relu), (X,))) == []


def test_composite_ops_are_taken_apart() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        return tf.hardswish(x) + tf.mse_loss(x, x + 1.0)

    inputs = (X,)
    imported = import_program(export_program(Applied(function), inputs))
    (result,) = run_imported(imported, *inputs)
    torch.testing.assert_close(result, function(*inputs), rtol=1e-4, atol=1e-5)


def test_writes_in_place_become_values() -> None:
    def write(x: torch.Tensor) -> torch.Tensor:
        y = x.clone()
        y.add_(1.0)
        y.mul_(2.0)
        return y

    imported = import_program(export_program(Applied(write), (X,)))
    assert op_names(imported.module) == ["full", "add", "full", "multiply"]
    (result,) = run_imported(imported, X)
    torch.testing.assert_close(result, (X + 1) * 2)


class Counting(nn.Module):
    """A module that changes its own state."""

    count: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count.add_(1.0)
        return x + self.count


REFUSED: dict[str, tuple[nn.Module, str]] = {
    "state": (Counting(), "the program changes count in place"),
    "training": (nn.Dropout(0.5).train(), "aten.native_dropout.default"),
    "bitwise": (Applied(lambda x: x.int() & 3), "bitwise operations on integers"),
    "bitwise_not": (Applied(lambda x: ~x.int()), "bitwise_not on integers"),
    "addmm": (
        Applied(lambda x: torch.addmm(x[0, 0, :3], x[0], x[1].t(), beta=2)),
        "addmm with beta 2",
    ),
    "attention": (
        Applied(lambda x: tf.scaled_dot_product_attention(x, x, x, dropout_p=0.5)),
        "attention with dropout 0.5",
    ),
    "mirror": (Applied(lambda x: tf.pad(x, (1, 1), mode="reflect")), "mode reflect"),
    "rounding": (
        Applied(lambda x: torch.div(x, 2.0, rounding_mode="floor")),
        "aten.div.Tensor_mode is not supported",
    ),
    "crop": (Applied(lambda x: tf.pad(x, (-1, 0))), "padding with negative numbers"),
    "index": (Applied(lambda x: x[:, (x[0, 0] > 0.5).int()]), "last but one"),
    "index_select": (
        Applied(lambda x: x.index_select(2, (x[0, 0] > 0.5).int())),
        "last dimension but one",
    ),
    "random": (Applied(lambda x: x + torch.rand(4)), "aten.rand.default"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_a_reason(case: str) -> None:
    module, reason = REFUSED[case]
    inputs = (numbers(2, 3, 4),)
    faults = check_program(export_program(module, inputs))
    assert any(reason in fault.message for fault in faults), faults
    assert all(fault.advice for fault in faults)


def test_argument_that_we_cannot_honour() -> None:
    from xdsl.ir import Block

    from forge.errors import UnsupportedError
    from forge.frontends.graph_builder import GraphBuilder
    from forge.frontends.importers import call_importer

    builder = GraphBuilder(Block(), "")
    with pytest.raises(UnsupportedError, match="unexpected keyword argument 'odd'"):
        call_importer("aten.relu.default", builder, [None], {"odd": 1, "device": "x"})


def test_dynamic_shapes_are_refused() -> None:
    program = torch.export.export(
        Applied(torch.relu),
        (X,),
        dynamic_shapes=[({0: torch.export.Dim("batch")},)],
        strict=False,
    )
    assert any("is not fixed" in fault.message for fault in check_program(program))


def test_numbers_as_inputs_are_refused() -> None:
    class Scaled(nn.Module):
        def forward(self, x: torch.Tensor, factor: float) -> torch.Tensor:
            return x * factor

    program = torch.export.export(Scaled(), (X, 2.0), strict=False)
    assert any("is not a tensor" in fault.message for fault in check_program(program))
