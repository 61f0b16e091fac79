"""Small constructors for `tensix` operations, so that lowering reads like a kernel."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Attribute, Block, Operation, Region

from dialects import tensix
from dialects import tensix_compute as compute
from dialects import tensix_movement as movement
from dialects.expr import Const, Expr
from dialects.grid import PadMaskOp
from dialects.syntax import (
    AxesAttr,
    DstAttr,
    ExprAttr,
    LocalAttr,
    NumberAttr,
    WordAttr,
)


def dst(tile: int) -> DstAttr:
    """A place in Dst."""
    return DstAttr(tile)


def word(text: str | None) -> WordAttr | None:
    """A bare word, or nothing."""
    return None if text is None else WordAttr(text)


def count(number: int) -> ExprAttr | None:
    """A number of tiles, or nothing for none."""
    return ExprAttr(Const(number)) if number else None


def loop(
    axis: str, body: Sequence[Operation], by: int | None, *, to: Expr | None = None
) -> tensix.ForOp:
    """`for axis [by n] [to limit] { body }`."""
    properties: dict[str, Attribute] = {"axis": WordAttr(axis)}
    if to is not None:
        properties["to"] = ExprAttr(to)
    if by is not None:
        properties["by"] = ExprAttr(Const(by))
    return tensix.ForOp.create(
        properties=properties, regions=[Region(Block(list(body)))]
    )


def branch(condition: Expr, body: Sequence[Operation]) -> tensix.IfOp:
    """`if condition { body }`."""
    return tensix.IfOp.create(
        properties={"condition": ExprAttr(condition)},
        regions=[Region(Block(list(body)))],
    )


class Body:
    """A list of operations under construction."""

    def __init__(self) -> None:
        self.ops: list[Operation] = []

    def extend(self, ops: Sequence[Operation]) -> None:
        """Append finished operations."""
        self.ops.extend(ops)

    def add(
        self, operation: type[Operation], /, **properties: Attribute | None
    ) -> None:
        """Append an operation; properties that are None are left out."""
        given = {k: v for k, v in properties.items() if v is not None}
        self.ops.append(operation.create(properties=given))

    def reserve(self, buffer: str) -> None:
        """Reserve a block."""
        self.add(movement.ReserveBackOp, buffer=LocalAttr(buffer))

    def push(self, buffer: str) -> None:
        """Push a block."""
        self.add(movement.PushBackOp, buffer=LocalAttr(buffer))

    def wait(self, buffer: str) -> None:
        """Wait for a block."""
        self.add(movement.WaitFrontOp, buffer=LocalAttr(buffer))

    def pop(self, buffer: str) -> None:
        """Pop a block."""
        self.add(movement.PopFrontOp, buffer=LocalAttr(buffer))

    def read(self, buffer: str, noc: int | None, *, ahead: str | None = None) -> None:
        """Read a block and wait until it is there; `ahead` along an axis, start to
        read the next one before."""
        stated = None if noc is None else ExprAttr(Const(noc))
        name = LocalAttr(buffer)
        self.add(movement.ReadOp, buffer=name, ahead=word(ahead), noc=stated)
        self.add(movement.ReadBarrierOp, buffer=None if ahead is None else name)

    def clean(self, buffer: str) -> None:
        """Fill the padding of a block that was read with zeros."""
        self.add(
            movement.FillOp,
            buffer=LocalAttr(buffer),
            pattern=WordAttr("pad"),
            value=NumberAttr(0.0),
        )

    def fill(self, buffer: str, pattern: str, value: float) -> None:
        """Reserve, fill and push a block."""
        self.reserve(buffer)
        self.add(
            movement.FillOp,
            buffer=LocalAttr(buffer),
            pattern=WordAttr(pattern),
            value=NumberAttr(value),
        )
        self.push(buffer)

    def fill_behind(self, buffer: str, value: float, limit: Expr) -> None:
        """Reserve, fill and push a mask: zero below a limit, then a value."""
        self.reserve(buffer)
        self.add(
            movement.FillOp,
            buffer=LocalAttr(buffer),
            pattern=WordAttr("columns"),
            value=NumberAttr(value),
            inside=NumberAttr(0.0),
            limit=ExprAttr(limit),
        )
        self.push(buffer)

    def fill_edge(self, buffer: str, mask: PadMaskOp) -> None:
        """Reserve, fill and push a mask of padding columns."""
        self.reserve(buffer)
        self.add(
            movement.FillOp,
            buffer=LocalAttr(buffer),
            pattern=WordAttr("columns"),
            value=mask.outside,
            inside=mask.inside,
            extent=mask.valid,
        )
        self.push(buffer)

    def unary(
        self, function: str, tile: int, axes: AxesAttr, scalar: float | None
    ) -> None:
        """A vector-unit function in place."""
        if scalar is None:
            self.add(compute.UNARY_OPS[function], dst=dst(tile), axes=axes)
            return
        self.add(
            compute.SCALAR_OPS[function],
            dst=dst(tile),
            axes=axes,
            scalar=NumberAttr(scalar),
        )

    def pack_alone(self, buffer: str, axes: AxesAttr, *, wait: bool = True) -> None:
        """Commit, pack Dst from tile 0 into a fresh block, release; `wait` for it."""
        self.add(compute.CommitOp)
        self.add(compute.RegsWaitOp)
        self.reserve(buffer)
        self.add(compute.PackTilesOp, dst=dst(0), axes=axes, buffer=LocalAttr(buffer))
        self.push(buffer)
        self.add(compute.ReleaseOp)
        if wait:
            self.wait(buffer)
