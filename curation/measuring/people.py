"""What can be said of every annotator, person or judge: how much, how fast, with whom, and with which habits.

People are compared with people. Judges are compared with people too, and never count among "the others".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from annotation.errors import Refused
from annotation.models import Annotator, Project, Run
from annotation.running import Hold
from curation import arrays
from curation.arrays import Judged, PrincipleVotes
from curation.measuring.discretion import (
    DiscretionRequest,
    Subject,
    arbitrariness_of,
    principles_of,
    priorities_of,
    subjects,
)
from curation.measuring.kappas import LEAST_COMMON, kappas_of, undefined
from curation.measuring.request import setting
from curation.measuring.storing import as_row, as_shown, asked_of, replace_all
from curation.metrics import METRICS, people
from curation.metrics.discretion import discrepancy_of_profiles, supremacy
from curation.metrics.estimates import Estimate
from curation.metrics.labels import Labels
from curation.models import Measurement
from curation.voices import Voices

# A left rate that rests on as many decided pairs is drawn, hollow, though it is not enough to say anything.
LEAST_DRAWN = 30
# Priorities are drawn for as many people, those with the most choices.
MOST_PROFILES = 50
BEYOND = f"Orders of principles are drawn for the {MOST_PROFILES} annotators with the most choices."
NO_PEOPLE = "No person judged a pair that somebody voted on by principle."
# Figures are kept apart for so many versions of the guideline, the latest ones.
MOST_VERSIONS = 12
# The chart of active seconds: so many classes of equal ratio.
CLASSES, SHORTEST, LONGEST = 20, 4.0, 300.0

# What a column of the report is, in its order: the metric, and its least number of cases.
COLUMNS: dict[str, int] = {
    "leave_one_out_agreement": people.LEAST_MET,
    "gold_accuracy": people.LEAST_GOLD,
    "active_time": people.LEAST_TIMED,
    "left_rate": people.LEAST_DECIDED,
    "length_slope": people.LEAST_DECIDED,
    "tie_rate": people.LEAST_JUDGEMENTS,
    "skip_rate": people.LEAST_JUDGEMENTS,
    "agreement_drift": people.LEAST_WEEKS,
}


@dataclass(frozen=True, kw_only=True)
class PeopleRequest(DiscretionRequest):
    """By default what people and judges said, each measured alone."""

    measure: ClassVar[str] = "people"

    voices: Voices = field(default_factory=lambda: Voices(kind="all"))
    least_common: int = setting(LEAST_COMMON, says="common pairs that kappa needs")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.least_common < 1:
            raise Refused(f"Kappa needs at least 1 common pair, not {self.least_common}.")


@dataclass(frozen=True)
class Figures:
    """The estimates of some judgements: for each metric of `COLUMNS` one for each of `annotators`, in their order."""

    annotators: NDArray[np.int64]
    of: dict[str, list[Estimate]]
    detail: dict[str, list[dict[str, Any]]]


def figures(judged: Judged, *, rng: np.random.Generator | None, resamples: int) -> Figures:
    """Measure every annotator of some judgements. `rng`: where given, agreement has a bootstrap interval."""
    annotators, who = np.unique(judged.annotator, return_inverse=True)
    size = {"n_annotators": len(annotators)}
    is_person = ~judged.is_judge[np.unique(who, return_index=True)[1]]
    labels, kept = judged.labels()
    # An annotator who only skipped has no label, and a row all the same.
    labels = Labels(labels.item, who[kept], labels.value, labels.items, annotators, labels.values)
    week = judged.week[kept]
    gold = _gold_of(judged, kept, labels)
    decided = judged.is_decided
    verdict = np.array([*arrays.VERDICTS, "skip"])[judged.says]
    of = {
        "leave_one_out_agreement": people.leave_one_out_agreement(
            labels, rng=rng, resamples=resamples, reference=is_person
        ),
        "gold_accuracy": people.gold_accuracy(labels, gold),
        "active_time": people.active_time(who, judged.active_ms, **size),
        "left_rate": people.left_rate(who, judged.chose_left, **size),
        "length_slope": people.length_slope(who, judged.length_ratio, _chose_first(judged), **size),
        "tie_rate": people.verdict_rate(who[decided], verdict[decided], of="tie", **size),
        "skip_rate": people.verdict_rate(who, verdict, of="skip", **size),
        "agreement_drift": people.agreement_drift(labels, week, reference=is_person),
    }
    count = partial(np.bincount, minlength=len(annotators))
    weeks = people.agreement_by_week(labels, week, reference=is_person)
    right = labels.value == gold[labels.item]
    detail: dict[str, list[dict[str, Any]]] = {
        "left_rate": [{"hits": int(k)} for k in count(who[judged.chose_left == 1])],
        "gold_accuracy": [{"hits": int(k)} for k in count(labels.annotator[right])],
        "active_time": [{"histogram": one} for one in _histograms(who, judged.active_ms, len(annotators))],
        "agreement_drift": [{"weeks": [[one.week, round(one.mean, 4), one.n] for one in mine]} for mine in weeks],
    }
    return Figures(annotators, of, detail)


def _gold_of(judged: Judged, kept: NDArray[np.int64], labels: Labels) -> NDArray[np.int64]:
    """The right value of each item, turned as the labels are."""
    gold = judged.gold[kept].astype(np.int64)
    gold = np.where(judged.is_turned[kept] & (gold >= 0) & (gold < 2), 1 - gold, gold)
    found = np.full(labels.n_items, -1, dtype=np.int64)
    found[labels.item] = gold
    return found


def _chose_first(judged: Judged) -> NDArray[np.float64]:
    return np.where(judged.says == 0, 1.0, np.where(judged.says == 1, 0.0, np.nan))


def _histograms(who: NDArray[np.int64], milliseconds: NDArray[np.float64], size: int) -> list[list[int]]:
    """How many judgements of each annotator fall into each class of active seconds, the ends taking what is beyond."""
    timed = ~np.isnan(milliseconds)
    seconds = np.clip(milliseconds[timed] / 1000, SHORTEST, LONGEST)
    place = np.log(seconds / SHORTEST) / np.log(LONGEST / SHORTEST) * CLASSES
    cell = who[timed] * CLASSES + np.minimum(place.astype(np.int64), CLASSES - 1)
    table: list[list[int]] = np.bincount(cell, minlength=size * CLASSES).reshape(size, CLASSES).tolist()
    return table


def execute(hold: Hold, project: Project, asked: PeopleRequest) -> dict[str, Any]:
    """Measure every annotator and store it. Returns the run's result.

    Stored for each annotator are the metrics of `COLUMNS`, with the same figures under each version of the guideline
    beside them; arbitrariness, priorities and their discrepancy to all people together where somebody voted by
    principle; and Cohen's kappa with everybody with whom they have enough common pairs. The result counts the others.

    Raises:
        Cancelled, Superseded: as `Hold.beat`.
    """
    run = hold.run
    judged = arrays.judged(project=project, voices=asked.voices, where=asked.where)
    hold.beat()
    versions = [int(one) for one in np.unique(judged.guideline) if one][-MOST_VERSIONS:]
    whole = _measured(run, judged, asked)
    hold.beat()
    apart = {}
    for version in versions if len(versions) > 1 or (judged.guideline == 0).any() else []:
        apart[version] = _measured(run, judged.take(judged.guideline == version), asked)
        hold.beat()
    found = _rows(run, whole, apart)
    # Without an interval: the page compares cells, it tests none.
    kappas = kappas_of(run, judged.labels()[0], least=asked.least_common)
    found += kappas.rows
    hold.beat()
    principles = _by_principle(hold, project, asked, found)
    with hold.fenced():
        replace_all(hold, found)
    judge_numbers = np.unique(judged.annotator[judged.is_judge])
    return {
        "judgements": len(judged),
        "people": len(whole.annotators) - len(judge_numbers),
        "judges": len(judge_numbers),
        "versions": versions,
        "principles": principles,
        "kappas_left_out": kappas.left_out,
    }


def _measured(run: Run, judged: Judged, asked: PeopleRequest) -> Figures:
    rng = np.random.default_rng(run.seed) if asked.bootstrap else None
    return figures(judged, rng=rng, resamples=asked.bootstrap)


def _rows(run: Run, whole: Figures, apart: dict[int, Figures]) -> list[Measurement]:
    places = {version: {int(one): k for k, one in enumerate(part.annotators)} for version, part in apart.items()}
    found = []
    for metric in COLUMNS:
        for place, number in enumerate(whole.annotators.tolist()):
            detail = _detail(whole, metric, place)
            rounds = {
                str(version): {**part.of[metric][at].as_json(), **_detail(part, metric, at)}
                for version, part in apart.items()
                if (at := places[version].get(number)) is not None
            }
            if rounds:
                detail = {**detail, "by_guideline": rounds}
            found.append(as_row(run, metric, whole.of[metric][place], annotator_id=number, detail=detail))
    return found


def _detail(part: Figures, metric: str, place: int) -> dict[str, Any]:
    return part.detail[metric][place] if metric in part.detail else {}


def _by_principle(hold: Hold, project: Project, asked: PeopleRequest, found: list[Measurement]) -> list[dict[str, Any]]:
    """Arbitrariness and priorities of everybody who judged a pair with votes. Returns the principles."""
    votes = arrays.principle_votes(project=project, voices=asked.voters(project), where=asked.where)
    if not len(votes):
        return []
    said = arrays.preferences(project=project, voices=asked.voices, where=asked.where)
    everybody = list(subjects(votes, said))
    for subject in everybody:
        if subject.annotator is not None:
            found.append(arbitrariness_of(hold.run, votes, subject, asked))
            hold.beat()
    found += _orders(hold, votes, everybody, asked)
    return principles_of(votes)


def _orders(
    hold: Hold, votes: PrincipleVotes, everybody: Sequence[Subject], asked: PeopleRequest
) -> Iterator[Measurement]:
    """Everybody's order of principles, and how far it is from that of all people together, a person among them."""
    run = hold.run
    together = next((one for one in everybody if one.annotator is None), None)
    people_profile = priorities_of(run, votes, together, asked)[0] if together else None
    alone = sorted((one for one in everybody if one.annotator is not None), key=lambda one: -len(one.value))
    for place, subject in enumerate(alone):
        if place < MOST_PROFILES:
            profile, row = priorities_of(run, votes, subject, asked)
            gap = discrepancy_of_profiles(profile, people_profile) if people_profile else Estimate.undefined(NO_PEOPLE)
        else:
            conflicts = int(supremacy(votes.votes[subject.row], subject.value).n.sum()) // 2
            gap = Estimate.undefined(BEYOND, n=conflicts)
            row = as_row(run, "principle_priorities", gap, annotator_id=subject.annotator)
        if not gap.is_defined:
            gap = replace(gap, n=row.n or 0)
        yield row
        yield as_row(run, "discretion_discrepancy", gap, annotator_id=subject.annotator)
        hold.beat()


