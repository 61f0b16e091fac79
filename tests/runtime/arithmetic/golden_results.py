"""What `runtime.arithmetic` computes for a key of a golden file.

A key says everything: operation, fidelity, Dst mode, output format and what of the
output is stored (golden README.md). Nothing here computes; it reads the key and calls.
"""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dialects.formats import DataFormat, DstMode, Fidelity
from runtime.arithmetic import eltwise, sfpu
from runtime.arithmetic.formats import (
    NO_RELU,
    Relu,
    ReluMode,
    Values,
    bf16_to_float32,
    float32_to_bf16,
    pack,
    store_from_sfpu,
    unpack_to_src,
)
from runtime.arithmetic.l1_accumulation import accumulate_l1
from runtime.arithmetic.matmul import matmul_tiles
from runtime.arithmetic.reduce import ReduceDim, ReduceKind, reduce_tiles
from runtime.arithmetic.tiles import (
    codes_to_numbers,
    codes_to_values,
    join_blocks,
    pack_codes,
)

FORMATS = {
    "fp32": DataFormat.FP32,
    "bf16": DataFormat.BF16,
    "bfp8": DataFormat.BFP8_B,
    "bfp4": DataFormat.BFP4_B,
}
DST = {"dst16": DstMode.BF16, "dst32": DstMode.FP32}

_FORMAT = r"(?P<fmt>fp32|bf16|bfp8|bfp4)"
_STORED = r"(?P<stored>bits|codes|exps|l1|f32)"
_SOURCE = r"_from_(?P<source>fp32|bf16|bfp8)"
FPU_KEY = re.compile(
    rf"((?P<what>\w+?)_)?(?P<dst>dst\d\d)_out_{_FORMAT}({_SOURCE})?_{_STORED}"
)
PACK_KEY = re.compile(rf"out_{_FORMAT}{_SOURCE}_{_STORED}")
SFPU_KEY = re.compile(r"out_(?P<what>\w+)")

ACCUMULATED_FIDELITY = {"fid0": "LoFi", "fid2": "HiFi2", "fid3": "HiFi3"}
ACCUMULATED_FIDELITY["fid4"] = "HiFi4"

# Golden README.md, pack_relu.npz.
RELU = {
    "mode1": Relu(ReluMode.ZERO),
    "mode2": Relu(ReluMode.MIN_THRESHOLD, 0.5),
    "mode3": Relu(ReluMode.MAX_THRESHOLD, 1.5),
}

# Golden README.md, sfpu_fp32.npz.
TANH_LUT = (0x1DFF, 0x481A, 0xFF00)
SIGMOID_SLOPES = [0x33D9, 0x32F4, 0x318A, 0x300A, 0x2A35, 0x7C00]
SIGMOID_OFFSETS = [0x9018, 0x23C8, 0x2BAA, 0x3027, 0x34CC, 0x37FF]


