"""How far what annotators marked agrees: every two of them, and each with the people. Units are code points.

A model that marks is compared with people as a person is; the two are told apart by kind.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from annotation.errors import Refused
from annotation.models import Annotator, Project, Run
from annotation.running import Hold
from curation import arrays
from curation.measuring.request import Request, setting
from curation.measuring.storing import as_row, as_shown, asked_of, replace_all
from curation.metrics import rationales
from curation.metrics.estimates import Estimate, not_enough
from curation.models import Measurement
from curation.selecting import chosen_sql
from curation.voices import Voices

# Fewer pairs that both marked are not enough data.
LEAST_PAIRS = 10
NO_SPANS = "Nobody has marked anything here. Import rationales (manage.py import_rationales), or ask for highlights."

# What is said of everybody beside the people, from soft scores.
OF_SCORES = {
    "auprc": rationales.auprc,
    "average_precision": rationales.average_precision,
    "roc_auc": rationales.roc_auc,
}

Text = tuple[int, int, int]  # Pair, candidate (0: the prompt), message.
Marks = dict[Text, list[tuple[int, int]]]


@dataclass(frozen=True, kw_only=True)
class RationalesRequest(Request):
    """By default what people and models marked, each one's own."""

    measure: ClassVar[str] = "rationales"

    voices: Voices = field(default_factory=lambda: Voices(kind="all"))
    threshold: float = setting(0.5, says="how much of two spans is common where they match")
    least_pairs: int = setting(LEAST_PAIRS, says="pairs that two annotators both marked")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.threshold <= 1:
            raise Refused(f"Spans match from a common part above 0 up to 1 on, not {self.threshold}.")
        if self.least_pairs < 1:
            raise Refused(f"Two annotators need at least 1 pair that both marked, not {self.least_pairs}.")


@dataclass(frozen=True)
class Marked:
    """The spans of every annotator by text; how long each text is; and who is a person."""

    of: dict[int, Marks]
    length: dict[Text, int]
    people: frozenset[int]


def read(project: Project, asked: RationalesRequest) -> Marked:
    """The spans that stand alone or belong to a current judgement, in one query of numbers."""
    chosen, chosen_params = chosen_sql(project=project.pk, voices=asked.voices, where=asked.where)
    whose, whose_params = asked.voices.sql(is_without_too=True)
    found = arrays.columns(
        f"""
        SELECT x.pair_id, s.candidate_id, s.message, s.start, s."end", x.annotator_id, n.kind = 'person',
               length(coalesce(c.messages, q.messages) -> s.message::int ->> 'content')
        FROM span s JOIN rationale x ON x.id = s.rationale_id JOIN annotator n ON n.id = x.annotator_id
        LEFT JOIN judgement j ON j.id = x.judgement_id
        JOIN (SELECT p.id, p.prompt_id {chosen}) w ON w.id = x.pair_id
        JOIN prompt q ON q.id = w.prompt_id LEFT JOIN candidate c ON c.id = s.candidate_id
        WHERE {whose}
        """,
        [*chosen_params, *whose_params],
        {name: pa.int64() for name in ("pair", "candidate", "message", "starts", "ends", "annotator")}
        | {"is_person": pa.bool_(), "length": pa.int64()},
    )
    of: dict[int, Marks] = {}
    length: dict[Text, int] = {}
    columns = [found[name].tolist() for name in found]
    for pair, candidate, message, start, end, who, _, size in zip(*columns, strict=True):
        text = (pair, candidate, message)
        of.setdefault(who, {}).setdefault(text, []).append((start, end))
        length[text] = max(size, end, length.get(text, 0))
    for marks in of.values():
        for spans in marks.values():
            spans.sort()
    return Marked(of, length, frozenset(np.unique(found["annotator"][found["is_person"]]).tolist()))


def execute(hold: Hold, project: Project, asked: RationalesRequest) -> dict[str, Any]:
    """Measure how far marks agree and store it. Returns the run's result.

    Stored are token F1, exact span F1 and IOU F1 (ours, and as the benchmark counts it) of every two annotators over
    the pairs that both marked, a text of them that only one marked counting as 0; and for each annotator how well the
    share of other people who marked a code point tells whether this one did: the area under the curve (ours, and as
    the benchmark counts it), average precision, and how often a marked one is above. The share is of the people who
    marked the pair: in a text where they marked nothing it is 0 everywhere.

    Raises:
        Refused: nobody marked anything.
        Cancelled, Superseded: as `Hold.beat`.
    """
    marked = read(project, asked)
    if not marked.of:
        raise Refused(NO_SPANS)
    found: list[Measurement] = []
    pairs = {who: _pairs(marks) for who, marks in marked.of.items()}
    for one, other in itertools.combinations(sorted(marked.of), 2):
        if common := pairs[one] & pairs[other]:
            found += _two(hold.run, marked, (one, other), common, asked)
            hold.beat()
    for who in sorted(marked.of):
        for metric, estimate in _beside_people(hold.run, marked, who, asked).items():
            found.append(as_row(hold.run, metric, estimate, annotator_id=who))
        hold.beat()
    with hold.fenced():
        replace_all(hold, found)
    spans = sum(len(each) for marks in marked.of.values() for each in marks.values())
    return {"spans": spans, "texts": len(marked.length), "people": len(marked.people), "counted": len(marked.of)}


