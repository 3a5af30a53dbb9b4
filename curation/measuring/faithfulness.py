"""How far a model's answer rests on the reasons that annotators gave: on what they marked, and on what they wrote.

A worker asks the model (workers/faithfulness.py); what its answers come to is computed and stored here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from django.db.models import Q, QuerySet
from numpy.typing import NDArray

from annotation.errors import Refused
from annotation.models import Annotator, Project, Rationale, Run
from annotation.running import Hold
from curation import arrays
from curation.criteria import in_play
from curation.measuring import growing
from curation.measuring.growing import Growing
from curation.measuring.preferred import ModelRequest
from curation.measuring.request import setting
from curation.measuring.storing import as_row, as_shown, asked_of, replace_all
from curation.metrics import METRICS
from curation.metrics.estimates import Estimate, not_enough
from curation.metrics.rationales import comprehensiveness, perturbation_effect, rationale_gain, sufficiency
from curation.models import Measurement
from curation.voices import Voices

# Fewer reasons than this are not enough data.
LEAST_RATIONALES = 10
# No probability is taken for smaller: its logarithm would outweigh all others.
LEAST = 1e-6
OF_EVERYBODY = ("comprehensiveness", "sufficiency", "rationale_gain", "perturbation_effect")
# Of all people together the areas too.
SHOWN = (*OF_EVERYBODY, *growing.SHOWN)
NO_RATIONALES = "Nobody has given a reason here, in words or by marking. Ask for them, or import them."


@dataclass(frozen=True, kw_only=True)
class FaithfulnessRequest(ModelRequest):
    """By default what people and models wrote and marked, each one's own."""

    measure: ClassVar[str] = "faithfulness"
    without: ClassVar[tuple[str, ...]] = ("preference", "max_length")
    lacks_a_model: ClassVar[str] = "Name the model that is asked: --set model=NAME, one of the page of models."

    voices: Voices = field(default_factory=lambda: Voices(kind="all"))
    model: str = setting("", says="a registered model that says which candidate is better")
    most: int = setting(2000, says="reasons that are asked about; of more, so many are drawn")
    perturbations: int = setting(3, says="how often a written reason is perturbed")
    share: float = setting(0.5, says="the share of its words that other words take the place of")
    least_rationales: int = setting(LEAST_RATIONALES, says="reasons that a figure needs")
    thresholds: str = setting(
        growing.THRESHOLDS,
        says="the growing shares of the words that most people marked, with commas between; empty: none is asked about",
    )
    least_markers: int = setting(growing.LEAST_MARKERS, says="people who marked a pair whose words are ranked")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.most <= 1_000_000:
            raise Refused(f"1 to 1000000 reasons are asked about, not {self.most}.")
        if not 1 <= self.perturbations <= 100:
            raise Refused(f"A reason is perturbed 1 to 100 times, not {self.perturbations}.")
        if not 0 < self.share <= 1:
            raise Refused(f"The share of perturbed words is above 0 and at most 1, not {self.share}.")
        if self.least_rationales < 1:
            raise Refused(f"A figure needs at least 1 reason, not {self.least_rationales}.")
        try:
            growing.shares_of(self.thresholds)
        except ValueError:
            raise Refused(
                f"Thresholds are shares above 0 and at most 1 with commas between, not {self.thresholds!r}."
            ) from None
        if self.least_markers < 1:
            raise Refused(f"Words are ranked by the marks of at least 1 person, not {self.least_markers}.")

    @property
    def shares(self) -> tuple[float, ...]:
        """The thresholds, ascending."""
        return growing.shares_of(self.thresholds)


def standing(project: Project, asked: FaithfulnessRequest, *, seed: int) -> list[int]:
    """The numbers of the rationales that are asked about, ascending. They stand alone or with a current judgement.

    Raises:
        Refused: there is none.
    """
    facts = arrays.pair_facts(project=project, voices=Voices(kind="all"), where=in_play(asked.where))
    wanted = facts.pair[facts.passes.all(axis=0)]
    found = (
        _given(project, asked)
        .filter(~Q(text="") | Q(spans__isnull=False))
        .order_by("pk")
        .distinct()
        .values_list("pk", "pair_id")
    )
    there = np.array(list(found), dtype=np.int64).reshape(-1, 2)
    numbers = there[np.isin(there[:, 1], wanted), 0]
    if not len(numbers):
        raise Refused(NO_RATIONALES)
    if len(numbers) > asked.most:
        numbers = np.sort(np.random.default_rng(seed).choice(numbers, size=asked.most, replace=False))
    return [int(one) for one in numbers]


