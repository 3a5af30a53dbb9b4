"""Rationales of a file -> rationales and spans of pairs that are in the project. One transaction per file.

A row says what one annotator wrote about, or marked in, one text: `target` names the text, `text` holds it, `spans` are
[start, end) in Unicode code points of it. The row is placed by that text: the item's pairs are searched for a candidate
or a prompt that reads exactly so, because an offset means nothing in any other text.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from django.db.models import Q

from annotation.errors import Refused
from annotation.importing import checking, placing, resolving
from annotation.importing.reading import Row, rows
from annotation.importing.reasons import Bad, Refusal, refusal
from annotation.importing.reporting import Progress, Report, record_import
from annotation.importing.sources import Source, open_source
from annotation.importing.values import Value, identifier, some_text, text
from annotation.models import Annotator, Candidate, Pair, Project, Rationale, Run, Span, User

BATCH = 500
MOST_SPANS = 1_000
KEYS = ("item_id", "annotator_id", "target", "spans")
# A label that speaks for the text; every other one names what is wrong with it.
SUPPORTING = frozenset({"", "evidence", "supports"})


@dataclass(frozen=True, slots=True)
class Marked:
    """A span of a row: code points of its text, end exclusive."""

    start: int
    end: int
    label: str = ""
    note: str = ""


@dataclass(slots=True)
class Reasoned:
    """A row: what one annotator says of one text. `marked` is in the order of the text."""

    line: int
    item: str
    annotator: str
    target: str
    source: str = ""
    text: str | None = None
    marked: list[Marked] = field(default_factory=list)
    explanation: str = ""

    @property
    def words(self) -> str:
        """The explanation; where there is none, the notes on the spans, one a line."""
        return self.explanation or "\n".join(f"{one.label}: {one.note}" for one in self.marked if one.note)


# ---- the file ------------------------------------------------------------------------------------------------------


def read_rationales(path: Path | str, *, name: str = "") -> Iterator[Reasoned | Refusal]:
    """The rows of a file, each read or refused, without a project: measures of spans can be taken on them as they are.

    Raises:
        Refused: the file cannot be read, or is no file of rationales.
    """
    source = _opened(path, name)
    for row in rows(source):
        try:
            yield _read(row, source)
        except Bad as bad:
            yield refusal(row.line, bad, resolving.item_of(row))


def _opened(path: Path | str, name: str) -> Source:
    source = open_source(path, name=name)
    columns = checking.look_at(source).columns
    if missing := [key for key in KEYS if key not in columns]:
        have = ", ".join(columns[:12]) or "none that can be read"
        raise Refused(
            f"{source.name} is no file of rationales: it lacks {', '.join(missing)}. Its columns are: {have}. "
            f"See docs/importing.md."
        )
    return source


def _read(row: Row, source: Source) -> Reasoned:
    if row.bad is not None:
        raise row.bad
    assert row.value is not None
    said = Reasoned(
        row.line,
        identifier(row.value, "item_id"),
        identifier(row.value, "annotator_id"),
        text(row.value, "target"),
        some_text(row.value, "source"),
        None if row.value.get("text") is None else text(row.value, "text"),
        _marked(row.value),
        some_text(row.value, "explanation"),
    )
    checking.check_names(
        (said.item, "item_id", 300),
        (said.annotator, "annotator_id", 200),
        (said.target, "target", 60),
        (said.source, "source", 200),
        (said.text or "", "text", 0),
        (said.words, "explanation", 0),
        broken=source.broken_text,
    )
    if not said.target.strip():
        raise Bad("bad_value", "target is empty.", "target")
    if said.marked and said.text is None:
        raise Bad("missing_key", "text is missing: spans need the text that they were marked in.", said.item)
    for one in said.marked:
        if one.end > len(said.text or ""):
            what = f"A span ends at {one.end:,}; the text has {len(said.text or ''):,} characters."
            raise Bad("bad_value", what, f"{one.start}..{one.end}")
    return said


def _marked(row: Value) -> list[Marked]:
    spans = row.get("spans")
    if spans is None:
        return []
    if type(spans) is not list:
        raise Bad("wrong_type", "spans must be a list of objects.", str(spans)[:200])
    if len(spans) > MOST_SPANS:
        raise Bad("bad_value", f"The row has {len(spans):,} spans; the limit is {MOST_SPANS:,}.", str(len(spans)))
    return sorted({_span(n, one) for n, one in enumerate(spans, 1)}, key=lambda m: (m.start, m.end, m.label, m.note))


def _span(n: int, span: Any) -> Marked:
    if type(span) is not dict:
        raise Bad("wrong_type", f"Span {n} must be an object with start and end.", str(span)[:200])
    start, end = span.get("start"), span.get("end")
    if type(start) is not int or type(end) is not int:
        raise Bad("wrong_type", f"start and end of span {n} must be whole numbers.", str(span)[:200])
    if not 0 <= start < end:
        what = f"Span {n} goes from {start} to {end}; it must begin at 0 or later and hold something."
        raise Bad("bad_value", what, str(span)[:200])
    label, note = some_text(span, "label"), some_text(span, "note")
    checking.check_text(label, f"The label of span {n}")
    if len(label) > 60:
        raise Bad("bad_value", f"The label of span {n} has {len(label)} characters; the limit is 60.", label)
    return Marked(start, end, label, note)


# ---- the project ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """A text of the project: the answer of a candidate, or (without one) the last message of the pair's prompt."""

    pair: Pair
    candidate: Candidate | None
    message: int