def _two(
    run: Run, marked: Marked, two: tuple[int, int], common: set[int], asked: RationalesRequest
) -> list[Measurement]:
    """The figures of two annotators over the pairs that both marked, `common`."""
    truth, predicted = (_only(marked.of[who], common) for who in two)
    scores = {
        "token_f1": rationales.token_f1(truth, predicted),
        "span_f1": rationales.span_f1(truth, predicted),
        "iou_f1": rationales.iou_f1(truth, predicted, threshold=asked.threshold),
        "eraser_iou_f1": rationales.eraser_iou_f1(truth, predicted, threshold=asked.threshold),
    }
    rows = []
    for metric, score in scores.items():
        estimate = score.estimate
        if len(common) < asked.least_pairs:
            reason = not_enough(len(common), asked.least_pairs, "pairs that both marked")
            estimate = Estimate.undefined(reason, n=score.n)
        detail: dict[str, float] = {"pairs": len(common)}
        if estimate.is_defined:
            detail |= {"precision": score.precision, "recall": score.recall}
        rows.append(as_row(run, metric, estimate, annotator_id=two[0], other_id=two[1], detail=detail))
    return rows


def _pairs(marks: Marks) -> set[int]:
    return {pair for pair, _, _ in marks}


def _only(marks: Marks, pairs: set[int]) -> Marks:
    return {text: spans for text, spans in marks.items() if text[0] in pairs}


def _beside_people(run: Run, marked: Marked, who: int, asked: RationalesRequest) -> dict[str, Estimate]:
    """How well the share of other people who marked a code point tells whether this one did, in several figures."""
    truth: list[NDArray[np.float64]] = []
    scores: list[NDArray[np.float64]] = []
    mine = marked.of[who]
    others = _others(marked, who)
    # Texts without a mark of this annotator have only one kind of code point: the figures leave them out anyway.
    texts = [text for text in sorted(mine) if text[0] in others]
    for text in texts:
        length = marked.length[text]
        truth.append(_flags(mine[text], length))
        # Who marked another text of the pair gave this one a score, too: nothing of it is a reason.
        share = [_flags(marked.of[one].get(text, []), length) for one in others[text[0]]]
        scores.append(np.mean(share, axis=0))
    pairs = {pair for pair, _, _ in texts}
    if len(pairs) < asked.least_pairs:
        reason = not_enough(len(pairs), asked.least_pairs, "pairs that others marked")
        return dict.fromkeys([*OF_SCORES, "eraser_auprc"], Estimate.undefined(reason, n=len(pairs)))
    return {"eraser_auprc": rationales.eraser_auprc(truth, scores)} | {
        metric: function(
            truth,
            scores,
            # The same texts are drawn for each figure.
            rng=np.random.default_rng(run.seed) if asked.bootstrap else None,
            resamples=asked.bootstrap,
        )
        for metric, function in OF_SCORES.items()
    }


def _others(marked: Marked, who: int) -> dict[int, list[int]]:
    """For each pair that another person marked who they are."""
    found: dict[int, list[int]] = {}
    for one in sorted(marked.people - {who}):
        for pair in _pairs(marked.of[one]):
            found.setdefault(pair, []).append(one)
    return found


def _flags(spans: list[tuple[int, int]], length: int) -> NDArray[np.float64]:
    flags = np.zeros(length)
    for start, end in spans:
        flags[start:end] = 1
    return flags


def report(run: Run) -> dict[str, Any]:
    """What a run found, as JSON values: every two annotators, and each of them beside the others."""
    known = {one.pk: one for one in Annotator.objects.filter(project=run.project_id)}
    pairs: dict[tuple[int, int], dict[str, Any]] = {}
    alone: dict[int, dict[str, Any]] = {}
    for row in run.measurements.exclude(annotator=None).order_by("id"):
        one = known[row.annotator_id or 0]
        if row.other_id is None:
            alone.setdefault(one.pk, {"annotator": one.name, "kind": one.kind})[row.metric] = as_shown(row)
            continue
        other = known[row.other_id]
        entry = pairs.setdefault(
            (one.pk, other.pk),
            {"first": one.name, "second": other.name, "kinds": f"{one.kind} and {other.kind}"},
        )
        entry[row.metric] = as_shown(row)
    return {**asked_of(run), "two": list(pairs.values()), "annotators": list(alone.values())}


def as_text(found: dict[str, Any]) -> str:
    """`report` as lines for a terminal."""
    lines = [f"{found['spans']} spans in {found['texts']} texts by {found['counted']} annotators (run {found['run']})."]
    for one in found["two"]:
        said = ", ".join(f"{name} {_said(one[name])}" for name in ("token_f1", "iou_f1"))
        lines.append(f"{one['first']} and {one['second']} ({one['kinds']}): {said}")
    lines += [f"{one['annotator']} beside the others: AUPRC {_said(one['auprc'])}" for one in found["annotators"]]
    return "\n".join(lines)


def _said(one: dict[str, Any]) -> str:
    return f"undefined. {one['reason']}" if one["value"] is None else f"{one['value']:.3f} (n {one['n']})"
