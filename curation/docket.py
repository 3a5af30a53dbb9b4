"""What an adjudicator's page shows: the queue, one pair without names, the own decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, Min, OuterRef, Subquery

from annotation.disagreeing import causes_given
from annotation.models import Annotator, Cause, Disagreement, Judgement, Pair, Project, Role
from curation.adjudicating import waiting_for
from curation.inspecting import judgements_of
from curation.models import Adjudication, PairFact, Ruling

# So many of the queue and of the own decisions are listed.
LISTED = 20


@dataclass(frozen=True)
class Standing:
    """How the queue stands for one adjudicator, or for somebody without a seat. Counts of pairs."""

    waiting: int
    # Of these, how many the adjudicator judged and so may not settle.
    own: int
    settled: int
    unclear: int
    # Whether anybody else could settle what this one may not.
    has_others: bool

    @property
    def free(self) -> int:
        return self.waiting - self.own


def standing(*, project: Project, adjudicator: Annotator | None) -> Standing:
    found = Adjudication.objects.filter(project=project).order_by("outcome").values_list("outcome")
    counts = dict(found.annotate(n=Count("pk")))
    waiting = counts.pop("", 0)
    others = project.annotators.people().active()
    others = others.filter(user__is_active=True, role__in=[Role.ADJUDICATOR, Role.LEAD])
    if adjudicator is not None:
        others = others.exclude(pk=adjudicator.pk)
    return Standing(
        waiting=waiting,
        own=waiting - waiting_for(adjudicator).count() if adjudicator else 0,
        settled=sum(counts.values()),
        unclear=counts.get(Adjudication.Outcome.UNCLEAR, 0),
        has_others=others.exists(),
    )


# ---- one pair, no names --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Voice:
    """What one annotator said of the pair. `name` is a letter: the same for this annotator as long as the pair is."""

    name: str
    is_judge: bool
    judgement: Judgement
    # Why they think that others see it differently, where they were asked and said so.
    cause: str = ""
    cause_in_words: str = ""
    cause_note: str = ""


@dataclass(frozen=True)
class Case:
    """An adjudication with its pair; `last` is the latest ruling of anybody, also one that was taken back."""

    adjudication: Adjudication
    pair: Pair
    fact: PairFact | None
    voices: list[Voice]
    last: Ruling | None
    before_last: Ruling | None


def case_of(adjudication: Adjudication) -> Case:
    pair = Pair.objects.select_related("prompt", "first", "second").get(pk=adjudication.pair_id)
    rulings = list(adjudication.rulings.order_by("-revision")[:2])
    return Case(
        adjudication=adjudication,
        pair=pair,
        fact=PairFact.objects.filter(pair=pair).first(),
        voices=voices_of(pair),
        last=rulings[0] if rulings else None,
        before_last=rulings[1] if len(rulings) > 1 else None,
    )


def voices_of(pair: Pair) -> list[Voice]:
    """Everybody's current judgement of the pair under a letter, in the order in which they first judged it.

    Withdrawn and changed judgements keep their author's letter, so that a letter never passes to somebody else.
    """
    firsts = Judgement.objects.filter(assignment__pair=pair).values("annotator").annotate(first=Min("pk"))
    order = [row["annotator"] for row in firsts.order_by("first")]
    letters = {annotator: letter(place) for place, annotator in enumerate(order)}
    said = list(judgements_of(pair))
    causes = causes_given(one.pk for one in said)
    voices = [_voice(letters[one.annotator_id], one, causes.get(one.pk)) for one in said]
    return sorted(voices, key=lambda voice: order.index(voice.judgement.annotator_id))


def _voice(name: str, one: Judgement, why: Disagreement | None) -> Voice:
    told = {"cause": why.cause, "cause_in_words": why.get_cause_display(), "cause_note": why.note} if why else {}
    return Voice(name, one.annotator.is_judge, one, **told)


def letter(place: int) -> str:
    """A, B, … Z, AA, AB, … for 0, 1, …"""
    name = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        name = chr(65 + rest) + name
    return name


# ---- why people disagree -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CauseCount:
    """How often a cause of disagreement was given: by adjudicators of pairs, and by annotators of answers of theirs."""

    cause: str
    words: str
    by_adjudicators: int
    by_annotators: int


def causes_of(project: Project) -> list[CauseCount]:
    """Every cause that was given and stands, most often first; empty where none was."""
    ruled = _in_force().filter(adjudication__project=project).exclude(cause="").order_by()
    latest = Disagreement.objects.filter(judgement=OuterRef("judgement")).order_by("-pk").values("pk")[:1]
    said = Disagreement.objects.filter(judgement__assignment__project=project, pk=Subquery(latest)).order_by()
    of_pairs, of_answers = (dict(found.values_list("cause").annotate(n=Count("pk"))) for found in (ruled, said))
    counts = [
        CauseCount(str(value), str(words), of_pairs.get(value, 0), of_answers.get(value, 0))
        for value, words in Cause.choices
    ]
    given = [one for one in counts if one.by_adjudicators or one.by_annotators]
    return sorted(given, key=lambda one: -one.by_adjudicators - one.by_annotators)


# ---- what was decided ----------------------------------------------------------------------------------------------


def decisions_of(adjudicator: Annotator) -> list[Ruling]:
    """The adjudicator's decisions that stand, latest first."""
    mine = _in_force().filter(adjudicator=adjudicator)
    return list(mine.select_related("adjudication")[:LISTED])


def unclear_notes(project: Project) -> Sequence[Ruling]:
    """What adjudicators found unclear in the guideline and did not take back, latest first."""
    found = _in_force().filter(adjudication__project=project, outcome=Adjudication.Outcome.UNCLEAR)
    return list(found.select_related("adjudication", "guideline")[:LISTED])


def _in_force() -> Any:
    # An adjudication is settled at the moment at which the ruling in force was made.
    return Ruling.objects.filter(adjudication__settled_at=F("created_at")).exclude(outcome="").order_by("-pk")
