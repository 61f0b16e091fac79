"""Generation: prompts fill the key-value cache, then each step decodes a token a user.

`Session` keeps what the cache of a compiled model holds, `Generation` the loop over it.
What a session ran is in its log, from which `forge.device_time` predicts the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dialects.formats import TILE_EDGE
from forge.errors import ForgeError, UsageError
from forge.sampling import Sampling

if TYPE_CHECKING:
    from forge.artifact import CausalLMInfo
    from forge.compiled_model import CompiledModel

UNFINISHED = "\ufffd"
"""What a tokenizer writes for the first bytes of a character that goes on."""


@dataclass(frozen=True)
class Token:
    """A generated token, whose it is, and the text that it adds."""

    user: int
    number: int
    text: str


@dataclass(frozen=True)
class Call:
    """One call of an entry with its whole-number inputs."""

    entry: str
    inputs: Mapping[str, np.ndarray]


# -- prompts ---------------------------------------------------------------------------


def encode_prompt(tokenizer: Any, prompt: str, *, chat: bool) -> list[int]:
    """Token numbers of a prompt, in the model's chat template if it has one."""
    if chat and getattr(tokenizer, "chat_template", None):
        return encode_chat(tokenizer, [{"role": "user", "content": prompt}])
    return list(tokenizer(prompt)["input_ids"])


def encode_chat(tokenizer: Any, messages: Sequence[Mapping[str, str]]) -> list[int]:
    """Token numbers of a conversation, up to where the model's answer begins."""
    text = tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True
    )
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def as_prompts(tokenizer: Any | None, prompts: Any) -> list[list[int]]:
    """One prompt or several, as texts or token numbers, in token numbers."""
    one = isinstance(prompts, str) or (
        len(prompts) > 0 and isinstance(prompts[0], int | np.integer)
    )
    found = []
    for prompt in [prompts] if one else prompts:
        if not isinstance(prompt, str):
            found.append([int(number) for number in prompt])
        elif tokenizer is None:
            raise UsageError(
                "the model has no tokenizer", advice="give prompts as token numbers"
            )
        else:
            found.append(encode_prompt(tokenizer, prompt, chat=True))
    return found


# -- what fits -------------------------------------------------------------------------


def require_generation(model: CompiledModel) -> CausalLMInfo:
    """What the model's manifest says of generation. Raises `UsageError`."""
    info = model.causal_lm
    if info is None:
        raise UsageError(
            f"'{model.name}' is not a language model",
            advice="call it from Python: forge.load(folder)(inputs)",
        )
    if info.decode is None:
        raise UsageError(
            f"'{model.name}' was compiled as one pass without a cache",
            advice="compile it again without --forward",
        )
    return info


def require_prompts_fit(
    model: CompiledModel, prompts: Sequence[Sequence[int]], max_new_tokens: int
) -> None:
    """Raise `ForgeError` for prompts that are too many, too long, empty, or foreign."""
    info = require_generation(model)
    if not 1 <= len(prompts) <= info.batch:
        raise UsageError(
            "the prompts do not fit the compiled batch",
            limit=f"1 to {info.batch} prompts at a time",
            value=f"{len(prompts)} prompts",
            advice="give fewer, or compile with a larger --batch (32 at most)",
        )
    if max_new_tokens < 1:
        raise UsageError(
            "a generation has at least one new token", value=f"{max_new_tokens}"
        )
    for prompt in prompts:
        _require_prompt_fits(model, prompt, max_new_tokens)


def _require_prompt_fits(
    model: CompiledModel, prompt: Sequence[int], max_new_tokens: int
) -> None:
    info = require_generation(model)
    needed = len(prompt) + max_new_tokens
    if not prompt or needed > info.seq_len:
        raise ForgeError(
            "the prompt and the new tokens do not fit the cache",
            limit=f"{info.seq_len} tokens (the cache length), at least one of prompt",
            value=f"{len(prompt)} tokens of prompt and {max_new_tokens} new",
            advice="shorten the prompt, lower --max-new-tokens, or compile with "
            f"--seq-len {-(-needed // TILE_EDGE) * TILE_EDGE}"
            if prompt
            else "say something",
        )
    (logits, *_) = model.machine.outputs(info.decode)
    vocabulary = logits.tensor.shape[-1]
    if max(prompt) >= vocabulary or min(prompt) < 0:
        raise ForgeError(
            "the model has no such token",
            limit=f"0 to {vocabulary - 1}",
            value=max(prompt) if min(prompt) >= 0 else min(prompt),
            advice="use the tokenizer that belongs to this model",
        )


# -- the cache -------------------------------------------------------------------------