class GoldenFile:
    """One file of vectors: its inputs, its output keys, and our result for each."""

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        with np.load(path) as arrays:
            self.arrays: dict[str, NDArray] = {k: arrays[k] for k in arrays.files}
        self.fpu = cache(self._fpu)

    def operand(self, name: str, fmt: DataFormat) -> Values:
        """Values of an input, as L1 (or Dst) holds them."""
        if fmt is DataFormat.FP32:
            return self.arrays[f"{name}_bits"].view(np.float32)
        if fmt is DataFormat.BF16:
            return bf16_to_float32(self.arrays[f"{name}_bits"])
        codes, exponents = self.arrays[f"{name}_codes"], self.arrays[f"{name}_exps"]
        return codes_to_values(codes, exponents, fmt)

    def source(self, name: str, fmt: str, dst: DstMode) -> Values:
        """An input as a source register holds it."""
        return unpack_to_src(self.operand(name, FORMATS[fmt]), FORMATS[fmt], dst=dst)

    def result(self, key: str) -> NDArray:
        """Our version of the array stored under `key`; KeyError if it is unknown."""
        if match := PACK_KEY.fullmatch(key):
            return self._packed(**match.groupdict())
        if match := FPU_KEY.fullmatch(key):
            parts = match.groupdict()
            dst, fmt = DST[parts["dst"]], FORMATS[parts["fmt"]]
            if self.name.startswith("pack_l1acc"):
                return as_stored(self._l1_accumulated(dst, fmt), fmt, parts["stored"])
            values = self.fpu(parts["what"] or "", dst)
            relu = RELU.get(parts["what"] or "", NO_RELU)
            source = FORMATS[parts["source"]] if parts["source"] else None
            return packed_as(
                values, fmt, parts["stored"], dst=dst, source=source, relu=relu
            )
        if match := SFPU_KEY.fullmatch(key):
            return self._sfpu(match["what"])
        raise KeyError(f"{self.name}: no rule for the key {key!r}")

    def _packed(self, fmt: str, source: str, stored: str) -> NDArray:
        if "dst_bits" in self.arrays:
            dst, values = DstMode.FP32, self.operand("dst", DataFormat.FP32)
        else:
            dst = DstMode.BF16
            values = eltwise.copy_to_dst(self.source("in", "bf16", dst), dst=dst)
        return packed_as(values, FORMATS[fmt], stored, dst=dst, source=FORMATS[source])

    def _l1_accumulated(self, dst: DstMode, fmt: DataFormat) -> Values:
        old = self.operand(f"init{fmt.bits}", fmt)
        new = self.operand(f"dst{dst.bits}", DataFormat(dst.value))
        return accumulate_l1(old, pack(new, fmt, dst=dst), fmt)

    def _fpu(self, what: str, dst: DstMode) -> Values:
        """Dst tiles of an operation of the matrix unit."""
        family, *words = self.name.split("_")
        if family == "unpack":
            return eltwise.copy_to_dst(self.source("in", words[0], dst), dst=dst)
        if family == "pack":
            return self.operand(f"dst{dst.bits}", DataFormat(dst.value))
        if family == "matmul":
            return self._matmul(words[-3], words[-2], Fidelity(what), dst)
        if family == "reduce":
            return self._reduce(words[0], what, dst)
        if family == "eltwise" and words[0].startswith("acc"):
            return self._accumulated(words[1:], what, dst)
        if family == "eltwise":
            *formats, _, kind = words
            a, b = self._pair(formats, dst)
            b = eltwise.broadcast(b, eltwise.Broadcast(kind))
            return elementwise(what, a, b, dst, None)
        raise KeyError(f"no rule for files named {self.name!r}")

    def _matmul(self, fmt0: str, fmt1: str, fidelity: Fidelity, dst: DstMode) -> Values:
        pairs = zip(
            self.source("in0", fmt0, dst), self.source("in1", fmt1, dst), strict=True
        )
        products = [
            matmul_tiles(in0[None], in1[:, None], fidelity=fidelity, dst=dst)[0, 0]
            for in0, in1 in pairs
        ]
        return np.stack(products)

    def _pair(self, formats: list[str], dst: DstMode) -> tuple[Values, Values]:
        """Operands a and b; one format stands for both."""
        return (
            self.source("a", formats[0], dst),
            self.source("b", formats[-1], dst),
        )

    def _accumulated(self, formats: list[str], what: str, dst: DstMode) -> Values:
        operation, fidelity = what.split("_")
        a, b = self._pair(formats, dst)
        state = None
        for step in range(a.shape[1]):
            name = f"{operation}_{ACCUMULATED_FIDELITY.get(fidelity, fidelity)}"
            state = elementwise(name, a[:, step], b[:, step], dst, state)
        assert state is not None
        return state

    def _reduce(self, fmt: str, what: str, dst: DstMode) -> Values:
        kind, dim, *fidelity = what.split("_")
        scaler = bf16_to_float32(self.arrays[f"{kind}_{dim}_scaler_bits"].reshape(1))
        return reduce_tiles(
            self.source("a", fmt, dst)[:, None],
            ReduceKind(kind),
            ReduceDim(dim),
            scaler=float(scaler[0]),
            dst=dst,
            fidelity=Fidelity(fidelity[0]) if fidelity else Fidelity.HIFI4,
        )

    def _sfpu(self, what: str) -> NDArray:
        """Lanes of a vector operation as stored; bf16 files pack them to bf16."""
        narrow = self.arrays["a_bits"].dtype == np.uint16
        fmt = DataFormat.BF16 if narrow else DataFormat.FP32
        names = [name for name in "abc" if f"{name}_bits" in self.arrays]
        operands = [self.operand(name, fmt).view(np.uint32) for name in names]
        if narrow:
            rounded = {"mad_store_trunc": False, "mad_rnd_store": True}[what]
            lanes = sfpu.mad(*operands).view(np.float32)
            dst = store_from_sfpu(lanes, DstMode.BF16, rounded=rounded)
            return packed_as(dst, fmt, "bits", dst=DstMode.BF16)
        if len(operands) == 3:
            return sfpu.store_fp32(vector_arithmetic(what, *operands))
        return vector_instruction(what, *operands)


def packed_as(
    values: Values,
    fmt: DataFormat,
    stored: str,
    *,
    dst: DstMode,
    source: DataFormat | None = None,
    relu: Relu = NO_RELU,
) -> NDArray:
    """Dst values packed to `fmt`, in the form that the key's last word names."""
    if not fmt.is_block_float:
        packed = pack(values, fmt, dst=dst, source=source, relu=relu)
        return as_stored(packed, fmt, stored)
    codes, exponents = pack_codes(values, fmt, dst=dst, source=source, relu=relu)
    return block_form(codes, exponents, fmt, stored)