# ---- reading it back -------------------------------------------------------------------------------------------------


def report(run: Run) -> dict[str, Any]:
    """What a run found, as JSON values: one entry for every annotator, people before judges; and the kappas."""
    known = {one.pk: one for one in Annotator.objects.filter(project=run.project_id)}
    entries: dict[int, dict[str, Any]] = {}
    kappas: list[dict[str, Any]] = []
    for row in run.measurements.exclude(annotator=None).order_by("id"):
        number = row.annotator_id or 0
        if row.metric == "cohen_kappa":
            names = {"first": known[number].name, "second": known[row.other_id or 0].name}
            kappas.append({**names, **as_shown(row)})
            continue
        who = known[number]
        entry = entries.setdefault(number, {"annotator": who.name, "kind": who.kind, "n": 0})
        entry[row.metric] = as_shown(row)
        if row.metric == "skip_rate":
            entry["n"] = row.n
    listed = sorted(
        entries.values(), key=lambda one: (one["kind"] == Annotator.Kind.JUDGE, -one["n"], one["annotator"])
    )
    return {**asked_of(run), "annotators": listed, "cohen_kappa": kappas}


def as_text(found: dict[str, Any]) -> str:
    """`report` as lines for a terminal."""
    lines = [
        f"{found['judgements']} judgements by {found['people']} people and {found['judges']} judges "
        f"(run {found['run']})."
    ]
    for entry in found["annotators"]:
        kind = "a judge, " if entry["kind"] == Annotator.Kind.JUDGE else ""
        lines.append(f"{entry['annotator']}: {kind}{entry['n']} judgements")
        lines += [f"  {METRICS[name].title}: {_line(entry[name])}" for name in _columns(entry)]
        lines += _order(entry.get("principle_priorities", {}), found["principles"])
    lines += undefined(found["cohen_kappa"], found.get("kappas_left_out", {}))
    return "\n".join(lines)


def _columns(entry: dict[str, Any]) -> Sequence[str]:
    return [name for name in (*COLUMNS, "discretion_arbitrariness", "discretion_discrepancy") if name in entry]


def _order(priorities: dict[str, Any], principles: list[dict[str, Any]]) -> list[str]:
    """The principles from the one that goes first, where there is an order."""
    if priorities.get("value") is None:
        return []
    both = zip(priorities["weights"], principles, strict=True)
    weighed = sorted((-weight, one["short"]) for weight, one in both if weight is not None)
    names = ", ".join(name for _, name in weighed)
    return [f"  Order of principles: {names}, n {priorities['value']:.0f} conflicts"]


def _line(one: dict[str, Any]) -> str:
    if one["value"] is None:
        return f"{one['reason']} (n {one['n']})"
    ends = f" ({one['low']:.3f} to {one['high']:.3f})" if one["low"] is not None else ""
    return f"{one['value']:.3f}{ends}, n {one['n']}"
