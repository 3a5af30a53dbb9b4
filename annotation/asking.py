"""Pairs -> runs that judge -> answers of a judge, and what they come to: votes and judgements.

A judge is an annotator of the kind "judge": a model, its revision and a template's version. What it is asked and how
two answers become one preference is pure (questions.py, combining.py); here are the plan and every write.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from annotation.combining import Floats, combine, declined, leaning
from annotation.errors import Refused
from annotation.models import (
    Annotator,
    Assignment,
    JudgeAnswer,
    Judgement,
    Pair,
    Principle,
    PrincipleVote,
    Project,
    Run,
    SkipReason,
    User,
    Verdict,
)
from annotation.opening import RANK_STEP
from annotation.phrasing import JUDGE, RATIONALE, newest_of, pinned, version_of
from annotation.plans import Fields, check_choice, check_range
from annotation.recording import record
from annotation.running import check_seed, request_run

# What a judging run can do with its pairs.
ASKS: dict[str, str] = {
    "overall": "Which candidate is better overall",
    "principles": "Which candidate follows each principle better",
    "injections": "Whether commands hidden in a candidate turn the verdict",
    "rationales": "Why: a text for each verdict",
}
# Whose verdict a rationale explains. "unaided" asks without giving the verdict away first (STaR).
ABOUT: dict[str, str] = {
    "own": "The judge's own verdict",
    "people": "The verdict of people, which is given away: such rationales are marked as hinted",
    "unaided": "First without the verdict; where that fails, with it, marked as hinted",
}
# The rationale template where none is named.
USUAL_RATIONALE: dict[str, str] = {"own": "general", "people": "general", "unaided": "unaided"}


@dataclass(frozen=True, kw_only=True)
class JudgingPlan:
    """What a judge is asked: `Run.parameters` of the kind "judging" is `as_parameters()`.

    Attributes:
        model: a name of the model registry.
        template: a judge template of the project, by its name or by name and number; the request fixes the number.
        asks: keys of ASKS. Injections need the overall verdict, which is asked first where it is missing.
        principles: ids of the project's principles; empty for those of the guideline in force.
        tag, source: only pairs with this tag, of this source. `generation`: only pairs of this generation run.
        judged_only: only pairs that people have judged.
        up_to: only pairs up to this id; set by the request. `limit`: at most so many, along the queue.
        injection_limit: how many of the pairs are tried with injected texts.
        rationales: rationale templates, named as `template` is; empty for the usual one of `about`, a key of ABOUT.
        max_tokens, temperature: of the rationales; verdicts are never sampled.
    """

    model: str
    template: str = "oracle"
    asks: tuple[str, ...] = ("overall", "principles", "injections")
    principles: tuple[int, ...] = ()
    tag: str = ""
    source: str = ""
    generation: int | None = None
    judged_only: bool = False
    up_to: int | None = None
    limit: int | None = None
    injection_limit: int = 50
    rationales: tuple[str, ...] = ()
    about: str = "own"
    max_tokens: int = 256
    temperature: float = 0.7

    def __post_init__(self) -> None:
        if not self.model:
            raise Refused("No model is named. Name one of the model registry.")
        if not self.template:
            raise Refused("No template is named. Name one of the project's, for example oracle.")
        if not self.asks:
            raise Refused(f"A judge is asked nothing. Choose of: {', '.join(ASKS)}.")
        for one in self.asks:
            check_choice("question", one, ASKS)
        for what, named in (("question", self.asks), ("template of reasons", self.rationales)):
            if len(set(named)) < len(named):
                raise Refused(f"A {what} is named twice. Name each once.")
        if self.principles and "principles" not in self.asks:
            raise Refused("Principles are named, but the judge is not asked about principles. Ask for them, too.")
        check_choice("kind of rationale", self.about, ABOUT)
        if self.limit is not None:
            check_range("number of pairs", self.limit, 1, 10_000_000)
        check_range("number of pairs with injected texts", self.injection_limit, 1, 100_000)
        check_range("most tokens per rationale", self.max_tokens, 1, 8192)
        check_range("temperature", self.temperature, 0.0, 5.0)
        if "rationales" in self.asks and not self.rationales:
            object.__setattr__(self, "rationales", (USUAL_RATIONALE[self.about],))

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> JudgingPlan:
        """What `as_parameters` gave; a key that is missing has its default.

        Raises:
            Refused: a key is not known, or a value is not possible.
        """
        given = Fields(parameters, of="A judging run", known=[field.name for field in fields(cls)])
        return cls(
            model=given.text("model"),
            template=given.text("template", cls.template),
            asks=given.texts("asks", cls.asks),
            principles=given.numbers("principles"),
            tag=given.text("tag"),
            source=given.text("source"),
            generation=given.maybe("generation"),
            judged_only=given.truth("judged_only", cls.judged_only),
            up_to=given.maybe("up_to"),
            limit=given.maybe("limit"),
            injection_limit=given.whole("injection_limit", cls.injection_limit),
            rationales=given.texts("rationales", cls.rationales),
            about=given.text("about", cls.about),
            max_tokens=given.whole("max_tokens", cls.max_tokens),
            temperature=given.number("temperature", cls.temperature),
        )

    def as_parameters(self) -> dict[str, Any]:
        """The plan as JSON."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def pairs_of(*, project: Project, plan: JudgingPlan) -> QuerySet[Pair]:
    """The pairs that a plan speaks of, along the queue. Pairs taken out of play are not among them."""
    found = Pair.objects.in_play().filter(project=project).order_by("rank")
    if plan.tag:
        found = found.filter(tags__contains=[plan.tag])
    if plan.source:
        found = found.filter(source=plan.source)
    if plan.generation is not None:
        found = found.filter(first__run=plan.generation, second__run=plan.generation)
    if plan.judged_only:
        by_people = Judgement.objects.decided().by_people()
        found = found.filter(pk__in=by_people.filter(assignment__project=project).values("assignment__pair"))
    if plan.up_to is not None:
        found = found.filter(pk__lte=plan.up_to)
    return found if plan.limit is None else found[: plan.limit]


