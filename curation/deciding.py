"""Judgements -> the chosen answer: the rules, each over all pairs at once. Pure: arrays in, arrays out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curation.arrays import LABELS, PairFacts
from curation.selecting import Sieve

RULES = {
    "majority": "the answer that more than half of the judgements prefer",
    "label": "the answer that the pair's source labelled as better",
    "strength": "the answer to which the mean of the known strengths points",
    "soft": "none: every pair with a judgement that says something, and how its judgements are distributed",
    "votes": "none: every pair that anybody judged or skipped",
}
# Those after which a pair has a chosen answer.
CHOOSING = ("majority", "label", "strength")
FIRST, SECOND, TIE, BOTH_BAD = range(4)


def decide(rule: str, facts: PairFacts, sieve: Sieve) -> NDArray[np.bool_]:
    """Whether the first of each pair wins, shape (n_pairs,); `sieve` loses the pairs of which the rule cannot say it.

    After a rule that chooses no answer it says which side has more judgements, and nothing may depend on it.
    """
    return _DECIDE[rule](facts, sieve)


def _majority(facts: PairFacts, sieve: Sieve) -> NDArray[np.bool_]:
    most = facts.counts.astype(np.int64) * 2 > facts.judgements[:, None]
    sieve.keep(facts.judgements > 0, name="no judgement")
    sieve.keep(~most[:, TIE], name="tie")
    sieve.keep(~most[:, BOTH_BAD], name="both bad")
    sieve.keep(most[:, FIRST] | most[:, SECOND], name="no majority")
    return np.asarray(most[:, FIRST])


def _label(facts: PairFacts, sieve: Sieve) -> NDArray[np.bool_]:
    sieve.keep(facts.label != LABELS[""], name="no label")
    sieve.keep(facts.label != LABELS["tie"], name="tie")
    return np.asarray(facts.label == LABELS["first"])


def _strength(facts: PairFacts, sieve: Sieve) -> NDArray[np.bool_]:
    sieve.keep(facts.judgements > 0, name="no judgement")
    sieve.keep(facts.n_strength > 0, name="no known strength")
    sieve.keep(facts.counts[:, BOTH_BAD] * 2 <= facts.judgements, name="both bad")
    sieve.keep(facts.strength_sum != 0, name="tie")
    return np.asarray(facts.strength_sum > 0)


def _soft(facts: PairFacts, sieve: Sieve) -> NDArray[np.bool_]:
    sieve.keep(facts.judgements > 0, name="no judgement")
    return np.asarray(facts.counts[:, FIRST] > facts.counts[:, SECOND])


def _votes(facts: PairFacts, sieve: Sieve) -> NDArray[np.bool_]:
    sieve.keep(facts.judgements + facts.skips > 0, name="no judgement")
    return np.asarray(facts.counts[:, FIRST] > facts.counts[:, SECOND])


_DECIDE = {"majority": _majority, "label": _label, "strength": _strength, "soft": _soft, "votes": _votes}
