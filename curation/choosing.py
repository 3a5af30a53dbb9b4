"""Selection + rule -> which pairs, with which answer as chosen, and why the others are not: read in one snapshot."""

from __future__ import annotations

import gc
import hashlib
import json
import re
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

from annotation.errors import Refused
from annotation.models import Project
from curation import arrays
from curation.export import files
from curation.export.layouts import LAYOUTS, Layout
from curation.export.records import Record, check
from curation.selecting import Criterion, Sieve, Voices, in_play

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,59}|")
RULES = {
    "majority": "the answer that more than half of the judgements prefer",
    "label": "the answer that the pair's source labelled as better",
}
ANNOTATORS: dict[str, Voices] = {
    "people": Voices(kind="person"),
    "judges": Voices(kind="judge"),
    "all": Voices(kind="all"),
}
FIRST, SECOND, TIE, BOTH_BAD = range(4)


@dataclass(frozen=True)
class Plan:
    """Everything that decides the bytes of a release, besides the judgements and the code."""

    project: Project
    version: str
    where: tuple[Criterion, ...]
    rule: str
    layout: Layout
    annotators: str
    licence: str = ""
    limits: str = ""
    through: int | None = None

    @property
    def criteria(self) -> list[Criterion]:
        return in_play(self.where)

    @property
    def voices(self) -> Voices:
        return Voices(kind=ANNOTATORS[self.annotators].kind, through=self.through)


@dataclass(frozen=True)
class Chosen:
    """Which pairs a plan takes. `rows` are places in `facts`, in the order of the release."""

    facts: arrays.PairFacts
    sieve: Sieve
    selected: NDArray[np.bool_]
    rows: NDArray[np.int64]
    first_wins: NDArray[np.bool_]


def plan(
    *,
    project: Project,
    version: str,
    where: Sequence[Criterion] = (),
    rule: str = "majority",
    layout: str = "trl_dpo",
    annotators: str = "people",
    licence: str = "",
    limits: str = "",
) -> Plan:
    """Check what was asked for.

    Raises:
        Refused: a name, rule, layout or licence is not known or not possible.
    """
    if not NAME.fullmatch(version):
        raise Refused(
            f"{version!r} cannot name a release: at most 60 letters, digits, dots, dashes and underscores, "
            "a letter or digit first."
        )
    if rule not in RULES:
        raise Refused(f"Unknown rule {rule!r}. Known are {', '.join(RULES)}.")
    if layout not in LAYOUTS:
        raise Refused(f"Unknown layout {layout!r}. Known are {', '.join(LAYOUTS)}.")
    if annotators not in ANNOTATORS:
        raise Refused(f"Unknown annotators {annotators!r}. Known are {', '.join(ANNOTATORS)}.")
    if not LICENCE.fullmatch(licence):
        raise Refused(f"{licence!r} is no licence identifier. Write one as cc-by-4.0 or apache-2.0.")
    return Plan(
        project=project,
        version=version,
        where=tuple(where),
        rule=rule,
        layout=LAYOUTS[layout],
        annotators=annotators,
        licence=licence,
        limits=limits,
    )


# ---- reading: one snapshot -----------------------------------------------------------------------------------------


@contextmanager
def snapshot() -> Iterator[BaseDatabaseWrapper]:
    """A connection of its own that sees the database as it is now until the end, and can change nothing."""
    usual = connections["default"]
    reader = usual.copy()
    try:
        reader.set_autocommit(False)
        with reader.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            # Counting a million judgements in 4 MB would spill to disk again and again.
            cursor.execute("SET LOCAL work_mem = '64MB'")
        # The next batch is read by a thread of its own; never two at once.
        reader.inc_thread_sharing()
        yield reader
        reader.rollback()
    finally:
        reader.close()


