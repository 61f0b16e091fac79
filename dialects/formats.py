"""Data formats, fidelities and destination-register modes of a Tensix core.

Pure facts, shared by compiler and emulator; the arithmetic on values lives in
`runtime.arithmetic`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from dialects.errors import ForgeError

TILE_EDGE = 32
"""Rows and columns of a tile (wormhole.md section 3.2)."""

FACE_EDGE = 16
"""Rows and columns of a face; a tile is four faces in row-major order."""

TILE_ELEMENTS = TILE_EDGE * TILE_EDGE

BLOCK_ELEMENTS = 16
"""Datums of one face row, which share an exponent in a block float."""

EXPONENT_SECTION_BYTES = TILE_ELEMENTS // BLOCK_ELEMENTS
"""Bytes of shared exponents that precede the codes of a block-float tile."""


class UnsupportedFormatError(ForgeError):
    """A format, or a combination of formats, that forge does not model."""


@dataclass(frozen=True)
class _FormatFacts:
    """One row of the format table: bits of a datum, and what a datum is."""

    bits: int
    is_block_float: bool = False
    is_integer: bool = False


# wormhole.md section 3.1; tile bytes follow from the bits and the exponent section.
_FACTS = {
    "fp32": _FormatFacts(32),
    "bf16": _FormatFacts(16),
    "bfp8_b": _FormatFacts(8, is_block_float=True),
    "bfp4_b": _FormatFacts(4, is_block_float=True),
    "int32": _FormatFacts(32, is_integer=True),
    "uint32": _FormatFacts(32, is_integer=True),
    "uint16": _FormatFacts(16, is_integer=True),
    "uint8": _FormatFacts(8, is_integer=True),
}

_SHORT_EXPONENT = "has a five-bit exponent, whose arithmetic is not modelled"

_UNSUPPORTED = {
    "fp16": (_SHORT_EXPONENT, "use bf16 or fp32"),
    "fp16_a": (_SHORT_EXPONENT, "use bf16 or fp32"),
    "bfp8_a": (_SHORT_EXPONENT, "use bfp8_b"),
    "bfp4_a": (_SHORT_EXPONENT, "use bfp4_b"),
    "bfp2_a": (_SHORT_EXPONENT, "use bfp4_b"),
    "bfp2_b": ("is not modelled", "use bfp4_b"),
    "fp8": ("is not modelled", "use bfp8_b"),
    "int8": ("needs the integer matrix unit, which is not modelled", "use bfp8_b"),
    "tf32": ("exists only inside the source registers", "use fp32"),
}


class DataFormat(StrEnum):
    """Format of a datum in L1 and DRAM."""

    FP32 = "fp32"
    BF16 = "bf16"
    BFP8_B = "bfp8_b"
    BFP4_B = "bfp4_b"
    INT32 = "int32"
    UINT32 = "uint32"
    UINT16 = "uint16"
    UINT8 = "uint8"

    @classmethod
    def parse(cls, name: str) -> Self:
        """The format called `name`; `UnsupportedFormatError` says what to use else."""
        if name in _FACTS:
            return cls(name)
        reason, advice = _UNSUPPORTED.get(name, ("is not a format of this chip", None))
        raise UnsupportedFormatError(
            f"data format {name!r} {reason}",
            limit=", ".join(_FACTS),
            advice=advice,
        )

    @property
    def bits(self) -> int:
        """Bits of one datum, shared exponents not counted."""
        return _FACTS[self.value].bits

    @property
    def is_block_float(self) -> bool:
        """Whether the 16 datums of a face row share one exponent byte."""
        return _FACTS[self.value].is_block_float

    @property
    def is_integer(self) -> bool:
        """Whether datums are integers, which no arithmetic unit rounds."""
        return _FACTS[self.value].is_integer

    @property
    def is_float(self) -> bool:
        """Whether datums are numbers with an exponent, own or shared."""
        return not self.is_integer

    @property
    def element_bytes(self) -> int | None:
        """Bytes of one datum, or None where its exponent is stored elsewhere."""
        return None if self.is_block_float else self.bits // 8

    @property
    def tile_bytes(self) -> int:
        """Bytes of a 32x32 tile in L1 or DRAM (4096, 2048, 1088, 576 ...)."""
        exponents = EXPONENT_SECTION_BYTES if self.is_block_float else 0
        return TILE_ELEMENTS * self.bits // 8 + exponents


class Fidelity(StrEnum):
    """How many of the multiplier's passes a product takes."""

    LOFI = "LoFi"
    HIFI2 = "HiFi2"
    HIFI3 = "HiFi3"
    HIFI4 = "HiFi4"

    @property
    def phases(self) -> int:
        """Passes over the matrix unit (ARITHMETIC.md section 2)."""
        return _PHASES[self.value]

    @property
    def significant_bits(self) -> tuple[int, int]:
        """Significant bits read of (SrcA, SrcB); matmul: SrcA is in1, SrcB in0."""
        return _SIGNIFICANT_BITS[self.value]


_PHASES = {"LoFi": 1, "HiFi2": 2, "HiFi3": 3, "HiFi4": 4}

# wormhole.md section 2.8. The tenth mantissa bit of SrcA is read in no phase.
# HiFi3 lacks only the product of the two low parts.
_SIGNIFICANT_BITS = {"LoFi": (5, 7), "HiFi2": (10, 7), "HiFi3": (10, 11)}
_SIGNIFICANT_BITS["HiFi4"] = (10, 11)


class DstMode(StrEnum):
    """Width of a destination-register datum (`fp32_dest_acc_en`)."""

    FP32 = "fp32"
    BF16 = "bf16"

    @property
    def bits(self) -> int:
        """Bits of a Dst datum."""
        return 32 if self is DstMode.FP32 else 16

    @property
    def full_sync_tiles(self) -> int:
        """Tiles in the whole Dst: 1024 rows x 16 x 16 bit (wormhole.md section 2.4)."""
        return 8 if self is DstMode.FP32 else 16

    @property
    def half_sync_tiles(self) -> int:
        """Tiles in one of the two halves that math and pack alternate on."""
        return self.full_sync_tiles // 2
