"""Data movement of `tensix`: circular buffers, NoC transfers, semaphores."""

from __future__ import annotations

from xdsl.dialects.builtin import UnitAttr
from xdsl.irdl import IRDLOperation, irdl_op_definition, opt_prop_def, prop_def
from xdsl.utils.exceptions import VerifyException

from dialects.syntax import ExprAttr, LocalAttr, NumberAttr, PointAttr, WordAttr

FILLS = ("value", "causal", "row_scaler", "column_scaler", "pad", "columns")


class _PagesOp(IRDLOperation):
    """Base: moves an end of a circular buffer by one block, or by `pages`."""

    buffer = prop_def(LocalAttr)
    pages = opt_prop_def(ExprAttr)
    assembly_format = "$buffer (`,` $pages^)? attr-dict"


@irdl_op_definition
class ReserveBackOp(_PagesOp):
    """Producer: wait until the block is free."""

    name = "tensix.cb_reserve_back"


@irdl_op_definition
class PushBackOp(_PagesOp):
    """Producer: hand the block to the consumer."""

    name = "tensix.cb_push_back"


@irdl_op_definition
class WaitFrontOp(_PagesOp):
    """Consumer: wait until the block is there."""

    name = "tensix.cb_wait_front"


@irdl_op_definition
class PopFrontOp(_PagesOp):
    """Consumer: free the block."""

    name = "tensix.cb_pop_front"


@irdl_op_definition
class ReadOp(IRDLOperation):
    """Start reading the operand's tiles of the current ranges into the block.

    The data are there after `noc_async_read_barrier`. `ahead k`: this block was read in
    the last step of the loop over `k` (the first step reads it now), and what starts is
    the read of the next step's, into the block behind this one, which is reserved. The
    barrier then names the buffer, and waits for this block alone. On the chip the two
    reads have transaction ids of their own.
    """

    name = "tensix.noc_async_read"
    buffer = prop_def(LocalAttr)
    ahead = opt_prop_def(WordAttr)
    noc = opt_prop_def(ExprAttr)
    assembly_format = "$buffer (`ahead` $ahead^)? (`noc` $noc^)? attr-dict"


@irdl_op_definition
class ReadRowsOp(IRDLOperation):
    """Start reading rows of a row-major operand, one transfer for each row."""

    name = "tensix.noc_async_read_rows"
    buffer = prop_def(LocalAttr)
    noc = opt_prop_def(ExprAttr)
    assembly_format = "$buffer (`noc` $noc^)? attr-dict"


@irdl_op_definition
class ReadBarrierOp(IRDLOperation):
    """Wait for all reads that this kernel has started, or for the reserved block of a
    buffer that is read ahead."""

    name = "tensix.noc_async_read_barrier"
    buffer = opt_prop_def(LocalAttr)
    assembly_format = "(`of` $buffer^)? attr-dict"


@irdl_op_definition
class WriteOp(IRDLOperation):
    """Start writing the block to the operand's tiles of the current ranges."""

    name = "tensix.noc_async_write"
    buffer = prop_def(LocalAttr)
    noc = opt_prop_def(ExprAttr)
    assembly_format = "$buffer (`noc` $noc^)? attr-dict"


@irdl_op_definition
class WriteRowsOp(IRDLOperation):
    """Start writing one row of each tile of the block into the operand.

    `row r to s`: row `r` of the tile goes to row `s` of the operand, counted from the
    tile that the map names (`s` may lie in a later tile below it). Both may hold
    run-time scalars. Block floats share exponents and have no rows of their own.
    """

    name = "tensix.noc_async_write_rows"
    buffer = prop_def(LocalAttr)
    row = prop_def(ExprAttr)
    target = prop_def(ExprAttr)
    noc = opt_prop_def(ExprAttr)
    assembly_format = "$buffer `row` $row `to` $target (`noc` $noc^)? attr-dict"


@irdl_op_definition
class ReadScalarsOp(IRDLOperation):
    """Read run-time scalars: the kernel may use them in expressions from here on.

    On a data-movement processor a read from the operand and its barrier; the compute
    processors get the words when that read is done.
    """

    name = "tensix.read_scalars"
    scalars = prop_def(WordAttr)
    assembly_format = "$scalars attr-dict"


@irdl_op_definition
class WriteBarrierOp(IRDLOperation):
    """Wait until all writes that this kernel has started are acknowledged."""

    name = "tensix.noc_async_write_barrier"
    assembly_format = "attr-dict"


@irdl_op_definition
class SendOp(IRDLOperation):
    """Master of a multicast: wait until all receivers have room, send, raise the flag.

    Stands for: wait for `ready` = number of receivers, set it to 0, multicast the
    reserved block, multicast `valid` = 1 behind it.
    """

    name = "tensix.send"
    multicast = prop_def(LocalAttr)
    assembly_format = "$multicast attr-dict"


@irdl_op_definition
class ReceiveOp(IRDLOperation):
    """Receiver of a multicast: say that there is room, wait for the flag.

    Stands for: set `valid` to 0, increment the master's `ready`, wait for `valid` = 1.
    """

    name = "tensix.receive"
    multicast = prop_def(LocalAttr)
    assembly_format = "$multicast attr-dict"


@irdl_op_definition
class ContributeOp(IRDLOperation):
    """Any core of a gather but the first: write the blocks into this core's slot.

    Stands for: wait for `ready` = 1, set it to 0, write each source block to the slot
    of its target on the first core, wait until they are acknowledged, increment
    `arrived` there.
    """

    name = "tensix.contribute"
    gather = prop_def(LocalAttr)
    assembly_format = "$gather attr-dict"


