"""Growing rationales: the words of a pair, ranked by how many people marked them, the best of them first.

What people mark is yes or no. The share of them who marked a word is a score of it, so that what several marked
together is a ranked rationale: its best 1, 5, 10, 20 and 50 % of the words are taken away, and shown alone. A worker
asks the model (workers/growing.py); what its answers come to is computed here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotation.models import Run
from curation.measuring.storing import as_row
from curation.metrics.estimates import Estimate, not_enough
from curation.metrics.rationales import aopc
from curation.models import Measurement

# The benchmark's bins.
THRESHOLDS = "0.01,0.05,0.1,0.2,0.5"
# Marks of one person have no order: all of them are as good.
LEAST_MARKERS = 2
SHOWN = ("aopc_comprehensiveness", "aopc_sufficiency")

# A message of a candidate; and what is marked in it.
Place = tuple[int, int]
Marks = Mapping[Place, Sequence[tuple[int, int]]]

# What stands between white space; of scripts that put none between words, each character.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")


def shares_of(typed: str) -> tuple[float, ...]:
    """Shares as they are typed, with commas between: ascending, each once.

    Raises:
        ValueError: one is no number above 0 and at most 1.
    """
    found = sorted({float(one) for one in typed.split(",") if one.strip()})
    if not all(0 < one <= 1 for one in found):
        raise ValueError(typed)
    return tuple(found)


@dataclass(frozen=True)
class Ranked:
    """The words that somebody marked, best first, as (place, start, end); and how many words the texts have."""

    best: tuple[tuple[Place, int, int], ...]
    n_words: int


def ranked(texts: Mapping[Place, str], marked: Sequence[Marks], *, rng: np.random.Generator) -> Ranked:
    """Rank the words of a pair by the share of people who marked any part of them.

    Args:
        texts: each message of both candidates.
        marked: what each person marked.
        rng: words with the same share are put in an order that is drawn. Their order in the text would favour the
            first candidate.
    """
    scored: list[tuple[float, Place, int, int]] = []
    n_words = 0
    for place in sorted(texts):
        text = texts[place]
        share = np.zeros(len(text))
        for marks in marked:
            flags = np.zeros(len(text))
            for start, end in marks.get(place, ()):
                flags[start:end] = 1
            share += flags / len(marked)
        for found in _WORD.finditer(text):
            n_words += 1
            score = float(share[found.start() : found.end()].max())
            if score > 0:
                scored.append((score, place, found.start(), found.end()))
    drawn = [scored[one] for one in rng.permutation(len(scored))]
    # Shares are sums of fractions: what is equal may differ in the last bit.
    drawn.sort(key=lambda one: -round(one[0], 9))
    return Ranked(tuple((place, start, end) for _, place, start, end in drawn), n_words)


def grown(words: Ranked, texts: Mapping[Place, str], share: float) -> dict[Place, list[tuple[int, int]]]:
    """The best words up to this share of all words, one at least, as spans; neighbours are one span.

    What nobody marked is never part of it: where the share asks for more, all that is marked is the rationale.
    """
    number = max(1, math.ceil(round(share * words.n_words, 9)))
    found: dict[Place, list[tuple[int, int]]] = {}
    for place, start, end in sorted(words.best[:number]):
        spans = found.setdefault(place, [])
        if spans and not texts[place][spans[-1][1] : start].strip():
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return found


# ---- what the answers come to ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Growing:
    """Probabilities of what the model itself prefers, of every pair that several people marked; nan: not answered.

    Attributes:
        full: shown all, shape (n_pairs,).
        without, only: shown all but the best words, and nothing but these; shape (n_pairs, n_shares).
        left_out: how many pairs fewer people marked.
    """

    full: NDArray[np.float64]
    without: NDArray[np.float64]
    only: NDArray[np.float64]
    left_out: int

    @classmethod
    def none(cls, n_pairs: int, n_shares: int, *, left_out: int) -> Growing:
        """Nothing is answered yet."""
        table = np.full((n_pairs, n_shares), np.nan)
        return cls(np.full(n_pairs, np.nan), table, table.copy(), left_out)


def rows(
    run: Run, growing: Growing, shares: Sequence[float], *, least: int, least_markers: int, resamples: int
) -> list[Measurement]:
    """Both areas of all people together; with the mean change at each share, and how many pairs fewer people marked.

    Below `least` pairs the reason says how many there are.
    """
    if not shares:
        return []
    found = []
    for metric, table in zip(SHOWN, (growing.without, growing.only), strict=True):
        # The same pairs are drawn for both.
        rng = np.random.default_rng(run.seed) if resamples else None
        estimate = aopc(growing.full, table, rng=rng, resamples=resamples)
        of = f"pairs that {least_markers} people marked"
        if estimate.n < least:
            estimate = Estimate.undefined(not_enough(estimate.n, least, of), n=estimate.n)
        change = growing.full[:, None] - table
        kept = change[~np.isnan(change).any(axis=1)]
        detail: dict[str, Any] = {"marked_by_fewer": growing.left_out}
        if estimate.is_defined:
            at = np.round(kept.mean(axis=0), 6).tolist()
            detail["at"] = [{"share": share, "change": one} for share, one in zip(shares, at, strict=True)]
        found.append(as_row(run, metric, estimate, detail=detail))
    return found
