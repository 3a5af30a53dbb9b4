"""What a strategy is: prompts -> requests to models, as a pure function. Nothing here calls a model.

A strategy lays out, for one prompt, every request with its place, polarity, model and seed. The same prompt, plan and
seed give the same requests, in whatever order and however often they are asked: a run that goes on after a crash asks
only for what is missing, and gets what it would have got.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from annotation.generating import GenerationPlan
from annotation.models.candidates import Candidate
from workers.backends.primitives import Message

BETTER, WORSE = str(Candidate.Polarity.BETTER), str(Candidate.Polarity.WORSE)


@dataclass(frozen=True)
class Asked:
    """A prompt as strategies see it."""

    id: int
    messages: tuple[Message, ...]
    system: str = ""

    @property
    def conversation(self) -> tuple[Message, ...]:
        """The prompt as it is, its system message first."""
        return (*_system(self.system), *self.messages)

    def under(self, system: str) -> tuple[Message, ...]:
        """The prompt under a further system message: the prompt's own comes first and stays in force."""
        return (*_system("\n\n".join(part for part in (self.system, system) if part)), *self.messages)

    def reworded(self, before: str) -> tuple[Message, ...]:
        """The prompt with a text before its last message."""
        *earlier, last = self.messages
        return (*_system(self.system), *earlier, {**last, "content": f"{before}{last['content']}"})

    def after(self, turns: Sequence[Message]) -> tuple[Message, ...]:
        """The prompt after other turns, such as examples."""
        return (*_system(self.system), *turns, *self.messages)


def _system(text: str) -> tuple[Message, ...]:
    return ({"role": "system", "content": text},) if text else ()


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}


@dataclass(frozen=True)
class Request:
    """One text to generate.

    Attributes:
        index: the candidate's place within run and prompt; None for a thought, which becomes no candidate.
        polarity: the pseudo-label that the strategy builds in, or empty.
        model: which of the plan's models.
        seed: of this text alone.
        messages: what the model is asked.
        after: the place, in the prompt's requests, of a text that comes first; it follows `messages` as the
            assistant's turn, and `closing` follows it. Always of the same model, and earlier in the list.
        stop: texts that end this generation, beside the plan's.
        provenance: what the strategy knows of this candidate beyond the columns.
    """

    index: int | None
    polarity: str
    model: int
    seed: int
    messages: tuple[Message, ...]
    after: int | None = None
    closing: tuple[Message, ...] = ()
    stop: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def conversation(self, earlier: str | None = None) -> list[Message]:
        """What is sent, given the text that came first, where one is needed."""
        if self.after is None:
            return list(self.messages)
        assert earlier is not None
        return [*self.messages, assistant(earlier), *self.closing]


class Strategy(ABC):
    """How candidates are asked for. What pages show of it stands in annotation.generating.STRATEGIES."""

    name: str
    # Changes whenever a template changes: it stands in every candidate.
    version: str

    @abstractmethod
    def requests(self, prompt: Asked, plan: GenerationPlan, *, seed: int) -> list[Request]:
        """Every request of one prompt, all models, in the order in which they can be asked. Pure."""

    def tidied(self, text: str) -> str:
        """What is stored of a generated text."""
        return text


def seed_of(seed: int, prompt: int, place: int) -> int:
    """The seed of one request: from the run's seed, the prompt and the place, 31 bits."""
    return int(np.random.SeedSequence([seed, prompt, place]).generate_state(1)[0] >> 1)


def generator_of(seed: int, prompt: int) -> np.random.Generator:
    """What a strategy draws with for one prompt."""
    return np.random.default_rng([seed, prompt, 0x5EED])