def import_rationales(
    *,
    project: Project,
    path: Path | str,
    on_error: str = "stop",
    judges: frozenset[str] | set[str] = frozenset(),
    actor: User | None = None,
    run: Run | None = None,
    progress: Progress | None = None,
    name: str = "",
) -> Report:
    """Import what annotators elsewhere wrote about, or marked in, texts of the project. All of it, or nothing.

    Rationales of those in `judges` are of the source "machine", the others "imported". Rows about other items are left
    out and counted. Where several pairs of an item have the text, the rationale goes to the first by id: a text is
    marked once. The same file twice adds nothing; a row that says something else than what is here is refused.

    Raises:
        Refused: the file cannot be read, an option is wrong, or a judge is here as a person.
    """
    checking.check_on_error(on_error)
    source = _opened(path, name)
    report = Report(file=source.name, layout="rationales", unit=source.unit)
    began = time.monotonic()
    spans = made = 0
    seen: set[str] = set()
    with transaction.atomic():
        with connection.cursor() as cursor:
            placing.one_at_a_time(cursor, project.pk)
            resolving.make_items(cursor, project)

        def read(row: Row) -> list[Reasoned]:
            return [_read(row, source)]

        for numbered in resolving.batches(source, report, read, size=BATCH, item=resolving.item_of):
            batch = [said for _, _, said in numbered]
            seen |= {said.annotator for said in batch}
            placed = _placed(batch, report, project)
            names = {said.annotator for said, _ in placed}
            made += resolving.ensure_annotators(project=project, names=names, judges=frozenset(judges) & names)
            spans += _store(placed, report, project=project, run=run)
            if progress:
                progress(report.read)
        resolving.check_judges(judges, seen, file=source.name)
        if on_error == "stop" and len(report.refusals):
            transaction.set_rollback(True)
        else:
            report.made = {"spans": spans, "annotators made": made}
            report.stored = True
            report.seconds = time.monotonic() - began
            record_import(report, of="rationales", project=project, actor=actor)
    if not report.stored:
        report.added = 0
    report.seconds = time.monotonic() - began
    return report


def _placed(batch: list[Reasoned], report: Report, project: Project) -> list[tuple[Reasoned, Place]]:
    """Each row with the text that it speaks of; those of other items are counted, those of other texts refused."""
    by_item = _pairs_of({said.item for said in batch}, project)
    placed, refused = [], []
    for said in batch:
        pairs = [pair for pair in by_item.get(said.item, []) if said.source in ("", pair.source)]
        if not pairs:
            report.elsewhere["items that are not in this project"] += 1
            continue
        place = _place_of(said, pairs)
        if place is None and said.text is None:
            bad = Bad("ambiguous_item", f"Several pairs have the id {said.item!r}, and the row has no text.", said.item)
            refused.append(refusal(said.line, bad, said.item))
        elif place is None:
            what = f"No answer and no prompt of the item {said.item!r} is this text; spans fit the very text only."
            refused.append(refusal(said.line, Bad("text_not_here", what, said.text or said.target), said.item))
        else:
            placed.append((said, place))
    report.refusals.add(refused)
    return placed


