"""Everything about one pair, as the board's drawer shows it: why it is here, what was said of it, what became of it.

Reads only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Prefetch

from annotation.excluding import Batch, batch_of
from annotation.models import Annotator, Judgement, Pair, PrincipleVote, Rationale, Span
from curation import haste
from curation.dimensions import READINGS, Dimension
from curation.filters import Filter, shown, words
from curation.metrics import METRICS
from curation.metrics.discretion import CATEGORIES
from curation.models import Adjudication, Measurement, PairFact, Ruling

# Of one pair; more than that nobody reads there.
MOST_REASONS = 50
MOST_VOTES = 500


@dataclass(frozen=True)
class Line:
    """One line of "why is this pair here": the dimension, the pair's value, and what the filter lets through.

    `low`, `width` and `at` are per cent of the dimension's range, for the little track; None for categories.
    """

    label: str
    value: str
    passes: str
    is_met: bool
    low: float | None = None
    width: float | None = None
    at: float | None = None


def why_here(*, fact: PairFact, asked: Filter, dims: Sequence[Dimension]) -> list[Line]:
    """Each filter and this pair's value in it. A pair that was opened by its address may fail one."""
    lines = []
    for one in dims:
        slots = asked.passing.get(one.key)
        if slots is None:
            continue
        slot = getattr(fact, one.bin_column)
        track: tuple[float | None, ...] = (None, None, None)
        if one.kind != "category" and slots[0] < one.bins and slot < one.bins:
            last = min(slots[-1], one.bins - 1)
            track = (100 * slots[0] / one.bins, 100 * (last + 1 - slots[0]) / one.bins, 100 * (slot + 0.5) / one.bins)
        value = words(one, [slot]) if one.kind != "number" else shown(one, getattr(fact, one.column))
        lines.append(Line(one.label, value, words(one, slots), slot in slots, *track))
    return lines


@dataclass(frozen=True)
class Aside:
    """What somebody said of the pair without judging it: votes on principles, and reasons."""

    annotator: Annotator
    votes: list[PrincipleVote]
    reasons: list[Rationale]


@dataclass(frozen=True)
class Opened:
    """A pair with everything said about it."""

    pair: Pair
    fact: PairFact | None
    lines: list[Line]
    reading: Any
    judgements: list[Judgement]
    # Votes without a judgement count for the pair's discretion all the same.
    asides: list[Aside]
    # What machines wrote of themselves, or of what people preferred.
    reasons: list[Rationale]
    # Each with what the metric is called; the value in words, where a number would be a code.
    measurements: list[tuple[str, Measurement, str]]
    timeline: list[tuple[Any, str]]
    adjudications: list[Adjudication]
    # Why and by whom it was taken out of play, where it is out.
    out: Batch | None

    @property
    def waits(self) -> Adjudication | None:
        return next((one for one in self.adjudications if not one.outcome), None)

    @property
    def settled(self) -> Adjudication | None:
        """The latest adjudication that was settled; it has `ruling`, the ruling in force."""
        return next((one for one in reversed(self.adjudications) if one.outcome), None)


def judgements_of(pair: Pair) -> list[Judgement]:
    """The current judgements with everything said in them, people first; each span has the words that it marks."""
    spans = Prefetch("rationales__spans", queryset=Span.objects.select_related("principle"))
    said = (
        Judgement.objects.current()
        .filter(assignment__pair=pair)
        .select_related("annotator", "deciding_principle", "guideline")
        .prefetch_related("rationales", spans, "votes__principle")
        .order_by("annotator__kind", "created_at", "pk")
    )
    judgements = list(said)
    _quote_each(pair, [why for one in judgements for why in one.rationales.all()])
    return judgements


def asides_of(pair: Pair) -> list[Aside]:
    """What was imported, or asked of judges, without a judgement: people first, each with the votes by principle."""
    spans = Prefetch("spans", queryset=Span.objects.select_related("principle"))
    reasons = list(
        pair.rationales.filter(judgement=None)
        .exclude(source=Rationale.Source.MACHINE)
        .select_related("annotator")
        .prefetch_related(spans)
        .order_by("pk")[:MOST_REASONS]
    )
    votes = list(
        PrincipleVote.objects.filter(pair=pair, judgement=None)
        .select_related("annotator", "principle")
        .order_by("principle__short", "pk")[:MOST_VOTES]
    )
    _quote_each(pair, reasons)
    who = {vote.annotator_id: vote.annotator for vote in votes} | {why.annotator_id: why.annotator for why in reasons}
    return [
        Aside(
            annotator=annotator,
            votes=[vote for vote in votes if vote.annotator_id == annotator.pk],
            reasons=[why for why in reasons if why.annotator_id == annotator.pk],
        )
        for annotator in sorted(who.values(), key=lambda one: (one.is_judge, one.name, one.pk))
    ]


