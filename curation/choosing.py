"""Selection + rule -> which pairs, with which answer as chosen, and why the others are not: read in one snapshot."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

from annotation.errors import Refused
from annotation.models import Project
from curation import arrays
from curation.export import files
from curation.export.layouts import IMPOSSIBLE, LAYOUTS, Layout
from curation.export.records import Rows
from curation.selecting import Criterion, Sieve, Voices, in_play
from curation.texts import rows_of, said_of, with_reason

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,59}|")
RULES = {
    "majority": "the answer that more than half of the judgements prefer",
    "label": "the answer that the pair's source labelled as better",
    "strength": "the answer to which the mean of the known strengths points",
    "soft": "none: every pair with a judgement that says something, and how its judgements are distributed",
    "votes": "none: every pair that anybody judged or skipped",
}
# Those after which a pair has a chosen answer.
CHOOSING = ("majority", "label", "strength")
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
    # The share of prompts whose pairs go into the split test, and what it is drawn by.
    test_share: float = 0.0
    seed: int = 0
    # Annotators are told by their names. Otherwise by pseudonyms, which this salt makes the release's own.
    names: bool = False
    salt: str = field(default="", repr=False)
    through: int | None = None

    @property
    def criteria(self) -> list[Criterion]:
        return in_play(self.where)

    @property
    def voices(self) -> Voices:
        return Voices(kind=ANNOTATORS[self.annotators].kind, through=self.through)


@dataclass(frozen=True)
class Chosen:
    """Which pairs a plan takes. `rows` are places in `facts`, ascending; `first_wins` has the shape of `rows`.

    `splits` says by name which of `rows` are in which split, in the order of the release.
    """

    facts: arrays.PairFacts
    said: arrays.Voiced
    sieve: Sieve
    selected: NDArray[np.bool_]
    rows: NDArray[np.int64]
    first_wins: NDArray[np.bool_]
    splits: dict[str, NDArray[np.int64]]


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
    test_share: float = 0.0,
    seed: int = 0,
    names: bool = False,
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
    if layout in IMPOSSIBLE:
        raise Refused(f"The layout {layout} cannot be made here: {IMPOSSIBLE[layout]}.")
    if layout not in LAYOUTS:
        raise Refused(f"Unknown layout {layout!r}. Known are {', '.join(LAYOUTS)}.")
    if LAYOUTS[layout].chooses and rule not in CHOOSING:
        raise Refused(
            f"The layout {layout} has a chosen answer, and the rule {rule} chooses none. "
            f"Take one of the rules {', '.join(CHOOSING)}, or another layout."
        )
    if not 0 <= test_share <= 0.5:
        raise Refused(f"The share of the split test is 0 to 0.5, not {test_share:g}.")
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
        test_share=float(test_share),
        seed=int(seed),
        names=names,
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
    first_wins = _RULES[asked.rule](facts, sieve)
    if asked.layout.reasons:
        _keep_reasoned(asked, facts, sieve, first_wins, using=using)
    rows = np.nonzero(sieve.left)[0]
    return Chosen(
        facts=facts,
        said=said,
        sieve=sieve,
        selected=selected,
        rows=rows,
        first_wins=first_wins[rows],
        splits=_splits(asked, facts.prompt[rows]),
    )


# ---- rules: each says for every pair whether the first wins, and sieves out those for which it cannot say ------------


def _majority(facts: arrays.PairFacts, sieve: Sieve) -> NDArray[np.bool_]:
    most = facts.counts.astype(np.int64) * 2 > facts.judgements[:, None]
    sieve.keep(facts.judgements > 0, name="no judgement")
    sieve.keep(~most[:, TIE], name="tie")
    sieve.keep(~most[:, BOTH_BAD], name="both bad")
    sieve.keep(most[:, FIRST] | most[:, SECOND], name="no majority")
    return np.asarray(most[:, FIRST])


def _label(facts: arrays.PairFacts, sieve: Sieve) -> NDArray[np.bool_]:
    sieve.keep(facts.label != arrays.LABELS[""], name="no label")
    sieve.keep(facts.label != arrays.LABELS["tie"], name="tie")
    return np.asarray(facts.label == arrays.LABELS["first"])


def _strength(facts: arrays.PairFacts, sieve: Sieve) -> NDArray[np.bool_]:
    sieve.keep(facts.judgements > 0, name="no judgement")
    sieve.keep(facts.n_strength > 0, name="no known strength")
    sieve.keep(facts.counts[:, BOTH_BAD] * 2 <= facts.judgements, name="both bad")
    sieve.keep(facts.strength_sum != 0, name="tie")
    return np.asarray(facts.strength_sum > 0)


def _soft(facts: arrays.PairFacts, sieve: Sieve) -> NDArray[np.bool_]:
    sieve.keep(facts.judgements > 0, name="no judgement")
    return np.asarray(facts.counts[:, FIRST] > facts.counts[:, SECOND])


def _votes(facts: arrays.PairFacts, sieve: Sieve) -> NDArray[np.bool_]:
    sieve.keep(facts.judgements + facts.skips > 0, name="no judgement")
    return np.asarray(facts.counts[:, FIRST] > facts.counts[:, SECOND])


_RULES = {"majority": _majority, "label": _label, "strength": _strength, "soft": _soft, "votes": _votes}


def _keep_reasoned(
    asked: Plan,
    facts: arrays.PairFacts,
    sieve: Sieve,
    first_wins: NDArray[np.bool_],
    *,
    using: BaseDatabaseWrapper,
) -> None:
    for_first, for_second = with_reason(project=asked.project, voices=asked.voices, using=using)
    has = np.where(first_wins, np.isin(facts.pair, for_first), np.isin(facts.pair, for_second))
    sieve.keep(has, name="no reason for the chosen answer")


def _splits(asked: Plan, prompts: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """All pairs of a prompt are on one side, and a prompt's side does not depend on which others are there."""
    is_test = uniform(prompts, seed=asked.seed) < asked.test_share
    order = np.argsort(prompts, kind="stable") if asked.layout.by_prompt else np.arange(len(prompts))
    parts = {"train": order[~is_test[order]]}
    return parts | {"test": order[is_test[order]]} if asked.test_share else parts