def _given(project: Project, asked: FaithfulnessRequest) -> QuerySet[Rationale]:
    """What stands of those whose reasons are asked for."""
    whose = Q() if asked.voices.kind == "all" else Q(annotator__kind=asked.voices.kind)
    if asked.voices.prefixes:
        named = Q()
        for prefix in asked.voices.prefixes:
            named |= Q(annotator__name__startswith=prefix) | Q(annotator__external_id__startswith=prefix)
        whose &= named
    return Rationale.objects.filter(whose, Q(judgement=None) | Q(judgement__is_current=True), pair__project=project)


@dataclass(frozen=True)
class Shared:
    """What each of several people marked in the candidates of a pair, by pair; and how many pairs fewer marked."""

    marked: dict[int, list[growing.Marks]]
    left_out: int


def shared(project: Project, asked: FaithfulnessRequest, numbers: Sequence[int]) -> Shared:
    """What people marked in the pairs of these rationales, all that stands of it. Nothing where no share is asked for.

    What models marked is left out: a share is of people.
    """
    if not asked.shares:
        return Shared({}, 0)
    pairs = Rationale.objects.filter(pk__in=numbers).values("pair")
    rows = (
        _given(project, asked)
        .filter(annotator__kind=Annotator.Kind.PERSON, spans__candidate__isnull=False, pair__in=pairs)
        .order_by("pair_id", "annotator_id", "spans")
        .values_list("pair_id", "annotator_id", "spans__candidate_id", "spans__message", "spans__start", "spans__end")
    )
    found: dict[int, dict[int, dict[growing.Place, list[tuple[int, int]]]]] = {}
    for pair, who, candidate, message, start, end in rows:
        found.setdefault(pair, {}).setdefault(who, {}).setdefault((candidate, message), []).append((start, end))
    kept: dict[int, list[growing.Marks]] = {
        pair: list(of.values()) for pair, of in found.items() if len(of) >= asked.least_markers
    }
    return Shared(kept, len(found) - len(kept))


# ---- texts without what was marked, and nothing else ----------------------------------------------------------------