class Session:
    """A compiled model with its cache: the tokens that it holds of each user."""

    def __init__(self, model: CompiledModel):
        self.info = require_generation(model)
        self.emulator = model.emulator
        self.held: list[list[int]] = [[] for _ in range(self.info.batch)]
        self.log: list[Call] = []

    def call(self, entry: str, **inputs: np.ndarray) -> np.ndarray:
        """Run an entry and return its logits, a row for each position or user."""
        given = {f"{entry}.{name}": value for name, value in inputs.items()}
        self.log.append(Call(entry, given))
        (logits,) = self.emulator.run(given, entry).values()
        return logits.reshape(-1, logits.shape[-1])

    def bucket(self, length: int) -> tuple[str, int]:
        """The shortest prefill for a prompt, the longest where none is long enough."""
        lengths = self.info.prefill
        fitting = [name for name in lengths if lengths[name] >= length]
        name = (
            min(fitting, key=lengths.__getitem__)
            if fitting
            else max(lengths, key=lengths.__getitem__)
        )
        return name, lengths[name]

    def begin(self, user: int, prompt: Sequence[int]) -> tuple[np.ndarray, list[int]]:
        """Bring a user's cache to a prompt.

        Returns logits [V] behind what is now held, and the tokens that are still to be
        fed one by one: what is longer than the longest prefill. What the cache holds of
        the prompt already stays if feeding the rest is less work than a prefill. Work
        is counted in rows of tiles: a step is one.
        """
        _, length = self.bucket(len(prompt))
        known = _common(self.held[user], prompt[:-1])
        rest = max(0, len(prompt) - length)
        if known and len(prompt) - known <= -(-length // TILE_EDGE) + rest:
            del self.held[user][known:]
            return np.zeros(0), list(prompt[known:])
        return self.prefill(user, prompt[:length]), list(prompt[length:])

    def prefill(self, user: int, tokens: Sequence[int]) -> np.ndarray:
        """Fill a user's cache with tokens; logits [V] behind the last.

        Positions behind them hold token 0: attention is causal, and the steps that
        follow overwrite them.
        """
        entry, length = self.bucket(len(tokens))
        ids = np.zeros((1, length), np.int64)
        ids[0, : len(tokens)] = tokens
        inputs = {"input_ids": ids, "last": np.array([len(tokens) - 1])}
        if self.info.batch > 1:
            inputs["user"] = np.array([user])
        self.held[user] = list(tokens)
        return self.call(entry, **inputs)[0]

    def step(self, tokens: Mapping[int, int]) -> np.ndarray:
        """Feed one token to each of some users; logits [batch, V].

        The others compute too, behind what they hold: nobody reads it.
        """
        assert self.info.decode is not None
        ids = np.zeros((1, self.info.batch), np.int64)
        positions = np.zeros(self.info.batch, np.int64)
        for user, held in enumerate(self.held):
            if user not in tokens:
                del held[self.info.seq_len - 1 :]
            positions[user] = len(held)
            if user in tokens:
                ids[0, user] = tokens[user]
                held.append(tokens[user])
        return self.call(self.info.decode, input_ids=ids, positions=positions)

    def reset(self) -> None:
        """Forget what the cache holds."""
        for held in self.held:
            held.clear()


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two sequences begin with alike."""
    for place, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return place
    return min(len(first), len(second))


# -- the loop --------------------------------------------------------------------------


@dataclass
class _User:
    """One sequence in the making."""

    number: int
    waiting: list[int]
    numbers: list[int] = field(default_factory=list)
    shown: str = ""
    is_done: bool = False
    first_call: int | None = None
    """Calls until the first token was there."""


class Generation:
    """Continues prompts, all users in step.

    `generator.run()` yields tokens. Raises `ForgeError` when it is made if something
    does not fit. A `session` may be given to go on with what its cache holds.
    """

    def __init__(
        self,
        model: CompiledModel,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        sampling: Sampling | None = None,
        session: Session | None = None,
    ):
        require_prompts_fit(model, prompts, max_new_tokens)
        self.prompts = prompts
        self.max_new_tokens = max_new_tokens
        self.sampling = sampling or Sampling()
        self.session = Session(model) if session is None else session
        self.tokenizer = model.tokenizer
        self.users: list[_User] = []
        self._generator = np.random.default_rng(self.sampling.seed)

    @property
    def stop_tokens(self) -> tuple[int, ...]:
        """Tokens after which a user is done."""
        return self.session.info.stop_tokens

    def run(self) -> Iterator[Token]:
        """Yield the tokens: of all users the first, then step by step the others."""
        self.session.log.clear()
        for number, prompt in enumerate(self.prompts):
            logits, waiting = self.session.begin(number, prompt)
            user = _User(number, waiting)
            self.users.append(user)
            if not waiting:
                yield self._take(user, logits)
        while active := [user for user in self.users if not user.is_done]:
            fed = {user.number: user.waiting.pop(0) for user in active}
            logits = self.session.step(fed)
            for user in active:
                if not user.waiting:
                    yield self._take(user, logits[user.number])

    def _take(self, user: _User, logits: np.ndarray) -> Token:
        number = self.sampling.choose(logits, self._generator)
        if user.first_call is None:
            user.first_call = len(self.session.log)
        user.numbers.append(number)
        user.waiting.append(number)
        is_last = len(user.numbers) == self.max_new_tokens
        user.is_done = is_last or number in self.stop_tokens
        return Token(user.number, number, self._new_text(user))

    def _new_text(self, user: _User) -> str:
        """The text that the last token adds; special tokens add none.

        Without a tokenizer it is the token's number.
        """
        if self.tokenizer is None:
            return f"{user.numbers[-1]} "
        text = self.tokenizer.decode(user.numbers, skip_special_tokens=True)
        if text.endswith(UNFINISHED) and not user.is_done:
            return ""
        added = text[len(user.shown) :]
        user.shown = text
        return added
