"""Golden vectors of the vendor's simulator, every element, bit for bit.

`pytest tests/runtime/arithmetic/test_golden.py --golden-dir DIR` takes any folder of
such files; without the option the repository's sample is used, and the whole set where
it lies beside the repository. The keys of a file say what to compute; a key that
nobody understands fails.
"""

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dialects.formats import DataFormat
from runtime.arithmetic.tiles import (
    codes_to_numbers,
    decode_tiles,
    encode_tiles,
    join_blocks,
    split_blocks,
)
from tests.runtime.arithmetic.golden_results import FORMATS, GoldenFile

REPOSITORY = Path(__file__).resolve().parents[3]
SAMPLE = REPOSITORY / "tests" / "data" / "golden"
WHOLE_SET = REPOSITORY.parent / "shared" / "golden"

INPUT_KEY = re.compile(r"(?P<name>a|b|c|in|in0|in1|dst|dst16|dst32|init16|init32)_\w+")


def golden_folders(config: pytest.Config) -> list[Path]:
    """The folder that was asked for, or the sample and the whole set if it is here."""
    chosen = config.getoption("--golden-dir")
    if chosen is None:
        return [folder for folder in (SAMPLE, WHOLE_SET) if folder.is_dir()]
    folder = Path(chosen)
    if not any(folder.glob("*.npz")) and not any(folder.glob("ttnn/*.npz")):
        raise pytest.UsageError(f"--golden-dir: there are no .npz files in {folder}")
    return [folder]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per file."""
    metafunc.parametrize(
        "path",
        [
            pytest.param(path, id=f"{folder.name}/{path.stem}")
            for folder in golden_folders(metafunc.config)
            for path in sorted(folder.glob("*.npz"))
        ],
    )


def assert_same_bits(ours: NDArray, theirs: NDArray, what: str) -> None:
    assert ours.shape == theirs.shape, f"{what}: {ours.shape} against {theirs.shape}"
    assert ours.dtype == theirs.dtype, f"{what}: {ours.dtype} against {theirs.dtype}"
    raw = np.dtype(f"u{theirs.dtype.itemsize}")
    left = np.ascontiguousarray(ours).view(raw)
    right = np.ascontiguousarray(theirs).view(raw)
    different = np.argwhere(left != right)
    if different.size:
        first = tuple(int(i) for i in different[0])
        pytest.fail(
            f"{what}: {len(different)} of {theirs.size} elements differ, the first at "
            f"{first}: {int(left[first]):#x}, golden {int(right[first]):#x}"
        )


def test_every_output_element(path: Path) -> None:
    golden = GoldenFile(path)
    outputs = [k for k in golden.arrays if "out_" in k]
    assert outputs
    for key in outputs:
        assert_same_bits(golden.result(key), golden.arrays[key], f"{path.stem} {key}")


def test_every_input_decodes_as_stored(path: Path) -> None:
    """`_f32` twins and L1 images of the inputs, both ways; and no key is left over."""
    golden = GoldenFile(path)
    for key, array in golden.arrays.items():
        is_number = array.dtype.kind in "fui"  # the others are names of the tiles
        if "out_" in key or key.endswith("_scaler_bits") or not is_number:
            continue
        match = INPUT_KEY.fullmatch(key)
        assert match is not None, f"{path.stem}: unknown key {key}"
        if key.endswith("_f32"):
            assert_same_bits(numbers_of(golden, match["name"]), array, key)
        if key.endswith("_l1"):
            check_l1_image(golden, match["name"])


def block_format(golden: GoldenFile, name: str) -> DataFormat:
    size = golden.arrays[f"{name}_l1"].shape[-1]
    return next(fmt for fmt in FORMATS.values() if fmt.tile_bytes == size)


def numbers_of(golden: GoldenFile, name: str) -> NDArray:
    """An input as the file's own float32 twin has it."""
    if f"{name}_codes" in golden.arrays:
        codes, exponents = golden.arrays[f"{name}_codes"], golden.arrays[f"{name}_exps"]
        return codes_to_numbers(codes, exponents, block_format(golden, name))
    wide = golden.arrays[f"{name}_bits"].dtype == np.uint32
    return golden.operand(name, DataFormat.FP32 if wide else DataFormat.BF16)


def check_l1_image(golden: GoldenFile, name: str) -> None:
    fmt, image = block_format(golden, name), golden.arrays[f"{name}_l1"]
    codes, exponents = split_blocks(image, fmt)
    assert_same_bits(codes, golden.arrays[f"{name}_codes"], f"{name} codes")
    assert_same_bits(exponents, golden.arrays[f"{name}_exps"], f"{name} exponents")
    assert_same_bits(join_blocks(codes, exponents, fmt), image, f"{name} image")
    values = golden.operand(name, fmt)
    assert_same_bits(decode_tiles(image, fmt), values, f"{name} decoded")


def test_outputs_in_l1_form_survive_a_round_trip(path: Path) -> None:
    """What the packer wrote is what `encode_tiles` makes of its decoded values."""
    golden = GoldenFile(path)
    for key in (k for k in golden.arrays if re.search(r"out_bfp\d\w*_l1$", k)):
        image = golden.arrays[key]
        fmt = next(f for f in FORMATS.values() if f.tile_bytes == image.shape[-1])
        assert_same_bits(encode_tiles(decode_tiles(image, fmt), fmt), image, key)
