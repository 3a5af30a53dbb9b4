"""Soft labels of pairs -> measurements: of each pair, and of all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from annotation.models import Run
from curation import arrays
from curation.arrays import Judged
from curation.measuring.storing import as_row
from curation.metrics.aggregation import Abilities, Aggregate, Confusions, majority_vote
from curation.metrics.estimates import Estimate
from curation.metrics.labels import Labels
from curation.models import Measurement

# The numbers of so many pairs with another answer than the majority's are kept, the surest first.
MOST_CHANGED = 12


def labels_of(judged: Judged) -> Labels:
    """What was said of each pair, first and second as the pair has them: the labels that a release decides by."""
    kept = np.flatnonzero(judged.is_decided)
    items, item = np.unique(judged.pair[kept], return_inverse=True)
    annotators, annotator = np.unique(judged.annotator[kept], return_inverse=True)
    return Labels(item, annotator, judged.says[kept].astype(np.int64), items, annotators, np.array(arrays.VERDICTS))


def details(found: Aggregate, labels: Labels) -> Iterator[dict[str, Any]]:
    """Of each pair the probabilities and the votes, in the order of `arrays.VERDICTS`."""
    votes, best, tied = labels.counts().tolist(), found.best.tolist(), found.is_tied.tolist()
    for place, row in enumerate(np.round(found.posterior, 6).tolist()):
        yield {
            "best": arrays.VERDICTS[best[place]],
            "tied": tied[place],
            "posterior": row,
            "votes": votes[place],
        }


def overall(run: Run, name: str, found: Aggregate, labels: Labels, **more: Any) -> Measurement:
    """How likely the likeliest answers are on average, and on how many pairs it is another than the majority's.

    `more` goes into its detail, defined or not.
    """
    if found.reason is not None:
        return as_row(run, name, Estimate.undefined(found.reason), detail=more)
    majority = majority_vote(labels)
    clear = (majority.n > 0) & ~majority.is_tied
    changed = np.flatnonzero(clear & (found.best != majority.best))
    surest = changed[np.argsort(-found.posterior.max(axis=1)[changed], kind="stable")[:MOST_CHANGED]]
    detail: dict[str, Any] = {
        "changed": len(changed),
        # The report shows these: to find them among a hundred thousand pairs takes the database more than a second.
        "surest_changes": labels.items[surest].tolist(),
        "clear": int(clear.sum()),
        "tied": int(found.is_tied.sum()),
        **more,
    }
    if isinstance(found, Confusions | Abilities):
        detail |= {"iterations": found.iterations, "has_converged": found.has_converged}
    if isinstance(found, Confusions):
        detail["prior"] = np.round(found.prior, 6).tolist()
    sure = float(found.posterior[found.n > 0].max(axis=1).mean())
    return as_row(run, name, Estimate(sure, n=int((found.n > 0).sum())), detail=detail)
