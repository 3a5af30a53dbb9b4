"""Rows -> what each answer won of its comparison: never more for the answer that the release does not choose."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curation.export.records import Rows


def won(rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """How often first and second won, shape (n, 2), a tie as half, and of how many comparisons, shape (n,).

    A comparison is a judgement; both bad wins nothing. Where an adjudicator decided, all of a pair's comparisons say
    what the ruling says. A verdict without any judgement, as a source's label, is one comparison. Where the rule chose
    otherwise than most judgements, as one that weighs them may, both won as much: nothing says by how much the chosen
    answer is better.
    """
    n = rows.counts.sum(axis=1)
    is_decided = ~np.isnan(rows.verdict)
    is_word = is_decided & (rows.settled | (n == 0))
    of = np.where(is_word, np.maximum(n, 1), n)
    points = rows.counts[:, :2] + rows.counts[:, 2:3] / 2
    towards_first = np.nan_to_num(rows.verdict)
    by_word = of[:, None] * np.column_stack([1 + towards_first, 1 - towards_first]) / 2
    is_against = is_decided & (np.sign(points[:, 0] - points[:, 1]) != rows.verdict)
    level = np.repeat(points.mean(axis=1, keepdims=True), 2, axis=1)
    return np.where(is_word[:, None], by_word, np.where(is_against[:, None], level, points)), of
