"""Votes of principles and preferences of annotators, from what an oracle, a reward model or several voters said.

Votes: what each principle prefers in each row (pair), shape (n_rows, n_principles): 1 the first candidate, -1 the
second, nan neither or not relevant. 0, given where the two orders of presentation contradict each other, counts as nan.
Preferences: what an annotator prefers, shape (n_rows,): 1, -1, nan abstains, 0 inconsistent across the two orders.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from curation.metrics.labels import Floats


def preferences_from_probabilities(first_order: ArrayLike, second_order: ArrayLike | None = None) -> Floats:
    """What an oracle prefers, from how likely its answer is "A", "B" or "NA".

    Args:
        first_order: (..., 3), probabilities of A, B and NA; A is the first candidate.
        second_order: the same with the candidates the other way round. Without it, the order's own bias stays in.

    Returns:
        (...): 1 prefers the first, -1 the second; nan where A and B are equally likely, or NA is likelier than both, in
        either order; 0, with both orders only, where the answer followed the place and not the candidate.

    Source: Buyl et al., 2025; the authors' code.
    """
    first, first_na = _signs(np.asarray(first_order, dtype=np.float64))
    if second_order is None:
        return np.where(first_na, np.nan, first)
    second, second_na = _signs(np.asarray(second_order, dtype=np.float64))
    return np.where(first_na | second_na, np.nan, (first - second) / 2)


def _signs(p: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    if p.shape[-1:] != (3,):
        raise ValueError(f"The last axis is the three answers A, B and NA; this one has the shape {p.shape}.")
    a, b, na = p[..., 0], p[..., 1], p[..., 2]
    sign = np.sign(a - b)
    return np.where(sign == 0, np.nan, sign), (na > a) & (na > b)


def preferences_from_scores(scores_first: ArrayLike, scores_second: ArrayLike) -> Floats:
    """What a reward model prefers: the sign of the difference of its two scores; equal ones abstain (nan)."""
    sign = np.sign(np.asarray(scores_first, dtype=np.float64) - np.asarray(scores_second, dtype=np.float64))
    return np.where(sign == 0, np.nan, sign)


def majority_of_votes(
    row: ArrayLike, principle: ArrayLike, vote: ArrayLike, *, n_rows: int, n_principles: int
) -> Floats:
    """Several voters' votes as one table: for each row and principle the commonest of first, second, indifferent.

    Args:
        row, principle: codes, shape (n_votes,).
        vote: 1, -1, or 0 (or nan) for indifferent, shape (n_votes,).

    Returns:
        (n_rows, n_principles) in {1, -1, nan}; nan too where two are equally common, or nobody voted.

    Ours: the paper has one oracle.
    """
    votes = _checked(np.asarray(vote, dtype=np.float64))
    cell = np.asarray(row, dtype=np.int64) * n_principles + np.asarray(principle, dtype=np.int64)
    size = n_rows * n_principles
    counts = [np.bincount(cell[votes == side], minlength=size) for side in (1, -1)]
    neither = np.bincount(cell[np.isnan(votes)], minlength=size)
    first, second = counts
    found = np.full(size, np.nan)
    found[(first > second) & (first > neither)] = 1
    found[(second > first) & (second > neither)] = -1
    return found.reshape(n_rows, n_principles)


def _checked(values: Floats) -> Floats:
    strange = values[~(np.isnan(values) | np.isin(values, (-1, 0, 1)))]
    if len(strange):
        raise ValueError(f"A vote is 1, -1 or nan, not {strange[0]:g}.")
    return np.where(values == 0, np.nan, values)


def vote_table(votes: ArrayLike) -> Floats:
    """Votes as numbers, shape (n_rows, n_principles), 0 as nan.

    Raises:
        ValueError: they have another shape, or one is no vote.
    """
    table = np.asarray(votes, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(f"Votes have two dimensions, rows and principles; these have the shape {table.shape}.")
    return _checked(table)


def chosen_sides(preferences: ArrayLike, n_rows: int) -> Floats:
    """Preferences with nan for abstaining and for inconsistent ones."""
    found = np.asarray(preferences, dtype=np.float64)
    if found.shape != (n_rows,):
        raise ValueError(f"There is one preference for each of {n_rows} rows; these have the shape {found.shape}.")
    return _checked(found)