def block_form(
    codes: NDArray[np.uint8], exponents: NDArray[np.uint8], fmt: DataFormat, stored: str
) -> NDArray:
    """A block float as codes, exponents, L1 bytes or numbers."""
    forms: dict[str, Callable[[], NDArray]] = {
        "codes": lambda: codes,
        "exps": lambda: exponents,
        "l1": lambda: join_blocks(codes, exponents, fmt),
        "f32": lambda: codes_to_numbers(codes, exponents, fmt),
    }
    return forms[stored]()


def as_stored(values: Values, fmt: DataFormat, stored: str) -> NDArray:
    """fp32 or bf16 values as raw bits or as float32."""
    if stored == "f32":
        return values
    return float32_to_bf16(values) if fmt is DataFormat.BF16 else values.view(np.uint32)


def elementwise(
    what: str, a: Values, b: Values, dst: DstMode, initial: Values | None
) -> Values:
    operation, *fidelity = what.split("_")
    if operation == "mul":
        return eltwise.multiply(
            a, b, fidelity=Fidelity(fidelity[0]), dst=dst, initial=initial
        )
    functions = {"add": eltwise.add, "sub": eltwise.subtract}
    return functions[operation](a, b, dst=dst, initial=initial)


def vector_arithmetic(what: str, a: NDArray, b: NDArray, c: NDArray) -> NDArray:
    """fp32 arithmetic of the vector unit, by the words of a key of sfpu_fp32."""
    if match := re.fullmatch(r"(muli|addi)_0x([0-9A-F]{4})", what):
        function = {"muli": sfpu.mul_immediate, "addi": sfpu.add_immediate}[match[1]]
        return function(int(match[2], 16), a)
    return {
        "mad_ab_plus_c": lambda: sfpu.mad(a, b, c),
        "mul_ab": lambda: sfpu.mul(a, b),
        "add_ac": lambda: sfpu.add(a, c),
        "rnd_fp32_to_bf16": lambda: sfpu.round_to_bf16(a),
        "load_store_fp32": lambda: a,
        "tanh_lut": lambda: sfpu.lut(a, TANH_LUT),
        "lutfp32_6piece_raw": lambda: sfpu.lut_fp32(a, SIGMOID_SLOPES, SIGMOID_OFFSETS),
    }[what]()


def vector_instruction(what: str, a: NDArray, b: NDArray) -> NDArray:
    """One instruction on raw lanes, by the words of a key of sfpu_ops_raw32."""
    if match := re.fullmatch(r"rnd_(u?)int(\d+)", what):
        return sfpu.round_to_integer(a, bits=int(match[2]), signed=not match[1])
    if match := re.fullmatch(r"(.+?)_([mp]?)(\d+)(_logical)?", what):
        amount = int(match[3]) * (-1 if match[2] == "m" else 1)
        return {
            "divp2_add": lambda: sfpu.add_to_exponent(a, amount),
            "divp2_set": lambda: sfpu.set_exponent(a, amount),
            "setexp_imm": lambda: sfpu.set_exponent(a, amount),
            "iadd_imm": lambda: sfpu.integer_add(a, amount & 0xFFFF_FFFF),
            "setsgn": lambda: sfpu.set_sign(a, amount << 31),
            "shft_left": lambda: sfpu.shift(a, amount),
            "shft_right": lambda: sfpu.shift(a, -amount),
        }[match[1]]()
    return {
        "mov_neg": lambda: sfpu.negate(a),
        "abs_int": lambda: sfpu.abs_int(a),
        "abs_float": lambda: sfpu.abs_float(a),
        "exexp_debias": lambda: sfpu.exponent_field(a, debias=True),
        "exexp_raw": lambda: sfpu.exponent_field(a, debias=False),
        "exman_hidden": lambda: sfpu.mantissa_field(a, hidden=True),
        "exman_pad": lambda: sfpu.mantissa_field(a, hidden=False),
        "setexp_from_float": lambda: sfpu.set_exponent(
            a, sfpu.exponent_field(b, debias=False)
        ),
        "setexp_from_int": lambda: sfpu.set_exponent(a, b),
        "setman": lambda: sfpu.set_mantissa(a, b),
        "setsgn_from_b": lambda: sfpu.set_sign(a, b),
        "cast_sm32_to_fp32_rne": lambda: sfpu.cast_int_to_fp32(a),
        "iadd": lambda: sfpu.integer_add(a, b),
        "isub_a_minus_b": lambda: sfpu.integer_subtract(a, b),
        "and": lambda: a & b,
        "or": lambda: a | b,
        "xor": lambda: a ^ b,
        "not": lambda: ~a,
        "lz": lambda: sfpu.leading_zeros(a),
        "swap_min": lambda: sfpu.swap(a, b)[0],
        "swap_max": lambda: sfpu.swap(a, b)[1],
        "select_b_if_a_neg": lambda: sfpu.select_negative(a, b, a),
        "relu": lambda: sfpu.relu(a),
    }[what]()
