"""How far what two sides marked in a text agrees: tokens, exact spans, spans that overlap. Pure numbers.

Spans: for every text (a key of any kind), a list of (start, end), end exclusive, in tokens or in characters; the two
sides in the same unit, with the same tokenizer. `truth` is one annotator, `predicted` another one or a machine.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curation.metrics.estimates import Estimate
from curation.metrics.labels import Floats

Spans = Mapping[Any, Sequence[tuple[int, int]]]

NO_SPANS = "Neither side marked anything."
ONE_SIDE = "Only one side marked anything."


@dataclass(frozen=True)
class Scores:
    """Precision, recall and F1: shares from 0 to 1, higher is better; nan with the reason where undefined.

    `n` counts the texts in which either side marked something.
    """

    precision: float
    recall: float
    f1: float
    n: int
    reason: str | None = None

    @classmethod
    def undefined(cls, reason: str, *, n: int) -> Scores:
        return cls(math.nan, math.nan, math.nan, n, reason)

    @property
    def estimate(self) -> Estimate:
        """F1 alone."""
        return Estimate.undefined(self.reason, n=self.n) if self.reason else Estimate(self.f1, n=self.n)


def _harmonic(p: float, r: float) -> float:
    return 2 * p * r / (p + r) if p and r else 0.0


def _checked(spans: Spans) -> dict[Hashable, list[tuple[int, int]]]:
    """The texts with a span. Raises: ValueError, a span that ends before it starts, or is empty."""
    for key, found in spans.items():
        for start, end in found:
            if not 0 <= start < end:
                raise ValueError(f"A span starts at 0 or later and ends after its start; {key!r} has {start} to {end}.")
    return {key: list(found) for key, found in spans.items() if found}


def _sides(truth: Spans, predicted: Spans) -> tuple[dict, dict, list[Hashable], str | None]:
    one, other = _checked(truth), _checked(predicted)
    keys = list(dict.fromkeys([*one, *other]))
    reason = NO_SPANS if not keys else None if one and other else ONE_SIDE
    return one, other, keys, reason


# ---- two sides' spans -----------------------------------------------------------------------------------------------


def token_f1(truth: Spans, predicted: Spans, *, average: str = "macro") -> Scores:
    """F1 of the marked tokens: each token counts once, however many spans hold it.

    Args:
        truth, predicted: the spans of each text.
        average: "micro": over all tokens; "macro": the mean over texts of precision, recall and F1 each, where a text
            that only one side marked has 0.

    Returns:
        As `Scores`. F1 does not care which side is the truth. Undefined: a side marked nothing at all.

    Source: DeYoung et al., ERASER, 2020 (arXiv 1911.03429), section 4.1; macro is what the benchmark reports.
    """
    one, other, keys, reason = _sides(truth, predicted)
    if reason:
        return Scores.undefined(reason, n=len(keys))
    counts = []
    for key in keys:
        marked, found = _union(one.get(key, [])), _union(other.get(key, []))
        counts.append((_length(marked), _length(found), _common(marked, found)))
    return _averaged(np.array(counts, dtype=np.float64), average=average)


def span_f1(truth: Spans, predicted: Spans, *, average: str = "macro") -> Scores:
    """F1 of the spans that are exactly the same on both sides. Otherwise as `token_f1`, and from the same source.

    Undefined: a side marked nothing.

    Source: DeYoung et al., arXiv 1911.03429, section 4.1.
    """
    one, other, keys, reason = _sides(truth, predicted)
    if reason:
        return Scores.undefined(reason, n=len(keys))
    sets = [(set(one.get(key, [])), set(other.get(key, []))) for key in keys]
    counts = np.array([(len(t), len(p), len(t & p)) for t, p in sets], dtype=np.float64)
    return _averaged(counts, average=average)


def _averaged(counts: Floats, *, average: str) -> Scores:
    """From how much each text has on the one side, on the other, and on both; shape (n_texts, 3)."""
    if average == "micro":
        marked, found, common = counts.sum(axis=0)
        p, r = float(common / found), float(common / marked)
        return Scores(p, r, _harmonic(p, r), len(counts))
    if average != "macro":
        raise ValueError(f'The average is "micro" or "macro", not {average!r}.')
    marked, found, common = counts.T
    precision = common / np.where(found > 0, found, 1)
    recall = common / np.where(marked > 0, marked, 1)
    both = precision + recall
    f1 = 2 * precision * recall / np.where(both > 0, both, 1)
    return Scores(float(precision.mean()), float(recall.mean()), float(f1.mean()), len(counts))


def _union(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same tokens as spans that do not touch, in order."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _length(spans: Sequence[tuple[int, int]]) -> int:
    return sum(end - start for start, end in spans)


def _common(one: Sequence[tuple[int, int]], other: Sequence[tuple[int, int]]) -> int:
    """How many tokens two lists of ordered, separate spans have in common."""
    i = j = total = 0
    while i < len(one) and j < len(other):
        total += max(0, min(one[i][1], other[j][1]) - max(one[i][0], other[j][0]))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return total


def _iou(one: tuple[int, int], other: tuple[int, int]) -> float:
    common = max(0, min(one[1], other[1]) - max(one[0], other[0]))
    return common / ((one[1] - one[0]) + (other[1] - other[0]) - common)


def iou_f1(truth: Spans, predicted: Spans, *, threshold: float = 0.5) -> Scores:
    """F1 of spans that overlap: two match where their common part is at least `threshold` of what they cover together.

    Spans match one to one, as many as possible, so that no share is above 1 and F1 does not care which side is the
    truth. Over all texts (micro). The benchmark's own definition is `eraser_iou_f1`.

    Returns:
        As `Scores`. Undefined: a side marked nothing at all.

    Source: DeYoung et al., 2020, section 4.1; matching one to one is ours.
    """
    one, other, keys, reason = _sides(truth, predicted)
    if reason:
        return Scores.undefined(reason, n=len(keys))
    hits = sum(_matched(one.get(key, []), other.get(key, []), threshold) for key in keys)
    p = hits / sum(map(len, other.values()))
    r = hits / sum(map(len, one.values()))
    return Scores(p, r, _harmonic(p, r), len(keys))


def _matched(truth: Sequence[tuple[int, int]], predicted: Sequence[tuple[int, int]], threshold: float) -> int:
    """The size of the largest one-to-one matching (Kuhn's augmenting paths)."""
    near = [[j for j, span in enumerate(truth) if _iou(mine, span) >= threshold] for mine in predicted]
    taken: dict[int, int] = {}

    def place(i: int, seen: set[int]) -> bool:
        for j in near[i]:
            if j not in seen:
                seen.add(j)
                if j not in taken or place(taken[j], seen):
                    taken[j] = i
                    return True
        return False

    return sum(place(i, set()) for i in range(len(predicted)))


def eraser_iou_f1(truth: Spans, predicted: Spans, *, threshold: float = 0.5, average: str = "macro") -> Scores:
    """IOU F1 exactly as the ERASER benchmark computes it: for comparison with its published figures only.

    A predicted span is a hit where its best overlap is at least `threshold`; several may hit the same span, so that
    recall and F1 can be above 1. Macro: F1 of the mean precision over texts with predictions and the mean recall over
    texts with truth, unlike in `token_f1`.

    Undefined: a side marked nothing.

    Source: DeYoung et al., 2020, and the benchmark's code.
    """
    one, other, keys, reason = _sides(truth, predicted)
    if reason:
        return Scores.undefined(reason, n=len(keys))
    if average not in ("micro", "macro"):
        raise ValueError(f'The average is "micro" or "macro", not {average!r}.')
    hits = {
        key: sum(any(_iou(mine, span) >= threshold for span in one.get(key, [])) for mine in found)
        for key, found in other.items()
    }
    if average == "micro":
        total = sum(hits.values())
        p, r = total / sum(map(len, other.values())), total / sum(map(len, one.values()))
    else:
        p = sum(hits[key] / len(found) for key, found in other.items()) / len(other)
        r = sum(hits.get(key, 0) / len(found) for key, found in one.items()) / len(one)
    return Scores(p, r, _harmonic(p, r), len(keys))