def principles_of(*, project: Project, plan: JudgingPlan) -> list[Principle]:
    """The principles that a plan asks about, in the guideline's order.

    Raises:
        Refused: one is not the project's, or no guideline with principles is in force and none is named.
    """
    if "principles" not in plan.asks:
        return []
    if plan.principles:
        found = Principle.objects.filter(project=project).in_bulk(plan.principles)
        if len(found) < len(set(plan.principles)):
            strange = next(pk for pk in plan.principles if pk not in found)
            raise Refused(f"This project has no principle with the number {strange}.")
        return [found[pk] for pk in dict.fromkeys(plan.principles)]
    places = project.guideline.places.select_related("principle") if project.guideline else []
    listed = [place.principle for place in places]
    if not listed:
        raise Refused("No principles are in force. Publish a guideline with principles, or ask for the verdict only.")
    return listed


def with_versions(*, project: Project, plan: JudgingPlan) -> JudgingPlan:
    """The plan with the versions that its templates have now: later ones do not change what was asked for.

    Raises:
        Refused: there is no such template, or one of a rationale does not fit what is to be explained.
    """
    [template] = pinned(project=project, kind=JUDGE, references=[plan.template])
    rationales = plan.rationales
    if "rationales" in plan.asks:
        rationales = pinned(project=project, kind=RATIONALE, references=plan.rationales)
        _check_fit(project, plan.about, rationales)
    return replace(plan, template=template, rationales=rationales)


def _check_fit(project: Project, about: str, rationales: Iterable[str]) -> None:
    """The worker goes by the template: so what was chosen and what the template does must be the same."""
    if about == "own":
        return
    for label in rationales:
        named = version_of(project=project, kind=RATIONALE, reference=label)
        if named.is_open == (about == "unaided"):
            continue
        fitting = [one.name for one in newest_of(project=project, kind=RATIONALE) if one.is_open != named.is_open]
        what = (
            "asks without the verdict, but the verdict of people is to be given away"
            if named.is_open
            else "gives the verdict away, but the reasons are to be asked for without it first"
        )
        raise Refused(f"The template “{named.name}” {what}. Name one that does so: {', '.join(fitting)}.")


