"""Runs a `ttir` module on torch tensors: the judge of whether a pass keeps meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from xdsl.context import Context
from xdsl.dialects.builtin import Builtin, ModuleOp
from xdsl.dialects.func import Func, FuncOp, ReturnOp
from xdsl.ir import SSAValue
from xdsl.parser import Parser

from dialects.ttcore import ArgumentType, TTCore
from dialects.ttir import TTIR
from forge.frontends.torch_export import Imported
from passes import PASSES
from passes.constant_evaluation import argument_names, argument_types
from passes.context import CompileContext
from passes.ttir_semantics import evaluate


def functions_of(module: ModuleOp) -> dict[str, FuncOp]:
    """The functions of a module by name."""
    functions = [op for op in module.body.block.ops if isinstance(op, FuncOp)]
    return {function.sym_name.data: function for function in functions}


def main_of(module: ModuleOp) -> FuncOp:
    """The one function of a module."""
    (function,) = functions_of(module).values()
    return function


def run_module(
    module: ModuleOp, inputs: Sequence[torch.Tensor], values: Mapping[str, torch.Tensor]
) -> list[torch.Tensor]:
    """The results of `@main` for inputs in order; `values` gives all else by name."""
    return run_function(main_of(module), inputs, values)


def run_function(
    function: FuncOp, inputs: Sequence[torch.Tensor], values: Mapping[str, torch.Tensor]
) -> list[torch.Tensor]:
    """The results for inputs in order; caches, which are inputs too, are written."""
    pending = list(inputs)
    known: dict[SSAValue, torch.Tensor] = {}
    names, kinds = argument_names(function), argument_types(function)
    for argument, name, kind in zip(
        function.body.block.args, names, kinds, strict=True
    ):
        is_input = kind is ArgumentType.Input
        known[argument] = pending.pop(0) if is_input else values[name or ""]
    for op in function.body.block.ops:
        operands = [known[operand] for operand in op.operands]
        if isinstance(op, ReturnOp):
            return operands
        known[op.results[0]] = evaluate(op, operands)
    raise AssertionError("no return")


def run_imported(imported: Imported, *inputs: torch.Tensor) -> list[torch.Tensor]:
    """The results of an imported program."""
    return run_module(imported.module, inputs, imported.values)


def ttir_context() -> Context:
    """A context that can parse `ttir`."""
    ctx = CompileContext()
    for dialect in (Builtin, Func, TTCore, TTIR):
        ctx.load_dialect(dialect)
    return ctx


def parse(text: str) -> ModuleOp:
    """A module from text, verified."""
    module = Parser(ttir_context(), text).parse_module()
    module.verify()
    return module


def op(name: str, operands: list[str], properties: str, result: str) -> str:
    """A module whose arguments are the operands of one op."""
    arguments = ", ".join(f"%a{i} : {type_}" for i, type_ in enumerate(operands))
    values = ", ".join(f"%a{i}" for i in range(len(operands)))
    stated = f" <{{{properties}}}>" if properties else ""
    types = ", ".join(operands)
    return (
        f"func.func @main({arguments}) -> {result} {{\n"
        f'  %0 = "ttir.{name}"({values}){stated} : ({types}) -> {result}\n'
        f"  func.return %0 : {result}\n}}"
    )


def apply_passes(
    module: ModuleOp,
    names: Sequence[str],
    values: dict[str, torch.Tensor] | None = None,
) -> dict[str, torch.Tensor]:
    """Apply passes in order, verifying after each; returns the values."""
    ctx = CompileContext(values={} if values is None else values)
    for name in names:
        PASSES[name]()().apply(ctx, module)
        module.verify()
    return ctx.values


def op_names(module: ModuleOp) -> list[str]:
    """The ops of `@main` in order, without `ttir.` and without the return."""
    return op_names_of(main_of(module))


def op_names_of(function: FuncOp) -> list[str]:
    """The ops of a function in order, without `ttir.` and without the return."""
    ops = function.body.block.ops
    return [op.name.removeprefix("ttir.") for op in ops if op.results]


def pcc(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """Pearson's correlation of two tensors."""
    pair = torch.stack([actual.double().flatten(), expected.double().flatten()])
    return float(torch.corrcoef(pair)[0, 1])