def choose(asked: Plan, *, using: BaseDatabaseWrapper) -> Chosen:
    """Which pairs the plan takes, and what each step removes."""
    facts = arrays.pair_facts(project=asked.project, voices=asked.voices, where=asked.criteria, using=using)
    sieve = Sieve(left=np.ones(len(facts), dtype=bool))
    for criterion, passes in zip(asked.criteria, facts.passes, strict=True):
        sieve.keep(passes, name=f"{criterion.text}")
    selected = sieve.left
    sieve.keep(~facts.empty, name="marked empty")
    sieve.keep(~facts.identical, name="marked identical")
    if asked.rule == "majority":
        most = facts.counts.astype(np.int64) * 2 > facts.judgements[:, None]
        sieve.keep(facts.judgements > 0, name="no judgement")
        sieve.keep(~most[:, TIE], name="tie")
        sieve.keep(~most[:, BOTH_BAD], name="both bad")
        sieve.keep(most[:, FIRST] | most[:, SECOND], name="no majority")
        first_wins = most[:, FIRST]
    else:
        sieve.keep(facts.label != arrays.LABELS[""], name="no label")
        sieve.keep(facts.label != arrays.LABELS["tie"], name="tie")
        first_wins = facts.label == arrays.LABELS["first"]
    rows = np.nonzero(sieve.left)[0]
    return Chosen(facts=facts, sieve=sieve, selected=selected, rows=rows, first_wins=first_wins[rows])


_TEXTS = """
    SELECT p.id, p.external_id, p.source, q.language, p.tags || q.tags, q.system,
           q.messages::text, f.messages::text, s.messages::text, f.model, s.model
    FROM unnest(%s::bigint[]) WITH ORDINALITY AS wanted (id, place)
    JOIN pair p ON p.id = wanted.id JOIN prompt q ON q.id = p.prompt_id
    JOIN candidate f ON f.id = p.first_id JOIN candidate s ON s.id = p.second_id
    ORDER BY wanted.place
"""


def records(chosen: Chosen, *, using: BaseDatabaseWrapper) -> Generator[list[Record], None, None]:
    """The chosen pairs with their texts, checked, in batches of GROUP_ROWS. Memory: two batches.

    While one batch is turned and written, the database already works on the next.
    """
    facts = chosen.facts
    pieces = [chosen.rows[start : start + files.GROUP_ROWS] for start in range(0, len(chosen.rows), files.GROUP_ROWS)]
    first_wins = np.zeros(len(facts), dtype=bool)
    first_wins[chosen.rows] = chosen.first_wins

    def fetch(rows: NDArray[np.int64]) -> list[tuple[Any, ...]]:
        with using.cursor() as cursor:
            cursor.execute(_TEXTS, [facts.pair[rows].tolist()])
            rows_of: list[tuple[Any, ...]] = cursor.fetchall()
            return rows_of

    with using.cursor() as cursor:
        # Two thousand pairs of a million: look them up, do not read all pairs for each batch.
        cursor.execute("SET LOCAL enable_hashjoin = off")
        cursor.execute("SET LOCAL enable_mergejoin = off")
    with ThreadPoolExecutor(1, thread_name_prefix="release") as ahead:
        coming = ahead.submit(fetch, pieces[0]) if pieces else None
        for place, rows in enumerate(pieces):
            assert coming is not None
            texts = coming.result()
            coming = ahead.submit(fetch, pieces[place + 1]) if place + 1 < len(pieces) else None
            with uncollected():
                made = [_record(*both) for both in zip(texts, _numbers(facts, rows, first_wins[rows]), strict=True)]
            yield made


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the garbage collector: records hold no cycles, and walking them again and again took half of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _numbers(
    facts: arrays.PairFacts, rows: NDArray[np.int64], first_wins: NDArray[np.bool_]
) -> Iterator[tuple[Any, ...]]:
    """Of each row: whether the first wins, its counts, its agreement, its mean strength."""
    counts = facts.counts[rows].astype(np.int64)
    n = counts.sum(axis=1)
    agreement = np.where(n >= 2, ((counts**2).sum(axis=1) - n) / np.maximum(n * (n - 1), 1), np.nan)
    known = facts.n_strength[rows]
    strength = np.where(known > 0, facts.strength_sum[rows] / np.maximum(known, 1), np.nan)
    return zip(first_wins.tolist(), counts.tolist(), _or_none(agreement), _or_none(strength), strict=True)