def opened(*, pair: Pair, fact: PairFact | None, asked: Filter, dims: Sequence[Dimension]) -> Opened:
    judgements = judgements_of(pair)
    measured = (
        Measurement.objects.filter(pair=pair, run__state="done").select_related("run").order_by("-run__finished_at")
    )
    _mark_haste(pair, judgements)
    asks = _adjudications(pair)
    timeline = [(pair.created_at, "Imported" if pair.imported_by_id else "Made")]
    timeline += [(one.created_at, f"{one.annotator.name}: {_said(one)}") for one in judgements]
    timeline += _superseded(pair)
    timeline += [(one.asked_at, "Sent to adjudication") for one in asks]
    out = batch_of(pair)
    if pair.excluded_at:
        timeline.append((pair.excluded_at, f"Taken out of play: {out.because}" if out else "Taken out of play"))
    for ruling in (ruling for one in asks for ruling in one.rulings.all()):
        what = f"Settled: {ruling.get_outcome_display()}" if ruling.outcome else "The decision was taken back"
        timeline.append((ruling.created_at, what))
    return Opened(
        pair=pair,
        fact=fact,
        lines=why_here(fact=fact, asked=asked, dims=dims) if fact else [],
        reading=READINGS[fact.b_reading - 1] if fact and fact.b_reading else None,
        judgements=judgements,
        asides=asides_of(pair),
        reasons=list(
            pair.rationales.filter(source=Rationale.Source.MACHINE, judgement=None)
            .select_related("annotator")
            .order_by("annotator", "pk")[:MOST_REASONS]
        ),
        measurements=_latest_of_each(list(measured[:200])),
        timeline=sorted(timeline, key=lambda entry: entry[0]),
        adjudications=asks,
        out=out,
    )


def _superseded(pair: Pair) -> list[tuple[Any, str]]:
    """What was said once and does not count any more."""
    later = Judgement.objects.filter(assignment=OuterRef("assignment"), revision__gt=OuterRef("revision"))
    found = Judgement.objects.filter(assignment__pair=pair, is_current=False).select_related("annotator")
    return [
        (one.created_at, f"{one.annotator.name}: {_said(one)}; {'changed' if one.is_changed else 'taken back'} since")
        for one in found.annotate(is_changed=Exists(later)).order_by("pk")
    ]


def _adjudications(pair: Pair) -> list[Adjudication]:
    """Every time that the pair was sent, oldest first; each has `ruling`, the ruling in force or None."""
    rulings = Prefetch("rulings", queryset=Ruling.objects.order_by("revision"))
    found = pair.adjudications.select_related("asked_by", "adjudicator").prefetch_related(rulings).order_by("asked_at")
    asks = list(found)
    for one in asks:
        last = list(one.rulings.all())[-1:]
        one.ruling = last[0] if last and last[0].outcome else None  # type: ignore[attr-defined]
    return asks


def _quote_each(pair: Pair, reasons: Sequence[Rationale]) -> None:
    """Give each rationale `quoted`: its spans with the words that they mark in the raw text."""
    texts = {pair.first_id: pair.first.messages, pair.second_id: pair.second.messages, None: pair.prompt.messages}
    places: dict[int | None, str] = {pair.first_id: "first", pair.second_id: "second"}
    for why in reasons:
        quoted = []
        for span in why.spans.all():
            messages = texts.get(span.candidate_id, [])
            text = str(messages[span.message]["content"]) if span.message < len(messages) else ""
            quoted.append(
                {
                    "quote": text[span.start : span.end][:400],
                    "place": places.get(span.candidate_id, "prompt"),
                    "polarity": span.polarity,
                    "principle": span.principle,
                    "tag": span.tag,
                }
            )
        why.quoted = quoted  # type: ignore[attr-defined]


def _mark_haste(pair: Pair, judgements: Sequence[Judgement]) -> None:
    """Give each judgement `hasty`: why it is marked, in words. A skip needs no reading."""
    characters = pair.first.characters + pair.second.characters
    for one in judgements:
        found = haste.marks(
            active_ms=one.active_ms,
            characters=characters,
            coverage_first=one.coverage_first,
            coverage_second=one.coverage_second,
        )
        one.hasty = [] if one.verdict == "skip" else [haste.WORDS[mark] for mark in found]  # type: ignore[attr-defined]


def _said(one: Judgement) -> str:
    if one.verdict == "prefer" and one.strength is not None:
        return f"{'first' if one.strength > 0 else 'second'}" + (f", {abs(one.strength)}" if one.strength_known else "")
    return one.get_verdict_display().lower()


def _latest_of_each(found: list[Measurement]) -> list[tuple[str, Measurement, str]]:
    latest: dict[tuple[str, str], Measurement] = {}
    for one in found:
        latest.setdefault((one.metric, str(one.run.parameters.get("model", ""))), one)
    return [(_called(one.metric), one, _in_words(one)) for one in latest.values()]


# What a measure says of a pair beside its metric.
CALLED = {
    "n_relevant_principles": "Relevant principles",
    "consensus_direction": "Principles agree on",
    "arbitrary_judgements": "Arbitrary judgements",
}


def _called(metric: str) -> str:
    return METRICS[metric].title if metric in METRICS else CALLED.get(metric, metric)


def _in_words(one: Measurement) -> str:
    """What the value means, where it is a code or a count; empty: it is the number that it is."""
    if one.value is None:
        return ""
    if one.metric == "discretion_category":
        return CATEGORIES[int(one.value)]
    if one.metric == "consensus_direction":
        return "the first" if one.value > 0 else "the second"
    return f"{one.value:.0f}" if one.metric in CALLED else ""