def uniform(numbers: NDArray[np.int64], *, seed: int) -> NDArray[np.float64]:
    """A number in [0, 1) for each number, the same for the same number and seed everywhere (splitmix64)."""
    with np.errstate(over="ignore"):
        mixed = numbers.astype(np.uint64) + np.uint64((seed * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) % 2**64)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        mixed ^= mixed >> np.uint64(31)
    shares: NDArray[np.float64] = (mixed >> np.uint64(11)) / np.float64(2**53)
    return shares


# ---- texts ---------------------------------------------------------------------------------------------------------


def pieces_of(asked: Plan, chosen: Chosen, split: str) -> list[NDArray[np.int64]]:
    """The rows of a split in batches of GROUP_ROWS, cut at the same places every time; a prompt's are not parted."""
    rows = chosen.splits[split]
    cuts = np.arange(files.GROUP_ROWS, len(rows), files.GROUP_ROWS)
    if asked.layout.by_prompt:
        prompts = chosen.facts.prompt[chosen.rows[rows]]
        cuts = np.unique(np.searchsorted(prompts, prompts[cuts], side="left"))
        cuts = cuts[cuts > 0]
    return np.split(rows, cuts) if len(rows) else []


def texts(
    asked: Plan, chosen: Chosen, pieces: Sequence[NDArray[np.int64]], *, using: BaseDatabaseWrapper
) -> Generator[Rows, None, None]:
    """Batches of chosen pairs with their texts, checked. Memory: three batches.

    While one batch is turned and written, the next is read.
    """
    facts = chosen.facts
    shown = shown_annotators(asked, chosen.said, using=using) if asked.layout.tells else {}

    def fetch(piece: NDArray[np.int64]) -> Rows:
        rows = chosen.rows[piece]
        pairs = facts.pair[rows]
        said = said_of(pairs, voices=asked.voices, shown=shown.__getitem__, using=using) if asked.layout.tells else ()
        wins = chosen.first_wins[piece]
        return rows_of(pairs, first_wins=wins, **_numbers(facts, rows), said=said, using=using)

    with using.cursor() as cursor:
        # Two thousand pairs of a million: look them up, do not read all pairs for each batch; and read the pages that
        # they lie on together, not one by one.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_indexscan = off")
    with ThreadPoolExecutor(1, thread_name_prefix="release") as ahead:
        coming = [ahead.submit(fetch, piece) for piece in pieces[:1]]
        for place in range(len(pieces)):
            found = coming.pop().result()
            coming += [ahead.submit(fetch, piece) for piece in pieces[place + 1 : place + 2]]
            yield found


def shown_annotators(asked: Plan, said: arrays.Voiced, *, using: BaseDatabaseWrapper) -> dict[int, str]:
    """What a release tells of each annotator: a pseudonym that is the same throughout it and in no other."""
    numbers = np.unique(said.annotator).tolist()
    if not asked.names:
        return {number: pseudonym(number, salt=asked.salt) for number in numbers}
    with using.cursor() as cursor:
        cursor.execute("SELECT id, name FROM annotator WHERE id = ANY(%s)", [numbers])
        return dict(cursor.fetchall())


def pseudonym(annotator: int, *, salt: str) -> str:
    """Without the salt, which never leaves the database, nobody can say whose it is."""
    return f"annotator-{hmac.new(bytes.fromhex(salt), str(annotator).encode(), hashlib.sha256).hexdigest()[:12]}"


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
