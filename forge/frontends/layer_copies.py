"""Writes the ops of a layer again for the layers that it stands for."""

from __future__ import annotations

from collections.abc import Callable

from xdsl.dialects.builtin import LocationAttr, NameLoc, StringAttr
from xdsl.ir import Block, BlockArgument, Operation, SSAValue

from dialects import ttir


class LayerCopies:
    """Writes the ops of one layer again for others."""

    def __init__(
        self,
        block: Block,
        path: str,
        counterpart: Callable[[BlockArgument, int], SSAValue],
    ) -> None:
        """`path` is that of the list of layers; `counterpart` gives the argument that
        is to a layer what an argument is to the first."""
        self.block = block
        self.path = path
        self.counterpart = counterpart
        self._begin: Operation | None = None
        self._ops: list[Operation] = []
        self._end: SSAValue | None = None

    def begin(self, hidden: SSAValue) -> SSAValue:
        """Note the start of the layer; its input must be no other value's name."""
        self._begin = ttir.ReshapeOp(hidden, ttir.shape_of(hidden))
        self.block.add_op(self._begin)
        return self._begin.results[0]

    def end(self, hidden: SSAValue) -> SSAValue:
        """Note the end of the layer."""
        self._end = hidden
        self._ops = self._recorded()
        return hidden

    def _recorded(self) -> list[Operation]:
        assert self._begin is not None
        found = []
        op = self._begin.next_op
        while op is not None:
            found.append(op)
            op = op.next_op
        return found

    def again(self, hidden: SSAValue, index: int) -> SSAValue:
        """Append the ops of the layer with the arguments of another."""
        assert self._begin is not None
        assert self._end is not None
        values: dict[SSAValue, SSAValue] = {self._begin.results[0]: hidden}
        for op in self._ops:
            for operand in op.operands:
                if operand not in values and isinstance(operand, BlockArgument):
                    values[operand] = self.counterpart(operand, index)
            copy = op.clone(values)
            copy.location = self._moved(op.location, index)
            self.block.add_op(copy)
        return values[self._end]

    def _moved(self, location: LocationAttr, index: int) -> LocationAttr:
        """A location seen from the other layer."""
        first = f"{self.path}.0"
        if not isinstance(location, NameLoc):
            return location
        path = location.desc.data
        if path != first and not path.startswith(f"{first}."):
            return location
        moved = f"{self.path}.{index}{path.removeprefix(first)}"
        return NameLoc(StringAttr(moved), location.location)
