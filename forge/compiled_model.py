"""A compiled model: callable on tensors, with its netlist and its predicted cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING, Any

import numpy as np

from dialects.netlist_text import print_netlist
from dialects.recipe import parameters_of, parse_recipe, substitute
from dialects.tensix import BufferOp, NetlistOp
from forge.artifact import CausalLMInfo, EntryInfo, Manifest, save_artifact
from forge.errors import ArtifactError, UsageError
from runtime.emulator import Emulator
from runtime.machine import BoundBuffer, Machine
from runtime.weights import WeightsFile

if TYPE_CHECKING:
    import torch

    from forge.console import Step
    from forge.generate import Token
    from forge.profile import Profile, Timings

Values = Mapping[str, "torch.Tensor"] | WeightsFile | None


class CompiledModel:
    """A netlist with the values of its parameters, in `fast` or `exact` numerics.

    Call it with the model's inputs, as torch tensors or numpy arrays in the order of
    the netlist's input buffers; it returns a torch tensor, or a tuple of them.
    """

    def __init__(
        self,
        netlist: NetlistOp,
        values: Values,
        *,
        causal_lm: CausalLMInfo | None = None,
        name: str | None = None,
        numerics: str = "fast",
        tokenizer: Callable[[], Any] | None = None,
        explanation: dict[str, Any] | None = None,
    ):
        self.netlist = netlist
        self.causal_lm = causal_lm
        self.name = name or netlist.sym_name.data
        self.values = _only_needed(netlist, values)
        self.numerics = numerics
        self.timings: Timings = {}
        self._profiles: dict[str, Profile] = {}
        self._read_tokenizer = tokenizer
        self.explanation = explanation
        """What `choose-grid` weighed (docs/explain.schema.json); None once loaded."""

    # -- computing -------------------------------------------------------------------

    @cached_property
    def emulator(self) -> Emulator:
        """The emulator with this netlist; programs are prepared at the first call."""
        if not self.has_weights:
            raise ArtifactError(
                f"'{self.name}' was compiled without weights: it can be timed, not run",
                advice="compile it again without --no-weights",
            )
        values = self.values
        parameters = values if isinstance(values, WeightsFile) else _Arrays(values)
        return Emulator(self.netlist, parameters, numerics=self.numerics)

    @property
    def has_weights(self) -> bool:
        """Whether the values of all parameters are there."""
        if self.values is None:
            return False
        if isinstance(self.values, WeightsFile):
            return True
        return not any(value.is_meta for value in self.values.values())

    def __call__(self, *inputs: Any) -> Any:
        import torch

        if len(self.machine.entries) > 1:
            raise UsageError(
                f"'{self.name}' has several entries: {', '.join(self.machine.entries)}",
                advice="call generate(prompts), or compile the model with --forward",
            )
        buffers = self.machine.buffers_with_role("input")
        if len(inputs) != len(buffers):
            raise UsageError(
                f"'{self.name}' takes {len(buffers)} inputs "
                f"({', '.join(b.name for b in buffers)}), not {len(inputs)}"
            )
        given = {b.name: _array(v) for b, v in zip(buffers, inputs, strict=True)}
        results = [
            torch.from_numpy(array) for array in self.emulator.run(given).values()
        ]
        return results[0] if len(results) == 1 else tuple(results)

    def generate(
        self,
        prompts: str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]],
        *,
        max_new_tokens: int = 32,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> Iterator[Token]:
        """Continue prompts; yields each token as it is there, with its user and text.

        A prompt is a text, which gets the model's chat template, or token numbers. At
        temperature 0 the likeliest token is taken; else one is drawn from the `top_k`
        likeliest (0: all) that together have the probability `top_p`. Raises
        `ForgeError` at once if prompts and new tokens do not fit.
        """
        from forge.generate import Generation, as_prompts
        from forge.sampling import Sampling

        tokens = as_prompts(self.tokenizer, prompts)
        sampling = Sampling(temperature, top_k, top_p, seed)
        generation = Generation(
            self, tokens, max_new_tokens=max_new_tokens, sampling=sampling
        )
        return generation.run()

    @cached_property
    def tokenizer(self) -> Any | None:
        """The tokenizer of a language model, if it came with one."""
        return None if self._read_tokenizer is None else self._read_tokenizer()

    # -- looking ---------------------------------------------------------------------

    @cached_property
    def machine(self) -> Machine:
        """The netlist read into tables."""
        return Machine(self.netlist)

    def netlist_text(self) -> str:
        """The netlist with its derived facts as comments."""
        from dialects.netlist_notes import notes

        facts = notes(self.netlist, self.machine.chip, self._program_cycles())
        return print_netlist(self.netlist, facts)

    def profile(
        self, progress: Step | None = None, *, entry: str | None = None
    ) -> Profile:
        """Predicted cycles, bytes and L1 of every program and of the whole.

        Of an entry, where there are several. Run-time values, such as the positions of
        a decode step, are at the upper ends of their ranges.
        """
        from forge.profile import profile_machine

        self.machine.entry(entry)  # raises for a name that there is not
        entry = entry or next(iter(self.machine.entries))
        if entry not in self._profiles:
            self._profiles[entry] = profile_machine(
                self.machine, progress, entry=entry, known=self.timings
            )
        return self._profiles[entry]

    def profiles(self, progress: Step | None = None) -> dict[str, Profile]:
        """The profile of each entry."""
        return {e: self.profile(progress, entry=e) for e in self.machine.entries}

    def _program_cycles(self) -> dict[str, int]:
        """Cycles of one run of each program."""
        profiles = self.profiles().values()
        return {p.name: round(p.cycles) for found in profiles for p in found.programs}

    # -- saving ----------------------------------------------------------------------

    def save(self, folder: Path | str, *, tokenizer: Any = None) -> None:
        """Write the artefact: netlist, weights, manifest. Whole or not at all."""
        save_artifact(self, Path(folder), tokenizer)

    def write_weights(self, path: Path) -> None:
        """Write the parameters that the netlist's recipes name."""
        from safetensors.torch import save_file

        values = self.values
        assert values is not None
        if isinstance(values, WeightsFile):
            copyfile(values.path, path)
            return
        tensors = {name: value.detach().contiguous() for name, value in values.items()}
        save_file(tensors, str(path))

    def manifest(
        self, *, weights_sha256: str | None, weights_bytes: int | None
    ) -> Manifest:
        """What the artefact says about itself."""
        machine = self.machine
        entries = {
            name: EntryInfo(
                _describe(machine.inputs(name)),
                _describe(machine.outputs(name)),
                round(profile.total_cycles),
            )
            for name, profile in self.profiles().items()
        }
        return Manifest(
            name=self.name,
            chip=machine.chip.name,
            entries=entries,
            causal_lm=self.causal_lm,
            cycles=self._program_cycles(),
            weights_sha256=weights_sha256,
            weights_bytes=weights_bytes,
        )


