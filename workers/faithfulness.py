"""A run that measures how far a model's answer rests on reasons: it is asked with them, without, and with nothing else.

Each question is asked in both orders (workers/questioning.py). Then pairs that several people marked are asked about
without the best words of it, and with these alone (workers/growing.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from annotation.errors import Refused
from annotation.models import Rationale
from annotation.running import Hold
from curation.measuring import faithfulness
from curation.measuring.faithfulness import Answers, FaithfulnessRequest, cut, only, perturbed
from workers.backends.primitives import Backend, CannotAnswer
from workers.growing import Growth
from workers.opening import open_model
from workers.pacing import Pace
from workers.preferring import Open, opened
from workers.questioning import Texts, answers, of, texts_of

AT_ONCE = 16


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
    growth = Growth(hold, asked, faithfulness.shared(run.project, asked, numbers))
    work = Work(hold, asked, backend, numbers, more=len(growth.answers.full))
    for at in range(0, len(numbers), AT_ONCE):
        work.ask(range(at, min(at + AT_ONCE, len(numbers))))
    if work.failed == len(numbers):
        raise Refused(f"{backend.model} answered nothing. The last reason: {work.why}")
    growth.ask_all(backend, work.pace)
    result = {
        "revision": backend.revision,
        "toy": backend.is_toy,
        "not_answered": work.failed,
        "pairs_ranked": len(growth.answers.full),
        "pairs_not_answered": growth.failed,
    }
    return faithfulness.store(hold, asked, work.answers, growth.answers, result=result)


class Work:
    """One run on its way: what was asked about each rationale, and what came back."""

    def __init__(
        self, hold: Hold, asked: FaithfulnessRequest, backend: Backend, numbers: list[int], *, more: int
    ) -> None:
        self.asked, self.backend, self.numbers, self.seed = asked, backend, numbers, hold.run.seed
        self.pace = Pace(hold, done=0, total=len(numbers) + more, spent=lambda: backend.spent)
        self.failed, self.why = 0, ""
        whose = dict(Rationale.objects.filter(pk__in=numbers).values_list("pk", "annotator_id"))
        self.answers = Answers.none(
            np.array([whose[one] for one in numbers], dtype=np.int64), n_perturbations=asked.perturbations
        )
        written = Rationale.objects.filter(pk__in=numbers).values_list("text", flat=True)
        self.words = sorted({word for text in written for word in text.split()})

    def ask(self, places: Sequence[int]) -> None:
        """What is asked about these rationales, together."""
        read = Rationale.objects.select_related("pair__prompt", "pair__first", "pair__second", "judgement")
        loaded = read.prefetch_related("spans").in_bulk([self.numbers[place] for place in places])
        questions = {place: _questions(loaded[self.numbers[place]], self) for place in places}
        for place, said in answers(self.backend, questions, beat=self.pace).items():
            if isinstance(said, CannotAnswer):
                self.failed, self.why = self.failed + 1, str(said)
            else:
                self._note(place, said, _preferred(loaded[self.numbers[place]]))
        self.pace.add(len(questions))

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


def _preferred(rationale: Rationale) -> bool | None:
    """Whether it speaks for the first candidate; None: for neither, or nobody knows."""
    judgement = rationale.judgement
    if judgement is not None:
        return None if not judgement.strength else judgement.strength > 0
    return {"first": True, "second": False}.get(rationale.explains)


def _questions(rationale: Rationale, work: Work) -> dict[str, list[Texts]]:
    """What the model is asked about one rationale, by name.

    What is marked in the prompt is left alone: without what is asked nobody could say which answer is better.
    Polarity is not looked at: words that hurt one candidate are evidence for the other, as those that support it are.
    """
    pair = rationale.pair
    spans: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for span in rationale.spans.all():
        if span.candidate_id is not None:
            spans.setdefault((span.candidate_id, span.message), []).append((span.start, span.end))
    whole = texts_of(pair)
    found = {"full": [whole]}
    if spans:
        found |= {"without": [texts_of(pair, spans, cut)], "only": [texts_of(pair, spans, only)]}
    if rationale.text.strip() and _preferred(rationale) is not None:
        rng = np.random.default_rng([work.seed, rationale.pk])
        others = [
            perturbed(rationale.text, words=work.words, share=work.asked.share, rng=rng)
            for _ in range(work.asked.perturbations)
        ]
        told = [replace(whole, reason=reason) for reason in (rationale.text, *others)]
        found |= {"told": told[:1], "perturbed": told[1:]}
    return found
