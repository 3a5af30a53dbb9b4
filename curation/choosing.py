"""Selection + rule -> which pairs, with which answer as chosen, and why the others are not: read in one snapshot."""

from __future__ import annotations

import hashlib
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
from curation.export.records import Rows
from curation.selecting import Criterion, Sieve, Voices, in_play
from curation.texts import rows_of

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
    said: arrays.Voiced
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
            # Compiling takes longer than any of these queries for a batch.
            cursor.execute("SET LOCAL jit = off")
        # The next batch is read by a thread of its own; never two at once.
        reader.inc_thread_sharing()
        yield reader
        reader.rollback()
    finally:
        reader.close()


def choose(asked: Plan, *, using: BaseDatabaseWrapper) -> Chosen:
    """Which pairs the plan takes, and what each step removes."""
    said = arrays.voiced(project=asked.project, voices=asked.voices, using=using)
    facts = arrays.pair_facts(project=asked.project, voices=asked.voices, where=asked.criteria, using=using, said=said)
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
    return Chosen(facts=facts, said=said, sieve=sieve, selected=selected, rows=rows, first_wins=first_wins[rows])


def texts(chosen: Chosen, *, using: BaseDatabaseWrapper) -> Generator[Rows, None, None]:
    """The chosen pairs with their texts, checked, in batches of GROUP_ROWS. Memory: three batches.

    While one batch is turned and written, the next is read.
    """
    facts = chosen.facts
    pieces = [slice(start, start + files.GROUP_ROWS) for start in range(0, len(chosen.rows), files.GROUP_ROWS)]

    def fetch(piece: slice) -> Rows:
        rows = chosen.rows[piece]
        return rows_of(facts.pair[rows], first_wins=chosen.first_wins[piece], **_numbers(facts, rows), using=using)

    with using.cursor() as cursor:
        # Two thousand pairs of a million: look them up, do not read all pairs for each batch.
        cursor.execute("SET LOCAL enable_seqscan = off")
    with ThreadPoolExecutor(1, thread_name_prefix="release") as ahead:
        coming = [ahead.submit(fetch, piece) for piece in pieces[:1]]
        for place in range(len(pieces)):
            found = coming.pop().result()
            coming += [ahead.submit(fetch, piece) for piece in pieces[place + 1 : place + 2]]
            yield found


def _numbers(facts: arrays.PairFacts, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Of each row: its counts, its agreement, its mean strength; nan where they are undefined."""
    counts = facts.counts[rows].astype(np.int64)
    n = counts.sum(axis=1)
    agreement = np.where(n >= 2, ((counts**2).sum(axis=1) - n) / np.maximum(n * (n - 1), 1), np.nan)
    known = facts.n_strength[rows]
    strength = np.where(known > 0, facts.strength_sum[rows] / np.maximum(known, 1), np.nan)
    return {"counts": counts, "agreement": agreement, "strength_mean": strength}


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


def lineage_of(chosen: Chosen, *, using: BaseDatabaseWrapper) -> Lineage:
    """Who judged the released pairs. No names: how many annotators, of which kind, and how much each judged."""
    said = chosen.said
    through = int(said.judgement[-1]) if len(said) else 0
    is_released = np.zeros(len(chosen.facts), dtype=bool)
    is_released[chosen.rows] = True
    counts = (said.says != arrays.SKIP) & is_released[arrays.places_in(chosen.facts.pair, said.pair)]
    numbers, each = np.unique(said.annotator[counts], return_counts=True)
    guidelines, under = np.unique(said.guideline[counts], return_counts=True)
    with using.cursor() as cursor:
        cursor.execute("SELECT kind, is_simulated FROM annotator WHERE id = ANY(%s)", [numbers.tolist()])
        kinds = cursor.fetchall()
        cursor.execute("SELECT id, version FROM guideline WHERE id = ANY(%s)", [guidelines.tolist()])
        versions = dict(cursor.fetchall())
    annotators = {
        "people": sum(kind == "person" for kind, _ in kinds),
        "judges": sum(kind == "judge" for kind, _ in kinds),
        "simulated": sum(is_simulated for _, is_simulated in kinds),
        "judgements": int(each.sum()),
        "judgements_each": {
            "least": int(each.min()),
            "median": float(np.median(each)),
            "most": int(each.max()),
        }
        if len(each)
        else {},
    }
    shown = {versions.get(number): count for number, count in zip(guidelines.tolist(), under.tolist(), strict=True)}
    return Lineage(
        through=through,
        annotators=annotators,
        guidelines={
            "none" if version is None else str(version): shown[version]
            for version in sorted(shown, key=lambda version: (version is None, version))
        },
    )
