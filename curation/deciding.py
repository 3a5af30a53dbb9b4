"""Judgements -> the chosen answer: the rules, each over all pairs at once. Pure: arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.arrays import LABELS, SKIP, VERDICTS, PairFacts, Voiced, places_in
from curation.metrics.aggregation import dawid_skene
from curation.metrics.labels import Labels
from curation.sieving import Sieve

RULES = {
    "majority": "the answer that more than half of the judgements prefer",
    "dawid_skene": "the answer that is likeliest when it is learned from all judgements how each annotator errs",
    "label": "the answer that the pair's source labelled as better",
    "strength": "the answer to which the mean of the known strengths points",
    "soft": "none: every pair with a judgement that says something, and how its judgements are distributed",
    "votes": "none: every pair that anybody judged or skipped",
}
# Those after which a pair has a chosen answer.
CHOOSING = ("majority", "dawid_skene", "label", "strength")
# What becomes of a pair that the rule calls a tie.
TIES = {
    "drop": "it is left out",
    "keep": "it stays, without a chosen answer",
    "both": "it stays as two rows, once in each order",
}
FIRST, SECOND, TIE, BOTH_BAD = range(4)


@dataclass(frozen=True)
class Decision:
    """What a rule says of every pair. All arrays have the shape (n_pairs,).

    Attributes:
        first_wins: whether the first is chosen. Where the rule chooses none, or of a tie, it says which side has more
            judgements, and nothing may depend on it.
        tied: which pairs the rule calls a tie.
        probability: how likely the rule holds what it says, nan where it does not say it.
        chooses: whether the rule chooses an answer at all.
        settled: which pairs an adjudicator decided in its place.
    """

    first_wins: NDArray[np.bool_]
    tied: NDArray[np.bool_]
    probability: NDArray[np.float64]
    chooses: bool
    settled: NDArray[np.bool_]

    @property
    def verdict(self) -> NDArray[np.float64]:
        """1 where the first is chosen, -1 where the second is, 0 for a tie; nan where the rule chooses none."""
        if not self.chooses:
            return np.full(len(self.tied), np.nan)
        return np.where(self.tied, 0.0, np.where(self.first_wins, 1.0, -1.0))


def decide(
    rule: str,
    facts: PairFacts,
    sieve: Sieve,
    *,
    said: Voiced,
    ties: str = "drop",
    least_probability: float = 0.0,
) -> Decision:
    """What the rule says of each pair; `sieve` loses those of which it cannot say it, and ties where they are dropped.

    Args:
        rule: a name of `RULES`.
        said: every judgement that counts, which `dawid_skene` learns from.
        ties: a name of `TIES`.
        least_probability: pairs of which `dawid_skene` is less sure go.
    """
    keeps_ties = ties != "drop"
    if rule == "dawid_skene":
        return _dawid_skene(facts, sieve, said, keeps_ties=keeps_ties, least=least_probability)
    first_wins, tied = _DECIDE[rule](facts, sieve, keeps_ties)
    nobody = np.zeros(len(facts), dtype=bool)
    return Decision(first_wins, tied, np.full(len(facts), np.nan), chooses=rule in CHOOSING, settled=nobody)


Found = tuple[NDArray[np.bool_], NDArray[np.bool_]]


def _without_ties(sieve: Sieve, tied: NDArray[np.bool_], keeps_ties: bool) -> None:
    if not keeps_ties:
        sieve.keep(~tied, name="tie")


def _majority(facts: PairFacts, sieve: Sieve, keeps_ties: bool) -> Found:
    most = _most(facts)
    sieve.keep(facts.judgements > 0, name="no judgement")
    _without_ties(sieve, most[:, TIE], keeps_ties)
    sieve.keep(~most[:, BOTH_BAD], name="both bad")
    sieve.keep(most[:, FIRST] | most[:, SECOND] | most[:, TIE], name="no majority")
    return most[:, FIRST], most[:, TIE]


def _most(facts: PairFacts) -> NDArray[np.bool_]:
    """Which verdict more than half of a pair's judgements give, shape (n_pairs, 4)."""
    return np.asarray(facts.counts.astype(np.int64) * 2 > facts.judgements[:, None])


def _label(facts: PairFacts, sieve: Sieve, keeps_ties: bool) -> Found:
    tied = np.asarray(facts.label == LABELS["tie"])
    sieve.keep(facts.label != LABELS[""], name="no label")
    _without_ties(sieve, tied, keeps_ties)
    return np.asarray(facts.label == LABELS["first"]), tied


def _strength(facts: PairFacts, sieve: Sieve, keeps_ties: bool) -> Found:
    tied = np.asarray(facts.strength_sum == 0)
    sieve.keep(facts.judgements > 0, name="no judgement")
    sieve.keep(facts.n_strength > 0, name="no known strength")
    sieve.keep(facts.counts[:, BOTH_BAD] * 2 <= facts.judgements, name="both bad")
    _without_ties(sieve, tied, keeps_ties)
    return np.asarray(facts.strength_sum > 0), tied


def _soft(facts: PairFacts, sieve: Sieve, keeps_ties: bool) -> Found:
    sieve.keep(facts.judgements > 0, name="no judgement")
    return _counted(facts, sieve, keeps_ties)


def _votes(facts: PairFacts, sieve: Sieve, keeps_ties: bool) -> Found:
    sieve.keep(facts.judgements + facts.skips > 0, name="no judgement")
    return _counted(facts, sieve, keeps_ties)


def _counted(facts: PairFacts, sieve: Sieve, keeps_ties: bool) -> Found:
    tied = _most(facts)[:, TIE]
    if not keeps_ties:
        sieve.keep(~tied, name="tie")
    return np.asarray(facts.counts[:, FIRST] > facts.counts[:, SECOND]), tied


_DECIDE = {"majority": _majority, "label": _label, "strength": _strength, "soft": _soft, "votes": _votes}


def _dawid_skene(facts: PairFacts, sieve: Sieve, said: Voiced, *, keeps_ties: bool, least: float) -> Decision:
    """The likeliest verdict. Learned from every judgement that counts, whichever pairs are selected: how somebody errs
    is known the better the more they said, and does not change with the selection.
    """
    speaks = said.says != SKIP
    annotators, annotator = np.unique(said.annotator[speaks], return_inverse=True)
    labels = Labels(
        places_in(facts.pair, said.pair[speaks]),
        annotator,
        said.says[speaks].astype(np.int64),
        facts.pair,
        annotators,
        np.array(VERDICTS),
    )
    found = dawid_skene(labels)
    best = found.best
    # Twelve digits: whether two verdicts are as likely must not hang on the last bit.
    posterior = np.round(np.nan_to_num(found.posterior), 12)
    probability = np.where(found.n > 0, posterior.max(axis=1, initial=0), np.nan)
    tied = best == TIE
    sieve.keep(facts.judgements > 0, name="no judgement")
    _without_ties(sieve, tied, keeps_ties)
    sieve.keep(best != BOTH_BAD, name="both bad")
    sieve.keep((posterior == posterior.max(axis=1, keepdims=True, initial=0)).sum(axis=1) == 1, name="equally likely")
    if least:
        sieve.keep(probability >= least, name=f"probability below {least:g}")
    return Decision(best == FIRST, tied, probability, chooses=True, settled=np.zeros(len(facts), dtype=bool))
