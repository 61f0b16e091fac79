"""`grid`: round trips in both syntaxes, and one case for each thing refused."""

from __future__ import annotations

from io import StringIO

import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import Builtin
from xdsl.dialects.func import Func
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.utils.exceptions import ParseError, VerifyException

from dialects.grid import Grid
from dialects.tensix import Tensix
from dialects.ttir import TTIR

PROGRAM = """
builtin.module {
  func.func @main(%x: tensor<50x70xbf16>, %i: tensor<1x50xi64>) -> tensor<50x70xbf16> {
    %y = grid.program "exp"
      axes [m 2 over y 2, n 3 over xy 3 stride 2 block 1, k 4 unit 2]
      uses ([m, n] at [m, n] along x cleaned, [_, m] at [0, m] index)
      makes ([m, n] at [m, n] in l1 shards 2x3 over xy lent)
      fidelity HiFi4 dst fp32 (%x, %i)
      : (tensor<50x70xbf16>, tensor<1x50xi64>) -> (tensor<50x70xbf16>) {
    ^bb0(%a: tensor<50x70xbf16>, %b: tensor<1x50xi64>):
      %s = grid.stage over [m, n] where k 1 to 3 formats [bf16] : tensor<50x70xbf16> {
        %c = grid.causal_mask : tensor<50x70xbf16>
        %p = grid.pad_mask columns 6 inside 1.0 outside 0.0 : tensor<50x70xbf16>
        %t = grid.rotate %a by 32 : i64 : tensor<50x70xbf16> -> tensor<50x70xbf16>
        %e = "ttir.exp"(%a) : (tensor<50x70xbf16>) -> tensor<50x70xbf16>
        grid.yield %e : tensor<50x70xbf16>
      }
      grid.yield %s : tensor<50x70xbf16>
    }
    func.return %y : tensor<50x70xbf16>
  }
}
"""


SUMS = """
builtin.module {
  func.func @main(%h: tensor<4x5x64x32xbf16>, %x: tensor<64x640xbf16>, %s: tensor<64x128xf32>, %g: tensor<640xbf16>) {
    %0 = grid.square_sums %h : tensor<4x5x64x32xbf16> -> tensor<4x1x64x32xf32>
    %1 = grid.rms_norm_of_sums %x of %s epsilon 1.0e-05 : tensor<64x640xbf16>, tensor<64x128xf32> -> tensor<64x640xbf16>
    %2 = grid.rms_norm_of_sums %x of %s by %g epsilon 1.0e-05 : tensor<64x640xbf16>, tensor<64x128xf32>, tensor<640xbf16> -> tensor<64x640xbf16>
    func.return
  }
}
"""  # noqa: E501


def parsed(text: str):
    context = Context()
    for dialect in (Builtin, Func, TTIR, Tensix, Grid):
        context.load_dialect(dialect)
    return Parser(context, text).parse_module()


@pytest.mark.parametrize("text", [PROGRAM, SUMS])
def test_round_trip_in_both_syntaxes(text: str) -> None:
    module = parsed(text)
    module.verify()
    for generic in (False, True):
        stream = StringIO()
        Printer(stream, print_generic_format=generic).print_op(module)
        assert parsed(stream.getvalue()).is_structurally_equivalent(module)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("HiFi4", "HiFi9", "fidelity 'HiFi9' is not known"),
        ("formats [bf16]", "formats [int3]", "format 'int3' of a stage is not known"),
        ("formats [bf16]", "formats [bf16, bf16]", "one format for each result"),
        ("k 1 to 3", "k 3 to 3", "a stage runs for no step: where k 3 to 3"),
        ("by 32", "by 70", "a rotation of 70 columns goes by 70"),
        (
            "-> tensor<50x70xbf16>\n        %e",
            "-> tensor<50x70xf32>\n        %e",
            "keeps",
        ),
        (", [_, m] at [0, m] index)", ")", "2 operands, but 1 uses"),
        ("[_, m] at", "[m] at", "names 1 dimensions of 2"),
        ("[_, m] at", "[_, z] at", "there is no axis z"),
        (", %b: tensor<1x50xi64>):", "):", "2 operands, but the region has 1"),
        (
            "makes ([m, n] at [m, n] in l1 shards 2x3 over xy lent)",
            "makes ()",
            "1 results, but 0 uses",
        ),
    ],
)
def test_refused(old: str, new: str, message: str) -> None:
    assert old in PROGRAM
    module = parsed(PROGRAM.replace(old, new, 1))
    with pytest.raises(VerifyException, match=message):
        module.verify()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("-> tensor<4x1x64x32xf32>", "-> tensor<4x64x32xf32>", "1 in the second place"),
        ("-> tensor<4x1x64x32xf32>", "-> tensor<4x1x64x32xbf16>", "squares are f32"),
        ("-> tensor<64x640xbf16>", "-> tensor<64x640xf32>", "keeps the type"),
        ("%s: tensor<64x128xf32>", "%s: tensor<32x128xf32>", "same rows"),
        ("%s: tensor<64x128xf32>", "%s: tensor<64x128xbf16>", "squares are f32"),
    ],
)
def test_sums_refused(old: str, new: str, message: str) -> None:
    text = SUMS.replace(old, new)
    if old.startswith("%s"):
        text = text.replace(old.removeprefix("%s: "), new.removeprefix("%s: "))
    module = parsed(text)
    with pytest.raises(VerifyException, match=message):
        module.verify()


def test_a_map_has_a_row_and_a_column() -> None:
    with pytest.raises(ParseError, match="a map has a row and a column"):
        parsed(PROGRAM.replace("at [0, m]", "at [m]"))
