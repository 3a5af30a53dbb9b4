"""What machine reasons change after the lock: the offered against the control, and what readers make of them.

A case is an offer. What happens after it: whether its judgement was changed; and the annotator's next judgement of
another pair, with its own reason. Next, because that is when a reason that was just read would still be at work; it is
the next one of everybody, opened or not.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from django.db.models import QuerySet
from numpy.typing import NDArray

from annotation.errors import Refused
from annotation.models import Annotator, Judgement, Project, Reaction, Run
from annotation.running import Hold
from curation import arrays
from curation.measuring.request import Request, setting
from curation.measuring.storing import as_row, as_shown, asked_of, replace_all
from curation.metrics import METRICS, anchoring
from curation.metrics.estimates import Estimate
from curation.models import Measurement
from curation.selecting import chosen_sql

EFFECTS = ("anchoring_revision", "anchoring_agreement", "anchoring_reason")
CHOICES = ("accepted", "edited", "rejected")


@dataclass(frozen=True, kw_only=True)
class AnchoringRequest(Request):
    """What people were offered. Judges are never offered anything."""

    measure: ClassVar[str] = "anchoring"

    least_in_arm: int = setting(anchoring.LEAST_IN_ARM, says="cases that each arm needs")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.voices.kind != "person":
            raise Refused("Anchoring is measured of people: judges are offered nothing.")
        if self.least_in_arm < 1:
            raise Refused(f"Each arm needs at least 1 case, not {self.least_in_arm}.")
        if self.bootstrap < 1:
            raise Refused("The difference of means needs resamples: --set bootstrap=1000.")


@dataclass(frozen=True)
class Cases:
    """One row per offer (its `number`), shape (n_cases,); nan where something is not known.

    `changed`, `agrees`: 1 or 0. `length`: code points of the next judgement's own reason. `opened_first`: whether it
    was opened before the next judgement was given.
    """

    number: NDArray[np.int64]
    is_control: NDArray[np.bool_]
    opened: NDArray[np.bool_]
    opened_first: NDArray[np.bool_]
    changed: NDArray[np.float64]
    agrees: NDArray[np.float64]
    length: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.is_control)


def read(project: Project, asked: AnchoringRequest) -> Cases:
    """The offers of the people asked for, in one query of numbers, in the order in which they were drawn."""
    chosen, chosen_params = chosen_sql(project=project.pk, voices=asked.voices, where=asked.where)
    whose, whose_params = asked.voices.sql(is_without_too=True)
    found = arrays.columns(
        f"""
        SELECT o.id, o.is_control, o.shown_at IS NOT NULL, coalesce(o.shown_at < later.created_at, false),
               EXISTS (SELECT 1 FROM judgement c JOIN assignment s ON s.id = c.assignment_id
                       WHERE c.annotator_id = o.annotator_id AND s.pair_id = o.pair_id AND c.id > o.judgement_id
                         AND (c.verdict, c.strength) IS DISTINCT FROM (j0.verdict, j0.strength))::int::float8,
               CASE WHEN later.verdict = 'prefer' AND machine.says <> 0
                    THEN (sign(later.strength) = sign(machine.says))::int END::float8,
               later.length::float8
        FROM offer o JOIN annotator n ON n.id = o.annotator_id
        JOIN judgement j0 ON j0.id = o.judgement_id
        JOIN (SELECT p.id {chosen}) w ON w.id = o.pair_id
        -- The condition on whose speaks of j; an offer's own judgement may have been replaced since.
        LEFT JOIN judgement j ON false
        LEFT JOIN LATERAL (
            SELECT l.created_at, l.verdict, l.strength, s.pair_id,
                   coalesce((SELECT max(length(r.text)) FROM rationale r
                             WHERE r.judgement_id = l.id AND r.source IN ('human', 'imported')), 0) AS length
            FROM judgement l JOIN assignment s ON s.id = l.assignment_id
            WHERE l.annotator_id = o.annotator_id AND l.is_current AND l.id > o.judgement_id
              AND l.created_at > o.drawn_at AND s.slot IS NOT NULL AND s.pair_id <> o.pair_id AND l.verdict <> 'skip'
            ORDER BY l.id LIMIT 1) later ON true
        LEFT JOIN LATERAL (
            SELECT sum(sign(m.strength)) AS says FROM judgement m JOIN assignment s ON s.id = m.assignment_id
            JOIN annotator judge ON judge.id = m.annotator_id
            WHERE s.pair_id = later.pair_id AND judge.kind = 'judge' AND m.is_current AND m.verdict = 'prefer'
        ) machine ON true
        WHERE {whose} ORDER BY o.id
        """,
        [*chosen_params, *whose_params],
        {"number": pa.int64(), "is_control": pa.bool_(), "opened": pa.bool_(), "opened_first": pa.bool_()}
        | {name: pa.float64() for name in ("changed", "agrees", "length")},
    )
    order = np.argsort(found["number"])
    return Cases(**{name: column[order] for name, column in found.items()})


def execute(hold: Hold, project: Project, asked: AnchoringRequest) -> dict[str, Any]:
    """Measure what machine reasons change and store it. Returns the run's result.

    Stored are the three differences between the arms, with both arms beside them; how often single reasons were
    accepted, by everybody and by each annotator, with the other choices beside it; the size of edits; and for each pair
    the largest share of readers who agree with one of its machine reasons, with all of them beside it.

    Raises:
        Refused: its parameters are not possible.
        Cancelled, Superseded: as `Hold.beat`.
    """
    cases = read(project, asked)
    hold.beat()
    found = effects(hold.run, cases, asked)
    found += _reactions(hold.run, cases, asked)
    hold.beat()
    found += _agreed(hold.run, cases)
    with hold.fenced():
        replace_all(hold, found)
    marked = Judgement.objects.current().filter(annotator__project=project, saw_machine=True)
    return {
        "offers": len(cases),
        "controls": int(cases.is_control.sum()),
        "opened": int(cases.opened.sum()),
        "opened_before_the_next": int(cases.opened_first.sum()),
        "judgements_after_a_reason": marked.count(),
        "sources": _sources(cases),
    }


def effects(run: Run, cases: Cases, asked: AnchoringRequest) -> list[Measurement]:
    """The three differences, each with the figures of both arms."""
    least = asked.least_in_arm
    rng = np.random.default_rng(run.seed)
    arms = {
        "anchoring_revision": anchoring.shares(cases.changed, cases.is_control, least=least),
        "anchoring_agreement": anchoring.shares(cases.agrees, cases.is_control, least=least),
        "anchoring_reason": anchoring.means(
            cases.length, cases.is_control, least=least, rng=rng, resamples=asked.bootstrap
        ),
    }
    return [
        as_row(run, name, one.difference, detail={"offered": one.offered.as_json(), "control": one.control.as_json()})
        for name, one in arms.items()
    ]


def _given(cases: Cases) -> QuerySet[Reaction]:
    """What was made of these offers, oldest first."""
    return Reaction.objects.filter(offer__in=cases.number.tolist()).order_by("pk")


def _reactions(run: Run, cases: Cases, asked: AnchoringRequest) -> list[Measurement]:
    rows = list(
        _given(cases)
        .filter(choice__in=CHOICES)
        .values_list("offer__annotator_id", "choice", "distance_share", "active_ms")
    )
    choice = np.array([row[1] for row in rows], dtype=str)
    who = np.array([row[0] for row in rows], dtype=np.int64)
    times = [row[3] / 1000 for row in rows if row[3] is not None]
    rng = np.random.default_rng(run.seed)
    edits = anchoring.edit_size([row[2] for row in rows if row[2] is not None], rng=rng, resamples=asked.bootstrap)
    detail = {**_choices(choice), "median_seconds": float(np.median(times)) if times else None}
    found = [
        as_row(run, "reaction_rate", anchoring.reaction_rate(choice, of="accepted"), detail=detail),
        as_row(run, "edit_size", edits),
    ]
    for one in np.unique(who).tolist():
        mine = choice[who == one]
        rate = anchoring.reaction_rate(mine, of="accepted")
        found.append(as_row(run, "reaction_rate", rate, annotator_id=one, detail=_choices(mine)))
    return found


def _choices(choice: NDArray[np.str_]) -> dict[str, Any]:
    """How often each choice was made, and its share."""
    return {
        "choices": {
            one: {"count": int((choice == one).sum()), **anchoring.reaction_rate(choice, of=one).as_json()}
            for one in CHOICES
        }
    }


def _agreed(run: Run, cases: Cases) -> list[Measurement]:
    """For each pair whose reasons were read, the one that most of its readers agree with, and the others beside it."""
    rows = list(_given(cases).values_list("rationale__pair_id", "rationale_id", "choice"))
    if not rows:
        return []
    numbers, code = np.unique([row[1] for row in rows], return_inverse=True)
    agreed = np.isin([row[2] for row in rows], [str(one) for one in Reaction.AGREED])
    shares = anchoring.agreed_share(code, agreed, n_rationales=len(numbers))
    of_pair: dict[int, dict[int, Estimate]] = {}
    for place, (pair, number, _) in zip(code.tolist(), rows, strict=True):
        of_pair.setdefault(pair, {})[number] = shares[place]
    return [
        as_row(
            run,
            "agreed_share",
            max(each.values(), key=lambda one: (one.value, one.n)),
            pair_id=pair,
            detail={"rationales": {str(number): one.as_json() for number, one in sorted(each.items())}},
        )
        for pair, each in sorted(of_pair.items())
    ]


def _sources(cases: Cases) -> list[dict[str, Any]]:
    """How the reasons of each model and template fared: provenance is for leads, never for annotators."""
    rows = _given(cases).values_list("rationale__annotator__model", "rationale__template", "choice")
    counted = Counter(rows)
    sources = sorted({(model, template) for model, template, _ in counted})
    return [
        {
            "model": model,
            "template": template,
            **{str(one): counted[(model, template, str(one))] for one in Reaction.Choice},
        }
        for model, template in sources
    ]


# ---- reading it back -------------------------------------------------------------------------------------------------


def report(run: Run) -> dict[str, Any]:
    """What a run found, as JSON values: the effects, the reactions, and each annotator's."""
    whole = {row.metric: as_shown(row) for row in run.measurements.filter(pair=None, annotator=None)}
    names = dict(Annotator.objects.filter(project=run.project_id).values_list("pk", "name"))
    people = [
        {"annotator": names[row.annotator_id or 0], **as_shown(row)}
        for row in run.measurements.filter(metric="reaction_rate", annotator__isnull=False).order_by("annotator_id")
    ]
    pairs = run.measurements.filter(metric="agreed_share").count()
    return {**asked_of(run), **whole, "annotators": people, "pairs_read": pairs}


def as_text(found: dict[str, Any]) -> str:
    """`report` as lines for a terminal."""
    lines = [
        f"{found['offers']} offers, {found['controls']} of them controls; {found['opened']} were opened "
        f"(run {found['run']})."
    ]
    for name in EFFECTS:
        one = found[name]
        lines.append(f"{METRICS[name].title}: {_line(one)}")
        lines += [f"  {arm}: {_line(one[arm])}" for arm in ("offered", "control")]
    lines.append(f"{METRICS['reaction_rate'].title}: {_line(found['reaction_rate'])}")
    lines.append(f"{METRICS['edit_size'].title}: {_line(found['edit_size'])}")
    return "\n".join(lines)


def _line(one: dict[str, Any]) -> str:
    if one["value"] is None:
        return f"{one['reason']} (n {one['n']})"
    ends = f" ({one['low']:.3f} to {one['high']:.3f})" if one["low"] is not None else ""
    return f"{one['value']:.3f}{ends}, n {one['n']}"