@transaction.atomic
def request_judging(
    *, project: Project, plan: JudgingPlan, actor: User | None = None, command: str = "", seed: int = 0
) -> Run:
    """Ask a worker to judge. The pairs are fixed now, and so are the principles and the versions of the templates.

    Raises:
        Refused: no pair, no principle or no template fits, or the seed is negative.
    """
    plan = with_versions(project=project, plan=plan)
    check_seed(seed)
    last = max(pairs_of(project=project, plan=plan).values_list("pk", flat=True), default=None)
    if last is None:
        raise Refused("No pair of this project fits. Import or generate pairs, or choose fewer conditions.")
    asked = [principle.pk for principle in principles_of(project=project, plan=plan)]
    fixed = JudgingPlan.from_parameters({**plan.as_parameters(), "up_to": last, "principles": asked})
    run = request_run(project=project, kind=Run.Kind.JUDGING, parameters=fixed.as_parameters(), actor=actor, seed=seed)
    record(
        act="run.judge", subject=f"run {run.pk}", actor=actor, command=command, project=project, after=run.parameters
    )
    return run


# ---- judges ----------------------------------------------------------------------------------------------------------


def ensure_judge(*, project: Project, model: str, revision: str, template: str) -> Annotator:
    """The judge that is this model, revision and template: found, or made. It is always named with its template.

    template: as in `JudgingPlan`; a name alone stands for its newest version.

    Raises:
        Refused: there is no such template.
    """
    [version] = pinned(project=project, kind=JUDGE, references=[template])
    identity = f"judge {model}@{revision} {version}"
    if len(identity) > 200:
        identity = f"judge {hashlib.sha256(identity.encode()).hexdigest()}"
    judge, _ = Annotator.objects.get_or_create(
        project=project,
        external_id=identity,
        defaults={
            "kind": Annotator.Kind.JUDGE,
            "name": f"{model[-140:]} · {version}",
            "model": model,
            "revision": revision,
            "prompt_version": version,
        },
    )
    return judge


# ---- answers ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Question:
    """One call: a pair, a principle (None: overall), an order, and perhaps an injected text in one candidate."""

    pair_id: int
    principle_id: int | None
    swapped: bool
    injection: str = ""
    injected_into: str = ""

    @property
    def key(self) -> tuple[int, int | None, bool, str]:
        """What makes it the same question to the same judge."""
        return (self.pair_id, self.principle_id, self.swapped, self.injection)


@dataclass(frozen=True)
class Answer:
    """What came back: the probabilities of the first token being exactly A, B, NA."""

    question: Question
    a: float
    b: float
    na: float


def answered(*, judge: Annotator, pairs: Iterable[int]) -> set[tuple[int, int | None, bool, str]]:
    """The questions about these pairs that the judge has answered, in whatever run: none is asked twice."""
    return set(
        JudgeAnswer.objects.filter(annotator=judge, pair__in=list(pairs)).values_list(
            "pair_id", "principle_id", "swapped", "injection"
        )
    )


@transaction.atomic
def record_answers(*, run: Run, judge: Annotator, answers: Sequence[Answer]) -> int:
    """Append a judge's answers, and the votes and judgements that both orders of a question come to.

    The caller holds the run: call it inside `hold.fenced()`. What is there already stays: twice does no harm. An answer
    that changed with the order is kept as such: its two rows say so, its vote is "same", and overall it is a skip,
    because it says nothing about the pair.

    Returns how many votes and judgements are new.
    """
    JudgeAnswer.objects.bulk_create(
        [
            JudgeAnswer(
                run=run,
                annotator=judge,
                pair_id=one.question.pair_id,
                principle_id=one.question.principle_id,
                swapped=one.question.swapped,
                injection=one.question.injection,
                injected_into=one.question.injected_into,
                probability_a=one.a,
                probability_b=one.b,
                probability_na=one.na,
            )
            for one in answers
        ],
        ignore_conflicts=True,
    )
    pairs = {one.question.pair_id for one in answers if not one.question.injection}
    keys, table = both_orders(judge=judge, pairs=pairs)
    if not keys:
        return 0
    return _vote(run, judge, keys, table) + _judge(run, judge, keys, table)


