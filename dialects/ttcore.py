"""The `ttcore` dialect: what a function argument of the model is.

Source: tt-mlir, include/ttmlir/Dialect/TTCore/IR/TTCoreOpsEnums.td, `ArgumentType`.
"""

from __future__ import annotations

from xdsl.dialects.utils import EnumAttribute
from xdsl.ir import Dialect
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.str_enum import StrEnum

ARGUMENT_TYPE = "ttcore.argument_type"
"""Key of `ArgumentTypeAttr` in the attributes of a function argument."""

KV_CACHE = "ttcore.kv_cache"
"""Key of a unit attribute: the argument is a cache that lives across calls and is
written in place. Its `ArgumentType` is `Input`."""


class ArgumentType(StrEnum):
    """How a function argument gets its value."""

    Input = "input"
    """Given anew on each call."""
    Parameter = "parameter"
    """A trained weight."""
    Constant = "constant"
    """A buffer of the model, or a value computed while compiling."""


@irdl_attr_definition
class ArgumentTypeAttr(EnumAttribute[ArgumentType]):
    """`#ttcore.argument_type<input|parameter|constant>`."""

    name = "ttcore.argument_type"

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            super().print_parameter(printer)

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> ArgumentType:
        with parser.in_angle_brackets():
            return super().parse_parameter(parser)


TTCore = Dialect("ttcore", [], [ArgumentTypeAttr])
