"""What a model is asked about a pair whose texts were changed, or to which a reason was added; always in both orders.

Only the probabilities of the first token are read (annotation/questions.py).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from annotation.models import Candidate, Pair
from annotation.questions import OPTIONS, TEMPLATES, as_text, quoted
from workers.backends.primitives import Backend, Beat, CannotAnswer, Message, in_both_orders

# What is marked: (candidate, message) -> (start, end).
Spans = Mapping[tuple[int, int], Sequence[tuple[int, int]]]
Change = Callable[[str, Sequence[tuple[int, int]]], str]

# What the question is asked with, and the heading before which the reason is put.
TEMPLATE, ANSWER = TEMPLATES["oracle"], "## Answer:"


@dataclass(frozen=True)
class Texts:
    """One question: the prompt, both candidates, and a reason or none."""

    prompt: str
    first: str
    second: str
    reason: str = ""

    def ask(self, *, swapped: bool) -> list[Message]:
        a, b = (self.second, self.first) if swapped else (self.first, self.second)
        asked = TEMPLATE.ask(prompt=self.prompt, a=a, b=b, principle=None)
        if not self.reason:
            return asked
        # The last one is the template's own: a candidate's has a backslash in it.
        before, answer, rest = asked[-1]["content"].rpartition(ANSWER)
        reason = quoted(self.reason, headings=("reason",))
        return [*asked[:-1], {**asked[-1], "content": f'{before}## Reason:\n"{reason}"\n\n{answer}{rest}'}]


def texts_of(pair: Pair, spans: Spans | None = None, change: Change | None = None) -> Texts:
    """The texts of a pair, each message of a candidate changed by what is marked in it; by default as they are."""

    def side(candidate: Candidate) -> str:
        if spans is None or change is None:
            return as_text(candidate.messages)
        return as_text(
            [
                {**one, "content": change(str(one["content"]), spans.get((candidate.pk, place), []))}
                for place, one in enumerate(candidate.messages)
            ]
        )

    return Texts(as_text(pair.prompt.messages, system=pair.prompt.system), side(pair.first), side(pair.second))


Key = TypeVar("Key", bound=Hashable)
Asked = Mapping[str, Sequence[Texts]]
Said = dict[str, list[float]]


def answers(backend: Backend, asked: Mapping[Key, Asked], *, beat: Beat) -> dict[Key, Said | CannotAnswer]:
    """How likely the first candidate is the better one, for every question of every subject, by name.

    All subjects are asked together; where the model refuses, one by one, so that one bad pair costs one.
    """
    flat = [text for questions in asked.values() for texts in questions.values() for text in texts]
    try:
        found = _probabilities(backend, list(dict.fromkeys(flat)), beat)
    except CannotAnswer as error:
        if len(asked) > 1:
            return {key: answers(backend, {key: one}, beat=beat)[key] for key, one in asked.items()}
        return dict.fromkeys(asked, error)
    return {
        key: {name: [found[text] for text in texts] for name, texts in questions.items()}
        for key, questions in asked.items()
    }


def _probabilities(backend: Backend, texts: Sequence[Texts], beat: Beat) -> dict[Texts, float]:
    """By both orders, among the answers that choose; nan where none is possible. The same question is asked once."""
    asks = [text.ask(swapped=swapped) for text in texts for swapped in (False, True)]
    given = backend.choose(asks, options=OPTIONS, beat=beat)
    both = [in_both_orders(one, other).probabilities for one, other in zip(given[::2], given[1::2], strict=True)]
    first = [float(p[0] / (p[0] + p[1])) if p[0] + p[1] > 0 else float("nan") for p in both]
    return dict(zip(texts, first, strict=True))


def of(first: float, is_first: bool) -> float:
    """The probability of one of the two, from that of the first."""
    return first if is_first else 1 - first
