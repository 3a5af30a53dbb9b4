"""Selection + rule -> which pairs, with which answer as chosen, and why the others are not: read in one snapshot."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

from annotation.errors import Refused
from curation import arrays, edits, minhash, ruled
from curation.deciding import Decision, decide
from curation.export import files
from curation.needing import rows_made
from curation.planning import Plan
from curation.preserving import as_it_was
from curation.reading import Lines
from curation.sieving import Sieve
from curation.subsetting import NGRAMS, Subset, subset
from curation.texts import whole_texts, with_reason
from curation.thinning import flagged_harmful, measured, tagged
from curation.trust import trust_in


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
    # Which pairs say the most, where a budget was set.
    subset: Subset | None = None
    # How many rows the layout makes of each of `rows`, where that is not the same for all.
    rows_each: NDArray[np.int64] | None = None

    @cached_property
    def pairs(self) -> NDArray[np.int64]:
        # They ascend, and one that is there twice is there one after the other.
        return self.rows[np.diff(self.rows, prepend=-1) > 0]


def choose(asked: Plan, *, using: BaseDatabaseWrapper) -> Chosen:
    """Which pairs the plan takes, and what each step removes."""
    said = arrays.voiced(project=asked.project, voices=asked.voices, using=using)
    facts = arrays.pair_facts(project=asked.project, voices=asked.voices, where=asked.criteria, using=using, said=said)
    sieve = Sieve(left=np.ones(len(facts), dtype=bool))
    for criterion, passes in zip(asked.criteria, facts.passes, strict=True):
        then = as_it_was(criterion, passes, table=asked.preserved, out=asked.out_of_play, pairs=facts.pair, using=using)
        sieve.keep(then, name=f"{criterion.text}")
    selected = sieve.left
    sieve.keep(~facts.empty, name="marked empty")
    sieve.keep(~facts.identical, name="marked identical")
    found = ruled.ruled(
        project=asked.project,
        rule=asked.rule,
        through=asked.rulings_through,
        missed=asked.heard.missed.ruling,
        pairs=facts.pair,
        using=using,
    )
    spared = ruled.sparing(sieve, found)
    said_so = decide(asked.rule, facts, spared, said=said, ties=asked.ties, least_probability=asked.least_probability)
    decision = ruled.finish(sieve, spared, found, said_so, keeps_ties=asked.ties != "drop")
    first_wins = decision.first_wins
    if asked.layout.reasons:
        told = with_reason(project=asked.project, voices=asked.voices, using=using)
        _keep_told(facts, sieve, first_wins, told, name="no reason for the chosen answer")
    if asked.layout.mends:
        told = edits.with_edits(project=asked.project, voices=asked.voices, using=using)
        _keep_told(facts, sieve, first_wins, told, name="no edit of the chosen answer")
    rows_each = None
    if asked.layout.needs:
        rows_each = rows_made(asked.layout, project=asked.project, voices=asked.voices, pairs=facts.pair, using=using)
        sieve.keep(rows_each > 0, name=f"no {asked.layout.needs}")
    if asked.near_duplicates:
        sieve.keep(~_near_duplicates(asked, facts, sieve.left, using=using), name="near duplicate")
    for tag, most in asked.quotas:
        sieve.keep(_within_quota(asked, facts, sieve.left, tag, most, using=using), name=f"over the quota of {tag}")
    said_most = _keep_what_says_most(asked, facts, sieve, using=using) if asked.subset else None
    rows = np.nonzero(sieve.left)[0]
    harmful = flagged_harmful(
        project=asked.project,
        through=asked.flags_through,
        heard=asked.heard,
        pairs=facts.pair[rows],
        using=using,
    )
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
        subset=said_most,
        rows_each=None if rows_each is None else rows_each[rows],
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
    if is_too_harmful(asked, chosen) and not asked.sign_off:
        raise Refused(
            f"{chosen.harmful:,} of {count:,} pairs are flagged as harmful, "
            f"{chosen.harmful / count:.2%}, and without a reason at most {100 * asked.most_harmful:g}% may be: "
            "few such rows move a model. Leave them out with --where 'flag!=harmful', or say with --sign-off "
            "why they belong in."
        )


def is_too_harmful(asked: Plan, chosen: Chosen) -> bool:
    """Whether it needs a reason."""
    return chosen.harmful > asked.most_harmful * len(chosen.pairs)


# ---- steps after the rule ------------------------------------------------------------------------------------------


def _near_duplicates(
    asked: Plan, facts: arrays.PairFacts, left: NDArray[np.bool_], *, using: BaseDatabaseWrapper
) -> NDArray[np.bool_]:
    """Pairs whose prompt and answers together are nearly those of an earlier pair. One more pass over the texts."""
    rows = np.nonzero(left)[0]
    signed = [np.zeros((0, minhash.SIZE), dtype=np.uint32)]
    for batch in whole_texts(facts.pair[rows], using=using):
        signed.append(minhash.signatures([text.encode() for text in batch], rng=np.random.default_rng(asked.seed)))
    gone = np.zeros(len(facts), dtype=bool)
    gone[rows] = minhash.repeated(np.concatenate(signed), threshold=asked.near_duplicates)
    return gone


def _keep_what_says_most(asked: Plan, facts: arrays.PairFacts, sieve: Sieve, *, using: BaseDatabaseWrapper) -> Subset:
    found = subset(
        project=asked.project,
        budget=asked.subset,
        embedding=asked.embedding,
        run=asked.embedding_run,
        seed=asked.seed,
        pairs=facts.pair,
        rows=np.nonzero(sieve.left)[0],
        using=using,
    )
    if asked.embedding != NGRAMS:
        sieve.keep(_mask(len(facts), found.known), name=f"not embedded with {asked.embedding}")
    sieve.keep(_mask(len(facts), found.kept), name=f"beyond the {asked.subset} that say most")
    return found


def _mask(size: int, places: NDArray[np.int64]) -> NDArray[np.bool_]:
    mask = np.zeros(size, dtype=bool)
    mask[places] = True
    return mask


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

    Selective DPO (Gao et al. 2025): the easiest int(n * tau) of the n whose difficulty was measured, for the model that
    the cut is meant for: what is easy for one is too hard for a smaller one.
    """
    name = asked.layout.name
    splits = {f"{name}/{split}": part for split, part in _splits(asked, facts.prompt[rows]).items()}
    if not asked.cuts:
        return splits, {}
    ordered: dict[tuple[str, int | None], _Ordered] = {}
    cuts = {}
    for cut in asked.cuts:
        of = (cut.model or asked.difficulty_model, cut.run)
        if of not in ordered:
            ordered[of] = _ordered(asked, facts, rows, model=of[0], run=of[1], using=using)
        found = ordered[of]
        config, n_known = cut.config(name), len(found.order)
        # The thousandth of a pair: .29 * 100 is 28.999999999999996.
        kept = found.order[: int(n_known * cut.share + 1e-9)]
        place = np.full(len(rows), -1)
        place[kept] = np.arange(len(kept))
        for split, part in _splits(asked, facts.prompt[rows]).items():
            inside = part[place[part] >= 0]
            splits[f"{config}/{split}"] = inside[np.argsort(place[inside])]
        cuts[config] = {
            "name": cut.name,
            "share": cut.share,
            "metric": asked.difficulty,
            "run": found.run,
            "model": found.model,
            "trust": found.trust,
            "hardest": float(found.values[kept[-1]]) if len(kept) else None,
            "removed": [
                {"name": f"no {asked.difficulty}", "removed": len(rows) - n_known, "left": n_known},
                {"name": "harder", "removed": n_known - len(kept), "left": len(kept)},
            ],
        }
    return splits, cuts


