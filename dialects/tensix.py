"""`tensix`: how. Circular buffers, multicasts and the kernels of each core.

The printed form of this dialect is the netlist. Names are those of TT-Metalium; an
instruction works on a *block* of tiles. Inside a program every name is local (`%a`)
and every axis names a *current range* (`k.start`, `k.size`): a core's part at first,
one block of it inside `for k`. An instruction applies to the current ranges of the
axes of its circular buffers, so that no trip count, tile number or page count is ever
written down: they follow from the axes.
"""

from __future__ import annotations

from xdsl.dialects.builtin import StringAttr, UnitAttr
from xdsl.ir import Dialect
from xdsl.irdl import (
    IRDLOperation,
    Region,
    irdl_op_definition,
    opt_prop_def,
    prop_def,
    region_def,
    traits_def,
)
from xdsl.traits import NoTerminator
from xdsl.utils.exceptions import VerifyException

from dialects import tensix_compute, tensix_movement
from dialects.formats import DataFormat, Fidelity, UnsupportedFormatError
from dialects.recipe import RecipeError, parse_recipe
from dialects.syntax import (
    AxesAttr,
    DstAttr,
    ExprAttr,
    GlobalAttr,
    GlobalsAttr,
    LocalAttr,
    LocalsAttr,
    MapAttr,
    NumberAttr,
    PointAttr,
    ShapeAttr,
    TextAttr,
    WordAttr,
)
from dialects.tensix_params import ParametersAttr

MEMORIES = ("dram", "l1")
LAYOUTS = ("tiled", "row_major")
LINES = ("x", "y", "xy")
SPREADS = (*LINES, "banks")
DST_MODES = ("fp32", "bf16")
PROCESSORS = {"reader": "riscv1", "writer": "riscv0", "compute": "trisc"}


def _one_of(what: str, word: str, allowed: tuple[str, ...]) -> None:
    if word not in allowed:
        raise VerifyException(f"{what} '{word}' is not one of {', '.join(allowed)}")


def _require_format(word: str) -> None:
    """Refuse an unknown format, and one of the chip that is not modelled, with why."""
    try:
        DataFormat.parse(word)
    except UnsupportedFormatError as error:
        if error.advice is None:
            _one_of("format", word, tuple(DataFormat))
        raise VerifyException(f"{error.message}; {error.advice}") from None


@irdl_op_definition
class NetlistOp(IRDLOperation):
    """All that runs on the chip: buffers, programs, and the runs in their order."""

    name = "tensix.netlist"
    sym_name = prop_def(GlobalAttr)
    version = prop_def(ExprAttr)
    chip = prop_def(StringAttr)
    body = region_def("single_block")
    traits = traits_def(NoTerminator())
    assembly_format = (
        "$sym_name `version` $version `chip` $chip attr-dict-with-keyword $body"
    )

    def verify_(self) -> None:
        if self.version.value != 1:
            raise VerifyException(
                f"netlist version {self.version} is not known; this forge reads 1"
            )


@irdl_op_definition
class BufferOp(IRDLOperation):
    """A tensor in DRAM or L1. `$` in the name stands for the instances 0 to `last`.

    The shape is in elements, the last two dimensions are tiled (or rows, where
    `row_major`). `shards 4x8` cuts the tiles into 4 rows and 8 columns of equal parts
    (the last may be smaller), each stored row by row; part (i, j) lies in L1 of core
    (x=j, y=i) or, `over xy`, of the core that has its number, both counted row by row;
    in DRAM it lies whole in bank `number mod banks`. `from` gives the recipe over
    parameters of the weights file.
    """

    name = "tensix.buffer"
    sym_name = prop_def(GlobalAttr)
    last = opt_prop_def(ExprAttr)
    memory = prop_def(WordAttr)
    data_format = prop_def(WordAttr)
    shape = prop_def(ShapeAttr)
    row_major = opt_prop_def(UnitAttr)
    shards = opt_prop_def(ShapeAttr)
    shards_over = opt_prop_def(WordAttr)
    role = opt_prop_def(WordAttr)
    recipe = opt_prop_def(StringAttr)
    assembly_format = (
        "$sym_name (`last` $last^)? $memory $data_format $shape "
        "(`row_major` $row_major^)? (`shards` $shards^)? (`over` $shards_over^)? "
        "(`role` $role^)? (`from` $recipe^)? attr-dict"
    )

    def verify_(self) -> None:
        _one_of("memory", self.memory.data, MEMORIES)
        _require_format(self.data_format.data)
        if self.role is not None:
            _one_of("role", self.role.data, ("input", "output", "cache"))
        if len(self.shape.data) < 2 or min(self.shape.data) < 1:
            raise VerifyException(
                f"shape {self.shape} needs two or more dimensions of at least 1"
            )
        if DataFormat(self.data_format.data).is_block_float and self.row_major:
            raise VerifyException("a block float shares exponents and must be tiled")
        self._verify_shards()
        if ("$" in self.sym_name.data) != (self.last is not None):
            raise VerifyException("`last` and a `$` in the name belong together")
        if self.recipe is not None:
            try:
                parse_recipe(self.recipe.data)
            except RecipeError as error:
                raise VerifyException(str(error)) from error

    def _verify_shards(self) -> None:
        if self.shards is not None:
            if self.row_major is not None:
                raise VerifyException("`shards` are parts of a tiled buffer")
            if len(self.shards.data) != 2 or min(self.shards.data) < 1:
                raise VerifyException(
                    f"shards {self.shards} are not rows x columns of parts"
                )
        if self.shards_over is not None:
            _one_of("order of shards", self.shards_over.data, ("xy",))
            if self.shards is None or self.memory.data != "l1":
                raise VerifyException("`over` says how `shards` in l1 are counted")


