"""Comparisons -> scores of models and of candidates, and how reliable everybody is by them.

What follows from a ranking counts less than what was judged by itself: `annotation.orders.weight_of`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from annotation.models import Run
from annotation.running import Hold
from curation.arrays import Comparisons
from curation.measuring.storing import as_row
from curation.metrics.aggregation import bradley_terry, crowd_bradley_terry, standing
from curation.metrics.estimates import Estimate, not_enough
from curation.models import Measurement

# Models with scores, those with the most comparisons.
MOST_MODELS = 60
# Candidates of a prompt have scores from so many compared ones on: of two, the votes say it all.
LEAST_CANDIDATES = 3
# Prompts between two signs of life.
BEAT_EVERY = 2_000

NO_MODELS = "No two models were compared: candidates name no model, or one alone."
NO_SCORES = "Without a ridge there are no scores: some candidates never lost to the others."


def from_enough(value: float, n: int, *, least: int, of: str) -> Estimate:
    """An estimate that rests on `n` cases, or the reason that these are fewer than `least`."""
    return Estimate(value, n=n) if n >= least else Estimate.undefined(not_enough(n, least, of), n=n)


def _between_models(said: Comparisons) -> NDArray[np.bool_]:
    """Which comparisons are of two models that are named and not the same."""
    return np.asarray((said.first_model >= 0) & (said.second_model >= 0) & (said.first_model != said.second_model))


def models(
    run: Run, said: Comparisons, *, ridge: float, rng: np.random.Generator | None, resamples: int
) -> Measurement:
    """The scores of the models with their intervals over prompts, best first, as one row.

    Its value is how many comparisons there are.
    """
    chosen = np.flatnonzero(_between_models(said))
    games = np.bincount(said.first_model[chosen], minlength=len(said.models))
    games += np.bincount(said.second_model[chosen], minlength=len(said.models))
    kept = np.sort(np.argsort(-games, kind="stable")[:MOST_MODELS])
    kept = kept[games[kept] > 0]
    chosen = chosen[np.isin(said.first_model[chosen], kept) & np.isin(said.second_model[chosen], kept)]
    if not len(chosen):
        return as_row(run, "bradley_terry", Estimate.undefined(NO_MODELS))
    found = standing(
        np.searchsorted(kept, said.first_model[chosen]),
        np.searchsorted(kept, said.second_model[chosen]),
        said.won[chosen],
        n_items=len(kept),
        weight=said.weight[chosen],
        groups=said.prompt[chosen],
        ridge=ridge,
        rng=rng,
        resamples=resamples,
    )
    order = np.argsort(-np.nan_to_num(found.scores, nan=-np.inf), kind="stable")
    each = [
        {
            "model": said.models[kept[place]],
            "score": _plain(found.scores[place]),
            "low": _plain(found.low[place]),
            "high": _plain(found.high[place]),
            "games": _plain(found.games[place]),
            "n": int(found.n[place]),
        }
        for place in order.tolist()
    ]
    return as_row(run, "bradley_terry", Estimate(float(len(chosen)), n=len(chosen)), detail={"models": each})


def _plain(value: float) -> float | None:
    """A number as JSON has it: nan is null."""
    return None if value != value else round(float(value), 6)


def reliabilities(run: Run, said: Comparisons, *, least: int) -> Iterator[Measurement]:
    """How likely each annotator says what the crowd's scores of the models say."""
    chosen = np.flatnonzero(_between_models(said))
    annotators, who = np.unique(said.annotator[chosen], return_inverse=True)
    first, second = said.first_model[chosen], said.second_model[chosen]
    won, weight = said.won[chosen], said.weight[chosen]
    # A tie is a game each way, of half its weight.
    games = np.concatenate([np.column_stack([who, first, second]), np.column_stack([who, second, first])])
    parts = np.concatenate([weight * won, weight * (1 - won)])
    some = parts > 0
    found = crowd_bradley_terry(games[some], n_items=len(said.models), n_annotators=len(annotators), weight=parts[some])
    given = np.bincount(who, minlength=len(annotators))
    for place, number in enumerate(annotators.tolist()):
        estimate = from_enough(
            float(found.reliability[place]), int(given[place]), least=least, of="comparisons of models"
        )
        yield as_row(run, "crowd_bradley_terry", estimate, annotator_id=int(number))


def candidates(hold: Hold, said: Comparisons, *, ridge: float) -> Iterator[Measurement]:
    """The scores of the candidates of every prompt of which three or more were compared."""
    weight = said.weight
    starts = np.flatnonzero(np.diff(said.prompt, prepend=-1))
    for place, rows in enumerate(np.split(np.arange(len(said)), starts[1:]) if len(starts) else []):
        if place % BEAT_EVERY == 0:
            hold.beat()
        names, codes = np.unique(np.concatenate([said.first[rows], said.second[rows]]), return_inverse=True)
        if len(names) < LEAST_CANDIDATES:
            continue
        i, j = codes[: len(rows)], codes[len(rows) :]
        wins = np.zeros((len(names), len(names)))
        np.add.at(wins, (i, j), weight[rows] * said.won[rows])
        np.add.at(wins, (j, i), weight[rows] * (1 - said.won[rows]))
        n = np.bincount(codes, minlength=len(names))
        scores = bradley_terry(wins, ridge=ridge)
        for number, score, count in zip(names.tolist(), scores.tolist(), n.tolist(), strict=True):
            estimate = Estimate(score, n=count) if score == score else Estimate.undefined(NO_SCORES, n=count)
            yield as_row(hold.run, "bradley_terry", estimate, candidate_id=number)
