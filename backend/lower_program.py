"""From a placed program to its kernels: one mechanism over axes, stages and maps.

Three kernels walk the same loops. The *reader* (riscv1) loads what is streamed; the
*writer* (riscv0) writes results, fills masks and scalers and, where the reader streams
weights, loads the resident operands; *compute* waits, computes in Dst, and packs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import StringAttr, UnitAttr
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from backend import build
from backend.build import Body
from dialects import tensix, ttir
from dialects import tensix_compute as compute
from dialects import tensix_movement as movement
from dialects.expr import Binary, Const, Expr, Name
from dialects.grid import NO_AXIS, CausalMaskOp, ProgramOp, StageOp, Use
from dialects.program import Axis
from dialects.syntax import (
    AxesAttr,
    ExprAttr,
    GlobalAttr,
    LocalAttr,
    MapAttr,
    PointAttr,
    WordAttr,
)
from dialects.tensix_params import ParametersAttr
from dialects.ttir.base import shape_of
from passes.dst_plan import Copy, DstPlan, Matrix, Unary, Vector, capacity
from passes.schedule import Operand, Schedule, masks_of

LOWEST = -3.3895313892515355e38
"""The lowest finite bf16; what a mask adds (-inf minus -inf would be no number)."""


@dataclass(frozen=True)
class _Tiles:
    """A circular buffer of the program: what it holds and how it is declared."""

    name: str
    value: SSAValue | None
    op: tensix.CircularBufferOp


def lower_program(program: ProgramOp, name: str, source: str) -> tensix.ProgramOp:
    """Return the kernels of a program as a `tensix.program` called `name`."""
    return _Lowering(program, name, source).run()


class _Lowering:
    """Declares circular buffers, then builds the three kernels."""

    def __init__(self, program: ProgramOp, name: str, source: str):
        self.program = program
        self.name = name
        self.source = source
        self.schedule = Schedule(program)
        self.axes: dict[str, Axis] = program.axes.by_name()
        self.outer = self.schedule.outer
        self.capacity = capacity(fp32_dst=program.dst.data == "fp32", full_sync=False)
        self.parameters = _parameter_names(program)
        self.uses = dict(
            zip(program.body.block.args, program.uses.data, strict=True)
        )
        self.buffers: dict[SSAValue | str, _Tiles] = {}
        self.multicasts: dict[SSAValue, tensix.MulticastOp] = {}
        self.streams_weights = any(
            self.schedule.weights_of(i) for i in range(len(self.schedule.stages))
        )

    def run(self) -> tensix.ProgramOp:
        """Build the program."""
        self._declare_operands()
        self._declare_locals()
        self._declare_outputs()
        kernels = [
            self._kernel("reader", "riscv1", 0, self._reader),
            self._kernel("compute", "trisc", None, self._compute),
            self._kernel("writer", "riscv0", 1, self._writer),
        ]
        body = Block(
            [
                *(self._axis(axis) for axis in self.axes.values()),
                *(tiles.op for tiles in self.buffers.values()),
                *self.multicasts.values(),
                *(kernel for kernel in kernels if kernel.body.block.first_op),
            ]
        )
        ways = [("in", n) for n in self.parameters[: len(self.program.inputs)]]
        ways += [("out", n) for n in self.parameters[len(self.program.inputs) :]]
        return tensix.ProgramOp.create(
            properties={
                "sym_name": GlobalAttr(self.name),
                "parameters": ParametersAttr(tuple(ways)),
                "fidelity": self.program.fidelity,
                "dst": self.program.dst,
                "source": StringAttr(self.source),
            },
            regions=[Region(body)],
        )

    def _axis(self, axis: Axis) -> tensix.AxisOp:
        properties: dict[str, Attribute] = {
            "sym_name": WordAttr(axis.name),
            "extent": _number(axis.extent),
            "block": _number(axis.block),
        }
        if axis.over is not None and axis.cores > 1:
            properties |= {"over": WordAttr(axis.over), "cores": _number(axis.cores)}
            if axis.stride > 1:
                properties["stride"] = _number(axis.stride)
        return tensix.AxisOp.create(properties=properties)

    def _kernel(
        self,
        name: str,
        processor: str,
        noc: int | None,
        inner: Callable[[int], list[Operation]],
    ) -> tensix.KernelOp:
        properties: dict[str, Attribute] = {
            "sym_name": WordAttr(name),
            "processor": WordAttr(processor),
        }
        if noc is not None:
            properties["noc"] = _number(noc)
        return tensix.KernelOp.create(
            properties=properties, regions=[Region(Block(inner(0)))]
        )

    # -- circular buffers ----------------------------------------------------------

    def _declare(
        self,
        key: SSAValue | str,
        name: str,
        entries: Iterable[str],
        **properties: Attribute,
    ) -> None:
        op = tensix.CircularBufferOp.create(
            properties={
                "sym_name": LocalAttr(name),
                "block": AxesAttr(tuple(entries)),
                **properties,
            }
        )
        value = None if isinstance(key, str) else key
        self.buffers[key] = _Tiles(name, value, op)

    def _whole(self, axes: Iterable[str]) -> list[str]:
        """Block entries of what stays: outer axes step by step, others a core's part."""
        return [a if a in self.outer else f"{a}.part" for a in axes]

    def _declare_operands(self) -> None:
        for operand in self.schedule.operands:
            use = self.uses[operand.value]
            parameter = self.parameters[operand.value.index]  # type: ignore[union-attr]
            entries = self._whole(operand.axes) if operand.resident else operand.axes
            if self._keeps_weight_column(operand):
                entries = [a if a in self._output_axes() else f"{a}.part" for a in entries]
            index = self._index_of(operand.value)
            row: str | Expr = use.map[0] if index is None else f"cb_{index}"
            properties: dict[str, Attribute] = {
                "operand": LocalAttr(parameter),
                "map": MapAttr((row, use.map[1])),
            }
            if index is not None:
                properties["rows"] = UnitAttr()
                entries = self._embedding_axes()
            if not operand.resident:
                properties["depth"] = _number(2)
            self._declare(operand.value, f"cb_{parameter}", entries, **properties)
            if use.along is not None:
                self._declare_multicast(operand, parameter, use)

    def _embedding_axes(self) -> tuple[str, ...]:
        return tuple(self.schedule.axes.real(self.schedule.stages[0].results[0]))

    def _index_of(self, value: SSAValue) -> str | None:
        """The parameter of the index, where a value is a table that is gathered."""
        for op in self.schedule.stages[0].body.block.ops:
            if isinstance(op, ttir.EmbeddingOp) and op.weight is value:
                assert op.input in self.uses
                return self.parameters[op.input.index]  # type: ignore[union-attr]
        return None

    def _output_axes(self) -> tuple[str, ...]:
        return self.schedule.axes.real(self.schedule.outputs[0])

    def _keeps_weight_column(self, operand: Operand) -> bool:
        """Weights of a column block stay while the rows of a core pass by."""
        if operand.stage is None:
            return False
        return operand.value in self.schedule.weights_of(
            operand.stage
        ) and self._rows_inside(self.schedule.stages[operand.stage])

    def _rows_inside(self, stage: StageOp) -> bool:
        own = self._own(stage)
        return len(own) > 1 and self.axes[own[0]].part > self.axes[own[0]].block

    def _declare_multicast(self, operand: Operand, parameter: str, use: Use) -> None:
        master = {
            "x": (Const(0), Name("y")),
            "y": (Name("x"), Const(0)),
            "xy": (Const(0), Const(0)),
        }[use.along or "xy"]
        self.multicasts[operand.value] = tensix.MulticastOp.create(
            properties={
                "sym_name": LocalAttr(f"mc_{parameter}"),
                "buffer": LocalAttr(f"cb_{parameter}"),
                "along": WordAttr(use.along or "xy"),
                "master": PointAttr(master),
                "noc": _number(0),
                "linked": UnitAttr(),
            }
        )

    def _declare_locals(self) -> None:
        for number, local in enumerate(self.schedule.locals):
            properties = {"data_format": WordAttr(local.data_format)}
            self._declare(
                local.value, f"cb_t{number}", self._whole(local.axes), **properties
            )
        for number, stage in enumerate(self.schedule.stages):
            reductions = [o for o in stage.body.block.ops if isinstance(o, ttir.ReductionOp)]
            if reductions and "one" not in self.buffers:
                self._declare("one", "cb_one", (), data_format=WordAttr("bf16"))
            if any(_product(op) is not None for op in reductions):
                entries = self.schedule.axes.real(stage.results[0])
                self._declare(
                    f"sum{number}", f"cb_s{number}", entries, data_format=WordAttr("fp32")
                )
            for mask in masks_of(stage):
                axes = self._mask_axes(mask.results[0])
                self._declare(
                    mask.results[0],
                    f"cb_mask{number}",
                    self._whole(axes),
                    data_format=WordAttr("bf16"),
                )

    def _mask_axes(self, mask: SSAValue) -> tuple[str, ...]:
        axes = self.schedule.axes.of(mask)[-2:]
        return tuple(a for a in axes if a != NO_AXIS)

    def _declare_outputs(self) -> None:
        first = len(self.program.inputs)
        for number, (value, use) in enumerate(
            zip(self.schedule.outputs, self.program.makes.data, strict=True)
        ):
            parameter = self.parameters[first + number]
            self._declare(
                value,
                f"cb_{parameter}",
                self.schedule.axes.real(value),
                operand=LocalAttr(parameter),
                map=MapAttr(use.map),
                depth=_number(2),
            )

    # -- loops -----------------------------------------------------------------------

    def _own(self, stage: StageOp) -> tuple[str, ...]:
        """Axes of a stage's results that are not looped outside."""
        axes = self.schedule.axes.real(stage.results[0])
        return tuple(axis for axis in axes if axis not in self.outer)

    def _order(self, stage: StageOp) -> tuple[str, ...]:
        own = self._own(stage)
        if self._rows_inside(stage) and self._has_weights(stage):
            return (own[-1], *own[:-1])
        return own

    def _has_weights(self, stage: StageOp) -> bool:
        return bool(self.schedule.weights_of(self.schedule.stages.index(stage)))

    def _nest(
        self, axes: Sequence[str], inner: list[Operation], steps: dict[str, int] | None = None
    ) -> list[Operation]:
        for axis in reversed(axes):
            if not inner:
                return []
            by = None if steps is None else steps.get(axis)
            inner = [build.loop(axis, inner, by)]
        return inner

    def _depth_loops(
        self, depth: int, inner: Callable[[int], list[Operation]]
    ) -> list[Operation]:
        if depth == len(self.outer):
            return []
        body = inner(depth + 1)
        return [build.loop(self.outer[depth], body, None)] if body else []

    # -- reader ------------------------------------------------------------------------

    def _reader(self, depth: int) -> list[Operation]:
        body = Body()
        if not self.streams_weights:
            body.extend(self._load_residents(depth, noc=None))
        body.extend(self._depth_loops(depth, self._reader))
        if depth == len(self.outer):
            for number, stage in enumerate(self.schedule.stages):
                body.extend(self._stream(number, stage))
        return body.ops

    def _load_residents(self, depth: int, noc: int | None) -> list[Operation]:
        ops: list[Operation] = []
        for operand in self.schedule.operands:
            if operand.resident and operand.depth == depth:
                ops += self._load(operand.value, noc)
        return ops

    def _load(self, value: SSAValue, noc: int | None) -> list[Operation]:
        """Reserve, read (or take part in a multicast), push."""
        name = self.buffers[value].name
        body = Body()
        body.reserve(name)
        cast = self.multicasts.get(value)
        read = Body()
        read.read(name, noc)
        if cast is None:
            body.extend(read.ops)
        else:
            sent = cast.sym_name.data
            read.add(movement.SendOp, multicast=LocalAttr(sent))
            receive = Body()
            receive.add(movement.ReceiveOp, multicast=LocalAttr(sent))
            place = _distance(cast.along.data)
            body.extend([build.branch(Binary("==", place, Const(0)), read.ops)])
            body.extend([build.branch(Binary(">", place, Const(0)), receive.ops)])
        body.push(name)
        return body.ops

    def _stream(self, number: int, stage: StageOp) -> list[Operation]:
        streamed = [o for o in self.schedule.operands if o.stage == number]
        if not streamed:
            return []
        embedding = _embedding(stage)
        if embedding is not None:
            return self._stream_rows(stage, embedding)
        weights = self.schedule.weights_of(number)
        others = [o.value for o in streamed if o.value not in weights]
        inner_axes = self._reduced(stage)
        load_weights = [op for w in weights for op in self._load(w, None)]
        load_others = [op for v in others for op in self._load(v, None)]
        if weights and self._rows_inside(stage):
            rows = self._nest(self._own(stage)[:-1], load_others)
            return self._nest(self._own(stage)[-1:], [*load_weights, *rows])
        inner = self._nest(inner_axes, load_weights) if weights else []
        return self._nest(self._order(stage), [*inner, *load_others])

    def _reduced(self, stage: StageOp) -> tuple[str, ...]:
        own = self.schedule.axes.real(stage.results[0])
        return tuple(axis for axis in stage.over.data if axis not in own)

    def _stream_rows(self, stage: StageOp, op: ttir.EmbeddingOp) -> list[Operation]:
        index, table = self.buffers[op.input].name, self.buffers[op.weight].name
        *rows, column = self._own(stage)
        gather = Body()
        gather.reserve(table)
        gather.add(movement.ReadRowsOp, buffer=LocalAttr(table))
        gather.add(movement.ReadBarrierOp)
        gather.push(table)
        body = Body()
        body.reserve(index)
        body.read(index, None)
        body.push(index)
        body.wait(index)
        body.extend(self._nest([column], gather.ops))
        body.pop(index)
        return self._nest(rows, body.ops)

    # -- writer ------------------------------------------------------------------------

    def _writer(self, depth: int) -> list[Operation]:
        body = Body()
        if depth == 0 and "one" in self.buffers:
            body.fill("cb_one", "row_scaler", 1.0)
        if self.streams_weights:
            body.extend(self._load_residents(depth, noc=0))
        body.extend(self._depth_loops(depth, self._writer))
        if depth == len(self.outer):
            for stage in self.schedule.stages:
                body.extend(self._fill_masks(stage))
            for stage in self.schedule.stages:
                body.extend(self._write(stage))
        return body.ops

    def _fill_masks(self, stage: StageOp) -> list[Operation]:
        body = Body()
        for mask in masks_of(stage):
            name = self.buffers[mask.results[0]].name
            if isinstance(mask, CausalMaskOp):
                body.fill(name, "causal", LOWEST)
            else:
                body.fill_edge(name, mask)
        return body.ops

    def _write(self, stage: StageOp) -> list[Operation]:
        inner = Body()
        for value in stage.results:
            if value in self.schedule.outputs:
                name = self.buffers[value].name
                inner.wait(name)
                inner.add(movement.WriteOp, buffer=LocalAttr(name))
                inner.add(movement.WriteBarrierOp)
                inner.pop(name)
        return self._nest(self._order(stage), inner.ops)

    # -- compute -----------------------------------------------------------------------

    def _compute(self, depth: int) -> list[Operation]:
        body = Body()
        residents = [
            self.buffers[o.value].name
            for o in self.schedule.operands
            if o.resident and o.depth == depth
        ]
        if depth == 0 and "one" in self.buffers:
            residents.append("cb_one")
        masks = []
        if depth == len(self.outer):
            masks = [
                self.buffers[m.results[0]].name
                for stage in self.schedule.stages
                for m in masks_of(stage)
            ]
        for name in (*residents, *masks):
            body.wait(name)
        body.extend(self._depth_loops(depth, self._compute))
        if depth == len(self.outer):
            self._compute_stages(body)
        for name in (*masks, *residents):
            body.pop(name)
        return body.ops

    def _compute_stages(self, body: Body) -> None:
        last_reader = {
            local.value: max(
                i
                for i, stage in enumerate(self.schedule.stages)
                if any(local.value in op.operands for op in stage.body.block.ops)
            )
            for local in self.schedule.locals
        }
        for number, stage in enumerate(self.schedule.stages):
            made = [v for v in stage.results if v not in self.schedule.outputs]
            for value in made:
                body.reserve(self.buffers[value].name)
            body.extend(self._compute_stage(number, stage))
            for value in made:
                body.push(self.buffers[value].name)
                body.wait(self.buffers[value].name)
            for value, last in last_reader.items():
                if last == number:
                    body.pop(self.buffers[value].name)

    def _compute_stage(self, number: int, stage: StageOp) -> list[Operation]:
        if _embedding(stage) is not None:
            return self._compute_rows(stage)
        plan = self.schedule.plans[number]
        steps = self._sub_blocks(stage, plan)
        contraction = [o for o in plan.accumulators if isinstance(o, ttir.MatmulOp)]
        if contraction:
            return self._compute_matmul(number, stage, plan, steps)
        if plan.accumulators:
            return self._compute_reduction(number, stage, plan)
        return self._compute_elementwise(number, stage, plan, steps)

    def _sub_blocks(self, stage: StageOp, plan: DstPlan) -> dict[str, int]:
        """How far each axis of a stage goes in one Dst section."""
        room = max(1, self.capacity // max(plan.registers, 1))
        own = self._own(stage)
        outputs = any(v in self.schedule.outputs for v in stage.results)
        number = self.schedule.stages.index(stage)
        blocked = outputs or bool(self._streamed_names(number))
        steps = {}
        for axis in reversed(own):
            size = self.axes[axis].block if blocked else self.axes[axis].part
            steps[axis] = min(room, size)
            room = max(1, room // steps[axis])
        if outputs and plan.accumulators:
            steps = {axis: self.axes[axis].block for axis in own}
        return steps

    def _section(
        self, stage: StageOp, plan: DstPlan, tiles: int, before: list[Operation], waits: list[str]
    ) -> list[Operation]:
        """Acquire, contract, finish, commit, pack, release."""
        body = Body()
        body.add(compute.AcquireOp)
        body.extend(before)
        for name in waits:
            body.wait(name)
        axes = AxesAttr(self.schedule.axes.real(stage.results[0]))
        for step in plan.steps:
            self._step(body, step, tiles, axes)
        body.add(compute.CommitOp)
        body.add(compute.RegsWaitOp)
        self._pack(body, stage, plan, tiles, axes)
        body.add(compute.ReleaseOp)
        for name in waits:
            body.pop(name)
        return body.ops

    def _pack(
        self, body: Body, stage: StageOp, plan: DstPlan, tiles: int, axes: AxesAttr
    ) -> None:
        inside = stage.body.block.last_op
        assert inside is not None
        for value, result in zip(inside.operands, stage.results, strict=True):
            name = self.buffers[result].name
            streamed = result in self.schedule.outputs
            if streamed:
                body.reserve(name)
            body.add(
                compute.PackTilesOp,
                dst=build.dst(plan.results[value] * tiles),
                axes=axes,
                buffer=LocalAttr(name),
            )
            if streamed:
                body.push(name)

    def _step(self, body: Body, step: object, tiles: int, axes: AxesAttr) -> None:
        if isinstance(step, Copy):
            body.add(
                compute.CopyTilesOp,
                buffer=self._name(step.source),
                broadcast=build.word(step.broadcast),
                axes=axes,
                dst=build.dst(step.target * tiles),
            )
        elif isinstance(step, Matrix):
            kinds = {
                "add": compute.AddTilesOp,
                "sub": compute.SubTilesOp,
                "mul": compute.MulTilesOp,
            }
            body.add(
                kinds[step.function],
                lhs=self._name(step.lhs),
                rhs=self._name(step.rhs),
                broadcast=build.word(step.broadcast),
                axes=axes,
                dst=build.dst(step.target * tiles),
            )
        elif isinstance(step, Unary):
            body.unary(step.function, step.target * tiles, axes, step.scalar)
        elif isinstance(step, Vector):
            body.add(
                compute.BINARY_OPS[step.function],
                lhs=build.dst(step.target * tiles),
                rhs=build.dst(step.other * tiles),
                axes=axes,
            )

    def _name(self, value: SSAValue) -> LocalAttr:
        return LocalAttr(self.buffers[value].name)

    def _streamed_names(self, number: int, but: Sequence[SSAValue] = ()) -> list[str]:
        return [
            self.buffers[o.value].name
            for o in self.schedule.operands
            if o.stage == number and o.value not in but
        ]

    def _compute_elementwise(
        self, number: int, stage: StageOp, plan: DstPlan, steps: dict[str, int]
    ) -> list[Operation]:
        tiles = _product_of(steps.values())
        section = self._section(stage, plan, tiles, [], [])
        own = self._own(stage)
        names = self._streamed_names(number)
        if not names and not any(v in self.schedule.outputs for v in stage.results):
            return self._nest(own, section, steps)
        finer = {a: s for a, s in steps.items() if s < self.axes[a].block}
        body = Body()
        for name in names:
            body.wait(name)
        body.extend(self._nest(list(finer), section, finer))
        for name in names:
            body.pop(name)
        return self._nest(own, body.ops)

    def _compute_matmul(
        self, number: int, stage: StageOp, plan: DstPlan, steps: dict[str, int]
    ) -> list[Operation]:
        tiles = _product_of(steps.values())
        weights = self.schedule.weights_of(number)
        names = [self.buffers[w].name for w in weights]
        inner = self._reduced(stage)
        contract = Body()
        column_kept = bool(weights) and self._rows_inside(stage)
        if not column_kept:
            for name in names:
                contract.wait(name)
        for place, op in enumerate(plan.accumulators):
            assert isinstance(op, ttir.MatmulOp)
            self._matmul_block(contract, stage, op, inner, place * tiles)
        if not column_kept:
            for name in names:
                contract.pop(name)
        looped = self._nest(inner, contract.ops) if names and not column_kept else contract.ops
        finish = self._streamed_names(number, weights)
        section = self._section(stage, plan, tiles, looped, finish)
        outputs = any(v in self.schedule.outputs for v in stage.results)
        if not column_kept:
            return self._nest(self._order(stage), section, None if outputs else steps)
        *rows, column = self._own(stage)
        body = Body()
        for name in names:
            body.wait(name)
        body.extend(self._nest(rows, section))
        for name in names:
            body.pop(name)
        return self._nest([column], body.ops)

    def _matmul_block(
        self,
        body: Body,
        stage: StageOp,
        op: ttir.MatmulOp,
        inner: Sequence[str],
        dst: int,
    ) -> None:
        body.add(
            compute.MatmulBlockOp,
            lhs=self._name(op.a),
            rhs=self._name(op.b),
            transpose=UnitAttr() if op.transposes_b else None,
            axes=AxesAttr(self.schedule.axes.real(stage.results[0])),
            over=AxesAttr(tuple(inner)),
            dst=build.dst(dst),
        )

    def _compute_reduction(
        self, number: int, stage: StageOp, plan: DstPlan
    ) -> list[Operation]:
        (op,) = plan.accumulators
        assert isinstance(op, ttir.ReductionOp)
        own = self._own(stage)
        axes = AxesAttr(self.schedule.axes.real(stage.results[0]))
        inner = AxesAttr(self._reduced(stage))
        product = _product(op)
        body = Body()
        source = self.buffers[op.input].name if product is None else f"cb_s{number}"
        if product is not None:
            body.add(compute.AcquireOp)
            body.add(
                compute.MulTilesOp,
                lhs=self._name(product.lhs),
                rhs=self._name(product.rhs),
                axes=axes,
                over=inner,
                dst=build.dst(0),
            )
            body.pack_alone(source, axes)
            inner = AxesAttr(())
        reduce = Body()
        reduce.add(
            compute.ReduceTilesOp,
            kind=WordAttr("max" if isinstance(op, ttir.MaxOp) else "sum"),
            dim=WordAttr(_direction(op)),
            buffer=LocalAttr(source),
            scaler=LocalAttr("cb_one"),
            axes=axes,
            over=inner,
            dst=build.dst(0),
        )
        body.extend(self._section(stage, plan, 1, reduce.ops, []))
        if product is not None:
            body.pop(source)
        return self._nest(own, body.ops, {axis: 1 for axis in own})

    def _compute_rows(self, stage: StageOp) -> list[Operation]:
        embedding = _embedding(stage)
        assert embedding is not None
        table = self.buffers[embedding.weight].name
        (result,) = stage.results
        output = self.buffers[result].name
        axes = AxesAttr(self.schedule.axes.real(result))
        body = Body()
        body.wait(table)
        body.add(compute.AcquireOp)
        body.add(
            compute.TilizeBlockOp, buffer=LocalAttr(table), axes=axes, dst=build.dst(0)
        )
        body.pack_alone(output, axes, wait=False)
        body.pop(table)
        return self._nest(self._own(stage), body.ops)


def _number(value: int) -> ExprAttr:
    return ExprAttr(Const(value))


def _distance(along: str) -> Expr:
    """Zero on the master only, along the way that its multicast goes."""
    if along == "xy":
        return Binary("+", Name("x"), Name("y"))
    return Name(along)


def _embedding(stage: StageOp) -> ttir.EmbeddingOp | None:
    for op in stage.body.block.ops:
        if isinstance(op, ttir.EmbeddingOp):
            return op
    return None


def _product(op: ttir.ReductionOp) -> ttir.MultiplyOp | None:
    """The product that a sum accumulates in Dst, where the stage holds it."""
    owner = op.input.owner
    if isinstance(owner, ttir.MultiplyOp) and owner.parent is op.parent:
        return owner
    return None


def _direction(op: ttir.ReductionOp) -> str:
    rank = len(shape_of(op.input))
    return "row" if op.axes == (rank - 1,) else "col"


def _product_of(numbers: Iterable[int]) -> int:
    total = 1
    for number in numbers:
        total *= number
    return total


def _parameter_names(program: ProgramOp) -> list[str]:
    """Names by role: x for activations, w for matrices, g for vectors, y for results."""
    from passes.constants import is_constant

    counts: dict[str, int] = {}
    names = []

    def add(letter: str) -> None:
        number = counts.get(letter, 0)
        counts[letter] = number + 1
        names.append(f"{letter}{number}" if number else letter)

    for value, use in zip(program.inputs, program.uses.data, strict=True):
        shape = shape_of(value)
        if use.index:
            add("ids")
        elif not is_constant(value):
            add("x")
        else:
            add("g" if len(shape) == 1 else "w")
    for _ in program.outputs:
        add("y")
    return names