@irdl_op_definition
class RunOp(IRDLOperation):
    """One launch of a program, with a buffer for each of its parameters."""

    name = "tensix.run"
    program = prop_def(GlobalAttr)
    buffers = prop_def(GlobalsAttr)
    assembly_format = "$program $buffers attr-dict"


@irdl_op_definition
class EntryOp(IRDLOperation):
    """A sequence of runs that the host starts as one: `prefill_128`, `decode`.

    Buffers of role `cache` keep what one entry wrote for the next; all weights and
    programs are shared. Runs outside of any entry are the entry `main`.
    """

    name = "tensix.entry"
    sym_name = prop_def(GlobalAttr)
    body = region_def("single_block")
    traits = traits_def(NoTerminator())
    assembly_format = "$sym_name attr-dict-with-keyword $body"


@irdl_op_definition
class HostOp(IRDLOperation):
    """A step that the chip cannot do and the host does: visible, and counted."""

    name = "tensix.host"
    step = prop_def(StringAttr)
    buffers = prop_def(GlobalsAttr)
    assembly_format = "$step $buffers attr-dict"


@irdl_op_definition
class ProgramOp(IRDLOperation):
    """The work of one launch, written once for all cores and all runs."""

    name = "tensix.program"
    sym_name = prop_def(GlobalAttr)
    parameters = prop_def(ParametersAttr)
    fidelity = prop_def(WordAttr)
    dst = prop_def(WordAttr)
    full_sync = opt_prop_def(UnitAttr)
    source = opt_prop_def(TextAttr)
    body = region_def("single_block")
    traits = traits_def(NoTerminator())
    assembly_format = (
        "$sym_name $parameters `fidelity` $fidelity `dst` $dst "
        "(`full_sync` $full_sync^)? (`source` $source^)? attr-dict-with-keyword $body"
    )

    def verify_(self) -> None:
        _one_of("fidelity", self.fidelity.data, tuple(Fidelity))
        _one_of("dst", self.dst.data, DST_MODES)


@irdl_op_definition
class AxisOp(IRDLOperation):
    """An axis of a program: extent, the cores it is spread over, unit and block.

    `over x 8` gives each of 8 columns an equal run of `part` tiles, a multiple of
    `unit`; `over xy 18 stride 2` counts cores row by row and takes digit
    `(core floordiv 2) mod 18`; `over banks 24` counts the cores beside the DRAM banks,
    one of each bank first. `block` is what one step of `for` covers. `dealt` gives each
    core one block after another in turn, instead of a run of its own. `n1 28 of n over
    y 4` shares out what a core has of axis `n` among cores that all have it.
    """

    name = "tensix.axis"
    sym_name = prop_def(WordAttr)
    extent = prop_def(ExprAttr)
    of = opt_prop_def(WordAttr)
    over = opt_prop_def(WordAttr)
    cores = opt_prop_def(ExprAttr)
    stride = opt_prop_def(ExprAttr)
    unit = opt_prop_def(ExprAttr)
    block = opt_prop_def(ExprAttr)
    dealt = opt_prop_def(UnitAttr)
    assembly_format = (
        "$sym_name $extent (`of` $of^)? (`over` $over^ $cores)? (`stride` $stride^)? "
        "(`unit` $unit^)? (`block` $block^)? (`dealt` $dealt^)? attr-dict"
    )

    def verify_(self) -> None:
        for what in ("extent", "cores", "stride", "unit", "block"):
            attr = getattr(self, what)
            if attr is not None and attr.value < 1:
                raise VerifyException(
                    f"axis {self.sym_name}: {what} is {attr}, but must be at least 1"
                )
        if self.over is not None:
            _one_of("spread", self.over.data, SPREADS)


