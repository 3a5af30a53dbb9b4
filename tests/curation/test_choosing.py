from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from django.db import connection

from curation import arrays, choosing
from curation.arrays import PairFacts, pair_facts
from curation.lineage import lineage_of, tallies_digest
from curation.planning import plan
from curation.voices import Voices


def facts_of(counts):
    n = len(counts)
    table = np.array(counts, dtype=np.int32).reshape(n, 4)
    zeros, flags = np.zeros(n, dtype=np.int32), np.zeros(n, dtype=bool)
    return PairFacts(
        pair=np.arange(1, n + 1),
        prompt=np.arange(1, n + 1),
        counts=table,
        skips=zeros,
        n_strength=zeros,
        strength_sum=zeros,
        label=zeros.astype(np.int8),
        empty=flags,
        identical=flags,
        turned=flags,
        passes=np.ones((1, n), dtype=bool),
    )


@pytest.mark.parametrize(
    ("counts", "outcome"),
    [
        ((1, 0, 0, 0), "first"),
        ((0, 1, 0, 0), "second"),
        ((2, 1, 0, 0), "first"),
        ((2, 2, 0, 0), "no majority"),
        ((1, 0, 1, 0), "no majority"),
        ((2, 0, 1, 1), "no majority"),
        ((3, 0, 1, 1), "first"),
        ((0, 0, 1, 0), "tie"),
        ((1, 0, 2, 0), "tie"),
        ((0, 0, 0, 5), "both bad"),
        ((0, 0, 1, 1), "no majority"),
        ((0, 0, 0, 0), "no judgement"),
    ],
)
def test_more_than_half_of_the_judgements_decide_and_ties_never_choose(project, monkeypatch, counts, outcome):
    monkeypatch.setattr(arrays, "pair_facts", lambda **_: facts_of([counts]))
    chosen = choosing.choose(plan(project=project, version="v"), using=connection)
    removed = [step.name for step in chosen.sieve.steps if step.removed]
    if outcome in ("first", "second"):
        assert removed == []
        assert chosen.first_wins.tolist() == [outcome == "first"]
    else:
        assert removed == [outcome]
        assert chosen.rows.tolist() == []


@pytest.mark.parametrize(
    ("rule", "counts", "strength", "outcome"),
    [
        ("strength", (1, 1, 0, 0), (2, -1), "second"),
        ("strength", (1, 1, 0, 0), (2, 0), "tie"),
        ("strength", (1, 0, 0, 0), (0, 0), "no known strength"),
        ("strength", (1, 0, 0, 2), (1, 1), "both bad"),
        ("strength", (0, 0, 0, 0), (0, 0), "no judgement"),
        ("soft", (0, 0, 0, 1), (0, 0), None),
        ("soft", (0, 0, 0, 0), (0, 0), "no judgement"),
    ],
)
def test_other_rules_sieve_what_they_cannot_decide(project, monkeypatch, rule, counts, strength, outcome):
    known, total = strength
    facts = replace(
        facts_of([counts]), n_strength=np.array([known], np.int32), strength_sum=np.array([total], np.int32)
    )
    monkeypatch.setattr(arrays, "pair_facts", lambda **_: facts)
    chosen = choosing.choose(plan(project=project, version="v", rule=rule, layout="soft"), using=connection)
    removed = [step.name for step in chosen.sieve.steps if step.removed]
    if outcome in ("first", "second", None):
        assert removed == []
        assert outcome is None or chosen.first_wins.tolist() == [outcome == "first"]
    else:
        assert removed == [outcome]


def test_numbers_are_drawn_evenly_and_the_same_everywhere():
    drawn = choosing.uniform(np.arange(100_000), seed=7)
    assert 0 <= drawn.min() < drawn.max() < 1
    assert np.abs(np.histogram(drawn, bins=10)[0] / 10_000 - 1).max() < 0.04
    assert drawn[[0, 1, 2]].tolist() == choosing.uniform(np.array([0, 1, 2]), seed=7).tolist()
    assert abs(np.corrcoef(drawn, choosing.uniform(np.arange(100_000), seed=8))[0, 1]) < 0.02


def test_the_digest_of_the_tallies_changes_with_any_of_them():
    plain = tallies_digest(facts_of([(1, 0, 0, 0), (0, 1, 0, 0)]))
    assert plain == tallies_digest(facts_of([(1, 0, 0, 0), (0, 1, 0, 0)]))
    assert plain != tallies_digest(facts_of([(1, 0, 0, 0), (0, 0, 1, 0)]))
    assert plain != tallies_digest(facts_of([(0, 1, 0, 0), (1, 0, 0, 0)]))


def test_lineage_counts_the_annotators_of_the_chosen_pairs_alone(project, make_pair, say, alice, bob):
    here, elsewhere = make_pair(slots=0), make_pair(slots=0)
    say(alice, here, "first")
    say(bob, here, "skip")
    last = say(bob, elsewhere, "first")
    chosen = choosing.choose(plan(project=project, version="v"), using=connection)
    rows = np.nonzero(chosen.facts.pair == here.pk)[0]
    found = lineage_of(replace(chosen, rows=rows), using=connection)
    none = lineage_of(replace(chosen, rows=rows[:0]), using=connection)
    assert (found.annotators["people"], found.annotators["judgements"]) == (1, 1)
    assert found.through == last.pk
    assert none.annotators["judgements_each"] == {}


def test_judgements_after_the_last_that_counts_are_not_seen(project, make_pair, say, alice, bob):
    pair = make_pair(slots=0)
    last = say(alice, pair, "first")
    say(bob, pair, "second")
    facts = pair_facts(project=project, voices=Voices(through=last.pk), where=[])
    assert facts.counts.tolist() == [[1, 0, 0, 0]]