@irdl_op_definition
class CollectOp(IRDLOperation):
    """The first core of a gather: let `count` cores write, and wait for their blocks.

    Stands for: increment `ready` on the `count` next cores of the axis, wait for
    `arrived` = `count`, set it to 0. The targets have been reserved.
    """

    name = "tensix.collect"
    gather = prop_def(LocalAttr)
    count = prop_def(ExprAttr)
    assembly_format = "$gather `from` $count attr-dict"


@irdl_op_definition
class ExchangeOp(IRDLOperation):
    """Any core of a gather of `each`: give every core its piece, and take one's own.

    Stands for: increment `ready` on all cores of the axis, wait for `ready` = their
    number, set it to 0, write to each its piece of the source blocks, wait until they
    are acknowledged, increment `arrived` there, wait for `arrived` = the number of
    cores, set it to 0. The targets have been reserved.
    """

    name = "tensix.exchange"
    gather = prop_def(LocalAttr)
    assembly_format = "$gather attr-dict"


@irdl_op_definition
class MulticastWriteOp(IRDLOperation):
    """Raw multicast of the reserved block to the same address in a rectangle.

    The sender is left out. With `loopback` it is a receiver as all others, and sends
    the operand's tiles of the current ranges, which lie in its own shard.
    """

    name = "tensix.noc_async_write_multicast"
    buffer = prop_def(LocalAttr)
    start = prop_def(PointAttr)
    end = prop_def(PointAttr)
    linked = opt_prop_def(UnitAttr)
    loopback = opt_prop_def(UnitAttr)
    assembly_format = (
        "$buffer `from` $start `to` $end (`linked` $linked^)? (`loopback` $loopback^)? "
        "attr-dict"
    )


@irdl_op_definition
class SemaphoreSetOp(IRDLOperation):
    """Write a semaphore of this core."""

    name = "tensix.noc_semaphore_set"
    semaphore = prop_def(LocalAttr)
    value = prop_def(ExprAttr)
    assembly_format = "$semaphore `,` $value attr-dict"


@irdl_op_definition
class SemaphoreWaitOp(IRDLOperation):
    """Wait until a semaphore of this core holds the value."""

    name = "tensix.noc_semaphore_wait"
    semaphore = prop_def(LocalAttr)
    value = prop_def(ExprAttr)
    assembly_format = "$semaphore `,` $value attr-dict"


@irdl_op_definition
class SemaphoreIncOp(IRDLOperation):
    """Add to a semaphore of another core."""

    name = "tensix.noc_semaphore_inc"
    semaphore = prop_def(LocalAttr)
    core = prop_def(PointAttr)
    value = prop_def(ExprAttr)
    assembly_format = "$semaphore `at` $core `,` $value attr-dict"


@irdl_op_definition
class SemaphoreMulticastOp(IRDLOperation):
    """Write a semaphore on every core of a rectangle, the sender left out.

    With `loopback` the sender is a receiver too.
    """

    name = "tensix.noc_semaphore_set_multicast"
    semaphore = prop_def(LocalAttr)
    start = prop_def(PointAttr)
    end = prop_def(PointAttr)
    value = prop_def(ExprAttr)
    loopback = opt_prop_def(UnitAttr)
    assembly_format = (
        "$semaphore `from` $start `to` $end `,` $value (`loopback` $loopback^)? "
        "attr-dict"
    )


@irdl_op_definition
class FillOp(IRDLOperation):
    """Fill the reserved block by the data-movement processor itself.

    `value v`: every element. `row_scaler v`: v in the first row of each face, the
    scaler of a reduction. `column_scaler v`: v in the first column of the tile; a
    product with it sums along rows. `causal v`: v where the column lies behind the
    row, else 0; the block's axes are then (row, column). `pad v`: v behind the
    operand's true extent, the rest stays. `columns v inside u extent n`: u, but v
    from column n of the last tile on; the last axis of the block counts columns.
    `columns v inside u to n`: v from column n of the axis on; n may hold run-time
    scalars.
    """

    name = "tensix.fill"
    buffer = prop_def(LocalAttr)
    pattern = prop_def(WordAttr)
    value = prop_def(NumberAttr)
    inside = opt_prop_def(NumberAttr)
    extent = opt_prop_def(ExprAttr)
    limit = opt_prop_def(ExprAttr)
    assembly_format = (
        "$buffer $pattern $value (`inside` $inside^)? (`extent` $extent^)? "
        "(`to` $limit^)? attr-dict"
    )

    def verify_(self) -> None:
        if self.pattern.data not in FILLS:
            raise VerifyException(
                f"fill pattern '{self.pattern}' is not one of {', '.join(FILLS)}"
            )
        ends = (self.extent is not None) + (self.limit is not None)
        if (self.inside is not None, ends) != (
            (True, 1) if self.pattern.data == "columns" else (False, 0)
        ):
            raise VerifyException(
                "`inside` and one of `extent` and `to` belong to the pattern columns"
            )


OPERATIONS = [
    ReserveBackOp,
    PushBackOp,
    WaitFrontOp,
    PopFrontOp,
    ReadOp,
    ReadRowsOp,
    ReadBarrierOp,
    WriteOp,
    WriteRowsOp,
    ReadScalarsOp,
    WriteBarrierOp,
    SendOp,
    ReceiveOp,
    ContributeOp,
    CollectOp,
    ExchangeOp,
    MulticastWriteOp,
    SemaphoreSetOp,
    SemaphoreWaitOp,
    SemaphoreIncOp,
    SemaphoreMulticastOp,
    FillOp,
]
