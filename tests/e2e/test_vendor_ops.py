"""Whole operations, compiled by forge and run in `exact`, beside the vendor's own.

The files hold inputs and results of real ttnn operations on the vendor's simulator, and
a float64 reference (tests/data/golden/README.md). Kernels differ, so bits do too, but
ours must be no farther from the reference than the vendor's at the same fidelity.
Sums and means are the same product with ones, and data movement changes no bit: those
are equal bit for bit. `--golden-dir DIR` takes the files of `DIR/ttnn` instead of the
repository's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from dialects.netlist_text import parse_netlist, print_netlist, read_netlist
from forge.compiled_model import CompiledModel
from forge.compiler import compile as forge_compile
from runtime.emulator import Emulator

NETLISTS = Path(__file__).parents[1] / "netlists"
SAMPLE = Path(__file__).parents[1] / "data" / "golden"
WIDTH = 64


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Path:
    """Where the vendor's results lie."""
    return Path(request.config.getoption("--golden-dir") or SAMPLE) / "ttnn"


class _Function(torch.nn.Module):
    def __init__(self, function: Callable[..., torch.Tensor]):
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.function(*inputs)


def _rotate_half(x: torch.Tensor) -> torch.Tensor:
    middle = x.shape[-1] // 2
    return torch.cat((-x[..., middle:], x[..., :middle]), -1)


OPERATIONS: dict[str, tuple[str, Callable[..., torch.Tensor]]] = {
    "rms_norm": ("x w", lambda x, w: functional.rms_norm(x, (WIDTH,), w[0], 1e-5)),
    "layer_norm": (
        "x w b",
        lambda x, w, b: functional.layer_norm(x, (WIDTH,), w[0], b[0], 1e-5),
    ),
    "softmax": ("x", lambda x: torch.softmax(x, -1)),
    "sdpa_full": ("q k v", functional.scaled_dot_product_attention),
    "rotary_embedding": ("x cos sin", lambda x, c, s: x * c + _rotate_half(x) * s),
    "sum": ("x", lambda x: x.sum(1, keepdim=True)),
    "mean": ("x", lambda x: x.mean(1, keepdim=True)),
    "transpose": ("x", lambda x: x.transpose(0, 1) * 1.0),
    "slice": ("x", lambda x: x[:32, :64] * 1.0),
}


def _read(file: Path) -> dict[str, np.ndarray]:
    if not file.exists():
        pytest.skip(f"{file.parent} holds no {file.name}")
    with np.load(file) as data:
        return {key: data[key] for key in data.files}


def _run(file: Path, operation: str, settings: str | None) -> dict[str, np.ndarray]:
    arrays = _read(file)
    names, function = OPERATIONS[operation]
    inputs = [torch.from_numpy(arrays[f"in_{n}"]).bfloat16() for n in names.split()]
    model = forge_compile(_Function(function), inputs)
    if settings is not None:
        text = print_netlist(model.netlist)
        text = text.replace("fidelity HiFi4 dst fp32", settings)
        model = CompiledModel(parse_netlist(text), model.values, numerics="exact")
    model.numerics = "exact"
    ours = model(*inputs).numpy().reshape(arrays["ref"].shape)
    return {"ours": ours, "vendor": arrays["out"], "reference": arrays["ref"]}


def _distances(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Distances in bf16 units in the last place of the reference's largest binade."""
    scale = 2.0 ** (np.floor(np.log2(np.abs(reference).max())) - 7)
    return np.abs(values.astype(np.float64) - reference) / scale


def _histogram(distances: np.ndarray) -> str:
    edges = [0, 0.01, 0.1, 0.5, 1, 2, 4, 8, np.inf]
    counts, _ = np.histogram(distances, edges)
    return "  ".join(
        f"<{edge:g}: {n}" for edge, n in zip(edges[1:], counts, strict=True)
    )


@pytest.mark.parametrize(
    ("name", "operation", "settings"),
    [
        ("rms_norm_hifi4_fp32acc", "rms_norm", None),
        ("rms_norm", "rms_norm", None),
        ("layer_norm_hifi4_fp32acc", "layer_norm", None),
        ("layer_norm_hifi2", "layer_norm", "fidelity HiFi2 dst bf16"),
        ("softmax", "softmax", None),
        ("sdpa_full", "sdpa_full", None),
        ("rotary_embedding", "rotary_embedding", None),
    ],
)
def test_no_farther_from_truth_than_the_vendor(
    name: str, operation: str, settings: str | None, folder: Path
) -> None:
    found = _run(folder / f"{name}.npz", operation, settings)
    reference = found["reference"].astype(np.float64)
    ours, vendor = (_distances(found[who], reference) for who in ("ours", "vendor"))
    print(f"{name}: distances in bf16 units of the largest binade")
    print(f"  ours    {_histogram(ours)}")
    print(f"  vendor  {_histogram(vendor)}")
    assert np.sqrt((ours**2).mean()) <= np.sqrt((vendor**2).mean())
    assert ours.max() <= vendor.max()


@pytest.mark.parametrize("name", ["sum", "mean", "transpose", "slice"])
def test_equals_the_vendor_bit_for_bit(name: str, folder: Path) -> None:
    found = _run(folder / f"{name}.npz", name, None)
    np.testing.assert_array_equal(found["ours"], found["vendor"])


def test_embedding_equals_the_vendor_bit_for_bit(folder: Path) -> None:
    arrays = _read(folder / "embedding.npz")
    table = torch.from_numpy(arrays["in_w"]).bfloat16()
    ids = torch.from_numpy(arrays["in_ids"].astype(np.int64))
    model = forge_compile(torch.nn.Embedding.from_pretrained(table), [ids])
    model.numerics = "exact"
    np.testing.assert_array_equal(model(ids).float().numpy(), arrays["out"])


def test_concat_equals_the_vendor_bit_for_bit(folder: Path) -> None:
    """Each part is written to its own columns, as forge's netlists can say it."""
    arrays = _read(folder / "concat.npz")
    netlist = read_netlist(NETLISTS / "concat.mlir")
    emulator = Emulator(netlist, {}, numerics="exact")
    found = emulator.run({"x": arrays["in_x"], "y": arrays["in_y"]})
    np.testing.assert_array_equal(found["xy"], arrays["out"])