@dataclass(frozen=True)
class _Ordered:
    """The rows by how difficult they are for one model. `order` has the places of those measured, easiest first."""

    run: int
    model: str
    trust: float | None
    values: NDArray[np.float64]
    order: NDArray[np.int64]


def _ordered(
    asked: Plan,
    facts: arrays.PairFacts,
    rows: NDArray[np.int64],
    *,
    model: str,
    run: int | None,
    using: BaseDatabaseWrapper,
) -> _Ordered:
    found = measured(
        project=asked.project, metric=asked.difficulty, model=model, pairs=facts.pair, run=run, using=using
    )
    values = found.values[rows]
    order = np.argsort(values, kind="stable")[: int((~np.isnan(values)).sum())]
    return _Ordered(found.run, found.model, trust_in(found.run, using=using), values, order)


# ---- and what else decides which are in, and where ----------------------------------------------------------------


def _keep_told(
    facts: arrays.PairFacts,
    sieve: Sieve,
    first_wins: NDArray[np.bool_],
    told: tuple[NDArray[np.int64], NDArray[np.int64]],
    *,
    name: str,
) -> None:
    """The pairs of whose chosen answer something is told: `told` are those for first, and those for second."""
    for_first, for_second = told
    sieve.keep(np.where(first_wins, np.isin(facts.pair, for_first), np.isin(facts.pair, for_second)), name=name)


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


# ---- what is written of them, and in which pieces -------------------------------------------------------------------


def pieces_of(asked: Plan, chosen: Chosen, split: str) -> list[NDArray[np.int64]]:
    """The rows of a split in batches of GROUP_ROWS, cut at the same places every time; a prompt's are not parted."""
    rows = chosen.splits[split]
    cuts = np.arange(files.GROUP_ROWS, len(rows), files.GROUP_ROWS)
    if asked.layout.by_prompt:
        prompts = chosen.facts.prompt[chosen.rows[rows]]
        cuts = np.unique(np.searchsorted(prompts, prompts[cuts], side="left"))
        cuts = cuts[cuts > 0]
    return np.split(rows, cuts) if len(rows) else []


def lines_of(chosen: Chosen, piece: NDArray[np.int64]) -> Lines:
    """The lines of a piece as `pieces_of` cuts it."""
    rows = chosen.rows[piece]
    said = chosen.decision
    return Lines.of(
        chosen.facts,
        rows,
        first_wins=chosen.first_wins[piece],
        verdict=said.verdict[rows],
        settled=said.settled[rows],
        probability=said.probability[rows],
    )