def _only_needed(netlist: NetlistOp, values: Values) -> Values:
    """The values that recipes name: what passes have folded away can be freed."""
    if values is None or isinstance(values, WeightsFile):
        return values
    needed: set[str] = set()
    for op in netlist.body.block.ops:
        if isinstance(op, BufferOp) and op.recipe is not None:
            recipe = parse_recipe(op.recipe.data)
            for number in range(1 if op.last is None else op.last.value + 1):
                needed.update(parameters_of(substitute(recipe, number)))
    return {name: values[name] for name in sorted(needed)}


class _Arrays(Mapping[str, np.ndarray]):
    """Torch tensors seen as float32 or integer arrays, converted when asked for."""

    def __init__(self, values: Mapping[str, torch.Tensor] | None):
        self._tensors = values or {}

    def __getitem__(self, name: str) -> np.ndarray:
        return _array(self._tensors[name])

    def halves(self, name: str) -> np.ndarray | None:
        """A bf16 tensor as its datums (uint16), without a copy; else None."""
        import torch

        tensor = self._tensors[name].detach()
        if tensor.dtype != torch.bfloat16:
            return None
        return tensor.view(torch.int16).numpy().view(np.uint16)

    def __iter__(self) -> Any:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def _array(value: Any) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value
    detached = value.detach()
    return (detached.float() if detached.is_floating_point() else detached).numpy()


def _describe(buffers: Sequence[BoundBuffer]) -> tuple[Mapping[str, Any], ...]:
    return tuple(
        {
            "name": b.name,
            "shape": list(b.tensor.shape),
            "format": b.tensor.data_format.value,
        }
        for b in buffers
    )