def _pairs_of(items: set[str], project: Project) -> dict[str, list[Pair]]:
    """Pairs by each id that a row may know them by: their own, linked ones, and the context that they were made for."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT external_id, pair_id FROM item WHERE external_id = ANY(%s)", [list(items)])
        named: list[tuple[str, int]] = cursor.fetchall()
    wanted = Q(pk__in=[pk for _, pk in named]) | Q(meta__context_id__in=list(items))
    pairs = Pair.objects.filter(wanted, project=project).select_related("prompt", "first", "second")
    here = {pair.pk: pair for pair in pairs.order_by("source", "external_id", "pk")}
    found: dict[str, list[Pair]] = {}
    for item, pk in named:
        found.setdefault(item, []).append(here[pk])
    for pair in here.values():
        context = pair.meta.get("context_id")
        if context in items and pair not in found.get(context, []):
            found.setdefault(context, []).append(pair)
    return found


def _place_of(said: Reasoned, pairs: list[Pair]) -> Place | None:
    """The first text that reads as the row's. A row without a text speaks of the pair as a whole."""
    if said.text is None:
        return Place(pairs[0], None, 0) if len(pairs) == 1 else None
    for pair in pairs:
        for candidate in (pair.first, pair.second):
            if candidate.text == said.text:
                return Place(pair, candidate, len(candidate.messages) - 1)
    for pair in pairs:
        if pair.prompt.last == said.text:
            return Place(pair, None, len(pair.prompt.messages) - 1)
    return None


Spans = frozenset[tuple[int | None, int, int, int, str]]


def _spans_of(said: Reasoned, place: Place) -> Spans:
    candidate = place.candidate.pk if place.candidate else None
    return frozenset((candidate, place.message, one.start, one.end, one.label) for one in said.marked)


def _store(placed: list[tuple[Reasoned, Place]], report: Report, *, project: Project, run: Run | None) -> int:
    """Rationales and spans of what is new; what is here, the same or not, is told apart. Returns how many spans."""
    people = {one.external_id: one for one in Annotator.objects.filter(project=project).exclude(external_id="")}
    here = _known({place.pair.pk for _, place in placed}, project)
    refused, new, spans = [], [], []
    for said, place in placed:
        annotator = people[said.annotator]
        key = (place.pair.pk, annotator.pk, said.target)
        content = (said.words, _spans_of(said, place))
        if key in here:
            if here[key] == content:
                report.already += 1
            else:
                what = "This annotator's rationale for this text is here already, and it is another one."
                refused.append(refusal(said.line, Bad("explained_otherwise", what, said.words), said.item))
            continue
        here[key] = content
        rationale = Rationale(
            pair=place.pair,
            annotator=annotator,
            text=said.words,
            # Which text it speaks of, as its file calls it: without spans nothing else would say so.
            tags=[said.target],
            source=Rationale.Source.MACHINE if annotator.is_judge else Rationale.Source.IMPORTED,
            run=run,
        )
        new.append(rationale)
        spans += [
            Span(
                rationale=rationale,
                candidate_id=candidate,
                message=message,
                start=start,
                end=end,
                tag=label,
                polarity=Span.Polarity.SUPPORTS if label.lower() in SUPPORTING else Span.Polarity.HURTS,
            )
            for candidate, message, start, end, label in sorted(content[1], key=lambda one: one[2:])
        ]
    Rationale.objects.bulk_create(new)
    Span.objects.bulk_create(spans)
    report.added += len(new)
    report.refusals.add(refused)
    return len(spans)


def _known(pairs: set[int], project: Project) -> dict[tuple[int, int, str], tuple[str, Spans]]:
    """What rationales without a judgement say of these pairs: (pair, annotator, target) -> words and spans."""
    here = Rationale.objects.filter(pair__in=pairs, pair__project=project, judgement=None).prefetch_related("spans")
    return {
        (one.pair_id, one.annotator_id, target): (
            one.text,
            frozenset((s.candidate_id, s.message, s.start, s.end, s.tag) for s in one.spans.all()),
        )
        for one in here
        for target in one.tags
    }