@irdl_op_definition
class ScalarsOp(IRDLOperation):
    """Run-time scalars: the elements of an integer operand, within a range.

    `scalars pos of %positions from 0 to 2047`: `pos[u]` may then stand in bounds,
    guards and maps; kernels read them first (`read_scalars pos`). Both ends belong to
    the range; checks hold for all of it.
    """

    name = "tensix.scalars"
    sym_name = prop_def(WordAttr)
    operand = prop_def(LocalAttr)
    low = prop_def(ExprAttr)
    high = prop_def(ExprAttr)
    assembly_format = "$sym_name `of` $operand `from` $low `to` $high attr-dict"

    def verify_(self) -> None:
        if self.low.value > self.high.value:
            raise VerifyException(
                f"scalars {self.sym_name}: the range {self.low} to {self.high} is empty"
            )


@irdl_op_definition
class CircularBufferOp(IRDLOperation):
    """A circular buffer: `depth` blocks of pages, each block spanning some axes.

    `of %x[m, k]` fills or drains it from an operand through an index map and takes
    its format; a local one states its format. `over %x[m, k]` lies over the operand's
    shard on this core: a push lends the tiles of an `in` operand to the consumer, a
    pop leaves the tiles of an `out` operand in the shard, and nothing is moved.
    `shares %b` lies at the address of another buffer of equal pages: one of the two
    may hold something in a page at a time. A page is a tile, or with `rows` one row of
    elements.
    """

    name = "tensix.cb"
    sym_name = prop_def(LocalAttr)
    block = prop_def(AxesAttr)
    data_format = opt_prop_def(WordAttr)
    rows = opt_prop_def(UnitAttr)
    operand = opt_prop_def(LocalAttr)
    map = opt_prop_def(MapAttr)
    shard = opt_prop_def(LocalAttr)
    shard_map = opt_prop_def(MapAttr)
    depth = opt_prop_def(ExprAttr)
    shares = opt_prop_def(LocalAttr)
    assembly_format = (
        "$sym_name $block (`format` $data_format^)? (`rows` $rows^)? "
        "(`of` $operand^ $map)? (`over` $shard^ $shard_map)? (`depth` $depth^)? "
        "(`shares` $shares^)? attr-dict"
    )

    def verify_(self) -> None:
        sources = (self.operand, self.shard, self.data_format)
        if all(source is None for source in sources):
            raise VerifyException(
                f"cb {self.sym_name} states neither an operand (`of`) nor a format"
            )
        others = (self.operand, self.data_format, self.rows)
        if self.shard is not None and any(other is not None for other in others):
            raise VerifyException(
                f"cb {self.sym_name} lies over a shard, so it takes no `of`, format "
                "or rows of its own"
            )
        if self.data_format is not None:
            _require_format(self.data_format.data)
        if self.depth is not None and self.depth.value < 1:
            raise VerifyException(f"cb {self.sym_name}: depth must be at least 1")


@irdl_op_definition
class SemaphoreOp(IRDLOperation):
    """A semaphore: one L1 word, at the same address on every core."""

    name = "tensix.semaphore"
    sym_name = prop_def(LocalAttr)
    initial = prop_def(ExprAttr)
    assembly_format = "$sym_name `initial` $initial attr-dict"


@irdl_op_definition
class MulticastOp(IRDLOperation):
    """A multicast: `of %a along x from (0, y)`, one master to a line or rectangle.

    `along x` reaches the row of the master, `along y` its column, `along xy` all
    cores of the program. A send is a block, or with `pieces [m.1, k]` the pages of the
    current ranges, up to so many, which lie together. Semaphores `%name.ready` (count
    of receivers that have room) and `%name.valid` (flag that data have landed) belong
    to it.
    """

    name = "tensix.multicast"
    sym_name = prop_def(LocalAttr)
    buffer = prop_def(LocalAttr)
    pieces = opt_prop_def(AxesAttr)
    along = prop_def(WordAttr)
    master = prop_def(PointAttr)
    noc = prop_def(ExprAttr)
    linked = opt_prop_def(UnitAttr)
    assembly_format = (
        "$sym_name `of` $buffer (`pieces` $pieces^)? `along` $along `from` $master "
        "`noc` $noc (`linked` $linked^)? attr-dict"
    )

    def verify_(self) -> None:
        _one_of("direction", self.along.data, LINES)
        if self.noc.value not in (0, 1):
            raise VerifyException(f"noc {self.noc} does not exist; there are 0 and 1")


