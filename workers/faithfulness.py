"""A run that measures how far a model's answer rests on reasons: it is asked with them, without, and with nothing else.

Each question is asked in both orders, and only the probabilities of the first token are read (annotation/questions.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from annotation.errors import Refused
from annotation.models import Candidate, Pair, Rationale
from annotation.questions import OPTIONS, TEMPLATES, as_text, quoted
from annotation.running import Hold
from curation.measuring import faithfulness
from curation.measuring.faithfulness import Answers, FaithfulnessRequest, cut, only, perturbed
from workers.backends.primitives import Backend, CannotAnswer, Message, in_both_orders
from workers.opening import open_model
from workers.pacing import Pace
from workers.preferring import Open, opened

AT_ONCE = 16

# What is marked: (candidate, message) -> (start, end).
Spans = dict[tuple[int, int], list[tuple[int, int]]]
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


def execute(hold: Hold, *, open_model: Open = open_model) -> dict[str, Any]:
    """Do a run of the measure "faithfulness" and return its result. Run twice, it measures the same again.

    Raises:
        Refused: its parameters are not possible, the model cannot be used, or it answers nothing.
        Cancelled, Superseded: as `Hold.beat`.
    """
    run = hold.run
    if run.project is None:
        raise Refused(f"{run} does not say what to measure of which project.")
    asked = FaithfulnessRequest.from_parameters(run.parameters)
    numbers = faithfulness.standing(run.project, asked, seed=run.seed)
    hold.say(f"Loading {asked.model}.")
    backend = opened(asked, open_model)
    work = Work(hold, asked, backend, numbers)
    for at in range(0, len(numbers), AT_ONCE):
        work.ask(range(at, min(at + AT_ONCE, len(numbers))))
    if work.failed == len(numbers):
        raise Refused(f"{backend.model} answered nothing. The last reason: {work.why}")
    result = {"revision": backend.revision, "toy": backend.is_toy, "not_answered": work.failed}
    return faithfulness.store(hold, asked, work.answers, result=result)


class Work:
    """One run on its way: what was asked about each rationale, and what came back."""

    def __init__(self, hold: Hold, asked: FaithfulnessRequest, backend: Backend, numbers: list[int]) -> None:
        self.asked, self.backend, self.numbers, self.seed = asked, backend, numbers, hold.run.seed
        self.pace = Pace(hold, done=0, total=len(numbers), spent=lambda: backend.spent)
        self.failed, self.why = 0, ""
        whose = dict(Rationale.objects.filter(pk__in=numbers).values_list("pk", "annotator_id"))
        self.answers = Answers.none(
            np.array([whose[one] for one in numbers], dtype=np.int64), n_perturbations=asked.perturbations
        )
        written = Rationale.objects.filter(pk__in=numbers).values_list("text", flat=True)
        self.words = sorted({word for text in written for word in text.split()})

    def ask(self, places: Sequence[int]) -> None:
        """Together; where the model refuses, one by one, so that one bad pair costs one."""
        read = Rationale.objects.select_related("pair__prompt", "pair__first", "pair__second", "judgement")
        loaded = read.prefetch_related("spans").in_bulk([self.numbers[place] for place in places])
        questions = {place: _questions(loaded[self.numbers[place]], self) for place in places}
        self._answered(questions, {place: _preferred(loaded[self.numbers[place]]) for place in places})

    def _answered(self, questions: dict[int, dict[str, list[Texts]]], prefers: dict[int, bool | None]) -> None:
        flat = [text for asked in questions.values() for texts in asked.values() for text in texts]
        try:
            found = iter(self._probabilities(flat))
        except CannotAnswer as error:
            if len(questions) > 1:
                for place, asked in questions.items():
                    self._answered({place: asked}, prefers)
                return
            self.failed, self.why = self.failed + 1, str(error)
        else:
            for place, asked in questions.items():
                said = {name: [next(found) for _ in texts] for name, texts in asked.items()}
                self._note(place, said, prefers[place])
        self.pace.add(len(questions))

    def _probabilities(self, texts: list[Texts]) -> list[float]:
        """How likely the first candidate is the better one, by both orders, among the answers that choose."""
        asks = [text.ask(swapped=swapped) for text in texts for swapped in (False, True)]
        given = self.backend.choose(asks, options=OPTIONS, beat=self.pace)
        both = [in_both_orders(one, other).probabilities for one, other in zip(given[::2], given[1::2], strict=True)]
        return [float(p[0] / (p[0] + p[1])) if p[0] + p[1] > 0 else float("nan") for p in both]

    def _note(self, place: int, said: dict[str, list[float]], prefers_first: bool | None) -> None:
        """Probabilities of the first candidate -> of what the model prefers, and of what the annotator does."""
        [all_] = said["full"]
        if "without" in said and all_ == all_:
            is_first = all_ >= 0.5
            self.answers.full[place] = of(all_, is_first)
            self.answers.without[place] = of(said["without"][0], is_first)
            self.answers.only[place] = of(said["only"][0], is_first)
        if "told" in said and prefers_first is not None:
            self.answers.untold[place] = of(all_, prefers_first)
            self.answers.told[place] = of(said["told"][0], prefers_first)
            self.answers.perturbed[place] = [of(one, prefers_first) for one in said["perturbed"]]


def of(first: float, is_first: bool) -> float:
    """The probability of one of the two, from that of the first."""
    return first if is_first else 1 - first


def _preferred(rationale: Rationale) -> bool | None:
    """Whether it speaks for the first candidate; None: for neither, or nobody knows."""
    judgement = rationale.judgement
    if judgement is not None:
        return None if not judgement.strength else judgement.strength > 0
    return {"first": True, "second": False}.get(rationale.explains)


def _questions(rationale: Rationale, work: Work) -> dict[str, list[Texts]]:
    """What the model is asked about one rationale, by name.

    What is marked in the prompt is left alone: without what is asked nobody could say which answer is better.
    """
    pair = rationale.pair
    spans: Spans = {}
    for span in rationale.spans.all():
        if span.candidate_id is not None:
            spans.setdefault((span.candidate_id, span.message), []).append((span.start, span.end))
    whole = _texts(pair)
    found = {"full": [whole]}
    if spans:
        found |= {"without": [_texts(pair, spans, cut)], "only": [_texts(pair, spans, only)]}
    if rationale.text.strip() and _preferred(rationale) is not None:
        rng = np.random.default_rng([work.seed, rationale.pk])
        others = [
            perturbed(rationale.text, words=work.words, share=work.asked.share, rng=rng)
            for _ in range(work.asked.perturbations)
        ]
        told = [replace(whole, reason=reason) for reason in (rationale.text, *others)]
        found |= {"told": told[:1], "perturbed": told[1:]}
    return found


def _texts(pair: Pair, spans: Spans | None = None, change: Change | None = None) -> Texts:
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
