"""The board's questions to the facts: how many pairs, which ones, and everything about one of them. Reads only."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import connection
from django.db.models import Exists, OuterRef, Prefetch

from annotation.errors import Refused
from annotation.models import Annotator, Judgement, Pair, Principle, Project, Rationale, Run, Span
from curation import columns, haste
from curation.dimensions import DIFFICULTY, READINGS, Dimension, Filter, Order, Scope, dimensions, shown, words
from curation.metrics import METRICS
from curation.models import Adjudication, FactsState, Measurement, PairFact, Ruling

PAGE = 50
# Of one pair; more than that nobody reads there.
MOST_REASONS = 50
# What a row of the table shows, and what the plane needs to ring its cell.
_ROW = (
    "pair_id",
    "judgements",
    "dissents",
    "agreement",
    "item_agreement",
    "discretion",
    "strength",
    "difficulty",
    "margin",
    "reward_margin",
    "length_difference",
    "tag",
    "b_difficulty",
    "b_agreement",
    "b_strength",
    "b_reading",
)


def state_of(project: Project) -> FactsState | None:
    """The latest gathering, without its columns."""
    state = FactsState.objects.filter(project=project).defer("summary", "columns").first()
    if state is not None:
        state.project = project
    return state


def dims_of(state: FactsState) -> tuple[Dimension, ...]:
    return dimensions(state.values)


def count(*, project: Project, asked: Filter, dims: Sequence[Dimension]) -> int:
    """How many pairs in play pass."""
    condition, params = asked.sql(dims)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM pair_facts f WHERE f.project_id = %s AND NOT f.is_excluded AND {condition}",
            [project.pk, *params],
        )
        return int(cursor.fetchone()[0])


# A list of more is no list to choose from; an address reaches the others.
MOST_LISTED = 300


def annotators_of(project: Project) -> list[tuple[int, str]]:
    """Number and name of everybody with a judgement, people and judges, by name."""
    judged = Judgement.objects.filter(annotator=OuterRef("pk"), is_current=True)
    found = Annotator.objects.filter(Exists(judged), project=project).order_by("name", "pk")
    return list(found.values_list("pk", "name")[:MOST_LISTED])


def scope_in_words(project: Project, scope: Scope) -> str:
    """Which pairs a scope leaves, as the end of "Only pairs …".

    Raises:
        Refused: the project has no such annotator or principle, or no such run that generated.
    """
    said = []
    if scope.annotator is not None:
        annotator = Annotator.objects.filter(project=project, pk=scope.annotator).first()
        if annotator is None:
            raise Refused(f"This project has no annotator {scope.annotator}.")
        said.append(f"that {annotator.name} judged")
    if scope.conflict is not None:
        shorts = dict(Principle.objects.filter(project=project, pk__in=scope.conflict).values_list("pk", "short"))
        if len(shorts) < len(scope.conflict):
            raise Refused(f"This project has no principles {' and '.join(map(str, scope.conflict))}.")
        one, other = (shorts[number] for number in scope.conflict)
        said.append(f"on which “{one}” and “{other}” ask for different candidates")
    if scope.run is not None:
        if not project.runs.filter(kind=Run.Kind.GENERATION, pk=scope.run).exists():
            raise Refused(f"This project has no run {scope.run} that generated.")
        said.append(f"that run {scope.run} made")
    return " and ".join(said)


def pairs_sql(*, project: Project, asked: Filter, dims: Sequence[Dimension]) -> tuple[str, list[Any]]:
    """A query of the numbers of all pairs that pass."""
    condition, params = asked.sql(dims)
    sql = f"SELECT f.pair_id FROM pair_facts f WHERE f.project_id = %s AND NOT f.is_excluded AND {condition}"
    return sql, [project.pk, *params]


# ---- the table -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Page:
    """Rows as dictionaries, and the mark to go on from, empty at the end; `found` counts all pairs that pass."""

    rows: list[dict[str, Any]]
    after: str
    found: int


@dataclass(frozen=True)
class Mark:
    """Where a page ended: the value it was ordered by, the pair, and the version of the facts it was read from."""

    value: float | None
    pair: int
    version: int

    @property
    def text(self) -> str:
        text = json.dumps([self.value, self.pair, self.version])
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def read(cls, text: str) -> Mark | None:
        """None for the first page.

        Raises:
            Refused: it is not such a mark.
        """
        if not text:
            return None
        try:
            value, pair, version = json.loads(base64.urlsafe_b64decode(text[:200] + "=" * (-len(text[:200]) % 4)))
            if not all(isinstance(one, int) and 0 < one < 2**63 for one in (pair, version)):
                raise ValueError
            if value is not None and not abs(float(value)) < 1e12:
                raise ValueError
        except (ValueError, TypeError):
            raise Refused("This address does not say where the next page begins. Go back to the first page.") from None
        return cls(None if value is None else float(value), pair, version)


def page(
    *, state: FactsState, asked: Filter, order: Order, dims: Sequence[Dimension], after: str = "", size: int = PAGE
) -> Page:
    """One page of the table, from the mark that the page before gave. Pairs that are unknown in the order come last.

    The columns in memory say which pairs, and the database what is known of them. The database says both where the
    columns cannot: within a scope, or when the facts were gathered anew between two pages. And where nothing is
    filtered, because an index then serves the usual order with nothing to be read first.

    Raises:
        Refused: `after` is not such a mark.
    """
    mark, one = Mark.read(after), next(each for each in dims if each.key == order.key)
    is_indexed = not asked and one == DIFFICULTY
    held = None if is_indexed or asked.scope or (mark and mark.version != state.version) else columns.of(state)
    if held is not None:
        passing = held.passing(asked)
        pairs = held.page(passing, order=order, bins=one.bins, after=mark.pair if mark else None, size=size + 1)
        if pairs is not None:
            there = {row[0]: row for row in _fetch("f.pair_id = ANY(%s)", [state.project_id, pairs], f"f.{one.column}")}
            # A pair may have gone since.
            found = [there[pair] for pair in pairs if pair in there]
            return _page(found, state=state, one=one, dims=dims, size=size, count=int(np.count_nonzero(passing)))
    found = page_of_the_database(state=state, asked=asked, order=order, dims=dims, mark=mark, size=size + 1)
    counted = count(project=state.project, asked=asked, dims=dims) if asked else state.pairs
    return _page(found, state=state, one=one, dims=dims, size=size, count=counted)


def _page(
    found: list[tuple[Any, ...]],
    *,
    state: FactsState,
    one: Dimension,
    dims: Sequence[Dimension],
    size: int,
    count: int,
) -> Page:
    rows = [_row(dict(zip((*_ROW, "value"), each, strict=True)), dims) for each in found[:size]]
    last = found[size - 1] if len(found) > size else None
    return Page(
        rows=_with_prompts(rows),
        after=Mark(None if last[-1] is None else float(last[-1]), last[0], state.version).text if last else "",
        found=count,
    )


def page_of_the_database(
    *, state: FactsState, asked: Filter, order: Order, dims: Sequence[Dimension], mark: Mark | None, size: int
) -> list[tuple[Any, ...]]:
    """The same rows as the columns give, from the table alone: `_ROW`, and the value of the order."""
    found: list[tuple[Any, ...]] = []
    if mark is None or mark.value is not None:
        found = _known(project=state.project, asked=asked, order=order, dims=dims, mark=mark, size=size)
    if len(found) < size:
        rest = mark if mark is not None and mark.value is None else None
        found += _unknown(project=state.project, asked=asked, order=order, dims=dims, mark=rest, size=size - len(found))
    return found


def _known(
    *,
    project: Project,
    asked: Filter,
    order: Order,
    dims: Sequence[Dimension],
    mark: Mark | None,
    size: int,
) -> list[tuple[Any, ...]]:
    one = next(each for each in dims if each.key == order.key)
    way, compare = ("DESC", "<") if order.is_descending else ("ASC", ">")
    condition, params = asked.sql(dims)
    # Bins follow the value: ordered by both, the index of bins serves the filter and the order at once.
    b, v = f"f.{one.bin_column}", f"f.{one.column}"
    follows = ""
    if mark is not None:
        follows = f"AND ({b}, {v}, f.pair_id) {compare} (%s, %s, %s)"
        params += [one.bin_of(mark.value), mark.value, mark.pair]
    return _fetch(
        f"{condition} AND {b} < {one.bins} {follows} ORDER BY {b} {way}, {v} {way}, f.pair_id {way} LIMIT %s",
        [project.pk, *params, size],
        v,
    )


def _unknown(
    *,
    project: Project,
    asked: Filter,
    order: Order,
    dims: Sequence[Dimension],
    mark: Mark | None,
    size: int,
) -> list[tuple[Any, ...]]:
    one = next(each for each in dims if each.key == order.key)
    if not one.has_unknown or size <= 0:
        return []
    condition, params = asked.sql(dims)
    follows = "AND f.pair_id > %s" if mark else ""
    return _fetch(
        f"{condition} AND f.{one.bin_column} = {one.bins} {follows} ORDER BY f.{one.bin_column}, f.{one.column},"
        " f.pair_id LIMIT %s",
        [project.pk, *params, *([mark.pair] if mark else []), size],
        "NULL",
    )


def _fetch(rest: str, params: list[Any], value: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join('f.' + name for name in _ROW)}, {value} FROM pair_facts f"
            f" WHERE f.project_id = %s AND NOT f.is_excluded AND {rest}",
            params,
        )
        return list(cursor.fetchall())


def _row(found: dict[str, Any], dims: Sequence[Dimension]) -> dict[str, Any]:
    by_key = {one.key: one for one in dims}
    n, dissents = found["judgements"], found["dissents"] or 0
    reading = found["b_reading"]
    return found | {
        "votes": [index < n - dissents for index in range(min(n, 12))],
        "agreeing": n - dissents,
        "shown": {
            key: shown(by_key[key], found[by_key[key].column])
            for key in ("difficulty", "agreement", "strength", "margin", "reward", "length")
            if key in by_key
        },
        "reading": READINGS[reading - 1].name if reading else "",
    }


def _with_prompts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    pairs = Pair.objects.filter(pk__in=[row["pair_id"] for row in rows]).select_related("prompt")
    texts = {
        pair.pk: (str(pair), pair.prompt) for pair in pairs.only("external_id", "prompt__messages", "prompt__language")
    }
    for row in rows:
        name, prompt = texts[row["pair_id"]]
        row |= {"name": name, "prompt": prompt.last[:200], "prompt_language": prompt.language}
    return rows


# ---- one pair ------------------------------------------------------------------------------------------------------


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
class Opened:
    """A pair with everything said about it."""

    pair: Pair
    fact: PairFact | None
    lines: list[Line]
    reading: Any
    judgements: list[Judgement]
    # What machines wrote of themselves, or of what people preferred.
    reasons: list[Rationale]
    # Each with what the metric is called.
    measurements: list[tuple[str, Measurement]]
    timeline: list[tuple[Any, str]]
    adjudications: list[Adjudication]

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
    _quote(pair, judgements)
    return judgements


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
    for ruling in (ruling for one in asks for ruling in one.rulings.all()):
        what = f"Settled: {ruling.get_outcome_display()}" if ruling.outcome else "The decision was taken back"
        timeline.append((ruling.created_at, what))
    return Opened(
        pair=pair,
        fact=fact,
        lines=why_here(fact=fact, asked=asked, dims=dims) if fact else [],
        reading=READINGS[fact.b_reading - 1] if fact and fact.b_reading else None,
        judgements=judgements,
        reasons=list(
            pair.rationales.filter(source=Rationale.Source.MACHINE, judgement=None)
            .select_related("annotator")
            .order_by("annotator", "pk")[:MOST_REASONS]
        ),
        measurements=_latest_of_each(list(measured[:200])),
        timeline=sorted(timeline, key=lambda entry: entry[0]),
        adjudications=asks,
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


def _quote(pair: Pair, judgements: Sequence[Judgement]) -> None:
    """Give each rationale `quoted`: its spans with the words that they mark in the raw text."""
    texts = {pair.first_id: pair.first.messages, pair.second_id: pair.second.messages, None: pair.prompt.messages}
    places: dict[int | None, str] = {pair.first_id: "first", pair.second_id: "second"}
    for why in (why for one in judgements for why in one.rationales.all()):
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


def _latest_of_each(found: list[Measurement]) -> list[tuple[str, Measurement]]:
    latest: dict[tuple[str, str], Measurement] = {}
    for one in found:
        latest.setdefault((one.metric, str(one.run.parameters.get("model", ""))), one)
    return [(METRICS[one.metric].title if one.metric in METRICS else one.metric, one) for one in latest.values()]