@irdl_op_definition
class GatherOp(IRDLOperation):
    """Partial results on their way to one core: `of (%a) into (%b) along s noc 1`.

    Cores that differ in their place along an axis each write their block of the first
    buffers into a slot of their own in the second ones, on the first core of the axis.
    A slot is a block; there is one for each core but the first. With `each`, every core
    of the axis gets its piece of each block, its own too: the tiles that its parts of
    the target's axes name, which are `of` those of the source; where no `noc` is
    stated, on the one whose way is shorter. Semaphores `%name.ready`
    (there is room) and `%name.arrived` (count of blocks that have landed) belong to it.
    """

    name = "tensix.gather"
    sym_name = prop_def(LocalAttr)
    sources = prop_def(LocalsAttr)
    targets = prop_def(LocalsAttr)
    along = prop_def(WordAttr)
    each = opt_prop_def(UnitAttr)
    noc = opt_prop_def(ExprAttr)
    assembly_format = (
        "$sym_name `of` $sources `into` $targets `along` $along (`each` $each^)? "
        "(`noc` $noc^)? attr-dict"
    )

    def verify_(self) -> None:
        if len(self.sources.data) != len(self.targets.data):
            raise VerifyException(
                f"gather {self.sym_name} has {len(self.sources.data)} sources and "
                f"{len(self.targets.data)} targets"
            )
        if self.noc is None and self.each is None:
            raise VerifyException(f"gather {self.sym_name} states no noc")
        if self.noc is not None and self.noc.value not in (0, 1):
            raise VerifyException(f"noc {self.noc} does not exist; there are 0 and 1")


@irdl_op_definition
class KernelOp(IRDLOperation):
    """What one processor of every active core executes.

    A data-movement kernel runs on `riscv0` or `riscv1` and names its NoC; the
    compute kernel runs on the three `trisc` (unpack, math, pack).
    """

    name = "tensix.kernel"
    sym_name = prop_def(WordAttr)
    processor = prop_def(WordAttr)
    noc = opt_prop_def(ExprAttr)
    body = region_def("single_block")
    traits = traits_def(NoTerminator())
    assembly_format = (
        "$sym_name `on` $processor (`noc` $noc^)? attr-dict-with-keyword $body"
    )

    def verify_(self) -> None:
        _one_of("processor", self.processor.data, ("riscv0", "riscv1", "trisc"))
        if (self.processor.data == "trisc") != (self.noc is None):
            raise VerifyException(
                "a kernel on riscv0 or riscv1 names its noc; trisc reaches none"
            )


@irdl_op_definition
class ForOp(IRDLOperation):
    """Narrow an axis to one block after another; `by` overrides the axis's block.

    Every core takes the same number of steps, so that handshakes match; where the
    extent ends early the range is empty and the instructions in it do nothing.
    `to` ends the loop at an expression (causal attention: `to m.stop`).
    """

    name = "tensix.for"
    axis = prop_def(WordAttr)
    by = opt_prop_def(ExprAttr)
    to = opt_prop_def(ExprAttr)
    body = region_def("single_block")
    traits = traits_def(NoTerminator())
    assembly_format = "$axis (`by` $by^)? (`to` $to^)? attr-dict-with-keyword $body"


@irdl_op_definition
class IfOp(IRDLOperation):
    """A branch on coordinates or ranges: masters of a multicast, the last block."""

    name = "tensix.if"
    condition = prop_def(ExprAttr)
    then = region_def("single_block")
    traits = traits_def(NoTerminator())
    assembly_format = "$condition attr-dict-with-keyword $then"


def regions_of(op: IRDLOperation) -> tuple[Region, ...]:
    """Return the regions of a control-flow operation."""
    return tuple(op.regions)


Tensix = Dialect(
    "tensix",
    [
        NetlistOp,
        BufferOp,
        RunOp,
        HostOp,
        EntryOp,
        ProgramOp,
        AxisOp,
        ScalarsOp,
        CircularBufferOp,
        SemaphoreOp,
        MulticastOp,
        GatherOp,
        KernelOp,
        ForOp,
        IfOp,
        *tensix_movement.OPERATIONS,
        *tensix_compute.OPERATIONS,
    ],
    [
        AxesAttr,
        DstAttr,
        ExprAttr,
        GlobalAttr,
        GlobalsAttr,
        LocalAttr,
        LocalsAttr,
        MapAttr,
        NumberAttr,
        ParametersAttr,
        PointAttr,
        ShapeAttr,
        TextAttr,
        WordAttr,
    ],
)
