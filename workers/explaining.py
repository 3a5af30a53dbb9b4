"""Verdicts -> the reasons for them, written by the model.

With "own" the model explains what it preferred itself. With "people" it is told what people preferred: that gives the
verdict away, and the rationale is marked as hinted. With "unaided" it first thinks for itself. That is kept where the
model, with it before its eyes, chooses as people did; elsewhere it is asked once more with the answer marked, and what
then leads to the verdict is kept, marked as hinted.

Source of the last: STaR (Zelikman et al., arXiv 2203.14465). Whether a rationale leads to the verdict is read from the
probabilities of the options, never from what the text says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, Q

from annotation.asking import JudgingPlan
from annotation.combining import declined, signs
from annotation.models import Annotator, Judgement, Pair
from annotation.phrasing import wording_of
from annotation.questions import OPTIONS, as_text, headings_of, quoted
from annotation.reasoning import Wording, Written, explained, record_rationales
from annotation.running import Hold
from workers.backends.primitives import Backend, Beat, Message, Sampling
from workers.strategies.requests import seed_of

# Pairs whose rationales are recorded at once.
PAIRS_AT_ONCE = 16
THEN = '\n\n## Reasons:\n"{reasons}"\n\n## Answer:\n Given these reasons, which AI Response is better?\n'
ONLY = "**Answer only with 'A' or 'B'. Respond with 'NA' if neither response is clearly better.**"


@dataclass(frozen=True)
class _Case:
    """One pair with the side that is to be explained."""

    pair: Pair
    side: str

    @property
    def prompt(self) -> str:
        return as_text(self.pair.prompt.messages, system=self.pair.prompt.system)

    @property
    def texts(self) -> tuple[str, str]:
        return as_text(self.pair.first.messages), as_text(self.pair.second.messages)

    @property
    def letter(self) -> str:
        """Where the preferred one stands when the first candidate is A."""
        return "A" if self.side == "first" else "B"


def explain(
    *, hold: Hold, plan: JudgingPlan, backend: Backend, judge: Annotator, pairs: Sequence[int], beat: Beat
) -> tuple[int, int]:
    """Write the rationales of these pairs that are missing, and record them. Returns (how many were asked for, new).

    Pairs without a preference to explain are passed over.

    Raises:
        Refused: a template is no longer there. That it fits what is to be explained was seen to by the request.
        CannotAnswer: as of the backend.
    """
    assert hold.run.project is not None
    here = explained(run=hold.run)
    sides = sides_of(pairs=pairs, judge=judge if plan.about == "own" else None)
    loaded = Pair.objects.select_related("prompt", "first", "second").in_bulk(list(sides))
    asked = 0
    written: list[Written] = []
    for name in plan.rationales:
        wording = wording_of(project=hold.run.project, name=name)
        cases = [_Case(loaded[pair], side) for pair, side in sides.items() if (pair, wording.version) not in here]
        if not cases:
            continue
        asked += len(cases)
        # By pair and template, so that a run which goes on draws what it would have drawn.
        place = plan.rationales.index(name)
        seeds = [seed_of(hold.run.seed, case.pair.pk, place) for case in cases]
        sampling = Sampling(temperature=plan.temperature, max_tokens=plan.max_tokens)
        if wording.is_open:
            written += _unaided(backend, wording, cases, sampling, seeds, beat)
        else:
            texts = _generated(backend, [_given(wording, case) for case in cases], sampling, seeds, beat)
            is_hinted = plan.about != "own"
            written += [
                Written(case.pair.pk, text, wording.version, case.side, is_hinted)
                for case, text in zip(cases, texts, strict=True)
            ]
    with hold.fenced():
        return asked, record_rationales(run=hold.run, judge=judge, written=written)


def sides_of(*, pairs: Sequence[int], judge: Annotator | None) -> dict[int, str]:
    """Which side is preferred: by this judge, or (None) by more people than prefer the other. Others are left out."""
    said = Judgement.objects.decided().filter(assignment__pair__in=pairs, verdict="prefer")
    said = said.by_people() if judge is None else said.filter(annotator=judge)
    counted = said.values_list("assignment__pair").annotate(
        first=Count("pk", filter=Q(strength__gt=0)), second=Count("pk", filter=Q(strength__lt=0))
    )
    found = {pair: "first" if first > second else "second" for pair, first, second in counted if first != second}
    return {pair: found[pair] for pair in pairs if pair in found}


def _given(wording: Wording, case: _Case) -> list[Message]:
    first, second = case.texts
    chosen, rejected = (first, second) if case.side == "first" else (second, first)
    return wording.explain(prompt=case.prompt, chosen=chosen, rejected=rejected)


def _unaided(
    backend: Backend,
    wording: Wording,
    cases: Sequence[_Case],
    sampling: Sampling,
    seeds: Sequence[int],
    beat: Beat,
) -> list[Written]:
    """STaR: think first; where that does not lead to the verdict, once more with the answer marked."""
    written: list[Written] = []
    left, left_seeds = list(cases), list(seeds)
    for is_hinted in (False, True):
        if not left:
            break
        asked = [
            wording.think(prompt=case.prompt, a=case.texts[0], b=case.texts[1], hint=case.letter if is_hinted else "")
            for case in left
        ]
        texts = _generated(backend, asked, sampling, left_seeds, beat)
        leads = _leads(backend, left, texts, beat)
        written += [
            Written(case.pair.pk, text, wording.version, case.side, is_hinted)
            for case, text, does in zip(left, texts, leads, strict=True)
            if does
        ]
        left_seeds = [seed for seed, does in zip(left_seeds, leads, strict=True) if not does]
        left = [case for case, does in zip(left, leads, strict=True) if not does]
    return written


def _leads(backend: Backend, cases: Sequence[_Case], texts: Sequence[str], beat: Beat) -> list[bool]:
    """Whether the model chooses the preferred side with these reasons before it. The hint is not shown here.

    In one order only: the reasons name the letters under which they were written.
    """
    questions: list[list[Message]] = []
    for case, text in zip(cases, texts, strict=True):
        prompt, first, second, reasons = (
            quoted(one, headings=headings_of(THEN)) for one in (case.prompt, *case.texts, text)
        )
        shown = (
            f'## Prompt:\n"{prompt}"\n\n## Response \'A\':\n"{first}"\n\n## Response \'B\':\n"{second}"'
            + THEN.replace("{reasons}", reasons)
            + ONLY
        )
        questions.append([{"role": "user", "content": shown}])
    found = []
    for case, choice in zip(cases, backend.choose(questions, options=OPTIONS, beat=beat), strict=True):
        wanted = 1 if case.letter == "A" else -1
        found.append(bool(signs(choice.probabilities) == wanted) and not bool(declined(choice.probabilities)))
    return found


def _generated(
    backend: Backend, asked: Sequence[list[Message]], sampling: Sampling, seeds: Sequence[int], beat: Beat
) -> list[str]:
    texts = [""] * len(asked)
    for place, generated in backend.generate(asked, sampling=sampling, seeds=seeds, beat=beat):
        texts[place] = generated.text
    return texts
