"""Where the principles leave a choice, and what people and judges do with it (AI alignment at your discretion).

Everybody is measured by the same votes on the same pairs: all people together (each judgement is one choice, drawn by
pair), every person, and every judge. People and judges are compared, never mixed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from annotation.errors import Refused
from annotation.models import Annotator, Principle, PrincipleVote, Project, Run
from annotation.running import Hold
from curation import arrays
from curation.arrays import Preferences, PrincipleVotes
from curation.measuring.request import Request, setting
from curation.measuring.storing import as_row, as_shown, asked_of, replace_all
from curation.metrics import discretion
from curation.metrics.estimates import Estimate
from curation.models import Measurement
from curation.voices import Voices

# Fewer rows of consensus than this are not enough data for arbitrariness (UX: minimum n of the reports).
LEAST_ROWS = 30
# As few conflicts as this say nothing about an order of principles.
LEAST_CONFLICTS = 30
# The report offers each of these as the least number of relevant principles.
MINIMA = (1, 2, 3, 4, 5)
# Priorities are drawn for all people together and for this many judges, those with the most preferences.
MOST_PROFILES = 24

NOT_A_CHOICE = "No preference was stated on these pairs."
NO_VOTES = (
    "Nobody has voted by principle here. Import votes (manage.py import_principle_votes), let a judge vote, or turn on "
    "votes by principle in the project's settings."
)


@dataclass(frozen=True, kw_only=True)
class DiscretionRequest(Request):
    """By default what people and judges prefer, each measured alone."""

    measure: ClassVar[str] = "discretion"

    voices: Voices = field(default_factory=lambda: Voices(kind="all"))
    votes_of: str = setting(
        "", says="whose votes by principle: people, judges, or how a name begins; judges', if there are any, by default"
    )
    min_relevant_principles: int = setting(1, says="relevant principles that consensus needs; 1 is the paper's")
    ridge: float = setting(0.01, says="ridge of the priorities; 0 is the paper's")
    resamples: int = setting(100, says="resamples of pairs for priorities and discrepancy")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.min_relevant_principles <= 1000:
            raise Refused(f"Consensus needs 1 to 1000 relevant principles, not {self.min_relevant_principles}.")
        if not 0 <= self.ridge <= 1000:
            raise Refused(f"The ridge is 0 to 1000, not {self.ridge}.")
        if not 1 <= self.resamples <= 10_000:
            raise Refused(f"Priorities take 1 to 10000 resamples, not {self.resamples}.")

    def voters(self, project: Project) -> Voices:
        """Whose votes say what the principles ask for."""
        if self.votes_of in ("people", "judges"):
            return Voices(kind="person" if self.votes_of == "people" else "judge")
        if self.votes_of:
            return Voices(kind="all", prefixes=(self.votes_of,))
        judged = PrincipleVote.objects.filter(annotator__project=project, annotator__kind=Annotator.Kind.JUDGE)
        return Voices(kind="judge" if judged.exists() else "person")


@dataclass(frozen=True)
class Subject:
    """Somebody whose choices are measured. `row` names the row of votes of each choice; both arrays (n_choices,)."""

    annotator: int | None
    is_judge: bool
    row: NDArray[np.int64]
    value: NDArray[np.float64]

    @property
    def coverage(self) -> float:
        """The share of choices that prefer one of the two, of all pairs that were judged."""
        return float((~np.isnan(self.value)).mean()) if len(self.value) else 0.0


def subjects(votes: PrincipleVotes, said: Preferences) -> Iterator[Subject]:
    """All people together, then every annotator with a judgement on a row, in the order of their numbers."""
    row = votes.rows_of(said.pair)
    on = row >= 0
    row, annotator, is_judge, value = row[on], said.annotator[on], said.is_judge[on], said.value[on]
    people = ~is_judge
    if people.any():
        yield Subject(None, False, row[people], value[people])
    numbers, starts = np.unique(annotator, return_index=True)
    ends = np.append(starts, len(annotator))[1:]
    for number, start, end in zip(numbers, starts, ends, strict=True):
        yield Subject(int(number), bool(is_judge[start]), row[start:end], value[start:end])


def execute(hold: Hold, project: Project, asked: DiscretionRequest) -> dict[str, Any]:
    """Measure discretion and store it. Returns the run's result.

    Stored are the shares of consensus, conflict and indifference; arbitrariness for all people, every person and every
    judge; priorities with the supremacy they come from for all people and the judges; the discrepancy of each judge to
    people; and for every pair how many principles are relevant, its category, and what they agree on.

    Raises:
        Refused: nobody voted by principle.
        Cancelled, Superseded: as `Hold.beat`.
    """
    run, voters = hold.run, asked.voters(project)
    votes = arrays.principle_votes(project=project, voices=voters, where=asked.where)
    if not len(votes):
        raise Refused(NO_VOTES)
    hold.beat()
    rows = discretion.rows(votes.votes)
    everybody = list(subjects(votes, arrays.preferences(project=project, voices=asked.voices, where=asked.where)))
    found = [
        as_row(run, f"{category}_share", discretion.category_share(votes.votes, category=category))
        for category in discretion.CATEGORIES
    ]
    for subject in everybody:
        found.append(arbitrariness_of(run, votes, subject, asked))
        hold.beat()
    profiles = {}
    for subject in _profiled(everybody):
        profile, row = priorities_of(run, votes, subject, asked)
        profiles[subject.annotator] = profile
        found.append(row)
        hold.beat()
    people = profiles.get(None)
    for number, profile in profiles.items():
        if number is not None and people is not None:
            gap = discretion.discrepancy_of_profiles(profile, people)
            found.append(as_row(run, "discretion_discrepancy", gap, annotator_id=number))
    with hold.fenced():
        replace_all(hold, found)
        _store_rows(run, votes, rows, everybody)
    return {
        "pairs": len(votes),
        "principles": principles_of(votes),
        "relevant": float(rows.n_relevant.mean()),
        "voters": {"kind": voters.kind, "annotators": list(voters.prefixes)},
    }


def arbitrariness_of(run: Run, votes: PrincipleVotes, subject: Subject, asked: DiscretionRequest) -> Measurement:
    table = votes.votes[subject.row]

    def at(minimum: int) -> Estimate:
        return discretion.arbitrariness(
            table,
            subject.value,
            min_relevant_principles=minimum,
            least=LEAST_ROWS,
            groups=subject.row,
            rng=np.random.default_rng(run.seed) if asked.bootstrap else None,
            resamples=asked.bootstrap,
        )

    found = at(asked.min_relevant_principles)
    detail = {
        "coverage": subject.coverage,
        "choices": len(subject.value),
        "by_minimum": [at(minimum).as_json() for minimum in MINIMA],
    }
    return as_row(run, "discretion_arbitrariness", found, annotator_id=subject.annotator, detail=detail)


def _profiled(everybody: list[Subject]) -> list[Subject]:
    """All people, and the judges with the most choices."""
    judges = sorted((one for one in everybody if one.is_judge), key=lambda one: -len(one.value))
    return [one for one in everybody if one.annotator is None] + judges[:MOST_PROFILES]


def priorities_of(
    run: Run, votes: PrincipleVotes, subject: Subject, asked: DiscretionRequest
) -> tuple[discretion.Profile, Measurement]:
    table = votes.votes[subject.row]
    beaten = discretion.supremacy(table, subject.value)
    profile = discretion.profile(
        table,
        subject.value,
        ridge=asked.ridge,
        least=LEAST_CONFLICTS,
        groups=subject.row,
        n_groups=len(votes),
        rng=np.random.default_rng(run.seed),
        resamples=asked.resamples,
    )
    # Each conflict stands in the matrix twice, once from either side.
    conflicts = int(beaten.n.sum()) // 2
    detail = {
        "n": beaten.n.tolist(),
        "wins": np.rint(np.nan_to_num(beaten.ps) * beaten.n).astype(int).tolist(),
        "weights": _plain(profile.weights),
        "low": _plain(profile.low),
        "high": _plain(profile.high),
        "ranks": _ranks(profile),
    }
    found = Estimate(float(conflicts), n=conflicts)
    if not profile.is_defined:
        found = Estimate.undefined(profile.reason or "", n=conflicts)
    return profile, as_row(run, "principle_priorities", found, annotator_id=subject.annotator, detail=detail)


def _plain(values: NDArray[np.float64]) -> list[float | None]:
    """Numbers as JSON has them: nan is null."""
    return [None if value != value else round(value, 6) for value in values.tolist()]


def _ranks(profile: discretion.Profile) -> list[list[int] | None]:
    """For each principle its rank (1 goes first) with the 2.5 and 97.5 % quantiles over the resamples."""
    if not profile.is_defined:
        return [None] * len(profile.weights)
    places = _places(profile.weights[None, :])[0]
    drawn = _places(profile.drawn)
    ends = np.quantile(drawn, [0.025, 0.975], axis=0, method="nearest").astype(int)
    return [
        None if weight != weight else [int(place), int(low), int(high)]
        for weight, place, low, high in zip(profile.weights, places, *ends, strict=True)
    ]


def _places(weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """1 for the largest of each row; principles that never met a conflict come last."""
    order = np.argsort(-np.nan_to_num(weights, nan=-np.inf), axis=1, kind="stable")
    places = np.empty_like(order)
    np.put_along_axis(places, order, np.arange(1, weights.shape[1] + 1)[None, :], axis=1)
    return places


def principles_of(votes: PrincipleVotes) -> list[dict[str, Any]]:
    names = {one.pk: one for one in Principle.objects.filter(pk__in=votes.principle.tolist())}
    return [{"id": number, "short": names[number].short} for number in votes.principle.tolist()]


# A category as a number, in the order in which the board draws them.
CATEGORY_CODES = {name: code for code, name in enumerate(discretion.CATEGORIES)}


def _store_rows(run: Run, votes: PrincipleVotes, rows: discretion.Rows, everybody: list[Subject]) -> None:
    """The fields of a row (METHODS 1.9), one measurement per pair and field.

    How many of the people go against principles that agree has beside it, for each annotator who chose, person or
    judge, by number, whether this one does.
    """
    asked_by = np.full(len(votes), len(votes.principle), dtype=np.int64)
    codes = np.array([CATEGORY_CODES[name] for name in rows.category.tolist()], dtype=np.float64)
    against: NDArray[np.float64] = np.zeros(len(votes))
    choices: NDArray[np.int64] = np.zeros(len(votes), dtype=np.int64)
    by: list[dict[str, bool]] = [{} for _ in range(len(votes))]
    for subject in everybody:
        flags = rows.of(subject.row).arbitrary(subject.value)
        judged = ~np.isnan(flags)
        places, is_against = subject.row[judged], flags[judged] > 0
        if subject.annotator is None:
            against = np.bincount(places, is_against, minlength=len(votes)).astype(np.float64)
            choices = np.bincount(places, minlength=len(votes)).astype(np.int64)
            continue
        for place, one in zip(places.tolist(), is_against.tolist(), strict=True):
            by[place][str(subject.annotator)] = one
    fields = (
        ("n_relevant_principles", rows.n_relevant.astype(np.float64), asked_by, "", None),
        ("discretion_category", codes, rows.n_relevant.astype(np.int64), "", None),
        ("consensus_direction", rows.direction, rows.n_relevant.astype(np.int64), "The principles do not agree.", None),
        (
            "arbitrary_judgements",
            np.where(choices > 0, against, np.nan),
            choices,
            NOT_A_CHOICE,
            [{"by": each} if each else {} for each in by],
        ),
    )
    for metric, values, n, undefined, details in fields:
        arrays.store_pair_values(
            run=run, metric=metric, pairs=votes.pair, values=values, n=n, undefined=undefined, details=details
        )


# ---- reading it back -------------------------------------------------------------------------------------------------


def report(run: Run) -> dict[str, Any]:
    """What a run found, as JSON values: shares, then one entry for everybody who was measured."""
    names = dict(Annotator.objects.filter(project=run.project_id).values_list("pk", "name"))
    kinds = dict(Annotator.objects.filter(project=run.project_id).values_list("pk", "kind"))
    shares: dict[str, Any] = {}
    entries: dict[int | None, dict[str, Any]] = {}
    for row in run.measurements.filter(pair=None, candidate=None).order_by("id"):
        if row.metric.endswith("_share"):
            shares[row.metric.removesuffix("_share")] = as_shown(row)
            continue
        entry = entries.setdefault(
            row.annotator_id,
            {
                "annotator": names.get(row.annotator_id or 0, "people"),
                "kind": kinds.get(row.annotator_id or 0, "people"),
            },
        )
        entry[row.metric] = as_shown(row)
    return {**asked_of(run), "shares": shares, "annotators": list(entries.values())}


def as_text(found: dict[str, Any]) -> str:
    """`report` as lines for a terminal."""
    shares = ", ".join(f"{name} {100 * one['value']:.1f} %" for name, one in found["shares"].items())
    lines = [f"{found['pairs']} pairs, {len(found['principles'])} principles (run {found['run']}): {shares}."]
    for entry in found["annotators"]:
        one = entry["discretion_arbitrariness"]
        if one["value"] is None:
            said = f"undefined. {one['reason']} (n {one['n']})"
        else:
            ends = f" ({one['low']:.4f} to {one['high']:.4f})" if one["low"] is not None else ""
            said = f"{one['value']:.4f}{ends}, n {one['n']}, coverage {100 * one['coverage']:.0f} %"
        gap = entry.get("discretion_discrepancy", {})
        apart = f"; discrepancy to people {gap['value']:.3f}" if gap.get("value") is not None else ""
        lines.append(f"Arbitrariness of {entry['annotator']}: {said}{apart}")
    return "\n".join(lines)
