"""A stub of a backend, for what is planned, combined and recorded. Real models are asked in the backends' own tests.

It answers from the texts it is given, so that a test can tell what was asked; it never decides what is right.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from workers.backends.primitives import (
    CannotAnswer,
    Checkpoint,
    Choice,
    Generated,
    LogitsProcessor,
    Message,
    Sampling,
    Scored,
)


def sure_of(letter: str) -> tuple[float, float, float]:
    """Probabilities of A, B, NA of somebody who is sure."""
    return {"A": (0.9, 0.05, 0.05), "B": (0.05, 0.9, 0.05), "NA": (0.1, 0.1, 0.8)}[letter]


def sides(asked: str) -> list[str]:
    """The texts of A and B in what was asked."""
    return re.findall(r"## Response '[AB]':\n\"(.*?)\"\n\n(?=##)", asked, re.DOTALL)


def by_alphabet(asked: str) -> tuple[float, float, float]:
    """Somebody who takes the candidate that comes first in the alphabet, wherever it stands."""
    a, b = sides(asked)
    return sure_of("A" if a < b else "B")


class StubBackend:
    """`answer(conversation)` gives A, B and NA; `write(conversation, seed)` gives a text. Both are recorded."""

    kind = "stub"
    digest = ""
    is_toy = True

    def __init__(
        self,
        *,
        model: str = "stub",
        answer: Callable[[str], tuple[float, float, float]] = lambda asked: sure_of("A"),
        write: Callable[[str, int], str] | None = None,
    ) -> None:
        self.model, self.revision = model, f"revision of {model}"
        self.answer, self.write = answer, write or (lambda asked, seed: f"{model} wrote {seed} to {asked[-40:]}")
        self.asked: list[list[Message]] = []
        self.samplings: list[Sampling] = []
        self.calls: list[str] = []
        self.spent = 0

    def score(
        self, items: Sequence[tuple[Sequence[Message], str]], *, top_k: int = 0, beat: Any = None
    ) -> list[Scored]:
        """Longer words are less likely: enough to have an order."""
        assert not top_k, "This stub has no tokens to tell of."
        found = []
        for _, completion in items:
            words = completion.split()
            logs = np.array([-len(word) / 10 for word in words], dtype=float)
            found.append(Scored(tuple(range(len(words))), logs, np.abs(logs)))
        return found

    def choose(self, items: Sequence[Sequence[Message]], *, options: Sequence[str], beat: Any = None) -> list[Choice]:
        self.calls.append("choose")
        found = []
        for conversation in items:
            self.asked.append(list(conversation))
            self.spent += len(conversation[-1]["content"].split())
            found.append(Choice(np.array(self.answer(conversation[-1]["content"]))))
            if beat:
                beat()
        return found

    def choose_after_prefix(
        self, items: Sequence[Sequence[Message]], *, options: Sequence[str], beat: Any = None
    ) -> list[Choice]:
        found = self.choose(items, options=options, beat=beat)
        self.calls[-1] = "choose_after_prefix"
        return found

    def generate(
        self,
        conversations: Sequence[Sequence[Message]],
        *,
        sampling: Sampling,
        seeds: Sequence[int],
        prefix: Sequence[str] | None = None,
        logits_processor: Sequence[LogitsProcessor] | None = None,
        checkpoint: Checkpoint | None = None,
        beat: Any = None,
    ) -> Iterator[tuple[int, Generated]]:
        assert logits_processor is None, "This stub has no tokens to steer."
        assert checkpoint is None, "This stub writes at once."
        self.samplings.append(sampling)
        # The last first: nobody may rely on the order.
        for place in reversed(range(len(conversations))):
            conversation = list(conversations[place])
            self.asked.append(conversation)
            text = self.write(conversation[-1]["content"], seeds[place])
            if text == "REFUSE":
                raise CannotAnswer("The prompt is too long for this model.")
            self.spent += len(conversation[-1]["content"].split()) + len(text.split())
            yield place, Generated(text, len(text.split()), -2.0, (-1.0,) * 11, 0.5, 0.4, (0.4,), -1.9, "stop")


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
