"""Votes and a judge's probabilities in one: CROWDLAB on pairs whose votes choose a candidate.

A judge says how likely each of the two candidates is the better one, and nothing of ties: there are two classes. Votes
for a tie or for both bad, and pairs on which these are half of the votes or more, are left out and counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotation.errors import Refused
from annotation.models import Annotator, Project, Run
from curation import arrays
from curation.arrays import Judged, Preferring
from curation.measuring.scores import from_enough
from curation.measuring.soft_labels import labels_of, overall
from curation.measuring.storing import as_row
from curation.metrics.aggregation import Crowdlab, crowdlab
from curation.metrics.estimates import NO_LABELS, Estimate
from curation.metrics.labels import Labels
from curation.models import Measurement

NAME = "crowdlab"
NO_COMMON = "The judge answered none of the pairs on which most votes choose a candidate."
CHOICES = arrays.VERDICTS[:2]


def judge_named(project: Project, name: str) -> Annotator:
    """The judge with this name, or the only one whose name begins so.

    Raises:
        Refused: there is none, or several.
    """
    judges = list(Annotator.objects.judges().filter(project=project).order_by("name"))
    exact = [one for one in judges if name in (one.name, one.external_id)]
    found = exact or [one for one in judges if one.name.startswith(name)]
    if len(found) == 1:
        return found[0]
    if not judges:
        raise Refused("CROWDLAB needs a judge, and this project has none. Let a model judge its pairs first.")
    named = ", ".join(one.name for one in found or judges)
    if found:
        raise Refused(f"Several judges are called {name!r}: {named}. Name one in full: --set judge=NAME.")
    raise Refused(f"No judge here is called {name!r}. There are {named}.")


def probabilities(judge: Annotator) -> Preferring:
    """What the judge stored of which candidate is better overall.

    Raises:
        Refused: nothing.
    """
    found = arrays.preferring(judge=judge)
    if not len(found.pair):
        raise Refused(
            f"The judge {judge.name} has stored no probabilities of which candidate is better overall, in both orders. "
            "Let it judge pairs here with what is better overall among its questions; judgements that came with a file "
            "have no probabilities."
        )
    return found


@dataclass(frozen=True)
class Sides:
    """What the posterior is made of.

    Attributes:
        labels: the votes for first and second, of pairs with a probability.
        votes: all votes of these pairs, in the order of `arrays.VERDICTS`, shape (n_items, 4).
        first: how likely the judge finds the first candidate the better one, shape (n_items,).
        left_out: how many pairs and votes are not among them, by reason.
    """

    labels: Labels
    votes: NDArray[np.int64]
    first: NDArray[np.float64]
    left_out: dict[str, int]


def sides(judged: Judged, judge: Annotator, said: Preferring) -> Sides:
    """The pairs on which most votes choose and of which the judge has a probability. Its own vote is not among them."""
    every = labels_of(judged.take(np.flatnonzero(judged.annotator != judge.pk)))
    votes = every.counts()
    chooses = votes[:, :2].sum(axis=1) > votes[:, 2:].sum(axis=1)
    answered = np.isin(every.items, said.pair)
    kept = chooses & answered
    place = np.cumsum(kept) - 1
    rows = kept[every.item] & (every.value < len(CHOICES))
    annotators, annotator = np.unique(every.annotator[rows], return_inverse=True)
    items = every.items[kept]
    labels = Labels(
        place[every.item[rows]],
        annotator,
        every.value[rows],
        items,
        every.annotators[annotators],
        np.array(CHOICES),
    )
    left_out = {
        "pairs_that_choose_neither": int((~chooses).sum()),
        "pairs_without_probability": int((chooses & ~answered).sum()),
        "votes_for_neither": int(votes[kept, 2:].sum()),
    }
    return Sides(labels, votes[kept], said.first[np.searchsorted(said.pair, items)], left_out)


@dataclass(frozen=True)
class Found:
    """The posterior of each pair, and the measurements of everybody and of the whole."""

    crowd: Crowdlab
    sides: Sides
    reason: str
    rows: list[Measurement]

    def details(self) -> Iterator[dict[str, Any]]:
        """Of each pair both probabilities, all of its votes, and what the judge gives its first candidate."""
        best, consensus = self.crowd.best.tolist(), self.crowd.consensus.tolist()
        tied, quality = self.crowd.is_tied.tolist(), np.round(self.crowd.quality, 6).tolist()
        posterior, votes = np.round(self.crowd.posterior, 6).tolist(), self.sides.votes.tolist()
        for place, first in enumerate(np.round(self.sides.first, 6).tolist()):
            told = {"votes": votes[place], "judge": first}
            if self.crowd.reason is None:
                told |= {"best": CHOICES[best[place]], "tied": tied[place], "posterior": posterior[place]}
                told |= {"consensus": CHOICES[consensus[place]], "quality": quality[place]}
            yield told


def measured(run: Run, project: Project, judged: Judged, *, judge: str, least: int) -> Found:
    """CROWDLAB's posterior of every pair, the quality of every annotator from `least` labels on, and the judge's.

    Raises:
        Refused: there is no such judge, or it has stored no probabilities.
    """
    who = judge_named(project, judge)
    of = sides(judged, who, probabilities(who))
    labels = of.labels
    found = crowdlab(labels, np.column_stack([of.first, 1 - of.first]))
    reason = NO_COMMON if not labels.n_items else found.reason
    if reason is not None:
        found = Crowdlab.undefined(labels, reason)
    rows = [overall(run, NAME, found, labels, judge=who.name, left_out=of.left_out)]
    if reason is None:
        given = np.bincount(labels.annotator, minlength=labels.n_annotators)
        for place, number in enumerate(labels.annotators.tolist()):
            estimate = from_enough(float(found.annotator_quality[place]), int(given[place]), least=least, of="labels")
            weight = {"weight": round(float(found.annotator_weight[place]), 6)}
            rows.append(as_row(run, NAME, estimate, annotator_id=int(number), detail=weight))
        estimate = from_enough(found.model_quality, labels.n_items, least=least, of="pairs with a probability")
        told = {"weight": round(found.model_weight, 6), "is_model": True}
        rows.append(as_row(run, NAME, estimate, annotator_id=who.pk, detail=told))
    else:
        rows.append(as_row(run, NAME, Estimate.undefined(reason), annotator_id=who.pk, detail={"is_model": True}))
    return Found(found, of, reason or NO_LABELS, rows)