_decode = json.JSONDecoder().raw_decode


def _record(texts: tuple[Any, ...], numbers: tuple[Any, ...]) -> Record:
    pair, external_id, source, language, tags, system, prompt, first, second, first_model, second_model = texts
    wins, counts, agreement, strength = numbers
    return check(
        Record(
            pair_id=pair,
            external_id=external_id,
            source=source,
            language=language,
            tags=list(dict.fromkeys(tags)),
            system=system,
            prompt=_decode(prompt)[0],
            first=_decode(first)[0],
            second=_decode(second)[0],
            first_model=first_model,
            second_model=second_model,
            winner="first" if wins else "second",
            counts=counts,
            agreement=agreement,
            strength_mean=strength,
        )
    )


def _or_none(values: NDArray[np.float64]) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]


# ---- where it comes from -------------------------------------------------------------------------------------------


def tallies_digest(facts: arrays.PairFacts) -> str:
    """The judgements that decided, as one name: a digest of every pair's tallies in order."""
    digest = hashlib.sha256()
    for column in (
        facts.pair,
        facts.counts,
        facts.skips,
        facts.n_strength,
        facts.strength_sum,
        facts.label,
        facts.turned,
    ):
        digest.update(np.ascontiguousarray(column, dtype="<i8").tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class InForce:
    """The guideline in force; without one, no version and no text."""

    version: int | None
    text: str


def title_and_guideline(asked: Plan, *, using: BaseDatabaseWrapper) -> tuple[str, InForce]:
    with using.cursor() as cursor:
        cursor.execute(
            "SELECT p.name, g.version, coalesce(g.text, '') FROM project p"
            " LEFT JOIN guideline g ON g.id = p.guideline_id WHERE p.id = %s",
            [asked.project.pk],
        )
        name, version, text = cursor.fetchone()
    return name, InForce(version=version, text=text)


@dataclass(frozen=True)
class Lineage:
    """Which judgements decided: the last that counted, and for the released pairs who judged and under what."""

    through: int
    annotators: dict[str, Any]
    guidelines: dict[str, int]


def lineage_of(asked: Plan, pairs: NDArray[np.int64], *, using: BaseDatabaseWrapper) -> Lineage:
    """One pass over the judgements. No names: how many annotators, of which kind, and how much each judged."""
    whose, params = asked.voices.sql()
    with using.cursor() as cursor:
        cursor.execute(
            "SELECT n.id, n.kind, n.is_simulated, g.version, max(j.id),"
            " count(released.id) FILTER (WHERE j.verdict <> 'skip')"
            " FROM judgement j JOIN assignment a ON a.id = j.assignment_id JOIN annotator n ON n.id = j.annotator_id"
            " LEFT JOIN unnest(%s::bigint[]) AS released (id) ON released.id = a.pair_id"
            f" LEFT JOIN guideline g ON g.id = j.guideline_id WHERE a.project_id = %s AND {whose}"
            " GROUP BY n.id, g.version ORDER BY g.version NULLS LAST, n.id",
            [pairs.tolist(), asked.project.pk, *params],
        )
        found = cursor.fetchall()
    each: dict[tuple[int, str, bool], int] = {}
    guidelines: dict[str, int] = {}
    for number, kind, is_simulated, version, _, count in found:
        if count:
            each[number, kind, is_simulated] = each.get((number, kind, is_simulated), 0) + count
            shown = "none" if version is None else str(version)
            guidelines[shown] = guidelines.get(shown, 0) + count
    counts = sorted(each.values())
    annotators = {
        "people": sum(kind == "person" for _, kind, _ in each),
        "judges": sum(kind == "judge" for _, kind, _ in each),
        "simulated": sum(is_simulated for _, _, is_simulated in each),
        "judgements": sum(counts),
        "judgements_each": {"least": counts[0], "median": float(np.median(counts)), "most": counts[-1]}
        if counts
        else {},
    }
    return Lineage(
        through=max((last for *_, last, _ in found), default=0), annotators=annotators, guidelines=guidelines
    )