def cut(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The text without the spans. Where one was, words do not run together; everything else stays to the letter.

    >>> cut("It is short and right.", [(6, 11)])
    'It is and right.'
    """
    found, last = "", 0
    for start, end in sorted(spans):
        if end > last:
            found, last = _joined(found, text[last : max(start, last)]), end
    return _joined(found, text[last:]) if spans else text


def _joined(one: str, other: str) -> str:
    return f"{one.rstrip(' ')} {other.lstrip(' ')}" if one and other else one + other


def only(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """Nothing but the spans, in their order; those that touch are one.

    >>> only("It is short and right.", [(16, 22), (6, 9), (8, 11)])
    'short … right.'
    """
    found: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return " … ".join(part for start, end in found if (part := text[start:end].strip()))


def perturbed(text: str, *, words: Sequence[str], share: float, rng: np.random.Generator) -> str:
    """The text with this share of its words, one at least, replaced by others drawn from `words`."""
    own = text.split()
    for place in rng.permutation(len(own))[: max(1, round(share * len(own)))]:
        own[place] = words[int(rng.integers(len(words)))]
    return " ".join(own)


# ---- what the answers come to ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answers:
    """Probabilities of the model about each rationale, shape (n,); nan: not asked, or not answered.

    Attributes:
        annotator: whose rationale it is.
        full, without, only: of what the model itself prefers, shown all, all but what is marked, nothing but that.
        told, untold: of what the annotator prefers, with the written reason and without it.
        perturbed: as `told` with perturbed reasons, shape (n, n_perturbations).
    """

    annotator: NDArray[np.int64]
    full: NDArray[np.float64]
    without: NDArray[np.float64]
    only: NDArray[np.float64]
    told: NDArray[np.float64]
    untold: NDArray[np.float64]
    perturbed: NDArray[np.float64]

    @classmethod
    def none(cls, annotator: NDArray[np.int64], *, n_perturbations: int) -> Answers:
        """Nothing is answered yet."""
        n = len(annotator)
        nothing = {name: np.full(n, np.nan) for name in ("full", "without", "only", "told", "untold")}
        return cls(annotator=annotator, **nothing, perturbed=np.full((n, n_perturbations), np.nan))


def store(
    hold: Hold, asked: FaithfulnessRequest, answers: Answers, grown: Growing, *, result: dict[str, Any]
) -> dict[str, Any]:
    """Store the four figures of all people together and of everybody, and the areas. Returns the run's result.

    Raises:
        Superseded: another worker has the run now.
    """
    run = hold.run
    people = set(
        Annotator.objects.filter(project=run.project_id, kind=Annotator.Kind.PERSON).values_list("pk", flat=True)
    )
    found: list[Measurement] = []
    subjects: list[tuple[int | None, NDArray[np.bool_]]] = [(None, np.isin(answers.annotator, sorted(people)))]
    subjects += [(int(number), answers.annotator == number) for number in np.unique(answers.annotator)]
    for number, whose in subjects:
        for metric, estimate in figures(answers, whose, asked, seed=run.seed).items():
            found.append(as_row(run, metric, estimate, annotator_id=number))
    found += growing.rows(
        run,
        grown,
        asked.shares,
        least=asked.least_rationales,
        least_markers=asked.least_markers,
        resamples=asked.bootstrap,
    )
    with hold.fenced():
        replace_all(hold, found)
    return {"rationales": len(answers.annotator), **result}


def figures(
    answers: Answers, whose: NDArray[np.bool_], asked: FaithfulnessRequest, *, seed: int
) -> dict[str, Estimate]:
    """The four figures of some rationales; below the least number of them the reason says how many there are."""
    told, untold = (np.log(np.maximum(one[whose], LEAST)) for one in (answers.told, answers.untold))
    asked_for: dict[str, tuple[Callable[..., Estimate], NDArray[np.float64], NDArray[np.float64]]] = {
        "comprehensiveness": (comprehensiveness, answers.full[whose], answers.without[whose]),
        "sufficiency": (sufficiency, answers.full[whose], answers.only[whose]),
        "rationale_gain": (rationale_gain, told, untold),
        "perturbation_effect": (perturbation_effect, answers.told[whose], answers.perturbed[whose]),
    }
    found: dict[str, Estimate] = {}
    for metric, (function, one, other) in asked_for.items():
        # The same rationales are drawn for each figure.
        rng = np.random.default_rng(seed) if asked.bootstrap else None
        estimate = function(one, other, rng=rng, resamples=asked.bootstrap)
        if 0 < estimate.n < asked.least_rationales:
            reason = not_enough(estimate.n, asked.least_rationales, "rationales")
            estimate = Estimate.undefined(reason, n=estimate.n)
        found[metric] = estimate
    return found


# ---- reading it back -------------------------------------------------------------------------------------------------


def report(run: Run) -> dict[str, Any]:
    """What a run found, as JSON values: all people, then everybody."""
    known = {one.pk: one for one in Annotator.objects.filter(project=run.project_id)}
    entries: dict[int | None, dict[str, Any]] = {}
    for row in run.measurements.order_by("id"):
        who = known.get(row.annotator_id or 0)
        entry = entries.setdefault(
            row.annotator_id, {"annotator": who.name if who else "people", "kind": who.kind if who else "people"}
        )
        entry[row.metric] = as_shown(row)
    return {**asked_of(run), "annotators": list(entries.values())}


def as_text(found: dict[str, Any]) -> str:
    """`report` as lines for a terminal."""
    lines = [
        f"{found['rationales']} rationales for {found['model']}{' (a toy)' if found['toy'] else ''} "
        f"(run {found['run']})."
    ]
    for entry in found["annotators"]:
        lines.append(f"{entry['annotator']}:")
        lines += [f"  {METRICS[name].title}: {_line(entry[name])}" for name in SHOWN if name in entry]
    return "\n".join(lines)


def _line(one: dict[str, Any]) -> str:
    if one["value"] is None:
        return f"undefined. {one['reason']}"
    ends = f" ({one['low']:.3f} to {one['high']:.3f})" if one["low"] is not None else ""
    return f"{one['value']:.3f}{ends}, n {one['n']}"