def both_orders(
    *, judge: Annotator, pairs: Iterable[int], injection: str = ""
) -> tuple[list[tuple[int, int | None]], Floats]:
    """The questions that are answered in both orders, as (pair, principle), with their probabilities.

    Returns:
        The keys, sorted, and an array of shape (n, 2, 3): order (first candidate as A, second as A); A, B, NA.
    """
    found: dict[tuple[int, int | None], dict[bool, tuple[float, float, float]]] = {}
    rows = JudgeAnswer.objects.filter(annotator=judge, pair__in=list(pairs), injection=injection)
    columns = ("pair_id", "principle_id", "swapped", "probability_a", "probability_b", "probability_na")
    for pair, principle, swapped, *three in rows.values_list(*columns):
        found.setdefault((pair, principle), {})[swapped] = (three[0], three[1], three[2])
    keys = sorted((key for key, orders in found.items() if len(orders) == 2), key=lambda key: (key[0], key[1] or 0))
    return keys, np.array([[found[key][False], found[key][True]] for key in keys], dtype=np.float64).reshape(-1, 2, 3)


def _vote(run: Run, judge: Annotator, keys: Sequence[tuple[int, int | None]], table: Floats) -> int:
    here = set(
        PrincipleVote.objects.filter(annotator=judge, judgement=None, pair__in={pair for pair, _ in keys}).values_list(
            "pair_id", "principle_id"
        )
    )
    places = {principle: place for place, principle in enumerate(run.parameters.get("principles", ()), start=1)}
    said = combine(table).tolist()
    refused = np.asarray(declined(table).any(axis=1)).tolist()
    new = [
        PrincipleVote(
            pair_id=pair,
            annotator=judge,
            principle_id=principle,
            vote=_vote_of(sign, is_declined=is_declined),
            position=places.get(principle),
            run=run,
        )
        for (pair, principle), sign, is_declined in zip(keys, said, refused, strict=True)
        if principle is not None and (pair, principle) not in here
    ]
    PrincipleVote.objects.bulk_create(new, ignore_conflicts=True)
    return len(new)


def _vote_of(sign: float, *, is_declined: bool) -> str:
    if sign == 1:
        return PrincipleVote.Vote.FIRST
    if sign == -1:
        return PrincipleVote.Vote.SECOND
    return PrincipleVote.Vote.IRRELEVANT if is_declined else PrincipleVote.Vote.SAME


def _judge(run: Run, judge: Annotator, keys: Sequence[tuple[int, int | None]], table: Floats) -> int:
    said, leans = combine(table), leaning(table)
    overall = {pair: (said[n], leans[n]) for n, (pair, principle) in enumerate(keys) if principle is None}
    seats = Assignment.objects.filter(annotator=judge, pair__in=overall).values_list("pair", flat=True)
    missing = sorted(set(overall) - set(seats))
    if not missing:
        return 0
    now = timezone.now()
    pairs = Pair.objects.filter(pk__in=missing).annotate(priority=F("rank") * RANK_STEP)
    Assignment.objects.bulk_create(
        [
            Assignment(project_id=pair.project_id, pair=pair, priority=pair.priority, annotator=judge, done_at=now)
            for pair in pairs
        ],
        ignore_conflicts=True,
    )
    taken = Assignment.objects.filter(annotator=judge, pair__in=missing, judgements=None)
    new = [_judgement(run, judge, seat, *overall[seat.pair_id]) for seat in taken]
    Judgement.objects.bulk_create(new)
    return len(new)


def _judgement(run: Run, judge: Annotator, seat: Assignment, sign: float, lean: float) -> Judgement:
    verdict, strength = Verdict.TIE, 0
    if abs(sign) == 1:
        verdict, strength = Verdict.PREFER, int(sign)
    is_skip = sign == 0
    return Judgement(
        assignment=seat,
        annotator=judge,
        # The same for the same judge and pair: a second writer would be stopped by the constraint `once`.
        key=uuid.uuid5(uuid.NAMESPACE_OID, f"judge {judge.pk} {seat.pair_id}"),
        verdict=Verdict.SKIP if is_skip else verdict,
        strength=None if is_skip else strength,
        strength_known=verdict != Verdict.PREFER or is_skip,
        skip_reason=SkipReason.CANNOT_JUDGE if is_skip else "",
        confidence=min(1.0, abs(float(lean))) if verdict == Verdict.PREFER else None,
        # Both orders were seen; stored is the one with the first candidate as A.
        swapped=False,
        client="judge",
        run=run,
    )
