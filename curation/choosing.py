"""Selection + rule -> which pairs, with which answer as chosen, and why the others are not: read in one snapshot."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

from annotation.errors import Refused
from annotation.models import Project
from curation import arrays, minhash, ruled
from curation.deciding import CHOOSING, RULES, TIES, Decision, decide
from curation.export import files
from curation.export.layouts import IMPOSSIBLE, LAYOUTS, Layout, schema_of, with_probability
from curation.export.records import Rows
from curation.selecting import Criterion, Sieve, Voices, in_play
from curation.texts import rows_of, said_of, with_reason
from curation.thinning import flagged_harmful, measured, tagged

# What stands in an address where a release's name would.
RESERVED = ("new",)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,59}|")
ANNOTATORS: dict[str, Voices] = {
    "people": Voices(kind="person"),
    "judges": Voices(kind="judge"),
    "all": Voices(kind="all"),
}
DIFFICULTY = "difficulty"
# A release with a larger share of pairs that were flagged as harmful needs a reason: few such rows move a model.
MOST_HARMFUL = 0.005


class Impossible(Refused):
    """What was asked for cannot be. `option` is the name of what to change, as `plan` takes it."""

    def __init__(self, option: str, sentence: str) -> None:
        super().__init__(sentence)
        self.option = option


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
    # What becomes of a pair that the rule calls a tie; and of which pairs the rule must be how sure.
    ties: str = "drop"
    least_probability: float = 0.0
    # The share of prompts whose pairs go into the split test, and what it is drawn by.
    test_share: float = 0.0
    seed: int = 0
    # After the rule: pairs nearly the same as another one from this similarity on go; 0 keeps them all.
    near_duplicates: float = 0.0
    # At most so many pairs with a tag, drawn by `seed`.
    quotas: tuple[tuple[str, int], ...] = ()
    # Shares of the easiest pairs, each a config of its own beside the whole, and what their difficulty is.
    cuts: tuple[float, ...] = ()
    difficulty: str = DIFFICULTY
    difficulty_run: int | None = None
    # Why more than MOST_HARMFUL of the pairs may be flagged as harmful; empty where it may not be.
    sign_off: str = ""
    # Annotators are told by their names. Otherwise by pseudonyms, which this salt makes the release's own.
    names: bool = False
    salt: str = field(default="", repr=False)
    # Only judgements up to this one, and flags of judgements up to that one; None for all that there are.
    through: int | None = None
    flags_through: int | None = None
    # Only rulings up to this number; None for all.
    rulings_through: int | None = None

    @property
    def schema(self) -> pa.Schema:
        return schema_of(self.layout.name, self.rule)

    def build(self, rows: Rows) -> pa.RecordBatch:
        """Checked rows as a batch of `schema`."""
        built = self.layout.build(rows)
        return with_probability(built, rows, schema=self.schema) if self.schema != self.layout.schema else built

    @property
    def criteria(self) -> list[Criterion]:
        return in_play(self.where)

    @property
    def voices(self) -> Voices:
        return Voices(kind=ANNOTATORS[self.annotators].kind, through=self.through)


@dataclass(frozen=True)
class Chosen:
    """Which pairs a plan takes. `rows` are places in `facts`, ascending; `first_wins` has the shape of `rows`.

    A tie that goes in both orders is there twice, one after the other, first with the first as chosen; `pairs` has each
    once. `decision` is what the rule says, of every pair.

    `splits` says by config and split ("trl_dpo/train") which of `rows` are in it, in the order of the release.
    `harmful` is how many of the rows somebody flagged; `cuts` says of each cut's config what it holds and left out.
    """

    facts: arrays.PairFacts
    said: arrays.Voiced
    sieve: Sieve
    selected: NDArray[np.bool_]
    rows: NDArray[np.int64]
    first_wins: NDArray[np.bool_]
    splits: dict[str, NDArray[np.int64]]
    decision: Decision
    harmful: int = 0
    flags_through: int = 0
    # How many of the rows an adjudicator decided, and the last ruling that was read.
    adjudicated: int = 0
    rulings_through: int = 0
    cuts: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def pairs(self) -> NDArray[np.int64]:
        return np.unique(self.rows)


def plan(
    *,
    project: Project,
    version: str,
    where: Sequence[Criterion] = (),
    rule: str = "majority",
    layout: str = "trl_dpo",
    annotators: str = "people",
    ties: str = "",
    least_probability: float = 0.0,
    licence: str = "",
    limits: str = "",
    test_share: float = 0.0,
    seed: int = 0,
    names: bool = False,
    near_duplicates: float = 0.0,
    quotas: Mapping[str, int] | None = None,
    cuts: Sequence[float] = (),
    difficulty: str = DIFFICULTY,
    sign_off: str = "",
) -> Plan:
    """Check what was asked for.

    Raises:
        Impossible: a name, rule, layout or licence is not known or not possible.
    """
    if not NAME.fullmatch(version):
        raise Impossible(
            "version",
            f"{version!r} cannot name a release: at most 60 letters, digits, dots, dashes and underscores, "
            "a letter or digit first.",
        )
    if version in RESERVED:
        raise Impossible(
            "version", f"{version!r} cannot name a release: it is part of an address. Choose another name."
        )
    if rule not in RULES:
        raise Impossible("rule", f"Unknown rule {rule!r}. Known are {', '.join(RULES)}.")
    if layout in IMPOSSIBLE:
        raise Impossible("layout", f"The layout {layout} cannot be made here: {IMPOSSIBLE[layout]}.")
    if layout not in LAYOUTS:
        raise Impossible("layout", f"Unknown layout {layout!r}. Known are {', '.join(LAYOUTS)}.")
    if LAYOUTS[layout].chooses and rule not in CHOOSING:
        raise Impossible(
            "layout",
            f"The layout {layout} has a chosen answer, and the rule {rule} chooses none. "
            f"Take one of the rules {', '.join(CHOOSING)}, or another layout.",
        )
    # What says nothing of a chosen answer keeps ties; where one is chosen, a tie has none.
    ties = ties or ("drop" if rule in CHOOSING else "keep")
    _check_ties(ties, LAYOUTS[layout])
    if not 0 <= least_probability <= 1:
        raise Impossible("least_probability", f"A probability is 0 to 1, not {least_probability:g}.")
    if least_probability and rule != "dawid_skene":
        raise Impossible(
            "least_probability",
            f"The rule {rule} gives no probability. Take the rule dawid_skene, or no least probability.",
        )
    if not 0 <= test_share <= 0.5:
        raise Impossible("test_share", f"The share of the split test is 0 to 0.5, not {test_share:g}.")
    if not 0 <= near_duplicates <= 1:
        raise Impossible(
            "near_duplicates",
            f"Near duplicates are told by a similarity of 0 to 1, not {near_duplicates:g}. 0.8 is usual.",
        )
    if any(most < 0 for most in (quotas or {}).values()):
        raise Impossible("quotas", "A quota is at least 0 pairs.")
    if any(not 0 < cut < 1 for cut in cuts):
        raise Impossible("cuts", "A cut is a share of the pairs between 0 and 1, as 0.5 for the easier half.")
    if cuts and LAYOUTS[layout].by_prompt:
        raise Impossible(
            "cuts", f"The layout {layout} puts a prompt's pairs into one row, so pairs cannot be cut by difficulty."
        )
    if annotators not in ANNOTATORS:
        raise Impossible("annotators", f"Unknown annotators {annotators!r}. Known are {', '.join(ANNOTATORS)}.")
    if not LICENCE.fullmatch(licence):
        raise Impossible("licence", f"{licence!r} is no licence identifier. Write one as cc-by-4.0 or apache-2.0.")
    return Plan(
        project=project,
        version=version,
        where=tuple(where),
        rule=rule,
        layout=LAYOUTS[layout],
        annotators=annotators,
        ties=ties,
        least_probability=float(least_probability),
        licence=licence,
        limits=limits,
        test_share=float(test_share),
        seed=int(seed),
        names=names,
        near_duplicates=float(near_duplicates),
        quotas=tuple(sorted((quotas or {}).items())),
        cuts=tuple(sorted(set(cuts))),
        difficulty=difficulty,
        sign_off=" ".join(sign_off.split()),
    )


def _check_ties(ties: str, layout: Layout) -> None:
    if ties not in TIES:
        raise Impossible("ties", f"Unknown for ties is {ties!r}. Known are {', '.join(TIES)}.")
    if ties == "keep" and layout.chooses:
        able = [one.name for one in LAYOUTS.values() if not one.chooses]
        raise Impossible(
            "ties",
            f"The layout {layout.name} has a chosen answer in every row, so it cannot keep ties. "
            f"Drop them, or take one of the layouts {', '.join(able)}.",
        )
    if ties == "both" and not layout.reverses:
        able = [one.name for one in LAYOUTS.values() if one.reverses]
        raise Impossible(
            "ties",
            f"The layout {layout.name} cannot hold a tie as two rows, one in each order. "
            f"Only {' and '.join(able)} can.",
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
    found = ruled.ruled(
        project=asked.project, rule=asked.rule, through=asked.rulings_through, pairs=facts.pair, using=using
    )
    spared = ruled.sparing(sieve, found)
    said_so = decide(asked.rule, facts, spared, said=said, ties=asked.ties, least_probability=asked.least_probability)
    decision = ruled.finish(sieve, spared, found, said_so, keeps_ties=asked.ties != "drop")
    first_wins = decision.first_wins
    if asked.layout.reasons:
        _keep_reasoned(asked, facts, sieve, first_wins, using=using)
    if asked.near_duplicates:
        sieve.keep(~_near_duplicates(asked, facts, said, sieve.left, decision, using=using), name="near duplicate")
    for tag, most in asked.quotas:
        sieve.keep(_within_quota(asked, facts, sieve.left, tag, most, using=using), name=f"over the quota of {tag}")
    rows = np.nonzero(sieve.left)[0]
    harmful = flagged_harmful(project=asked.project, through=asked.flags_through, pairs=facts.pair[rows], using=using)
    splits, cuts = _configs(asked, facts, rows, using=using)
    chosen = Chosen(
        facts=facts,
        said=said,
        sieve=sieve,
        selected=selected,
        rows=rows,
        first_wins=first_wins[rows],
        splits=splits,
        decision=decision,
        harmful=int(harmful.pairs.sum()),
        flags_through=harmful.through,
        adjudicated=int(found.settled[rows].sum()),
        rulings_through=found.through,
        cuts=cuts,
    )
    return _in_both_orders(chosen) if asked.ties == "both" else chosen


def _in_both_orders(chosen: Chosen) -> Chosen:
    """The same, with each tie as two rows. What is counted and drawn before is counted and drawn by pairs."""
    twice = chosen.decision.tied[chosen.rows]
    copies = 1 + twice.astype(np.int64)
    first_wins = np.repeat(np.where(twice, True, chosen.first_wins), copies)
    starts = np.cumsum(copies) - copies
    first_wins[starts[twice] + 1] = False
    splits = {}
    for split, places in chosen.splits.items():
        here = np.repeat(starts[places], copies[places])
        here[1:] += here[1:] == here[:-1]
        splits[split] = here
    return replace(chosen, rows=np.repeat(chosen.rows, copies), first_wins=first_wins, splits=splits)


def check_harm(asked: Plan, chosen: Chosen) -> None:
    """Raises:
    Refused: too large a share of the pairs is flagged as harmful, and nobody signs it off.
    """
    count = len(chosen.pairs)
    if is_too_harmful(chosen) and not asked.sign_off:
        raise Refused(
            f"{chosen.harmful:,} of {count:,} pairs are flagged as harmful, "
            f"{chosen.harmful / count:.2%}, and without a reason at most {MOST_HARMFUL:.1%} may be: "
            "few such rows move a model. Leave them out with --where 'flag!=harmful', or say with --sign-off "
            "why they belong in."
        )


def is_too_harmful(chosen: Chosen) -> bool:
    """Whether it needs a reason."""
    return chosen.harmful > MOST_HARMFUL * len(chosen.pairs)


# ---- steps after the rule ------------------------------------------------------------------------------------------


def _near_duplicates(
    asked: Plan,
    facts: arrays.PairFacts,
    said: arrays.Voiced,
    left: NDArray[np.bool_],
    decision: Decision,
    *,
    using: BaseDatabaseWrapper,
) -> NDArray[np.bool_]:
    """Pairs whose prompt and answers together are nearly those of an earlier pair. One more pass over the texts."""
    rows = np.nonzero(left)[0]
    whole = Chosen(
        facts=facts,
        said=said,
        sieve=Sieve(left=left),
        selected=left,
        rows=rows,
        first_wins=decision.first_wins[rows],
        decision=decision,
        splits={"all": np.arange(len(rows))},
    )
    signed = [np.zeros((0, minhash.SIZE), dtype=np.uint32)]
    plain = replace(asked, layout=LAYOUTS["soft"])
    for batch in texts(plain, whole, pieces_of(plain, whole, "all"), using=using):
        parts = zip(batch.prompt.to_pylist(), batch.first.to_pylist(), batch.second.to_pylist(), strict=True)
        joined = ["\n".join(one["content"] for messages in each for one in messages).encode() for each in parts]
        signed.append(minhash.signatures(joined, rng=np.random.default_rng(asked.seed)))
    gone = np.zeros(len(facts), dtype=bool)
    gone[rows] = minhash.repeated(np.concatenate(signed), threshold=asked.near_duplicates)
    return gone


def _within_quota(
    asked: Plan, facts: arrays.PairFacts, left: NDArray[np.bool_], tag: str, most: int, *, using: BaseDatabaseWrapper
) -> NDArray[np.bool_]:
    """All pairs without the tag, and of those with it `most`, drawn by the seed."""
    has = tagged(project=asked.project, tag=tag, pairs=facts.pair, using=using) & left
    stays = ~has
    rows = np.nonzero(has)[0]
    drawn = np.argsort(uniform(facts.pair[rows], seed=asked.seed), kind="stable")[:most]
    stays[rows[drawn]] = True
    return stays


def _configs(
    asked: Plan, facts: arrays.PairFacts, rows: NDArray[np.int64], *, using: BaseDatabaseWrapper
) -> tuple[dict[str, NDArray[np.int64]], dict[str, dict[str, Any]]]:
    """What is in which split of which config: the whole, and each cut, ordered from easy to hard.

    Selective DPO (Gao et al. 2025): the easiest int(n * tau) of the n whose difficulty was measured.
    """
    name = asked.layout.name
    splits = {f"{name}/{split}": part for split, part in _splits(asked, facts.prompt[rows]).items()}
    if not asked.cuts:
        return splits, {}
    found = measured(
        project=asked.project, metric=asked.difficulty, pairs=facts.pair, run=asked.difficulty_run, using=using
    )
    values = found.values[rows]
    order = np.argsort(values, kind="stable")[: int((~np.isnan(values)).sum())]
    cuts = {}
    for cut in asked.cuts:
        config = f"{name}-easiest-{cut * 100:g}"
        # The thousandth of a pair: .29 * 100 is 28.999999999999996.
        kept = order[: int(len(order) * cut + 1e-9)]
        place = np.full(len(rows), -1)
        place[kept] = np.arange(len(kept))
        for split, part in _splits(asked, facts.prompt[rows]).items():
            inside = part[place[part] >= 0]
            splits[f"{config}/{split}"] = inside[np.argsort(place[inside])]
        cuts[config] = {
            "share": cut,
            "metric": asked.difficulty,
            "run": found.run,
            "hardest": float(values[kept[-1]]) if len(kept) else None,
            "removed": [
                {"name": f"no {asked.difficulty}", "removed": len(rows) - len(order), "left": len(order)},
                {"name": "harder", "removed": len(order) - len(kept), "left": len(kept)},
            ],
        }
    return splits, cuts


# ---- and what else decides which are in, and where ----------------------------------------------------------------


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
        found = rows_of(pairs, first_wins=wins, **_numbers(facts, rows), said=said, using=using)
        return replace(found, probability=chosen.decision.probability[rows])

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
